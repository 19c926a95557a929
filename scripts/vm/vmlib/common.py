# SPDX-License-Identifier: GPL-2.0
"""Places, exit statuses and the few helpers that everything here uses."""

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time

VM_SRC = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(os.path.dirname(VM_SRC))
BUILD = os.environ.get("VM_BUILD") or os.path.join(TOP, "build")
VM_DIR = os.path.abspath(os.environ.get("VM_DIR") or os.path.join(BUILD, "vm"))

# What the runner itself has to say; anything else is the command's own status.
EX_SPLAT = 120      # the kernel complained
EX_DIED = 121       # the VM ended before the command did
EX_TIMEOUT = 124
EX_RUNNER = 125     # the VM could not be started, or was not there

SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


class VmError(Exception):
    """Something to tell the user in one line."""

    def __init__(self, text, status=EX_RUNNER):
        super().__init__(text)
        self.status = status


def say(text):
    print("vm: " + text, file=sys.stderr, flush=True)


def tool(name):
    path = shutil.which(name, path=SYSTEM_PATH)
    if not path:
        raise VmError(f"{name} not found: run scripts/deps.sh vm")
    return path


def output_of(argv, timeout=60):
    """Standard output of a short host command."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as err:
        raise VmError(f"{argv[0]}: {err}") from None
    if done.returncode:
        raise VmError(f"{' '.join(argv)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


def die_with_parent(parent):
    """For a child about to exec: never outlive parent, however that one ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def spawn(argv, prepare=lambda: None, **kwargs):
    """A process that ends when we do; prepare is called in it."""
    me = os.getpid()

    def before_exec():
        die_with_parent(me)
        prepare()

    return subprocess.Popen(argv, preexec_fn=before_exec, **kwargs)


class Locked:
    """Hold a lock file: builders of the same thing wait for one another."""

    def __init__(self, path, timeout=300):
        self.path = path
        self.deadline = time.monotonic() + timeout
        self.fd = -1

    def __enter__(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.fd = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except BlockingIOError:
                if time.monotonic() > self.deadline:
                    raise VmError(f"{self.path}: held by another process") from None
                time.sleep(0.05)

    def __exit__(self, *_):
        os.close(self.fd)


def write_atomic(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    tmp = f"{path}.{os.getpid()}"
    with open(tmp, "wb") as out:
        out.write(data)
    os.replace(tmp, path)


def newer(path, sources):
    """Is path there, and no older than any of sources?"""
    try:
        made = os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return False
    return all(os.stat(s).st_mtime_ns <= made for s in sources)


def helper(name, source, static):
    """A C helper of ours, compiled when it is missing or old."""
    path = os.path.join(VM_DIR, "bin", name)
    source = os.path.join(VM_SRC, source)
    if newer(path, [source]):
        return path
    with Locked(os.path.join(VM_DIR, "lock")):
        if not newer(path, [source]):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            argv = [tool(os.environ.get("CC", "gcc")), "-O2", "-Wall", "-Wextra", "-Werror"]
            argv += (["-static"] if static else []) + ["-o", path + ".new", source]
            output_of(argv)
            os.replace(path + ".new", path)
    return path


def agent():
    return helper("agent", "guest/agent.c", static=True)
