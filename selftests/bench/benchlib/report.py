# SPDX-License-Identifier: GPL-2.0
"""The results for people: a Markdown page and plots by gnuplot."""
import os

from .common import MAC, OUT, run
from .tables import NOISY, cdf


def pm(f, unit=""):
    """Median and spread; a star where the spread is large. One repetition has none."""
    star = " *" if f["spread"] > NOISY * abs(f["median"]) else ""
    digits = 0 if f["median"] >= 1000 else 1 if f["median"] >= 100 else 2
    if f["repetitions"] == 1:
        return f"{f['median']:.{digits}f}{unit}"
    return f"{f['median']:.{digits}f} ± {f['spread']:.{digits}f}{unit}{star}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(c) for c in row) + " |" for row in rows] + [""]


def latency_tables(rows):
    out = table(["n", "request/reply", "kernel / userspace", "kernel / NO-REP",
                 "userspace / NO-REP", "kernel, µs", "userspace, µs", "NO-REP kernel, µs",
                 "NO-REP userspace, µs"],
                [[r["n"], r["workload"], pm(r["kernel_over_user"]), pm(r["kernel_over_norep"]),
                  pm(r["user_over_norep"]), pm(r["kernel_us"]), pm(r["user_us"]),
                  pm(r["norep_kernel_us"]), pm(r["norep_user_us"])] for r in rows])
    floor = [r for r in rows if "floor_us" in r]
    return out if not floor else out + ["At 0/0, against what it stands on:", ""] + table(
        ["n", "kernel / floor", "kernel / floor of one CPU",
         "kernel / userspace without MACs", "floor, µs", "floor of one CPU, µs",
         "a hop, µs", "a MAC in the kernel, µs", "a MAC in userspace, µs"],
        [[r["n"], pm(r["kernel_over_floor"]), pm(r["kernel_over_one_cpu_floor"]),
          pm(r["kernel_over_user_without_macs"]), pm(r["floor_us"]),
          pm(r["one_cpu_floor_us"]), pm(r["bounce_us"]), pm(r["mac_us"]),
          pm(r["usermac_us"])] for r in floor])


def throughput_table(rows):
    return table(["replicas", "workload", "clients", "/ kernel, null service",
                  "ops/s", "median latency, µs"],
                 [[r["what"], r["workload"], r["clients"], pm(r["over_kernel_null"]),
                   pm(r["ops_per_s"]), pm(r["p50_us"])] for r in rows])


def native_table(rows):
    def norep(row, key):
        return pm(row["norep"][key]) if row["norep"] else "-"

    def over(row, key):
        return pm(row[key]) if row[key] else "-"

    return table(["request/reply", "clients", "sockets", "latency / NO-REP",
                  "throughput / NO-REP", "throughput / a socket each", "p50, µs", "p99, µs",
                  "ops/s", "NO-REP p50, µs", "NO-REP ops/s"],
                 [[r["workload"], r["clients"], r["sockets"], over(r, "latency_over_norep"),
                   over(r, "throughput_over_norep"), over(r, "throughput_over_each"),
                   pm(r["user"]["p50_us"]), pm(r["user"]["p99_us"]), pm(r["user"]["ops_per_s"]),
                   norep(r, "p50_us"), norep(r, "ops_per_s")] for r in rows])


def cost_table(rows):
    return table(["n", "clients", "request/reply", "messages", "bytes", "MACs made",
                  "MACs checked", "hashes", "bytes hashed", "allocations",
                  "instructions of the core"],
                 [[r["n"], r["clients"], f"{r['request']}/{r['reply']}",
                   f"{r['messages']:.1f}", f"{r['bytes']:.0f}", f"{r['macs_made']:.1f}",
                   f"{r['macs_checked']:.1f}", f"{r['hashes']:.1f}",
                   f"{r['hashed_bytes']:.0f}", f"{r['allocations']:.1f}",
                   r["instructions"]] for r in rows])


def phase_table(phases):
    whole = phases["latency_ns"]
    return table(["phase", "share", "µs", "what"],
                 [[p["phase"], f"{100 * p['ns'] / whole:.0f} %", f"{p['ns'] / 1000:.0f}",
                   p["what"]] for p in phases["phases"]])


