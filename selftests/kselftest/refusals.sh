#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Every refusal of the netlink family; the tables are in nl-refusals-*.c, and the
# source is asked whether it has more.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

need nl-refusals
need_module
add_netns 0
run_tap in_ns 0 nl-refusals
