#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# run.sh [-l] [NAME...]: check the model of the view change with spin; prints TAP.
# run.sh -x NAME [FLAG...]: tell the counterexample of that test as a story.
# run.sh -t: the tests' names and what they show.
#
# -l adds the searches that take many minutes. SPIN and CC name the tools;
# LIMIT is seconds for one search (1800), MEM its megabytes (3500).

set -u
here=$(cd "$(dirname "$0")" && pwd)
model=pbft-vc.pml
SPIN=${SPIN:-spin}
CC=${CC:-gcc}
LIMIT=${LIMIT:-1800}
MEM=${MEM:-3500}

# name | what must come out | flags | what it shows
#
# holds: searched completely, no error. agreement, stuck, invalid: spin must find
# two batches committed, no decision possible, or a VIEW-CHANGE that others refuse.
# same: as many states as the search before, hence the same behaviours.
tests()
{
	cat <<-'END'
	full|holds|VIEWS=4 LIVE|agreement in views 0 to 3, and a decision is always possible
	interleaved|holds|VIEWS=3 INTERLEAVED|agreement in views 0 to 2, each replica at its own pace
	fine|holds|VIEWS=3 FINE|agreement in views 0 to 2, all choices in states of their own
	explicit|same|VIEWS=3 FINE EXPLICIT|the faulty VIEW-CHANGEs enumerated allow the same as reasoning about them
	ring-2|holds|VIEWS=4 RING=2 LIVE|a ring of 2, which must evict: agreement, and decides in 4 views
	ring-2-stuck|stuck|VIEWS=5 RING=2 LIVE|a ring of 2 is too small: no decision possible
	no-prune|holds|VIEWS=4 NO_PRUNE LIVE|pruning P is not needed for agreement
	mixed-prepares|holds|VIEWS=3 MIXED_PREPARES|PREPAREs of other views counted: agreement holds
	mixed-prepares-stuck|stuck|VIEWS=3 MIXED_PREPARES LIVE|PREPAREs of other views counted: no decision possible
	no-a1|agreement|NO_A1|without A1
	a1-same-view|agreement|A1_SAME_VIEW|A1 that takes another digest of the same view
	no-a2|agreement|NO_A2|without A2
	a2-entries|agreement|A2_ENTRIES|A2 that counts entries, not members
	alt-first|agreement|ALT_FIRST|alt that is the highest view, not the second
	b-weak|agreement|B_WEAK|B with f + 1 instead of q
	u-largest|agreement|VIEWS=4 U_LARGEST|u that is the largest alt, not the (f + 1)-th
	no-null-p|agreement|NO_NULL_P|P without what was prepared as null
	quorum-2|agreement|QUORUM=2|a quorum of 2
	vote-after-vc|agreement|VOTE_AFTER_VC|votes in a view after the VIEW-CHANGE that leaves it
	mixed-commits|agreement|MIXED_COMMITS|COMMITs of other views counted
	no-alt|stuck|VIEWS=4 RING=2 NO_ALT LIVE|a ring of 2, without alt: no decision possible
	evict-p|invalid|VIEWS=4 RING=2 EVICT_P|a ring that evicts P's digest
	END
	[ $long -eq 0 ] || cat <<-'END'
	long-views|holds|VIEWS=5 LIVE|agreement in views 0 to 4, and a decision is always possible
	long-unsorted|holds|VIEWS=4 NO_SORT LIVE|views 0 to 3, each order of replicas and batches for itself
	long-ring|holds|VIEWS=5 LAST_VC RING=3 DIGESTS=4 LIVE|a ring of 3, which must evict: a decision is always possible
	long-ring-2|holds|VIEWS=5 RING=2|a ring of 2, which must evict: agreement in views 0 to 4
	long-digests|holds|VIEWS=4 DIGESTS=4 LIVE|agreement in views 0 to 3, three batches and null
	long-fine|holds|VIEWS=4 DIGESTS=2 FINE|agreement in views 0 to 3, all choices in states of their own
	long-explicit|same|VIEWS=4 DIGESTS=2 FINE EXPLICIT|the faulty VIEW-CHANGEs enumerated allow the same there
	END
}

