#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check-kernels.sh [TEST...]: the module on other kernels than the usual one.
#
# Builds pbft.ko for the newest kernel series of the distribution's archive, with
# W=1 and without a warning, and runs a short set of the functional tests in a VM
# that boots it. KERNELS="VERSION..." names other kernels, whose headers are
# installed. Prints TAP.

set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
tests=${*:-basic refusals config_roundtrip ipv6 null_service rotate_key}
log=$B/check/other-kernels
count=0 bad=0
mkdir -p "$log"

result()	# STATUS NAME [LOG]
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		bad=1
		echo "not ok $count - $2"
		[ -z "${3-}" ] || tail -n 40 "$3" | sed 's/^/# /'
	fi
	return "$1"
}

# What the newest linux-headers-X.Y-cloud-amd64 stands for. 6.1 is the usual one.
newest()
{
	local meta
	meta=$(apt-cache pkgnames linux-headers- 2>/dev/null |
		grep -xE 'linux-headers-[0-9]+\.[0-9]+-cloud-amd64' | sort -V | tail -n 1)
	[ -n "$meta" ] || return 1
	apt-cache show "$meta" | sed -n 's/^Depends: linux-headers-\([^ ,]*\).*/\1/p' | head -n 1
}

have_headers()	# VERSION
{
	[ -e "/lib/modules/$1/build/Makefile" ]
}

have_image()	# VERSION
{
	[ -r "${VM_DIR:-$B/vm}/kernels/$1/boot/vmlinuz-$1" ]
}

# Which kernels. What apt knows may be old or nothing: asked anew before a download.
choose()
{
	kernels=${KERNELS:-$(newest)}
	for ver in $kernels; do
		have_headers "$ver" && have_image "$ver" || kernels=
	done
	[ -z "$kernels" ] || return 0
	[ "$(id -u)" -ne 0 ] || timeout 600 apt-get -qq update
	kernels=${KERNELS:-$(newest)}
	[ -n "$kernels" ]
}

headers()	# VERSION
{
	! have_headers "$1" || return 0
	if [ "$(id -u)" -ne 0 ]; then
		echo "missing linux-headers-$1: install it as root"
		return 1
	fi
	DEBIAN_FRONTEND=noninteractive timeout 900 apt-get -q -y --no-install-recommends \
		install "linux-headers-$1"
}

build()		# VERSION
{
	rm -rf "${B:?}/kmod/$1"
	make modules KVER="$1" KFLAGS=W=1 || return 1
}

clean()		# LOG
{
	# pahole is only needed for BTF, which a module does without
	! grep -E 'warning:|WARNING:|:[0-9]+: error' "$1" | grep -v 'BTF'
}

# The tests print TAP of their own, which counts as one test here.
run()		# VERSION
{
	# shellcheck disable=SC2086 # one word a test
	KVER=$1 HEARTBEAT=${HEARTBEAT-30s} scripts/kselftest.sh $tests
}

choose >"$log/apt" 2>&1 || { echo "Bail out! apt knows of no other kernel (see $log/apt)"; exit 1; }
for ver in $kernels; do
	headers "$ver" >"$log/$ver.headers" 2>&1
	result $? "$ver: headers" "$log/$ver.headers" || continue
	scripts/vm/fetch-kernel "$ver" >"$log/$ver.image" 2>&1
	result $? "$ver: image" "$log/$ver.image" || continue
	build "$ver" >"$log/$ver.build" 2>&1 && clean "$log/$ver.build" >/dev/null
	result $? "$ver: pbft.ko is built without warnings" "$log/$ver.build" || continue
	run "$ver" >"$log/$ver.tests" 2>&1
	result $? "$ver: $tests" "$log/$ver.tests"
	sed -n 's/^# \([a-z_0-9]*: .* after .*\)/# \1/p' "$log/$ver.tests"
done
echo "1..$count"
exit $bad
