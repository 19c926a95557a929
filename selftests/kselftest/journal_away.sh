#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A replica that was away for ten windows, with its journal; one whose machine was
# wiped, wholly or in part. Each comes back by itself, and then its vote counts.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

WINDOW=64

up()	# I [OPTION...]
{
	id=$1
	shift
	kernel_setconf "$id" && kernel_up "$id" --journal "$T/j$id" --journal-size 16M "$@"
}

# batches NAME CLIENT COUNT: one record each
batches()
{
	records "$T/$1.rec" 1 "$3"
	kv_as "$2" load "$T/$1.rec"
}

# its_vote NAME: one of the others is lost, and the cluster goes on
its_vote()
{
	in_ns 2 ip link set eth0 down
	check "$1: its vote counts: without another, puts go on" kv put vote "$1"
	check_is "$1: and reads" "$(kv get vote)" "$1"
	in_ns 2 ip link set eth0 up
	check "$1: all are active" wait_all wait_active
	agree_suite 0 1 2 3
}

resumes()	# NAME
{
	link 3 down
	check "$1: it comes up" up 3
	check "$1: it has forgotten nothing" field_is 3 mute = false
	link 3 up
	start_daemon 3
	check "$1: it is active" wait_active 3
	agree_suite 0 1 2 3
	its_vote "$1"
}

rejoins()	# NAME CLIENT
{
	link 3 down
	check "$1: it comes up" up 3
	check "$1: as one that has forgotten" field_is 3 mute = true
	link 3 up
	start_daemon 3
	start_load "load$2" "$2" 400
	check "$1: it gets back to voting by itself" wait_voting 3
	check "$1: the load ends without an error" wait_load
	agree_suite 0 1 2 3
	its_vote "$1"
}

need_module
make_net 4
make_conf 4 CheckpointInterval=16 Window=$WINDOW Timeout=2s BatchMax=1
KINDS="k k k k"
for id in 0 1 2 3; do
	up $id --genesis || bail "replica $id: up failed"
done
for id in 0 1 2 3; do
	start_daemon $id
done
wait_all wait_active
check "records before" batches before 100 50
agree_suite 0 1 2 3

crash 3 KILL
left=$(field 0 last_exec)
check "replica 3 is away" batches away 101 $((10 * WINDOW + 20))
check "for ten windows" field_is 0 h -ge $((left + 10 * WINDOW))
resumes "away"
check "it has what was put meanwhile: the state came over" field_is 3 last_exec -gt $((left + 10 * WINDOW))

crash 3 KILL
rm -rf "$T/$NAME-db3"
check "replica 3 is away again" batches again 102 100
resumes "its database wiped"

crash 3 KILL
rm -rf "$T/$NAME-db3" "$T/j3"
rejoins "all of it wiped" 103

crash 3 KILL
rm "$T/j3"
rejoins "its journal wiped" 104
check "every record is there" kv verify "$T/away.rec"
