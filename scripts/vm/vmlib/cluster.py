# SPDX-License-Identifier: GPL-2.0
"""A cluster's life: up, down, its VMs, its network, its logs."""

import json
import os
import re
import shutil
import signal
import socket
import sys
import time

from . import initramfs, qemu, splat, supervisor
from .client import CLUSTER, connect, request, wait_ready
from .common import EX_SPLAT, EX_TIMEOUT, Locked, VmError, helper, output_of, say, tool
from .kernel import Kernel
from .run import tail

FIRST_REPLICA = 1       # ids, and so the last part of addresses
FIRST_CLIENT = 101
VMS_MAX = 40
DOWN_TIMEOUT = 15
LOG_MAX = 4 << 30       # of a log of writes; it takes what it needs


def vm_ids(replicas, clients):
    ids = {f"r{i}": FIRST_REPLICA + i for i in range(replicas)}
    ids.update({f"c{j}": FIRST_CLIENT + j for j in range(clients)})
    return ids


def hosts_file(ids):
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    for name, number in ids.items():
        lines += [f"10.0.0.{number} {name}", f"fd00::{number} {name}"]
    return "\n".join(lines) + "\n"


def make_disk(path, megabytes):
    with open(path, "wb") as disk:
        disk.truncate(megabytes << 20)
    output_of([tool("mkfs.ext4"), "-q", "-F", "-m", "0", path])


def fresh_log(name):
    """Of a disk whose writes are logged: what it holds now, and a log that begins there."""
    path = os.path.join(CLUSTER, name)
    output_of([tool("cp"), "--sparse=always", path + ".disk", path + ".base"])
    with open(path + ".log", "wb") as log:
        log.truncate(LOG_MAX)


def disk_options(name, logged):
    """QEMU's, for the disk of a replica."""
    # The host does not crash, so a flush need not go further than its memory:
    # "unsafe" and "no-flush" lose nothing when QEMU is killed.
    if not logged:
        return ["-drive", f"if=none,id=disk,file={name}.disk,format=raw,cache=unsafe",
                "-device", "virtio-blk-pci,drive=disk"]
    files = {what: {"driver": "file", "filename": f"{name}.{where}", "cache": {"no-flush": True}}
             for what, where in (("file", "disk"), ("log", "log"))}
    return ["-blockdev", json.dumps({"node-name": "disk", "driver": "blklogwrites",
                                     "log-super-update-interval": 1, **files}),
            "-device", "virtio-blk-pci,drive=disk,write-cache=on"]


def guest_command(kernel, accel, opts, name, number):
    """QEMU for one VM, with paths as seen from the cluster's directory."""
    modules = ["virtio_pci", "virtio_console", "virtio_net"]
    append = f"vm.mode=serve vm.port=/dev/vport0p1 vm.name={name} vm.id={number}"
    extra = ["-chardev", f"socket,id=agent,path={name}.agent",
             "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent",
             "-netdev", f"dgram,id=net,local.type=unix,local.path={name}.net,"
                        f"remote.type=unix,remote.path={name}.sw",
             "-device", f"virtio-net-pci,netdev=net,mac=52:54:00:00:00:{number:02x},romfile="]
    if name.startswith("r") and opts.disk:
        extra += disk_options(name, opts.log_writes)
        modules.append("virtio_blk")
        append += " vm.disk=/dev/vda"
    append += f" vm.mods={','.join(modules)} {opts.append}"
    return qemu.command(kernel, initrd="initrd", console=name + ".console", accel=accel,
                        smp=opts.smp, mem=opts.mem, append=append, extra=extra)


def up(opts):
    if not 1 <= opts.replicas <= VMS_MAX or not 0 <= opts.client <= VMS_MAX - opts.replicas:
        raise VmError(f"a cluster has 1 to {VMS_MAX} VMs")
    os.makedirs(os.path.dirname(CLUSTER), exist_ok=True)
    with Locked(CLUSTER + ".lock", timeout=opts.timeout):
        if running_pid():
            raise VmError("a cluster is up already: vm down ends it (or set VM_CLUSTER)")
        began = time.monotonic()
        shutil.rmtree(CLUSTER, ignore_errors=True)
        os.makedirs(CLUSTER)
        ids = vm_ids(opts.replicas, opts.client)
        start_supervisor(opts, ids)
    try:
        wait_ready(list(ids), opts.timeout - (time.monotonic() - began))
    except BaseException as err:
        if isinstance(err, VmError):
            for name in ids:
                for line in tail(log_path(name), 15):
                    print(f"{name}: {line}", file=sys.stderr)
        down()
        raise
    say(f"{len(ids)} VMs up after {time.monotonic() - began:.1f} s; "
        f"they end after {opts.lifetime:g} s, or with vm down")
    return 0


def start_supervisor(opts, ids):
    kernel = Kernel(opts.kernel)
    if kernel.is_uml():
        raise VmError(f"kernel {kernel.version} has no network to other VMs: vm run only")
    accel = qemu.choose_accel(kernel)
    switch = helper("switch", "switch.c", static=False)
    overlay = initramfs.overlay(files=opts.file, dirs=opts.dir,
                                texts={"etc/hosts": hosts_file(ids)})
    initramfs.compose(os.path.join(CLUSTER, "initrd"), kernel, overlay)
    for name in ids:
        if name.startswith("r") and opts.disk:
            make_disk(os.path.join(CLUSTER, name + ".disk"), opts.disk)
            if opts.log_writes:
                fresh_log(name)
    plan = {
        "lifetime": opts.lifetime, "accel": accel, "kernel": kernel.version, "ids": ids,
        "logged": [n for n in ids if n.startswith("r") and opts.disk and opts.log_writes],
        "switch": [switch, str(opts.seed)] + [f"{name}={n}" for name, n in ids.items()],
        "guests": {name: guest_command(kernel, accel, opts, name, n) for name, n in ids.items()},
    }
    with open(os.path.join(CLUSTER, "plan"), "w", encoding="utf-8") as text:
        json.dump(plan, text, indent=1)
    if not supervisor.daemon(CLUSTER, plan):
        raise VmError("the cluster's supervisor did not start:\n"
                      + "\n".join(tail(os.path.join(CLUSTER, "supervisor.log"))))


