#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Journals on block devices: which ones will do, each for one replica; a cluster that
# crashes and resumes from them; a userspace replica takes one over.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib-disk.sh
. "$(dirname "$0")/../lib-disk.sh"

# extra NAME SECTORS: another device, of zeroes
extra()
{
	truncate -s $(($2 * 512)) "$DISKS/$1" && loop_of "$DISKS/$1" &&
		dm "$1" "0 $2 linear $LOOP 0"
}

# would_not NAME WHAT SENTENCE: replica 3 is not given this device
would_not()
{
	check "$2 is refused" refused "$3" kernel_up 3 --genesis --journal "/dev/mapper/$NS$1"
}

other_node()
{
	number=$(dmsetup info -c --noheadings -o major,minor "${NS}j0" | tr : ' ')
	# shellcheck disable=SC2086 # two numbers
	mknod "$T/node" b $number
}

need_module
need_disks 400
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
KINDS="k k k k"
# replica 2's is longer by less than a block
for id in 0 1 2 3; do
	disk_new $id
	[ $id -ne 2 ] || truncate -s $((JOURNAL_MB * 1048576 + 1536)) "$DISKS/d2"
	check "disk $id" disk_on $id
done

kernel_setconf 3
check "a small device" extra small $((8 * SECTORS_MB))
would_not small "a device of 8 MB" "the journal is too small"
check "a device with a file system" extra fs $((20 * SECTORS_MB))
mkfs.ext4 -q -F "/dev/mapper/${NS}fs" 2>"$T/check"
would_not fs "a device with a file system" "something else than a journal is stored here"
check "which is as it was" sh -c "mkdir $T/fs && mount -t ext4 /dev/mapper/${NS}fs $T/fs && umount $T/fs"
check "a blank device" extra blank $((20 * SECTORS_MB))
check "and a way to it that is read only" dmsetup create "${NS}ro" --readonly \
	--table "0 $((20 * SECTORS_MB)) linear /dev/mapper/${NS}blank 0"
TEST_DM="${NS}ro $TEST_DM"
# some kernels open it and refuse the write
would_not ro "a device that is read only" "journal"
in_ns 3 pbftctl del "$NAME"

for id in 0 1 2; do
	check "replica $id begins on a device" up_on_disk $id --genesis
done
kernel_setconf 3
check "a device in use is refused" refused "another replica uses this journal" \
	kernel_up 3 --journal "$(journal_of 0)"
check "another node of a device in use" other_node
check "is refused, too" refused "another instance has its journal in this file or device" \
	kernel_up 3 --journal "$T/node"
check "a device in use stays" refused "busy" dmsetup remove "${NS}j0"
check "replica 3 begins on its own" kernel_up 3 --journal "$(journal_of 3)" --genesis
for_kind k start_daemon
wait_all wait_active
check_is "show states the mode" "$(field 3 mode)" sync
check "records before" kv put before one

start_load one 100 400
check "a load is under way" wait_until acked_reach one 60
for_kind k crash
check "all four crash in mid-load, and resume from their devices" for_kind k up_on_disk
for id in 0 1 2 3; do
	check "replica $id has forgotten nothing" field_is $id mute = false
	check "replica $id misses nothing" field_is $id damaged = false
done
for_kind k start_daemon
wait_all wait_active
check "the load goes on and ends without an error" wait_load
check "every acknowledged record is there" kv verify "$T/one.rec"
check_is "and what was there before" "$(kv get before)" one
agree_suite 0 1 2 3

records "$T/long.rec" 1 540 16000
check "8.6 MB of records" kv load "$T/long.rec"
check "make journals begin anew" field_is 2 compactions -gt 0
for_kind k crash
check "pbftctl reads one" pbftctl journal verify "$(journal_of 2)"
check "another replica's is refused" refused "the journal of another replica" \
	sh -c "ip netns exec ${NS}3 pbftctl setconf $NAME $CONF --key $KEYS/replica-3.key &&
		ip netns exec ${NS}3 pbftctl up $NAME --journal $(journal_of 2)"
in_ns 3 pbftctl del "$NAME"
KINDS="k k k u"
for id in 0 1 2; do
	check "replica $id resumes" up_on_disk $id
	start_daemon $id
done
start_user 3 --journal "$(journal_of 3)"
check "a userspace replica takes over the device of replica 3" wait_field 3 mute = false
check "it is active" wait_active 3
check "every record is there" kv verify "$T/long.rec"
agree_suite 0 1 2 3
end "$(daemon_pid 3)"
KINDS="k k k k"
link 3 down
check "and gives it back" up_on_disk 3
check "nothing is forgotten" field_is 3 mute = false
link 3 up
start_daemon 3
check "puts go on" kv put after two
agree_suite 0 1 2 3

crash 3
check "a device that lost its end" dmsetup remove "${NS}j3"
dmsetup create "${NS}j3" --table "0 $((JOURNAL_MB * SECTORS_MB - 8)) linear /dev/mapper/${NS}d3 0"
check "is recognised" refused "it has been cut off" pbftctl journal verify "$(journal_of 3)"
