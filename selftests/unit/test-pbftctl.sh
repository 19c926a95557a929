#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# What pbftctl does without a kernel module. Prints TAP.
# PBFTCTL names the program; default: build/bin/pbftctl.

ctl=${PBFTCTL:-$(cd "$(dirname "$0")/../.." && pwd)/build/bin/pbftctl}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
umask 022
n=0
bad=0

# ok NAME STATUS
ok()
{
	n=$((n + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		bad=1
	fi
}

# run WANTED-STATUS ARGS...: output in ./out, words in ./err
run()
{
	want=$1
	shift
	timeout 20 "$ctl" "$@" >out 2>err
	got=$?
	[ "$got" -eq "$want" ] && return 0
	echo "# pbftctl $*: status $got, wanted $want: $(head -n 1 err)"
	return 1
}

# says FILE TEXT: the first line is exactly this
says()
{
	[ "$(head -n 1 "$1")" = "$2" ] && return 0
	echo "# $1: $(head -n 1 "$1")"
	echo "# wanted: $2"
	return 1
}

mode()
{
	stat -c %a "$1"
}

# ---- keys
run 0 genkey a.key && [ "$(mode a.key)" = 600 ] && [ "$(wc -c <a.key)" -eq 45 ]
ok "genkey FILE writes a key that only we can read" $?
cp a.key kept
run 1 genkey a.key && cmp -s a.key kept && says err "pbftctl genkey: a.key: File exists"
ok "genkey never overwrites" $?
run 0 pubkey a.key && cp out a.pub && [ "$(wc -c <a.pub)" -eq 45 ]
ok "pubkey FILE" $?
timeout 20 "$ctl" pubkey <a.key >out && cmp -s out a.pub
ok "pubkey reads standard input" $?
timeout 20 "$ctl" genkey 2>err | timeout 20 "$ctl" pubkey >out && [ ! -s err ] && ! cmp -s out a.pub
ok "genkey | pubkey, another key each time, no warning for a pipe" $?
timeout 20 "$ctl" genkey >open.key 2>err
says err "pbftctl genkey: warning: others may read this file"
ok "genkey warns when its output is a file that others may read" $?
# private key 0x77..2a and its public key: RFC 7748, section 6.1
echo 'dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=' >rfc.key
run 0 pubkey rfc.key && says out 'hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo='
ok "pubkey agrees with RFC 7748" $?
echo 'not a key' >bad.key
run 1 pubkey bad.key && grep -q 'bad\.key' err
ok "pubkey names a file that holds no key" $?

# ---- genconf and check
reps=0=10.0.0.1:7000,1=10.0.0.2:7000,2=10.0.0.3:7000,3=10.0.0.4:7000
run 0 genconf --replica $reps --clients 100-102 --keys keys --id 0x2a --set Timeout=300ms &&
	cp out c.conf && [ "$(find keys -name "*.key" | wc -l)" -eq 7 ] && [ "$(mode keys)" = 700 ] &&
	[ "$(stat -c %a keys/* | sort -u)" = 600 ]
ok "genconf makes a key for every node, mode 0600" $?
run 0 check c.conf &&
	says out "c.conf: cluster 0x000000000000002a, epoch 1: 4 replicas, 1 may be faulty, quorum 3, 3 clients"
ok "and a file that check accepts" $?
run 0 pubkey keys/client-101.key && grep -q "^PublicKey = $(cat out)\$" c.conf
ok "the file holds the public keys" $?
cp keys/replica-2.key kept
run 1 genconf --replica $reps --clients 100-102 --keys keys && cmp -s kept keys/replica-2.key &&
	[ ! -s out ] && says err "pbftctl genconf: keys/replica-0.key: File exists"
ok "genconf never overwrites a key" $?
mkdir part && : >part/replica-2.key
run 1 genconf --replica $reps --keys part && [ "$(ls part)" = replica-2.key ]
ok "genconf that fails leaves no keys behind" $?
run 1 genconf --replica ${reps%,*} --keys none && [ ! -e none ] &&
	says err "pbftctl genconf: the new cluster file:1: the number of replicas must be from 4 to 64"
ok "genconf makes no impossible cluster" $?
run 1 genconf --replica $reps --keys none --set Windov=3 && [ ! -e none ] &&
	says err "pbftctl genconf: the new cluster file:3: unknown key Windov in [Cluster]"
ok "genconf checks what --set says" $?
run 2 genconf --replica 0:10.0.0.1 --keys none && run 2 genconf --replica $reps --keys none --clients 9-8
ok "genconf refuses malformed options" $?
run 0 genconf --replica '0=[fd00::1]:1,1=[fd00::2]:1,2=[fd00::3]:1,3=[fd00::4]:1' --keys six &&
	cp out six.conf && run 0 check six.conf
ok "genconf with IPv6" $?
sed 's/^Id = 2$/Id = 1/' c.conf >twice.conf
run 1 check twice.conf && says err "pbftctl check: twice.conf:15: a second replica 1, the first is in line 10"
ok "check names file and line" $?
run 1 check missing.conf && says err "pbftctl check: missing.conf: No such file or directory"
ok "check names a missing file" $?

# ---- what is refused before the kernel is asked
chmod 644 kept
run 1 setconf x c.conf --key kept && grep -q 'kept' err
ok "setconf refuses a key that others may read" $?
run 1 setconf x c.conf --key a.key &&
	says err "pbftctl setconf: c.conf: the key of a.key belongs to no replica there"
ok "setconf --self auto needs a replica's key" $?
run 1 setconf x c.conf --key keys/client-100.key &&
	says err "pbftctl setconf: c.conf: the key of keys/client-100.key is that of client 100"
ok "setconf --self auto says whose key it is" $?
run 2 setconf x c.conf --key a.key --self 64 && run 2 setconf x c.conf &&
	run 2 setconf x c.conf --key a.key --service web &&
	run 2 setconf x c.conf --key a.key --null-reply 8
ok "setconf refuses malformed options" $?
run 2 wait x && run 2 wait x --seq many && run 2 wait x --active --timeout soon
ok "wait refuses malformed options" $?
run 2 rotate-key x 256 && run 2 show a b && run 2 up && run 2 up x --now
ok "so do others" $?

# ---- journals
run 2 up x --journal-mode sync && run 2 up x --journal j --journal-mode fast &&
	run 2 up x --journal j --journal-size 15M && run 2 up x --journal-size 64M &&
	[ ! -e j ]
ok "up refuses malformed journal options, and makes no file" $?
run 2 journal && run 2 journal verify && run 2 journal write j && run 2 journal dump a b
ok "journal refuses malformed arguments" $?
run 1 journal verify j &&
	says err "pbftctl journal: j: cannot open the journal: No such file or directory"
ok "a journal that is not there" $?
truncate -s 16M j
run 1 journal dump j && says err "pbftctl journal: j: there is no journal here"
ok "a file in which none was begun" $?
echo something else | dd of=j conv=notrunc 2>/dev/null
run 1 journal verify j &&
	says err "pbftctl journal: j: this is no journal, or both its superblocks are damaged"
ok "a file with something else in it" $?
truncate -s 100 j
run 1 journal verify j && says err "pbftctl journal: j: the journal cannot be read"
ok "a file that is too short" $?

# ---- help
run 2 && run 2 nothing && run 0 help && run 0 --help
ok "usage without a command, help with status 0" $?
sed -n 's/^  \([a-z-]*\) .*/\1/p' out >commands
all=0
while read -r c; do
	run 0 "$c" --help && head -n 1 out | grep -q "^usage: pbftctl $c " || all=1
	run 0 help "$c" || all=1
done <commands
[ "$(wc -l <commands)" -ge 14 ] || all=1
ok "every command explains itself" $all

echo "1..$n"
exit $bad
