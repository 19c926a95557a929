#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Events of the netlink family; what is checked is in nl-events.c.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

need pbftctl nl-events
need_module
add_netns 0
ip -n "${NS}0" addr add 10.9.0.1/24 dev lo
make_conf 4
check "setconf" kernel_setconf 0
run_tap in_ns 0 nl-events "$NAME"
