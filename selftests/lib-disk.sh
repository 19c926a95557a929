# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2153,SC2154 # beside lib.sh
# lib-disk.sh: disks of the tests' replicas, with their faults. Sourced after lib.sh by
# tests that need them.
#
# The disk of replica i is a file in memory behind a loop device. On it are, in order,
#	${NS}l$i	dm-log-writes, if DISK_LOG is set: each write and flush is logged
#	${NS}d$i	linear: what is faulty is faulty here
#	${NS}j$i	linear: its first JOURNAL_MB megabytes, for a journal
#	${NS}f$i	linear: the rest; ext4, mounted at $DISKS/m$i, if DISK_FS is set
# Without DISK_FS the journal has all of it.

JOURNAL_MB=16
FS_MB=48
DISK_LOG=
DISK_FS=
DISKS=$T/disks
TEST_DM=
TEST_LOOPS=
TEST_MOUNTS=
SECTORS_MB=2048			# sectors of a megabyte

# dmsetup makes the nodes: nobody else does in a bare guest.
export DM_DISABLE_UDEV=1

# need_disks MB: memory for them. A test without device-mapper is skipped, and says so.
need_disks()
{
	modprobe -a loop dm-mod dm-flakey dm-log-writes >"$T/check" 2>&1
	if ! dmsetup targets 2>>"$T/check" | grep -q log-writes; then
		diag "$(cat "$T/check")"
		ok 0 "faulty disks # SKIP this kernel has no device-mapper with its log-writes"
		exit 0
	fi
	need losetup mkfs.ext4 disk-log
	mkdir -p "$DISKS"
	mount -t tmpfs -o size="$1M" none "$DISKS" || bail "no tmpfs for disks"
	# ip netns exec copies all mounts: what is unmounted here must go there, too
	mount --make-shared "$DISKS" || bail "mounts cannot be shared"
	trap 'end_all; exit 130' INT TERM HUP
	trap end_all EXIT
}

# The replicas end first: they hold the disks.
end_all()
{
	code=$?
	for ns in $TEST_NETNS; do
		case $ns in
		*[0-9]) ip netns exec "$ns" pbftctl del "$NAME" 2>/dev/null ;;
		esac
	done
	for pid in $TEST_PIDS; do
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	for at in $TEST_MOUNTS; do
		umount "$at" 2>/dev/null
	done
	for dm in $TEST_DM; do
		dmsetup remove --force "$dm" 2>/dev/null
	done
	for loop in $TEST_LOOPS; do
		losetup -d "$loop" 2>/dev/null
	done
	umount "$DISKS"
	(exit $code)
	finish
}

disk_sectors()
{
	echo $(((JOURNAL_MB + ${DISK_FS:+$FS_MB} + 0) * SECTORS_MB))
}

# disk_new I: blank, or with an empty file system in its second part
disk_new()
{
	rm -f "$DISKS/d$1"
	truncate -s $(($(disk_sectors) * 512)) "$DISKS/d$1" || return 1
	[ -z "$DISK_FS" ] || mkfs.ext4 -q -F -b 4096 -I 256 -J size=4 -m 0 \
		-E offset=$((JOURNAL_MB << 20)),lazy_itable_init=0,lazy_journal_init=0 \
		"$DISKS/d$1" "${FS_MB}M"
}

loop_of()	# FILE
{
	LOOP=$(losetup -f --show "$1") || return 1
	TEST_LOOPS="$LOOP $TEST_LOOPS"
}

# dm NAME TABLE
dm()
{
	dmsetup create "$NS$1" --table "$2" || return 1
	TEST_DM="$NS$1 $TEST_DM"
}

