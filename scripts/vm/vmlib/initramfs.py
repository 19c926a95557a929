# SPDX-License-Identifier: GPL-2.0
"""The guest's whole file system, made from the host's tools and the build tree.

A base, rebuilt only when something in it changed, and for each VM a small second
archive on top of it: the kernel unpacks one after the other.
"""

import glob
import json
import os
import shutil
import stat
import subprocess
import tempfile

from .common import (BUILD, SYSTEM_PATH, TOP, VM_DIR, VM_SRC, Locked, VmError, agent, output_of,
                     tool, write_atomic)
from .cpio import Archive
from .kernel import inflate

# Host programs to take along; busybox gives the rest.
PROGRAMS = ["dash", "bash", "ip", "tc", "ss", "timeout", "kmod", "dmsetup", "losetup", "mkfs.ext4"]
KMOD_NAMES = ["modprobe", "insmod", "rmmod", "lsmod", "modinfo", "depmod"]

# Kernel modules, with all they depend on; whatever pbft.ko needs comes on top.
MODULES = """
    virtio_pci virtio_console virtio_rng virtio_net virtio_blk ext4
    udp_tunnel ip6_udp_tunnel veth bridge dummy ifb macvlan
    sch_netem sch_tbf sch_fq sch_htb sch_ingress cls_u32 cls_matchall act_mirred
    libcurve25519 curve25519-x86_64 hmac sha256-ssse3 sha256_generic cmac aesni-intel
    blake2s-x86_64 libblake2s xor tun
    loop dm-mod dm-delay dm-flakey dm-log-writes
""".split()

# What a build or an editor leaves beside the tests.
NOT_TESTS = (".c", ".h", ".o", ".d", ".a", ".pyc", ".mk", "~", ".swp")

def module_path(version):
    return os.path.join(BUILD, "kmod", version, "pbft.ko")

def is_elf(path):
    with open(path, "rb") as data:
        return data.read(4) == b"\x7fELF"

def libraries(path):
    """Shared libraries of a program, its loader included."""
    done = subprocess.run([tool("ldd"), path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          timeout=30, check=False)
    found = []
    for line in done.stdout.decode().splitlines():
        if "not found" in line:
            raise VmError(f"{path}: missing library:{line}")
        found += [word for word in line.split() if word.startswith("/")][:1]
    return found

def guest_path(path):
    """Where a host file goes: the guest has /bin, /lib and so on in /usr."""
    path = os.path.normpath(path).lstrip("/")
    if path.split("/")[0] in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = "usr/" + path
    return path.replace("usr/sbin/", "usr/bin/", 1) if path.startswith("usr/sbin/") else path

class Builder:
    """Collects a tree and remembers every host file that went into it."""

    def __init__(self, archive):
        self.archive = archive
        self.inputs = set()

    def add(self, src, dst):
        """A file and, if it is a program, its libraries."""
        self.inputs.add(src)
        self.archive.copy(src, dst)
        if not is_elf(src):
            return
        for lib in libraries(src):
            if guest_path(lib) not in self.archive.tree:
                self.inputs.add(lib)
                self.archive.copy(lib, guest_path(lib))

    def add_tree(self, src, dst, skip=()):
        for path in files_below(src, skip):
            self.add(path, os.path.join(dst, os.path.relpath(path, src)))

def files_below(top, skip=()):
    found = []
    for where, dirs, names in os.walk(top):
        dirs[:] = sorted(d for d in dirs if not d.startswith("."))
        for name in sorted(names):
            path = os.path.join(where, name)
            if not name.startswith(".") and not name.endswith(skip) and os.path.isfile(path):
                found.append(path)
    return found

def recipe(kernel):
    """Everything that decides the base's contents, found without opening a file."""
    host = [path for path in (shutil.which(p, path=SYSTEM_PATH) for p in PROGRAMS) if path]
    ours = [p for p in sorted(glob.glob(os.path.join(BUILD, "bin", "*"))) if os.path.isfile(p)]
    pbft = module_path(kernel.version)
    return {
        "kernel": kernel.modules,
        "busybox": tool("busybox"),
        "host": host,
        "ours": ours,
        "pbft": pbft if os.path.isfile(pbft) else None,
        "selftests": files_below(os.path.join(TOP, "selftests"), NOT_TESTS),
        "guest": [agent()] + [os.path.join(VM_SRC, "guest", n) for n in ("init", "load-pbft", "leak-check")],
        "maker": [os.path.join(VM_SRC, "vmlib", n) for n in ("initramfs.py", "cpio.py")],
    }

def signature(path):
    info = os.stat(path)
    return [info.st_mtime_ns, info.st_size]

def up_to_date(stamp_path, wanted):
    try:
        with open(stamp_path, encoding="utf-8") as text:
            stamp = json.load(text)
        return stamp["recipe"] == wanted and all(
            signature(path) == sig for path, sig in stamp["inputs"].items())
    except (OSError, ValueError, KeyError):
        return False

def base(kernel):
    """Path of the base archive for a kernel, made now if need be."""
    out = os.path.join(VM_DIR, "initramfs", kernel.version + ".cpio")
    stamp_path = out + ".json"
    wanted = recipe(kernel)
    if os.path.exists(out) and up_to_date(stamp_path, wanted):
        return out
    with Locked(os.path.join(VM_DIR, "lock")):
        if not up_to_date(stamp_path, wanted):
            data, inputs = build(kernel, wanted)
            stamp = {"recipe": wanted, "inputs": {path: signature(path) for path in inputs}}
            if os.path.exists(stamp_path):
                os.unlink(stamp_path)
            write_atomic(out, data)
            write_atomic(stamp_path, json.dumps(stamp).encode())
    return out

def build(kernel, wanted):
    archive = Archive()
    builder = Builder(archive)
    skeleton(archive)
    agent_path, init, *programs = wanted["guest"]
    builder.add(agent_path, "vm/agent")
    builder.add(init, "init")
    for path in programs:
        builder.add(path, "usr/bin/" + os.path.basename(path))
    builder.add(wanted["busybox"], "usr/bin/busybox")
    for path in wanted["host"]:
        builder.add(path, "usr/bin/" + os.path.basename(path))
    archive.link("usr/bin/sh", "dash")
    for name in KMOD_NAMES:
        archive.link("usr/bin/" + name, "kmod")
    for path in glob.glob("/usr/lib/tc/*.dist") + glob.glob("/lib/tc/*.dist"):
        builder.add(path, guest_path(path))
    for path in wanted["ours"]:
        builder.add(path, "usr/bin/" + os.path.basename(path))
    for path in wanted["selftests"]:
        builder.add(path, os.path.relpath(path, TOP))
    for name in output_of([wanted["busybox"], "--list"]).split():
        if "usr/bin/" + name not in archive.tree:
            archive.link("usr/bin/" + name, "busybox")
    add_modules(builder, kernel, wanted["pbft"])
    builder.inputs.update(wanted["maker"])
    return archive.bytes(), builder.inputs

def skeleton(archive):
    for path in ("dev", "etc", "proc", "run", "sys", "usr/bin", "usr/lib", "usr/lib64", "var/lib",
                 "var/log", "vm"):
        archive.dir(path)
    archive.dir("root", 0o700)
    archive.dir("tmp", 0o1777)
    for name in ("bin", "lib", "lib64"):
        archive.link(name, "usr/" + name)
    archive.link("sbin", "usr/bin")
    archive.link("usr/sbin", "bin")
    archive.node("dev/console", stat.S_IFCHR | 0o600, 5, 1)
    archive.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"
                 b"nobody:x:65534:65534:nobody:/:/bin/false\n")
    archive.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    archive.file("etc/nsswitch.conf", b"hosts: files\n")
    archive.file("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n")

