#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# prove.sh [TYPE...]: prove, with CBMC, that the decoder of datagrams stays within
# them. All message types, or those named (as in RELAY or 14).
#
# For each type: pbft_wire_check() on any bytes of any length up to LEN_MAX reads
# nothing outside the buffer, overflows no signed number and ends; what it accepts
# can be walked by pbft_inner_first()/next() and read to the end of every count and
# length. prove-wire.c says it exactly. The bounds of each proof stand in its line:
# loops are unwound with assertions that no more rounds are possible.
#
# CBMC is not in Debian 12. If there is no cbmc in PATH (or in $CBMC), the one of a
# later suite is unpacked below $B/prove, from the mirror that this system uses;
# nothing is installed. Output is TAP; a skip says why CBMC could not be had.

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
B=${B:-$top/build}
SUITE=${PROVE_SUITE:-trixie}
LIMIT=${PROVE_LIMIT:-3600}	# seconds for one proof
mkdir -p "$B/prove"
dir=$(cd "$B/prove" && pwd)

# TYPE NAME LEN_MAX N_MAX COUNT_MAX UNWIND. Authenticators of 64 replicas take 1024
# bytes, so 2048 leaves another 1024 for the message, and every 32-bit count and
# length in it is arbitrary. Where messages are inside, their count is bounded.
proofs()
{
	cat <<-END
	0 unknown 2048 64 0 2
	1 REQUEST 2048 64 0 2
	2 REPLY 2048 64 0 2
	3 PRE-PREPARE 768 5 2 4
	4 PREPARE 2048 64 0 2
	5 COMMIT 2048 64 0 2
	6 CHECKPOINT 2048 64 0 2
	7 VIEW-CHANGE 2048 64 0 2
	8 VIEW-CHANGE-ACK 2048 64 0 2
	9 NEW-VIEW 2048 64 0 2
	10 STATUS 2048 64 0 2
	11 COMMITTED 2048 64 0 2
	12 FETCH 2048 64 0 2
	13 BATCH 768 5 2 4
	14 RELAY 2048 64 0 3
	15 QUERY-STABLE 2048 64 0 2
	16 REPLY-STABLE 2048 64 0 2
	17 REJOIN 2048 64 0 2
	18 NACK 2048 64 0 2
	19 ENDORSE 2048 64 0 2
	20 FRAGMENT 2048 64 0 2
	21 PEER-DATA 2048 64 0 2
	22 HELLO 2048 64 0 2
	23 HELLO-ACK 2048 64 0 2
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
	apt-get -q -o Dir::Etc::sourcelist="$dir/apt/sources.list" \
		-o Dir::Etc::sourceparts="$dir/apt/none" \
		-o Dir::Etc::preferencesparts="$dir/apt/none" \
		-o Dir::State="$dir/apt/state" -o Dir::State::status="$dir/apt/status" \
		-o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User=root "$@"
}

# Say why not, and fail, or leave the program in $dir/cbmc.
fetch_cbmc()
{
	command -v apt-get dpkg-deb >/dev/null || {
		echo "there is no apt to take it from"
		return 1
	}
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

# model SOURCE TYPE LEN_MAX N_MAX COUNT_MAX UNWIND: log to $dir/log
model()
{
	cd "$top" && nice -n 10 timeout "$LIMIT" "$CBMC" "$here/prove-wire.c" "$1" \
		-DTYPE="$2" -DLEN_MAX="$3" -DN_MAX="$4" -DCOUNT_MAX="$5" --unwind "$6" \
		-Ikmod/core -Iuserspace/include -Iuapi --unwinding-assertions \
		--slice-formula --drop-unused-functions >"$dir/log" 2>&1
}

prove()
{
	model kmod/core/wire.c "$1" "$3" "$4" "$5" "$6"
	status=$?
	bounds="length <= $3, n <= $4"
	[ "$5" -eq 0 ] || bounds="$bounds, at most $5 requests inside"
	checks=$(sed -n 's/^\*\* \([0-9]* of [0-9]*\) failed.*/\1/p' "$dir/log")
	ok $status "$2: ${checks:-no} checks fail; $bounds"
	[ $status -ne 124 ] || echo "# not done after $LIMIT s"
	[ $status -eq 0 ] || grep -E ': FAILURE$|rror' "$dir/log" | head -n 10 | sed 's/^/# /'
}

# planted WHAT TYPE LEN_MAX N_MAX COUNT_MAX UNWIND SED: without a check of wire.c's
# the proof must fail, or it proves nothing.
planted()
{
	sed "$7" "$top/kmod/core/wire.c" >"$dir/planted.c"
	if cmp -s "$dir/planted.c" "$top/kmod/core/wire.c"; then
		ok 1 "planted: wire.c has no check of $1 that could be removed"
		return
	fi
	model "$dir/planted.c" "$2" "$3" "$4" "$5" "$6"
	[ $? -eq 10 ] && grep -q 'pointer_dereference.*FAILURE' "$dir/log"
	ok $? "planted: without the check of $1 a read outside the datagram is found"
}

planted "the shortest datagram" 0 64 4 0 2 \
	's/if (len < sizeof(\*h))/if (0)/'
planted "an operation's length" 1 512 4 0 2 \
	's/head->len == sizeof(\*m) + op_len/true/'

proofs >"$dir/proofs"
while read -r type name len nmax count unwind; do
	if [ $# -gt 0 ]; then
		case " $* " in
		*" $type "* | *" $name "*) ;;
		*) continue ;;
		esac
	fi
	prove "$type" "$name" "$len" "$nmax" "$count" "$unwind"
done <"$dir/proofs"
echo "1..$n"
exit $bad
