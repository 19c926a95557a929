#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# static.sh [CHECK...]: what can be found without running anything. Prints TAP.
#
#   w1          the module with W=1 and sparse
#   clang       the module with clang, in a tree that clang configured
#   checkpatch  the kernel's style; --strict for what is kernel code
#   coccinelle  the kernel's semantic patches, on the module
#   kerneldoc   comments on what is public
#   shell       shellcheck on all scripts
#
# The tools of the kernel come from Debian's linux-source.

# shellcheck disable=SC2317,SC2086,SC2048 # called by name; lists of words
set -u
cd "$(dirname "$0")/.." || exit 1
B=${B:-build}
out=$B/static
count=0 bad=0
mkdir -p "$out"

# Left out for all C, and why:
#   FILE_PATH_CHANGES, SPDX_LICENSE_TAG	about patches, not files
#   CAMELCASE				names of libraries and of QEMU's
#   MACRO_ARG_REUSE			tables of attributes are made with such
#   LONG_LINE*, SPLIT_STRING		a message for a person stays whole
# For kernel code:
#   OPEN_ENDED_LINE, PARENTHESIS_ALIGNMENT	how tracepoints are laid out (trace.h)
#   BIT_MACRO				not for what userspace includes
#   UNCOMMENTED_DEFINITION		locks are told of where their structure begins
#   EMBEDDED_FUNCTION_NAME		English words, not functions
#   ALLOC_WITH_MULTIPLY			kmalloc_array is not among the core's shims
#   TYPO_SPELLING			its list knows only one of two spellings
kernel_ignore=FILE_PATH_CHANGES,SPDX_LICENSE_TAG,CAMELCASE,MACRO_ARG_REUSE,LONG_LINE,LONG_LINE_STRING,SPLIT_STRING
kernel_ignore=$kernel_ignore,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT,BIT_MACRO
kernel_ignore=$kernel_ignore,UNCOMMENTED_DEFINITION,EMBEDDED_FUNCTION_NAME,TYPO_SPELLING
kernel_ignore=$kernel_ignore,ALLOC_WITH_MULTIPLY
# For programs, which have libc in place of the kernel's headers: types,
# attributes, volatile sig_atomic_t, declarations of what a shim stands for.
program_ignore=$kernel_ignore,PREFER_KERNEL_TYPES,PREFER_DEFINED_ATTRIBUTE_MACRO,VOLATILE
program_ignore=$program_ignore,AVOID_EXTERNS,NEW_TYPEDEFS,MINMAX,STATIC_CONST_CHAR_ARRAY
program_ignore=$program_ignore,COMPLEX_MACRO,QUOTED_WHITESPACE_BEFORE_NEWLINE,MISSING_SPACE

usage()
{
	sed -n '3,13s/^# \{0,1\}//p' "$0"
}

result()	# STATUS NAME LOG
{
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		bad=1
		echo "not ok $count - $2"
		grep -E 'error|warning|ERROR|WARNING|CHECK|^In |:[0-9]+:' "$3" | head -n 40 |
			sed 's/^/# /'
	fi
}

# What git knows or would take. Of a tree that it will not look at, what was not built.
listed()
{
	local pattern
	git ls-files -co --exclude-standard -- "$@" 2>/dev/null && return
	for pattern in "${@:-*}"; do
		find . \( -path "./$B" -o -name .git \) -prune -o -path "./$pattern" -printf '%P\n'
	done
}

# All files of the project, or those that match.
sources()
{
	listed "$@" | while read -r f; do
		[ ! -f "$f" ] || echo "$f"
	done
}

# no_warnings LOG: fails if a compiler, sparse or modpost had something to say
no_warnings()
{
	! grep -E 'warning:|WARNING:|:[0-9]+: error|\.[ch]:[0-9]+:[0-9]+: ' "$1" |
		grep -v 'Skipping BTF generation'
}

module()	# NAME DIR [ARG...]: build the module afresh in $out/DIR
{
	local name=$1 dir=$2 log=$out/$2.log status
	shift 2
	rm -rf "${out:?}/$dir"
	make -j"$(nproc)" modules B="$out/$dir" "$@" >"$log" 2>&1 && no_warnings "$log" >/dev/null
	status=$?
	result $status "$name" "$log"
}

