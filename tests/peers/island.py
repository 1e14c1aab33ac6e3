"""A network of one's own: a namespace in which any address is on loopback.

Mail by MX goes to port 25 of addresses that are not loopback's, which a test has no
right to. Inside a network namespace it has every right, and nothing can leave it.
enter() must be called in a process without threads; run() starts one for a function.
"""

import ctypes
import fcntl
import os
import pathlib
import socket
import struct
import subprocess
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR, SIOCGIFINDEX = 0x8914, 0x8916, 0x8933
IFF_UP = 1


def enter(addresses):
    """Moves this process into an empty network with these addresses."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    kinds = CLONE_NEWNET if uid == 0 else CLONE_NEWNET | CLONE_NEWUSER
    if libc.unshare(kinds) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace: "
                      + os.strerror(ctypes.get_errno()))
    if kinds & CLONE_NEWUSER:
        pathlib.Path("/proc/self/setgroups").write_text("deny")
        pathlib.Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        pathlib.Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))
        index = struct.unpack("16si20x", fcntl.ioctl(
            s, SIOCGIFINDEX, struct.pack("16s24x", b"lo")))[1]
        four = [a for a in addresses if ":" not in a]
        for i, a in enumerate(four, 1):
            name = f"lo:{i}".encode()
            fcntl.ioctl(s, SIOCSIFADDR, struct.pack(
                "16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(a)))
    six = [a for a in addresses if ":" in a]
    if six:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            for a in six:
                fcntl.ioctl(s, SIOCSIFADDR, struct.pack(
                    "16sIi", socket.inet_pton(socket.AF_INET6, a), 128, index))


def run(script, *words, seconds=120):
    """Runs a script of this folder that enters by itself; its output on failure."""
    here = pathlib.Path(__file__).resolve().parent
    done = subprocess.run([sys.executable, here / script, *map(str, words)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout[-6000:]
