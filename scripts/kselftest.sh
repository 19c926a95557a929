#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The functional tests, in a VM with two CPUs; prints their TAP.
# usage: scripts/kselftest.sh [TEST...]		(KVER chooses the kernel)
cd "$(dirname "$0")/.." || exit 1
exec scripts/vm/vm run --smp 2 --mem 1024 --timeout "${KSELFTEST_TIMEOUT:-2300}" -- \
	/selftests/run.sh "$@"
