#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# 32 instances in one namespace: eight clusters that work side by side.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbftctl pbft-kv
need_module
add_netns c
for id in 0 1 2 3; do
	ip -n "${NS}c" addr add "$(address $id)/24" dev lo
done

instances()
{
	in_ns c pbftctl show | grep -c '^instance'
}

start_one()
{
	for id in 0 1 2 3; do
		in_ns c pbftctl setconf "$NAME-$id" "$CONF" --key "$KEYS/replica-$id.key" \
			--service null --null-reply 8 || return 1
	done
	for id in 0 1 2 3; do
		in_ns c pbftctl up "$NAME-$id" --genesis || return 1
	done
}

use()
{
	NAME=c$1 PORT=$((7000 + $1)) CONF=$T/c$1.conf KEYS=$T/c$1.keys
}

clusters="1 2 3 4 5 6 7 8"
for c in $clusters; do
	use "$c"
	make_conf 4 CheckpointInterval=16 Window=64
	check "cluster $c" start_one
done
check_is "there are 32 instances" "$(instances)" 32
loads=
for c in $clusters; do
	use "$c"
	records "$T/$NAME.rec" 1 40
	background "$NAME" ip netns exec "${NS}c" pbft-kv -c "$CONF" -i 100 \
		-k "$KEYS/client-100.key" -q -t "$DEADLINE" load "$T/$NAME.rec"
	loads="$loads $PID"
done
for load in $loads; do
	check "a client of each is served at the same time" wait_until gone "$load"
	check "and well" wait "$load"
done
dropped=$(in_ns c pbftctl show --json | grep -c '"drop_cluster": *[1-9]')
check_is "none heard another's" "$dropped" 0
for c in 1 3 5 7; do
	for id in 0 1 2 3; do
		in_ns c pbftctl del "c$c-$id" || ok 1 "del c$c-$id"
	done
done
check_is "half of them go" "$(instances)" 16
use 2
check "the others stay" in_ns c pbft-kv -c "$CONF" -i 101 -k "$KEYS/client-101.key" -q \
	-t "$DEADLINE" put alpha one