def page(r):
    s = r["summary"]
    lines = ["# Performance", "",
             f"Made by `{r['command']}` on {r['date']}; {r['machine']}. The MAC is {MAC}.", "",
             "Ratios are of one run on one machine, taken round by round. ± is the distance",
             "between the quartiles of the repetitions, and a star marks one of more than",
             f"{NOISY:.0%} of its median: do not build on it. Absolute times stand beside",
             "the ratios and mean nothing anywhere else. What each figure is and how it is",
             "taken: `README.md` beside this file.", "", "## Summary", ""]
    lines += table(["figure", "value", "spread"],
                   [[f"`{k}`", v, s[k + "_spread"]] for k, v in s.items()
                    if k + "_spread" in s])
    lines += ["## Latency of one client, time by instructions", "",
              "One emulated CPU whose clock counts instructions: exact, and the same under",
              "any load. All replicas, their clients and the network share it.", ""]
    lines += latency_tables(r["latency_icount"])
    lines += ["## Latency of one client, by the wall clock", "",
              "The same, one emulated CPU, real time.", ""]
    lines += latency_tables(r["latency_wall"])
    lines += ["![latency](latency-cdf.svg)", "", "## Where the time goes", "",
              f"The median of {r['phases']['operations']} operations at 0/0, n = 4, kernel",
              "replicas, by tracepoints and instructions (tracing included):", ""]
    lines += phase_table(r["phases"]) + ["![phases](phases.svg)", ""]
    lines += ["## The application path, one client, time by instructions", ""]
    lines += table(["service", "workload", "/ kernel, null service", "µs"],
                   [[a["what"], a["workload"], pm(a["over_null"]), pm(a["us"])]
                    for a in r["applications"]])
    lines += ["## Throughput, time by instructions", "",
              "All replicas and clients on one CPU, on a network where every datagram takes",
              "1 ms: operations for each second's worth of instructions.", ""]
    lines += throughput_table(r["throughput_icount"])
    lines += ["![throughput](throughput.svg)", "",
              "## Throughput, two CPUs, by the wall clock", "",
              "Clients on one emulated CPU, all replicas on the other.", ""]
    lines += throughput_table(r["throughput_wall"])
    lines += ["## Userspace replicas on this host, no VM", ""]
    lines += native_table(r["native"])
    lines += ["## What one operation costs, of all replicas and the client together", "",
              "Counted by `make bench-insn`'s program on a network of memory; instructions are",
              "those of `kmod/core` alone, without hashes, MACs and copies.", ""]
    lines += cost_table(r["cost"])
    return "\n".join(lines)


# ---- plots -------------------------------------------------------------------------------

HEAD = """set terminal svg size 720,440 font 'sans,12' background 'white'
set grid
set key below
"""


def data_file(name, blocks):
    """Blocks of rows, two empty lines between: gnuplot's indexes."""
    path = os.path.join(OUT, name)
    with open(path, "w", encoding="utf-8") as f:
        for rows in blocks:
            for row in rows:
                f.write(" ".join(str(x) for x in row) + "\n")
            f.write("\n\n")
    return path


def gnuplot(name, commands):
    script = os.path.join(OUT, name + ".gp")
    with open(script, "w", encoding="utf-8") as f:
        f.write(HEAD + f"set output '{os.path.join(OUT, name + '.svg')}'\n" + commands)
    run(["gnuplot", script], 60)


def plot_series(name, titles, blocks, settings, style):
    data = data_file(name + ".dat", blocks)
    curves = ", \\\n".join(f"'{data}' index {i} using 1:2 with {style} title '{t}'"
                           for i, t in enumerate(titles))
    gnuplot(name, settings + f"plot {curves}\n")


def plot_cdf(guest):
    names = (("k0", "kernel"), ("u0", "userspace"), ("nk0", "NO-REP, kernel"),
             ("nu0", "NO-REP, userspace"))
    plot_series("latency-cdf", [t for _, t in names],
                [cdf(r["histogram_ns"] for r in guest.results(n, "0/0")) for n, _ in names],
                "set title 'One client, 0/0, n = 4, by the wall clock (emulated)'\n"
                "set xlabel 'latency, µs'\nset ylabel 'fraction of operations'\n"
                "set logscale x\nset yrange [0:1]\n", "lines lw 2")


def plot_throughput(rows):
    names = list(dict.fromkeys((r["series"], r["workload"], r["what"]) for r in rows))
    blocks = [[(r["ops_per_s"]["median"], r["p50_us"]["median"] / 1000) for r in rows
               if (r["series"], r["workload"]) == n[:2]] for n in names]
    plot_series("throughput", [f"{what}, {work}" for _, work, what in names], blocks,
                "set title 'More and more clients, n = 4, time by instructions'\n"
                "set xlabel 'operations a second'\nset ylabel 'median latency, ms'\n"
                "set logscale y\n", "linespoints lw 2")


def plot_phases(phases):
    data = data_file("phases.dat", [[(f"\"{p['phase']}\"", p["ns"] / 1000)
                                     for p in phases["phases"]]])
    gnuplot("phases", "set title 'One operation, 0/0, n = 4, kernel: time by instructions'\n"
            "set style fill solid 0.6\nset boxwidth 0.7\nset yrange [0:*]\nunset key\n"
            "set ylabel 'µs'\n"
            f"plot '{data}' using 0:2:xtic(1) with boxes title 'phases'\n")


def write(results, guest):
    with open(os.path.join(OUT, "results.md"), "w", encoding="utf-8") as f:
        f.write(page(results))
    plot_cdf(guest)
    plot_throughput(results["throughput_icount"])
    plot_phases(results["phases"])
