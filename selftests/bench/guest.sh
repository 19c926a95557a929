#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# guest.sh COMMAND...: the part of `make bench` that runs in a VM. Makes clusters in
# network namespaces, beside each other, and measures them in turns. Prints one line
# "BENCH NAME JSON" or "BENCH NAME NUMBERS" for each measurement.
#
# A cluster is named by its kind and the size of its replies:
#	k	kernel replicas, the null service inside
#	d	kernel replicas, each with a null daemon
#	l	kernel replicas, each with pbftd on LMDB
#	u	userspace replicas, the null service
#	v	userspace replicas on LMDB
#	a s	as k, with a journal in mode async, sync, on a device in memory
#	A S	the same where every flush of the device takes FLUSH_MS
# Beside them are unreplicated services: nk0 nk4096 in the kernel, nu0 nu4096.
#
# With two CPUs (PIN=1) all replicas share the second one, softirqs included, and the
# clients have the first: what arrives while a batch is agreed upon can wait, as it
# does on machines that have only one replica. With one CPU a kernel replica runs
# inside the client's system call, and no second request comes before the first is done,
# unless the network takes time (DELAY, as tc has it).
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2086 # for lib.sh; lists of words
. "$(dirname "$0")/../lib.sh"

CLIENTS=100-355
APPLICATIONS=
FLOOR=/proc/net/pbft_floor
NOREP_PORT=9000
N=4
NEXT_PORT=7000
SET=
MAC=siphash128
BENCH_TIME="--seconds 1 --warmup 0.3"
NOREP_TIME="0.3 1"
PIN=
DELAY=
FLUSH_MS=1
ON_CLIENTS=
ON_REPLICAS=

say()
{
	echo "BENCH $*"
}

# ---- clusters -------------------------------------------------------------------

# with_cluster NAME COMMAND...
with_cluster()
{
	NAME=$1
	CONF=$T/$NAME.conf
	KEYS=$T/$NAME.keys
	shift
	"$@"
}

# delay SUFFIX: what a namespace sends takes $DELAY, as between machines
delay()
{
	[ -z "$DELAY" ] || in_ns "$1" tc qdisc add dev eth0 root netem delay "$DELAY" \
		limit 100000 || bail "packets of $1 cannot be delayed"
}

# steer SUFFIX MASK: a namespace's packets to a CPU
steer()
{
	[ -z "$PIN" ] || in_ns "$1" sh -c "echo $2 >/sys/class/net/eth0/queues/rx-0/rps_cpus" ||
		bail "packets of $1 cannot be steered"
}

start_daemon_of()	# I OPTION...
{
	id=$1
	shift
	background "pbftd-$NAME-$id" ip netns exec "$NS$id" $ON_REPLICAS pbftd -i "$NAME" "$@"
	eval "DAEMON_OF_$id=$PID"
}

start_user_of()		# I OPTION...
{
	id=$1
	shift
	background "pbftd-$NAME-$id" ip netns exec "$NS$id" $ON_REPLICAS pbftd --userspace --genesis \
		-c "$CONF" -k "$KEYS/replica-$id.key" --self "$id" \
		--status "$T/$NAME-status$id" "$@"
}

user_is_up()
{
	[ -s "$T/$NAME-status$1" ]
}

# each COMMAND: for every replica
each()
{
	i=0
	while [ $i -lt $N ]; do
		"$@" $i || bail "$NAME: $* $i failed"
		i=$((i + 1))
	done
}

kernel_null()	{ kernel_setconf "$2" --service null --null-reply "$1"; }
# device I: a new one for a journal, in memory, with slow flushes if the cluster has them
device()
{
	truncate -s 16M "$T/$NAME-device$1" && DEVICE=$(losetup -f --show "$T/$NAME-device$1") ||
		return 1
	case $NAME in
	[AS]*) ;;
	*) return 0 ;;
	esac
	at="$DEVICE 0"
	DEVICE=/dev/mapper/$NAME-$1
	DM_DISABLE_UDEV=1 dmsetup create "$NAME-$1" \
		--table "0 $((16 << 11)) delay $at 0 $at 0 $at $FLUSH_MS"
}

journal_first()		# MODE I
{
	device "$2" && kernel_up "$2" --genesis --journal "$DEVICE" --journal-mode "$1"
}

kernel_first()	{ kernel_up "$1" --genesis; }
null_daemon()	{ start_daemon_of "$2" --service null --null-reply "$1"; }
store_daemon()	{ start_daemon_of "$1" --db "$T/$NAME-db$1"; }
user_null()	{ start_user_of "$2" --service null --null-reply "$1"; }
user_store()	{ start_user_of "$1" --db "$T/$NAME-db$1"; }
user_waits()	{ wait_until user_is_up "$1"; }

