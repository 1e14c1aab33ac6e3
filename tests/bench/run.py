#!/usr/bin/python3
"""run - how fast is the relay, beside a tuned Postfix, on this machine, now?

    tests/bench/run.py [--runs 3] [--peers postfix,waypost] [--scale 1.0]
                       [--out results.jsonl] [WORKLOAD ...]

Generator and sink are those of the ledger (tests/fault): each message carries a
checksum that the sink verifies, and what was acknowledged and did not arrive, or arrived
twice, is counted. Peers take turns within one run, so that a machine that drifts
drifts for both; the table shows medians. Everything is on 127.0.0.1 and Waypost
always commits with synchronous=FULL, Postfix with its one fsync a message.

  reused     10,000 x 4 KB over 50 sessions that stay open, to the last arrival
  connect    the same, a connection for each message
  large      200 x 5 MB over 10 sessions
  single     500 x 4 KB over one session: microseconds from dot to 250
  away       20,000 accepted while the next hop is down, then drained
  idle       memory of 1,000 idle sessions
  backlog    accept rate with --backlog messages waiting, against an empty queue;
             memory; seconds from a restart to the first delivery (Waypost only)

Figures differ between machines; only the ratio between peers in one run says much.
Nothing here is a test.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "peers"), str(TESTS / "fault")]

import kill  # noqa: E402
import peers  # noqa: E402
from relay import (Relay, end, find, free_port, tool, wait_for,  # noqa: E402
                   wait_for_port)

TICK = os.sysconf("SC_CLK_TCK")


class TunedPostfix(peers.Postfix):
    """For throughput to one next hop: no look-ups, many processes that live
    long, connections that are reused."""

    extra = """
