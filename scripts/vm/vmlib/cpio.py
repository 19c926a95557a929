# SPDX-License-Identifier: GPL-2.0
"""Writes the kernel's initramfs format (driver-api/early-userspace/buffer-format),
device nodes included, without root and the same bytes every time."""

import os
import stat


class Archive:
    """A tree in memory: path (no leading slash) -> mode, data, device."""

    def __init__(self):
        self.tree = {}

    def _parents(self, path):
        parent = os.path.dirname(path)
        if parent and parent not in self.tree:
            self.dir(parent, 0o1777 if parent == "tmp" else 0o755)

    def dir(self, path, mode=0o755):
        self._parents(path)
        self.tree[path] = (stat.S_IFDIR | mode, b"", (0, 0))

    def file(self, path, data, mode=0o644):
        self._parents(path)
        self.tree[path] = (stat.S_IFREG | mode, data, (0, 0))

    def link(self, path, target):
        self._parents(path)
        self.tree[path] = (stat.S_IFLNK | 0o777, target.encode(), (0, 0))

    def node(self, path, mode, major, minor):
        self._parents(path)
        self.tree[path] = (mode, b"", (major, minor))

    def copy(self, src, path):
        with open(src, "rb") as data:
            self.file(path, data.read(), 0o755 if os.access(src, os.X_OK) else 0o644)

    def bytes(self):
        out = []
        entries = sorted(self.tree.items()) + [("TRAILER!!!", (0, b"", (0, 0)))]
        for inode, (path, (mode, data, device)) in enumerate(entries, 1):
            name = os.fsencode(path) + b"\0"
            fields = (inode, mode, 0, 0, 2 if stat.S_ISDIR(mode) else 1, 0, len(data),
                      0, 0, *device, len(name), 0)
            head = b"070701" + b"".join(b"%08X" % f for f in fields) + name
            out += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]
        size = sum(map(len, out))
        out.append(bytes(-size % 512))
        return b"".join(out)