# cluster KIND REPLY: by the name KINDREPLY
cluster()
{
	NAME=$1$2
	PORT=$NEXT_PORT
	NEXT_PORT=$((NEXT_PORT + 1))
	make_conf $N "Mac=$MAC" Heartbeat=600s StatusInterval=2s Timeout=30s $SET
	case $1 in
	k) each kernel_null "$2"; each kernel_first ;;
	d) each kernel_setconf; each kernel_first; each null_daemon "$2" ;;
	l) each kernel_setconf; each kernel_first; each store_daemon ;;
	[aA]) each kernel_null "$2"; each journal_first async ;;
	[sS]) each kernel_null "$2"; each journal_first sync ;;
	u) each user_null "$2"; each user_waits ;;
	v) each user_store; each user_waits ;;
	esac
	case $1 in
	[kdlasAS]) KINDS=kernel; each wait_kernel_active ;;
	esac
}

wait_kernel_active()	{ wait_kernel "$1" --active; }

# ---- measurements -----------------------------------------------------------------

# load CLUSTER WORKLOAD CLIENTS [NAME]: pbft-bench, once; told under another name
load()
{
	ip netns exec "${NS}c" $ON_CLIENTS pbft-bench -c "$T/$1.conf" --keys "$T/$1.keys" \
		--clients 100-$((99 + $3)) -w "$2" -t "$DEADLINE" $BENCH_TIME \
		--json "$T/json" >"$T/check" 2>&1 || {
		diag "$(cat "$T/check")"
		bail "pbft-bench on $1, $2, $3 clients"
	}
	say "load ${4:-$1} $2 $3 $(tr -d '\n' <"$T/json")"
}

# norep NAME REQUEST CLIENTS: the same on an unreplicated service
norep()
{
	case $1 in
	nk0) at="$(address 0) $NOREP_PORT" ;;
	nk4096) at="$(address 1) $NOREP_PORT" ;;
	nu0) at="$(address 0) $((NOREP_PORT + 1))" ;;
	nu4096) at="$(address 1) $((NOREP_PORT + 1))" ;;
	esac
	ip netns exec "${NS}c" $ON_CLIENTS bench-norep load $at "$2" "$3" $NOREP_TIME >"$T/json" ||
		bail "bench-norep on $1"
	say "load $1 $2/${1#n?} $3 $(cat "$T/json")"
}

# floor I COMMAND: pbft_floor.ko in namespace I; its result
floor()
{
	ip netns exec "$NS$1" sh -c "echo '$2' >$FLOOR 2>/dev/null; cat $FLOOR" >"$T/floor"
	case $(cat "$T/floor") in
	[0-9]*) ;;
	*) bail "$2: $(cat "$T/floor")" ;;
	esac
}

# bounce SIZE HOPS; mac SIZE COUNT
bounce()
{
	floor 0 "bounce $(address 1) $NOREP_PORT $2 $1"
	say "bounce $1 $(cat "$T/floor")"
}

mac()
{
	floor 0 "mac $MAC $1 $2"
	say "mac $1 $(cat "$T/floor")"
	say "usermac $1 $(bench-mac "$MAC" "$1" "$2")"
}

services()
{
	floor 0 "open $(address 0) $NOREP_PORT 0"
	floor 1 "open $(address 1) $NOREP_PORT 4096"
	background norep-0 ip netns exec "${NS}0" $ON_REPLICAS bench-norep serve "$(address 0)" \
		$((NOREP_PORT + 1)) 0
	background norep-1 ip netns exec "${NS}1" $ON_REPLICAS bench-norep serve "$(address 1)" \
		$((NOREP_PORT + 1)) 4096
}

# trace CLUSTER OPS: every message of OPS operations of one client
trace()
{
	t=/sys/kernel/tracing
	echo 16384 >$t/buffer_size_kb
	echo mono >$t/trace_clock
	echo >$t/trace
	echo 1 >$t/events/pbft/enable
	BENCH_TIME="-n $2 --warmup 0.05"
	say "round 0 0"		# tracing has its price: not to be compared
	load "$1" 0/0 1
	echo 0 >$t/events/pbft/enable
	sed -n 's/^.* \([0-9]*\.[0-9]*\): \(pbft_[a-z_]*\): \(.*\)$/BENCH trace \1 \2 \3/p' $t/trace
	echo >$t/trace
}

# ---- state transfer --------------------------------------------------------------------

