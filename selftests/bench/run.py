#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""All measurements, unattended; `make bench` runs it.

Writes into build/bench: summary.json (plain numbers), results.json (everything),
results.md (tables), and the plots. BENCH_QUICK=1 is a smoke run of a few minutes whose
figures are of little worth. BENCH_MAC=NAME has clusters with that MAC instead of the
default, and a directory of its own: build/bench-NAME.

  run.py              measure and report
  run.py --journal    only journals and state transfer
  run.py --report     of what the last run measured; the rest is measured now
  run.py --commit     copy the last full run's report to Documentation/performance;
                      with --journal only that part
"""
import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True      # keep the source tree clean

# pylint: disable=wrong-import-position
from benchlib import common, journal, native, report, tables, vm        # noqa: E402
from benchlib.common import OUT, QUICK, TOP, Failed, die, run, save, say    # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PUBLISHED = os.path.join(TOP, "Documentation/performance")
FILES = ("results.md", "summary.json", "latency-cdf.svg", "throughput.svg", "phases.svg",
         "journal.md", "journal.json")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((l.split(":")[1].strip() for l in f if l.startswith("model name")), "?")
    emulator = run(["qemu-system-x86_64", "--version"], 60).splitlines()[0]
    return (f"{os.cpu_count()} CPUs ({model}), host kernel {platform.release()}; guests with "
            f"kernel {vm.kernel_version()} under {emulator}, {vm.accelerator()}; "
            f"load of the host before: {tables.host_load()}")


def cost():
    path = os.path.join(OUT, "cost.json")
    run([os.path.join(HERE, "insn.py"), "--table", path], 900)
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def header(command):
    return common.remembered(f"the machine of {command}", lambda: {
        "command": command + (" BENCH_QUICK=1" if QUICK else ""),
        "date": time.strftime("%Y-%m-%d"), "machine": machine(), "quick": QUICK})


def measure():
    results = header("make bench")
    results["cost"] = common.remembered("instructions, messages and MACs of an operation",
                                        cost)
    results["native"] = common.remembered("userspace replicas on this host",
                                          native.measure)
    many_by_clock = vm.wall_throughput()
    by_clock = [vm.wall(n) for n in (4, *vm.OTHER_N)]
    by_insn = [vm.icount(n) for n in (4, *vm.OTHER_N)]
    many = vm.icount_throughput()
    results["latency_icount"] = tables.latency(by_insn, results["cost"], True)
    results["latency_wall"] = tables.latency(by_clock, results["cost"], False)
    results["applications"] = tables.applications(by_insn[0])
    results["phases"] = vm.phases(by_insn[0])
    results["throughput_wall"] = tables.throughput(many_by_clock)
    results["throughput_icount"] = tables.throughput(many)
    results["summary"] = tables.summary(results["cost"], results["native"], by_insn[0],
                                        by_clock[0], many, many_by_clock)
    return results, by_clock[0]


def commit(only_journal):
    """What was measured, if it was measured in full."""
    if common.MAC != common.DEFAULT_MAC:
        die(f"what is published is of clusters with {common.DEFAULT_MAC}")
    files = [name for name in FILES if name.startswith("journal") or not only_journal]
    for name in ("journal.json",) if only_journal else ("journal.json", "results.json"):
        with open(os.path.join(OUT, name), encoding="utf-8") as f:
            if json.load(f)["quick"]:
                die("the last run was a quick one: its figures are not for publishing")
    os.makedirs(PUBLISHED, exist_ok=True)
    for name in files:
        shutil.copy(os.path.join(OUT, name), PUBLISHED)
    say(f"{', '.join(files)} copied to {os.path.relpath(PUBLISHED, TOP)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--commit", action="store_true")
    parser.add_argument("--journal", action="store_true")
    args = parser.parse_args()
    common.reuse = args.report
    os.makedirs(OUT, exist_ok=True)
    if args.commit:
        return commit(args.journal)
    started = time.monotonic()
    try:
        journal.show(journal.measure(header("make bench-journal")))
        if args.journal:
            return None
        results, guest = measure()
        save("results.json", results)
        save("summary.json", results["summary"])
        report.write(results, guest)
    except (Failed, OSError, subprocess.SubprocessError) as e:
        die(e)
    for key, value in results["summary"].items():
        print(f"  {key}: {value}")
    say(f"took {(time.monotonic() - started) / 60:.0f} minutes; see {OUT}/results.md")
    return None


if __name__ == "__main__":
    main()
