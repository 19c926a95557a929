#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Lives end under full load: instances, namespaces, the module. Over and over, the
# kernel must not complain and nothing may be left. TEARDOWNS is how many in all.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbftctl pbft-kv
need_module
teardowns=${TEARDOWNS:-60}
modules=$((teardowns / 30 + 1))
namespaces=$((teardowns / 5))
instances=$((teardowns - modules - namespaces))

load_cluster()
{
	make_net 4
	rm -rf "$T/$NAME.keys"
	make_conf 4 CheckpointInterval=16 Window=64
	KINDS="n n n n"
	for_kind n start_null --genesis
	wait_all wait_active
	start_load one 100 100000
	first=$LOAD
	start_load two 101 100000
	second=$LOAD
	wait_until acked_reach one 20 && wait_until acked_reach two 20
}

# Clients and hosts of the round before.
unload_cluster()
{
	end "$first" KILL
	end "$second" KILL
	cleanup
}

# A load that has come to its end begins anew.
renew()
{
	if gone "$first"; then
		start_load one 100 100000
		first=$LOAD
	fi
	if gone "$second"; then
		start_load two 101 100000
		second=$LOAD
	fi
}

went_on()	# FROM BY
{
	renew
	n=$(acked one)
	[ "$n" -ge "$1" ] || set -- 0 "$2"
	[ "$n" -ge $(($1 + $2)) ]
}

# going N: the load goes on, by so many records
going()
{
	wait_until went_on "$(acked one)" "$1"
}

end_instance()
{
	in_ns 3 pbftctl del "$NAME" && start_null 3 --genesis
}

stop_instance()
{
	in_ns 3 pbftctl down "$NAME" && kernel_up 3 --genesis
}

no_link()
{
	! ip -n "${NS}b" link show v3 >/dev/null 2>&1
}

end_namespace()
{
	ip netns del "${NS}3" && wait_until no_link && add_host 3 &&
		start_null 3 --genesis
}

end_module()
{
	rmmod pbft && [ ! -d /sys/module/pbft ]
}

# Replica 3 dies and is made again; the other three carry on with the load.
again()
{
	times=$1
	shift
	done=0
	while [ $done -lt "$times" ]; do
		"$@" || {
			echo "failed after $done times: $*"
			return 1
		}
		done=$((done + 1))
		[ $((done % 20)) -ne 0 ] || going 1 || {
			echo "the load stands still after $done times"
			return 1
		}
	done
}

check "a cluster under load" load_cluster
check "an instance is deleted and made again, $((instances / 2)) times" \
	again $((instances / 2)) end_instance
check "an instance is stopped and started, $((instances - instances / 2)) times" \
	again $((instances - instances / 2)) stop_instance
check "its namespace is deleted, $namespaces times" again "$namespaces" end_namespace
check "the load goes on" going 20
check "the module is unloaded under load" end_module
unload_cluster

round=2
while [ $round -le "$modules" ]; do
	need_module
	check "round $round: a cluster under load" load_cluster
	check "round $round: the module is unloaded" end_module
	unload_cluster
	round=$((round + 1))
done

need_module
check "a last cluster under load" load_cluster
cleanup
check "all namespaces at once, then the module" wait_until rmmod pbft
need_module
