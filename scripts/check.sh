#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tests: build without warnings, static checkers, unit tests, scenarios,
# simulator, fuzzers, proofs, the model, what all that reaches of the core, the
# instructions of its hot path, the kselftests in a VM, some of them on the newest kernel there is, the module installed
# as people do it, the demo in short. Each step's output goes to
# build/check/STEP.log; TAP lines in it are counted, any other step counts as one
# test. Ends with "N passed, N failed, N skipped".
#
# usage: scripts/check.sh [STEP...]	(default: all, in order)
set -u
cd "$(dirname "$0")/.." || exit 1

B=${B:-build}
LOG=$B/check
passed=0 failed=0 skipped=0
mkdir -p "$LOG"

say() { printf '%s\n' "$*"; }

fail() {	# STEP TEXT
	failed=$((failed + 1))
	say "not ok $1: $2"
}

# Count the TAP of one log: results, against the plans printed.
count_tap() {	# STEP STATUS
	local counts
	counts=$(awk '
		/^1\.\.[0-9]+/	{ split($0, a, /\.\./); plan += a[2] + 0
				  if ($0 ~ /^1\.\.0/ && /SKIP/) skip++ }
		/^not ok /	{ n++; bad++; print "  " $0 > "/dev/stderr"; next }
		/^ok .*# *[Ss][Kk][Ii][Pp]/ { n++; skip++
				  print "  " $0 > "/dev/stderr"; next }
		/^ok /		{ n++; good++ }
		END		{ print good + 0, bad + 0, skip + 0, n + 0, plan + 0 }
	' "$LOG/$1.log")
	# shellcheck disable=SC2086
	set -- "$1" "$2" $counts
	passed=$((passed + $3)) failed=$((failed + $4)) skipped=$((skipped + $5))
	say "   $1: $3 passed, $4 failed, $5 skipped"
	[ "$6" -eq "$7" ] || fail "$1" "$7 tests planned, $6 ran (see $LOG/$1.log)"
	[ "$2" -eq 0 ] || [ "$4" -gt 0 ] || fail "$1" "exit status $2 (see $LOG/$1.log)"
	[ "$6" -gt 0 ] || fail "$1" "ran no test (see $LOG/$1.log)"
}

# A step whose output is TAP.
tap() {		# STEP SECONDS CMD...
	local step=$1 limit=$2 status
	shift 2
	say "## $step"
	timeout -k 10 "$limit" "$@" >"$LOG/$step.log" 2>&1 </dev/null
	status=$?
	[ $status -ne 124 ] || fail "$step" "took longer than $limit seconds"
	count_tap "$step" $status
	[ $status -eq 0 ] || tail -n 25 "$LOG/$step.log" | sed 's/^/   | /'
}

# A step that passes or fails as a whole; its last line is shown.
whole() {	# STEP SECONDS CMD...
	local step=$1 limit=$2 status
	shift 2
	say "## $step"
	timeout -k 10 "$limit" "$@" >"$LOG/$step.log" 2>&1 </dev/null
	status=$?
	if [ $status -eq 0 ]; then
		passed=$((passed + 1))
		say "   ok: $(tail -n 1 "$LOG/$step.log")"
	else
		fail "$step" "exit status $status (see $LOG/$step.log)"
		tail -n 25 "$LOG/$step.log" | sed 's/^/   | /'
	fi
	return $status
}

build() {
	whole deps 1800 scripts/deps.sh check || return
	whole build 1200 scripts/build-clean.sh || return
}

static() { tap static 1800 scripts/static.sh; }

units() {
	local t
	for t in "$B"/bin/unit-*; do
		tap "$(basename "$t")" 300 "$t"
	done
	for t in selftests/unit/*.sh; do
		tap "unit-$(basename "$t" .sh)" 300 "$t"
	done
}

scenarios() { tap scenarios 300 "$B/bin/pbft-scenario" selftests/scenarios; }

sim() {
	local seeds=${SIM_SEEDS:-600}
	whole sim-fixed 900 "$B/bin/pbft-sim" --start 1 --seeds "$seeds" --jobs "$(nproc)"
	whole sim-fresh 900 "$B/bin/pbft-sim" --start "${SIM_START:-$(date +%s)}" \
		--seeds "$((seeds / 2))" --jobs "$(nproc)"
	grep -h '^sim: ' "$LOG"/sim-f*.log | sed 's/^/   /'
}

# A minute each of looking for new inputs, after the known ones.
fuzz() {
	whole fuzz-build 900 make -s -j"$(nproc)" fuzz-build B="$B" || return
	tap fuzz 2400 env B="$B" selftests/fuzz/run.sh -t "${FUZZ_TIME:-60}" -j "$(nproc)"
}

prove() { tap prove 2400 env B="$B" selftests/fuzz/prove.sh -q; }

model() { tap model 1800 selftests/model/run.sh; }

bench-insn() { tap bench-insn 300 make -s bench-insn B="$B"; }

coverage() { whole coverage 1800 make -s coverage B="$B"; }

vms() { tap vm-runner 900 scripts/vm/test.sh; }

kselftest() { tap kselftest 3600 scripts/kselftest.sh; }

other-kernels() { tap other-kernels 1800 scripts/check-kernels.sh; }

installed() { tap installed 900 scripts/install-test.sh; }

demo() { whole demo-short 1500 scripts/demo --short; }

all='build static units scenarios sim fuzz prove model coverage bench-insn vms kselftest
	other-kernels installed demo'
steps=${*:-$all}
started=$SECONDS
for step in $steps; do
	case " ${all//[[:space:]]/ } " in
	*" $step "*) ;;
	*) say "check: no such step: $step"; exit 2 ;;
	esac
	"$step"
	if [ "$step" = build ] && [ $failed -gt 0 ]; then
		break		# nothing below means anything
	fi
done
say "took $((SECONDS - started)) s"
say "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
