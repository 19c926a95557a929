# SPDX-License-Identifier: GPL-2.0
"""Kernel complaints in a console log."""

import re

# The console carries nothing but the kernel's log (and the guest's init), so a
# word can be trusted wherever it stands in a line.
SPLAT = re.compile(r"""
      \bWARNING:
    | \bBUG\b
    | \bOops\b
    | \bKASAN | \bKFENCE | \bKCSAN | \bKMSAN | \bUBSAN
    | Kernel\ panic
    | general\ protection\ fault
    | [Uu]nable\ to\ handle
    | (double|page|invalid\ opcode|divide\ error|stack\ segment|alignment\ check)\ fault:
    | invalid\ opcode: | divide\ error:
    | \bINFO:\ (rcu|task|trying\ to\ register|possible|inconsistent|lockdep|suspicious)
    | detected\ (stall|expedited\ stall)|self-detected\ stall|rcu.*kthread\ starved
    | (possible|suspicious)\ .*(locking|deadlock|lock\ inversion|RCU\ usage)
    | inconsistent\ lock\ state | bad\ unlock\ balance | held\ lock\ freed
    | lock\ held\ when\ returning | nested\ lock\ was\ not\ taken
    | refcount_t:
    | list_(add|del)\ (corruption|double)
    | (Poison|Redzone|Padding)\ overwritten | Object\ already\ free | Objects\ remaining\ in
    | \bkmemleak:.*\bsuspected\ memory\ leaks | unreferenced\ object | kmemleak:\ .*disabled
    | \bODEBUG: | leaked\ reference | DEBUG_LOCKS_WARN_ON
    | (soft|hard)\ (lockup|LOCKUP) | blocked\ for\ more\ than
    | scheduling\ while\ atomic | sleeping\ function\ called
    | unregister_netdevice:\ waiting\ for
    | Out\ of\ memory: | invoked\ oom-killer | page\ allocation\ failure
    | Call\ Trace:
""", re.X)

# Debian's kernel has races of its own, and KCSAN names the module of a function
# that is not the kernel's: only these are looked for.
NOT_OURS = re.compile(r"BUG: KCSAN: [^[]*$")

CONTEXT_AFTER = 40


def find(log):
    """Complaints in a console log: a list of excerpts, each a list of lines."""
    lines = log.replace("\r", "").rstrip("\n").split("\n")
    found = []
    end = 0
    for i, line in enumerate(lines):
        if i < end or not SPLAT.search(line) or NOT_OURS.search(line):
            continue
        end = min(i + CONTEXT_AFTER, len(lines))
        found.append(lines[i:end])
    return found


def find_in_file(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return find(log.read())
    except FileNotFoundError:
        return []
