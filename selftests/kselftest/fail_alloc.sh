#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Allocations that fail: of every administrator's netlink command each one in turn; of
# the packets' path some, at random. What fails, fails with an error or loses a packet,
# and the replicas go on. Needs a kernel with fault injection: see scripts/kernels.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lib-fail.sh"

need_injection
need nl-failnth pbftctl pbft-kv
need_module
make_net 4
make_conf 4 CheckpointInterval=16 Window=64
run_tap in_ns 0 nl-failnth "$CONF" "$KEYS/replica-0.key" "$T/journal"
rm "$T/journal"

# From now on what cannot sleep: in softirq, where packets are taken and sent.
control ignore-gfp-wait Y
KINDS="k k k k"
for id in 0 1 2 3; do
	check "replica $id" kernel_setconf "$id" --service null --null-reply 8
	check "replica $id is up" kernel_up "$id" --genesis
done
wait_all wait_active
start_load one 100 400
control times -1
control interval 1
control probability 5
check "load goes on while one allocation in twenty fails" wait_until acked_reach one 100
control probability 0
check "and ends when none does" wait_load
check_is "all are acknowledged" "$(acked one)" 400
check "the replicas' logs are the same" agree head 0 1 2 3
