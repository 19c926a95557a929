#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Journals in the kernel: what will do for one, a whole cluster that crashes and
# resumes, a restart in good order in mode async, damage, and a medium that is full.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

# What the simulated crash leaves of a file is all that was written to it: the page
# cache is not lost with an instance. What is lost with the power is scripts/demo's.
journal_up()
{
	id=$1
	shift
	kernel_up "$id" --journal "$T/j$id" --journal-size 16M "$@"
}

restart()
{
	kernel_setconf "$1" && journal_up "$@" && start_daemon "$1"
}

crash_and_restart()
{
	crash "$1" && restart "$@"
}

begin()
{
	kernel_setconf "$1" && journal_up "$1" --genesis
}

views()
{
	for i in 0 1 2 3; do
		field $i view
	done | sort -u
}

not_mute()
{
	for i in 0 1 2 3; do
		field_is $i mute = false || return 1
	done
}

need_module
make_net 4
# No view may change by chance while all of them resume, but one whose primary has
# forgotten must, before clients give up.
make_conf 4 CheckpointInterval=16 Window=64 Timeout=$((DEADLINE / 24))s
KINDS="k k k k"

for_kind k begin
for_kind k start_daemon
wait_all wait_active
check_is "show states the mode" "$(field 0 mode)" sync
check "records before" kv put before one

start_load one 100 400
check "a load is under way" wait_until acked_reach one 60
view=$(views)
for_kind k crash
check "all four crash in mid-load, and resume from their journals" for_kind k restart
check "nobody has forgotten" not_mute
check "records were replayed" field_is 2 replayed -gt 0
wait_all wait_active
check "the load goes on and ends without an error" wait_load
check_is "what was written before the crash is there" "$(kv get before)" one
check "every acknowledged record is there" kv verify "$T/one.rec"
check_is "in the view before" "$(views)" "$view"
agree_suite 0 1 2 3
check "records shared their flushes" test "$(field 0 records)" -gt "$(field 0 syncs)"
check "a file in use is refused" refused "another replica uses this journal" \
	in_ns 1 pbftctl up "$NAME" --journal "$T/j0"

records "$T/long.rec" 1 3000 4000
check "12 MB of records go through journals of 16 MB" kv load "$T/long.rec"
check "which were compacted" field_is 0 compactions -gt 0
for_kind k crash
check "all four crash and resume" for_kind k restart
check "nobody has forgotten" not_mute
check "every record is there" kv verify "$T/long.rec"
agree_suite 0 1 2 3

in_ns 3 pbftctl down "$NAME"
end "$(daemon_pid 3)"
check "a journal can be read" pbftctl journal verify "$T/j3"
check "record by record" sh -c "pbftctl journal dump $T/j3 | grep -q PREPARED"
cp "$T/j2" "$T/copy"
check "another's journal is refused" refused "the journal of another replica" \
	kernel_up 3 --journal "$T/copy"
rm "$T/copy"
check "in mode async" journal_up 3 --journal-mode async
start_daemon 3
check "the replica has not forgotten" field_is 3 mute = false
check_is "show states that mode" "$(field 3 mode)" async
check "puts go on" kv put async one
in_ns 3 pbftctl down "$NAME"
end "$(daemon_pid 3)"
check "after a restart in good order" journal_up 3 --journal-mode async
start_daemon 3
check "neither" field_is 3 mute = false
check "puts go on" kv put async two
link 3 down
check "in mode async, after a crash" crash_and_restart 3 --journal-mode async
check "it has" field_is 3 mute = true
link 3 up
start_load two 101 300
check "it gets back to voting by itself" wait_voting 3
check "the load ends without an error" wait_load

crash 2
at=$(pbftctl journal dump "$T/j2" | sed -n 's/^ *\([0-9][0-9]*\) .*/\1/p' | sed -n 5p)
# two superblocks, and a ring of the rest
block=$((2 + at / 4096 % (16 * 256 - 2)))
check "a journal loses a frame in the middle" dd if=/dev/zero of="$T/j2" bs=4096 \
	seek=$block count=1 conv=notrunc
check "which is recognised" refused "records that were durable are missing" \
	pbftctl journal verify "$T/j2"
link 2 down
check "its replica comes up" restart 2 --genesis
check "as one that has forgotten, whatever it is told" field_is 2 mute = true
check "show says so" field_is 2 damaged = true
link 2 up
start_load three 102 300
check "it gets back to voting by itself" wait_voting 2
check "the load ends without an error" wait_load
agree_suite 0 1 2 3

crash 1
mkdir "$T/small"
mount -t tmpfs -o size=192k none "$T/small" || bail "no tmpfs"
truncate -s 16M "$T/small/j"
check "a journal where there is no space for it" kernel_setconf 1
kernel_up 1 --journal "$T/small/j"
start_daemon 1
umount -l "$T/small"
start_load four 103 300

# A replica that has forgotten writes little until it votes again, which takes batches.
stopped()
{
	field_is 1 state = stopped && return
	kv_as 104 put soon yes
	return 1
}
check "stops its replica" wait_until stopped
check "which tells why" refused "no space left where its file is stored" \
	sh -c "ip netns exec ${NS}1 pbftctl show $NAME; false"
check "the others go on" wait_load
agree_suite 0 2 3
