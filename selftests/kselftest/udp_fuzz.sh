#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A replica, primary at first, and a client are faulty: they send authentic messages
# that are made up and bent, while honest clients work. Afterwards the cluster still
# agrees. See udp-fuzz.c; FUZZ_COUNT is the number of messages, SEED replays a run.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need udp-fuzz pbft-bench check-history
diag "SEED=$SEED"
CLIENTS=64-69
make_net 4
make_conf 4 CheckpointInterval=8 Window=32 Timeout=500ms BatchBytes=4096 InlineMax=1024
start_cluster x k k k

start_bench load 68-69 -s 3600 -d 1
background fuzz ip netns exec "${NS}0" udp-fuzz --cluster "$CONF" --replica 0 \
	--replica-key "$KEYS/replica-0.key" --client 64 --client-key "$KEYS/client-64.key" \
	--netns "/run/netns/${NS}1" --instance "$NAME" \
	--seed "$SEED" --count "${FUZZ_COUNT:-3000}"
check "the fuzzer has sent all of it" wait_until gone "$PID"
diag "$(head -n 3 "$T/fuzz.log")"
check "and ended well" wait "$PID"
for id in 1 2 3; do
	diag "replica $id: view $(field "$id" view), batches $(field "$id" batches)," \
		"dropped for its form $(field "$id" drop_malformed)"
	check "replica $id dropped some for their form" \
		field_is "$id" drop_malformed -gt 50
done
before=$(field 1 last_exec)
check "clients get on" wait_field 1 last_exec -ge $((before + 50))
kill -INT "$BENCH"
history_suite load
check "no replica stopped" running 1 2 3
agree_suite 1 2 3