# disk_on I: the machine has its disk
disk_on()
{
	sectors=$(disk_sectors)
	loop_of "$DISKS/d$1" || return 1
	below=$LOOP
	if [ -n "$DISK_LOG" ]; then
		disk-log copy "$DISKS/d$1" "$DISKS/base$1" || return 1
		rm -f "$DISKS/log$1"
		truncate -s "${DISK_LOG}M" "$DISKS/log$1" && loop_of "$DISKS/log$1" &&
			dm "l$1" "0 $sectors log-writes $below $LOOP" || return 1
		below=/dev/mapper/${NS}l$1
	fi
	eval "BELOW_$1=$below"
	dm "d$1" "0 $sectors linear $below 0" || return 1
	dm "j$1" "0 $((JOURNAL_MB * SECTORS_MB)) linear /dev/mapper/${NS}d$1 0" || return 1
	[ -n "$DISK_FS" ] || return 0
	dm "f$1" "0 $((FS_MB * SECTORS_MB)) linear /dev/mapper/${NS}d$1 $((JOURNAL_MB * SECTORS_MB))" &&
		mkdir -p "$DISKS/m$1" && mount -t ext4 "/dev/mapper/${NS}f$1" "$DISKS/m$1" || return 1
	TEST_MOUNTS="$DISKS/m$1 $TEST_MOUNTS"
}

journal_of()
{
	echo "/dev/mapper/${NS}j$1"
}

# up_on_disk I [OPTION...]: a replica with its journal on its disk
up_on_disk()
{
	id=$1
	shift
	kernel_setconf "$id" && kernel_up "$id" --journal "$(journal_of "$id")" "$@"
}

# start_on_disk: four replicas, the last one on its disk, with its database if DISK_FS is set
start_on_disk()
{
	KINDS="k k k k"
	check "a disk" disk_new 3
	check "in use" disk_on 3
	if [ -n "$DISK_FS" ]; then
		ln -s "$DISKS/m3/db" "$T/$NAME-db3"
		mkdir "$DISKS/m3/db"
	fi
	for id in 0 1 2; do
		kernel_setconf $id
	done
	for id in 0 1 2; do
		kernel_up $id --genesis
		start_daemon $id
	done
	check "a replica on it" up_on_disk 3 --genesis
	start_daemon 3
	wait_all wait_active
}

# disk_fault I TABLE...: from now on; % stands for what is below. What was on its
# way arrives, nothing is flushed for it.
disk_fault()
{
	id=$1
	shift
	eval "below=\$BELOW_$id"
	dmsetup load "${NS}d$id" --table "$(echo "0 $(disk_sectors) $*" | sed "s,%,$below,")" &&
		dmsetup resume --noflush --nolockfs "${NS}d$id"
}

# All fails; writes only; nothing.
disk_dead()	{ disk_fault "$1" error; }
disk_unwritable() { disk_fault "$1" flakey % 0 0 1 1 error_writes; }
disk_well()	{ disk_fault "$1" linear % 0; }

# disk_off I: no replica uses it any more. Its log is complete then.
disk_off()
{
	if [ -n "$DISK_FS" ]; then
		wait_until umount "$DISKS/m$1" || return 1
	fi
	if dmsetup status "${NS}l$1" 2>/dev/null | grep logging_disabled; then
		echo "the log of disk $1 is full: DISK_LOG is too small"
		return 1
	fi
	for part in f j d l; do
		dmsetup info "$NS$part$1" >/dev/null 2>&1 || continue
		wait_until dmsetup remove "$NS$part$1" || return 1
	done
	losetup -a | sed -n "s,^\([^:]*\):.*$DISKS/\(d\|log\)$1\()\|\$\).*,\1,p" |
		while read -r loop; do
			losetup -d "$loop"
		done
}

# disk_rebuild I OPTION...: of the disk's log, as disk-log rebuild
disk_rebuild()
{
	id=$1
	shift
	disk-log rebuild "$@" "$DISKS/log$id" "$DISKS/base$id" "$DISKS/new$id" &&
		mv "$DISKS/new$id" "$DISKS/d$id"
}

# ---- bits that turn over --------------------------------------------------------------

# flip FILE OFFSET: its lowest bit
flip()
{
	byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
	# shellcheck disable=SC2059 # the byte is the format
	printf "\\$(printf %o $((byte ^ 1)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# places WORD FILE: all of them; a database keeps old copies of its pages for a while
places()
{
	strings -t d "$2" | awk -v word="$1" '{
		from = $1
		sub(/^ *[0-9]+ /, "")
		at = index($0, word)
		if (at)
			print from + at - 1
	}'
}
