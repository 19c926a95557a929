#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A replica that has lost everything fetches the state over a slow link: how much of it
# is here can be seen meanwhile, by others and by who waits for it.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need tc
make_net 4
make_conf 4 CheckpointInterval=16 Window=64 Timeout=1s Heartbeat=1s
start_cluster k k k k

crash 3
rm -rf "$T/$NAME-db3"
records "$T/a.rec" 1 800
check "800 records without the fourth replica" kv load "$T/a.rec"

# fetch_shown: what show says of it now is kept
fetch_shown()
{
	in_ns 3 pbftctl show "$NAME" --json >"$T/show" && grep -q '"fetch_total"' "$T/show"
}

number()
{
	sed -n 's/.*"'"$1"'": *\([0-9]*\).*/\1/p' "$T/show"
}

check "its link is slow" in_ns 3 tc qdisc replace dev eth0 root netem delay 300ms
check "it comes back" kernel_setconf 3
check "as one that has lived before" kernel_up 3
start_daemon 3
background wait ip netns exec "${NS}3" pbftctl wait "$NAME" --synced --voting --progress \
	--timeout "$DEADLINE"
WAIT=$PID
check "how much of the state is here is shown" wait_until fetch_shown
check "no more than there is" test "$(number fetch_done)" -le "$(number fetch_total)"
in_ns 3 pbftctl show "$NAME" >"$T/show.log"
check "in words, too" grep -q 'target [0-9]* ([0-9]*% of [0-9]* bytes here)' "$T/show.log"
check "the link is fast again" in_ns 3 tc qdisc del dev eth0 root
check "who waits for it is told" wait_until gone "$WAIT"
wait "$WAIT"
check_is "that it is done" $? 0
check "and was shown a bar" grep -q 'state after [0-9]* \[#* *\]  *[0-9]*% of [0-9]* bytes' \
	"$T/wait.log"
check "nothing is shown of a state that is here" sh -c "! ip netns exec ${NS}3 \
	pbftctl show $NAME --json | grep -q fetch_total"
agree_suite 0 1 2 3