def plain_module(path):
    with open(path, "rb") as data:
        raw = data.read()
    return raw if raw.startswith(b"\x7fELF") else inflate(raw)

def add_modules(builder, kernel, pbft):
    """Modules, uncompressed, with the indexes that modprobe wants."""
    wanted = list(MODULES)
    if pbft:
        wanted += output_of([tool("modinfo"), "-F", "depends", pbft]).strip().split(",")
        for line in output_of([tool("modinfo"), "-F", "softdep", pbft]).splitlines():
            wanted += [word for word in line.split() if not word.endswith(":")]
    where = "lib/modules/" + kernel.version
    with tempfile.TemporaryDirectory(dir=VM_DIR) as stage:
        os.makedirs(os.path.join(stage, where, "extra"))
        for path in kernel.closure([name for name in wanted if name]):
            builder.inputs.add(path)
            name = os.path.relpath(path, kernel.modules)
            for ending in (".xz", ".zst", ".gz"):
                name = name.removesuffix(ending)
            os.makedirs(os.path.dirname(os.path.join(stage, where, name)), exist_ok=True)
            with open(os.path.join(stage, where, name), "wb") as out:
                out.write(plain_module(path))
        if pbft:
            builder.inputs.add(pbft)
            shutil.copy(pbft, os.path.join(stage, where, "extra"))
        for path in glob.glob(os.path.join(kernel.modules, "modules.builtin*")):
            shutil.copy(path, os.path.join(stage, where))
        output_of([tool("depmod"), "-b", stage, kernel.version])
        for path in files_below(os.path.join(stage, where)):
            builder.archive.copy(path, "usr/" + os.path.relpath(path, stage))

def overlay(argv=None, files=(), dirs=(), texts=None):
    """The per-VM archive: a command to run, files and trees from the host."""
    archive = Archive()
    builder = Builder(archive)
    if argv:
        archive.file("vm/argv", b"".join(os.fsencode(a) + b"\0" for a in argv))
    for src, dst in files:
        builder.add(src, guest_path(dst))
    for src, dst in dirs:
        builder.add_tree(src, guest_path(dst))
    for path, text in (texts or {}).items():
        archive.file(path, text.encode())
    return archive.bytes()

def compose(path, kernel, extra):
    """Base and overlay in one file, which is what QEMU takes."""
    with open(base(kernel), "rb") as src, open(path, "wb") as out:
        shutil.copyfileobj(src, out, 1 << 20)
        out.write(extra)
