#!/usr/bin/python3
"""surface - how soon do commands and pages answer over a large queue and history?

    tests/bench/surface.py [--queue 1000000] [--history 1000000] [--pairs 5] [--paced]
                           [--folder DIR] [--keep] [--only PATTERN]

Fills a store with so many waiting messages (five recipients' domains in a hundred hold most of
them, a twentieth is held back) and so many rows of history, has a relay start on it, and runs
every command and GET of the HTTP interface: `first` is the time to the first byte, `all` to the
end, then the bytes that came (a list is cut off after 20 MB), and what a line of a long list costs
the command and each of the relay's threads. Then so many pairs of
runs through the same relay, one with commands and pages asked for all the time and one without:
messages a second, medians. With --paced as many pairs again, with one command or page a second.

A million and ten million need about 15 GB of disk for a while. Nothing here is a test.
"""

import argparse
import os
import pathlib
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import history  # noqa: E402
import kill  # noqa: E402
from relay import Relay, end, free_port, program, tool, wait_for, \
    wait_for_port  # noqa: E402

MOST = 20 << 20
CPU_LINES = 20000  # fewer say nothing of what one costs
LANES = 5000
MESSAGES = """
WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i+1 FROM n WHERE i+1<:last)
INSERT INTO message(id, sender, received_ms, size, header_bytes, body, smtputf8, has_8bit, ret,
  envid, client, client_name, helo, login, listener, protocol, message_id, checksum, has_file,
  alarm_ms)
SELECT (:start + i*:step)*256000 + i%256000, 'user' || (i*7919%40000) || '@company' ||
    (i*31%1500) || '.example', :start + i*:step, 3000 + i%9000, 250, 0, 0, 0, '', '',
  '10.' || (i%8) || '.' || (i%200) || '.' || (i%250), 'client' || (i%2000) || '.example',
  'client' || (i%2000) || '.example', CASE i%3 WHEN 0 THEN '' ELSE 'login' || (i%3000) END,
  'submission', 'ESMTPSA', '<' || i || '@client.example>', 0, 0, :start + i*:step + 432000000
FROM n
"""
CONTENT = """
INSERT INTO content(message, bytes) SELECT id, :body FROM message WHERE id>:after
"""
RECIPIENTS = """
INSERT INTO recipient(message, number, address, orcpt, notify, lane, state, due_ms, attempts,
  expire_ms, warn_ms, since_ms, reply, trail)
SELECT id, 0, 'someone' || (received_ms%100000) || '@customer' || lane || '.mass.example', '', 0, lane,
  held, due, 3, received_ms + 432000000, 9223372036854775807, 0,
  CASE due%2 WHEN 0 THEN '4.4.1 connect to mx.customer' || lane ||
    '.mass.example[192.0.2.25]:25: connection timed out' ELSE
    '4.2.2 452 4.2.2 Over quota (in reply to RCPT TO command)' END, ''
FROM (SELECT id, received_ms, :now + 3600000 + id/256%7200000 AS due,
  CASE WHEN id/256%20 THEN 0 ELSE 1 END AS held,
  1 + CASE WHEN id/256%100 < 60 THEN id/256%5 ELSE id/256%:lanes END AS lane
  FROM message WHERE id>:after)
"""


