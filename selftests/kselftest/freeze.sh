#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The primary, in userspace, is frozen under load and thawed when the world has
# moved on: first within the log, then beyond it.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbft-bench check-history
make_net 4
make_conf 4 CheckpointInterval=8 Window=16 Timeout=500ms
start_cluster u k k k
start_bench load 100-101 -s 3600 -d 2
check "load is under way" wait_field 1 last_exec -ge 20

for far in 5 200; do
	kill -STOP "$(daemon_pid 0)"
	at=$(field 1 last_exec)
	check "frozen, the others go on by $far" wait_field 1 last_exec -ge $((at + far))
	at=$(field 1 last_exec)
	kill -CONT "$(daemon_pid 0)"
	check "thawed, it comes after them" wait_field 0 last_exec -ge "$at"
done
check "the others have left its view" field_is 1 view -ge 1
kill -INT "$BENCH"
history_suite load
check "no replica stopped" running 1 2 3
agree_suite 0 1 2 3
