#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Allocations that fail: of every administrator's netlink command each one in turn; of
# the packets' path some, at random, and of a daemon some. What fails, fails with an
# error or loses a packet, and the replicas go on. Needs a kernel with fault injection:
# see scripts/kernels.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

debug=/sys/kernel/debug

# control ATTRIBUTE VALUE: of both injectors
control()
{
	for injector in failslab fail_page_alloc; do
		echo "$2" >$debug/$injector/"$1" || bail "$injector has no $1"
	done
}

if [ ! -d $debug/failslab ] || [ ! -d $debug/fail_page_alloc ] ||
   [ ! -e /proc/self/fail-nth ]; then
	ok 0 "failing allocations # SKIP this kernel has no fault injection"
	exit 0
fi
need nl-failnth pbftctl pbft-kv
need_module

# Only what says so by fail-nth, and that in allocations that may sleep, too.
control verbose 0
control probability 0
control ignore-gfp-wait N 2>/dev/null
echo 0 >$debug/fail_page_alloc/min-order
make_net 4
make_conf 4 CheckpointInterval=16 Window=64
run_tap in_ns 0 nl-failnth "$CONF" "$KEYS/replica-0.key" "$T/journal"
rm "$T/journal"

# From now on what cannot sleep: in softirq, where packets are taken and sent.
control ignore-gfp-wait Y
KINDS="k k k k"
for id in 0 1 2 3; do
	check "replica $id" kernel_setconf "$id" --service null --null-reply 8
	check "replica $id is up" kernel_up "$id" --genesis
done
wait_all wait_active
start_load one 100 400
control times -1
control interval 1
control task-filter N
control probability 5
check "load goes on while one allocation in twenty fails" wait_until acked_reach one 100
control probability 0
check "and ends when none does" wait_load
check_is "all are acknowledged" "$(acked one)" 400
check "the replicas' logs are the same" agree head 0 1 2 3
cleanup

# What a daemon asks for while it answers, and what the kernel needs to answer it: it
# may end, by its own choice, but its instance must not.
make_net 4
rm -rf "$KEYS"
make_conf 4 CheckpointInterval=16 Window=64
start_cluster k k k k
start_load two 101 1000
check "load is under way" wait_until acked_reach two 20
control ignore-gfp-wait N
control task-filter Y
control times 100000
echo 1 >"/proc/$(daemon_pid 1)/make-it-fail" || bail "daemon 1 cannot be made to fail"
control probability 2

some_failed()
{
	[ "$(cat $debug/failslab/times)" -lt 99990 ]
}
check "allocations of daemon 1 fail" wait_until some_failed
check "load goes on meanwhile" wait_until acked_reach two $(($(acked two) + 100))
control probability 0
diag "failed: $((100000 - $(cat $debug/failslab/times)))" \
	"and $((100000 - $(cat $debug/fail_page_alloc/times)))"
if ! alive "$(daemon_pid 1)"; then
	diag "the daemon has ended: $(tail -n 1 "$T/pbftd-$NAME-1.log")"
	start_daemon 1
fi
check "the load ends without an error" wait_load
check "all of it is there" kv verify "$T/two.rec"
check "no replica stopped" running 0 1 2 3
agree_suite 0 1 2 3
