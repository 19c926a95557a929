#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Daemons whose sockets hold one message at a time, and which read slowly: delivery
# waits, and nothing is lost, doubled or overtaken. See nl-daemon.c.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need nl-daemon pbft-kv
make_net 4
make_conf 4 CheckpointInterval=64 Window=512 Timeout=5s BatchMax=4 Pipeline=16
need_module
KINDS="k k k k"
for_kind k kernel_setconf
for_kind k kernel_up --genesis
for id in 0 1 2 3; do
	background "daemon$id" ip netns exec "$NS$id" nl-daemon "$NAME" 1 3000
	eval "DAEMON_$id=$PID"
done
wait_all wait_active
records "$T/one.rec" 1 300
check "300 records are taken" kv load "$T/one.rec"
check "sockets were full: delivery waited" field_is 0 daemon_stalls -gt 0
diag "replica 0: $(field 0 daemon_stalls) times"
check "all have executed the same" agree head 0 1 2 3
for id in 0 1 2 3; do
	end "$(daemon_pid $id)"
	diag "replica $id: $(grep '^repeated' "$T/daemon$id.log")"
	check_is "replica $id: each operation once" \
		"$(grep '^operations' "$T/daemon$id.log")" "operations 300"
	check_is "replica $id: and the state of replica 0" \
		"$(grep '^state' "$T/daemon$id.log")" "$(grep '^state' "$T/daemon0.log")"
done
check "no replica stopped" running 0 1 2 3