# A configured kernel tree, enough for modules: TREE [MAKE ARGUMENT...]
prepare()
{
	local tree=$PWD/$out/$1 fragments='common x86' f
	shift
	[ ! -e "$tree/pbft-ready" ] || return 0
	rm -rf "$tree"
	mkdir -p "$tree"
	{
		make -C "$linux" O="$tree" "$@" tinyconfig &&
		for f in $fragments; do cat "scripts/kernels/$f.config"; done >>"$tree/.config" &&
		make -C "$linux" O="$tree" "$@" olddefconfig &&
		make -C "$linux" O="$tree" "$@" -j"$(nproc)" modules_prepare
	} >"$tree.prepare" 2>&1 && touch "$tree/pbft-ready"
}

w1()
{
	module 'the module, W=1 and sparse: no warning' w1 KFLAGS='W=1 C=2'
}

clang()
{
	local ver
	ver=$(scripts/vm/kernel-version) || exit 1
	prepare tree-clang LLVM=1 || { result 1 'a tree for clang' "$out/tree-clang.prepare"; return; }
	# Only a whole kernel knows what it exports: Debian's, of the same series.
	cp "/lib/modules/$ver/build/Module.symvers" "$out/tree-clang/" || exit 1
	module 'the module, clang: no warning' clang KDIR="$PWD/$out/tree-clang" \
		KFLAGS='LLVM=1 W=1'
}

checkpatch()
{
	local run="perl $linux/scripts/checkpatch.pl --no-tree --terse --show-types --no-summary"
	# Its speed is measured in files: one process for each CPU.
	sources 'kmod/*.[ch]' 'uapi/*.h' 'scripts/kernels/*.c' |
		xargs -P "$(nproc)" -n 8 $run --strict --ignore "$kernel_ignore" -f >"$out/checkpatch.log" 2>&1
	result $? 'checkpatch --strict: kernel code' "$out/checkpatch.log"
	sources 'userspace/*.[ch]' 'selftests/*.[ch]' 'scripts/vm/*.c' |
		xargs -P "$(nproc)" -n 8 $run --ignore "$program_ignore" -f >"$out/checkpatch-user.log" 2>&1
	result $? 'checkpatch: programs' "$out/checkpatch-user.log"
}

# Reports are lines on standard output; spatch itself speaks on the other.
semantic_patch()	# FILE DIR
{
	local said
	{
		said=$(timeout 900 spatch -D report --no-show-diff --very-quiet --no-includes \
			--include-headers --cocci-file "$1" --dir "$2" 2>&1 >&3) ||
			echo "error: $1: $(tail -n 1 <<<"$said")"
	} 3>&1
}
export -f semantic_patch

# Left out are those few that need a compiler for OCaml, and are about patches to drivers.
coccinelle()
{
	local dir=$out/cocci log=$out/coccinelle.log status=0 from=$linux/scripts/coccinelle
	rm -rf "$dir"
	mkdir -p "$dir/core"
	cp kmod/*.[ch] "$dir" && cp kmod/core/*.[ch] "$dir/core"
	grep -l 'virtual report' "$from"/{api,free,iterators,locks,misc,null,tests}/*.cocci |
		xargs grep -L 'script:ocaml\|initialize:ocaml' |
		xargs -P "$(nproc)" -I '{}' bash -c 'semantic_patch "$@"' sh '{}' "$dir" >"$log" 2>&1 ||
		status=1
	! grep -q '^error: \|:[0-9]' "$log" || status=1
	result $status 'coccinelle: the kernel'"'"'s semantic patches find nothing' "$log"
}

kerneldoc()
{
	local status=0
	sources 'uapi/*.h' kmod/core/core.h 'userspace/libpbft/*.h' |
		xargs perl "$linux/scripts/kernel-doc" -none -Werror >"$out/kerneldoc.log" 2>&1 || status=1
	! grep -q 'warning:\|error:' "$out/kerneldoc.log" || status=1
	result $status 'kernel-doc: no warning' "$out/kerneldoc.log"
}

shell()
{
	local f
	sources | while read -r f; do
		case $(head -c 64 "$f" | tr -d '\0' | head -n 1) in
		'#!'*sh) echo "$f" ;;
		esac
	done | xargs shellcheck -x >"$out/shellcheck.log" 2>&1
	result $? 'shellcheck: all scripts' "$out/shellcheck.log"
}

linux=$(scripts/kernels/build.sh --source) || exit 1
linux=$(cd "$linux" && pwd)
[ "${1-}" != -h ] || { usage; exit 0; }
for check in ${*:-w1 clang checkpatch coccinelle kerneldoc shell}; do
	case $check in
	w1 | clang | checkpatch | coccinelle | kerneldoc | shell) $check ;;
	*) usage >&2; exit 2 ;;
	esac
done
echo "1..$count"
exit $bad
