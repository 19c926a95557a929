# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
# lib.sh: what the functional tests share. A test sources it, makes a cluster of
# network namespaces on one bridge, and prints TAP. Everything it makes has the
# test's own prefix and goes when the test ends, by process id and by name.
#
# Replica i listens in namespace $NS$i, clients live in ${NS}c, the bridge in
# ${NS}b. A replica of kind k is an instance "r" of the kernel with a pbftd bound
# to it, u is pbftd --userspace.

set -u
NS=pb$$-
T=$(mktemp -d "${TMPDIR:-/tmp}/pbft-test.XXXXXX") || exit 1
DEADLINE=${DEADLINE:-120}	# seconds that anything may take; machines are slow
PORT=7000
FAMILY=4
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
		diag "$*"
		sed 's/^/#   /' "$T/check" | head -n 20
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

# address I: of replica I; c is the client
address()
{
	host=$1
	[ "$host" = c ] && host=100
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

# make_conf N [Key=Value...]: $CONF and $KEYS for replicas 0..N-1, clients 100-109.
# Idle clusters move slowly, so that replicas can be seen to agree.
make_conf()
{
	count=$1
	shift
	case "$*" in
	*Heartbeat=*) ;;
	*) set -- "$@" Heartbeat=3s ;;
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
	pbftctl genconf --replica "${reps#,}" --clients 100-109 --keys "$KEYS" \
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

daemon_pid()
{
	eval "echo \$DAEMON_$1"
}

# kind I: k or u
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
	if [ "$(kind "$1")" = k ]; then
		kernel_setconf "$1" && kernel_up "$@" && start_daemon "$1"
	else
		start_user "$@"
	fi
}

# for_kind KIND COMMAND [ARGUMENT...]: COMMAND I ARGUMENT... for replicas of a kind
for_kind()
{
	want=$1
	command=$2
	shift 2
	n=0
	for k in $KINDS; do
		if [ "$k" = "$want" ] && ! "$command" $n "$@"; then
			bail "replica $n: $command failed"
		fi
		n=$((n + 1))
	done
}

# start_cluster KIND... : one of k or u for each replica, all new. The slow parts
# come first: a replica that waits long for the others starts a view change, and
# is then not active in the view that they work in.
start_cluster()
{
	KINDS="$*"
	need pbftctl pbftd pbft-kv
	case " $KINDS " in
	*k*) need_module ;;
	esac
	for_kind k kernel_setconf
	for_kind u start_user --genesis
	for_kind k kernel_up --genesis
	for_kind k start_daemon
	wait_all wait_active
}

# wait_all COMMAND: COMMAND I for each replica
wait_all()
{
	i=0
	for _ in $KINDS; do
		"$1" $i || bail "replica $i: $1 failed"
		i=$((i + 1))
	done
}

# ---- looking at replicas -------------------------------------------------------------

# status I: JSON, one value a line
status()
{
	if [ "$(kind "$1")" = k ]; then
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
	if [ "$(kind "$1")" = k ]; then
		wait_kernel "$1" --active
	else
		wait_field "$1" pending = false
	fi
}

wait_voting()
{
	if [ "$(kind "$1")" = k ]; then
		wait_kernel "$1" --voting
	else
		wait_field "$1" mute = false
	fi
}

# wait_view I V
wait_view()
{
	if [ "$(kind "$1")" = k ]; then
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

# same KEY KEY ID...: two values that all these replicas have alike
same()
{
	keys="$1 $2"
	shift 2
	first=
	for id; do
		# shellcheck disable=SC2086 # two words
		now=$(fields "$id" $keys)
		[ -n "$now" ] || return 1
		[ -n "$first" ] || first=$now
		[ "$now" = "$first" ] || return 1
	done
}

# Have these replicas executed the same? Compared when they have come equally far.
same_head()
{
	same last_exec chain "$@"
}

same_checkpoint()
{
	same checkpoint checkpoint_digest "$@" && [ "${first%% *}" -gt 0 ]
}

# ---- clients ------------------------------------------------------------------------

# kv ARGUMENT...: as client 100
kv()
{
	in_ns c pbft-kv -c "$CONF" -i 100 -k "$KEYS/client-100.key" -q -t "$DEADLINE" "$@"
}

# kv_as CLIENT ARGUMENT...
kv_as()
{
	client=$1
	shift
	in_ns c pbft-kv -c "$CONF" -i "$client" -k "$KEYS/client-$client.key" -q \
		-t "$DEADLINE" "$@"
}

# records FILE FIRST LAST: as pbft-kv load reads them
records()
{
	seq "$2" "$3" | sed 's/.*/key-&\tvalue of & ......................................../' >"$1"
}

# start_load NAME CLIENT COUNT: load records in the background; LOAD is its pid,
# acknowledged keys go to $T/NAME.acked
start_load()
{
	records "$T/$1.rec" 1 "$3"
	: >"$T/$1.acked"
	background "$1" ip netns exec "${NS}c" pbft-kv -c "$CONF" -i "$2" \
		-k "$KEYS/client-$2.key" -q -t "$DEADLINE" --acked "$T/$1.acked" \
		load "$T/$1.rec"
	LOAD=$PID
}

# acked NAME: how many
acked()
{
	wc -l <"$T/$1.acked"
}

acked_reach()
{
	[ "$(acked "$1")" -ge "$2" ]
}

# wait_load: until it is done; its status
wait_load()
{
	wait_until gone "$LOAD" || return 1
	wait "$LOAD"
}

# client_suite RECORDS: what any cluster must do, whatever its replicas run on.
client_suite()
{
	check "put" kv put alpha one
	check_is "get what was put" "$(kv get alpha)" one
	check "cas from the right value" kv cas alpha one two
	kv cas alpha one three >/dev/null 2>&1
	check_is "cas from a wrong value is refused" $? 1
	check_is "and changes nothing" "$(kv get alpha)" two
	check "put from another client" kv_as 101 put beta "$(seq 1 400 | tr '\n' ' ')"
	check_is "both clients see both keys" "$(kv list | tr '\n' ' ')" "alpha beta "
	check_is "a long value comes back whole" "$(kv get beta)" "$(seq 1 400 | tr '\n' ' ')"
	check "del" kv del alpha
	kv get alpha >/dev/null 2>&1
	check_is "what was deleted is not found" $? 1
	records "$T/many.rec" 1 "$1"
	check "$1 records, pipelined" kv load "$T/many.rec"
	check "read back and compared" kv_as 101 verify "$T/many.rec"
}

# agree NAME ID...: wait until same_NAME, else tell where each of them is
agree()
{
	aspect=$1
	shift
	wait_until "same_$aspect" "$@" && return
	for id; do
		echo "replica $id: $(fields "$id" last_exec chain h checkpoint \
			checkpoint_digest view pending mute fetching)"
	done
	return 1
}

# agree_suite ID...: these replicas have executed the same
agree_suite()
{
	check "the replicas' logs are the same" agree head "$@"
	check "and so are their states at a checkpoint" agree checkpoint "$@"
}
