# SPDX-License-Identifier: GPL-2.0
"""What talks to a running cluster: requests, and commands run in its guests."""

import fcntl
import json
import os
import select
import shlex
import signal
import socket
import struct
import sys
import termios
import time
import tty

from . import frames
from .common import EX_DIED, EX_TIMEOUT, VM_DIR, VmError, say

CLUSTER = os.path.join(VM_DIR, "cluster", os.environ.get("VM_CLUSTER") or "default")
REQUEST_TIMEOUT = 20
KILL_GRACE = 5          # seconds for a guest to end a command we gave up on
ESCAPE = b"\x1d"        # Ctrl-] leaves a shell whose guest no longer answers


def connect(name, kind=socket.SOCK_STREAM):
    """A socket in the cluster's directory, however long that path is."""
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.settimeout(REQUEST_TIMEOUT)
    where = -1
    try:
        where = os.open(CLUSTER, os.O_PATH | os.O_CLOEXEC)
        sock.connect(f"/proc/self/fd/{where}/{name}")
        return sock
    except OSError:
        sock.close()
        raise VmError(f"no cluster is up{how_it_ended()}: see vm up") from None
    finally:
        if where >= 0:
            os.close(where)


def how_it_ended():
    try:
        with open(os.path.join(CLUSTER, "ended"), encoding="utf-8") as text:
            return f" (the last one ended: {text.read().strip()})"
    except OSError:
        return ""


def request(**words):
    """Ask the supervisor; returns its answer or raises its complaint."""
    with connect("ctl") as sock:
        sock.sendall(json.dumps(words).encode() + b"\n")
        answer = b""
        try:
            while data := sock.recv(65536):
                answer += data
        except OSError as err:
            raise VmError(f"the cluster does not answer: {err}") from None
    reply = json.loads(answer or '{"error": "the cluster went away"}')
    if "error" in reply:
        raise VmError(reply["error"])
    return reply["ok"]


def wait_ready(names, timeout):
    """Until the agents of all these VMs are up. A VM that is off is an error."""
    deadline = time.monotonic() + timeout
    while True:
        guests = request(do="status")["guests"]
        for name in names:
            if name not in guests:
                raise VmError(f"no VM named {name}")
            if guests[name]["state"].startswith("off"):
                raise VmError(f"{name} is {guests[name]['state']}", EX_DIED)
        waiting = [name for name in names if guests[name]["state"] != "up"]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise VmError(f"{', '.join(waiting)}: not booted after {timeout:g} s", EX_TIMEOUT)
        time.sleep(0.1)


class Exec:
    """One command in one guest, joined to descriptors of ours."""

    def __init__(self, name, argv, stdin, stdout=1, stderr=2, size=None):
        self.name = name
        self.stdin, self.outputs = stdin, {frames.STDOUT: stdout, frames.STDERR: stderr}
        self.credit = frames.WINDOW
        self.parser = frames.Parser()
        self.status = None
        self.gone = False
        start = frames.pack_exec(argv, size)
        if len(start) > frames.MAX or len(argv) > 250:
            raise VmError("the command line is too long")
        self.tty = size is not None
        self.sock = connect("ctl")
        self.send(json.dumps({"do": "exec", "name": name}).encode() + b"\n" + start)
        if stdin is None:
            self.send(frames.pack(frames.STDIN))

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.gone = True

    def winsize(self, size):
        self.send(frames.pack(frames.WINSZ, struct.pack("<HH", *size)))

    def take_input(self):
        data = os.read(self.stdin, min(self.credit, 16384))
        if self.tty and ESCAPE in data:
            self.gone = True
            return
        self.send(frames.pack(frames.STDIN, data))
        self.credit -= len(data)
        if not data:
            self.stdin = None

    def take_output(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.gone = True
        for kind, _, payload in self.parser.feed(data):
            if kind == frames.EXIT:
                self.status = int.from_bytes(payload, "little")
            elif kind == frames.CREDIT:
                self.credit += int.from_bytes(payload, "little")
            elif kind in self.outputs:
                write_all(self.outputs[kind], payload)

    def pump(self, deadline):
        """Until the command ends (True) or time is up (False)."""
        while self.status is None and not self.gone:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            wanted = [self.sock]
            if self.stdin is not None and self.credit:
                wanted.append(self.stdin)
            ready = select.select(wanted, [], [], min(left, 3600))[0]
            if self.sock in ready:
                self.take_output()
            elif ready:
                self.take_input()
        return True

    def run(self, timeout):
        """Returns the exit status."""
        if not self.pump(time.monotonic() + timeout):
            say(f"{self.name}: timeout: not done after {timeout:g} s")
            self.stdin = None
            self.send(frames.pack(frames.KILL))
            self.pump(time.monotonic() + KILL_GRACE)
            if self.status is None and not self.gone:
                say(f"{self.name}: the VM does not answer")
            return EX_TIMEOUT
        self.sock.close()
        if self.status is not None:
            return self.status
        try:
            state = request(do="status")["guests"][self.name]["state"]
        except VmError as err:
            state = str(err)
        say(f"{self.name}: the VM died before the command ended: {state}")
        return EX_DIED


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def execute(name, argv, stdin, timeout):
    """vm exec: wait for the guest if it is booting, then run argv in it."""
    began = time.monotonic()
    wait_ready([name], timeout)
    return Exec(name, argv, stdin).run(timeout - (time.monotonic() - began))


def push(name, src, dst, timeout):
    mode = "755" if os.access(src, os.X_OK) else "644"
    quoted = shlex.quote(dst)
    script = f"cat > {quoted} && chmod {mode} {quoted}"
    try:
        with open(src, "rb") as data:
            return execute(name, ["sh", "-c", script], data.fileno(), timeout)
    except OSError as err:
        raise VmError(f"{src}: {err.strerror}") from None


def pull(name, src, dst, timeout):
    wait_ready([name], timeout)
    if dst == "-":
        return Exec(name, ["cat", "--", src], None).run(timeout)
    part = f"{dst}.{os.getpid()}"
    try:
        with open(part, "wb") as data:
            status = Exec(name, ["cat", "--", src], None, stdout=data.fileno()).run(timeout)
        if status:
            os.unlink(part)
        else:
            os.replace(part, dst)
        return status
    except OSError as err:
        raise VmError(f"{dst}: {err.strerror}") from None


def window_size():
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
    return rows or 24, columns or 80


def shell(name, timeout):
    """vm shell: interactive on a terminal, a script reader otherwise."""
    wait_ready([name], timeout)
    forever = 10 ** 9
    argv = ["env", f"PS1={name}:\\w# ", "TERM=" + os.environ.get("TERM", "linux"), "sh", "-c",
            "exec bash --norc || exec sh"]
    if not os.isatty(0):
        return Exec(name, ["sh", "-s"], 0).run(forever)
    say(f"shell on {name}; leave with exit, or Ctrl-] if it hangs")
    remote = Exec(name, argv, 0, size=window_size())
    signal.signal(signal.SIGWINCH, lambda *_: remote.winsize(window_size()))
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        return remote.run(forever)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
