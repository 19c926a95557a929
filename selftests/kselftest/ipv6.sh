#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Four kernel replicas on IPv6.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

FAMILY=6
make_net 4
make_conf 4 CheckpointInterval=16 Window=64
start_cluster k k k k
client_suite 100
agree_suite 0 1 2 3
