#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The power fails everywhere in mid-load: at one moment no disk takes anything any more,
# then module and daemons are gone. Four machines in one, each with its disk, which has
# journal and database. They start again from disks as a power cut may leave them, in
# turns: with all that was written; without what no flush covers; with each such
# sector there or not by chance. Nothing acknowledged is lost, and all have one log.
#
# LOOPS is how often; `make blackouts` has 50.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib-disk.sh
. "$(dirname "$0")/../lib-disk.sh"

LOOPS=${LOOPS:-3}
DISK_LOG=200
DISK_FS=yes
RECORDS=4000
LOST=0
DIFFER=0

# Half of the journals are devices, the others files beside the database.
place_of()
{
	case $1 in
	[02]) journal_of "$1" ;;
	*) echo "$DISKS/m$1/journal" ;;
	esac
}

up()	# I [OPTION...]
{
	id=$1
	shift
	kernel_setconf "$id" && kernel_up "$id" --journal "$(place_of "$id")" \
		--journal-size 16M "$@"
}

up_alone()
{
	link "$1" down && up "$1"
}

plug()
{
	link "$1" up
}

# Both ways to make a database durable.
daemon_on()
{
	mode=checkpoint
	[ "$1" -lt 2 ] || mode=always
	mkdir -p "$DISKS/m$1/db"
	background "pbftd-$NAME-$1" ip netns exec "$NS$1" pbftd -i "$NAME" \
		--db "$DISKS/m$1/db" --sync $mode --check
	eval "DAEMON_$1=$PID"
}

# The moment: what is in memory or on its way is too late. What a disk has not taken
# it has not acknowledged: it fails, and does not lie.
power_off()
{
	for i in 0 1 2 3; do
		dmsetup load "${NS}d$i" --table "0 $(disk_sectors) error" || return 1
	done
	for i in 0 1 2 3; do
		dmsetup resume --noflush --nolockfs "${NS}d$i" || return 1
	done
	rmmod pbft || return 1
	for i in 0 1 2 3; do
		end "$(daemon_pid $i)" KILL
	done
}

# power_on K: the disks as they may be now
power_on()
{
	for i in 0 1 2 3; do
		disk_off $i || return 1
		case $(($1 % 3)) in
		0) disk_rebuild $i -n ;;
		1) disk_rebuild $i -s $((SEED + 4 * $1 + i)) ;;
		2) rm "$DISKS/base$i" "$DISKS/log$i" ;;
		esac || return 1
	done
	for i in 0 1 2 3; do
		disk_on $i || return 1
	done
	need_module
}

how()
{
	case $(($1 % 3)) in
	0) echo "without what was not flushed" ;;
	1) echo "with some of what was not flushed" ;;
	2) echo "with all that was written" ;;
	esac
}

not_mute()
{
	for i in 0 1 2 3; do
		field_is $i mute = false && field_is $i damaged = false && continue
		echo "replica $i: $(fields $i mute damaged torn replayed)"
		return 1
	done
}

# read_back K: what had been acknowledged when the power failed
read_back()
{
	kv_as 108 verify --acked "$T/acked" "$T/load$1.rec" >"$T/lost" 2>&1 && return
	lost=$(grep -c 'missing:\|differs:' "$T/lost")
	[ "$lost" -gt 0 ] || lost=1
	LOST=$((LOST + lost))
	cat "$T/lost"
	return 1
}

heads()
{
	agree head 0 1 2 3 && agree checkpoint_soon 0 1 2 3 && return
	DIFFER=$((DIFFER + 1))
	return 1
}

blackout()
{
	start_load "load$1" $((100 + $1 % 8)) "$RECORDS"
	at=$((20 + (SEED / 7 + 37 * $1) % 200))
	check "$1: a load is under way" wait_until acked_reach "load$1" $at
	check "$1: the power fails everywhere" power_off
	cp "$T/load$1.acked" "$T/acked"
	cut=$(wc -l <"$T/acked")
	[ "$cut" -lt "$RECORDS" ]
	ok $? "$1: in the middle of it, after $cut records"
	check "$1: disks are back $(how "$1")" power_on "$1"
	for_kind k up_alone
	check "$1: nobody has forgotten anything" not_mute
	for_kind k plug
	for_kind k daemon_on
	check "$1: what was acknowledged is there" read_back "$1"
	check "$1: the load goes on to its end" wait_load
	check "$1: and all of it is there" kv_as 109 verify "$T/load$1.rec"
	check "$1: all have the same log and state" heads
	rm "$T/load$1.rec" "$T/load$1.acked"
	diag "$((k + 1)) of $LOOPS loops, $LOST lost, $DIFFER heads differ"
}

diag "SEED=$SEED"
need_module
need_disks 1000
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
KINDS="k k k k"
for_kind k disk_new
for_kind k disk_on
for_kind k up --genesis
for_kind k daemon_on
wait_all wait_active
k=0
while [ $k -lt "$LOOPS" ]; do
	blackout $k
	k=$((k + 1))
done
check "not one of them had to be made anew" not_mute
