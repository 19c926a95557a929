#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Proactive recovery by schedule: all replicas of a cluster recover in turn, kernel and
# userspace, each in slots of its own, by agreed time.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

SLOT=${SLOT:-10}	# seconds; there are four of them

make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=60s Recovery=$((4 * SLOT))s
start_cluster k k k u
check_is "the kernel has it" "$(in_ns 0 pbftctl showconf "$NAME" | sed -n 's/^Recovery = //p')" \
	"$((4 * SLOT))s"
for id in 0 1 2; do
	background "monitor$id" ip netns exec "$NS$id" pbftctl monitor "$NAME" --json
done

# all_recovered: agreed time moves with what clients ask for
all_recovered()
{
	tick=$((${tick:-0} + 1))
	kv put "tick$((tick % 40))" "$tick" || return 1
	for id in 0 1 2 3; do
		[ "$(fields "$id" recovery recovery_scheduled pages_damaged)" = "done true 0" ] ||
			return 1
	done
}

check "all of them recover in turn" wait_until all_recovered
for id in 0 1 2 3; do
	check "replica $id has new keys" field_is $id key_id -ge 1
done

# turns: of each recovery begun by schedule, who, and in which slot of agreed time
turns()
{
	for id in 0 1 2; do
		grep -o '"time":[0-9]*\|"event":"[a-z-]*"\|"recovery":"[a-z-]*"' \
			"$T/monitor$id.log" | tr -d '"' | awk -F: -v id="$id" -v slot="$SLOT" '
			$1 == "time" { time = substr($2, 1, length($2) - 9) }
			$1 == "event" && $2 == "recovery-begun" {
				print id, int(time / slot) % 4
			}'
	done
}

turns >"$T/turns"
# shellcheck disable=SC2016 # the program is for awk
check "each in its own slots" awk '$1 != $2 { bad = 1 } END { exit bad || NR < 3 }' "$T/turns"
diag "$(cat "$T/turns")"
check "no view was left for it" field_is 0 view = 0
agree_suite 0 1 2 3
