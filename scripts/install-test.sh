#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# install-test.sh: the module installed as people do it: by DKMS, signed, and loaded
# by the kernel itself when somebody asks for the netlink family. Prints TAP.
#
# DKMS works in trees of its own below build/install; nothing of the host changes.
# What comes out is booted in a VM. Documentation/install.rst has these commands.
# shellcheck disable=SC2317 # the functions are called through ok()

set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
out=$PWD/$B/install
ver=${KVER:-$(scripts/vm/kernel-version)} || exit 1
version=$(sed -n 's/^MODULE_VERSION("\(.*\)");/\1/p' kmod/main.c)
count=0 bad=0
PATH=$PATH:/usr/sbin:/sbin

ok()		# NAME COMMAND...
{
	local name=$1
	shift
	count=$((count + 1))
	if "$@" >"$out/log" 2>&1; then
		echo "ok $count - $name"
	else
		bad=1
		echo "not ok $count - $name"
		tail -n 30 "$out/log" | sed 's/^/# /'
		return 1
	fi
}

# As root would, on a system whose files are below $out/root.
dkms_()
{
	dkms "$@" -k "$ver" --dkmstree "$out/root/var/lib/dkms" --sourcetree "$out/root/usr/src" \
		--installtree "$out/root/lib/modules" --no-depmod
}

built()
{
	find "$out/root/var/lib/dkms/pbft/$version/$ver" -name 'pbft.ko*' | head -n 1
}

modinfo_is_complete()
{
	local field value missing=0
	for field in author description license version alias; do
		value=$(modinfo -F "$field" "$ko")
		echo "$field: $value"
		[ -n "$value" ] || { echo "no $field"; missing=1; }
	done
	[ "$(modinfo -F version "$ko")" = "$version" ] || missing=1
	modinfo -F alias "$ko" | grep -qx 'net-pf-16-proto-16-family-pbft' || missing=1
	modinfo -F vermagic "$ko" | grep -q "^$ver " || missing=1
	# Every parameter has a description.
	modinfo -F parm "$ko" | grep -v ':.\+ (' && missing=1
	return "$missing"
}

# The key would be the machine's owner's; any will do to see that it is taken.
sign()
{
	local headers
	headers=$(readlink -f "/lib/modules/$ver/build") || return 1
	openssl req -new -x509 -newkey rsa:2048 -nodes -days 36500 -subj '/CN=pbft test key/' \
		-keyout "$out/key.pem" -outform DER -out "$out/key.der" || return 1
	cp "$ko" "$out/signed.ko"
	"$headers/scripts/sign-file" sha256 "$out/key.pem" "$out/key.der" "$out/signed.ko" || return 1
	modinfo -F signer "$out/signed.ko" | grep -x 'pbft test key'
}

# pbftctl asks for the family, and nobody has loaded anything.
autoload()
{
	scripts/vm/vm run --kernel "$ver" --file "$1:/lib/modules/$ver/extra/pbft.ko" -- sh -c '
		depmod
		[ ! -d /sys/module/pbft ] || exit 1
		pbftctl show || exit 2
		[ -d /sys/module/pbft ] || exit 3
		cat /sys/module/pbft/version
		rmmod pbft || exit 4
		modprobe pbft && pbftctl show'
}

rm -rf "$out"
mkdir -p "$out/root/var/lib/dkms" "$out/root/usr/src" \
	"$out/root/lib/modules/$ver"
command -v dkms >/dev/null || { echo "Bail out! no dkms: scripts/deps.sh install"; exit 1; }
ok 'make install' make -s install DESTDIR="$out/root" PREFIX=/usr/local
for program in pbftctl pbftd pbft-kv; do
	ok "  $program" test -x "$out/root/usr/local/bin/$program"
done
ok 'make dkms-install' make -s dkms-install DESTDIR="$out/root" PREFIX_SRC=/usr/src
ok 'dkms add' dkms_ add "pbft/$version"
ok 'dkms build' dkms_ build "pbft/$version"
ok 'dkms install' dkms_ install "pbft/$version" --force
ko=$(built)
case $ko in
*.xz) xz -dk "$ko"; ko=${ko%.xz} ;;
esac
ok 'modinfo is complete' modinfo_is_complete
ok 'it can be signed' sign
ok 'loaded when asked for, unsigned' autoload "$ko"
ok 'loaded when asked for, signed' autoload "$out/signed.ko"
ok 'dkms remove' dkms_ remove "pbft/$version"
echo "1..$count"
exit $bad
