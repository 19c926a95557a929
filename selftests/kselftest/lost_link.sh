#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# One link of six is lost, between the primary and another. That one gets from the
# others what the primary tells, for longer than a log is, and nobody leaves the view.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbft-bench check-history
make_net 4
# no machine is so slow that a view would be left for it
make_conf 4 CheckpointInterval=16 Window=64 Timeout=60s
start_cluster k k k k
start_bench load 100-101 -s 3600 -d 2

goes_on()
{
	wait_field "$1" last_exec -ge $(($(field "$1" last_exec) + 100))
}

lost_link()
{
	in_ns 0 ip route add blackhole "$(address 1)/32" &&
		in_ns 1 ip route add blackhole "$(address 0)/32"
}

check "load is under way" wait_field 0 last_exec -ge 20
check "the primary and one other do not hear each other" lost_link
check "work goes on" goes_on 0
check "also there" goes_on 1
for id in 0 1 2 3; do
	check_is "replica $id is in the view where it began" \
		"$(fields "$id" view pending view_changes)" "0 false 0"
done
in_ns 0 ip route flush type blackhole
in_ns 1 ip route flush type blackhole
kill -INT "$BENCH"
history_suite load
check "no replica stopped" running 0 1 2 3
agree_suite 0 1 2 3
