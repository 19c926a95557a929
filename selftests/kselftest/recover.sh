#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Proactive recovery on demand: bits turn over in the database of a replica while it is
# in use and the cluster under load; it takes new keys, finds them and gets what was
# there from the others, and nobody notices.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=../lib-disk.sh
. "$(dirname "$0")/../lib-disk.sh"

need strings
make_net 4
# no machine is so slow that a view would be left for it
make_conf 4 CheckpointInterval=16 Window=64 Timeout=60s Heartbeat=60s
start_cluster k k k k

recover()
{
	in_ns "$1" pbftctl recover "$NAME"
}

# generation_of I J: what I knows of J's keys
generation_of()
{
	in_ns "$1" pbftctl show "$NAME" | sed -n "s/^  replica $2: .* generation //p"
}

knows_generation()
{
	[ "$(generation_of "$1" "$2")" = "$3" ]
}

db_of()
{
	echo "$T/$NAME-db$1/data.mdb"
}

# damage WORD I: of a value that LMDB keeps apart, so that nothing but a put moves it
damage()
{
	spots=$(places "$1" "$(db_of "$2")")
	[ -n "$spots" ] || return 1
	for at in $spots; do
		flip "$(db_of "$2")" $((at + 3))
	done
}

# keep_loading: the same records again and again, until it is enough
keep_loading()
{
	while [ ! -e "$T/enough" ]; do
		kv_as 101 load "$T/one.rec" || return 1
		echo again >>"$T/rounds"
	done
}

rounds_reach()
{
	[ "$(wc -l <"$T/rounds")" -ge "$1" ]
}

stored()
{
	[ -n "$(places "$1" "$(db_of "$2")")" ]
}

# ---- refusals ------------------------------------------------------------------------

check "nothing was recovered yet" field_is 0 recovery = none
check "the daemon is asked to recover before the first checkpoint" recover 0
check "not twice at a time" refused "a recovery is under way already" recover 0
check_is "it waits for a checkpoint that is stable" "$(field 0 recovery)" running
end "$(daemon_pid 1)"
check "who has no daemon has nobody to ask" refused \
	"no daemon is bound to this instance: there is nobody to check the state" recover 1
start_daemon 1
check "a daemon again" wait_field 1 bound = true

# ---- damage under load ----------------------------------------------------------------

hay=$(head -c 3000 /dev/zero | tr '\0' .)
check "a value to be damaged" kv put needle "straight-needle-in-the-hay$hay"
background monitor ip netns exec "${NS}3" pbftctl monitor "$NAME"
records "$T/one.rec" 1 100
: >"$T/rounds"
background load keep_loading
LOAD=$PID
check "load is under way" wait_until rounds_reach 1
check "what waited for a checkpoint is done" wait_kernel 0 --recovered
check_is "and found nothing" "$(fields 0 recovery pages_checked pages_damaged)" "done 2048 0"
check "the value is in the database" wait_until stored straight-needle 3
check "a bit of it turns over" damage straight-needle 3
in_ns 3 pbftctl recover "$NAME" --wait --timeout "$DEADLINE" >"$T/report" 2>&1
check_is "recovered" $? 0
diag "$(cat "$T/report")"
check "the report says what was found" grep -q \
	'^r: recovery done, 2048 of 2048 pages checked at [0-9]*, 1 damaged, 1 repaired, ended .* UTC, key generation 1$' \
	"$T/report"
check_is "show says so, too" "$(fields 3 recovery recovery_scheduled pages_damaged \
	pages_repaired)" "done false 1 1"
for id in 0 1 2; do
	check "replica $id has heard from its new keys" wait_until knows_generation $id 3 1
	check "and recovers" recover $id
	check "to the end" wait_kernel $id --recovered
	check_is "nothing was damaged" "$(fields $id recovery pages_damaged)" "done 0"
done
for id in 1 2; do
	check "replica $id is heard under its new keys" wait_until knows_generation 3 $id 1
done
check "replica 0 under those after them" wait_until knows_generation 3 0 2
for id in 0 1 2 3; do
	check_is "replica $id dropped nothing for a MAC" "$(field $id drop_mac)" 0
done
check "load goes on" wait_until rounds_reach $(($(wc -l <"$T/rounds") + 1))
check "the monitor has told of it" sh -c "grep -q '^recovery-begun $NAME: ' $T/monitor.log &&
	grep -q '^recovery-ended $NAME: ' $T/monitor.log"
touch "$T/enough"
check "the load ends without an error" wait_load
check_is "nobody changed the view" "$(field 0 view)" 0
check "all of it is there" kv verify "$T/one.rec"
agree_suite 0 1 2 3
end "$(daemon_pid 3)"
check "the database is sound" pbftd --dump-head --check --db "$T/$NAME-db3"

# ---- the generation outlives the replica -------------------------------------------------

for generation in 100 200; do
	check "replica 0 goes to generation $generation" \
		in_ns 0 pbftctl rotate-key "$NAME" $generation
	check "which is heard" wait_until knows_generation 3 0 $generation
done
check "a recovery goes on from there" recover 0
check "to its end" wait_kernel 0 --recovered
check_is "under the next one" "$(field 0 key_id)" 201
check "which is heard, too" wait_until knows_generation 3 0 201
crash 3
check "a replica that is made anew" kernel_setconf 3
check "comes up" kernel_up 3
check_is "under the first generation, which nobody hears" "$(field 3 key_id)" 0
start_daemon 3
check "its daemon knows which it was" wait_field 3 key_id = 1
start_load two 102 200
check "it votes again" wait_voting 3
check "and hears replica 0" wait_until knows_generation 3 0 201
check "and nobody minds" wait_load
agree_suite 0 1 2 3

# ---- what cannot be repaired ---------------------------------------------------------------

crash 3
check "a null service" in_ns 3 pbftctl setconf "$NAME" "$CONF" --key "$KEYS/replica-3.key" \
	--service null
check "has nothing to recover" refused \
	"this instance runs the null service, which has no state to recover" recover 3
in_ns 3 pbftctl del "$NAME"
check "a replica that is down" kernel_setconf 3
check "has to come up first" refused "the instance is down: bring it up first" recover 3
check_is "and wants its arguments right" "$(in_ns 3 pbftctl recover "$NAME" --timeout 3 2>&1 |
	head -n 1)" "pbftctl recover: --timeout without --wait"
