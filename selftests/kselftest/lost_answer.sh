#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# A daemon's answer is lost on its way, for want of memory say: the kernel notices with
# the next one, ends the binding, and the daemon binds again. Its instance goes on.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # for lib.sh
. "$(dirname "$0")/../lib.sh"

need nl-answers pbftctl pbft-kv
need_module
null_with_answers
