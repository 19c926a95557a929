# SPDX-License-Identifier: GPL-2.0
"""A guest whose kernel is a process of ours (ARCH=um): how it is called.

It has one CPU, no devices and nothing to emulate. Its programs are processes of
the host, which it traces; a process namespace of their own makes them go when
the kernel does, however that ends.
"""

import os
import subprocess
import threading

from .common import spawn, tool

# The kernel's log goes to standard output, the agent's frames to descriptor 3. Nothing
# happens here by chance: random numbers are the host's, which the kernel calls the CPU's.
APPEND = ("quiet loglevel=5 con0=null,fd:1 con=null ssl0=null,fd:3 ssl=null "
          "random.trust_cpu=on rdinit=/init")
PORT = "/dev/ttyS0"
CLEAN_EXIT = 0      # after a crash it is not

# Not the namespace's first process: that one could not be killed by a signal.
# Descriptor 3 is the pipe, whatever number it had with us.
WRAPPER = 'pipe=$1; shift; eval "\\"\\$@\\" 3>&$pipe $pipe>&-"'


def one_cpu():
    """For a child: kernel and programs take turns, which is twice as fast on one CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[os.getpid() % len(cpus)]})


def command(kernel, *, initrd, where, mem, append):
    return [tool("unshare"), "--user", "--map-root-user", "--pid", "--fork", "--kill-child",
            tool("dash"), "-c", WRAPPER, "sh", "{pipe}",
            kernel.vmlinuz, f"mem={mem}M", f"initrd={initrd}", f"uml_dir={where}/uml",
            *APPEND.split(), f"vm.port={PORT}", *append.split()]


def copy(source, path):
    """What comes through the pipe, to a file, until all its writers are gone."""
    with os.fdopen(source, "rb", buffering=0) as data, open(path, "ab", buffering=0) as out:
        while chunk := data.read(65536):
            out.write(chunk)


def start(argv, *, where, console, port, stderr):
    """Returns the process and the thread that copies its frames to port."""
    read, write = os.pipe()
    try:
        argv = [str(write) if word == "{pipe}" else word for word in argv]
        with open(console, "ab") as log:
            proc = spawn(argv, one_cpu, cwd=where, stdin=subprocess.DEVNULL, stdout=log,
                         stderr=stderr, pass_fds=(write,),
                         env={**os.environ, "TMPDIR": "/dev/shm"})
    finally:
        os.close(write)
    copier = threading.Thread(target=copy, args=(read, port), daemon=True)
    copier.start()
    return proc, copier
