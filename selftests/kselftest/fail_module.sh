#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Allocations that fail while the module is loaded: each one in turn. No half of it
# stays, and when none fails it is loaded and works.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lib-fail.sh"

need_injection
need mod-failnth modinfo rmmod pbftctl
need_module
file=$(modinfo -n pbft)
check "the module is unloaded" wait_until rmmod pbft
run_tap mod-failnth "$file" pbft
need_module
make_net 4
make_conf 4
start_cluster n n n n
check "a cluster of it works" kv put alpha one
