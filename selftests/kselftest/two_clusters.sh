#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Two clusters in the same namespaces, side by side: neither hears the other.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
NAME=a PORT=7000
make_conf 4 CheckpointInterval=16 Window=64
conf_a=$CONF keys_a=$KEYS
start_cluster k k k k
NAME=b PORT=7001
make_conf 4 CheckpointInterval=16 Window=64
conf_b=$CONF keys_b=$KEYS
start_cluster k k k k

on()
{
	NAME=$1
	eval "CONF=\$conf_$1 KEYS=\$keys_$1"
	shift
	"$@"
}

check "put into a" on a kv put alpha of-a
check "put into b" on b kv put alpha of-b
check_is "a has its value" "$(on a kv get alpha)" of-a
check_is "b has its value" "$(on b kv get alpha)" of-b
check_is "show lists both" "$(in_ns 0 pbftctl show | grep -c '^instance')" 2

# a client of b that finds only a's replicas at its endpoints
on b records "$T/x.rec" 1 1
sed 's/:7001/:7000/' "$conf_b" >"$T/crossed.conf"
before=$(on a counter 0 drop_cluster)
in_ns c pbft-kv -c "$T/crossed.conf" -i 100 -k "$keys_b/client-100.key" -q -t 3 put alpha crossed >/dev/null 2>&1
check_is "a's replicas do not answer b's client" $? 3
after=$(on a counter 0 drop_cluster)
[ "${after:-0}" -gt "${before:-0}" ]
ok $? "they counted what they dropped (${before:-none} to ${after:-none})"
check_is "a is as it was" "$(on a kv get alpha)" of-a
check "delete a" in_ns 0 pbftctl del a
check "b goes on" on b kv put beta two
check_is "show lists one" "$(in_ns 0 pbftctl show | grep -c '^instance')" 1
