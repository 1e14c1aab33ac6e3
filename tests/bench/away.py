#!/usr/bin/python3
"""away - how fast does the mail of a host that was away go out, once it may?

    tests/bench/away.py [--runs 3] [--count 100000] [WORKLOAD ...]

Messages of 4 KB wait for one host; generator, host and customer are tlsload (same folder), in
clear text on 127.0.0.1. `first` is from the command to the first message at the host.

  ordinary   an ordinary route with connections = 1, resumed by hand: the yardstick
  turn       ATRN: the customer's own connection
  bare       both again, with a host that offers no PIPELINING and no CHUNKING
  etrn       ETRN for a pickup with deliver-to and 20 connections; and a plain drain of
             the same mail over an ordinary route for comparison

Nothing here is a test.
"""

import argparse
import base64
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import run  # noqa: E402,F401
from relay import (Relay, end, free_port, program, tool,  # noqa: E402
                   wait_for, wait_for_port)

PASSWORD = "pencil"
LOGIN = base64.b64encode(f"\0branch\0{PASSWORD}".encode()).decode()


class Branch:
    """A relay with mail for one host, and that host."""

    def __init__(self, count, route, bare):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="waypost-away-"))
        self.bare = ["--bare"] if bare else []
        self.sink_port, self.odmr = free_port(), free_port()
        self.sink = subprocess.Popen(
            [tool("tlsload"), "sink", "--clear", "--port", str(self.sink_port),
             *self.bare], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        wait_for_port(self.sink_port, self.sink)
        users = self.folder / "users"
        users.touch(0o600)
        self.relay = Relay(
            self.folder / "relay", {}, limits={"sessions-per-client": 5000},
            top=(f'users {{ file = "{users}" }}\n'
                 f'listener "odmr" {{ address = "127.0.0.1:{self.odmr}"  '
                 'auth = optional  auth-without-tls = true  turn = true }'),
            extra=route.format(hop=f"smtp://127.0.0.1:{self.sink_port}"))
        subprocess.run([program(), "user", "add", "branch", "-c", self.relay.config],
                       input=f"{PASSWORD}\n".encode(), check=True,
                       capture_output=True)
        self.relay.start()
        self.count = count

    def fill(self):
        subprocess.run([tool("tlsload"), "send", "--clear", "--port",
                        str(self.relay.port), "--count", str(self.count),
                        "--sessions", "50"], check=True, stdout=subprocess.PIPE)
        wait_for(lambda: self.rows() and self.rows()[0]["waiting"] >= self.count, 30)

    def rows(self):
        return [json.loads(line) for line in self.relay.verb(
            "dest", "list", "--json").stdout.splitlines()]

    def sunk(self):
        self.sink.stdin.write("\n")
        self.sink.stdin.flush()
        return json.loads(self.sink.stdout.readline())

    def wait(self):
        while (got := self.sunk())["messages"] < self.count:
            time.sleep(0.02)
        return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.relay.stop()
        end(self.sink)
        shutil.rmtree(self.folder, ignore_errors=True)


def figures(began_ns, got, count):
    assert got["messages"] == count, got
    return {"first_ms": (got["first_ns"] - began_ns) / 1e6,
            "rate": (count - 1) / ((got["latest_ns"] - got["first_ns"]) / 1e9)}


def resumed(o, connections, bare=False):
    route = ('route "example.org" {{ via = {{"{hop}"}}  tls = none  '
             f'connections = {connections}\n'
             '    offline {{ login = {{"branch"}} }} }}\n')
    with Branch(o.count, route, bare) as b:
        b.fill()
        began = time.monotonic_ns()
        b.relay.verb("dest", "resume", "smtp://*", "--yes")
        return figures(began, b.wait(), o.count)


def turned(o, bare=False):
    route = ('route "example.org" {{ via = {{"pickup:branch"}}  tls = none\n'
             '    offline {{ login = {{"branch"}} }} }}\n')
    with Branch(o.count, route, bare) as b:
        b.fill()
        began = time.monotonic_ns()
        out = subprocess.run([tool("tlsload"), "turn", "--clear", "--port",
                              str(b.odmr), "--login", LOGIN, *b.bare], check=True,
                             stdout=subprocess.PIPE).stdout
        return figures(began, json.loads(out), o.count)


def released(o):
    route = ('route "example.org" {{ via = {{"pickup:branch"}}  tls = none\n'
             '    offline {{ client = {{"127.0.0.0/8"}}  deliver-to = "{hop}" }} }}\n')
    with Branch(o.count, route, False) as b:
        b.fill()
        with b.relay.client() as c:
            began = time.monotonic_ns()
            assert c.command("ETRN example.org").code == 250
            return figures(began, b.wait(), o.count)


def ordinary(o):
    return {"ordinary": resumed(o, 1)}


def turn(o):
    return {"turn": turned(o)}


def bare(o):
    return {"ordinary, bare": resumed(o, 1, True), "turn, bare": turned(o, True)}


def etrn(o):
    return {"etrn": released(o), "drain": resumed(o, 20)}


WORKLOADS = {f.__name__: f for f in (ordinary, turn, bare, etrn)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("workloads", nargs="*", default=[])
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--count", type=int, default=100000)
    o = p.parse_args()
    all_rows = {}
    for _ in range(o.runs):
        for name in o.workloads or WORKLOADS:
            for what, row in WORKLOADS[name](o).items():
                print(json.dumps({what: row}), file=sys.stderr, flush=True)
                all_rows.setdefault(what, []).append(row)
    for what, rows in all_rows.items():
        print(f"{what:16} first {statistics.median(r['first_ms'] for r in rows):7.1f} ms"
              f"  {statistics.median(r['rate'] for r in rows):8.0f}/s")


if __name__ == "__main__":
    main()
