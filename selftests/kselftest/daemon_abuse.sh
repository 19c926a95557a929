#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Daemons are killed at random and started again, stop reading and go on, under load:
# nothing is lost, and what clients see stays linearizable. SEED replays the choices.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbft-bench check-history
diag "SEED=$SEED"
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
start_cluster k k k k
start_bench load 100-102 -s 3600 -d 2

goes_on()
{
	wait_field "$1" last_committed -ge $(($(field "$1" last_committed) + 20))
}

random=$SEED
round=1
while [ $round -le "${ROUNDS:-6}" ]; do
	random=$(((random * 1103515245 + 12345) & 0x7fffffff))
	id=$((random / 65536 % 4))
	if [ $((random / 1048576 % 2)) -eq 0 ]; then
		end "$(daemon_pid $id)" KILL
		check "round $round: daemon $id is killed, the others go on" \
			goes_on $(((id + 1) % 4))
		start_daemon $id
		check "round $round: it is back" wait_field $id bound = true
	else
		kill -STOP "$(daemon_pid $id)"
		check "round $round: daemon $id does not read, the others go on" \
			goes_on $(((id + 1) % 4))
		kill -CONT "$(daemon_pid $id)"
	fi
	check "round $round: replica $id catches up" goes_on $id
	round=$((round + 1))
done

for id in 0 1 2 3; do
	kill -STOP "$(daemon_pid $id)"
done
check "all of them: execution stops, the log fills up" \
	wait_field 0 last_committed -gt "$(field 0 last_exec)"
for id in 0 1 2 3; do
	kill -CONT "$(daemon_pid $id)"
done
check "they read again, and all goes on" goes_on 0
kill -INT "$BENCH"
history_suite load
check "no replica stopped" running 0 1 2 3
agree_suite 0 1 2 3
