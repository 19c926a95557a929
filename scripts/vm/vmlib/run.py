# SPDX-License-Identifier: GPL-2.0
"""vm run: one VM, one command, its output and its status."""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from . import frames, initramfs, qemu, splat, uml
from .common import EX_DIED, EX_SPLAT, EX_TIMEOUT, VM_DIR, VmError, say, spawn
from .kernel import Kernel

POLL = 0.02
COPY_TIMEOUT = 10


class Output:
    """What the guest writes to its port, as it comes."""

    def __init__(self, path):
        self.path = path
        self.at = 0
        self.parser = frames.Parser()
        self.status = None

    def pump(self):
        try:
            with open(self.path, "rb") as data:
                data.seek(self.at)
                new = data.read()
        except FileNotFoundError:
            return
        self.at += len(new)
        for kind, _, payload in self.parser.feed(new):
            if kind == frames.STDOUT:
                sys.stdout.buffer.write(payload)
                sys.stdout.buffer.flush()
            elif kind == frames.STDERR:
                sys.stderr.buffer.write(payload)
                sys.stderr.buffer.flush()
            elif kind == frames.EXIT:
                self.status = int.from_bytes(payload, "little")


def tail(path, lines=40):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return text.read().replace("\r", "").rstrip("\n").split("\n")[-lines:]
    except FileNotFoundError:
        return []


def sweep():
    """Directories of runs that were killed before they could clean up."""
    where = os.path.join(VM_DIR, "run")
    for name in os.listdir(where):
        pid = name.split(".")[0]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(os.path.join(where, name), ignore_errors=True)


def run(opts):
    """Returns the exit status of the whole."""
    os.makedirs(os.path.join(VM_DIR, "run"), exist_ok=True)
    sweep()
    with tempfile.TemporaryDirectory(prefix=f"{os.getpid()}.",
                                     dir=os.path.join(VM_DIR, "run")) as where:
        return run_in(where, opts)


class Machine:
    """One guest: its process, what it writes, and the status that is success."""

    def __init__(self, where, opts):
        self.console, self.port, self.errors = (os.path.join(where, name)
                                                for name in ("console", "port", "errors"))
        self.copier = None
        kernel = Kernel(opts.kernel)
        initrd = os.path.join(where, "initrd")
        initramfs.compose(initrd, kernel, initramfs.overlay(opts.cmd, opts.file, opts.dir))
        with open(self.errors, "wb") as stderr:
            if kernel.is_uml():
                self.start_uml(where, opts, kernel, initrd, stderr)
            else:
                self.start_qemu(where, opts, kernel, initrd, stderr)

    def start_uml(self, where, opts, kernel, initrd, stderr):
        if opts.smp != 1 or opts.icount:
            raise VmError(f"kernel {kernel.version} has one CPU and no --icount")
        self.clean = uml.CLEAN_EXIT
        argv = uml.command(kernel, initrd=initrd, where=where, mem=opts.mem,
                           append=f"vm.mode=run {opts.append}")
        self.proc, self.copier = uml.start(argv, where=where, console=self.console,
                                           port=self.port, stderr=stderr)

    def start_qemu(self, where, opts, kernel, initrd, stderr):
        self.clean = qemu.CLEAN_EXIT
        accel = "tcg" if opts.icount else qemu.choose_accel(kernel)
        extra = ["-chardev", f"file,id=port,path={self.port}", "-serial", "chardev:port"]
        argv = qemu.command(kernel, initrd=initrd, console=self.console, accel=accel,
                            smp=opts.smp, mem=opts.mem, extra=extra, icount=opts.icount,
                            append=f"vm.mode=run vm.port=/dev/ttyS1 {opts.append}")
        self.proc = spawn(argv, cwd=where, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)

    def stop(self):
        self.proc.kill()
        self.proc.wait()
        if self.copier:
            self.copier.join(COPY_TIMEOUT)


def run_in(where, opts):
    vm = Machine(where, opts)
    out = Output(vm.port)
    shown = 0
    deadline = time.monotonic() + opts.timeout
    try:
        while vm.proc.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL)
            out.pump()
            if opts.verbose:
                shown += show_new(vm.console, shown)
        timed_out = vm.proc.poll() is None
    finally:
        vm.stop()
    out.pump()
    if opts.verbose:
        show_new(vm.console, shown)
    return verdict(opts, out, vm, timed_out)


def show_new(path, shown):
    """Copy what was added to the console to standard error."""
    try:
        with open(path, "rb") as text:
            text.seek(shown)
            new = text.read()
    except FileNotFoundError:
        return 0
    sys.stderr.buffer.write(new)
    sys.stderr.buffer.flush()
    return len(new)


def verdict(opts, out, vm, timed_out):
    """Say what went wrong, if anything did, and find the status for it."""
    clean = out.status is not None and vm.proc.returncode == vm.clean
    splats = splat.find_in_file(vm.console)
    for lines in splats:
        say("kernel complaint%s:" % (" (allowed)" if opts.allow_splat else ""))
        print("\n".join("    " + line for line in lines), file=sys.stderr)
    if not (clean or splats or opts.verbose):
        for line in tail(vm.console):
            print("console: " + line, file=sys.stderr)
    for line in tail(vm.errors):
        if line:
            say("guest: " + line)
    if timed_out:
        say(f"timeout: not done after {opts.timeout:g} s")
    elif not clean:
        say(f"the VM died before the command ended (its exit status: {vm.proc.returncode})")
    if splats and not opts.allow_splat and (clean or timed_out):
        if clean:
            say(f"the command's exit status was {out.status}")
        return EX_SPLAT
    if timed_out:
        return EX_TIMEOUT
    return out.status if clean else EX_DIED