need()
{
	for program; do
		command -v "$program" >/dev/null && continue
		echo "not ok 1 - this test needs the program $program"
		echo "1..1"
		exit 1
	done
}

# search FLAG...: into $T/out. Always in $T: spin and pan leave files about.
search()
{
	defs=
	for flag; do
		defs="$defs -D$flag"
	done
	cd "$T" && rm -f pan* ./*.trail
	cp "$here/$model" "$T"
	# shellcheck disable=SC2086 # a list of options without blanks in them
	{
		$SPIN $defs -a $model &&
		$CC -O2 -w -DSAFETY -DMEMLIM="$MEM" -o pan pan.c &&
		timeout -k 10 "$LIMIT" nice ./pan -m20000
	} >"$T/out" 2>&1
	[ $? -ne 124 ] || echo "not completed in $LIMIT s" >>"$T/out"
}

states()
{
	sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$T/out"
}

finished()
{
	grep -q 'errors: 0$' "$T/out" && grep -q ' states, stored' "$T/out" &&
		! grep -qi 'not completed\|too small\|reached the limit\|out of memory' "$T/out"
}

# The counterexample is the one meant, not some other error.
violated()
{
	grep 'errors: 1$' "$T/out" >/dev/null &&
		grep "assertion violated $1" "$T/out" >/dev/null
}

came_out()
{
	case $1 in
	holds) finished ;;
	same) finished && [ "$(states)" = "$before" ] ;;
	agreement) violated '((committed==0)' ;;
	stuck) violated '0 ' ;;
	invalid) violated '((mem' ;;
	esac
}

# test_one NAME KIND FLAGS DESCRIPTION
test_one()
{
	case $2 in
	holds) what=$4 ;;
	same) what=$4 ;;
	*) what="$4: counterexample" ;;
	esac
	if [ "$2" = same ] && [ -z "$before" ]; then
		before=$(of_fine "$1")
	fi
	# shellcheck disable=SC2086 # a list of flags
	search $3
	count=$((count + 1))
	if came_out "$2"; then
		echo "ok $count - $1: $what ($(states) states)"
	else
		echo "not ok $count - $1: $what"
		sed 's/^/# /' "$T/out" | tail -n 30
		bad=1
	fi
	before=
	finished && before=$(states)
}

# What "same" is compared with, if it did not run just before.
of_fine()
{
	# shellcheck disable=SC2046 # a list of flags
	search $(tests | sed -n "s/^$1|[^|]*|\([^|]*\) EXPLICIT|.*/\1/p")
	finished && states
}

story()
{
	line=$(tests | grep "^$1|") || {
		echo "run.sh: there is no test $1; see run.sh -t" >&2
		exit 2
	}
	shift
	flags="$(echo "$line" | cut -d '|' -f 3) NO_SORT $*"
	echo "$line" | cut -d '|' -f 4
	# shellcheck disable=SC2086 # a list of flags
	search $flags
	[ -f "$T/$model.trail" ] || {
		echo "no counterexample"
		exit 1
	}
	# shellcheck disable=SC2086 # a list of options without blanks in them
	$SPIN -t -B $defs $model | sed -n 's/^ *\(view .*\)/\1/p; s/^spin: text of //p'
}

long=0
show=
while getopts hltx: opt; do
	case $opt in
	h) sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
	l) long=1 ;;
	t) long=1; tests | awk -F '|' '{ printf "%-22s %s\n", $1, $4 }'; exit 0 ;;
	x) show=$OPTARG ;;
	*) sed -n '3,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))

need "$SPIN" "$CC"
T=$(mktemp -d "${TMPDIR:-/tmp}/pbft-model.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 130' INT TERM HUP PIPE
if [ -n "$show" ]; then
	long=1
	story "$show" "$@"
	exit 0
fi

count=0
bad=0
before=
[ $# -eq 0 ] || long=1
tests >"$T/tests"
for name; do
	grep -q "^$name|" "$T/tests" || {
		echo "run.sh: there is no test $name; see run.sh -t" >&2
		exit 2
	}
done
while IFS='|' read -r name kind flags what; do
	case " $* " in
	"  " | *" $name "*) test_one "$name" "$kind" "$flags" "$what" </dev/null ;;
	esac
done <"$T/tests"
echo "1..$count"
exit $bad
