#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Replicas of a new cluster come one after the other, the first primary last, each
# when the one before has waited longer than its timeouts. Alone none leaves its
# view; a quorum does. In the end they find together.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbftctl pbftd pbft-kv
need_module
KINDS="k k k k"
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=300ms Heartbeat=2s
for id in 3 2; do
	check "replica $id comes" start_replica "$id" --genesis
	# one STATUS to each peer in 0.8 s; its patience is 4.3 s
	check "and has waited" wait_field "$id" tx_packets -ge 18
	check_is "without a quorum it stays in its view" "$(field "$id" view_changes)" 0
done
check "replica 1 comes" start_replica 1 --genesis
for id in 3 2 1; do
	check "three leave the view whose primary is not there, $id" \
		wait_field "$id" view_changes -ge 1
done
check "replica 0 comes" start_replica 0 --genesis
check "a client is served" kv put alpha one
wait_all wait_active
check_is "reads too" "$(kv get alpha)" one
records "$T/one.rec" 1 100
check "and goes on" kv load "$T/one.rec"
agree_suite 0 1 2 3
