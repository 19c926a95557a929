#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The functional tests, in a VM with two CPUs; prints their TAP.
#
# usage: scripts/kselftest.sh [TEST...]
#
# HEARTBEAT is how long idle replicas stand still, to be looked at one by one.
# KVER chooses the kernel, or FLAVOUR one of scripts/kernels; the module must have
# been built for it. On those that have kmemleak, a last test looks for leaks.

cd "$(dirname "$0")/.." || exit 1
limit=${KSELFTEST_TIMEOUT:-3500}
cpus=2 mem=1400 leaks=true each=600
# Debian's kernels cannot be told to fail, nor do they tell where they have been; of those
# of scripts/kernels some can and do.
skips='no fault injection\|no KCOV'
case ${FLAVOUR-} in
# kmemleak keeps a record of each allocation, and frees it late when CPUs are busy.
debug) leaks=leak-check mem=4096 skips= ;;
uml) cpus=1 skips='no KCOV' ;;
lite) skips='no KCOV' ;;
esac
settings="ALLOW_SKIP=\"$skips\""
if [ -n "${FLAVOUR-}" ]; then
	KVER=$(scripts/kernels/build.sh --version "$FLAVOUR") || exit 1
	export KVER
	limit=${KSELFTEST_TIMEOUT:-14000} each=3600
	settings="$settings DEADLINE=900"
	HEARTBEAT=${HEARTBEAT-60s}
fi
settings="$settings HEARTBEAT=${HEARTBEAT-3s}"
exec scripts/vm/vm run --smp "$cpus" --mem "$mem" --timeout "$limit" -- \
	sh -c "$settings /selftests/run.sh -t $each \"\$@\"; status=\$?
		$leaks || status=1
		exit \$status" sh "$@"