def fill(path, count):
    """So many messages of the last four days, all tried before, none due within the hour."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=OFF")
    db.execute("PRAGMA synchronous=OFF")
    now = int(time.time() * 1000)
    span = 4 * 86400 * 1000
    start, step = now - span - 60000, max(1, span // count)
    db.execute("BEGIN")
    db.executemany("INSERT INTO lane(id, key) VALUES(?, ?)",
                   [(i + 1, f"customer{i + 1}.mass.example") for i in range(LANES)])
    db.execute("COMMIT")
    body = b"Received: by relay.test\r\nSubject: one of many\r\n" + b"X-Filler: " + b"x" * 190 + \
        b"\r\n\r\nWhat is said.\r\n"
    after, page = 0, 100000
    for first in range(0, count, page):
        db.execute("BEGIN")
        db.execute(MESSAGES, {"first": first, "last": min(first + page, count), "start": start,
                              "step": step})
        db.execute(CONTENT, {"body": body, "after": after})
        db.execute(RECIPIENTS, {"now": now, "lanes": LANES, "after": after})
        after, = db.execute("SELECT max(id) FROM message").fetchone()
        db.execute("COMMIT")
    db.execute("UPDATE state SET last_message=?", (after,))
    db.execute("PRAGMA journal_mode=WAL")
    db.close()


class Scene:
    """The relay, a generator and a sink."""

    def __init__(self, folder, slots):
        self.ledger = kill.Ledger(folder / "ledger", slots)
        self.sink_port, self.used = free_port(), 0
        self.sink = subprocess.Popen(
            [tool("ledger_sink"), "--port", str(self.sink_port), "--ledger", self.ledger.path],
            stdout=subprocess.PIPE)
        wait_for_port(self.sink_port, self.sink)
        self.http = free_port()
        routes = {f"customer{i}.mass.example": f"smtp://127.0.0.1:{i + 20}" for i in range(1, 6)}
        self.relay = Relay(
            folder / "relay",
            {"*": f"smtp://127.0.0.1:{self.sink_port}", **routes,
             "*.mass.example": {"via": "smtp://127.0.0.1:9", "connections": "1"}},
            retry={"first": '"10min"', "most": '"1h"'},
            queue={"history-size": '"0"', "history": '"90d"'},
            admin={"http": f'"127.0.0.1:{self.http}"'})

    def token(self):
        return subprocess.run([program(), "token", "add", "bench", "--role", "operator", "-c",
                               self.relay.config], capture_output=True, text=True,
                              check=True).stdout.strip()

    def throughput(self, count):
        before = self.ledger.head()["arrived"]
        begin = time.monotonic()
        subprocess.run([tool("ledger_generator"), "--port", str(self.relay.port), "--ledger",
                        self.ledger.path, "--count", str(count), "--sessions", "50",
                        "--first", str(self.used)], stdout=subprocess.DEVNULL, check=True)
        wait_for(lambda: self.ledger.head()["arrived"] >= before + count, 120, "arrival")
        self.used += count
        return count / (time.monotonic() - begin)


class Answer:
    """What a question took: seconds to the first byte and to the end, and of the processor."""

    def __init__(self, argv):
        begin = time.perf_counter()
        p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.first, self.bytes, self.lines = None, 0, 0
        while got := p.stdout.read1(1 << 20):
            self.first = self.first or time.perf_counter() - begin
            self.bytes += len(got)
            self.lines += got.count(b"\n")
            if self.bytes > MOST:
                p.kill()
                break
        p.stdout.close()
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        self.whole = time.perf_counter() - begin
        self.first = self.first or self.whole  # it had nothing to say
        self.cpu = used.ru_utime + used.ru_stime


def threads_cpu(pid):
    """{thread's name: seconds of the processor}, of all that live"""
    used = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name, rest = re.match(r"\d+ \((.*)\) (.*)", (task / "stat").read_text()).groups()
        ticks = [int(x) for x in rest.split()[11:13]]
        used[name] = used.get(name, 0) + sum(ticks) / os.sysconf("SC_CLK_TCK")
    return used


def told(pid, what, argv):
    """Asks, prints a line, and gives the answer."""
    before = threads_cpu(pid)
    a = Answer(argv)
    after = threads_cpu(pid)
    spent = {n: after[n] - before.get(n, 0) for n in after}
    line = f"{what[:64]:64} first {a.first:6.3f} s  all {a.whole:7.3f} s  {a.bytes}"
    if a.lines >= CPU_LINES:
        line += f"  {a.lines} lines, CPU ms per 100,000: command " \
            f"{a.cpu * 1e8 / a.lines:.0f}" + "".join(
                f", {n} {s * 1e8 / a.lines:.0f}" for n, s in sorted(spent.items()) if s >= 0.02)
    print(line, flush=True)
    return a


def questions(relay, http, token, some, name):
    """[(what, argv)]"""
    day = time.strftime("%Y-%m-%d", time.localtime(some[2] / 1000))
    after = time.strftime("%Y-%m-%d", time.localtime(some[2] / 1000 + 86400))
    verbs = [
        "queue list", "queue list --json",
        "queue list --domain customer4711.mass.example", "queue list --from user7@company*",
        "queue list --login login77", "queue list --state held", "queue list --older 3d",
        "queue list --newer 10min", "queue list --state ready", "queue list --state active",
        "queue count --older 3d", "queue count --state ready", "queue top --newer 12h",
        "queue list --reason *quota*", "queue list --via *:21", "queue list --from nobody@x.test",
        f"queue show {name}", f"queue cat {name}", "queue count", "queue count --state held",
        "queue top", "queue top --by from", "queue top --by via", "queue shape",
        "queue hold --login login78", "queue delete --domain customer9.mass.example",
        "dest list", "dest show smtp://127.0.0.1:21", "top --once",
        f"history --from {some[0]} --to {some[1]} --newer {day} --older {after}",
        f"history --to {some[1]}", "history --state refused --limit 1000",
        "history --state expired", "history --client nobody.example", "history --attempts 9",
        "history --to *@nobody.example", "history --reason *5.1.1* --limit 1000", f"history {name}",
        "explain --client 127.0.0.1 --from a@b.test --to c@d.test",
    ]
    paths = [
        "/healthz", "/readyz", "/metrics", "/", "/api/v1/openapi.json", "/api/v1/status",
        "/api/v1/system", "/api/v1/flow", "/api/v1/queue?limit=100", "/api/v1/queue/count",
        "/api/v1/queue?limit=100&state=held", "/api/v1/queue?limit=100&domain=customer4711.mass.example",
        "/api/v1/queue/heat", "/api/v1/queue/top?by=from", f"/api/v1/queue/{name}",
        "/api/v1/routes", "/api/v1/history?limit=100", f"/api/v1/history?limit=100&to={some[1]}",
        "/api/v1/destinations", "/api/v1/destinations?name=smtp://127.0.0.1:21",
        "/api/v1/fetches", "/api/v1/webhooks",
    ]
    out = [(v, [program(), *v.split(), "-c", relay.config]) for v in verbs]
    return out + [("GET " + p, ["curl", "-s", "-N", "-H", f"Authorization: Bearer {token}",
                                f"http://127.0.0.1:{http}{p}"]) for p in paths]


def pester(asked, over, period):
    """One after the other until it is over: a fifth of a second between, or one each period."""
    while not over.is_set():
        for _, argv in asked:
            begin = time.monotonic()
            if over.is_set():
                return
            Answer(argv)
            over.wait(max(0, begin + period - time.monotonic()) if period else 0.2)


def measure_pairs(scene, asked, pairs, count, period):
    plain, pestered = [], []
    scene.throughput(count)
    for i in range(pairs):
        for is_pestered in ((False, True), (True, False))[i % 2]:
            over = threading.Event()
            thread = threading.Thread(target=pester, args=(asked, over, period))
            if is_pestered:
                thread.start()
                time.sleep(0.5)
            (pestered if is_pestered else plain).append(scene.throughput(count))
            over.set()
            if is_pestered:
                thread.join()
            time.sleep(1)
    a, b = statistics.median(plain), statistics.median(pestered)
    how = f"once in {period} s" if period else "back to back"
    print(f"messages a second, {count} a run, {pairs} pairs: alone {a:.0f}, asked {how} "
          f"{b:.0f}: {100 * (b - a) / a:+.1f} %", flush=True)
    print("  alone:", *(f"{x:.0f}" for x in plain), " asked:", *(f"{x:.0f}" for x in pestered))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queue", type=int, default=1000000)
    parser.add_argument("--history", type=int, default=1000000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--paced", action="store_true")
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", default="")
    o = parser.parse_args()
    folder = o.folder or pathlib.Path(tempfile.mkdtemp(prefix="waypost-surface-"))
    folder.mkdir(parents=True, exist_ok=True)
    scene = Scene(folder, (4 * o.pairs + 4) * o.count + 16)
    relay = scene.relay
    try:
        with relay:
            pass
        begin = time.time()
        fill(relay.queue_path, o.queue)
        some = history.fill(relay.folder / "history.db", o.history)["rare"]
        print(f"{o.queue} waiting, {o.history} of history, made in {time.time() - begin:.0f} s",
              flush=True)
        begin = time.time()
        with relay:
            print(f"started in {time.time() - begin:.2f} s", flush=True)
            with relay.client() as c:
                c.mail(b"Subject: x\r\n\r\nx\r\n", "a@b.test", ("c@customer7.mass.example",))
            name = relay.queue_list("--from", "a@b.test")[0]["queue_id"]
            wait_for(lambda: "indexes are ready" in relay.log() or o.history < 150000, 3600,
                     "the indexes")
            print(f"indexes are ready {time.time() - begin:.0f} s after the start", flush=True)
            asked = [q for q in questions(relay, scene.http, scene.token(), some, name)
                     if re.search(o.only, q[0])]
            time.sleep(2)
            slow = 0
            for what, argv in asked:
                slow += told(relay.process.pid, what, argv).first >= 0.2
            print(f"{slow} of {len(asked)} took 0.2 s or longer to their first byte; memory "
                  f"{relay.status('VmRSS') >> 10} MB", flush=True)
            if o.pairs:
                for period in (0, 1) if o.paced else (0,):
                    measure_pairs(scene, asked, o.pairs, o.count, period)
    finally:
        end(scene.sink)
        if not o.keep:
            shutil.rmtree(folder, ignore_errors=True)


main()
