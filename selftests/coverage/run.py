#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What of kmod/core the tests without a VM reach, and why not the rest.

Builds the core for gcov below $B/coverage, runs unit tests, scenarios, fixed
simulator seeds with several cluster sizes and the fuzzers' corpora on it, and prints
lines and branches reached per file. A line that nothing reaches must be justified by
its function or its own text in justified.txt; the run fails if one is not.
"""
import argparse
import collections
import fnmatch
import glob
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
B = os.path.join(os.environ.get("B", "build"), "coverage")
CORE = "kmod/core/"
SIZES = (0, 4, 5, 7, 10, 13)	# replicas; 0: the seed chooses
LIMIT = 900			# seconds for one run, by far

Line = collections.namedtuple("Line", "count function branches")


def die(text):
    sys.exit(f"coverage: {text}")


failures = []


def command(args, what, fatal=True):
    """Run it at the top of the tree and give its output. If it fails: the end of
    everything, or of a test only, whose counts are as good as any."""
    try:
        done = subprocess.run(args, cwd=TOP, capture_output=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        die(f"{what} is not done after {LIMIT} s")
    if done.returncode:
        tail = (done.stdout + done.stderr).decode(errors="replace").splitlines()[-12:]
        text = f"{what} fails (exit status {done.returncode})"
        if fatal:
            die("\n".join([text] + tail))
        print("\n".join(tail))
        failures.append(text)
    return done.stdout


def test(args, what):
    command(args, what, fatal=False)


def units():
    """The core's own, and two of which the core is a part."""
    return command(["make", "-s", "core-units"], "a list of units").decode().split() + [
        "unit-replica", "unit-durable"]


def build():
    # gcov names a line's function and counts best what was not optimised
    command(["make", "-s", f"-j{os.cpu_count()}", f"B={B}", "COVERAGE=1",
             f"COVERAGE_UNITS={' '.join(units())}", "OPT=-O0 -g", "coverage-build"],
            "the build")
    for old in glob.glob(os.path.join(TOP, B, "obj", CORE, "*.gcda")):
        os.unlink(old)


def run_all(seeds):
    bin_ = os.path.join(B, "bin")
    for unit in units():
        test([f"{bin_}/{unit}"], unit)
    test([f"{bin_}/pbft-scenario", "selftests/scenarios"], "pbft-scenario")
    for n in SIZES:
        test([f"{bin_}/pbft-sim", "--start", "1", "--seeds", str(seeds),
              "--replicas", str(n), "--jobs", str(os.cpu_count())],
             f"pbft-sim with {seeds} seeds, {n or 'any number of'} replicas")
    for target in "wire", "frag", "step":
        dirs = [d for d in (f"selftests/fuzz/corpus/{target}",
                            f"selftests/fuzz/regress/{target}")
                if os.path.isdir(os.path.join(TOP, d))]
        test([f"{bin_}/cover-{target}", *dirs], f"the corpus of fuzz-{target}")


def collect():
    """{file: {line number: Line}}, headers over all objects that include them."""
    found = collections.defaultdict(dict)
    objects = sorted(glob.glob(os.path.join(TOP, B, "obj", CORE, "*.gcda")))
    if not objects:
        die(f"no counts below {B}/obj/{CORE}")
    for path in objects:
        out = command(["gcov", "-b", "--json-format", "--stdout", path], "gcov")
        for source in json.loads(out)["files"]:
            name = os.path.relpath(os.path.join(TOP, source["file"]), TOP)
            if name.startswith(CORE):
                for line in source["lines"]:
                    add(found[name], line)
    return found


def add(lines, line):
    at = line["line_number"]
    branches = [b["count"] for b in line["branches"]]
    old = lines.get(at)
    if old:
        if len(old.branches) == len(branches):
            branches = [a + b for a, b in zip(old.branches, branches)]
        else:
            branches = max(old.branches, branches, key=len)
        lines[at] = Line(old.count + line["count"], old.function, branches)
    else:
        lines[at] = Line(line["count"], line.get("function_name", ""), branches)


class Justified:
    """Entries "FILE | FUNCTION | LINE | REASON"; LINE may be "line before / line"."""

    def __init__(self, path):
        self.entries = []
        self.used = set()
        with open(path, encoding="utf-8") as f:
            for number, text in enumerate(f, 1):
                text = text.strip()
                if not text or text.startswith("#"):
                    continue
                fields = [field.strip() for field in text.split(" | ")]
                if len(fields) != 4 or not all(fields):
                    die(f"{path}:{number}: not 'FILE | FUNCTION | LINE | REASON'")
                self.entries.append((number, *fields))
        self.path = path

    def reason(self, name, function, before, text):
        for number, file_, func, line, why in self.entries:
            if (file_ == name and func == function and
                    (fnmatch.fnmatchcase(text, line) or
                     fnmatch.fnmatchcase(f"{before} / {text}", line))):
                self.used.add(number)
                return why
        return None

    def unused(self):
        return [e for e in self.entries if e[0] not in self.used]


def percent(part, whole):
    return f"{100 * part / whole:6.1f} %" if whole else "       -"


def report(found, justified):
    bare = []
    total = [0, 0, 0, 0]
    print(f"{'':24} {'lines':>6} {'reached':>8} {'':8} {'branches':>9} {'taken':>6}")
    unreached = []
    for name in sorted(found):
        lines = found[name]
        with open(os.path.join(TOP, name), encoding="utf-8") as f:
            texts = f.read().splitlines()
        hit = sum(1 for l in lines.values() if l.count)
        ways = [count for l in lines.values() for count in l.branches]
        taken = sum(1 for count in ways if count)
        for i, v in enumerate((len(lines), hit, len(ways), taken)):
            total[i] += v
        short = name[len(CORE):]
        print(f"{short:24} {len(lines):6} {hit:8} {percent(hit, len(lines))} "
              f"{len(ways):9} {taken:6} {percent(taken, len(ways))}")
        for at in sorted(lines):
            if not lines[at].count:
                text = texts[at - 1].strip()
                why = justified.reason(short, lines[at].function,
                                       texts[at - 2].strip(), text)
                unreached.append((short, at, lines[at].function, text, why))
    print(f"{'total':24} {total[0]:6} {total[1]:8} {percent(total[1], total[0])} "
          f"{total[2]:9} {total[3]:6} {percent(total[3], total[2])}")
    print()
    for short, at, function, text, why in unreached:
        print(f"{short}:{at}: {function}: {text}\n\t{why or 'NOT JUSTIFIED'}")
        if not why:
            bare.append(at)
    for number, file_, func, line, _ in justified.unused():
        print(f"{justified.path}:{number}: not needed: {file_}, {func}: {line}")
    reached = f"{total[1]} of {total[0]} lines and {total[3]} of {total[2]} branches"
    print(f"kmod/core: {reached} reached; {len(unreached)} lines are not, "
          f"{len(bare)} of them not justified")
    for text in failures:
        print(f"coverage: {text}")
    return not bare and not failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=80, help="for each cluster size")
    parser.add_argument("--report", action="store_true",
                        help="of the counts that are there; run nothing")
    args = parser.parse_args()
    if not args.report:
        build()
        run_all(args.seeds)
    justified = Justified(os.path.join(HERE, "justified.txt"))
    sys.exit(0 if report(collect(), justified) else 1)


if __name__ == "__main__":
    main()
