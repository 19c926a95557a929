# SPDX-License-Identifier: GPL-2.0
"""Four userspace replicas on this host's loopback, with no virtual machine.

The null service, so that it is agreement that is measured, beside an unreplicated
service over the same sockets. Clients have a socket each, as those of that service; and,
where there are several, once more one for all. Every process lives through all
repetitions; the workloads take turns.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile

from .common import BIN, MAC, QUICK, figure, median, pooled, ratio, run, say, spread, wait_for

N = 4
CLIENTS = "100-355"
SECONDS, WARMUP = (0.5, 0.2) if QUICK else (1.0, 0.3)
ROUNDS = 3 if QUICK else 9
MANY = (1, 16) if QUICK else (1, 4, 16, 64, 256)
LIMIT = 120


def free_ports(count):
    """Ports that were free just now; all held until the last is known."""
    with contextlib.ExitStack() as held:
        socks = [held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                 for _ in range(count)]
        for s in socks:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in socks]


class Processes:
    """Started here, ended here, by process id."""

    def __init__(self):
        self.all = []

    def start(self, args, log):
        with open(log, "w", encoding="utf-8") as out:
            self.all.append(subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=out,
                                             stderr=out))
        return self.all[-1]

    def end(self):
        for p in self.all:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in self.all:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


class Service:
    """A cluster and an unreplicated server, both with replies of one size."""

    def __init__(self, where, processes, reply):
        self.dir = os.path.join(where, str(reply))
        os.mkdir(self.dir)
        ports = free_ports(N + 1)
        self.conf = os.path.join(self.dir, "cluster.conf")
        self.norep_port = ports[N]
        self.configure(ports)
        for i in range(N):
            processes.start(
                [os.path.join(BIN, "pbftd"), "--userspace", "--genesis", "-c", self.conf,
                 "-k", f"{self.dir}/replica-{i}.key", "--self", str(i), "--service", "null",
                 "--null-reply", str(reply), "--status", f"{self.dir}/status-{i}"],
                f"{self.dir}/pbftd-{i}.log")
        processes.start([os.path.join(BIN, "bench-norep"), "serve", "127.0.0.1",
                         str(self.norep_port), str(reply)], f"{self.dir}/norep.log")
        for i in range(N):
            wait_for(f"replica {i}", lambda p=f"{self.dir}/status-{i}": os.path.exists(p))

    def configure(self, ports):
        where = ",".join(f"{i}=127.0.0.1:{ports[i]}" for i in range(N))
        text = run([os.path.join(BIN, "pbftctl"), "genconf", "--replica", where,
                    "--clients", CLIENTS, "--keys", self.dir, "--set", f"Mac={MAC}",
                    "--set", "Timeout=5s", "--set", "Heartbeat=600s"], LIMIT)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text)

    def load(self, request, clients, *options):
        out = os.path.join(self.dir, "result.json")
        run([os.path.join(BIN, "pbft-bench"), "-c", self.conf, "--keys", self.dir,
             "--clients", f"100-{99 + clients}", "-w", f"{request}/0",
             "--seconds", str(SECONDS), "--warmup", str(WARMUP), "--json", out,
             *options], LIMIT)
        with open(out, encoding="utf-8") as f:
            return json.load(f)

    def norep(self, request, clients):
        return json.loads(run(
            [os.path.join(BIN, "bench-norep"), "load", "127.0.0.1", str(self.norep_port),
             str(request), str(clients), str(WARMUP), str(SECONDS)], LIMIT))


def summarise(results):
    lat = [r["latency_ns"]["p50"] / 1000 for r in results]
    return {
        "p50_us": figure(lat, 1),
        "p99_us": figure([r["latency_ns"]["p99"] / 1000 for r in results], 1),
        "ops_per_s": figure([r["throughput"] for r in results], 0),
        "noisy": spread(lat) > 0.1 * median(lat),
        "retransmits": sum(r["retransmits"] for r in results),
        "histogram_ns": pooled(r["histogram_ns"] for r in results),
    }


def row(size, clients, both, sockets):
    """Against the unreplicated service only where it has the same sockets."""
    user, norep = both[sockets], both["norep"]
    same = sockets == "each"
    return {
        "workload": f"{size}/{size}", "clients": clients, "n": N, "sockets": sockets,
        "user": summarise(user), "norep": summarise(norep) if same else None,
        "latency_over_norep": ratio([r["latency_ns"]["p50"] for r in user],
                                    [r["latency_ns"]["p50"] for r in norep]) if same else None,
        "throughput_over_norep": ratio([r["throughput"] for r in user],
                                       [r["throughput"] for r in norep]) if same else None,
        "throughput_over_each": ratio([r["throughput"] for r in user],
                                      [r["throughput"] for r in both["each"]]),
    }


def measure():
    cases = [(size, clients) for size in (0, 1024) for clients in MANY]
    raw = {case: {"each": [], "one": [], "norep": []} for case in cases}
    processes = Processes()
    with tempfile.TemporaryDirectory(prefix="pbft-bench.") as where:
        try:
            services = {size: Service(where, processes, size) for size in (0, 1024)}
            for i in range(ROUNDS):
                say(f"host, userspace replicas: round {i + 1} of {ROUNDS}")
                for size, clients in cases:
                    both = raw[size, clients]
                    both["each"].append(services[size].load(size, clients))
                    if clients > 1:
                        both["one"].append(services[size].load(size, clients,
                                                               "--one-socket"))
                    both["norep"].append(services[size].norep(size, clients))
        finally:
            processes.end()
    return [row(size, clients, both, sockets) for (size, clients), both in raw.items()
            for sockets in ("each", "one") if both[sockets]]
