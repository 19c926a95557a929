# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2153,SC2154 # a part of lib.sh
# lib-clients.sh: the clients of the tests' clusters, and what clients and replicas
# must agree on afterwards. Sourced by lib.sh.

# ---- clients ------------------------------------------------------------------------

# kv ARGUMENT...: as client 100
kv()
{
	in_ns c pbft-kv -c "$CONF" -i 100 -k "$KEYS/client-100.key" -q -t "$DEADLINE" "$@"
}

# kv_as CLIENT ARGUMENT...
kv_as()
{
	client=$1
	shift
	in_ns c pbft-kv -c "$CONF" -i "$client" -k "$KEYS/client-$client.key" -q \
		-t "$DEADLINE" "$@"
}

# records FILE FIRST LAST [BYTES]: as pbft-kv load reads them, and how long values are
records()
{
	filling=$(head -c "${4:-40}" /dev/zero | tr '\0' .)
	seq "$2" "$3" | sed "s/.*/key-&\tvalue of & $filling/" >"$1"
}

# null_with_answers [fail]: three replicas of the null service, and nl-answers for one that
# answers as it does. A batch comes soon, also when no client asks for any.
null_with_answers()
{
	make_net 4
	make_conf 4 CheckpointInterval=8 Window=64 Heartbeat=20ms
	KINDS="n n n x"
	for id in 0 1 2; do
		check "replica $id" start_null "$id" --genesis
	done
	start_load one 100 300
	run_tap in_ns 3 nl-answers "$CONF" "$KEYS/replica-3.key" 3 "$@"
	check "the load ends without an error" wait_load
	check "no replica stopped" running 0 1 2
}

# start_load NAME CLIENT COUNT [BYTES]: load records in the background; LOAD is its pid,
# acknowledged keys go to $T/NAME.acked
start_load()
{
	records "$T/$1.rec" 1 "$3" "${4:-}"
	: >"$T/$1.acked"
	background "$1" ip netns exec "${NS}c" pbft-kv -c "$CONF" -i "$2" \
		-k "$KEYS/client-$2.key" -q -t "$DEADLINE" --acked "$T/$1.acked" \
		load "$T/$1.rec"
	LOAD=$PID
}

# acked NAME: how many
acked()
{
	wc -l <"$T/$1.acked"
}

acked_reach()
{
	[ "$(acked "$1")" -ge "$2" ]
}

# wait_load: until it is done; its status
wait_load()
{
	wait_until gone "$LOAD" || return 1
	wait "$LOAD"
}

# start_bench NAME CLIENTS OPTION...: pbft-bench in the background, its history in
# $T/NAME.history; BENCH is its pid
start_bench()
{
	name=$1
	clients=$2
	shift 2
	background "$name" ip netns exec "${NS}c" pbft-bench -c "$CONF" --keys "$KEYS" \
		--clients "$clients" --warmup 0 -t "$DEADLINE" \
		--history "$T/$name.history" -w mix --key-space 5 "$@"
	BENCH=$PID
}

# wait_bench: until it is done; its status
wait_bench()
{
	wait_until gone "$BENCH" || return 1
	wait "$BENCH"
}

# history_suite NAME: every operation of start_bench was answered, and rightly, also
# with what was seen of this cluster before
history_suite()
{
	check "$1: all operations of the clients are answered" wait_bench
	cat "$T/$1.history" >>"$T/$NAME.histories"
	check "$1: what they saw is linearizable" check-history "$T/$NAME.histories"
}

# client_suite RECORDS: what any cluster must do, whatever its replicas run on.
client_suite()
{
	check "put" kv put alpha one
	check_is "get what was put" "$(kv get alpha)" one
	check "cas from the right value" kv cas alpha one two
	kv cas alpha one three >/dev/null 2>&1
	check_is "cas from a wrong value is refused" $? 1
	check_is "and changes nothing" "$(kv get alpha)" two
	check "put from another client" kv_as 101 put beta "$(seq 1 400 | tr '\n' ' ')"
	check_is "both clients see both keys" "$(kv list | tr '\n' ' ')" "alpha beta "
	check_is "a long value comes back whole" "$(kv get beta)" "$(seq 1 400 | tr '\n' ' ')"
	check "del" kv del alpha
	kv get alpha >/dev/null 2>&1
	check_is "what was deleted is not found" $? 1
	records "$T/many.rec" 1 "$1"
	check "$1 records, pipelined" kv load "$T/many.rec"
	check "read back and compared" kv_as 101 verify "$T/many.rec"
}

# agree NAME ID...: wait until same_NAME, else tell where each of them is
agree()
{
	aspect=$1
	shift
	rm -f "$T/had"
	wait_until "same_$aspect" "$@" && return
	for id; do
		echo "replica $id: $(fields "$id" last_exec chain h checkpoint \
			checkpoint_digest view pending mute fetching)"
	done
	return 1
}

# running ID...: these instances have not stopped
running()
{
	for id; do
		[ "$(field "$id" state)" = up ] && continue
		echo "replica $id: $(fields "$id" state reason)"
		return 1
	done
}

# same_checkpoint_soon ID...: an idle cluster comes to its next checkpoint at one batch
# a heartbeat; the last of the clients takes it there
same_checkpoint_soon()
{
	same_checkpoint "$@" && return
	kv_as "${CLIENTS##*-}" put soon yes >/dev/null 2>&1
	return 1
}

# agree_suite ID...: these replicas have executed the same
agree_suite()
{
	check "the replicas' logs are the same" agree head "$@"
	check "and so are their states at a checkpoint" agree checkpoint_soon "$@"
}
