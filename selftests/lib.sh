# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# lib.sh: what the functional tests share. A test sources it, makes a cluster of
# network namespaces on one bridge, and prints TAP. Everything it makes has the
# test's own prefix and goes when the test ends, by process id and by name.
#
# Replica i listens in namespace $NS$i, clients live in ${NS}c, the bridge in
# ${NS}b. A replica of kind k is an instance "r" of the kernel with a pbftd bound
# to it, u is pbftd --userspace, n an instance with the null service, e a malicious
# replica (evil-replica) with the traits in $TRAITS, x one that is not started.

set -u
NS=pb$$-
T=$(mktemp -d "${TMPDIR:-/tmp}/pbft-test.XXXXXX") || exit 1
DEADLINE=${DEADLINE:-120}	# seconds that anything may take; machines are slow
SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}	# of what is random
PORT=7000
FAMILY=4
CLIENTS=100-109
NAME=r
TEST_N=0
TEST_BAD=0
TEST_PIDS=
TEST_NETNS=
KINDS=

# ---- TAP -------------------------------------------------------------------

diag()
{
	echo "$*" | sed 's/^/# /'
}

# ok STATUS DESCRIPTION
ok()
{
	TEST_N=$((TEST_N + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $TEST_N - $2"
	else
		echo "not ok $TEST_N - $2"
		TEST_BAD=1
	fi
	return "$1"
}

# check DESCRIPTION COMMAND...: quiet unless it fails
check()
{
	what=$1
	shift
	"$@" >"$T/check" 2>&1
	ok $? "$what" || {
		diag "$*" | cut -c 1-200
		sed 's/^/#   /' "$T/check" | cut -c 1-200 | head -n 40
		return 1
	}
}

# check_is DESCRIPTION GOT WANTED
check_is()
{
	[ "$2" = "$3" ]
	ok $? "$1" || {
		diag "got:    $2"
		diag "wanted: $3"
		return 1
	}
}

# refused SENTENCE COMMAND...: it fails and says so
refused()
{
	sentence=$1
	shift
	if "$@" >"$T/refused" 2>&1; then
		echo "it was accepted"
		return 1
	fi
	cat "$T/refused"
	grep -q -F "$sentence" "$T/refused"
}

# run_tap COMMAND...: a program that prints TAP; its tests become this one's
run_tap()
{
	"$@" >"$T/tap" 2>&1
	code=$?
	while IFS= read -r line; do
		case $line in
		ok\ *) ok 0 "${line#* - }" ;;
		not\ ok\ *) ok 1 "${line#* - }" ;;
		1..*) ;;
		\#*) echo "$line" ;;
		*) diag "$line" ;;
		esac
	done <"$T/tap"
	check_is "and ran all its tests" "$(grep -c '^\(not \)\{0,1\}ok ' "$T/tap")" \
		"$(sed -n 's/^1\.\.//p' "$T/tap")"
	grep -q '^not ok ' "$T/tap" || check_is "its exit status" "$code" 0
}

# What is left cannot be tested.
bail()
{
	ok 1 "$1"
	exit 1
}

