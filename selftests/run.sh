#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# run.sh [-l] [-t SECONDS] [TEST...]: run the functional tests, all or those named.
#
# Run it as root where the module may be loaded, best in a VM:
#	scripts/vm/vm run --mem 512 -- /selftests/run.sh
# A test fails on "not ok", a plan that is missing or not kept, a skip that
# ALLOW_SKIP (a basic regular expression on the test's lines) does not allow, an
# exit status, a complaint of the kernel, or when it takes longer than -t allows.
# The last line of a good run is "# PASS".

here=$(cd "$(dirname "$0")" && pwd)
tests=$here/kselftest
limit=600
ALLOW_SKIP=${ALLOW_SKIP:-}

usage()
{
	sed -n '3,10s/^# \{0,1\}//p' "$0"
}

list()
{
	for path in "$tests"/*.sh; do
		basename "$path" .sh
	done
}

while getopts hlt: opt; do
	case $opt in
	h) usage; exit 0 ;;
	l) list; exit 0 ;;
	t) limit=$OPTARG ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
# shellcheck disable=SC2046 # one word a test
[ $# -gt 0 ] || set -- $(list)

if [ "$(id -u)" -ne 0 ]; then
	echo "run.sh: needs root in the network namespaces; see scripts/vm" >&2
	exit 2
fi
out=$(mktemp) || exit 1
trap 'rm -f "$out" "$out.status"' EXIT

splat='WARNING:|BUG:|Oops|KASAN|KFENCE|UBSAN|Kernel panic|general protection|nable to handle|INFO: |detected .*stall|possible .*deadlock|suspicious RCU|refcount_t:|list_(add|del) corruption|scheduling while atomic|sleeping function|unregister_netdevice: waiting|memory leak|unreferenced object|ODEBUG:|leaked reference|Call Trace'
# Races that KCSAN sees in the kernel itself, and not in a module.
not_ours='KCSAN: [^[]*$'

seconds()
{
	cut -d . -f 1 /proc/uptime
}

# What the kernel said since this test's mark.
complaints()
{
	dmesg | sed -n "/selftest $$ $1 begins/,\$p" | grep -E "$splat" | grep -v "$not_ours" |
		head -n 20
}

# judge TEST STATUS: why it failed, or nothing
judge()
{
	good=$(grep -c '^ok ' "$out")
	bad=$(grep -c '^not ok ' "$out")
	plan=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$out" | tail -n 1)
	forbidden=$(grep -i '^ok .*# skip\|^1\.\.0 *# skip' "$out" |
		if [ -n "$ALLOW_SKIP" ]; then grep -v -e "$ALLOW_SKIP"; else cat; fi | wc -l)
	if [ "$2" -eq 124 ] || [ "$2" -eq 137 ]; then
		echo "not done after $limit s"
	elif [ -z "$plan" ]; then
		echo "no plan"
	elif [ "$plan" -ne $((good + bad)) ]; then
		echo "$plan tests planned, $((good + bad)) run"
	elif [ "$bad" -ne 0 ]; then
		echo "$bad not ok"
	elif [ "$forbidden" -ne 0 ]; then
		echo "$forbidden skipped"
	elif [ "$2" -ne 0 ]; then
		echo "exit status $2"
	elif [ "$plan" -eq 0 ]; then
		echo "nothing was tested"
	fi
	[ -z "$(complaints "$1")" ] || echo "the kernel complained"
}

passed=0
failed=
total=0
for name; do
	name=$(basename "$name" .sh)
	if [ ! -f "$tests/$name.sh" ]; then
		echo "run.sh: there is no test $name; see run.sh -l" >&2
		failed="$failed $name"
		continue
	fi
	echo "# $name"
	began=$(seconds)
	echo "selftest $$ $name begins" >/dev/kmsg 2>/dev/null
	{ timeout -k 20 "$limit" sh "$tests/$name.sh"; echo $? >"$out.status"; } 2>&1 </dev/null | tee "$out"
	why=$(judge "$name" "$(cat "$out.status")" | tr '\n' ';')
	total=$((total + $(grep -c '^\(not \)\{0,1\}ok ' "$out")))
	complaints "$name" | sed 's/^/# kernel: /'
	if [ -z "$why" ]; then
		passed=$((passed + 1))
		echo "# $name: passed after $(($(seconds) - began)) s"
	else
		failed="$failed $name"
		echo "# $name: FAILED after $(($(seconds) - began)) s: ${why%;}"
	fi
done

echo "# totals: $# tests, $total checks, $passed passed, $(($# - passed)) failed:${failed:- none}"
[ -z "$failed" ] || exit 1
echo "# PASS"
