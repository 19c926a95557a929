#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# One replica of four is malicious, and primary at first; three in the kernel are
# correct. Whatever it does, clients are served, what they see is linearizable, and
# the correct ones agree. Each kind of lie alone, and then all at once.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need evil-replica check-history pbft-bench
check "the checker of histories knows good from bad" check-history --self-test
diag "SEED=$SEED"
make_net 4

lied()
{
	grep -q "^lies $1 [1-9]" "$T/evil-0.log"
}

against()
{
	TRAITS=$1 NAME=r-$1
	make_conf 4 CheckpointInterval=16 Window=64 Timeout=500ms
	start_cluster e k k k
	start_bench "$1" 100-102 -n "${OPS:-150}" -d 2
	history_suite "$1"
	check "$1: none of the correct replicas stopped" running 1 2 3
	agree_suite 1 2 3
	end "$(daemon_pid 0)"
	for lie in $2; do
		check "$1: it did lie ($lie)" lied "$lie"
	done
	for id in 1 2 3; do
		in_ns "$id" pbftctl del "$NAME"
		end "$(daemon_pid "$id")"
	done
	rm -f "$T/evil-0.log"
}

for trait in ${TRAIT:-equivocate macs replay flood views}; do
	against "$trait" "$trait"
done
[ -n "${TRAIT:-}" ] || against all "equivocate macs replay flood"
