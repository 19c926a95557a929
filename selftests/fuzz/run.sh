#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# run.sh [-t SECONDS] [-j JOBS] [-c] [TARGET...]: fuzz all targets, or those named.
#
# Each target first replays its regressions (regress/TARGET) and its corpus
# (corpus/TARGET), then looks for new inputs for SECONDS (default 60; 0: replay
# only). What it finds interesting stays in $B/fuzz/work/TARGET and is where the
# next run begins; an input that fails is kept in $B/fuzz/artifacts, and the line
# that replays it is printed. Output is TAP.
#
#   -j   so many targets at a time (default 1)
#   -c   afterwards rewrite corpus/TARGET: the few inputs that reach all that
#        the work directory reaches

here=$(cd "$(dirname "$0")" && pwd)
B=${B:-$here/../../build}
seconds=60
jobs=1
keep=
CORPUS_FILES=150	# at most so many in a committed corpus
CORPUS_LEN=2048		# ... and so long

usage()
{
	sed -n '3,14s/^# \{0,1\}//p' "$0"
}

list()
{
	for path in "$here"/fuzz-*.c; do
		basename "$path" .c | sed 's/^fuzz-//'
	done
}

while getopts hcj:t: opt; do
	case $opt in
	h) usage; exit 0 ;;
	c) keep=yes ;;
	j) jobs=$OPTARG ;;
	t) seconds=$OPTARG ;;
	*) usage >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
# shellcheck disable=SC2046 # one word a target
[ $# -gt 0 ] || set -- $(list)

case $seconds in
'' | *[!0-9]*)
	echo "run.sh: '$seconds' is not a number of seconds" >&2
	exit 2
	;;
esac

case $jobs in
'' | *[!0-9]* | 0)
	echo "run.sh: '$jobs' is not a number of jobs" >&2
	exit 2
	;;
esac

