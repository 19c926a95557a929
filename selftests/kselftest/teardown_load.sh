#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Lives end under full load: instances, namespaces, the module. Over and over;
# the kernel must not complain and nothing may be left.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbftctl pbft-kv
need_module
rounds=${ROUNDS:-3}

load_cluster()
{
	make_net 4
	rm -rf "$T/$NAME.keys"
	make_conf 4 CheckpointInterval=16 Window=64
	KINDS="k k k k"
	for id in 0 1 2 3; do
		kernel_setconf "$id" --service null --null-reply 8 || return 1
		kernel_up "$id" --genesis || return 1
	done
	for id in 0 1 2 3; do
		wait_active "$id" || return 1
	done
	start_load one 100 100000
	wait_until acked_reach one 20 || return 1
	first=$LOAD
	start_load two 101 100000
	wait_until acked_reach two 20
}

# Clients and hosts of the round before.
unload_cluster()
{
	end "$first" KILL
	end "$LOAD" KILL
	cleanup
}

round=1
while [ $round -le "$rounds" ]; do
	check "round $round: a cluster under load" load_cluster
	check "round $round: delete one instance" in_ns 1 pbftctl del "$NAME"
	in_ns 2 pbftctl down "$NAME"
	check "round $round: stop another and start it" kernel_up 2
	check "round $round: delete a namespace" ip netns del "${NS}3"
	for id in 0 2; do
		check "round $round: delete the rest, $id" in_ns "$id" pbftctl del "$NAME"
	done
	unload_cluster
	round=$((round + 1))
done

round=1
while [ $round -le "$rounds" ]; do
	check "round $round: a cluster under load" load_cluster
	check "round $round: unload the module" rmmod pbft
	[ ! -d /sys/module/pbft ]
	ok $? "round $round: it is gone"
	unload_cluster
	need_module
	round=$((round + 1))
done

check "a last cluster under load" load_cluster
cleanup
check "all namespaces at once, then the module" wait_until rmmod pbft
need_module
