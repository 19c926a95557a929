#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A bad network: datagrams are lost, doubled, delayed and overtake one another, up to
# one in five of each. Slower is all it may get.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need tc pbft-bench check-history
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=1s StatusInterval=50ms
start_cluster k k k k

# netem PARAMETER...: for all that is sent by replicas and clients
netem()
{
	for host in 0 1 2 3 c; do
		in_ns $host tc qdisc replace dev eth0 root netem "$@" || return 1
	done
}

under()
{
	label=$1
	shift
	check "$label" netem "$@"
	start_bench "load$faults" 100-101 -n 100 -d 4
	history_suite "load$faults"
	faults=$((faults + 1))
}

faults=1
under "5 percent lost" loss 5%
under "20 percent lost" loss 20%
under "20 percent doubled" duplicate 20%
under "20 percent overtaken" delay 4ms reorder 20% 50%
under "all of these" delay 2ms 2ms loss 10% duplicate 10% reorder 20% 50%
check "it did happen: the qdisc dropped some" \
	sh -c "ip netns exec ${NS}1 tc -s qdisc show dev eth0 | grep -q 'dropped [1-9]'"
for host in 0 1 2 3 c; do
	in_ns $host tc qdisc del dev eth0 root
done
check "no replica stopped" running 0 1 2 3
agree_suite 0 1 2 3
