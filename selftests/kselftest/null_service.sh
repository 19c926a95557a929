#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The null service: no daemon, results of a fixed size made in the kernel.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbftctl pbft-kv
need_module
make_net 4
make_conf 4 CheckpointInterval=16 Window=64
KINDS="k k k k"
for id in 0 1 2 3; do
	kernel_setconf "$id" --service null --null-reply 101 || bail "setconf $id"
	kernel_up "$id" --genesis || bail "up $id"
done
for id in 0 1 2 3; do
	check "replica $id is active" wait_active "$id"
done
check_is "show tells the service" "$(field 0 service) $(field 0 null_reply)" "null 101"
check "a request is answered" kv put alpha one
# a result of zeros is the code "done" and an empty value
check_is "by zeros" "$(kv get alpha)" ""
records "$T/many.rec" 1 500
check "500 requests, pipelined" kv load "$T/many.rec"
check "checkpoints become stable" wait_field 1 h -ge 16
agree_suite 0 1 2 3
background pbftd ip netns exec "${NS}0" pbftd -i "$NAME" --db "$T/db"
wait_until gone "$PID"
check "a daemon is refused" grep -q . "$T/pbftd.log"
