#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Four kernel replicas, each with its daemon: what clients and replicas see.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
# no machine is so slow that a view would be left for it
make_conf 4 CheckpointInterval=16 Window=64 Timeout=60s
start_cluster k k k k
client_suite 300
agree_suite 0 1 2 3
check "the stable checkpoint moves on" wait_field 0 h -ge 16
check "nobody changed the view" field_is 3 view -eq 0
