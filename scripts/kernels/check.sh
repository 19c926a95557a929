#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh FLAVOUR [TEST...]: the tests on a kernel that complains (see build.sh).
#
# First that it complains: each detector is shown a bug of its own, one per boot.
# Then the functional tests in it, all or those named; nothing may be reported, and
# when the module is gone nothing that it allocated may be left. Prints TAP.
# PLANT=only stops after the first part, PLANT=no leaves it out.

set -u
cd "$(dirname "$0")/../.." || exit 1
flavour=${1:?usage: scripts/kernels/check.sh FLAVOUR [TEST...]}
shift
here=scripts/kernels
B=${B:-build}
count=0 bad=0
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

bail()
{
	echo "Bail out! $*"
	exit 1
}

# What each flavour must find: bug, and a regular expression for the report.
bugs()
{
	local kasan='use-after-free	BUG: KASAN: (slab-)?use-after-free in use_after_free
lock-inversion	WARNING: possible circular locking dependency
rcu-unprotected	WARNING: suspicious RCU usage
refcount-from-zero	refcount_t: addition on 0'
	local leak='leak	not ok .* nothing leaked: [0-9]+ objects'
	local objects='shift-too-far	UBSAN: shift-out-of-bounds in .*plant\.c
free-live-timer	ODEBUG: free active'
	local atomic='sleep-in-atomic	BUG: (sleeping function called from invalid context|scheduling while atomic)'

	case $flavour in
	debug) echo "$kasan"; echo "$objects"; echo "$atomic"; echo "$leak" ;;
	lite) echo "$kasan"; echo "$atomic" ;;
	uml) echo "$kasan"; echo "$objects" ;;
	kcsan) echo 'data-race	BUG: KCSAN: data-race in count_up' ;;
	esac
}

build()
{
	make -s debug-kernel FLAVOUR="$flavour" && make -s debug-modules FLAVOUR="$flavour"
} >"$tmp/build" 2>&1

# The bug must be reported, and the VM's status must say so.
complains()	# BUG REPORT
{
	local cmd="insmod /plant.ko bug=$1" want=120 status
	# Leaks are looked for by us, and the kernel is silent.
	[ "$1" != leak ] || { want=1; cmd="$cmd && rmmod plant && leak-check"; }
	scripts/vm/vm run --kernel "$version" --smp "$cpus" --mem 1024 --timeout 400 \
		--file "$B/kmod/$version/plant/plant.ko:/plant.ko" -- sh -c "$cmd" \
		>"$tmp/out" 2>&1 </dev/null
	status=$?
	[ $status -eq $want ] || echo "exit status $status of the VM, wanted $want"
	grep -qE "$2" "$tmp/out" || echo "no report that matches: $2"
	[ $status -eq $want ] && grep -qE "$2" "$tmp/out"
}

result()	# STATUS NAME
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		bad=1
		echo "not ok $count - $2"
	fi
}

plant()
{
	local bug report
	while IFS=$'\t' read -r bug report <&3; do
		complains "$bug" "$report" >"$tmp/why"
		result $? "$flavour: the kernel complains about $bug" || true
		[ -s "$tmp/why" ] && { cat "$tmp/why"; tail -n 40 "$tmp/out"; } | sed 's/^/# /'
	done 3< <(bugs)
	echo "1..$count"
}

build || { tail -n 20 "$tmp/build" | sed 's/^/# /'; bail "no kernel or module: $flavour"; }
version=$($here/build.sh --version "$flavour") || exit 1
cpus=2
[ "$flavour" != uml ] || cpus=1

[ "${PLANT:-}" = no ] || plant
[ "${PLANT:-}" = only ] && exit $bad
FLAVOUR=$flavour scripts/kselftest.sh "$@" || bad=1
exit $bad
