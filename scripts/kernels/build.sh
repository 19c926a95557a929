#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# build.sh [FLAVOUR]: build a kernel that complains, from Debian's linux-source.
#
#   debug   KASAN, lockdep, kmemleak, UBSAN, debug objects, failing allocations (x86)
#   lite    the cheaper half of these (x86)
#   kcsan   data races (x86)
#   uml     debug without kmemleak and SMP, as a process of the host
#
# The build tree is build/kernels/FLAVOUR, for modules to be built against; the
# kernel itself goes to where scripts/vm finds it. Does nothing when both are there
# and made from this source, compiler and configuration.
#
# build.sh --version FLAVOUR prints the version of a kernel that was built,
# build.sh --source where the source is, unpacked now if need be.

set -e
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
top=$(CDPATH='' cd -- "$here/../.." && pwd)
series=${LINUX_SOURCE:-6.1}
trees=${KERNELS_DIR:-$top/build/kernels}
kernels=${VM_DIR:-$top/build/vm}/kernels

die()
{
	echo "build.sh: $*" >&2
	exit 1
}

usage()
{
	sed -n '3,15s/^# \{0,1\}//p' "$0"
}

mode=build
case ${1-} in
-h | --help) usage; exit 0 ;;
--version) mode=version; shift ;;
--source) mode=source; shift ;;
esac
flavour=${1:-debug}
arch=x86
case $flavour in
debug) fragments='common x86 lite debug' ;;
lite) fragments='common x86 lite' ;;
kcsan) fragments='common x86 kcsan' ;;
uml) fragments='common uml' arch=um ;;
*) usage >&2; exit 2 ;;
esac
tree=$trees/$flavour

if [ $mode = version ]; then
	[ -r "$tree/pbft-version" ] || die "no kernel $flavour yet: make debug-kernel FLAVOUR=$flavour"
	cat "$tree/pbft-version"
	exit 0
fi

"$top/scripts/deps.sh" kernels
tarball=/usr/src/linux-source-$series.tar.xz
[ -r "$tarball" ] || die "no $tarball: install linux-source-$series"
package=$(dpkg-query -W -f '${Version}' "linux-source-$series")
source=$trees/source-$package

# Everything that decides what comes out.
recipe()
{
	echo "$package $flavour"
	gcc --version | head -n 1
	for f in $fragments; do
		cat "$here/$f.config"
	done
	cat "$here"/*.patch
}

up_to_date()
{
	[ -d "$source" ] && [ "$(cat "$tree/pbft-recipe" 2>/dev/null)" = "$hash" ] || return 1
	ver=$(cat "$tree/pbft-version")
	[ -r "$kernels/$ver/boot/vmlinuz-$ver" ]
}

# The tarball holds one directory. Unpacked and patched beside its place, then
# moved there. Build trees of other flavours go on using it, so it never differs.
unpack()
{
	cat "$here"/*.patch >"$trees/patches"
	if cmp -s "$trees/patches" "$source/.pbft-patches"; then
		return 0
	fi
	rm -rf "$trees"/source-*
	mkdir "$source.new"
	tar -xf "$tarball" -C "$source.new" --strip-components=1
	patch -s -p1 -d "$source.new" <"$trees/patches"
	mv "$trees/patches" "$source.new/.pbft-patches"
	mv "$source.new" "$source"
}

prepare_source()
{
	exec 8>"$trees/source.lock"
	flock -w 3600 8 || die "another process unpacks the source and does not end"
	unpack
	flock -u 8
}

kmake()
{
	make -C "$source" O="$tree" ARCH=$arch "$@"
}

configure()
{
	kmake -s tinyconfig >"$log" 2>&1
	# A tiny configuration, in which the fragments' lines come last and win.
	for f in $fragments; do
		cat "$here/$f.config"
	done >"$tree/wanted"
	echo "CONFIG_LOCALVERSION=\"-$flavour\"" >>"$tree/wanted"
	cat "$tree/wanted" >>"$tree/.config"
	kmake -s olddefconfig >>"$log" 2>&1
}

# A symbol whose dependencies are not met vanishes without a word.
check_config()
{
	missing=$(while IFS= read -r line; do
		case $line in
		CONFIG_*=n) ! grep -q "^${line%=n}=" "$tree/.config" || echo "$line" ;;
		CONFIG_*) grep -qxF -e "$line" "$tree/.config" || echo "$line" ;;
		esac
	done <"$tree/wanted")
	[ -z "$missing" ] || die "this kernel cannot be configured with" "$missing"
}

# Where scripts/vm looks for kernels. Debug symbols of modules stay behind.
provide()
{
	ver=$(kmake -s kernelrelease)
	new=$kernels/.new.$flavour
	rm -rf "$new"
	mkdir -p "$new/boot"
	kmake -s modules_install INSTALL_MOD_PATH="$new" INSTALL_MOD_STRIP=1
	image=$tree/arch/x86/boot/bzImage
	[ $arch = x86 ] || image=$tree/linux
	cp "$image" "$new/boot/vmlinuz-$ver"
	cp "$tree/.config" "$new/boot/config-$ver"
	# Of this flavour, the one before.
	rm -rf "${kernels:?}"/*-"$flavour"
	mv "$new" "$kernels/$ver"
	echo "$ver" >"$tree/pbft-version"
}

mkdir -p "$trees" "$kernels"
if [ $mode = source ]; then
	prepare_source
	echo "$source"
	exit 0
fi
exec 9>"$trees/$flavour.lock"
flock -w 3600 9 || die "kernel $flavour: another build of it does not end"
hash=$(recipe | sha256sum | cut -d ' ' -f 1)
if up_to_date; then
	exit 0
fi
prepare_source

began=$(date +%s)
log=$trees/$flavour.log
rm -rf "$tree"
mkdir "$tree"
configure || die "cannot configure kernel $flavour: see $log"
check_config
echo "building kernel $flavour (several minutes; log: $log)"
targets='bzImage modules'
[ $arch = x86 ] || targets='linux modules'
# shellcheck disable=SC2086 # two words
if ! nice -n 10 make -C "$source" O="$tree" ARCH=$arch -j"$(nproc)" $targets >>"$log" 2>&1; then
	grep -E 'error|Error' "$log" | head -n 20 >&2
	die "kernel $flavour does not build: see $log"
fi
provide
echo "$hash" >"$tree/pbft-recipe"
echo "kernel $ver: built in $(($(date +%s) - began)) s"
