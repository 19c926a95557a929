# SPDX-License-Identifier: GPL-2.0
"""The one process that owns a cluster: the switch and the VMs are its children.

It works in the cluster's directory and answers on the socket "ctl" there. A
request is one line of JSON. "exec" turns the connection into a stream of frames
to and from the guest's agent; everything else gets one line of JSON back. All
the guests' channels pass through here, since QEMU's end of an agent's port can
have only one owner.

It ends, and with it every child, when told to ("down"), when the cluster's life
is over, or when it dies itself: the kernel then kills the children, and an alarm
kills a supervisor that hangs.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import time
import traceback

from . import frames
from .common import spawn

READ = 65536
FAILED_BOOTS_MAX = 2        # boots that may fail before the guest is given up
BACKLOG_MAX = 64 << 20      # output that one client may leave unread
ALARM_GRACE = 15


class Connection:
    """A non-blocking stream with a buffer for what it cannot take yet."""

    def __init__(self, loop, sock, on_data, on_close):
        self.loop, self.sock = loop, sock
        self.on_data, self.on_close = on_data, on_close
        self.out = bytearray()
        self.closing = False
        sock.setblocking(False)
        loop.register(sock, selectors.EVENT_READ, self.ready)

    def ready(self, mask):
        if mask & selectors.EVENT_WRITE:
            self.flush()
        if mask & selectors.EVENT_READ and self.sock:
            try:
                data = self.sock.recv(READ)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if data:
                self.on_data(data)
            else:
                self.close()

    def send(self, data):
        if self.sock:
            self.out += data
            self.flush()

    def flush(self):
        try:
            while self.out:
                del self.out[:self.sock.send(self.out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self.closing and not self.out:
            self.close()
            return
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.out else 0)
        if self.loop.get_key(self.sock).events != mask:
            self.loop.modify(self.sock, mask, self.ready)

    def finish(self):
        """Close once everything is sent."""
        self.closing = True
        if self.sock:
            self.flush()

    def close(self):
        if self.sock:
            self.loop.unregister(self.sock)
            self.sock.close()
            self.sock = None
            self.on_close()


def listen(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    sock.bind(path)
    sock.listen(64)
    sock.setblocking(False)
    return sock


class Guest:
    """One VM, on or off."""

    def __init__(self, sup, name, argv):
        self.sup, self.name, self.argv = sup, name, argv
        self.proc = None
        self.agent = None
        self.ready = False
        self.failed_boots = 0
        self.started = 0
        self.why = "never started"
        self.channels = {}      # number -> Client
        self.last_channel = 0
        self.listener = listen(name + ".agent")
        sup.loop.register(self.listener, selectors.EVENT_READ, self.accept)

    def state(self):
        if self.proc:
            return "up" if self.ready else "booting"
        return f"off ({self.why})"

    def start(self):
        with open(self.name + ".console", "ab") as log:
            log.write(f"--- {self.name} starts at {time.strftime('%H:%M:%S')} ---\n".encode())
        with open(self.name + ".qemu", "ab") as errors:
            self.proc = spawn(self.argv, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        self.started = time.monotonic()

    def accept(self, _):
        sock, _ = self.listener.accept()
        parser = frames.Parser()
        self.agent = Connection(self.sup.loop, sock,
                                lambda data: self.from_agent(parser, data), lambda: None)

    def from_agent(self, parser, data):
        for kind, chan, payload in parser.feed(data):
            if kind == frames.HELLO:
                self.ready = True
                continue
            client = self.channels.get(chan)
            if not client:
                continue
            client.conn.send(frames.pack(kind, payload))
            if kind == frames.EXIT:
                del self.channels[chan]
                client.conn.finish()
            elif len(client.conn.out) > BACKLOG_MAX:
                client.conn.close()

    def open_channel(self, client):
        """A free channel number; old ones may still have frames on their way."""
        while True:
            self.last_channel = self.last_channel % 65535 + 1
            if self.last_channel not in self.channels:
                self.channels[self.last_channel] = client
                return self.last_channel

    def to_agent(self, kind, payload, chan):
        if self.agent:
            self.agent.send(frames.pack(kind, payload, chan))

    def stop(self, why):
        """Power off, at once. Its clients learn of it by the end of their stream."""
        if not self.proc:
            return
        self.proc.kill()
        self.proc.wait()
        self.proc = None
        self.why = why
        self.ready = False
        if self.agent:
            self.agent.close()
            self.agent = None
        clients, self.channels = self.channels, {}
        for client in clients.values():
            client.conn.finish()

    def check(self):
        if not self.proc or self.proc.poll() is None:
            return
        booted = self.ready
        self.stop(f"qemu ended by itself, status {self.proc.returncode}")
        if not booted and self.failed_boots < FAILED_BOOTS_MAX:
            # An emulator short of CPU can miss the kernel's early deadlines.
            self.failed_boots += 1
            console = self.name + ".console"
            os.replace(console, f"{console}.failed-{self.failed_boots}")
            self.start()


class Client:
    """A command-line program that asked for something."""

    def __init__(self, sup, sock):
        self.sup = sup
        self.line = bytearray()
        self.guest = None
        self.chan = 0
        self.parser = frames.Parser()
        self.conn = Connection(sup.loop, sock, self.data, self.gone)

    def data(self, data):
        if self.guest:
            for kind, _, payload in self.parser.feed(data):
                self.guest.to_agent(kind, payload, self.chan)
            return
        self.line += data
        head, newline, rest = bytes(self.line).partition(b"\n")
        if not newline:
            return
        try:
            request = json.loads(head)
        except ValueError:
            self.conn.close()
            return
        if request.get("do") != "exec":
            self.conn.send(json.dumps(self.sup.request(request)).encode() + b"\n")
            self.conn.finish()
            return
        guest = self.sup.guests.get(request.get("name"))
        if not guest or not guest.ready:
            self.conn.finish()
            return
        self.guest = guest
        self.chan = guest.open_channel(self)
        self.data(rest)

    def gone(self):
        if self.guest and self.guest.channels.get(self.chan) is self:
            del self.guest.channels[self.chan]
            self.guest.to_agent(frames.KILL, b"", self.chan)


class Supervisor:
    def __init__(self, plan):
        self.loop = selectors.DefaultSelector()
        self.deadline = time.monotonic() + plan["lifetime"]
        self.why = None
        signal.alarm(int(plan["lifetime"]) + ALARM_GRACE)
        self.wake_on_signals()
        self.ctl = listen("ctl")
        self.loop.register(self.ctl, selectors.EVENT_READ, self.accept)
        with open("switch.log", "ab") as log:
            self.switch = spawn(plan["switch"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.guests = {name: Guest(self, name, argv) for name, argv in plan["guests"].items()}

    def wake_on_signals(self):
        """SIGTERM ends us in good order, SIGCHLD has the guests looked at."""
        receive, send = socket.socketpair()
        receive.setblocking(False)
        send.setblocking(False)
        signal.set_wakeup_fd(send.fileno())
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, lambda *_: self.end("killed by a signal"))
        self.wake = (receive, send)
        self.loop.register(receive, selectors.EVENT_READ, lambda _: receive.recv(READ))

    def accept(self, _):
        sock, _ = self.ctl.accept()
        Client(self, sock)

    def end(self, why):
        self.why = self.why or why

    def request(self, request):
        """Answer one that is not an exec: {"ok": ...} or {"error": ...}."""
        what = request.get("do")
        if what == "status":
            return {"ok": {"left": self.deadline - time.monotonic(), "guests": {
                g.name: {"state": g.state(), "pid": g.proc.pid if g.proc else None,
                         "uptime": time.monotonic() - g.started}
                for g in self.guests.values()}}}
        if what == "down":
            self.end("down")
            return {"ok": os.getpid()}
        guest = self.guests.get(request.get("name"))
        if not guest:
            return {"error": f"no VM named {request.get('name')}"}
        if what == "kill":
            guest.stop("killed")
        elif what == "start":
            if guest.proc:
                return {"error": f"{guest.name} is already on"}
            guest.start()
        else:
            return {"error": f"unknown request {what}"}
        return {"ok": True}

    def serve(self):
        for guest in self.guests.values():
            guest.start()
        while not self.why:
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.end("its lifetime was over")
                break
            for key, mask in self.loop.select(min(left, 5)):
                # An earlier event of this round may have closed the socket.
                if key.fileobj.fileno() >= 0:
                    key.data(mask)
            for guest in self.guests.values():
                guest.check()
            if self.switch.poll() is not None:
                self.end(f"the switch died, status {self.switch.returncode}")

    def finish(self):
        for guest in self.guests.values():
            guest.stop("cluster down")
        self.switch.kill()
        self.switch.wait()
        os.unlink("ctl")
        with open("ended", "w", encoding="utf-8") as text:
            text.write((self.why or "the supervisor failed") + "\n")


def daemon(where, plan):
    """Become the supervisor of a new cluster, in the background. Returns in the
    caller as soon as requests are taken."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid:
        os.close(send)
        os.waitpid(pid, 0)
        with os.fdopen(receive) as said:
            return said.read() == "ready"
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir(where)
    detach(receive, send)
    supervisor = None
    try:
        supervisor = Supervisor(plan)
        with open("pid", "w", encoding="utf-8") as text:
            text.write(f"{os.getpid()}\n")
        os.write(send, b"ready")
        os.close(send)
        supervisor.serve()
    except BaseException:           # pylint: disable=broad-except
        traceback.print_exc()
    finally:
        if supervisor:
            supervisor.finish()
        os._exit(0)


def detach(receive, send):
    """Hold nothing of the caller's: a pipe it reads must end when it does."""
    null = os.open("/dev/null", os.O_RDWR)
    log = os.open("supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, min(receive, send))
    os.close(receive)
    os.closerange(max(receive, send) + 1, 1024)
