#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Links of 1280 and of 9000 bytes, with the largest datagrams that fit; values that
# go in many fragments, and view changes, which do too.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

set_mtu()
{
	ip -n "${NS}b" link set br0 mtu "$1"
	for host in 0 1 2 3 c; do
		ip -n "${NS}b" link set "v$host" mtu "$1" &&
			in_ns $host ip link set eth0 mtu "$1" || return 1
	done
}

# with FAMILY LINK MTU
with()
{
	FAMILY=$1 NAME=ip$1
	label="IPv$1, $2 bytes"
	make_net 4
	check "$label: links" set_mtu "$2"
	make_conf 4 CheckpointInterval=16 Window=64 Timeout=1s "Mtu=$3"
	start_cluster k k k k
	big=$(seq 1 9000 | tr '\n' ' ')
	check "$label: a value of ${#big} bytes" kv put big "$big"
	[ "$(kv get big)" = "$big" ]
	ok $? "$label: and back"
	records "$T/one.rec" 1 60
	check "$label: records" kv load "$T/one.rec"
	in_ns 0 ip link set eth0 down
	check "$label: a view change" kv put after one
	[ "$(kv get big)" = "$big" ]
	ok $? "$label: the value is still there"
	for id in 1 2 3; do
		check_is "$label: replica $id dropped nothing for its length" \
			"$(field $id drop_length)" 0
	done
	agree_suite 1 2 3
	cleanup
}

with 6 1280 1232
with 4 9000 8972
