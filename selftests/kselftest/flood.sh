#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Floods, as fast as one process can send: of a stranger, without keys, and of a
# faulty replica, with them. Honest clients get on; how well is told, not judged.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need udp-fuzz evil-replica pbft-bench
diag "SEED=$SEED"
make_net 4
add_host s
make_conf 4 CheckpointInterval=16 Window=64 Timeout=2s
start_cluster k k k k

# measure NAME: operations of three seconds, to $done
measure()
{
	start_bench "$1" 100-101 -s 3 -d 4
	history_suite "$1"
	done=$(grep -vc '^#' "$T/$1.history")
}

share()
{
	diag "$1: $done operations, $((100 * done / quiet)) percent of the $quiet without"
}

measure quiet
quiet=$done

background stranger ip netns exec "${NS}s" udp-fuzz --cluster "$CONF" --garbage --count 0 --seed "$SEED"
stranger=$PID
check "a stranger's datagrams arrive" wait_field 1 drop_mac -ge 1000
measure stranger
share "a stranger's flood"
[ "$done" -gt 0 ]
ok $? "there is progress under a stranger's flood"
end "$stranger"
diag "$(grep datagrams "$T/stranger.log")"

in_ns 3 pbftctl del "$NAME"
end "$(daemon_pid 3)"
TRAITS=flood
before=$(field 1 rx_packets)
check "a replica turns malicious" start_evil 3
check "its datagrams arrive" wait_field 1 rx_packets -ge $((before + 2000))
measure faulty-peer
share "a faulty peer's flood"
[ "$done" -gt 0 ]
ok $? "there is progress under a faulty peer's flood"
end "$(daemon_pid 3)"
diag "$(grep 'lies flood' "$T/evil-3.log")"

check "no replica stopped" running 0 1 2
agree_suite 0 1 2
