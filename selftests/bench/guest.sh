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
BENCH_TIME="--seconds 1 --warmup 0.3"
NOREP_TIME="0.3 1"
PIN=
DELAY=
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
	make_conf $N Heartbeat=600s StatusInterval=2s Timeout=30s
	case $1 in
	k) each kernel_null "$2"; each kernel_first ;;
	d) each kernel_setconf; each kernel_first; each null_daemon "$2" ;;
	l) each kernel_setconf; each kernel_first; each store_daemon ;;
	u) each user_null "$2"; each user_waits ;;
	v) each user_store; each user_waits ;;
	esac
	case $1 in
	[kdl]) KINDS=kernel; each wait_kernel_active ;;
	esac
}

wait_kernel_active()	{ wait_kernel "$1" --active; }

# ---- measurements -----------------------------------------------------------------

# load CLUSTER WORKLOAD CLIENTS: pbft-bench, once
load()
{
	ip netns exec "${NS}c" $ON_CLIENTS pbft-bench -c "$T/$1.conf" --keys "$T/$1.keys" \
		--clients 100-$((99 + $3)) -w "$2" -t "$DEADLINE" $BENCH_TIME \
		--json "$T/json" >"$T/check" 2>&1 || {
		diag "$(cat "$T/check")"
		bail "pbft-bench on $1, $2, $3 clients"
	}
	say "load $1 $2 $3 $(tr -d '\n' <"$T/json")"
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
	floor 0 "mac $1 $2"
	say "mac $1 $(cat "$T/floor")"
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
	say "usermac 128 $(bench-mac 128 $MACS)"
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
		for app in k0:0/0 u0:0/0 $APPLICATIONS; do
			load "${app%%:*}" "${app#*:}" "$clients"
		done
	done
}

need pbftctl pbftd pbft-bench bench-norep bench-mac
need_module
insmod /bench/pbft_floor.ko || bail "pbft_floor.ko cannot be loaded"

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
services
for name in $CLUSTERS; do
	cluster "${name%%[0-9]*}" "${name#?}"
	say "cluster $name after $(now) ms"
done
for part in $plan; do
	case $part in
	latency) rounds "$ROUNDS" latency ;;
	throughput) rounds "$ROUNDS" throughput ;;
	trace) trace k0 "$TRACE_OPS" ;;
	*) bail "no such part: $part" ;;
	esac
done
ok 0 "measured"
