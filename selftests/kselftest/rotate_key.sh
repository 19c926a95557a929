#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Kernel replicas change the generation of their keys under load; the others, in
# the kernel and in userspace, and the client follow and drop nothing. A second
# change that follows at once may cost retransmissions, but nothing else.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

make_net 4
# no machine is so slow that a view would be left for it
make_conf 4 CheckpointInterval=16 Window=64 Timeout=60s
start_cluster k k k u
check "put" kv put alpha one
start_load one 101 400
check "load is under way" wait_until acked_reach one 30
for generation in 1 2; do
	for id in 0 1 2; do
		check "replica $id sends under generation $generation" \
			in_ns $id pbftctl rotate-key "$NAME" $generation
	done
	check "the load goes on" wait_until acked_reach one $((generation * 150))
	[ $generation -eq 1 ] || continue
	for id in 0 1 2; do
		check_is "replica $id dropped nothing for key or MAC" \
			"$(fields $id drop_key drop_mac)" "0 0"
	done
done
check "the load ends without an error" wait_load
check "all of it is there" kv verify "$T/one.rec"
check_is "show tells the generation" "$(field 1 key_id)" 2
for id in 0 1 2; do
	check_is "replica $id dropped nothing for its MAC" "$(field $id drop_mac)" 0
done
check_is "nobody changed the view" "$(field 0 view)" 0
in_ns 0 pbftctl rotate-key "$NAME" 1 2>"$T/err"
check_is "an older generation is refused" "$(cat "$T/err")" \
	"pbftctl rotate-key: $NAME: key generation 1 is older than 2: others would refuse it"
agree_suite 0 1 2 3
