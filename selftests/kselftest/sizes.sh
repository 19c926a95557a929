#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Clusters of 7, 10 and 31 kernel replicas: clients are served, then f replicas are
# lost, the primary among them, and clients are served again.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

# of KIND N LOST RECORDS: the first LOST replicas go
of()
{
	kind=$1 n=$2 lost=$3 records=$4
	make_net "$n"
	rm -rf "$T/$NAME.keys"
	make_conf "$n" CheckpointInterval=16 Window=64 Heartbeat=60s \
		"Timeout=$((DEADLINE / 40))s"
	# shellcheck disable=SC2046 # a word for each replica
	start_cluster $(yes "$kind" | head -n "$n")
	records "$T/one.rec" 1 "$records"
	check "n = $n: $records records" kv load "$T/one.rec"
	# shellcheck disable=SC2046 # a word for each replica
	check "n = $n: all replicas executed the same" agree head $(seq 0 $((n - 1)))
	id=0
	while [ $id -lt "$lost" ]; do
		in_ns $id ip link set eth0 down
		id=$((id + 1))
	done
	check "n = $n: $lost are lost, and $records more go on" kv load "$T/one.rec"
	check "n = $n: in a later view" wait_view "$lost" "$lost"
	# shellcheck disable=SC2046 # a word for each replica
	check "n = $n: the others executed the same" agree head $(seq "$lost" $((n - 1)))
	# shellcheck disable=SC2046 # a word for each replica
	check "n = $n: none has stopped" running $(seq 0 $((n - 1)))
	cleanup
}

of k 7 2 60
of n 10 3 60
# one of ten that may be lost: each view change is of 31 replicas
of n 31 1 20
