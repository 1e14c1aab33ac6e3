#!/usr/bin/python3
"""rules - what do a thousand rules cost the relay?

    tests/bench/rules.py [--runs 5] [--count 20000] [--rules 1000] [--lines 100000]

Messages of 4 KB over 50 sessions through a relay with one rule, and through one with as many
rules as asked for, ten of which ask tables of so many lines; in turns, medians. The
generator and the next hop are tlsload (same folder), in clear text on 127.0.0.1. What a
judgement alone costs is judgeload's to say.

Nothing here is a test.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import run  # noqa: E402
from relay import Relay, end, free_port, tool, wait_for_port  # noqa: E402

GRANT = 'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n'


def rules(folder, count, lines):
    """Rules that are passed over, and the one that grants below them."""
    for n in range(10):
        (folder / f"table{n}").write_text(
            "".join(f"host{i}.table{n}.test\n" for i in range(lines)))
    kinds = (lambda n: f'from = {{"table:{folder}/table{n % 10}"}}' if n < 10 else
             f'from = {{"s{n}.test", "*.s{n}.test"}}',
             lambda n: f'to = {{"r{n}.test"}}  client = {{"198.51.{n % 250}.0/24"}}',
             lambda n: f'client = {{"203.0.113.{n % 250}"}}',
             lambda n: f'helo = {{"h{n}.test"}}  from = {{"x@y{n}.test"}}')
    return "".join(f'rule "{n}" {{ {kinds[n % 4](n)}  action = '
                   f'{"reject" if n % 2 else "hold"} }}\n'
                   for n in range(count - 1)) + GRANT


def through(o, many):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="waypost-rules-"))
    port = free_port()
    sink = subprocess.Popen([tool("tlsload"), "sink", "--clear", "--port", str(port)],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sunk():
        sink.stdin.write("\n")
        sink.stdin.flush()
        return json.loads(sink.stdout.readline())
    try:
        wait_for_port(port, sink)
        with Relay(folder / "r", {"*": f"smtp://127.0.0.1:{port}"},
                   limits={"sessions-per-client": 5000},
                   rules=rules(folder, o.rules, o.lines) if many else GRANT) as r:
            cpu = run.cpu_seconds(r.process.pid)
            said = json.loads(subprocess.run(
                [tool("tlsload"), "send", "--clear", "--port", str(r.port), "--count",
                 str(o.count), "--sessions", "50"], check=True,
                stdout=subprocess.PIPE).stdout)
            while (got := sunk())["messages"] < o.count:
                time.sleep(0.02)
            cpu = run.cpu_seconds(r.process.pid) - cpu
        return {"rate": o.count / ((got["latest_ns"] - said["begun_ns"]) / 1e9),
                "cpu_us": cpu / o.count * 1e6}
    finally:
        end(sink)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--count", type=int, default=20000)
    p.add_argument("--rules", type=int, default=1000)
    p.add_argument("--lines", type=int, default=100000)
    o = p.parse_args()
    rows = {False: [], True: []}
    for _ in range(o.runs):
        for many in rows:
            rows[many].append(through(o, many))
            print(json.dumps({"rules": o.rules if many else 1, **rows[many][-1]}),
                  file=sys.stderr, flush=True)
    for many, all_rows in rows.items():
        print(f"{o.rules if many else 1:5} rules  "
              f"{statistics.median(r['rate'] for r in all_rows):8.0f}/s  "
              f"{statistics.median(r['cpu_us'] for r in all_rows):6.1f} us of CPU a message")


if __name__ == "__main__":
    main()
