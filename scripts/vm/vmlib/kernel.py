# SPDX-License-Identifier: GPL-2.0
"""The kernel a VM boots: which one, where its files are, its unpacked image."""

import lzma
import os
import re
import shutil
import struct
import subprocess
import zlib

from .common import (SYSTEM_PATH, VM_DIR, VM_SRC, Locked, VmError, newer, output_of, tool,
                     write_atomic)


def default_version():
    return output_of([os.path.join(VM_SRC, "kernel-version")]).strip()


class Kernel:
    """Files of one kernel version, installed or unpacked by fetch-kernel."""

    def __init__(self, version=None):
        self.version = version or default_version()
        unpacked = os.path.join(VM_DIR, "kernels", self.version)
        for root in (unpacked, "/"):
            self.vmlinuz = os.path.join(root, "boot", "vmlinuz-" + self.version)
            self.modules = os.path.join(root, "lib/modules", self.version)
            if os.access(self.vmlinuz, os.R_OK) and os.path.isdir(self.modules):
                self.root = root
                return
        raise VmError(f"no image of kernel {self.version}: run scripts/vm/fetch-kernel "
                      f"{self.version}")

    def is_uml(self):
        """Is it a program of the host, and not for a machine of QEMU's?"""
        return self.has("CONFIG_UML")

    def image(self):
        """What to give QEMU. Unpacked here once, since under TCG the guest takes
        seconds to do it itself."""
        if self.has("CONFIG_KASAN") or not self.has("CONFIG_PVH"):
            return self.vmlinuz     # cannot be booted as an ELF file
        out = os.path.join(VM_DIR, "vmlinux", self.version)
        with Locked(os.path.join(VM_DIR, "lock")):
            if not newer(out, [self.vmlinuz]):
                elf = unpack(self.vmlinuz)
                if not elf:
                    return self.vmlinuz
                write_atomic(out, elf)
        return out

    def has(self, option):
        """Is this option of its configuration y?"""
        config = os.path.join(self.root, "boot", "config-" + self.version)
        try:
            with open(config, encoding="ascii") as text:
                return re.search(rf"^{option}=y", text.read(), re.M) is not None
        except OSError:
            return False

    def closure(self, names):
        """Module files to load for names, dependencies first. Built-in ones and
        those this kernel does not have are left out."""
        files = []
        for name in names:
            done = subprocess.run(
                [tool("modprobe"), "-d", self.root, "-S", self.version, "--show-depends", name],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
            for line in done.stdout.decode().splitlines():
                words = line.split()
                if words[:1] == ["insmod"] and words[1] not in files:
                    files.append(words[1])
        return files


def unpack(path):
    """The ELF image inside a bzImage (Documentation/arch/x86/boot.rst), or None."""
    with open(path, "rb") as image:
        data = image.read()
    if data[0x202:0x206] != b"HdrS":
        return None
    setup_sectors = data[0x1f1] or 4
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = data[start:start + length]
    elf = inflate(payload)
    # The payload ends with its own unpacked size.
    if elf and elf.startswith(b"\x7fELF") and len(elf) == int.from_bytes(payload[-4:], "little"):
        return elf
    return None


def inflate(data):
    """Decompress by magic number, ignoring what trails. None if we cannot."""
    try:
        if data.startswith(b"\xfd7zXZ"):
            return lzma.LZMADecompressor().decompress(data)
        if data.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(wbits=31).decompress(data)
    except (lzma.LZMAError, zlib.error):
        return None
    for magic, name in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\x02\x21\x4c\x18", "lz4")):
        path = shutil.which(name, path=SYSTEM_PATH)
        if path and data.startswith(magic):
            done = subprocess.run([path, "-dcq"], input=data, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, timeout=60, check=False)
            return done.stdout
    return None
