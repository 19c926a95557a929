#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Copies of the state at checkpoints outlive their daemons: a daemon that has lost its
# database gets the state from others that have ended since, by a kill or in peace,
# although nothing is ordered any more and no new checkpoint comes.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

SYNC=checkpoint	# and what ends its daemons
SIGNAL=TERM

start_daemon()
{
	background "pbftd-$NAME-$1" ip netns exec "$NS$1" \
		pbftd -i "$NAME" --db "$T/$NAME-db$1" --sync "$SYNC"
	eval "DAEMON_$1=$PID"
}

# restart_daemons ID...: all are gone before the first is back, where it stood
restart_daemons()
{
	for id; do
		end "$(daemon_pid "$id")" "$SIGNAL"
	done
	for id; do
		wait_field "$id" bound = false || return 1
		start_daemon "$id"
	done
	for id; do
		wait_field "$id" bound = true && wait_field "$id" last_exec -ge "$HEAD" || return 1
	done
}

lose_database()
{
	end "$(daemon_pid 3)" KILL
	rm -rf "$T/$NAME-db3"
	wait_field 3 bound = false || return 1
	start_daemon 3
	wait_field 3 bound = true
}

# survives NAME: replica 3 gets the state back, and nobody is asked for anything
survives()
{
	HEAD=$(field 0 last_exec)
	check "$1: the last checkpoint lies behind" field_is 0 h -lt "$HEAD"
	check "$1: three daemons end, and start again" restart_daemons 0 1 2
	check "$1: the fourth one loses its database" lose_database
	check "$1: it has the others' state again" agree head 0 1 2 3
	check_is "$1: nothing was ordered meanwhile" "$(field 0 last_exec)" "$HEAD"
}

make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s BatchMax=1 Heartbeat=600s
start_cluster k k k k
# more than replicas keep: a state from the beginning cannot be made of it
records "$T/a.rec" 1 205
check "records, and then silence" kv load "$T/a.rec"
check "all have executed them" agree head 0 1 2 3
survives "stopped"

SYNC=always
check "daemons that commit every batch" restart_daemons 0 1 2 3
SIGNAL=KILL
start_load b 101 30
check "more records" wait_load
check "all have executed them" agree head 0 1 2 3
survives "killed"
check "every record is there" kv verify "$T/a.rec"
agree_suite 0 1 2 3
