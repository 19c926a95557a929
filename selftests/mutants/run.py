#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Mutants: put one named bug into the core and see what notices.

list.txt holds the bugs as replacements of texts that must occur exactly once. For each,
the changed file is compiled and linked with everything else as it is. The simulator then
runs seeds until one violates an invariant; the scenarios and the unit tests of the core
run too. A mutant that survives all seeds and all of those is a hole, to be closed there.

usage: run.py [--seeds N] [--jobs N] [--only NAME,...] [--replicas N,...]

Prints a table; the last line is `mutants: C caught, S survived`. What does not build is
neither, and fails the run. So does a test that fails without any mutant.
"""
import argparse
import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
B = os.environ.get("B", os.path.join(TOP, "build"))
CHUNKS = (250, 750, 4000)   # seeds at one size of cluster before the next size's turn
ENOUGH = 100                # seeds for a mutant that another test has caught already
SHOWN = 4                   # tests named in the table
LIMIT = 1800                # seconds for one run of the simulator
TESTS = tuple(subprocess.check_output(("make", "-s", "core-units"), cwd=TOP,
                                      text=True).split()) + ("pbft-scenario",)


def mutants():
    """Yield name, file, [(old text, new text)], sizes of cluster that can show it."""
    with open(os.path.join(TOP, "selftests/mutants/list.txt"), encoding="utf-8") as f:
        text = f.read()
    for part in re.split(r"^== ", text, flags=re.M)[1:]:
        head, body = part.split("\n", 1)
        name, path, *rest = head.split()
        sizes = [int(n) for n in rest[0][2:].split(",")] if rest else None
        hunks = re.findall(r"^<<<<\n(.*?)^====\n(.*?)^>>>>$", body, flags=re.M | re.S)
        yield name, path, [(old[:-1], new[:-1]) for old, new in hunks], sizes


class Build:
    """How make builds the programs, so that one of them can be built with another core."""

    def __init__(self):
        self.link = {}
        self.compile = {}
        names = ["pbft-sim"] + list(TESTS)
        made = subprocess.run(["make", "-s", "-C", TOP, "B=" + B] +
                              [os.path.join(B, "bin", n) for n in names],
                              capture_output=True, text=True, timeout=LIMIT, check=False)
        if made.returncode:
            sys.exit("mutants: the programs do not build:\n" + made.stderr)
        plan = subprocess.run(["make", "-n", "-B", "-C", TOP, "B=" + B] +
                              [os.path.join(B, "bin", n) for n in names],
                              capture_output=True, text=True, timeout=LIMIT, check=True)
        for line in plan.stdout.splitlines():
            words = shlex.split(line) if " -o " in line else []
            if "-c" in words:
                self.compile[words[-1]] = words
            elif words:
                self.link[os.path.basename(words[words.index("-o") + 1])] = words

    def run(self, words):
        return subprocess.run(words, cwd=TOP, capture_output=True, text=True,
                              timeout=LIMIT, check=False)

    def objects(self, where, name):
        """Compile what the changed file goes into. Return a reason why not, or None."""
        sources = ["kmod/core/" + name]
        if name.endswith(".h"):
            sources = [s for s in self.compile
                       if s.startswith(("kmod/core/", "selftests/"))]
        for source in sources:
            words = list(self.compile[source])
            if source.startswith("kmod/core/"):
                words[-1] = os.path.join(where, source)
            words[words.index("-o") + 1] = os.path.join(where, source[:-2] + ".o")
            os.makedirs(os.path.dirname(os.path.join(where, source)), exist_ok=True)
            at = words.index("-MT")
            del words[at:at + 2]
            words = [w for w in words if w not in ("-Werror", "-MMD", "-MP")]
            # the copies come before the originals
            words[1:1] = ["-I" + os.path.join(where, "kmod/core"),
                          "-I" + os.path.join(where, "kmod"), "-Ikmod/core"]
            made = self.run(words)
            if made.returncode:
                return "does not build: " + made.stderr.strip().split("\n")[-1]
        return None

    def program(self, where, name):
        """Return its path; "" if nothing of the change is in it; None: it does not link."""
        words = list(self.link[name])
        changed = False
        words[words.index("-o") + 1] = os.path.join(where, name)
        obj = os.path.join(B, "obj") + "/"
        for i, w in enumerate(words):
            mine = os.path.join(where, w[len(obj):]) if w.startswith(obj) else ""
            if mine and os.path.exists(mine):
                words[i] = mine
                changed = True
        if not changed:
            return ""
        made = self.run(words)
        return None if made.returncode else os.path.join(where, name)


def tests(where, programs):
    """What of the scenarios and unit tests fails: a list of names."""
    failed = []
    for name, program in programs.items():
        words = [program]
        if name == "pbft-scenario":
            words.append("selftests/scenarios")
        try:
            r = subprocess.run(words, cwd=TOP, capture_output=True, text=True,
                               timeout=120, check=False)
        except subprocess.TimeoutExpired:
            failed.append(name + " (no end)")
            continue
        bad = re.findall(r"^not ok \d+ (?:- )?(\S+)", r.stdout, flags=re.M)
        if bad and name == "pbft-scenario":
            failed += [os.path.basename(b).replace(".txt", "") for b in bad]
        elif r.returncode or bad:
            failed.append(name)
    return failed


def make_mutant(build, where, path, hunks):
    """The programs with this bug; None and a reason if it cannot be made."""
    shutil.rmtree(where, ignore_errors=True)
    core = os.path.join(where, "kmod/core")
    if path.endswith(".h"):
        shutil.copytree(os.path.join(TOP, "kmod/core"), core)
    else:
        os.makedirs(core)
    with open(os.path.join(TOP, "kmod/core", path), encoding="utf-8") as f:
        text = f.read()
    for old, new in hunks:
        if text.count(old) != 1:
            return None, "a text to replace occurs %d times in %s" % (text.count(old), path)
        text = text.replace(old, new)
    with open(os.path.join(core, path), "w", encoding="utf-8") as f:
        f.write(text)
    why = build.objects(where, path)
    if why:
        return None, why
    programs = {}
    for name in ("pbft-sim",) + TESTS:
        programs[name] = build.program(where, name)
        if programs[name] is None:
            return None, name + " does not link"
    return {n: p for n, p in programs.items() if p}, None


def seeds(sim, sizes, args, most):
    """Run seeds until one is violated, at most so many. Return what caught it, or None."""
    done = {n: 0 for n in sizes}
    turn = 0
    while min(done.values()) < most:
        for n in sizes:
            count = min(CHUNKS[min(turn, len(CHUNKS) - 1)], most - done[n])
            if count <= 0:
                continue
            try:
                r = subprocess.run([sim, "--start", str(args.start + done[n]), "--seeds",
                                    str(count), "--replicas", str(n), "--jobs", "1",
                                    "--stop", "1", "--tail", "0"], capture_output=True,
                                   text=True, timeout=LIMIT, check=False)
            except subprocess.TimeoutExpired:
                return "n=%d: a run of %d seeds has no end" % (n, count)
            bad = re.search(r"(VIOLATION|CRASH), seed (\d+): (?:at [0-9.]+s: )?(.*)", r.stdout)
            if bad:
                return "n=%d, %d seeds: %s%s" % (
                    n, int(bad.group(2)) - args.start + 1,
                    "crash, " if bad.group(1) == "CRASH" else "", bad.group(3)[:90])
            if r.returncode:
                return "n=%d: status %d without a violation" % (n, r.returncode)
            done[n] += count
        turn += 1
    return None


def hunt(job):
    """Return name, outcome, detail."""
    (name, path, hunks, sizes), args, build = job
    where = os.path.join(B, "mutants", name)
    try:
        programs, why = make_mutant(build, where, path, hunks)
        if not programs:
            return name, "BROKEN", [why]
        sim = programs.pop("pbft-sim")
        failed = tests(where, programs)
        most = min(args.seeds, ENOUGH) if failed else args.seeds
        by = seeds(sim, sizes or args.replicas, args, most)
        detail = [by] if by else ["no seed of %d" % most]
        if failed:
            more = ", %d more" % (len(failed) - SHOWN) if len(failed) > SHOWN else ""
            detail.append(("also: " if by else "but: ") + " ".join(failed[:SHOWN]) + more)
        return name, "caught" if by or failed else "SURVIVED", detail
    finally:
        shutil.rmtree(where, ignore_errors=True)


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
    build = Build()
    failed = tests(TOP, {n: os.path.join(B, "bin", n) for n in TESTS})
    if failed:
        sys.exit("mutants: these fail without any: " + " ".join(failed))
    counts = {"caught": 0, "SURVIVED": 0, "BROKEN": 0}
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for name, outcome, detail in pool.map(hunt, [(m, args, build) for m in chosen]):
            counts[outcome] += 1
            print("%-28s %-9s %s" % (name, outcome, "; ".join(detail)), flush=True)
    if counts["BROKEN"]:
        print("%d could not be made" % counts["BROKEN"])
    print("mutants: %d caught, %d survived" % (counts["caught"], counts["SURVIVED"]))
    return 1 if counts["SURVIVED"] or counts["BROKEN"] else 0


if __name__ == "__main__":
    sys.exit(main())
