#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Mutants: put one named bug into the core and see whether the simulator notices.

list.txt holds the bugs as replacements of text that must occur exactly once. For each,
the core is copied, changed, built into a simulator of its own, and run over seeds until
one is violated. A mutant that survives all of them is a hole in the simulator.

usage: run.py [--seeds N] [--jobs N] [--only NAME,...] [--replicas N,...]

Prints a table; the last line is `mutants: C caught, S survived`.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
B = os.environ.get("B", os.path.join(TOP, "build"))
CHUNK = 250             # seeds in one run of the simulator
LIMIT = 1800            # seconds for one of those


def mutants():
    """Yield name, file, old text, new text, sizes of cluster that can show it."""
    with open(os.path.join(TOP, "selftests/mutants/list.txt"), encoding="utf-8") as f:
        text = f.read()
    for part in re.split(r"^== ", text, flags=re.M)[1:]:
        head, body = part.split("\n", 1)
        name, path, *rest = head.split()
        sizes = [int(n) for n in rest[0][2:].split(",")] if rest else None
        _, _, rest = body.partition("<<<<\n")
        old, _, rest = rest.partition("====\n")
        new, _, _ = rest.partition(">>>>\n")
        yield name, path, old[:-1], new[:-1], sizes


def build(name, path, old, new):
    """A simulator with this bug; None and a reason if it cannot be made."""
    where = os.path.join(B, "mutants", name)
    shutil.rmtree(where, ignore_errors=True)
    for part in ("kmod/core", "userspace", "uapi", "selftests"):
        os.makedirs(os.path.join(where, os.path.dirname(part)), exist_ok=True)
        if part == "kmod/core":
            shutil.copytree(os.path.join(TOP, part), os.path.join(where, part))
        else:
            os.symlink(os.path.join(TOP, part), os.path.join(where, part))
    os.symlink(os.path.join(TOP, "Makefile"), os.path.join(where, "Makefile"))
    source = os.path.join(where, "kmod/core", path)
    with open(source, encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        return None, "the text to replace occurs %d times in %s" % (text.count(old), path)
    with open(source, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    made = subprocess.run(["make", "-s", "-C", where, "B=out", "CFLAGS=-Wno-error",
                           "out/bin/pbft-sim"], capture_output=True, text=True,
                          timeout=LIMIT, check=False)
    if made.returncode:
        return None, "does not build: " + made.stderr.strip().split("\n")[-1]
    return os.path.join(where, "out/bin/pbft-sim"), None


def hunt(job):
    """Return name, outcome, detail."""
    (name, path, old, new, sizes), args = job
    sizes = sizes or args.replicas
    sim, why = build(name, path, old, new)
    if not sim:
        return name, "broken", why
    tried = 0
    try:
        while tried < args.seeds:
            for n in sizes:
                r = subprocess.run([sim, "--start", str(args.start + tried), "--seeds",
                                    str(CHUNK), "--replicas", str(n), "--jobs", "1",
                                    "--tail", "0"],
                                   capture_output=True, text=True, timeout=LIMIT, check=False)
                if r.returncode:
                    bad = re.findall(r"VIOLATION, seed (\d+): at [0-9.]+s: (.*)", r.stdout)
                    first = bad[0] if bad else ("?", (r.stdout + r.stderr).strip()[-80:])
                    return name, "caught", "n=%d seed %s of %d: %s (%d in %d seeds)" % (
                        n, first[0], tried + CHUNK, first[1], len(bad), CHUNK)
            tried += CHUNK
    except subprocess.TimeoutExpired:
        return name, "caught", "no progress: a run of %d seeds took %d s" % (CHUNK, LIMIT)
    finally:
        shutil.rmtree(os.path.join(B, "mutants", name), ignore_errors=True)
    return name, "SURVIVED", "%d seeds for each of n = %s" % (
        tried, ", ".join(map(str, sizes)))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--seeds", type=int, default=20000)
    p.add_argument("--start", type=int, default=1)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--only", default="")
    p.add_argument("--replicas", default="4,7")
    args = p.parse_args()
    args.replicas = [int(n) for n in args.replicas.split(",")]
    chosen = [m for m in mutants() if not args.only or m[0] in args.only.split(",")]
    counts = {"caught": 0, "SURVIVED": 0, "broken": 0}
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, outcome, detail in pool.map(hunt, [(m, args) for m in chosen]):
            counts[outcome] += 1
            print("%-28s %-9s %s" % (name, outcome, detail), flush=True)
    if counts["broken"]:
        print("%d could not be made" % counts["broken"])
    print("mutants: %d caught, %d survived" % (counts["caught"], counts["SURVIVED"]))
    return 1 if counts["SURVIVED"] or counts["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
