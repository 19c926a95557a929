#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Every refusal of the netlink family; the tables are in nl-refusals-*.c.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

need pbftctl nl-refusals
need_module
add_netns 0
in_ns 0 nl-refusals >"$T/out" 2>&1
status=$?
cat "$T/out"
TEST_N=$(grep -c '^\(not \)\{0,1\}ok ' "$T/out")
# its plan is this test's too
trap - EXIT
cleanup
rm -rf "$T"
exit $status
