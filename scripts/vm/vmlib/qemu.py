# SPDX-License-Identifier: GPL-2.0
"""How QEMU is called, and whether KVM can be had."""

import os
import subprocess

from .common import VM_DIR, VmError, agent, die_with_parent, output_of, say, tool, write_atomic
from .cpio import Archive

QEMU = "qemu-system-x86_64"
PROBE_TIMEOUT = 5

# isa-debug-exit ends QEMU with (value << 1) | 1. The agent writes 0; a guest
# that crashes or powers off ends QEMU with 0.
CLEAN_EXIT = 1

MACHINE = ["-M", "q35", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
           "-nic", "none", "-device", "isa-debug-exit,iobase=0x501,iosize=2"]

# loglevel=5 shows warnings, which is where WARN() and lockdep speak.
APPEND = ("console=ttyS0 quiet loglevel=5 panic=-1 mitigations=off cryptomgr.notests "
          "random.trust_cpu=on rdinit=/init")
# A vCPU of an emulated machine may wait long for its turn on a busy host, also
# while the kernel tests whether timer interrupts arrive (and panics if they do not).
APPEND_TCG = "no_timer_check rcupdate.rcu_cpu_stall_timeout=60 watchdog_thresh=60"
# The TSC is calibrated at boot against the wall clock of an emulator that may not
# be running just then: clocks 15 times too fast have been seen. The HPET is exact.
# With icount the TSC counts instructions, and is exact too.
CLOCK_TCG = "clocksource=hpet tsc=unstable"
CLOCK_ICOUNT = "tsc=nowatchdog"

# One vCPU, nothing from outside, time counted in instructions: the same console
# every time (and no time at all spent idle).
ICOUNT = ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01,clock=vm", "-seed", "1"]


def accel_args(accel):
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    # The default CPU lacks rdrand, which random.trust_cpu wants.
    return ["-accel", "tcg", "-cpu", os.environ.get("VM_CPU", "qemu64,+rdrand")]


def probe_kvm(kernel):
    """/dev/kvm may be there and yet run no guest: boot one and see."""
    archive = Archive()
    archive.node("dev/console", 0o020600, 5, 1)
    archive.copy(agent(), "agent")
    initrd = os.path.join(VM_DIR, f"probe.{os.getpid()}.cpio")
    write_atomic(initrd, archive.bytes())
    argv = [tool(QEMU), *MACHINE, *accel_args("kvm"), "-m", "256", "-serial", "stdio",
            "-kernel", kernel.image(), "-initrd", initrd,
            "-append", "console=ttyS0 quiet panic=-1 rdinit=/agent -- probe"]
    me = os.getpid()
    try:
        # run() kills with SIGKILL at the timeout, as a spinning QEMU needs.
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=PROBE_TIMEOUT, check=False,
                              preexec_fn=lambda: die_with_parent(me))
        return b"vm-probe-ok" in done.stdout
    except subprocess.TimeoutExpired:
        return False
    finally:
        os.unlink(initrd)


def choose_accel(kernel):
    """kvm or tcg: $ACCEL, else the verdict of a probe, kept for this host and QEMU."""
    forced = os.environ.get("ACCEL")
    if forced:
        if forced not in ("kvm", "tcg"):
            raise VmError(f"ACCEL={forced}: must be kvm or tcg")
        return forced
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    verdict_path = os.path.join(VM_DIR, "accel")
    asked = "|".join([os.uname().release, os.uname().nodename, kernel.version,
                      output_of([tool(QEMU), "--version"]).split("\n")[0]])
    try:
        with open(verdict_path, encoding="utf-8") as text:
            accel, about = text.read().rstrip("\n").split(" ", 1)
        if about == asked:
            return accel
    except (OSError, ValueError):
        pass
    accel = "kvm" if probe_kvm(kernel) else "tcg"
    if accel == "tcg":
        say("/dev/kvm does not run a guest here: using emulation (TCG)")
    write_atomic(verdict_path, f"{accel} {asked}\n".encode())
    return accel


def command(kernel, *, initrd, console, accel, smp=1, mem=256, append="", extra=(), icount=False):
    """The command line. console: a file, to which the kernel's log is appended."""
    words = [APPEND, append]
    if accel == "tcg":
        words.insert(1, APPEND_TCG)
        words.insert(2, CLOCK_ICOUNT if icount else CLOCK_TCG)
    argv = [tool(QEMU), *MACHINE, *accel_args(accel), "-m", str(mem), "-smp", str(smp)]
    if icount:
        if smp != 1:
            raise VmError("--icount hangs with more than one vCPU")
        argv += ICOUNT
        words.insert(1, "nokaslr")
    argv += ["-kernel", kernel.image(), "-initrd", initrd,
             "-chardev", f"file,id=console,path={console},append=on", "-serial", "chardev:console",
             *extra, "-append", " ".join(words)]
    return argv