# A file of $1 bytes from namespace 0 to namespace 3 by TCP, onto the disk; ms
plain_copy()
{
	head -c "$1" /dev/urandom >"$T/plain"
	background copied ip netns exec "${NS}3" sh -c "nc -l -p 9998 >$T/arrived && sync"
	copied=$PID
	wait_until listens || bail "nc does not listen"
	began=$(now)
	# nc would end when the other side's standard input does
	in_ns 0 bash -c "cat $T/plain >/dev/tcp/$(address 3)/9998" || bail "the copy failed"
	wait_until gone "$copied"
	COPY_MS=$(($(now) - began))
	cmp -s "$T/plain" "$T/arrived" || bail "the plain copy differs"
}

listens()
{
	in_ns 3 ss -ltn | grep -q ':9998 '
}

# The instance may say so before it has noticed what its daemon lacks: ask the database.
caught_up()
{
	seq=$(pbftd --dump-head --db "$T/$NAME-db3" 2>/dev/null | sed -n 's/^seq //p')
	[ "${seq:-0}" -ge "$TARGET" ]
}

# Replica 3 begins with an empty database; what it gets is timed.
transfer_begins()
{
	end "$DAEMON3"
	rm -rf "$T/$NAME-db3"
	TARGET=$(field 0 checkpoint)
	store_daemon 3
	DAEMON3=$PID
	BEGAN=$(now)
}

# Once alone, once while a client puts; the same client before.
transfer()
{
	transfer_begins
	wait_until caught_up || bail "replica 3 does not catch up"
	alone=$(($(now) - BEGAN))
	plain_copy "$STATE_BYTES"
	say "transfer $STATE_BYTES $alone $COPY_MS"
	load l0 put 1 quiet
	transfer_begins
	caught_up && bail "the transfer was over before a client could begin"
	until caught_up; do
		load l0 put 1 busy
	done
}

fill()
{
	with_cluster l0 true
	KINDS="k k k k"
	value=$(head -c 4000 /dev/zero | tr '\0' x)
	seq 1 "$STATE_RECORDS" | sed "s/.*/state-&	&$value/" >"$T/fill"
	kv -t "$DEADLINE" load "$T/fill" || bail "the state could not be made"
	STATE_BYTES=$(wc -c <"$T/fill")
	rm "$T/fill"
}

# ---- the whole ------------------------------------------------------------------------

rounds()	# COUNT COMMAND...: in turns
{
	count=$1
	shift
	round=0
	while [ $round -lt $count ]; do
		round=$((round + 1))
		say "round $round $count"
		"$@"
	done
}

# One client: kernel and userspace replicas, what they stand on, and applications.
latency()
{
	bounce 128 $HOPS
	mac 128 $MACS
	for work in 0/0 0/4096 4096/0; do
		load "k${work#*/}" "$work" 1
		load "u${work#*/}" "$work" 1
		norep "nk${work#*/}" "${work%/*}" 1
		norep "nu${work#*/}" "${work%/*}" 1
	done
	for app in $APPLICATIONS; do
		load "${app%%:*}" "${app#*:}" 1
	done
}

throughput()
{
	for clients in $THROUGHPUT_CLIENTS; do
		for app in ${THROUGHPUT_KINDS:-k0:0/0 u0:0/0} $APPLICATIONS; do
			load "${app%%:*}" "${app#*:}" "$clients"
		done
	done
}

need pbftctl pbftd pbft-bench bench-norep bench-mac
need_module
modprobe -a loop dm-delay || bail "no devices for journals"

plan=$1
shift
for setting; do
	eval "${setting%%=*}=\${setting#*=}"
done
# busybox's taskset would take its own ip for a command
if [ -n "$PIN" ]; then
	ON_CLIENTS="taskset 1"
	ON_REPLICAS="taskset 2"
fi
make_net $N
n=0
while [ $n -lt $N ]; do
	steer $n 2
	n=$((n + 1))
done
steer c 1
n=0
while [ $n -lt $N ]; do
	delay $n
	n=$((n + 1))
done
delay c
case $plan in
*latency*)
	insmod /bench/pbft_floor.ko || bail "pbft_floor.ko cannot be loaded"
	services
	;;
esac
for name in $CLUSTERS; do
	cluster "${name%%[0-9]*}" "${name#?}"
	say "cluster $name after $(now) ms"
done
for part in $plan; do
	case $part in
	latency) rounds "$ROUNDS" latency ;;
	throughput) rounds "$ROUNDS" throughput ;;
	trace) trace k0 "$TRACE_OPS" ;;
	transfer)
		eval "DAEMON3=\$DAEMON_OF_3"
		fill
		rounds "$ROUNDS" transfer
		;;
	*) bail "no such part: $part" ;;
	esac
done
ok 0 "measured"
