#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A daemon's answer is lost on its way, for want of memory say: the kernel notices with
# the next one, ends the binding, and the daemon binds again. Its instance goes on.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need nl-answers pbftctl pbft-kv
need_module

# Three of the null service, and one that answers as it does. A batch comes soon, also
# when no client asks for any.
make_net 4
make_conf 4 CheckpointInterval=8 Window=64 Heartbeat=20ms
KINDS="n n n x"
for id in 0 1 2; do
	check "replica $id" start_null "$id" --genesis
done
start_load one 100 300
run_tap in_ns 3 nl-answers "$CONF" "$KEYS/replica-3.key" 3
check "the load ends without an error" wait_load
check "no replica stopped" running 0 1 2
