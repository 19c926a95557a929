#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Disks that fail and disks that are full, below journals and databases: a replica
# stops or waits and says why, the others go on, and with its disk back it resumes.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib-disk.sh
. "$(dirname "$0")/../lib-disk.sh"

DISK_FS=yes

told()
{
	ip netns exec "${NS}3" pbftctl show "$NAME"
	false
}

# stops NAME CLIENT SENTENCE: replica 3 does, under load, and the load does not
stops()
{
	start_load "$1" "$2" 300
	check "$1: stops the replica" wait_field 3 state = stopped
	check "$1: which tells why" refused "$3" told
	check "$1: the others go on" wait_load
	check "$1: every record is there" kv verify "$T/$1.rec"
}

# repaired NAME: the disk is well again; the replica resumes with what is on it
repaired()
{
	umount "$DISKS/m3"
	check "$1: with the disk well again" disk_well 3
	check "$1: and its file system" mount -t ext4 "/dev/mapper/${NS}f3" "$DISKS/m3"
	link 3 down
	check "$1: the replica comes up" up_on_disk 3
	check "$1: it has forgotten nothing" field_is 3 mute = false
	check "$1: and misses nothing" field_is 3 damaged = false
	link 3 up
	start_daemon 3
	agree_suite 0 1 2 3
}

daemon_gone()
{
	gone "$(daemon_pid 3)" && field_is 3 bound = false
}

# lost_daemon NAME CLIENT SENTENCE [BYTES]: the database fails under load, the replica
# does not
lost_daemon()
{
	start_load "$1" "$2" 300 "${4:-}"
	check "$1: ends the daemon" wait_until daemon_gone
	wait "$(daemon_pid 3)"
	check_is "$1: in good order" $? 1
	check "$1: which tells why" grep "$3" "$T/pbftd-$NAME-3.log"
	check "$1: its instance goes on" field_is 3 state = up
	check "$1: so does the load" wait_load
	check "$1: every record is there" kv verify "$T/$1.rec"
}

fill()
{
	dd if=/dev/zero of="$DISKS/m3/filler" bs=64k 2>/dev/null
	dd if=/dev/zero of="$DISKS/m3/crumbs" bs=4k 2>/dev/null
	sync
	! dd if=/dev/zero of="$DISKS/m3/crumb" bs=4k count=1 conv=fsync 2>/dev/null
}

need_module
need_disks 300
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
start_on_disk
check "puts go on" kv put before one

# ---- errors --------------------------------------------------------------------------

disk_dead 3
stops "a dead disk" 100 "the journal failed: "
crash 3 KILL
kernel_setconf 3
check "a dead disk: no replica starts from it" refused "the journal cannot be read" \
	kernel_up 3 --journal "$(journal_of 3)"
in_ns 3 pbftctl del "$NAME"
repaired "a dead disk"

disk_unwritable 3
stops "a disk that cannot be written" 101 "the journal failed: what was written could not be made durable"
crash 3 KILL
repaired "a disk that cannot be written"

# a second each
disk_fault 3 flakey % 0 1 1 1 error_writes
stops "a disk that fails now and then" 102 "the journal failed: "
crash 3 KILL
repaired "a disk that fails now and then"

# A disk that acknowledges and forgets: its replica is believed, and may be wrong.
disk_fault 3 flakey % 0 0 1 1 drop_writes
start_load liar 103 300
check "a disk that lies: nobody notices" wait_load
crash 3 KILL
check "a disk that lies: the power fails" disk_off 3
check "a disk that lies: it is as it was before" disk_on 3
check "a disk that lies: the replica comes up" up_on_disk 3
start_daemon 3
check "a disk that lies: the others are not misled" kv verify "$T/liar.rec"
agree_suite 0 1 2 3

# ---- databases -----------------------------------------------------------------------

# The journal's part is well: only what is behind it fails.
database_fault()
{
	split=$((JOURNAL_MB * SECTORS_MB))
	dmsetup load "${NS}d3" <<-END && dmsetup resume --noflush --nolockfs "${NS}d3"
	0 $split linear $BELOW_3 0
	$split $((FS_MB * SECTORS_MB)) error
	END
}

check "a database's disk dies" database_fault
lost_daemon "a database on a dead disk" 104 "Input/output error"
crash 3 KILL
repaired "a database on a dead disk"

check "a database's disk is filled" fill
# LMDB has an input/output error for a write that is cut short. A few megabytes: what the
# file has of pages no longer in use is filled first.
lost_daemon "a database on a full disk" 105 \
	"cannot .*: \(No space left on device\|Input/output error\)" 16000
rm "$DISKS/m3/filler" "$DISKS/m3/crumbs" "$DISKS/m3/crumb"
start_daemon 3
check "with room again it binds" wait_field 3 bound = true
agree_suite 0 1 2 3

# ---- a journal that does not fit --------------------------------------------------------

crash 3 KILL
mkdir "$T/small"
mount -t tmpfs -o size=4M none "$T/small" || bail "no tmpfs"
kernel_setconf 3
check "a new journal without room is refused" refused "cannot allocate the journal" \
	kernel_up 3 --journal "$T/small/j" --journal-size 16M
check_is "and takes none" "$(stat -c %s "$T/small/j")" 0
mount -o remount,size=20M "$T/small"
link 3 down
check "with room it is made" kernel_up 3 --journal "$T/small/j" --journal-size 16M
check "its replica has forgotten" field_is 3 mute = true
link 3 up
start_daemon 3
start_load last 106 300
check "and gets back to voting" wait_voting 3
check "the load ends without an error" wait_load
agree_suite 0 1 2 3
umount -l "$T/small"
