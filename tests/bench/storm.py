#!/usr/bin/python3
"""storm - does a loop stay awake while hundreds log in?

    tests/bench/storm.py [--seconds 20] [--clients 200] [--tls] [--users 5000]

Clients log in as fast as they can, half of them by PLAIN (yescrypt), half by
SCRAM-SHA-256, a connection for each login, while mail flows through another connection.
One more connection says NOOP every few milliseconds. Reported are logins a second, the
longest turn of a loop, and how long a NOOP took; the same without a storm comes first.

A user is asked for once in a while only, so that what is remembered of good passwords
helps little. On a machine of few cores the clients take time from the relay. Nothing here
is a test.
"""

import argparse
import base64
import hashlib
import hmac
import json
import multiprocessing
import os
import pathlib
import random
import re
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
from door import Door, plain  # noqa: E402
from relay import Client, Closed, Sink, stuff  # noqa: E402

PASSWORD = "storm and stress"
PROCESSES = 4


def users_like_the_first(path, count):
    """The same line under many names: making one takes long, on purpose."""
    rest = path.read_text().strip().split(":", 1)[1]
    path.write_text("".join(f"user{i}:{rest}\n" for i in range(count)))


class Scram:
    """SCRAM-SHA-256's client side; what costs time is done once for a salt."""
    salted = {}

    def __init__(self, user):
        self.bare = f"n={user},r={random.getrandbits(120):x}"

    def first(self):
        return base64.b64encode(f"n,,{self.bare}".encode()).decode()

    def final(self, challenge):
        said = base64.b64decode(challenge).decode()
        values = dict(v.split("=", 1) for v in said.split(","))
        key = (values["s"], values["i"])
        if key not in self.salted:
            self.salted[key] = hashlib.pbkdf2_hmac(
                "sha256", PASSWORD.encode(), base64.b64decode(key[0]), int(key[1]))
        client = hmac.digest(self.salted[key], b"Client Key", "sha256")
        without = f"c=biws,r={values['r']}"
        proof = hmac.digest(hashlib.sha256(client).digest(),
                            f"{self.bare},{said},{without}".encode(), "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, proof)))
        return base64.b64encode(
            f"{without},p={proof.decode()}".encode()).decode()


def log_in(port, tls, user, by_scram):
    with Client(port, tls=tls, timeout=60) as c:
        if not by_scram:
            return c.command("AUTH PLAIN " + plain(user, PASSWORD)).code
        scram = Scram(user)
        reply = c.command("AUTH SCRAM-SHA-256 " + scram.first())
        if reply.code != 334:
            return reply.code
        reply = c.command(scram.final(reply.lines[0]))
        return c.command("").code if reply.code == 334 else reply.code


def storm(port, authority, clients, users, seconds, seed, out):
    """One process of the storm; politely, or the relay would wait for its clients."""
    os.nice(19)
    counts, lock = {}, threading.Lock()
    tls = ssl.create_default_context(cafile=authority) if authority else None
    until = time.monotonic() + seconds

    def run(n):
        rng = random.Random(seed * 1000 + n)
        while time.monotonic() < until:
            user = f"user{rng.randrange(users)}"
            try:
                code = log_in(port, tls, user, n % 2)
            except (OSError, Closed) as e:
                code = type(e).__name__
            with lock:
                key = ("SCRAM" if n % 2 else "PLAIN", code)
                counts[key] = counts.get(key, 0) + 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    out.put(counts)


def mail(port, stop):
    content = stuff(b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 57)
    with Client(port) as c:
        while not stop.is_set():
            c.envelope(to=["r@open.test"])
            c.send(content + b".\r\n")
            assert c.reply().code == 250
            time.sleep(0.01)


def noops(port, seconds, out):
    """Round trips in milliseconds; few enough that they are nobody's junk."""
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        with Client(port) as c:
            for _ in range(90):
                began = time.perf_counter()
                assert c.command("NOOP").code == 250
                times.append((time.perf_counter() - began) * 1000)
                time.sleep(0.004)
    out.put(times)


def status(relay):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(relay.folder / "admin.sock"))
        s.sendall(b"GET /api/v1/status HTTP/1.0\r\n\r\n")
        text = b""
        while more := s.recv(65536):
            text += more
    return json.loads(text[text.index(b"\r\n\r\n"):])


def cpu_by_thread(relay):
    """Seconds by name; threads of one name together."""
    spent = {}
    for path in pathlib.Path(f"/proc/{relay.process.pid}/task").iterdir():
        text = (path / "stat").read_text()
        name = text[text.index("(") + 1:text.rindex(")")].rstrip("-0123456789")
        fields = text.rsplit(")", 1)[1].split()
        spent[name] = spent.get(name, 0) + (
            int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def measure(relay, o, storms):
    door = "implicit" if o.tls else "clear"
    authority = str(relay.authority.path) if o.tls else None
    out, answers = multiprocessing.Queue(), multiprocessing.Queue()
    stop = multiprocessing.Event()
    status(relay)       # from here on is recent
    others = [multiprocessing.Process(target=mail, args=(relay.port, stop)),
              multiprocessing.Process(target=noops, args=(relay.port, o.seconds, out))]
    clients = [multiprocessing.Process(
        target=storm, args=(relay.ports[door], authority, o.clients // PROCESSES,
                            o.users, o.seconds, i, answers))
        for i in range(PROCESSES if storms else 0)]
    before = cpu_by_thread(relay)
    for p in others + clients:
        p.start()
    times = sorted(out.get(timeout=o.seconds + 120))
    lag = {k: v for k, v in status(relay).items() if "lag" in k}
    counts = {}
    for _ in clients:
        for key, n in answers.get(timeout=120).items():
            counts[key] = counts.get(key, 0) + n
    stop.set()
    for p in others + clients:
        p.join()
    good = sum(n for (_, code), n in counts.items() if code == 235)
    print(f"{'storm' if storms else 'calm':6} logins/s {good / o.seconds:7.1f}  "
          f"longest turn {lag.get('lag_ms_recent', 0):6.2f} ms  NOOP median "
          f"{statistics.median(times):.2f} p99 {times[len(times) * 99 // 100]:.2f} "
          f"most {times[-1]:.2f} ms  {counts or ''}\n       CPU seconds " +
          ", ".join(f"{name} {s - before.get(name, 0):.1f}"
                    for name, s in sorted(cpu_by_thread(relay).items())
                    if s - before.get(name, 0) >= 0.05), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seconds", type=int, default=20)
    p.add_argument("--clients", type=int, default=200)
    p.add_argument("--users", type=int, default=5000)
    p.add_argument("--tls", action="store_true")
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as folder, Sink() as sink, \
            Door(folder, {"*": sink.hop}, users={"user0": PASSWORD},
                 limits={"sessions-per-client": 2000}) as relay:
        users_like_the_first(relay.folder / "users", o.users)
        relay.reload()
        time.sleep(1)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
              f"{'TLS' if o.tls else 'clear'}")
        measure(relay, o, False)
        measure(relay, o, True)
        assert not re.search("ASSERT", relay.log())


if __name__ == "__main__":
    main()
