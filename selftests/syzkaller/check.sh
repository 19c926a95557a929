#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# check.sh [-w]: are the constants in pbft.txt.const those of uapi/linux/pbft.h, and
# is every one there that pbft.txt uses? -w writes the file.
cd "$(dirname "$0")" || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

grep -o 'PBFT_[A-Z0-9_]*' pbft.txt | grep -v '^PBFT_CMD_$' | sort -u >"$tmp/names"
{
	echo '#include <stdio.h>'
	echo '#include <linux/genetlink.h>'
	echo '#include "linux/pbft.h"'
	echo 'int main(void) {'
	sed 's/.*/printf("& = %d\\n", &);/' "$tmp/names"
	echo 'return 0; }'
} >"$tmp/print.c"
${CC:-gcc} -I../../uapi -o "$tmp/print" "$tmp/print.c" || exit 1
{
	echo '# Made by check.sh -w from uapi/linux/pbft.h.'
	echo 'arches = amd64'
	"$tmp/print"
} >"$tmp/const"
[ "${1:-}" != -w ] || cp "$tmp/const" pbft.txt.const
diff -u pbft.txt.const "$tmp/const" && echo "$(wc -l <"$tmp/names") constants are as in the header"
