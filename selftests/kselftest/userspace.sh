#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The same with four replicas in userspace: no module is needed.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
make_conf 4 CheckpointInterval=16 Window=64
start_cluster u u u u
client_suite 300
agree_suite 0 1 2 3
