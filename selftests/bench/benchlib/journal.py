# SPDX-License-Identifier: GPL-2.0
"""What a journal costs, and what a state transfer costs: `make bench-journal`.

All kernel replicas of one VM with two CPUs, by the wall clock. Journals lie on devices
in the VM's memory, so that it is the path to the medium that is measured and no disk;
beside them, the same on devices where each flush takes a millisecond.
"""
import json
import os

from .common import OUT, QUICK, Failed, figure, ratio, save
from .report import pm, table
from .vm import Guest

CLUSTERS = (("k0", "none", "-"), ("a0", "async", "memory"), ("s0", "sync", "memory"),
            ("A0", "async", "1 ms a flush"), ("S0", "sync", "1 ms a flush"))
CLIENTS = (1, 16) if QUICK else (1, 16, 64)
WINDOW = "CheckpointInterval=16 Window=64"


def modes():
    """Latency of one client and throughput of many, in turns."""
    guest = Guest("journals, two CPUs, by the wall clock", "throughput", 4, {
        "CLUSTERS": " ".join(c for c, _, _ in CLUSTERS), "THROUGHPUT_KINDS":
        " ".join(f"{c}:0/0" for c, _, _ in CLUSTERS), "SET": WINDOW,
        "ROUNDS": 3 if QUICK else 7, "THROUGHPUT_CLIENTS": " ".join(map(str, CLIENTS)),
        "BENCH_TIME": "--seconds 1 --warmup 0.3"}, smp=2)
    rows = []
    for name, mode, medium in CLUSTERS:
        for clients in CLIENTS:
            below = guest.p50("k0", "0/0", clients), guest.throughput("k0", "0/0", clients)
            p50, ops = guest.p50(name, "0/0", clients), guest.throughput(name, "0/0", clients)
            rows.append({"mode": mode, "medium": medium, "clients": clients,
                         "latency_over_none": ratio(p50, below[0]),
                         "throughput_over_none": ratio(ops, below[1]),
                         "p50_us": figure([x / 1000 for x in p50], 1),
                         "ops_per_s": figure(ops, 1)})
    return rows


def transfer():
    """A replica that lost its database fetches it; a client puts meanwhile."""
    guest = Guest("state transfer, two CPUs, by the wall clock", "transfer", 4, {
        "CLUSTERS": "l0", "SET": WINDOW, "ROUNDS": 2 if QUICK else 6,
        "STATE_RECORDS": 1000 if QUICK else 4000,
        "BENCH_TIME": "--seconds 0.5 --warmup 0.1"}, smp=2)
    alone, copy = ([t[i] for t in guest.transfers] for i in (1, 2))
    if not alone:
        raise Failed("no state transfer was measured")
    quiet, busy = guest.p50("quiet", "put"), []
    for round_ in sorted({l.round for l in guest.loads if l.round > 1}):
        parts = [l.result["latency_ns"]["p50"] for l in guest.loads
                 if l.round == round_ and l.name == "busy"]
        busy.append(sorted(parts)[len(parts) // 2])
    return {"bytes": guest.transfers[0][0], "transfer_over_copy": ratio(alone, copy),
            "transfer_ms": figure(alone, 0), "copy_ms": figure(copy, 0),
            "put_latency_during_over_before": ratio(busy, quiet)}


def page(r):
    lines = ["# Journals and state transfer", "",
             f"Made by `{r['command']}` on {r['date']}; {r['machine']}.", "",
             "Ratios of one run on one machine, round by round; ± is the distance between the",
             "quartiles of the rounds, a star marks one of more than 15 % of its median.", "",
             "## Modes of the journal", "",
             "Four kernel replicas with the null service, 0/0. `memory` is a device in the VM's",
             "memory: what the way to the medium costs. Each flush of the other kind of device",
             "takes 1 ms, as on a fast disk.", ""]
    lines += table(["mode", "medium", "clients", "latency / none", "throughput / none",
                    "p50, µs", "ops/s"],
                   [[x["mode"], x["medium"], x["clients"], pm(x["latency_over_none"]),
                     pm(x["throughput_over_none"]), pm(x["p50_us"]), pm(x["ops_per_s"])]
                    for x in r["modes"]])
    t = r["transfer"]
    lines += ["## State transfer", "",
              f"A replica with an empty database fetches {t['bytes'] / 1e6:.1f} MB of keys and",
              "values from the other three. The plain copy is as many bytes by one TCP connection",
              "between the same two network namespaces, into a file and flushed. The client puts",
              "100 bytes at a time, one after the other.", ""]
    lines += table(["figure", "value"],
                   [["time of the transfer / plain copy", pm(t["transfer_over_copy"])],
                    ["time of the transfer, ms", pm(t["transfer_ms"])],
                    ["time of the copy, ms", pm(t["copy_ms"])],
                    ["a client's median latency during / before",
                     pm(t["put_latency_during_over_before"])]])
    return "\n".join(lines)


def measure(header):
    """journal.json and journal.md."""
    results = {**header, "modes": modes(), "transfer": transfer()}
    save("journal.json", results)
    with open(os.path.join(OUT, "journal.md"), "w", encoding="utf-8") as f:
        f.write(page(results))
    return results


def show(results):
    for row in results["modes"]:
        print(f"  {row['mode']:6} {row['medium']:13} {row['clients']:3} clients: latency "
              f"{row['latency_over_none']['median']:.2f}, throughput "
              f"{row['throughput_over_none']['median']:.2f} of none's")
    print("  transfer: " + json.dumps({k: v["median"] for k, v in results["transfer"].items()
                                       if k != "bytes"}))
