# SPDX-License-Identifier: GPL-2.0
"""The frames that guest/agent.c speaks; see there."""

import struct

HELLO, EXEC, STDIN, STDOUT, STDERR, EXIT, KILL, WINSZ, CREDIT = range(1, 10)

MAX = 32768
WINDOW = 65536      # bytes of stdin on their way to a guest
HEADER = struct.Struct("<IHBx")


def pack(kind, payload=b"", chan=0):
    return HEADER.pack(len(payload), chan, kind) + payload


def pack_exec(argv, tty=None, chan=0):
    """tty: (rows, columns), or None for pipes."""
    rows, columns = tty or (0, 0)
    args = b"".join(arg.encode(errors="surrogateescape") + b"\0" for arg in argv)
    return pack(EXEC, struct.pack("<BHH", bool(tty), rows, columns) + args, chan)


class Parser:
    """Feed it bytes, take whole frames out."""

    def __init__(self):
        self.buf = bytearray()

    def feed(self, data):
        self.buf += data
        while len(self.buf) >= HEADER.size:
            length, chan, kind = HEADER.unpack_from(self.buf)
            if length > MAX:
                raise ValueError("frame too long")
            end = HEADER.size + length
            if len(self.buf) < end:
                return
            payload = bytes(self.buf[HEADER.size:end])
            del self.buf[:end]
            yield kind, chan, payload