default_process_limit = 300
max_use = 10000
in_flow_delay = 0
smtputf8_enable = no
smtpd_peername_lookup = no
disable_vrfy_command = yes
smtpd_client_connection_count_limit = 0
default_destination_concurrency_limit = 100
initial_destination_concurrency = 50
smtp_destination_concurrency_limit = 100
qmgr_message_active_limit = 60000
qmgr_message_recipient_limit = 60000
hash_queue_names = incoming, active, deferred, defer
hash_queue_depth = 1
smtp_connection_reuse_count_limit = 10000
"""

    def setup(self):
        self.extra += ("smtp_connection_cache_destinations = "
                       f"[127.0.0.1]:{self.next_port}\n")
        super().setup()

    def pid(self):
        return int((self.folder / "queue/pid/master.pid").read_text())

    def flush(self):
        subprocess.run([find("postqueue"), "-c", self.folder / "etc", "-f"],
                       check=True)

    def waiting(self):
        return sum(len(files) for queue in ("incoming", "active", "deferred",
                                            "maildrop")
                   for _, _, files in os.walk(self.folder / "queue" / queue))


class Waypost:
    def __init__(self, folder, next_port):
        self.relay = Relay(folder, {"*": f"smtp://127.0.0.1:{next_port}"},
                           limits={"sessions-per-client": 5000},
                           open_files=8000,
                           retry={"first": '"60s"', "most": '"1h"'})
        self.relay.start()
        self.port = self.relay.port

    def pid(self):
        return self.relay.process.pid

    def flush(self):
        self.relay.retry_now()

    def waiting(self):
        out = self.relay.verb("queue", "count", "--json", check=False).stdout
        found = re.search(rb'"messages":\s*(\d+)', out)
        return int(found[1]) if found else len(self.relay.queue_list())

    def stop(self):
        self.relay.stop()


PEERS = {"postfix": TunedPostfix, "waypost": Waypost}


def tree(pid):
    """The process and all below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            parent = int(stat.rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def cpu_seconds(pid):
    """Of the whole tree, children that have ended included."""
    ticks = 0
    for p in tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(
                ")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:13]))
        # what its ended children used is in no other process's figure
        ticks += sum(map(int, fields[13:15]))
    return ticks / TICK


def memory_kb(pid):
    """Private memory and the share of what is shared."""
    total = 0
    for p in tree(pid):
        try:
            text = pathlib.Path(f"/proc/{p}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
    return total


class Peak:
    """The most memory while it lasts; seldom looked at where many processes
    would make looking the work."""

    def __init__(self, pid, often):
        self.pid, self.pause, self.kb = pid, 0.2 if often else 2.0, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.wait(self.pause):
            self.kb = max(self.kb, memory_kb(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.kb = max(self.kb, memory_kb(self.pid))
        self.over.set()
        self.thread.join()


class Bench:
    """One peer between generator and sink, in a folder of its own."""

    def __init__(self, peer, slots, sink=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="waypost-bench-"))
        self.ledger = kill.Ledger(self.folder / "ledger", slots + 16)
        self.sink_port, self.sink = free_port(), None
        if sink:
            self.start_sink()
        self.peer = PEERS[peer](self.folder / "peer", self.sink_port)

    def start_sink(self):
        self.sink = subprocess.Popen(
            [tool("ledger_sink"), "--port", str(self.sink_port), "--ledger",
             self.ledger.path], stdout=subprocess.PIPE)
        wait_for_port(self.sink_port, self.sink)

    def generate(self, **options):
        command = [tool("ledger_generator"), "--port", str(self.peer.port),
                   "--ledger", self.ledger.path]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE,
                                         check=True).stdout)

    def wait_arrived(self, count, patience=30):
        """Until all have arrived, or nothing more comes for a while."""
        last, since = -1, time.monotonic()
        while self.ledger.head()["arrived"] < count:
            now = self.ledger.head()["arrived"]
            if now != last:
                last, since = now, time.monotonic()
            if time.monotonic() - since > patience:
                break
            time.sleep(0.005)

    def times(self):
        """First and last arrival, and what went wrong."""
        first, last, lost, doubles, bad = 0, 0, 0, 0, 0
        for _slot, _sent, acked, count, flags, at in self.ledger.rows():
            if count:
                first = min(first or at[0], at[0])
                last = max(last, at[0])
            lost += acked > 0 and count == 0
            doubles += count > 1
            bad += flags & kill.BAD
        return first, last, {"lost": lost, "duplicates": doubles, "bad": bad}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.stop()
        if self.sink:
            end(self.sink)
        shutil.rmtree(self.folder, ignore_errors=True)


def through(peer, count, **options):
    """From the generator's start to the last arrival."""
    with Bench(peer, count) as b:
        b.generate(count=20, sessions=2)    # everything is awake
        b.wait_arrived(20)
        cpu = cpu_seconds(b.peer.pid())
        with Peak(b.peer.pid(), often="size" in options) as peak:
            said = b.generate(count=count, **options)
            b.wait_arrived(count + 20)
        _first, last, wrong = b.times()
        seconds = (last - said["begun_ns"]) / 1e9
        cpu = cpu_seconds(b.peer.pid()) - cpu
        return {"rate": count / seconds, "cpu_us": cpu / count * 1e6,
                "memory_mb": peak.kb / 1024, **wrong}


def reused(peer, o):
    return through(peer, int(10000 * o.scale), sessions=50)


def connect(peer, o):
    return through(peer, int(10000 * o.scale), sessions=50, per_connection=1)


def large(peer, o):
    return through(peer, int(200 * o.scale), sessions=10, size=5_000_000)


def single(peer, o):
    with Bench(peer, 1000) as b:
        b.generate(count=20, sessions=1)
        said = b.generate(count=int(500 * o.scale), sessions=1)
        return {"p50_us": said["dot_us"]["p50"], "p99_us": said["dot_us"]["p99"]}


def away(peer, o):
    count = int(20000 * o.scale)
    with Bench(peer, count, sink=False) as b:
        said = b.generate(count=count, sessions=50)
        b.start_sink()
        b.peer.flush()
        b.wait_arrived(count, 60)
        first, last, wrong = b.times()
        arrived = b.ledger.head()["arrived"]
        return {"accept_rate": said["rate"],
                "drain_rate": arrived / max((last - first) / 1e9, 1e-3),
                "left_behind": count - arrived, **wrong}


def idle(peer, o):
    count = int(1000 * o.scale)
    with Bench(peer, 100) as b:
        b.generate(count=20, sessions=2)
        before = memory_kb(b.peer.pid())
        g = subprocess.Popen(
            [tool("ledger_generator"), "--port", str(b.peer.port), "--ledger",
             b.ledger.path, "--idle", "--sessions", str(count), "--seconds",
             "8"], stdout=subprocess.DEVNULL)
        time.sleep(6)
        kb = (memory_kb(b.peer.pid()) - before) / count
        g.wait()
        return {"kb_per_session": kb}


def backlog(peer, o):
    if peer != "waypost":
        return {}
    probe, count = int(10000 * o.scale), o.backlog
    with Bench(peer, count + 2 * probe, sink=False) as b:
        empty = b.generate(count=probe, sessions=50)["rate"]
        b.generate(count=count, sessions=50)
        full = b.generate(count=probe, sessions=50)["rate"]
        memory = memory_kb(b.peer.pid())
        b.peer.relay.stop()
        b.start_sink()
        begun = time.monotonic()
        b.peer.relay.start()
        # it remembers that the next hop was down; the order walks all that waits
        # and is not waited for
        threading.Thread(target=b.peer.flush, daemon=True).start()
        wait_for(lambda: b.ledger.head()["arrived"] > 0, 120, "a delivery")
        return {"rate_empty": empty, "rate_full": full,
                "memory_mb": memory / 1024,
                "first_delivery_s": time.monotonic() - begun}


WORKLOADS = {f.__name__: f for f in (reused, connect, large, single, away, idle,
                                     backlog)}


def figure(value):
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2f}"


def table(results, names):
    """Medians; the last column is the first peer's figure to the second's."""
    lines = ["| workload | figure | " + " | ".join(names) + " | ratio |",
             "|---|---|" + "---:|" * (len(names) + 1)]
    for workload in dict.fromkeys(r["workload"] for r in results):
        of = {n: [r["result"] for r in results if r["workload"] == workload and
                  r["peer"] == n and r["result"]] for n in names}
        keys = dict.fromkeys(k for rows in of.values() for r in rows for k in r)
        for key in keys:
            cells = {n: statistics.median(r[key] for r in rows)
                     for n, rows in of.items() if rows}
            if key in ("lost", "duplicates", "bad") and not any(cells.values()):
                continue
            ratio = ""
            if len(cells) == 2 and cells[names[0]]:
                ratio = f"{cells[names[1]] / cells[names[0]]:.2f}"
            row = " | ".join(figure(cells[n]) if n in cells else ""
                             for n in names)
            lines.append(f"| {workload} | {key} | {row} | {ratio} |")
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("workloads", nargs="*", default=[])
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--peers", default="postfix,waypost")
    p.add_argument("--scale", type=float, default=1.0)
    p.add_argument("--backlog", type=int, default=1_000_000)
    p.add_argument("--out")
    o = p.parse_args()
    names, results = o.peers.split(","), []
    for workload in o.workloads or [w for w in WORKLOADS if w != "backlog"]:
        for _ in range(o.runs):
            for name in names:
                row = {"workload": workload, "peer": name,
                       "result": WORKLOADS[workload](name, o)}
                results.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
                if o.out:
                    with open(o.out, "a") as f:
                        f.write(json.dumps(row) + "\n")
    print(table(results, names))


if __name__ == "__main__":
    main()
