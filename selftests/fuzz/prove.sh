#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# prove.sh [-q] [TYPE...]: prove, with CBMC, that the decoder of datagrams stays within
# them. All message types, or those named (as in RELAY or 14).
#
#   -q   without the three longest: PRE-PREPARE (decoded as BATCH is), RELAY (what it
#        carries is decoded as on its own) and the NEW-VIEW with a check removed
#
# For each type: pbft_wire_check() on any bytes of any length up to LEN_MAX reads
# nothing outside the buffer, overflows no signed number and ends; what it accepts
# can be walked by pbft_inner_first()/next() and read to the end of every count and
# length. prove-wire.c says it exactly. The bounds of each proof stand in its line:
# loops are unwound with assertions that no more rounds are possible, and each proof
# finds a datagram that is accepted.
#
# CBMC is not in Debian 12. If there is no cbmc in PATH (or in $CBMC), the one of a
# later suite is unpacked below $B/prove, from the mirror that this system uses;
# nothing is installed. Output is TAP; a skip says why CBMC could not be had.

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
B=${B:-$top/build}
SUITE=${PROVE_SUITE:-trixie}
LIMIT=${PROVE_LIMIT:-3600}	# seconds for one proof
quick=
while getopts hq opt; do
	case $opt in
	h) sed -n '3,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
	q) quick=yes ;;
	*) sed -n '3,19s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
done
shift $((OPTIND - 1))
mkdir -p "$B/prove"
dir=$(cd "$B/prove" && pwd)

# The largest message and the authenticator of 64 replicas: no datagram is longer.
ALL=$((1024 * 1024 + 64 * 16))

# TYPE NAME LEN_MAX N_MAX COUNT_MAX UNWIND [LOOP:UNWIND,...]. Where loops do not
# depend on the type, the bounds are those of the format. Messages with requests
# inside are the exception: two of them, in a cluster of four, and 512 bytes.
proofs()
{
	cat <<-END
	0 unknown $ALL 64 0 1
	1 REQUEST $ALL 64 0 1
	2 REPLY $ALL 64 0 1
	3 PRE-PREPARE 512 4 2 3
	4 PREPARE $ALL 64 0 1
	5 COMMIT $ALL 64 0 1
	6 CHECKPOINT $ALL 64 0 1
	7 VIEW-CHANGE $ALL 64 0 1
	8 VIEW-CHANGE-ACK $ALL 64 0 1
	9 NEW-VIEW $ALL 64 0 1 check_new_view.0:65
	10 STATUS $ALL 64 0 1
	11 COMMITTED $ALL 64 0 1
	12 FETCH $ALL 64 0 1
	13 BATCH 512 4 2 3
	14 RELAY 4096 64 0 1 check_new_view.0:65,touch_inner.0:2
	15 QUERY-STABLE $ALL 64 0 1
	16 REPLY-STABLE $ALL 64 0 1
	17 REJOIN $ALL 64 0 1
	18 NACK $ALL 64 0 1
	19 ENDORSE $ALL 64 0 1
	20 FRAGMENT $ALL 64 0 1
	21 PEER-DATA $ALL 64 0 1
	22 HELLO $ALL 64 0 1
	23 HELLO-ACK $ALL 64 0 1
	END
}

# ---- CBMC --------------------------------------------------------------------

# Of /etc/apt, one-line or deb822: "URI KEYRING" of the source of this system's
# own suite.
mirror()
{
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		awk -v suite="$codename" '
		$1 == "deb" {
			key = ""
			i = 2
			if ($2 ~ /^\[/) {
				for (; i <= NF; i++) {
					if (match($i, /signed-by=[^] ]*/))
						key = substr($i, RSTART + 10, RLENGTH - 10)
					if ($i ~ /\]$/)
						break
				}
				i++
			}
			if ($(i + 1) == suite) {
				print $i, key
				exit
			}
		}'
	cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v suite="$codename" '
		function flush() {
			if (uri != "" && index(" " suites " ", " " suite " ") && !done) {
				print uri, key
				done = 1
			}
			uri = suites = key = ""
		}
		/^Types:/ { flush() }
		/^URIs:/ { uri = $2 }
		/^Suites:/ { sub(/^Suites: */, ""); suites = $0 }
		/^Signed-By:/ { key = $2 ~ /^\// ? $2 : "" }
		END { flush() }'
}

# apt with lists, cache and state of its own.
private_apt()
{
	timeout 600 apt-get -q -o Dir::Etc::sourcelist="$dir/apt/sources.list" \
		-o Dir::Etc::sourceparts="$dir/apt/none" \
		-o Dir::Etc::preferencesparts="$dir/apt/none" \
		-o Dir::State="$dir/apt/state" -o Dir::State::status="$dir/apt/status" \
		-o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User=root "$@"
}

