#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What goes in comes out: setconf, showconf, show, syncconf.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need pbftctl
need_module
add_netns 0
ip -n "${NS}0" addr add 10.9.0.1/24 dev lo
make_conf 4 Heartbeat=3s Timeout=700ms Pipeline=3 Mtu=1300 Epoch=9 Recovery=90s

canonical()
{
	sed -n 's/[[:space:]]*=[[:space:]]*/=/p' "$1" | sort
}

ctl()
{
	in_ns 0 pbftctl "$@"
}

check "setconf" kernel_setconf 0
ctl showconf "$NAME" >"$T/shown.conf"
check "showconf is a cluster file" pbftctl check "$T/shown.conf"
canonical "$CONF" >"$T/in"
canonical "$T/shown.conf" >"$T/out"
# defaults come out too, so what went in must be a part of it
check "with all that went in" sh -c "! grep -v -x -F -f '$T/out' '$T/in' | grep -v '^Id='"
check "setconf of what showconf said" ctl setconf again "$T/shown.conf" --key "$KEYS/replica-0.key"
ctl showconf again >"$T/again.conf"
check "and the round trip is exact" cmp "$T/shown.conf" "$T/again.conf"
check "del" ctl del again
ctl showconf again >/dev/null 2>"$T/err"
check_is "what was deleted is not found" $? 1

check_is "show: state" "$(KINDS=k field 0 state)" down
check_is "show: self" "$(KINDS=k field 0 self)" 0
check_is "show: public key" "$(KINDS=k field 0 public_key)" "$(pbftctl pubkey "$KEYS/replica-0.key")"
check_is "show: timeout in ns" "$(KINDS=k field 0 timeout)" 700000000
ctl show "$NAME" >"$T/show"
check_is "show: four replicas and ten clients" \
	"$(grep -c '^  replica ' "$T/show") $(grep -c '^  client ' "$T/show")" "4 10"
ctl show "$NAME" --json >"$T/json"
for id in 0 1 2 3; do
	private=$(cat "$KEYS/replica-$id.key")
	if grep -q -F "$private" "$T/json" "$T/show" "$T/shown.conf"; then
		ok 1 "a private key came out"
	fi
done
check "setconf again, as another replica" ctl setconf "$NAME" "$CONF" --key "$KEYS/replica-2.key"
check_is "show: self" "$(KINDS=k field 0 self)" 2
kernel_setconf 0

# clients and endpoints of a running instance
check "up" kernel_up 0 --genesis
{
	grep -v '^Id = 109$' "$CONF" | sed 's/10\.9\.0\.3:/10.9.0.77:/' |
		awk '/^\[Client\]/ { held = $0; next } held != "" && /^PublicKey/ { held = ""; next } held != "" { print held; held = "" } { print }'
	printf '[Client]\nId = 200\nPublicKey = %s\n' "$(pbftctl genkey | pbftctl pubkey)"
} >"$T/new.conf"
check "the new file is one" pbftctl check "$T/new.conf"
check_is "syncconf --dry-run tells the changes" "$(ctl syncconf "$NAME" "$T/new.conf" --dry-run | tr '\n' ' ')" \
	"~ replica 2 - client 109 + client 200 "
check "and changes nothing" sh -c "ip netns exec ${NS}0 pbftctl showconf $NAME | cmp - '$T/shown.conf'"
check "syncconf" ctl syncconf "$NAME" "$T/new.conf"
check_is "a second one finds nothing to do" "$(ctl syncconf "$NAME" "$T/new.conf")" ""
check "the instance is still up" ctl wait "$NAME" --active --timeout 10
ctl show "$NAME" >"$T/show"
check "show tells the new endpoint" grep -q '10\.9\.0\.77:7000' "$T/show"
check "and the new client" grep -q 'client 200:' "$T/show"
grep -q 'client 109:' "$T/show"
check_is "and not the one removed" $? 1

# waiting
ctl wait "$NAME" --seq 1000 --timeout 500ms >/dev/null 2>"$T/err"
check_is "wait that is not fulfilled ends with status 3" $? 3
check "and tells where the instance is" grep -q "timeout; it is up view" "$T/err"
ctl wait nobody --active --timeout 10 2>"$T/err"
check_is "wait for what is not there fails" $? 1
check_is "with the kernel's words" "$(cat "$T/err")" \
	"pbftctl wait: nobody: no instance has the name 'nobody'"

# events
background monitor ip netns exec "${NS}0" pbftctl monitor --json
monitor=$PID
check "monitor begins with a snapshot" wait_until grep -q '"event":"snapshot"' "$T/monitor.log"
ctl down "$NAME"
ctl del "$NAME"
check "and tells of down" wait_until grep -q '"event":"down"' "$T/monitor.log"
check "and of deletion" wait_until grep -q '"event":"deleted"' "$T/monitor.log"
end "$monitor"

# a namespace of its own for everything
check "setconf once more" kernel_setconf 0
add_netns 1
check_is "another namespace sees none of it" "$(in_ns 1 pbftctl show)" ""
