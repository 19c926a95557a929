#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Build everything; any warning is a failure, sparse's included.
set -eu
cd "$(dirname "$0")/.."
B=${B:-build}
log=$B/check/build-output.log
mkdir -p "$B/check"
make -j"$(nproc)" all KFLAGS="W=1 C=1" >"$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
# pahole is only needed for BTF, which a module does without
if grep -E 'warning:|\.(c|h):[0-9]+:[0-9]+: error' "$log"; then
	echo "the build has warnings"
	exit 1
fi
echo "built without warnings"