# Say why not, and fail, or leave the program in $dir/cbmc.
fetch_cbmc()
{
	for program in apt-get dpkg-deb; do
		command -v "$program" >/dev/null && continue
		echo "there is no $program to take it with"
		return 1
	done
	from=$(mirror | head -n 1)
	[ -n "$from" ] || {
		echo "no source of this system's suite in /etc/apt"
		return 1
	}
	key=${from#* }
	rm -rf "$dir/apt" "$dir/root"
	mkdir -p "$dir/apt/state/lists/partial" "$dir/apt/cache/archives/partial" \
		"$dir/apt/none" "$dir/apt/debs" "$dir/root"
	: >"$dir/apt/status"
	echo "deb ${key:+[signed-by=$key] }${from%% *} $SUITE main" >"$dir/apt/sources.list"
	private_apt update >"$dir/apt/log" 2>&1 || {
		echo "the package lists of $SUITE cannot be had: $(grep -m 1 '^[EW]:' "$dir/apt/log")"
		return 1
	}
	# what it needs to run; the gcc that it calls is the system's
	(cd "$dir/apt/debs" &&
	 private_apt download cbmc minisat libc6 libgcc-s1 libstdc++6 zlib1g) \
		>"$dir/apt/log" 2>&1 || {
		echo "cbmc cannot be downloaded: $(grep -m 1 '^E:' "$dir/apt/log")"
		return 1
	}
	for deb in "$dir"/apt/debs/*.deb; do
		dpkg-deb -x "$deb" "$dir/root" || return 1
	done
	lib=$(dirname "$(find "$dir/root/usr/lib" -name libstdc++.so.6 | head -n 1)")
	loader=$(find "$lib" -maxdepth 1 -name 'ld-linux*' | head -n 1)
	cat >"$dir/cbmc.new" <<-END
	#!/bin/sh
	exec "$loader" --library-path "$lib:$dir/root/usr/lib" "$dir/root/usr/bin/cbmc" "\$@"
	END
	chmod +x "$dir/cbmc.new"
	"$dir/cbmc.new" --version >"$dir/apt/log" 2>&1 || {
		echo "the cbmc of $SUITE does not run here: $(head -n 1 "$dir/apt/log")"
		return 1
	}
	mv "$dir/cbmc.new" "$dir/cbmc"
	rm -rf "$dir/apt/cache" "$dir/apt/state" "$dir/apt/debs"
}

if [ -z "${CBMC:-}" ]; then
	if command -v cbmc >/dev/null; then
		CBMC=cbmc
	elif [ -x "$dir/cbmc" ] || why=$(fetch_cbmc); then
		CBMC=$dir/cbmc
	else
		echo "ok 1 - pbft_wire_check() stays within the datagram # SKIP no CBMC: $why"
		echo "1..1"
		exit 0
	fi
fi
echo "# CBMC $("$CBMC" --version)"

# ---- proofs ----------------------------------------------------------------------

n=0
bad=0

ok()
{
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		bad=1
	fi
}

# model SOURCE TYPE LEN_MAX N_MAX COUNT_MAX UNWIND [LOOPS]: log to $dir/log
model()
{
	cd "$top" && nice -n 10 timeout "$LIMIT" "$CBMC" "$here/prove-wire.c" "$1" \
		-DTYPE="$2" -DLEN_MAX="$3" -DN_MAX="$4" -DCOUNT_MAX="$5" --unwind "$6" \
		${7:+--unwindset "$7"} -Ikmod/core -Iuserspace/include -Iuapi --unwinding-assertions \
		--slice-formula --drop-unused-functions >"$dir/log" 2>&1
}

# All that is claimed holds, and there is a datagram of this type that is accepted.
prove()
{
	model kmod/core/wire.c "$1" "$3" "$4" "$5" "$6" "$7"
	status=$?
	bounds="length <= $3, n <= $4"
	[ "$5" -eq 0 ] || bounds="$bounds, at most $5 requests inside"
	checks=$(sed -n 's/^\*\* [0-9]* of \([0-9]*\) failed.*/\1/p' "$dir/log")
	failed=$(grep ': FAILURE$' "$dir/log" | grep -cv 'witness: ')
	accepted=$(grep -c 'witness: .*: FAILURE$' "$dir/log")
	[ -n "$checks" ] && [ "$failed" -eq 0 ] && {
		[ "$accepted" -eq 1 ] || [ "$2" = unknown ]
	}
	ok $? "$2: ${checks:-no} checks hold; $bounds"
	[ $status -ne 124 ] || echo "# not done after $LIMIT s"
	[ -n "$checks" ] || tail -n 3 "$dir/log" | sed 's/^/# /'
	[ "$failed" -eq 0 ] || grep ': FAILURE$' "$dir/log" | head -n 10 | sed 's/^/# /'
	[ "$accepted" -eq 1 ] || [ "$2" = unknown ] || echo "# no datagram is accepted"
}

# planted WHAT TYPE LEN_MAX N_MAX UNWIND SED: without a check of wire.c's the proof
# must fail, or it proves nothing.
planted()
{
	sed "$6" "$top/kmod/core/wire.c" >"$dir/planted.c"
	if cmp -s "$dir/planted.c" "$top/kmod/core/wire.c"; then
		ok 1 "planted: wire.c has no check of $1 that could be removed"
		return
	fi
	model "$dir/planted.c" "$2" "$3" "$4" 2 "$5"
	[ $? -eq 10 ] && grep -q 'pointer_dereference.*FAILURE' "$dir/log"
	ok $? "planted: without the check of $1 a read outside the datagram is found"
}

planted "the shortest datagram" 0 64 4 1 \
	's/if (len < sizeof(\*h))/if (!h)/'
planted "an operation's length" 1 512 4 1 \
	's/head->len == sizeof(\*m) + op_len/head->len >= sizeof(*m)/'
planted "a count of digests" 11 4096 4 1 \
	's/head->len == sizeof(\*m) + count \* sizeof(struct pbft_digest)/head->len > count/'
[ -n "$quick" ] || planted "a NEW-VIEW's length" 9 2048 4 5 \
	's/if (len != head->len || /if (/'

proofs >"$dir/proofs"
while read -r type name len nmax count unwind loops; do
	case $quick$name in
	yesPRE-PREPARE | yesRELAY) continue ;;
	esac
	if [ $# -gt 0 ]; then
		case " $* " in
		*" $type "* | *" $name "*) ;;
		*) continue ;;
		esac
	fi
	prove "$type" "$name" "$len" "$nmax" "$count" "$unwind" "$loops"
done <"$dir/proofs"
echo "1..$n"
exit $bad
