# SPDX-License-Identifier: GPL-2.0
"""Kernel replicas beside userspace replicas, in virtual machines.

Once with time counted in instructions, which is exact and the same on every run, and
once by the wall clock. guest.sh does the measuring; here it is told what, and its lines
are taken apart.
"""
import collections
import glob
import json
import os
import re
import subprocess

from .common import B, MAC, QUICK, TOP, Failed, remembered

VM = os.path.join(TOP, "scripts/vm/vm")
# As every x86 of the last fifteen years: hashes by SSSE3 at least.
CPU = "qemu64,+rdrand,+ssse3"
KINDS = "k0 u0 k4096 u4096"
APPLICATIONS = "d0:0/0 l0:0/0 v0:0/0 l0:put v0:put"
LIMIT = 1500        # seconds for one guest: hosts are busy
OTHER_N = (7,) if QUICK else (7, 10)

Load = collections.namedtuple("Load", "round name workload clients result")


class Guest:
    """One run of guest.sh, and what it said."""

    def __init__(self, title, plan, n, settings, icount=False, smp=1, limit=LIMIT):
        self.loads, self.trace, self.transfers = [], [], []
        self.numbers = collections.defaultdict(list)    # bounce, mac: ns for one
        self.n = n
        settings = [f"{k}={v}" for k, v in {"N": n, "MAC": MAC, **settings}.items()]
        self.parse(remembered(f"VM: {title}",
                              lambda: self.boot(plan, settings, icount, smp, limit)), title)

    @staticmethod
    def boot(plan, settings, icount, smp, limit):
        modules = glob.glob(os.path.join(B, "kmod", kernel_version(), "floor/pbft_floor.ko"))
        if not modules:
            raise Failed("pbft_floor.ko is not built: make bench-module")
        args = [VM, "run", "--mem", "3072", "--smp", str(smp), "--timeout", str(limit),
                "--file", f"{modules[0]}:/bench/pbft_floor.ko"]
        args += ["--icount"] if icount else []
        done = subprocess.run(
            [*args, "--", "sh", "/selftests/bench/guest.sh", plan, *settings],
            capture_output=True, text=True, timeout=limit + 30, check=False,
            stdin=subprocess.DEVNULL,
            env={"VM_CPU": CPU, "VM_BUILD": B, **os.environ})
        if done.returncode:
            lines = [x for x in done.stdout.splitlines() if not x.startswith("BENCH ")]
            raise Failed(f"the VM's exit status is {done.returncode}\n" +
                         "\n".join(lines[-25:]) + done.stderr[-2000:])
        return done.stdout

    def parse(self, text, title):
        round_ = 0
        for line in text.splitlines():
            if not line.startswith("BENCH "):
                continue
            what, rest = line[6:].split(" ", 1)
            if what == "round":
                round_ = int(rest.split()[0])
            elif what == "load":
                self.add_load(round_, rest, title)
            elif what in ("bounce", "mac", "usermac"):
                _, ns, count = rest.split()
                self.numbers[what].append((round_, int(ns) / int(count)))
            elif what == "trace":
                self.trace.append(rest)
            elif what == "transfer" and round_ > 1:
                self.transfers.append(tuple(map(int, rest.split())))

    def add_load(self, round_, rest, title):
        name, workload, clients, result = rest.split(" ", 3)
        result = json.loads(result)
        if result["errors"] or result.get("view"):
            raise Failed(f"{title}: {name} {workload}: {result['errors']} errors, "
                         f"view {result.get('view')}")
        if not result["operations"]:
            raise Failed(f"{title}: {name} {workload}: nothing was measured")
        self.loads.append(Load(round_, name, workload, int(clients), result))

    def results(self, name, workload, clients=1):
        """Of all rounds but the first, which warms up."""
        return [l.result for l in self.loads
                if (l.name, l.workload, l.clients) == (name, workload, clients) and l.round > 1]

    def p50(self, name, workload, clients=1):
        return [r["latency_ns"]["p50"] for r in self.results(name, workload, clients)]

    def throughput(self, name, workload, clients):
        return [r["throughput"] for r in self.results(name, workload, clients)]

    def number(self, what):
        return [ns for round_, ns in self.numbers[what] if round_ > 1]


def kernel_version():
    return subprocess.run([os.path.join(TOP, "scripts/vm/kernel-version")], check=True,
                          capture_output=True, text=True, timeout=60).stdout.strip()


def accelerator():
    """What the guests that go by the wall clock ran on, as vmlib found out."""
    known = os.environ.get("ACCEL")
    path = os.path.join(os.environ.get("VM_DIR") or os.path.join(B, "vm"), "accel")
    if not known and os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            known = f.read().split()[0]
    return "KVM" if known == "kvm" else f"emulation (TCG, {CPU})"


# ---- the runs -----------------------------------------------------------------------