tmp=$(mktemp -d /dev/shm/pbft-fuzz.XXXXXX 2>/dev/null) ||
	tmp=$(mktemp -d "${TMPDIR:-/tmp}/pbft-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'kill $workers 2>/dev/null; exit 130' INT TERM HUP
workers=
# where fuzz-db puts its database
export TMPDIR="$tmp"
export ASAN_OPTIONS="quarantine_size_mb=16:allocator_may_return_null=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"

# ok STATUS DESCRIPTION: the numbers come at the end
ok()
{
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
	fi
}

# What the target said when it failed, and how to see it again.
explain()
{
	grep -E -m 12 ': runtime error: |fuzz-.*: |\.c:[0-9]+: |ERROR: |SUMMARY: |^    #[0-9]+ .*(selftests|kmod|userspace)/' \
		"$tmp/log-$1" | sed 's/^/# /'
	find "$artifacts" -name "$1-*" -newer "$tmp/began-$1" |
		sed "s,^,# replay: FUZZ_TRACE=1 $prog ,"
}

# Each input alone, so that one that fails names itself: replay TARGET DIR WHAT
replay()
{
	count=0
	failed=0
	for file in "$2"/*; do
		[ -f "$file" ] || continue
		count=$((count + 1))
		nice -n 10 timeout --foreground 60 "$prog" -timeout=20 "$file" >"$tmp/log-$1" 2>&1 && continue
		failed=$((failed + 1))
		echo "# $file fails"
		echo "# replay: FUZZ_TRACE=1 $prog $file"
		explain "$1"
	done
	[ "$count" -gt 0 ] || return 0
	ok "$failed" "$1: $count $3"
}

# All of a directory in one process: much the faster way when nothing fails.
replay_all()
{
	[ -d "$2" ] || return 0
	count=$(find "$2" -type f | wc -l)
	if nice -n 10 timeout --foreground 600 "$prog" -runs=0 -timeout=20 "$2" >"$tmp/log-$1" 2>&1; then
		ok 0 "$1: $count inputs of the corpus"
	else
		replay "$1" "$2" "inputs of the corpus"
	fi
}

search()
{
	: >"$tmp/began-$1"
	corpus=$here/corpus/$1
	[ -d "$corpus" ] || corpus=
	# where a run is long, inputs would stay short for hours
	case $1 in
	db | xfer | step) long=-len_control=0 ;;
	*) long= ;;
	esac
	nice -n 10 timeout --foreground $((seconds + 600)) "$prog" -max_total_time="$seconds" -timeout=20 \
		-rss_limit_mb=2048 -max_len="$CORPUS_LEN" -print_final_stats=1 -verbosity=0 \
		-report_slow_units=20 -artifact_prefix="$artifacts/$1-" $long "$work" \
		${corpus:+"$corpus"} >"$tmp/log-$1" 2>&1
	status=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$tmp/log-$1")
	ok $status "$1: $seconds s, ${runs:-no} runs"
	[ $status -ne 124 ] || echo "# not done $((seconds + 600)) s after it began"
	[ $status -eq 0 ] || explain "$1"
}

# A minimal set by coverage, the smallest of them if that is still too many.
distil()
{
	rm -rf "$tmp/min-$1"
	mkdir -p "$tmp/min-$1" "$here/corpus/$1"
	nice -n 10 timeout --foreground 600 "$prog" -merge=1 -max_len="$CORPUS_LEN" -timeout=20 "$tmp/min-$1" \
		"$here/corpus/$1" "$work" >"$tmp/log-$1" 2>&1 || {
		ok 1 "$1: the corpus can be distilled"
		explain "$1"
		return
	}
	rm -f "$here/corpus/$1"/*
	find "$tmp/min-$1" -type f -printf '%s %f\n' | spread "$CORPUS_FILES" |
		while read -r name; do
			cp "$tmp/min-$1/$name" "$here/corpus/$1/$(echo "$name" | cut -c 1-12)"
		done
	ok 0 "$1: $(find "$here/corpus/$1" -type f | wc -l) inputs kept as corpus"
}

# Of "SIZE NAME" lines those of N names, evenly over the sizes.
spread()
{
	sort -n | awk -v n="$1" '
		{ name[NR] = $2 }
		END {
			step = NR > n ? NR / n : 1
			for (i = 1; i <= NR; i += step)
				print name[int(i)]
		}'
}

artifacts=$B/fuzz/artifacts
mkdir -p "$artifacts"

run_target()
{
	prog=$B/fuzz/bin/fuzz-$1
	work=$B/fuzz/work/$1
	if [ ! -x "$prog" ]; then
		ok 1 "$1: there is no $prog; run 'make fuzz-build'"
		return
	fi
	mkdir -p "$work"
	: >"$tmp/began-$1"
	replay "$1" "$here/regress/$1" "inputs that failed once"
	replay_all "$1" "$here/corpus/$1"
	[ "$seconds" -eq 0 ] || search "$1"
	[ -z "$keep" ] || distil "$1"
}

# worker FIRST TARGET...: every jobs-th target
worker()
{
	turn=$1
	shift
	for target; do
		[ "$turn" -ne 0 ] || {
			run_target "$target" >"$tmp/part-$target"
			mv "$tmp/part-$target" "$tmp/out-$target"
		}
		turn=$(((turn + jobs - 1) % jobs))
	done
}

first=0
while [ "$first" -lt "$jobs" ]; do
	worker "$first" "$@" &
	workers="$workers $!"
	first=$((first + 1))
done
for pid in $workers; do
	wait "$pid"
done
for target; do
	cat "$tmp/out-$target" || echo "not ok - $target: its worker has ended early"
done | awk '
	/^ok - /	{ sub(/^ok/, "ok " ++n) }
	/^not ok - /	{ sub(/^not ok/, "not ok " ++n); bad = 1 }
	{ print }
	END { print "1.." n + 0; exit bad || !n }'
