#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# The MAC that is not the default: replicas in the kernel and in userspace and their
# client agree by HMAC-SHA256, change their keys, and hear nobody who has another MAC.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

make_net 4
# no machine is so slow that a view would be left for it
make_conf 4 "Mac=hmac(sha256)" CheckpointInterval=16 Window=64 Timeout=60s
start_cluster k u k u
check_is "the MAC is what the file says" "$(field 0 mac)" "hmac(sha256)"
client_suite 100
check "a replica changes its keys" in_ns 0 pbftctl rotate-key "$NAME" 1
check "put" kv put gamma three
agree_suite 0 1 2 3
for id in 0 2; do
	check_is "replica $id dropped nothing for key or MAC" \
		"$(fields $id drop_key drop_mac)" "0 0"
done
check_is "the file comes back with its MAC" \
	"$(in_ns 0 pbftctl showconf "$NAME" | grep '^Mac')" "Mac = hmac(sha256)"

# One that goes by the default, while the others do not.
crash 2
rm -rf "$T/$NAME-db2"
sed '/^Mac/d' "$CONF" >"$T/default.conf"
check "a replica is set up without that line" \
	in_ns 2 pbftctl setconf "$NAME" "$T/default.conf" --key "$KEYS/replica-2.key"
check_is "and has the default" "$(field 2 mac)" siphash128
check "it comes up" kernel_up 2
mac_drops()
{
	[ "$(counter "$1" drop_mac)" -gt 0 ]
}
check "put" kv put delta four
check "it drops what the others send" wait_until mac_drops 2
check "and they what it sends" wait_until mac_drops 0
check_is "the others do without it" "$(kv get delta)" four
check_is "and it has learnt nothing" "$(field 2 last_exec)" 0
