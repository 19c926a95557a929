#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests of the VM runner itself. Prints TAP. Takes about a minute with TCG.

here=$(cd "$(dirname "$0")" && pwd)
# Our own cluster, and a mark by which to know our processes among others.
export VM_CLUSTER=test-$$ VM_TEST_MARK=mark-$$
tmp=$(mktemp -d)
clusters=${VM_DIR:-$here/../../build/vm}/cluster
count=0 failed=0

finish()
{
	"$here/vm" down
	rm -rf "$tmp" "${clusters:?}/$VM_CLUSTER" "${clusters:?}/$VM_CLUSTER.lock"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

vm()
{
	timeout -k 10 240 "$here/vm" "$@"
}

ok()	# ok NAME CMD...: a test point, passed if CMD succeeds
{
	local name=$1
	shift
	count=$((count + 1))
	if "$@" > "$tmp/log" 2>&1; then
		echo "ok $count - $name"
	else
		failed=$((failed + 1))
		echo "not ok $count - $name"
		sed 's/^/# /' "$tmp/log"
	fi
}

status()	# status N CMD...: CMD must exit with N
{
	local want=$1 got
	shift
	"$@"
	got=$?
	echo "exit status $got, want $want"
	[ $got -eq "$want" ]
}

output()	# output TEXT CMD...: standard output must be TEXT, status 0
{
	local want=$1 got
	shift
	got=$("$@") || return 1
	echo "output '$got', want '$want'"
	[ "$got" = "$want" ]
}

fails()
{
	! "$@"
}

ours()	# pids of QEMU, switch and supervisor processes that we caused
{
	local pid comm
	grep -lsz "^VM_TEST_MARK=$VM_TEST_MARK\$" /proc/[0-9]*/environ | cut -d/ -f3 |
	while read -r pid; do
		read -r comm < "/proc/$pid/comm" || continue
		case $comm in
		qemu* | switch | python* | vm) echo "$pid" ;;
		esac
	done 2>/dev/null
}

none_left()
{
	local tries=10
	until [ -z "$(ours)" ]; do
		if [ $((tries--)) -eq 0 ]; then
			echo "left behind: $(ours)"
			return 1
		fi
		sleep 0.2
	done
}

killed_runner()
{
	"$here/vm" run --timeout 60 -- sleep 60 &
	local pid=$! tries=100
	until [ "$(ours | wc -l)" -ge 2 ] || [ $((tries--)) -eq 0 ]; do
		sleep 0.1
	done
	[ "$(ours | wc -l)" -ge 2 ] || return 1
	kill -KILL $pid
	wait $pid
	none_left
}

repeats()
{
	local i before=none
	# A build that ends in between changes the guest's file system: start over.
	while [ "$before" != "$(stat -c %Y:%s "${clusters%/*}"/initramfs/*.cpio)" ]; do
		before=$(stat -c %Y:%s "${clusters%/*}"/initramfs/*.cpio)
		for i in 1 2; do
			vm run --icount -- sh -c 'dmesg; cat /proc/uptime; date' > "$tmp/icount.$i" ||
				return 1
		done
	done
	[ "$(wc -l < "$tmp/icount.1")" -gt 100 ] && cmp "$tmp/icount.1" "$tmp/icount.2"
}

at_once()	# several commands in one guest, each with its own output and status
{
	local i pids=()
	for i in 1 2 3 4 5; do
		status "$i" vm exec r0 -n -- sh -c "sleep 1; echo $i; exit $i" > "$tmp/at.$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || return 1
	done
	[ "$(head -qn1 "$tmp"/at.? | tr -d '\n')" = 12345 ]
}

round_trip()
{
	head -c 2000000 /dev/urandom > "$tmp/big"
	vm push r0 "$tmp/big" /root/big && vm pull r0 /root/big "$tmp/back" &&
		cmp "$tmp/big" "$tmp/back"
}

piped()
{
	echo word | vm exec r1 -- tr a-z A-Z
}

becomes()	# becomes SECONDS CMD...: CMD succeeds within SECONDS, tried again and again
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 1
	done
}

ping_from()	# ping_from NAME ARGS...
{
	local name=$1
	shift
	vm exec "$name" -n -- ping -c 1 -W 2 "$@"
}

lifetime_ends()
{
	VM_CLUSTER=$VM_CLUSTER.b vm up 1 --lifetime 8 --timeout 8
	sleep 8
	none_left
	local left=$?
	rm -rf "${clusters:?}/$VM_CLUSTER.b" "${clusters:?}/$VM_CLUSTER.b.lock"
	return $left
}

echo "TAP version 13"

ok "run: output" output "a  b" vm run -- echo "a  b"
ok "run: nonzero status" status 7 vm run -- sh -c 'exit 7'
ok "run: status of a command that is not there" status 127 vm run -- nonesuch
echo content > "$tmp/file"
ok "run: a file taken along" output content vm run --file "$tmp/file:/etc/x/file" -- cat /etc/x/file
ok "run: two vCPUs" output 2 vm run --smp 2 -- nproc
ok "run: timeout" status 124 vm run --timeout 4 -- sleep 100
ok "run: timeout leaves no process" none_left
ok "run: a kernel complaint fails" status 120 vm run -- \
	sh -c 'echo "WARNING: planted" > /dev/kmsg'
ok "run: unless allowed" status 3 vm run --allow-splat -- \
	sh -c 'echo "WARNING: planted" > /dev/kmsg; exit 3'
ok "run: the same text in the command's output is no complaint" status 0 vm run -- \
	echo "WARNING: mine"
ok "run: panic" status 121 vm run -- sh -c 'echo c > /proc/sysrq-trigger'
ok "run: power-off is no success" status 121 vm run -- poweroff -f
ok "run: a killed runner leaves no process" killed_runner
ok "run: --icount repeats to the byte" repeats

ok "up: two replicas and a client" vm up 2 --client 1
ok "up: again is refused" status 125 vm up 2
ok "exec: guests reach each other" ping_from r0 r1
ok "exec: over IPv6, and the client" ping_from c0 fd00::2
ok "exec: status" status 9 vm exec r0 -n -- sh -c 'exit 9'
ok "exec: standard input" output WORD piped
ok "exec: many at once" at_once
ok "exec: timeout" status 124 vm exec r0 -n --timeout 1 -- sleep 100
ok "exec: timeout ends the command" fails vm exec r0 -n -- pidof sleep
ok "push and pull" round_trip
vm net partition r0 r1,c0
ok "net: partition" fails ping_from r0 r1
vm net heal
ok "net: heal" becomes 60 ping_from r0 r1
ok "disk: written" vm exec r1 -n -- sh -c 'echo kept > /var/lib/pbft/x; sync'
ok "kill" vm kill r1
ok "kill: it is off" status 121 vm exec r1 -n -- true
ok "start" vm start r1
ok "start: the disk is as it was" output kept vm exec r1 -n -- cat /var/lib/pbft/x
ok "splats: none" vm splats
vm exec c0 -n -- sh -c 'echo "BUG: planted" > /dev/kmsg'
ok "splats: found" status 120 vm splats
ok "down" vm down
ok "down: no process left" none_left
ok "up: ends by itself after its lifetime" lifetime_ends

echo "1..$count"
[ $failed -eq 0 ]