def running_pid():
    """The supervisor's pid, or None. Its working directory proves it is ours."""
    try:
        with open(os.path.join(CLUSTER, "pid"), encoding="utf-8") as text:
            pid = int(text.read())
        return pid if os.path.samefile(f"/proc/{pid}/cwd", CLUSTER) else None
    except (OSError, ValueError):
        return None


def alive(pid):
    """Does it run? One that is dead and waits for init to notice does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as text:
            return text.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_gone(pids, timeout):
    deadline = time.monotonic() + timeout
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def down():
    """End everything, politely if possible. Down when nothing is up is fine."""
    pid = running_pid()
    if not pid:
        return 0
    pids = [pid]
    try:
        guests = request(do="status")["guests"].values()
        pids += [guest["pid"] for guest in guests if guest["pid"]]
        request(do="down")
    except VmError as err:
        say(str(err))
    if wait_gone(pids, DOWN_TIMEOUT):
        return 0
    if running_pid() == pid:
        say("the supervisor hangs: killing it")
        os.kill(pid, signal.SIGKILL)    # and the kernel kills its children
    if not wait_gone(pids, DOWN_TIMEOUT):
        raise VmError(f"processes left behind: {pids}")
    return 0


def read_plan():
    try:
        with open(os.path.join(CLUSTER, "plan"), encoding="utf-8") as text:
            return json.load(text)
    except OSError:
        raise VmError("there is no cluster: see vm up") from None


def status():
    plan, answer = read_plan(), request(do="status")
    print(f"kernel {plan['kernel']}, {plan['accel']}, {answer['left']:.0f} s left, "
          f"in {CLUSTER}")
    for name, guest in answer["guests"].items():
        line = f"{name:4} 10.0.0.{plan['ids'][name]:<4} fd00::{plan['ids'][name]:<4} "
        line += guest["state"]
        if guest["pid"]:
            line += f", pid {guest['pid']}, on for {guest['uptime']:.0f} s"
        print(line)
    return 0


def kill(names):
    for name in names:
        request(do="kill", name=name)
    return 0


def start(names, timeout):
    for name in set(names) & set(read_plan()["logged"]):
        fresh_log(name)
    for name in names:
        request(do="start", name=name)
    wait_ready(names, timeout)
    return 0


def log_path(name):
    if not re.fullmatch(r"[rc]\d+", name):
        raise VmError(f"no VM named {name}")
    return os.path.join(CLUSTER, name + ".console")


def log(name):
    try:
        with open(log_path(name), "rb") as data:
            shutil.copyfileobj(data, sys.stdout.buffer)
    except FileNotFoundError:
        raise VmError(f"no log of {name}") from None
    return 0


def splats():
    """Complaints of any guest since the cluster was started, even if it is down."""
    found = 0
    for name in read_plan()["ids"]:
        for lines in splat.find_in_file(log_path(name)):
            found += 1
            print("\n".join(f"{name}: {line}" for line in lines))
    if found:
        say(f"{found} kernel complaint{'s' if found > 1 else ''}")
    return EX_SPLAT if found else 0


# ---- network ----

def expand(text, ids):
    names = list(ids) if text == "all" else text.split(",")
    for name in names:
        if name not in ids:
            raise VmError(f"no VM named {name}")
    return names


def switch_lines(opts, ids):
    """What a "vm net" command means to the switch: see switch.c."""
    everyone = list(ids)

    def rule(sources, targets, *settings):
        return [f"set {s} {t} {key} {value}" for s in sources for t in targets if s != t
                for key, value in settings]

    if opts.net == "heal":
        return ["clear"]
    if opts.net == "partition":
        groups = [expand(text, ids) for text in opts.groups]
        return [line for a in groups for b in groups if a is not b
                for line in rule(a, b, ("cut", 1))]
    if opts.net == "isolate":
        alone = expand(opts.names, ids)
        rest = [name for name in everyone if name not in alone]
        return rule(alone, rest, ("cut", 1)) + rule(rest, alone, ("cut", 1))
    sources, targets = expand(opts.src, ids), expand(opts.dst, ids)
    if opts.net == "cut":
        return rule(sources, targets, ("cut", 1))
    if opts.net == "loss":
        return rule(sources, targets, ("loss", round(opts.percent * 10000)))
    return rule(sources, targets, ("delay", round(opts.ms * 1000)),
                ("jitter", round(opts.jitter * 1000)))


def net(opts):
    lines = ["show"] if opts.net == "show" else switch_lines(opts, read_plan()["ids"])
    with connect("switch.ctl", socket.SOCK_SEQPACKET) as sock:
        try:
            sock.sendall("\n".join(lines).encode())
            answer = sock.recv(65536).decode()
        except OSError as err:
            raise VmError(f"the switch does not answer: {err}", EX_TIMEOUT) from None
    if opts.net == "show":
        print(answer, end="")
    elif answer != "ok\n":
        raise VmError("switch: " + answer.strip())
    return 0
