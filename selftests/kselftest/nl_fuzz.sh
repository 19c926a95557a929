#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The netlink family under made-up messages: alone, guided by coverage where the kernel
# has it, and then in the namespace of a working replica, two fuzzers at a time, that
# may delete it while it has load. See nl-fuzz.c; FUZZ_COUNT is the number of messages,
# SEED replays a run.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need nl-fuzz pbft-bench check-history
need_module
kcov=/sys/kernel/debug/kcov
messages=${FUZZ_COUNT:-2500}
diag "SEED=$SEED"
make_net 4
add_netns f
# what one descriptor tells is of one process
if [ -e $kcov ]; then
	run_tap in_ns f nl-fuzz --seed "$SEED" --count "$messages" --kcov 9 9<>$kcov
else
	run_tap in_ns f nl-fuzz --seed "$SEED" --count "$messages"
	ok 0 "guided by coverage # SKIP this kernel has no KCOV"
fi

make_conf 4 CheckpointInterval=16 Window=64 Timeout=1s
start_cluster k k k k
start_bench load 100-101 -s 3600 -d 1
check "load is under way" wait_field 0 last_exec -ge 20
before=$(field 0 last_exec)
fuzzers=
for i in 1 2; do
	background "fuzz$i" ip netns exec "${NS}3" nl-fuzz --shared --live "$NAME" \
		--seed $((SEED + i)) --count "$((messages / 2))"
	fuzzers="$fuzzers $PID"
done
i=0
for fuzz in $fuzzers; do
	i=$((i + 1))
	check "fuzzer $i is done" wait_until gone "$fuzz"
	run_tap cat "$T/fuzz$i.log"
done
after=$((before + 20))
check "the load went on" wait_field 0 last_exec -ge "$after"
kill -INT "$BENCH"
history_suite load
check "the other replicas did not stop" running 0 1 2
agree_suite 0 1 2
for id in 0 1 2 3; do
	in_ns 3 pbftctl del "f$id" 2>/dev/null
done
in_ns 3 pbftctl show >"$T/left" 2>&1
check_is "nothing of the fuzzers' is left" "$(grep -c '^instance f' "$T/left")" 0
