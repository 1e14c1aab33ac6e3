"""A small Debian, booted in namespaces of its own: systemd is its first process.

The network is the caller's, who is in a namespace of its own (see run), so that a sink in the
test is a host for it.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

CONFIG = "/etc/waypost/waypost.conf"

BOOT = r"""
set -e
cd "$1"
mount --make-rprivate /
mount --bind . .
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sys sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm
for d in null zero full random urandom tty; do touch dev/$d; mount --bind /dev/$d dev/$d; done
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
pivot_root . mnt
umount -l mnt
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
"""


class Room:
    def __init__(self, archive):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="waypost-room-"))
        subprocess.run(["tar", "-x", "-C", self.root, "-f", archive], check=True)
        (self.root / "etc/hostname").write_text("room\n")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost room room.example.org\n")
        (self.root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.outside = subprocess.Popen(
            ["unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--cgroup",
             "--kill-child", "sh", "-c", BOOT, "-", self.root],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.wait(lambda: self.inside() and self.run("true").returncode == 0)
        self.wait(lambda: self.run("systemctl", "is-system-running").stdout.strip()
                  in ("running", "degraded"))

    def inside(self):
        """The first process of the room, as seen from here."""
        path = f"/proc/{self.outside.pid}/task/{self.outside.pid}/children"
        with open(path) as children:
            return children.read().split()

    def wait(self, question, seconds=30):
        end = time.monotonic() + seconds
        while not question():
            assert time.monotonic() < end, "it takes too long"
            time.sleep(0.05)

    def run(self, *words, user=None, text=None, seconds=120):
        """Runs a command in it, as cron would: without a terminal, with a bare environment."""
        words = [str(w) for w in words]
        if user:
            words = ["runuser", "-u", user, "--", *words]
        return subprocess.run(
            ["nsenter", "-t", self.inside()[0], "-m", "-p", "-u", "-i", "-C", "-r", "-w",
             "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
             *words], input=text or "", text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=seconds)

    def must(self, *words, **options):
        r = self.run(*words, **options)
        assert r.returncode == 0, f"{' '.join(map(str, words))}: {r.returncode}\n{r.stdout}"
        return r.stdout

    def apt(self, *words):
        return self.must("apt-get", "-q", "-y", "-o", "Dpkg::Options::=--force-confold", *words)

    def path(self, name):
        return self.root / name.lstrip("/")

    def close(self):
        self.outside.kill()
        self.outside.wait()
        shutil.rmtree(self.root)


def both():
    """Our packages, as they were built."""
    made = pathlib.Path(os.environ["WAYPOST_PACKAGES"])
    return [next(made.glob(n)) for n in ("waypost_*.deb", "waypost-mta_*.deb")]


def bring(room, *files):
    for f in files:
        shutil.copy(f, room.path("/root"))
    return ["/root/" + f.name for f in files]


def is_active(room):
    return room.run("systemctl", "is-active", "waypost").stdout.strip() == "active"


def waiting(room):
    return int(room.must("waypost", "queue", "count").split()[0])
