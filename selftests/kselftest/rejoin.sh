#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A replica restarts without memory: mute at first, it gets back to voting while
# the cluster runs, and then its vote counts.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=500ms Heartbeat=1s
start_cluster k k k k
check "records before" kv put before one
records "$T/a.rec" 1 100
check "a hundred more" kv load "$T/a.rec"

crash 3
rm -rf "$T/$NAME-db3"
check "the replica is gone, with its database" kernel_setconf 3
background monitor ip netns exec "${NS}3" pbftctl monitor --json
wait_until grep -q '"event":"snapshot"' "$T/monitor.log"
check "it comes up, not as one that has never run" kernel_up 3
start_daemon 3
check "it is mute at first" wait_until grep -q '"mute":true.*"event":"up"' "$T/monitor.log"
start_load one 100 400
check "it votes again" wait_voting 3
check "and said so" wait_until grep -q '"event":"recovered"' "$T/monitor.log"
check "the load ends without an error" wait_load
check "it is active in a view" wait_active 3
check "it has the others' state" agree head 0 1 2 3

in_ns 2 ip link set eth0 down
check "its vote counts: one of the others is lost, puts go on" kv put after two
check_is "reads too" "$(kv get before) $(kv get after)" "one two"
agree_suite 0 1 3
