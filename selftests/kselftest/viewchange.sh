#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The primary dies under load: the others go on, and every acknowledged record
# is there afterwards. Twice, and the cluster then runs with the first one back.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=500ms
start_cluster k k k k

start_load one 100 600
check "load is under way" wait_until acked_reach one 50
in_ns 0 ip link set eth0 down
before=$(acked one)
check "the others enter a later view" wait_view 1 1
wait_view 2 1
wait_view 3 1
check "the load ends without an error" wait_load
[ "$before" -lt 600 ]
ok $? "the primary was lost while records were outstanding ($before of 600)"
check_is "every record is acknowledged" "$(acked one)" 600
check "all of them are there" kv_as 101 verify "$T/one.rec"
agree_suite 1 2 3

in_ns 0 ip link set eth0 up
[ "$FAMILY" = 4 ] || in_ns 0 ip addr add "$(address 0)/64" dev eth0 nodad
check "the one that was cut off comes back" wait_view 0 1
check "and catches up" agree head 0 1 2 3

primary=$(field 2 primary)
view=$(field 2 view)
start_load two 102 300
check "load again" wait_until acked_reach two 30
in_ns "$primary" ip link set eth0 down
other=$(((primary + 1) % 4))
check "the next primary is lost: a later view" wait_view "$other" $((view + 1))
check "the load ends without an error" wait_load
check "all of it is there" kv_as 101 verify "$T/two.rec"
