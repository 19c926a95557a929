# SPDX-License-Identifier: GPL-2.0
"""From repetitions to the figures: ratios first, absolute times beside them."""
from .common import Failed, figure, histogram_quantile, pooled, ratio

WORKLOADS = ("0/0", "0/4096", "4096/0")
HOPS = 5            # request, PRE-PREPARE, PREPARE, COMMIT, reply
# On the way of one operation, whatever is done beside it. Replicas: request checked,
# PRE-PREPARE made, it and the request in it checked, PREPARE made and checked, COMMIT
# made and checked, reply made. Client: an authenticator of n, the last reply checked.
REPLICA_MACS = 9
NOISY = 0.15        # of the median


def name(kind, workload):
    return kind + workload.split("/")[1]


def floors(guest):
    """Limits of one operation at 0/0, n = guest.n, in each round; ns."""
    hops, macs, user = (guest.number(x) for x in ("bounce", "mac", "usermac"))
    return [HOPS * h + REPLICA_MACS * m + (guest.n + 1) * u
            for h, m, u in zip(hops, macs, user)]


def one_cpu_floors(guest, cost):
    """The same where one CPU does all hops and MACs of all replicas."""
    n, hops, macs, user = guest.n, *(guest.number(x) for x in ("bounce", "mac", "usermac"))
    of_clients = 2 * n
    of_replicas = cost["macs_made"] + cost["macs_checked"] - of_clients
    return [cost["messages"] * h + of_replicas * m + of_clients * u
            for h, m, u in zip(hops, macs, user)]


def without_macs(guest, cost):
    """Kernel over userspace with the replicas' and clients' MACs taken away."""
    of_clients = 2 * guest.n
    of_replicas = cost["macs_made"] + cost["macs_checked"] - of_clients
    above, below = [], []
    for k, u, m, um in zip(guest.p50("k0", "0/0"), guest.p50("u0", "0/0"),
                           guest.number("mac"), guest.number("usermac")):
        above.append(k - of_replicas * m - of_clients * um)
        below.append(u - (of_replicas + of_clients) * um)
    if min(above + below) <= 0:
        raise Failed("the MACs measured alone cost more than all of an operation")
    return ratio(above, below)


def us(values):
    return figure([v / 1000 for v in values], 1)


def latency_row(guest, workload, cost, exact):
    k, u = (guest.p50(name(x, workload), workload) for x in "ku")
    nk, nu = (guest.p50(name(x, workload), workload) for x in ("nk", "nu"))
    row = {"n": guest.n, "workload": workload, "kernel_us": us(k), "user_us": us(u),
           "norep_kernel_us": us(nk), "norep_user_us": us(nu),
           "kernel_over_user": ratio(k, u), "kernel_over_norep": ratio(k, nk),
           "user_over_norep": ratio(u, nu)}
    # by the wall clock, hops and MACs are means, with whatever the host did meanwhile
    if workload == "0/0" and exact:
        row["floor_us"] = us(floors(guest))
        row["kernel_over_floor"] = ratio(k, floors(guest))
        row["one_cpu_floor_us"] = us(one_cpu_floors(guest, cost))
        row["kernel_over_one_cpu_floor"] = ratio(k, one_cpu_floors(guest, cost))
        row["kernel_over_user_without_macs"] = without_macs(guest, cost)
        for what in ("bounce", "mac", "usermac"):
            row[f"{what}_us"] = figure([v / 1000 for v in guest.number(what)], 2)
    return row


def latency(guests, cost, exact):
    return [latency_row(g, w, next(c for c in cost if c["n"] == g.n), exact)
            for g in guests for w in WORKLOADS]


def p999(guest):
    """Of all repetitions together; the spread is of repetitions, one by one."""
    both = [guest.results(x, "0/0") for x in ("k0", "u0")]
    k, u = (histogram_quantile(pooled(r["histogram_ns"] for r in x), 0.999) for x in both)
    out = ratio(*([r["latency_ns"]["p99.9"] for r in x] for x in both))
    out["median"] = round(k / u, 4)
    return out


