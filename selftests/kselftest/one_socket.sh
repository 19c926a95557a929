#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Three clients over one socket, whose datagrams share packets. Replicas in the kernel
# take each datagram for itself, those in userspace whole packets.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbft-bench check-history

# joined NAME: did the clients send packets of several datagrams?
joined()
{
	packets=$(sed -n 's/.*"tx_packets": *\([0-9]*\).*/\1/p' "$T/$1.json")
	datagrams=$(sed -n 's/.*"tx_datagrams": *\([0-9]*\).*/\1/p' "$T/$1.json")
	grep -q '"gso": *true' "$T/$1.json" && [ "$packets" -lt "$datagrams" ]
}

one_socket()	# NAME OPTION...
{
	name=$1
	shift
	start_bench "$name" 100-102 -n 300 -d 8 --one-socket -j "$T/$name.json" "$@"
	history_suite "$name"
}

make_net 4
make_conf 4 CheckpointInterval=16 Window=64
start_cluster k u k u
one_socket small
check "small: datagrams shared packets" joined small
one_socket large --value-size 4000
one_socket plain --no-offload
agree_suite 0 1 2 3
