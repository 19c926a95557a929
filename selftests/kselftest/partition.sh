#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Partitions under load, by routes that go nowhere: halves without a quorum, a
# primary that is heard but does not hear, one that hears but is not heard. What
# clients see stays linearizable, and when the network heals, work goes on.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbft-bench check-history
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=500ms
start_cluster k k k k

# cut FROM TO...: nothing goes from one to the others
cut_off()
{
	from=$1
	shift
	for to; do
		in_ns "$from" ip route add blackhole "$(address "$to")/32" || return 1
	done
}

heal()
{
	for from in 0 1 2 3; do
		in_ns $from ip route flush type blackhole
	done
}

# others PRIMARY: the replicas that are not
others()
{
	echo "0 1 2 3" | sed "s/$1//"
}

# deafen I: nobody reaches it
deafen()
{
	for id in $(others "$1"); do
		cut_off "$id" "$1" || return 1
	done
}

goes_on()
{
	wait_field "$1" last_exec -ge $(($(field "$1" last_exec) + 30))
}

start_bench load 100-102 -s 3600 -d 2
check "load is under way" goes_on 0

halves()
{
	cut_off 0 2 3 && cut_off 1 2 3 && cut_off 2 0 1 && cut_off 3 0 1
}
check "two halves" halves

# each replica has sent so much more: its timers went off many times
time_passes()
{
	for id in 0 1 2 3; do
		wait_field $id tx_packets -ge $(($(field $id tx_packets) + 40)) || return 1
	done
}

largest()
{
	for id in 0 1 2 3; do
		field $id "$1"
	done | sort -n | tail -n 1
}

# What was said before the cut may have been a quorum, for a commit or a new view.
check "what was under way has come to rest" time_passes
at=$(largest last_committed)
highest=$(largest view)
for id in 0 1 2 3; do
	eval "active_$id='$(fields $id view pending)'"
done
background put ip netns exec "${NS}c" pbft-kv -c "$CONF" -i 103 \
	-k "$KEYS/client-103.key" -q -t "$DEADLINE" put meanwhile yes
put=$PID
background get ip netns exec "${NS}c" pbft-kv -c "$CONF" -i 104 \
	-k "$KEYS/client-104.key" -q -t "$DEADLINE" list
get=$PID
check "time passes" time_passes
check_is "nothing was committed meanwhile" "$(largest last_committed)" "$at"
check "no put was answered" alive "$put"
check "nor a read, from two replicas that agree" alive "$get"

# One that waits for an operation leaves its view, unless it has not heard a quorum for
# long when the operation comes: which of the two, is decided by how fast clients are.
# But two cannot enter a view, nor have they a reason to leave another.
not_elsewhere()
{
	now=$(fields "$1" view pending) was=
	eval "was=\$active_$1"
	echo "view, pending: $was, then $now"
	[ "${now#* }" = true ] || [ "$now" = "$was" ]
}
for id in 0 1 2 3; do
	check "replica $id is active in no other view" not_elsewhere $id
done
check "and none has gone from view to view" test "$(largest view)" -le $((highest + 1))
diag "neither has a quorum: replica 2 is in view $(field 2 view), pending: $(field 2 pending)"
heal
check "together again, work goes on" goes_on 3
wait_all wait_active
check "the put is answered" wait_until gone "$put"
check "and well" wait "$put"
check "so is the read" wait_until gone "$get"
check "and well" wait "$get"

primary=$(field 1 primary)
view=$(field 1 view)
check "the primary is heard, but hears nobody" deafen "$primary"
other=$(((primary + 1) % 4))
check "the others leave its view" wait_view "$other" $((view + 1))
check "and work goes on" goes_on "$other"
heal
check "it comes back, to their view" wait_view "$primary" $((view + 1))

primary=$(field 1 primary)
view=$(field 1 view)
# shellcheck disable=SC2046 # a word for each replica
check "the primary hears, but is not heard by replicas" cut_off "$primary" $(others "$primary")
other=$(((primary + 1) % 4))
check "the others leave its view" wait_view "$other" $((view + 1))
check "and work goes on" goes_on "$other"
heal
check "it comes back, to their view" wait_view "$primary" $((view + 1))

kill -INT "$BENCH"
history_suite load
check "no replica stopped" running 0 1 2 3
agree_suite 0 1 2 3
