#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# One link of six is lost, between the primary and another. That one gets from the
# others what the primary tells, for longer than a log is, and nobody leaves the view.
# The load is one client's: what is faster than the others' word for it makes the replica
# fetch states, which is another matter.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
# no machine is so slow that a view would be left for it
make_conf 4 CheckpointInterval=16 Window=64 Timeout=60s
start_cluster k k k k
start_load one 100 300

lost_link()
{
	in_ns 0 ip route add blackhole "$(address 1)/32" &&
		in_ns 1 ip route add blackhole "$(address 0)/32"
}

check "load is under way" wait_until acked_reach one 20
check "the primary and one other do not hear each other" lost_link
check "work goes on, for longer than a log is" wait_load
check "also there" wait_field 1 last_exec -ge "$(field 2 last_exec)"
for id in 0 1 2 3; do
	check_is "replica $id is in the view where it began" \
		"$(fields "$id" view pending view_changes)" "0 false 0"
done
in_ns 0 ip route flush type blackhole
in_ns 1 ip route flush type blackhole
check "no replica stopped" running 0 1 2 3
agree_suite 0 1 2 3
