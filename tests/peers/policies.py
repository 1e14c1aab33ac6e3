"""Policy servers: postgrey and policyd-spf as Debian has them, rbldnsd, and any script.

Policy   answers requests of the policy protocol as a function says, on a port or socket,
         and may hang, close, or send whatever it likes.
"""

import os
import pathlib
import socket
import subprocess
import threading
import time

from relay import end, find, free_port, wait_for

HANG, CLOSE, RESET = object(), object(), object()


def read_request(stream):
    """One request as a dict, or None at the end of the stream."""
    found = {}
    while True:
        line = stream.readline()
        if not line:
            return None
        if line == b"\n":
            return found
        name, _, value = line.rstrip(b"\n").partition(b"=")
        found[name.decode()] = value.decode()


class Policy:
    """answer(request, n): the action, bytes to be sent as they are, HANG, CLOSE or RESET; n
    counts the requests of the connection from 1. path: a socket instead of a port."""

    def __init__(self, answer, path=None, port=0):
        self.answer, self.requests, self.connections = answer, [], 0
        self.open = []
        if path:
            pathlib.Path(path).unlink(missing_ok=True)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.server = str(path)
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(("127.0.0.1", port or free_port()))
            self.server = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        stream, n = connection.makefile("rb"), 0
        try:
            while (request := read_request(stream)) is not None:
                n += 1
                self.requests.append(request)
                said = self.answer(request, n)
                if said is HANG:
                    continue
                if said is RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          b"\1\0\0\0\0\0\0\0")
                if said in (CLOSE, RESET):
                    break
                if isinstance(said, tuple):  # the answer, then CLOSE
                    connection.sendall(b"action=%s\n\n" % said[0].encode())
                    break
                connection.sendall(said if isinstance(said, bytes)
                                   else b"action=%s\n\n" % said.encode())
        except OSError:
            pass
        stream.close()
        connection.close()

    def drop_all(self):
        """Ends every connection; a restart, as clients see it."""
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Postgrey:
    """At a socket in the folder, as whoever runs the test."""

    def __init__(self, folder, delay=1):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.server = str(self.folder / "socket")
        self.delay, self.process = delay, None
        for name in ("clients", "recipients"):
            (self.folder / name).touch()

    def start(self):
        import grp
        import pwd
        pathlib.Path(self.server).unlink(missing_ok=True)
        with open(self.folder / "postgrey.log", "ab") as log:
            self.process = subprocess.Popen(
                [find("postgrey"), f"--unix={self.server}",
                 f"--user={pwd.getpwuid(os.getuid()).pw_name}",
                 f"--group={grp.getgrgid(os.getgid()).gr_name}",
                 f"--dbdir={self.folder}", f"--delay={self.delay}",
                 f"--whitelist-clients={self.folder}/clients",
                 f"--whitelist-recipients={self.folder}/recipients",
                 "--hostname=relay.test"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def is_there():
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "postgrey.log").read_text())
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(self.server)
                return True
            except OSError:
                return False
        wait_for(is_there, what="postgrey")
        return self

    def stop(self):
        end(self.process, 1)  # it waits for its clients

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


# Left to itself it asks port 53 of whoever resolv.conf names.
SPF = """import sys
port = int(sys.argv.pop(1))
import spf
if "dns.resolver" in sys.modules:
    import dns.resolver
    asks = dns.resolver.Resolver(configure=False)
    asks.nameservers, asks.port = ["127.0.0.1"], port
    dns.resolver.default_resolver = asks
else:
    import DNS
    DNS.Base.defaults.update(server=["127.0.0.1"], port=port)
from spf_engine.policyd_spf import main
sys.exit(main())
"""


class Spf:
    """policyd-spf (of python3-spf-engine) as Postfix's spawn runs it: one process for each
    connection."""

    def __init__(self, folder, dns_port):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True)
        (folder / "policyd.py").write_text(SPF)
        (folder / "spf.conf").write_text(
            "debugLevel = 0\nTestOnly = 1\nHELO_reject = False\n"
            "Mail_From_reject = Fail\nPermError_reject = False\n"
            "TempError_Defer = True\nskip_addresses = 127.0.0.0/8\n"
            "Header_Type = SPF\n")
        self.words = ["/usr/bin/python3", folder / "policyd.py", str(dns_port),
                      folder / "spf.conf"]
        self.log = open(folder / "spf.log", "ab")
        self.server = str(folder / "socket")
        self.children = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.server)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.children.append(subprocess.Popen(
                    self.words, stdin=connection, stdout=connection,
                    stderr=self.log))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for child in self.children:
            end(child)
        self.log.close()


class Rbldnsd:
    """lists: {zone: lines of an ip4set}."""

    def __init__(self, folder, lists):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True)
        self.port = free_port()
        zones = []
        for name, lines in lists.items():
            (folder / name).write_text(lines)
            zones.append(f"{name}:ip4set:{name}")
        with open(folder / "rbldnsd.log", "ab") as log:
            self.process = subprocess.Popen(
                [find("rbldnsd"), "-n", "-w", folder,
                 "-b", f"127.0.0.1/{self.port}", *zones],
                stdout=log, stderr=log, cwd=folder)
        wait_for(lambda: self.answers(next(iter(lists))), what="an answer")

    def answers(self, zone):
        """It takes its time to read its lists, and nobody can connect to UDP."""
        question = b"\0\1\0\0\0\1\0\0\0\0\0\0" + b"".join(
            bytes([len(w)]) + w.encode() for w in zone.split(".")) + b"\0\0\2\0\1"
        assert self.process.poll() is None, "rbldnsd has ended"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            try:
                s.connect(("127.0.0.1", self.port))
                s.send(question)
                return s.recv(512)
            except OSError:
                return False

    @property
    def resolver(self):
        return (f'resolver {{ mode = forward  server = "127.0.0.1@{self.port}"'
                '  insecure = {"example"} }\n')

    def pause(self):
        self.process.send_signal(19)

    def go_on(self):
        self.process.send_signal(18)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go_on()
        end(self.process)
