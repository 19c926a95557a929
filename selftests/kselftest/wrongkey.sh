#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Wrong keys: of a client, of a replica, of an administrator.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

make_net 4
make_conf 4 CheckpointInterval=16 Window=64
start_cluster k k k k
check "the cluster works" kv put alpha one

# A client with the key of another: it says so itself.
in_ns c pbft-kv -c "$CONF" -i 100 -k "$KEYS/client-101.key" -q -t 3 put alpha no >"$T/out" 2>&1
check_is "a key that is not the file's is refused by the client" $? 2

# A client that believes in its own key: the replicas do not.
pbftctl genkey "$T/false.key"
false_pub=$(pbftctl pubkey "$T/false.key")
true_pub=$(pbftctl pubkey "$KEYS/client-100.key")
awk -v t="$true_pub" -v f="$false_pub" '{ i = index($0, t); if (i) $0 = substr($0, 1, i - 1) f; print }' \
	"$CONF" >"$T/false.conf"
before=$(counter 1 drop_mac)
in_ns c pbft-kv -c "$T/false.conf" -i 100 -k "$T/false.key" -q -t 3 put alpha forged >/dev/null 2>&1
check_is "a forged client gets no answer" $? 3
after=$(counter 1 drop_mac)
[ "${after:-0}" -gt "${before:-0}" ]
ok $? "its messages are counted (${before:-none} to ${after:-none})"
check_is "and did nothing" "$(kv get alpha)" one

# A replica that the others know under another key.
in_ns 3 pbftctl del "$NAME"
end "$(daemon_pid 3)"
rm -rf "$T/$NAME-db3"
pub3=$(pbftctl pubkey "$KEYS/replica-3.key")
awk -v t="$pub3" -v f="$false_pub" '{ i = index($0, t); if (i) $0 = substr($0, 1, i - 1) f; print }' \
	"$CONF" >"$T/false3.conf"
check "it is set up with a key of its own" in_ns 3 pbftctl setconf "$NAME" "$T/false3.conf" --key "$T/false.key"
check "and comes up" in_ns 3 pbftctl up "$NAME"
before=$(counter 1 drop_mac)
check "three replicas are enough" kv put beta two
check_is "and answer right" "$(kv get beta)" two
mac_drops()
{
	[ "$(counter 1 drop_mac)" -gt "${before:-0}" ]
}
check "they drop what the fourth sends" wait_until mac_drops
check_is "which learns nothing" "$(field 3 last_exec)" 0