def applications(guest):
    """One client: what a daemon, and what a database, adds."""
    rows = []
    for app, workload, what in (("d0", "0/0", "kernel, null daemon"),
                                ("l0", "0/0", "kernel, pbftd on LMDB"),
                                ("v0", "0/0", "userspace, LMDB"),
                                ("l0", "put", "kernel, pbftd on LMDB"),
                                ("v0", "put", "userspace, LMDB")):
        rows.append({"what": what, "workload": workload, "us": us(guest.p50(app, workload)),
                     "over_null": ratio(guest.p50(app, workload), guest.p50("k0", "0/0"))})
    return rows


# ---- throughput ------------------------------------------------------------------------

SERIES = (("k0", "0/0", "kernel, null service"), ("u0", "0/0", "userspace, null service"),
          ("d0", "0/0", "kernel, null daemon"), ("l0", "0/0", "kernel, pbftd on LMDB"),
          ("v0", "0/0", "userspace, LMDB"), ("l0", "put", "kernel, pbftd on LMDB"),
          ("v0", "put", "userspace, LMDB"))


def throughput(guest):
    rows = []
    for app, workload, what in SERIES:
        for clients in sorted({l.clients for l in guest.loads if l.name == app}):
            values = guest.throughput(app, workload, clients)
            if not values:
                continue
            rows.append({"series": app, "what": what, "workload": workload,
                         "clients": clients, "ops_per_s": figure(values, 1),
                         "p50_us": us(guest.p50(app, workload, clients)),
                         "over_kernel_null": ratio(values,
                                                   guest.throughput("k0", "0/0", clients)),
                         "per_op_us": figure([1e6 / v for v in values], 1)})
    return rows


def peaks(guest, app, workload="0/0"):
    """The highest throughput of each round, by whatever number of clients."""
    counts = sorted({l.clients for l in guest.loads if (l.name, l.workload) == (app, workload)})
    return [max(values) for values in
            zip(*(guest.throughput(app, workload, c) for c in counts))]


# ---- the summary ----------------------------------------------------------------------------

def summary(cost, native, by_insn, by_clock, many, many_by_clock):
    """The plain numbers, each with its spread; which of them are noisy."""
    of = {
        "latency_over_floor": ratio(by_insn.p50("k0", "0/0"), floors(by_insn)),
        "latency_over_one_cpu_floor": ratio(by_insn.p50("k0", "0/0"),
                                            one_cpu_floors(by_insn, cost[0])),
        "latency_kernel_over_user_icount": ratio(by_insn.p50("k0", "0/0"),
                                                 by_insn.p50("u0", "0/0")),
        "latency_kernel_over_user_icount_without_macs": without_macs(by_insn, cost[0]),
        "latency_kernel_over_user_p50": ratio(by_clock.p50("k0", "0/0"),
                                              by_clock.p50("u0", "0/0")),
        "latency_kernel_over_user_p999": p999(by_clock),
        "latency_over_norep": ratio(by_insn.p50("k0", "0/0"), by_insn.p50("nk0", "0/0")),
        "throughput_kernel_over_user": ratio(peaks(many, "k0"), peaks(many, "u0")),
        "throughput_daemon_over_null": ratio(peaks(many, "d0"), peaks(many, "k0")),
        "throughput_lmdb_over_daemon": ratio(peaks(many, "l0"), peaks(many, "d0")),
        "throughput_kernel_over_user_wall": ratio(peaks(many_by_clock, "k0"),
                                                  peaks(many_by_clock, "u0")),
        "throughput_daemon_over_null_wall": ratio(peaks(many_by_clock, "d0"),
                                                  peaks(many_by_clock, "k0")),
    }
    host = [r for r in native if r["workload"] == "0/0"]
    of["user_native_p50_us"] = host[0]["user"]["p50_us"]
    of["user_native_ops_per_s"] = max((r["user"]["ops_per_s"] for r in host),
                                      key=lambda f: f["median"])
    out = {}
    for key, value in of.items():
        out[key] = value["median"]
        out[f"{key}_spread"] = value["spread"]
    out["noisy"] = sorted(k for k, v in of.items() if v["spread"] > NOISY * v["median"])
    return out


def cdf(histograms):
    """[(us, fraction)] without the thinnest end."""
    pool = pooled(histograms)
    total, seen, points = sum(c for _, c in pool), 0, []
    for upper, count in pool:
        seen += count
        points.append((upper / 1000, seen / total))
        if seen > 0.999 * total:
            break
    return points


def host_load():
    with open("/proc/loadavg", encoding="utf-8") as f:
        return f.read().split()[0]


