#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# deps.sh [GROUP...]: install the Debian packages this project needs.
#
#   build   compiler and libraries for the userspace programs
#   kmod    kernel headers for the module
#   vm      QEMU, a kernel image and what goes into a test VM
#   kernels what kernels for tests are built from, see kernels/build.sh
#   static  the static checkers
#   install what the test of installing needs
#   bench   what the benchmarks need
#   check   all of these, and what only the tests use
#
# Without a group: build, kmod and vm. Quiet, and quick when nothing is missing.
# Not root: prints the command to run, and fails.

set -e
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

build='gcc make libc6-dev libnl-3-dev libnl-genl-3-dev liblmdb-dev libssl-dev libjson-c-dev
	libinih-dev pkg-config sparse'
kmod='gcc make kmod linux-headers-cloud-amd64'
# The kernel image itself is unpacked, not installed: see vm/fetch-kernel.
vm='qemu-system-x86 busybox-static iproute2 kmod xz-utils zstd lz4 dash bash coreutils
	e2fsprogs dmsetup mount python3 gcc libc6-dev'
kernels='linux-source-6.1 gcc make patch flex bison bc libelf-dev libssl-dev xz-utils kmod'
static="$kernels sparse coccinelle libpython3-dev clang lld llvm shellcheck perl"
install='dkms openssl'
bench='valgrind gnuplot-nox python3'
# What clang's sanitizers need is for the fuzzers, spin for the model.
check="$build $kmod $vm $static $install $bench libclang-rt-dev spin"

usage()
{
	sed -n '3,16s/^# \{0,1\}//p' "$0"
}

wanted='' kernel=''
[ $# -gt 0 ] || set -- build kmod vm
for group; do
	case $group in
	build) wanted="$wanted $build" ;;
	kmod) wanted="$wanted $kmod" ;;
	vm) wanted="$wanted $vm $kmod" kernel=yes ;;
	kernels) wanted="$wanted $kernels" ;;
	static) wanted="$wanted $static $kmod" ;;
	install) wanted="$wanted $install $kmod" ;;
	bench) wanted="$wanted $bench" ;;
	check) wanted="$wanted $check" kernel=yes ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done

if ! command -v dpkg-query >/dev/null; then
	echo "deps.sh: not a Debian system; install the like of: $wanted" >&2
	exit 1
fi

# A virtual package (pkg-config is one) counts if anything provides it.
missing=$(dpkg-query -W -f '${db:Status-Status} ${Package}, ${Provides}\n' 2>/dev/null |
	awk -v wanted="$wanted" '
	$1 == "installed" {
		sub(/^installed /, "")
		n = split($0, names, /, */)
		for (i = 1; i <= n; i++) {
			sub(/[ :].*/, "", names[i])
			have[names[i]] = 1
		}
	}
	END {
		n = split(wanted, list, /[ \t\n]+/)
		for (i = 1; i <= n; i++)
			if (list[i] != "" && !(list[i] in have) && !seen[list[i]]++)
				printf "%s ", list[i]
	}')

if [ -n "$missing" ]; then
	if [ "$(id -u)" -ne 0 ]; then
		echo "deps.sh: missing packages; as root run:" >&2
		echo "  apt-get update && apt-get install --no-install-recommends $missing" >&2
		exit 1
	fi
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	export DEBIAN_FRONTEND=noninteractive
	echo "deps.sh: installing $missing"
	# shellcheck disable=SC2086 # a list of packages
	if ! { timeout 600 apt-get -q update &&
	       timeout 1800 apt-get -q -y --no-install-recommends install $missing; } \
	     >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		echo "deps.sh: apt-get failed" >&2
		exit 1
	fi
fi

[ -n "$kernel" ] || exit 0
"$here/vm/fetch-kernel" && exit 0
# The package list may just be old.
[ "$(id -u)" -eq 0 ] && timeout 600 apt-get -qq update && "$here/vm/fetch-kernel"
