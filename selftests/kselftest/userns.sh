#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Commands and user namespaces; what is checked is in nl-userns.c.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../lib.sh"

need nl-userns
need_module
add_netns 0
run_tap in_ns 0 nl-userns
