# SPDX-License-Identifier: GPL-2.0
"""Places, time limits, and the little statistics that every stage uses."""
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(os.path.dirname(HERE))
B = os.path.join(TOP, os.environ.get("B", "build"))
BIN = os.path.join(B, "bin")
DEFAULT_MAC = "siphash128"
MAC = os.environ.get("BENCH_MAC", DEFAULT_MAC)
OUT = os.path.join(B, "bench" if MAC == DEFAULT_MAC else "bench-" + re.sub(r"\W", "-", MAC))
QUICK = os.environ.get("BENCH_QUICK", "") not in ("", "0")


class Failed(Exception):
    """With a sentence for a person."""


def say(text):
    print(f"bench: {text}", flush=True)


def run(args, limit, **more):
    """A command's standard output; Failed if it fails or takes too long."""
    try:
        done = subprocess.run(args, capture_output=True, text=True, timeout=limit,
                              stdin=subprocess.DEVNULL, check=False, **more)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"{' '.join(args)[:200]}: not done after {limit} s") from e
    if done.returncode:
        raise Failed(f"{' '.join(args)[:200]}: exit status {done.returncode}\n"
                     f"{done.stdout[-500:]}\n{done.stderr[-1500:]}")
    return done.stdout


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s in vain for {what}")
        time.sleep(0.05)


def save(name, data):
    path = os.path.join(OUT, name)
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
        f.write("\n")
    return path


# ---- statistics --------------------------------------------------------------------

def quantile(values, q):
    """Linear between the neighbours."""
    values = sorted(values)
    at = q * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def median(values):
    return quantile(values, 0.5)


def spread(values):
    """Interquartile range: half of all repetitions lie within it."""
    return quantile(values, 0.75) - quantile(values, 0.25)


def figure(values, digits=4):
    """(median, spread) of repetitions."""
    return {"median": round(median(values), digits), "spread": round(spread(values), digits),
            "repetitions": len(values)}


def ratio(above, below, digits=4):
    """Of two series measured in turns: round by round, then the median."""
    if len(above) != len(below) or not above:
        raise Failed(f"{len(above)} and {len(below)} repetitions make no ratio")
    return figure([a / b for a, b in zip(above, below)], digits)


def pooled(histograms):
    """Several of pbft-bench's histograms as one, sorted."""
    pool = {}
    for histogram in histograms:
        for upper, count in histogram:
            pool[upper] = pool.get(upper, 0) + count
    return sorted(pool.items())


def histogram_quantile(histogram, q):
    total = sum(count for _, count in histogram)
    seen = 0
    for upper, count in histogram:
        seen += count
        if seen >= q * total:
            return upper
    raise Failed("an empty histogram has no quantiles")


# ---- what was measured -----------------------------------------------------------

reuse = False       # report of what is there, measure what is not


def remembered(title, measure):
    """What @measure gives, JSON or text: kept, and with `reuse` taken from there."""
    path = os.path.join(OUT, "raw", re.sub(r"\W+", "-", title) + ".json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if reuse and os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    began = time.monotonic()
    say(title)
    data = measure()
    say(f"  done after {time.monotonic() - began:.0f} s")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(data, f)
    return data


def die(text):
    sys.exit(f"bench: {text}")