finish()
{
	status=$?
	trap - EXIT
	cleanup
	[ "$TEST_BAD" -eq 0 ] || status=1
	if [ "$TEST_BAD" -ne 0 ]; then
		show_logs
	fi
	echo "1..$TEST_N"
	rm -rf "$T"
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

show_logs()
{
	for log in "$T"/*.log; do
		[ -s "$log" ] || continue
		diag "$(basename "$log"), last lines:"
		tail -n 15 "$log" | sed 's/^/#   /'
	done
}

need()
{
	for program; do
		command -v "$program" >/dev/null && continue
		bail "this test needs the program $program"
	done
}

# The kernel module, loaded if it can be.
need_module()
{
	[ -d /sys/module/pbft ] && return
	load-pbft >"$T/check" 2>&1 || modprobe pbft >>"$T/check" 2>&1
	[ -d /sys/module/pbft ] || {
		sed 's/^/# /' "$T/check"
		bail "this test needs the kernel module pbft"
	}
}

# ---- processes and time ------------------------------------------------------

# Uptime in whole milliseconds.
now()
{
	read -r up _ </proc/uptime
	echo "${up%.*}${up#*.}0"
}

# wait_until COMMAND...: until it succeeds or the deadline has passed
wait_until()
{
	end=$(($(now) + DEADLINE * 1000))
	until "$@"; do
		[ "$(now)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# background LOG COMMAND...: PID is set; ended when the test ends
background()
{
	log=$1
	shift
	"$@" >>"$T/$log.log" 2>&1 &
	PID=$!
	TEST_PIDS="$TEST_PIDS $PID"
}

alive()
{
	kill -0 "$1" 2>/dev/null
}

gone()
{
	! alive "$1"
}

# end PID [SIGNAL]: and wait for it
end()
{
	kill -"${2:-TERM}" "$1" 2>/dev/null
	wait_until gone "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	return 0
}

cleanup()
{
	for pid in $TEST_PIDS; do
		kill -TERM "$pid" 2>/dev/null
	done
	tries=30
	for pid in $TEST_PIDS; do
		while alive "$pid" && [ $tries -gt 0 ]; do
			sleep 0.1
			tries=$((tries - 1))
		done
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	for ns in $TEST_NETNS; do
		ip netns del "$ns" 2>/dev/null
	done
	TEST_PIDS=
	TEST_NETNS=
}

# ---- namespaces -------------------------------------------------------------------

# in_ns SUFFIX COMMAND...
in_ns()
{
	ns=$NS$1
	shift
	ip netns exec "$ns" "$@"
}

add_netns()
{
	for suffix; do
		ip netns add "$NS$suffix" || bail "no network namespace $NS$suffix"
		TEST_NETNS="$TEST_NETNS $NS$suffix"
		ip -n "$NS$suffix" link set lo up
	done
}

# address I: of replica I; c is the client, s a stranger
address()
{
	host=$1
	case $host in
	c) host=100 ;;
	s) host=101 ;;
	esac
	if [ "$FAMILY" = 6 ]; then
		echo "fd00::$((host + 1))"
	else
		echo "10.9.0.$((host + 1))"
	fi
}

# endpoint I [PORT]
endpoint()
{
	if [ "$FAMILY" = 6 ]; then
		echo "[$(address "$1")]:${2:-$PORT}"
	else
		echo "$(address "$1"):${2:-$PORT}"
	fi
}

# add_host SUFFIX: a namespace with an address, joined to the bridge
add_host()
{
	add_netns "$1"
	prefix=24
	nodad=
	[ "$FAMILY" = 6 ] && prefix=64 nodad=nodad
	ip -n "${NS}b" -batch - <<-END || return 1
	link add v$1 type veth peer name eth0 netns $NS$1
	link set v$1 master br0 up
	END
	ip -n "$NS$1" -batch - <<-END
	addr add $(address "$1")/$prefix dev eth0 $nodad
	link set eth0 up
	END
}

# link I up|down: while it is down nobody can help a replica over what it has forgotten
link()
{
	ip -n "$NS$1" link set eth0 "$2"
}

# make_net N: bridge, N replicas' hosts, the clients' host
make_net()
{
	add_netns b
	ip -n "${NS}b" link add br0 type bridge forward_delay 0
	ip -n "${NS}b" link set br0 up
	i=0
	while [ $i -lt "$1" ]; do
		add_host $i || bail "no host for replica $i"
		i=$((i + 1))
	done
	add_host c || bail "no host for clients"
}

# ---- clusters ----------------------------------------------------------------------

# make_conf N [Key=Value...]: $CONF and $KEYS for replicas 0..N-1, clients $CLIENTS.
# Idle clusters move slowly, so that replicas can be seen to agree.
make_conf()
{
	count=$1
	shift
	case "$*" in
	*Heartbeat=*) ;;
	*) set -- "$@" "Heartbeat=${HEARTBEAT:-3s}" ;;
	esac
	reps=
	i=0
	while [ $i -lt "$count" ]; do
		reps="$reps,$i=$(endpoint $i)"
		i=$((i + 1))
	done
	set_args=
	for line; do
		set_args="$set_args --set $line"
	done
	CONF=$T/$NAME.conf
	KEYS=$T/$NAME.keys
	# shellcheck disable=SC2086 # a list of options without blanks in them
	pbftctl genconf --replica "${reps#,}" --clients "$CLIENTS" --keys "$KEYS" \
		$set_args >"$CONF" || bail "genconf"
}

# kernel_setconf I [OPTION...]
kernel_setconf()
{
	id=$1
	shift
	in_ns "$id" pbftctl setconf "$NAME" "$CONF" --key "$KEYS/replica-$id.key" "$@"
}

# kernel_up I [--genesis]
kernel_up()
{
	id=$1
	shift
	in_ns "$id" pbftctl up "$NAME" "$@"
}

# start_daemon I: the pbftd of a kernel instance; its process id is $DAEMON_I
start_daemon()
{
	background "pbftd-$NAME-$1" ip netns exec "$NS$1" \
		pbftd -i "$NAME" --db "$T/$NAME-db$1"
	eval "DAEMON_$1=$PID"
}

# crash I [SIGNAL]: instance and daemon are gone, without a word to anybody
crash()
{
	in_ns "$1" pbftctl del "$NAME"
	end "$(daemon_pid "$1")" "${2:-TERM}"
}

# start_user I [OPTION...]: pbftd --userspace
start_user()
{
	id=$1
	shift
	background "pbftd-$NAME-$id" ip netns exec "$NS$id" \
		pbftd --userspace -c "$CONF" -k "$KEYS/replica-$id.key" --self "$id" \
		--db "$T/$NAME-db$id" --status "$T/$NAME-status$id" "$@"
	eval "DAEMON_$id=$PID"
}

# start_null I [OPTION...]: an instance that is its own application
start_null()
{
	id=$1
	shift
	kernel_setconf "$id" --service null --null-reply 8 && kernel_up "$id" "$@"
}

# start_evil I: a replica with the traits in $TRAITS
start_evil()
{
	background "evil-$1" ip netns exec "$NS$1" evil-replica -c "$CONF" \
		-k "$KEYS/replica-$1.key" -s "$1" -S "$SEED" -t "$TRAITS"
	eval "DAEMON_$1=$PID"
}

daemon_pid()
{
	eval "echo \$DAEMON_$1"
}

# kind I: k, u, n, e or x
kind()
{
	# shellcheck disable=SC2086 # one word for each replica
	set -- "$1" $KINDS
	shift "$(($1 + 1))"
	echo "$1"
}

# start_replica I [--genesis]
start_replica()
{
	case $(kind "$1") in
	k) kernel_setconf "$1" && kernel_up "$@" && start_daemon "$1" ;;
	u) start_user "$@" ;;
	n) start_null "$@" ;;
	e) start_evil "$1" ;;
	esac
}

# for_kind KIND COMMAND [ARGUMENT...]: COMMAND I ARGUMENT... for replicas of a kind
for_kind()
{
	want=$1
	command=$2
	shift 2
	at=0
	for kind in $KINDS; do
		if [ "$kind" = "$want" ] && ! "$command" $at "$@"; then
			bail "replica $at: $command failed"
		fi
		at=$((at + 1))
	done
}

# start_cluster KIND... : one of k, u, n, e, x for each replica, all new. The slow parts
# come first: a replica that waits long for the others starts a view change, and
# is then not active in the view that they work in.
start_cluster()
{
	KINDS="$*"
	need pbftctl pbftd pbft-kv
	case " $KINDS " in
	*[kn]*) need_module ;;
	esac
	for_kind k kernel_setconf
	for_kind n kernel_setconf --service null --null-reply 8
	for_kind u start_user --genesis
	for_kind k kernel_up --genesis
	for_kind n kernel_up --genesis
	for_kind k start_daemon
	for_kind e start_evil
	wait_all wait_active
}

# wait_all COMMAND: COMMAND I for each replica that is correct
wait_all()
{
	i=0
	for k in $KINDS; do
		case $k in
		[kun]) "$1" $i || bail "replica $i: $1 failed" ;;
		esac
		i=$((i + 1))
	done
}

# ---- looking at replicas -------------------------------------------------------------

# in_kernel I: is this replica an instance?
in_kernel()
{
	case $(kind "$1") in
	[kn]) true ;;
	*) false ;;
	esac
}

# status I: JSON, one value a line
status()
{
	if in_kernel "$1"; then
		in_ns "$1" pbftctl show "$NAME" --json
	else
		sed 's/[,{}]/\n/g' "$T/$NAME-status$1"
	fi
}

# fields I KEY...: the first value of each name, of one moment
fields()
{
	status "$1" >"$T/status" 2>/dev/null || return 1
	shift
	for key; do
		sed -n "s/^[[:space:]]*\"$key\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}[[:space:]]*\$/\1/p" \
			"$T/status" | head -n 1
	done | paste -s -d ' '
}

# field I KEY
field()
{
	fields "$1" "$2"
}

# field_is I KEY OPERATOR VALUE, as in test: field_is 2 h -ge 64
field_is()
{
	value=$(field "$1" "$2")
	[ -n "$value" ] && test "$value" "$3" "$4"
}

# wait_field I KEY OPERATOR VALUE
wait_field()
{
	wait_until field_is "$@" && return
	diag "replica $1: $2 is $(field "$1" "$2"), wanted $3 $4"
	return 1
}

# wait_kernel I CONDITION...: as pbftctl wait
wait_kernel()
{
	id=$1
	shift
	in_ns "$id" pbftctl wait "$NAME" "$@" --timeout "$DEADLINE"
}

wait_active()
{
	if in_kernel "$1"; then
		wait_kernel "$1" --active
	else
		wait_field "$1" pending = false
	fi
}

wait_voting()
{
	if in_kernel "$1"; then
		wait_kernel "$1" --voting
	else
		wait_field "$1" mute = false
	fi
}

# wait_view I V
wait_view()
{
	if in_kernel "$1"; then
		wait_kernel "$1" --view "$2"
	else
		wait_field "$1" view -ge "$2" && wait_field "$1" pending = false
	fi
}

# counter I NAME: of the instance
counter()
{
	field "$1" "$2"
}

# same KEY KEY ID...: do these replicas have the same value beside the same number? They
# are looked at one by one and move on meanwhile. So what each had since agree() began
# to look is remembered: those that had a number in common are of one mind, so are
# those who are so with the same third, and no two may differ.
same()
{
	keys="$1 $2"
	shift 2
	for id; do
		# shellcheck disable=SC2086 # two words
		had=$(fields "$id" $keys)
		[ -n "$had" ] || return 1
		echo "$id $had" >>"$T/had"
	done
	awk '
		!($1 in mind) { mind[$1] = $1 }
		!($2 in value) { value[$2] = $3 "."; holder[$2] = $1 }
		value[$2] != $3 "." { differ = 1 }
		$2 > 0 {
			mine = mind[$1]
			for (id in mind)
				if (mind[id] == mine)
					mind[id] = mind[holder[$2]]
		}
		END {
			for (id in mind)
				minds += !seen[mind[id]]++
			exit minds != 1 || differ
		}' "$T/had"
}

# Have these replicas executed the same? Compared where they have come equally far.
same_head()
{
	same last_exec chain "$@"
}

same_checkpoint()
{
	same checkpoint checkpoint_digest "$@"
}

# shellcheck source-path=SCRIPTDIR source=lib-clients.sh
. "$(dirname "$0")/../lib-clients.sh"
