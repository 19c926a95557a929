#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Does each scenario fail when the rule it guards is broken? A line
# "# breaks with: NAME..." in it names mutants (selftests/mutants); for each the
# runner is linked with that one bug, and the scenario must tell another story:
# by its transcript, not by a crash. The unbroken core must pass first.
#
# usage: prove.sh [SCENARIO...]		TAP

cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
n=0
failed=0

result() {
	n=$((n + 1))
	case $1 in not*) failed=$((failed + 1));; esac
	echo "$1 $n - $2"
}

why() {
	sed 's/^/# /' | tail -n 8
}

# FILE NAME: the scenario with this mutant
prove() {
	exe=$B/prove/$2/pbft-scenario
	if ! log=$(make -s B="$B" "$exe" 2>&1); then
		result "not ok" "$1 breaks with $2: the mutant cannot be built"
		echo "$log" | why
		return
	fi
	out=$(timeout 120 "$exe" "$1" 2>&1)
	rc=$?
	rm -rf "${B:?}/prove/$2"
	if [ $rc -eq 1 ] && echo "$out" | grep -q '^# happened:'; then
		result ok "$1 breaks with $2, $(echo "$out" | grep -m 1 '^# after: ' |
						sed 's/^# //; s/#//g')"
	else
		result "not ok" "$1 breaks with $2: it ends with $rc, as if nothing were wrong"
		echo "$out" | why
	fi
}

[ $# -gt 0 ] || set -- selftests/scenarios/*.txt
make -s B="$B" "$B/bin/pbft-scenario" || exit 1
without=
for file; do
	if ! out=$(timeout 120 "$B/bin/pbft-scenario" "$file" 2>&1); then
		result "not ok" "$file with the core as it is"
		echo "$out" | why
		continue
	fi
	mutants=$(sed -n 's/^# breaks with: //p' "$file")
	[ -n "$mutants" ] || without="$without ${file##*/}"
	for name in $mutants; do
		prove "$file" "$name"
	done
done
[ -z "$without" ] || echo "# guards no rule of its own:$without"
echo "1..$n"
[ $failed -eq 0 ]
