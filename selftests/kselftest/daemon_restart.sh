#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A daemon is killed and started again, under load: nothing acknowledged is lost.
# First one daemon, then all of them at once.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
start_cluster k k k k

start_load one 100 400
check "load is under way" wait_until acked_reach one 40
end "$(daemon_pid 2)" KILL
check "its instance knows" wait_field 2 bound = false
check "the load goes on without it" wait_until acked_reach one 150
start_daemon 2
check "it binds again" wait_field 2 bound = true
check "the load ends without an error" wait_load
check "all records are there" kv_as 101 verify "$T/one.rec"
check "the daemon has caught up" agree head 0 1 2 3

start_load two 102 400
check "load again" wait_until acked_reach two 40
for id in 0 1 2 3; do
	end "$(daemon_pid "$id")" KILL
done
stopped=$(acked two)
for id in 0 1 2 3; do
	start_daemon "$id"
done
for id in 0 1 2 3; do
	wait_field "$id" bound = true
done
[ "$stopped" -lt 400 ]
ok $? "all daemons were killed with records outstanding ($stopped of 400)"
check "the load ends without an error" wait_load
check "all records are there" kv_as 101 verify "$T/two.rec"
check "the older ones too" kv_as 101 verify "$T/one.rec"
agree_suite 0 1 2 3
for id in 0 1 2 3; do
	check_is "replica $id did not stop" "$(field "$id" state)" up
done
