# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2154 # beside lib.sh
# lib-fail.sh: allocations that fail when told to. Sourced after lib.sh by tests that
# need them, on a kernel with fault injection: see scripts/kernels.

debug=/sys/kernel/debug

# control ATTRIBUTE VALUE: of both injectors
control()
{
	for injector in failslab fail_page_alloc; do
		echo "$2" >$debug/$injector/"$1" || bail "$injector has no $1"
	done
}

# need_injection: nothing fails yet but what says so by fail-nth, and that in allocations
# that may sleep, too
need_injection()
{
	if [ ! -d $debug/failslab ] || [ ! -d $debug/fail_page_alloc ] ||
	   [ ! -e /proc/self/fail-nth ]; then
		ok 0 "failing allocations # SKIP this kernel has no fault injection"
		exit 0
	fi
	control verbose 0
	control probability 0
	control task-filter N
	control ignore-gfp-wait N 2>/dev/null
	echo 0 >$debug/fail_page_alloc/min-order
}