def icount(n):
    """Latency by instructions, and for n = 4 applications and the tracepoints."""
    ops = {4: 60 if QUICK else 100}.get(n, 20 if QUICK else 40)
    settings = {"CLUSTERS": KINDS, "ROUNDS": 2 if QUICK or n > 4 else 3,
                "HOPS": 2000, "MACS": 500, "BENCH_TIME": f"-n {ops} --warmup 0.05",
                "NOREP_TIME": "0.02 0.05", "TRACE_OPS": 30 if QUICK else 100}
    if n == 4:
        settings.update(CLUSTERS=f"{KINDS} d0 l0 v0", APPLICATIONS=APPLICATIONS)
    return Guest(f"one client, n = {n}, time by instructions",
                 "latency trace" if n == 4 else "latency", n, settings, icount=True)


def icount_throughput():
    """With a network that takes as long as an operation's work, as real ones do: else
    one CPU never has two requests at a time."""
    return Guest("many clients, a network with delay, time by instructions", "throughput", 4, {
        "CLUSTERS": "k0 u0 d0 l0", "APPLICATIONS": "d0:0/0 l0:0/0",
        "ROUNDS": 2 if QUICK else 3,
        "DELAY": "1ms", "THROUGHPUT_CLIENTS": "1 16" if QUICK else "1 16 64 256",
        "BENCH_TIME": "--seconds 0.1 --warmup 0.05" if QUICK else
                      "--seconds 0.2 --warmup 0.1"}, icount=True)


def wall(n):
    rounds = 3 if QUICK else 10 if n == 4 else 5
    return Guest(f"one client, n = {n}, by the wall clock", "latency", n, {
        "CLUSTERS": KINDS, "ROUNDS": rounds, "HOPS": 20000, "MACS": 2000,
        "BENCH_TIME": "--seconds 0.8 --warmup 0.2", "NOREP_TIME": "0.1 0.3"})


def wall_throughput():
    return Guest("many clients, two CPUs, by the wall clock", "throughput", 4, {
        "CLUSTERS": "k0 u0 d0 l0 v0", "APPLICATIONS": APPLICATIONS,
        "ROUNDS": 2 if QUICK else 4,
        "THROUGHPUT_CLIENTS": "1 16" if QUICK else "1 4 16 64 256",
        "BENCH_TIME": "--seconds 1 --warmup 0.3", "PIN": 1}, smp=2)


# ---- the tracepoints -------------------------------------------------------------------

PHASES = (
    ("order", "the primary has the request, to its first PRE-PREPARE out"),
    ("pre-prepare", "... to the second backup's having it, authentic"),
    ("prepare", "... to the first COMMIT out: a replica has prepared"),
    ("commit", "... to the first execution: a replica has committed"),
    ("reply", "... to the second REPLY out: enough for the client"),
    ("client", "all the rest: the client, its request's hop and the replies'"),
)


def phases(guest):
    """[(phase, what, ns)] of the median operation; how many operations it is of."""
    ops = collections.defaultdict(lambda: collections.defaultdict(list))
    request_at = None
    for line in guest.trace:
        m = re.match(r"([\d.]+) pbft_(\w+) \w+\[(\d+)\] (\w+) (?:(\d+) )?.*?seq=(\d+)", line)
        if not m:
            continue
        at, kind, self_, verb = float(m[1]) * 1e9, m[2], int(m[3]), m[4]
        seq = int(m[6])
        if kind == "request" and verb == "from" and self_ == 0:
            request_at = at
        elif kind == "pre_prepare" and verb == "to":
            ops[seq]["request"] = ops[seq]["request"] or [(request_at, 0)]
            ops[seq]["out"].append((at, self_))
        elif kind == "pre_prepare" and verb == "from":
            ops[seq]["in"].append((at, self_))
        elif kind == "commit" and verb == "to":
            ops[seq]["commit"].append((at, self_))
        elif kind == "task" and verb == "apply":
            ops[seq]["apply"].append((at, self_))
        elif kind == "reply" and verb == "to":
            ops[seq]["reply"].append((at, self_))
    spans = []
    for op in ops.values():
        if len(op["in"]) < 2 or len(op["reply"]) < 2 or not op["request"][0][0]:
            continue
        marks = [op["request"][0][0], op["out"][0][0], op["in"][1][0], op["commit"][0][0],
                 op["apply"][0][0], op["reply"][1][0]]
        spans.append([b - a for a, b in zip(marks, marks[1:])])
    if not spans:
        raise Failed("the tracepoints show no complete operation")
    middle = [sorted(s[i] for s in spans)[len(spans) // 2] for i in range(5)]
    traced = next(l.result for l in guest.loads if l.round == 0)["latency_ns"]["p50"]
    middle.append(max(0, traced - sum(middle)))
    return {"operations": len(spans), "latency_ns": traced,
            "phases": [{"phase": name, "what": what, "ns": round(ns)}
                       for (name, what), ns in zip(PHASES, middle)]}
