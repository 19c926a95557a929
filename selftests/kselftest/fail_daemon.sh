#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Allocations that fail when a daemon speaks: of each kind of answer each one in turn,
# given again when it was refused; then any that a daemon asks for, or the kernel to
# answer it. A daemon may end, by its own choice, but its instance must not.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lib-fail.sh"

need_injection
need nl-answers pbftctl pbftd pbft-kv
need_module

null_with_answers fail
cleanup

make_net 4
rm -rf "$KEYS"
make_conf 4 CheckpointInterval=16 Window=64
start_cluster k k k k
start_load two 101 1000
check "load is under way" wait_until acked_reach two 20
control ignore-gfp-wait N
control task-filter Y
control interval 1
control times 100000
# An executable that cannot be started is not a daemon's fault.
make_fail()
{
	wait_field 1 bound = true && echo 1 >"/proc/$(daemon_pid 1)/make-it-fail"
}
make_fail || bail "daemon 1 cannot be made to fail"
control probability 2

# A daemon that has ended is followed by another, which fares no better; when the load has
# ended, there is still something to do.
enough_failed()
{
	kv_as 102 put more yes
	if gone "$(daemon_pid 1)"; then
		diag "the daemon has ended: $(tail -n 1 "$T/pbftd-$NAME-1.log")"
		start_daemon 1
		make_fail
	fi
	[ "$(cat $debug/failslab/times)" -lt 99970 ]
}
check "allocations of daemon 1 fail" wait_until enough_failed
control probability 0
cat "$T/check"
diag "failed: $((100000 - $(cat $debug/failslab/times)))" \
	"and $((100000 - $(cat $debug/fail_page_alloc/times)))"
gone "$(daemon_pid 1)" && start_daemon 1
check "the load ends without an error" wait_load
check "all of it is there" kv verify "$T/two.rec"
check "no replica stopped" running 0 1 2 3
agree_suite 0 1 2 3
