#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Two replicas in the kernel and two in userspace are one cluster; each kind is
# primary once.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=500ms
start_cluster k u k u
client_suite 300
agree_suite 0 1 2 3

# without the primary, a kernel replica, the next is one in userspace
in_ns 0 pbftctl down "$NAME"
end "$(daemon_pid 0)"
check "puts go on without the kernel primary" kv put gamma three
for id in 1 2 3; do
	check "replica $id is in a later view" wait_view "$id" 1
done
check_is "the value is there" "$(kv get gamma)" three
agree_suite 1 2 3
