#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Bits that turn over while nobody looks: anywhere in a journal, in its superblocks, in
# a database, on the way from the disk. What is damaged is recognised, and its replica
# comes back by itself or with what the others have.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib-disk.sh
. "$(dirname "$0")/../lib-disk.sh"

FLIPS=${FLIPS:-40}
BLOCK=4096

# random LIMIT: the next of SEED's
random()
{
	RANDOM_AT=$(((RANDOM_AT * 1103515245 + 12345) % 2147483648))
	RANDOM_IS=$((RANDOM_AT / 8 % $1))
}

records_in()
{
	pbftctl journal dump "$1" 2>/dev/null | grep '^ .* [A-Z]' | sha256sum
}

# Where a frame begins, by its number from the end
frame_from_end()
{
	pbftctl journal dump "$T/whole" | sed -n 's/^ *\([0-9][0-9]*\) [A-Z].*/\1/p' | uniq |
		tail -n "$1" | head -n 1
}

# One bit of a journal at a time. A group of frames that one flush made durable may
# be lost at the end: nothing can tell that from a write that never happened.
flips()
{
	pbftctl journal dump "$T/whole" | grep -q '^ .* [A-Z]' || return 1
	all=$(records_in "$T/whole")
	used=$((2 * BLOCK + $(frame_from_end 1)))
	tail=$((2 * BLOCK + $(frame_from_end 4)))
	seen=0 harmless=0 late=0
	n=0
	while [ $n -lt "$FLIPS" ]; do
		n=$((n + 1))
		random $used
		flip "$T/whole" "$RANDOM_IS"
		if ! pbftctl journal verify "$T/whole" >"$T/flip" 2>&1; then
			grep -q "records that were durable are missing" "$T/flip" || {
				echo "bit at $RANDOM_IS: $(cat "$T/flip")"
				return 1
			}
			seen=$((seen + 1))
		elif [ "$(records_in "$T/whole")" = "$all" ]; then
			harmless=$((harmless + 1))	# between frames, or a superblock's
		elif [ "$RANDOM_IS" -ge $tail ]; then
			late=$((late + 1))
		else
			echo "bit at $RANDOM_IS: unnoticed: $(cat "$T/flip")"
			return 1
		fi
		flip "$T/whole" "$RANDOM_IS"
	done
	echo "$seen recognised, $harmless harmless, $late at the end"
	[ $seen -gt 0 ] && [ "$(records_in "$T/whole")" = "$all" ]
}

# comes_back NAME CLIENT: as one that has forgotten, to voting
comes_back()
{
	link 3 down
	check "$1: its replica comes up" up_on_disk 3
	check "$1: as one that has forgotten" field_is 3 mute = true
	check "$1: show says damaged" field_is 3 damaged = true
	link 3 up
	start_daemon 3
	start_load "load$2" "$2" 300
	check "$1: it gets back to voting" wait_voting 3
	check "$1: the load ends without an error" wait_load
	agree_suite 0 1 2 3
	crash 3
}

refuses_db()
{
	ip netns exec "${NS}3" timeout -k 5 60 pbftd -i "$NAME" --db "$T/$NAME-db3" "$@"
}

# empty_db NAME: the others have the state
empty_db()
{
	rm -rf "$T/$NAME-db3"
	start_daemon 3
	check "$1: an empty database is filled by the others" wait_field 3 bound = true
	check "$1: nothing was forgotten" field_is 3 mute = false
	agree_suite 0 1 2 3
	end "$(daemon_pid 3)"
	check "$1: it is as it should be" pbftd --dump-head --check --db "$T/$NAME-db3"
}

diag "SEED=$SEED"
RANDOM_AT=$((SEED % 2147483648))
need_module
need_disks 200
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
start_on_disk
records "$T/one.rec" 1 300
check "records" kv load "$T/one.rec"
check "and one to look for" kv put needle "straight-needle-in-the-hay"
agree_suite 0 1 2 3

# ---- journals ------------------------------------------------------------------------

crash 3
journal=$(journal_of 3)
disk-log copy "$journal" "$T/whole"
check "$FLIPS bits in turn: none goes unnoticed that matters" flips
diag "$(cat "$T/check")"

flip "$journal" 20
link 3 down
check "a superblock is damaged: the replica comes up" up_on_disk 3
check "from the other one, with all it knew" field_is 3 mute = false
link 3 up
start_daemon 3
check "puts go on" kv put after one
agree_suite 0 1 2 3
crash 3
flip "$journal" $((BLOCK + 20))
comes_back "both superblocks are damaged" 100

# It is the journal begun anew that is damaged now.
at=$((2 * BLOCK + $(disk-log copy "$journal" "$T/whole" && frame_from_end 40)))
flip "$journal" $((at + 200))
comes_back "a frame in the middle is damaged" 101

# One byte of each write, and then none: what follows whole tells that it is not a power
# cut that the journal ends with. An own load, for the journal begun anew is short.
check "again" up_on_disk 3
start_daemon 3
disk_fault 3 flakey % 0 0 1 5 corrupt_bio_byte 60 w 255 0
start_load rotten 102 300
check "what arrives on the disk is not what was written: nobody notices" wait_load
agree_suite 0 1 2 3
disk_well 3
records "$T/later.rec" 1 20
check "what arrives after it is" kv load "$T/later.rec"
agree_suite 0 1 2 3
crash 3
comes_back "what arrived on the disk is not what was written" 103

# ---- databases -----------------------------------------------------------------------

rm -rf "$T/$NAME-db3"
check "a new database" up_on_disk 3
start_daemon 3
agree_suite 0 1 2 3
end "$(daemon_pid 3)"
for at in $(places straight-needle "$T/$NAME-db3/data.mdb"); do
	flip "$T/$NAME-db3/data.mdb" $((at + 3))
done
start_daemon 3
check "a damaged value: the daemon starts" wait_field 3 bound = true
in_ns 1 ip link set eth0 down
check_is "the others outvote it" "$(kv get needle)" "straight-needle-in-the-hay"
in_ns 1 ip link set eth0 up
wait_all wait_active
end "$(daemon_pid 3)"
check "one that checks finds it" refused "a value does not have its digest" refuses_db --check
empty_db "a damaged value"

pages=$(($(stat -c %s "$T/$NAME-db3/data.mdb") / BLOCK))
dd if=/dev/urandom of="$T/$NAME-db3/data.mdb" bs=$BLOCK seek=2 count=$((pages - 2)) conv=notrunc \
	2>/dev/null
check "damaged pages: a daemon that checks finds them" refused "$NAME-db3: " refuses_db --check
empty_db "damaged pages"

dd if=/dev/zero of="$T/$NAME-db3/data.mdb" bs=$BLOCK count=2 conv=notrunc 2>/dev/null
check "its first pages are gone: that is refused" refused "damaged" refuses_db
empty_db "its first pages"
