#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A replica's power fails at any write to its disk. Every write and flush is logged by
# dm-log-writes, journal and database on one disk. The journal is judged after each
# write, also with sectors missing that no flush covers. Of some moments the disk
# is made again and the replica put on it: it resumes, and its state is the others'.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib-disk.sh
. "$(dirname "$0")/../lib-disk.sh"

DISK_LOG=160
DISK_FS=yes
SAMPLES=${SAMPLES:-2}
RECORDS=${RECORDS:-450}

# The moment may be one before there was a place for the database.
replica_on()
{
	mkdir -p "$DISKS/m3/db" && up_on_disk 3
}

# entries: how many the log has
entries()
{
	disk-log list "$DISKS/log3" | wc -l
}

# moment K: an entry, the K-th of some that lie evenly, and a bit off
moment()
{
	total=$(wc -l <"$T/entries")
	at=$((total * (2 * $1 + 1) / (2 * SAMPLES) + (SEED + 7 * $1) % 13))
	[ "$at" -le "$total" ] || at=$total
	sed -n "${at}s/ .*//p" "$T/entries"
}

# The journal as pbftctl reads it, from a file.
journal_file()
{
	dd if="$DISKS/d3" of="$T/journal" bs=1M count=$JOURNAL_MB 2>/dev/null &&
		pbftctl journal verify "$T/journal" && rm "$T/journal"
}

# resumes K: made again as of a moment, with what the logged life left
resumes()
{
	cp "$T/first.log" "$DISKS/log3"
	check "moment $1, entry $(moment "$1"): the disk is made again" \
		disk_rebuild 3 -u "$(moment "$1")" -s $((SEED + $1))
	check "moment $1: pbftctl reads its journal" journal_file
	check "moment $1: the disk has a file system" disk_on 3
	link 3 down
	check "moment $1: the replica comes up" replica_on
	check "moment $1: it has forgotten nothing" field_is 3 mute = false
	check "moment $1: it does not miss anything" field_is 3 damaged = false
	link 3 up
	start_daemon 3
	check "moment $1: its log is the others'" agree head 0 1 2 3
	check "moment $1: and so is its state" agree checkpoint_soon 0 1 2 3
	crash 3 KILL
	check "moment $1: its disk is put away" disk_off 3
}

diag "SEED=$SEED"
need_module
need_disks 700
need journal-crash
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
start_on_disk
records "$T/small.rec" 1 "$RECORDS"
records "$T/long.rec" 1 "$RECORDS" 16000
check "records" kv load "$T/small.rec"
check "enough for the journal to begin anew" kv load "$T/long.rec"
check "which it has" field_is 3 compactions -gt 0
check "its log is the others'" agree head 0 1 2 3
crash 3 KILL
check "the disk is put away" disk_off 3
disk-log list "$DISKS/log3" >"$T/entries"
mv "$DISKS/log3" "$T/first.log"
mv "$DISKS/base3" "$T/first.base"
diag "$(wc -l <"$T/entries") entries, $(grep -c flush "$T/entries") of them flushes"

check "at every write the journal is whole, and has what was durable" \
	journal-crash -s "$SEED" -a "${FIRST:-300}" -e "${EVERY:-16}" 0 $((JOURNAL_MB << 20)) "$T/first.log" "$T/first.base"
diag "$(cat "$T/check")"
check "had the disk lied about flushes, that would be seen" refused "journal-crash: power cut" \
	journal-crash -l -s "$SEED" -e 16 0 $((JOURNAL_MB << 20)) "$T/first.log" "$T/first.base"

k=0
while [ $k -lt "$SAMPLES" ]; do
	cp "$T/first.base" "$DISKS/base3"
	resumes $k
	k=$((k + 1))
done
