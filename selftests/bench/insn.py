#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Instructions of the core for one ordered operation, held against committed figures.

Runs bench-insn under callgrind, which counts the same on every run, and adds up by
source line, so that a function has its own whether it was inlined or not. What hashes,
MACs, memory and the network cost is not counted in instructions but in how often they
are used. Prints TAP: a total, or a function with a share worth looking at, that is more
than 3 percent above insn.txt fails, and the functions that grew are named. With another
compiler than that of insn.txt instructions cannot be compared: that part is skipped.

  insn.py             the tests
  insn.py --update    write insn.txt; commit it with the change that needs it
  insn.py --table     what an operation costs by replicas, clients and size, as JSON
"""
import argparse
import collections
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
B = os.path.join(TOP, os.environ.get("B", "build"))
PROGRAM = os.path.join(B, "bin/bench-insn")
FIGURES = os.path.join(HERE, "insn.txt")
OURS = ("kmod/core/", "userspace/include/")
SLACK = 0.03
WORTH = 0.01        # of the total: a function that small may grow unnoticed
LIMIT = 120         # seconds for one run, by far

# name: arguments of bench-insn
WORKLOADS = {
    "0/0, 1 client, n = 4": "-n 4 -c 1 -o 1000",
    "0/0, 16 clients, n = 4": "-n 4 -c 16 -o 2000",
    "4096/0, 1 client, n = 4": "-n 4 -c 1 -q 4096 -o 500",
    "0/4096, 1 client, n = 4": "-n 4 -c 1 -r 4096 -o 500",
    "0/0, 1 client, n = 10": "-n 10 -c 1 -o 300",
}
# What does not depend on the compiler.
COUNTS = ("messages", "bytes", "macs_made", "macs_checked", "hashes", "hashed_bytes",
          "allocations")


class Failed(Exception):
    """With a sentence for a person."""


def compiler():
    cc = os.environ.get("CC", "gcc").split()
    version = subprocess.run([*cc, "--version"], capture_output=True, text=True, check=True,
                             timeout=LIMIT).stdout.splitlines()[0]
    version = version.split(" ", 1)[-1]         # cc or gcc, it is the same one
    return f"{version}, {os.environ.get('OPT', '-O2 -g')}, {os.uname().machine}"


# ---- from lines to functions ------------------------------------------------------

class Source:
    """Which function a line of a file in kernel style belongs to."""

    def __init__(self, path):
        self.first = []         # (line, function), rising
        with open(path, encoding="utf-8") as f:
            for number, text in enumerate(f, 1):
                found = re.match(r"(?:#define |[A-Za-z_][\w \t*]*?[ \t*])(\w+)\(", text)
                if found:
                    self.first.append((number, found.group(1)))

    def function(self, line):
        name = "?"
        for number, function in self.first:
            if number > line:
                break
            name = function
        return name


class Callgrind:
    """Own instructions by (file, function) of our sources."""

    def __init__(self, path):
        self.sources = {}
        self.cost = collections.Counter()
        name, skip = None, False
        with open(path, encoding="utf-8") as f:
            for text in f:
                if text.startswith(("fl=", "fi=", "fe=")):
                    name = self.ours(text[3:].strip())
                elif text.startswith("calls="):
                    skip = True             # the next line is the callee's
                elif text[0].isdigit():
                    if name and not skip:
                        line, cost = text.split()[:2]
                        self.add(name, int(line), int(cost))
                    skip = False

    @staticmethod
    def ours(path):
        path = os.path.relpath(os.path.join(TOP, path), TOP)
        return path if path.startswith(OURS) else None

    def add(self, name, line, cost):
        if name not in self.sources:
            self.sources[name] = Source(os.path.join(TOP, name))
        self.cost[(os.path.basename(name), self.sources[name].function(line))] += cost


# ---- measuring ----------------------------------------------------------------------

def measure(arguments):
    """({count: per operation}, {(file, function): instructions per operation})"""
    with tempfile.TemporaryDirectory() as where:
        out = os.path.join(where, "callgrind")
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no",
             "--toggle-collect=bench_measured", "--compress-strings=no",
             "--compress-pos=no", f"--callgrind-out-file={out}",
             PROGRAM, *arguments.split()],
            cwd=TOP, capture_output=True, text=True, timeout=LIMIT, check=False)
        if done.returncode:
            raise Failed(f"bench-insn {arguments} fails: {done.stderr[-1000:]}")
        cost = Callgrind(out).cost
    counts = json.loads(done.stdout)
    ops = counts.pop("operations")
    if not cost:
        raise Failed("callgrind saw nothing of kmod/core: built without -g?")
    return ({k: round(v / ops, 2) for k, v in counts.items()},
            {k: round(v / ops, 1) for k, v in cost.items() if v >= ops / 20})


def total(functions):
    return sum(functions.values())


# ---- the committed figures ------------------------------------------------------------

def write_figures(measured):
    with open(FIGURES, "w", encoding="utf-8") as f:
        f.write("# Written by insn.py --update: what one ordered operation takes, of all\n"
                "# replicas together. Instructions of kmod/core by function.\n"
                f"compiler\t{compiler()}\n")
        for name, (counts, functions) in measured.items():
            f.write(f"\nworkload\t{name}\ntotal\t{total(functions):.0f}\n")
            for what in COUNTS:
                f.write(f"count\t{what}\t{counts[what]}\n")
            for (file, function), cost in sorted(functions.items(), key=lambda x: -x[1]):
                if cost < total(functions) / 1000:
                    break
                f.write(f"{file}\t{function}\t{cost}\n")


def read_figures():
    by, figures, counts, functions = None, {}, {}, {}
    with open(FIGURES, encoding="utf-8") as f:
        for text in f:
            fields = text.rstrip("\n").split("\t")
            if fields[0] == "compiler":
                by = fields[1]
            elif fields[0] == "workload":
                counts, functions = {}, {}
                figures[fields[1]] = (counts, functions)
            elif fields[0] == "total":
                counts["total"] = float(fields[1])
            elif fields[0] == "count":
                counts[fields[1]] = float(fields[2])
            elif len(fields) == 3:
                functions[(fields[0], fields[1])] = float(fields[2])
    return by, figures


# ---- judging ---------------------------------------------------------------------------

def grown(was, old, new):
    """Functions above the slack, the worst first: (growth, name, before, now)."""
    worth = was * WORTH
    found = []
    for key, now in new.items():
        before = old.get(key, 0)
        if now - before > max(before * SLACK, worth * SLACK) and max(before, now) >= worth:
            found.append((now - before, "%s: %s" % key, before, now))
    return sorted(found, reverse=True)


class Tap:
    def __init__(self):
        self.run = self.bad = 0

    def ok(self, good, what, skip=""):
        self.run += 1
        self.bad += not good
        print(f"{'ok' if good else 'not ok'} {self.run} - {what}" +
              (f" # SKIP {skip}" if skip else ""), flush=True)
        return good

    @staticmethod
    def diag(text):
        print("# " + text)

    def end(self):
        print(f"1..{self.run}")
        return 1 if self.bad else 0


def judge_counts(tap, name, old, new):
    more = [f"{what}: {old[what]} before, {new[what]} now" for what in COUNTS
            if new[what] > old[what] * (1 + SLACK)]
    tap.ok(not more, f"{name}: no more messages, MACs, hashes or allocations")
    for text in more:
        tap.diag(text)


def judge_instructions(tap, name, was, old, new, skip):
    if skip:
        tap.ok(True, f"{name}: instructions", skip)
        return
    now = total(new)
    tap.ok(now <= was * (1 + SLACK),
           f"{name}: {now:.0f} instructions of the core, {was:.0f} committed")
    more = grown(was, old, new)
    tap.ok(not more, f"{name}: no function grew")
    for growth, what, before, after in more[:15]:
        tap.diag(f"{what}: {before:.1f} before, {after:.1f} now (+{growth:.1f})")
    if more or now > was * (1 + SLACK):
        tap.diag("if that is worth it: make bench-insn UPDATE=1, and commit insn.txt")
    elif now < was * (1 - SLACK):
        tap.diag("it shrank: make bench-insn UPDATE=1 keeps it so")


def self_test(tap, was, old):
    """Would it be noticed?"""
    worst = max(old, key=old.get)
    new = dict(old)
    new[worst] *= 1.04
    tap.ok([g[1] for g in grown(was, old, new)] == ["%s: %s" % worst] and
           not grown(was, old, old),
           "a function that grows by 4 percent is named, and no other")


def tests():
    tap = Tap()
    by, figures = read_figures()
    here = compiler()
    skip = "" if by == here else f"insn.txt is by {by}; this is {here}"
    counts, functions = next(iter(figures.values()))
    self_test(tap, counts["total"], functions)
    for name, arguments in WORKLOADS.items():
        if name not in figures:
            tap.ok(False, f"{name}: insn.txt has no figures: make bench-insn UPDATE=1")
            continue
        old, old_functions = figures[name]
        counts, functions = measure(arguments)
        judge_counts(tap, name, old, counts)
        judge_instructions(tap, name, old["total"], old_functions, functions, skip)
    return tap.end()


# ---- the table for make bench -------------------------------------------------------------

def table():
    rows = []
    for n, clients, request, reply in (
            (4, 1, 0, 0), (7, 1, 0, 0), (10, 1, 0, 0), (16, 1, 0, 0), (31, 1, 0, 0),
            (4, 4, 0, 0), (4, 16, 0, 0), (4, 64, 0, 0), (4, 256, 0, 0),
            (4, 1, 1024, 0), (4, 1, 4096, 0), (4, 1, 0, 4096),
            (4, 64, 1024, 1024)):
        ops = max(100, 1000 // n, 4 * clients)
        counts, functions = measure(f"-n {n} -c {clients} -q {request} -r {reply} -o {ops}")
        top = sorted(functions.items(), key=lambda x: -x[1])[:12]
        rows.append({"n": n, "clients": clients, "request": request, "reply": reply,
                     "instructions": round(total(functions)), **counts,
                     "functions": [["%s: %s" % k, v] for k, v in top]})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--table", metavar="FILE")
    args = parser.parse_args()
    try:
        if args.table:
            with open(args.table, "w", encoding="utf-8") as f:
                json.dump(table(), f, indent=1)
            return 0
        if args.update:
            write_figures({name: measure(a) for name, a in WORKLOADS.items()})
            return 0
        return tests()
    except (Failed, OSError, subprocess.SubprocessError) as e:
        print(f"Bail out! {e}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
