#!/usr/bin/python3
"""history - how soon does a large history answer?

    tests/bench/history.py [--rows 200000] [--folder DIR] [--keep]

Fills the history of a relay with so many rows of the last 30 days (a tenth of them refusals), has
the relay build its indexes, and asks questions with `waypost history`: `first` is the time to the
first byte, `all` to the end. A rare value is one of few rows, a frequent one of many. The last
column is how many rows came.

Ten million rows need about 12 GB of disk for a while. Nothing here is a test.
"""

import argparse
import os
import pathlib
import pty
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import run  # noqa: E402,F401
from relay import Relay, program, wait_for  # noqa: E402

DAY = 86400
# id, as the relay gives them: microseconds
ROWS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i+1<:count),
r(i, a, b) AS MATERIALIZED (SELECT i, abs(random()), abs(random()) FROM n)
INSERT INTO history(id, at_ms, kind, message, number, received_ms, size, sender, recipient,
  client, client_name, helo, login, listener, protocol, message_id, status, reply, host,
  delay_before, delay_queue, delay_connect, delay_send, attempts, in_doubt, trail, tls, rule,
  place, held_by, asked_to, asked_from, dialogue, who, orig_to)
SELECT (:start + (:first+i)*:step)*1000 + i%1000, :start + (:first+i)*:step,
  CASE a%50 WHEN 0 THEN 2 ELSE 1 END,
  (:start + (:first+i)*:step)*4096 + i%4096, 0, :start + (:first+i)*:step - 900, 4000 + a%9000,
  'user' || (a%100000*(b%100)/100) || '@company' || (a%1500) || '.example',
  'someone' || (b%1000000) || '@customer' || (b%20000*(a%100)/100) || '.test',
  '10.' || (a%8) || '.' || (a%200) || '.' || (b%250),
  'client' || (a%20000) || '.example', 'client' || (a%20000) || '.example',
  CASE WHEN a%3 THEN '' ELSE 'login' || (a%30000) END, 'submission', 'ESMTPS',
  '<' || (:first+i) || '.' || a || '@client.example>',
  CASE a%50 WHEN 0 THEN 5001001 ELSE 2000000 END,
  CASE a%50 WHEN 0 THEN '550 5.1.1 <someone' || (b%1000000) || '>: no such user here'
    ELSE '250 2.0.0 Ok: queued as 4F' || b END,
  'mx' || (b%3) || '.customer' || (b%20000) || '.test[192.0.2.' || (b%250) || ']:25',
  3, 12, 40, 90, 1, 0, '', 'TLSv1.3 256', 'our users', '/etc/waypost/waypost.conf:31', '',
  CASE a%97 WHEN 0 THEN 'alias' || (b%50000) || '@former' || (a%300) || '.test' ELSE '' END,
  CASE a%89 WHEN 0 THEN 'writer' || (b%50000) || '@inside.test' ELSE '' END, '', '',
  CASE b%83 WHEN 0 THEN 'first' || (a%50000) || '@origin' || (b%300) || '.test' ELSE '' END
FROM r
"""
REFUSALS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i+1<:count),
r(i, a, b) AS MATERIALIZED (SELECT i, abs(random()), abs(random()) FROM n)
INSERT INTO refusal(at_ms, client, helo, login, sender, recipient, reply, rule, place, stage,
  client_name, listener, tls, size, is_verdict)
SELECT :start + (:first+i)*:step, '203.0.' || (a%250) || '.' || (b%250), 'spam' || (a%9999), '',
  'x' || a || '@spam' || (a%50000) || '.example', 'someone' || (b%1000000) || '@company1.example',
  '554 5.7.1 Service unavailable; listed by zen.example.net', 'spam list',
  '/etc/waypost/waypost.conf:35', 'RCPT', 'unknown', 'edge', '', 0, 1 FROM r
"""


def fill(path, count):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=OFF")
    db.execute("PRAGMA synchronous=OFF")
    for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='index' AND sql<>''"
                              " AND name NOT IN ('history_at', 'history_message',"
                              " 'refusal_at')").fetchall():
        db.execute(f"DROP INDEX {name}")
    start, page = int((time.time() - 30 * DAY) * 1000), 100000
    for table, sql, rows in (("history", ROWS, count * 9 // 10),
                             ("refusal", REFUSALS, count // 10)):
        step = 30 * DAY * 1000 / rows
        for first in range(0, rows, page):
            db.execute("BEGIN")
            db.execute(sql, {"count": min(page, rows - first), "first": first,
                             "start": start, "step": step})
            db.execute("COMMIT")
    # what somebody will look for
    some = {
        "rare": db.execute("SELECT sender, recipient, at_ms, client, login, message FROM history"
                           " WHERE login<>'' AND at_ms>? LIMIT 1",
                           (start + 7 * DAY * 1000,)).fetchone(),
    }
    db.execute("PRAGMA journal_mode=WAL")
    db.close()
    return some


def ask(relay, *words, terminal=False):
    """(seconds to the first byte, to the end, lines)"""
    master, slave = pty.openpty() if terminal else (None, None)
    begin = time.perf_counter()
    p = subprocess.Popen([program(), "history", "-c", relay.config, *words],
                         stdout=slave if terminal else subprocess.PIPE, stderr=slave)
    if terminal:
        os.close(slave)
    first, lines = None, 0
    while True:
        try:
            got = os.read(master if terminal else p.stdout.fileno(), 65536)
        except OSError:
            got = b""
        if not got:
            break
        first = first or time.perf_counter() - begin
        lines += got.count(b"\n")
    p.wait()
    assert p.returncode == 0, words
    if terminal:
        os.close(master)
    return first, time.perf_counter() - begin, lines


def questions(some):
    sender, recipient, at_ms, client, login, message = some["rare"]
    day = time.strftime("%Y-%m-%d", time.localtime(at_ms / 1000))
    after = time.strftime("%Y-%m-%d", time.localtime(at_ms / 1000 + DAY))
    number, out = message, ""
    for _ in range(13):
        out = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number & 31] + out
        number >>= 5
    return [
        ("from A to B on a day", "--from", sender.upper(), "--to", recipient,
         "--newer", day, "--older", after),
        ("one id, its story", out),
        ("a recipient", "--to", recipient),
        ("a sender", "--from", sender),
        ("a login", "--login", login, "--limit", "1000"),
        ("a client", "--client", client),
        ("a domain", "--domain", recipient.split("@")[1], "--limit", "1000"),
        ("a frequent domain", "--domain", "customer0.test", "--limit", "1000"),
        ("the newest", "--limit", "1000"),
        ("refused", "--state", "refused", "--limit", "1000"),
        ("a day, failures", "--state", "failed", "--newer", day, "--older", after,
         "--limit", "1000"),
        ("glob: a domain's senders", "--from", "*@company7.example", "--limit", "1000"),
        ("glob: reason, frequent", "--reason", "*5.1.1*", "--limit", "1000"),
        ("glob: reason, refusals", "--reason", "*5.7.1*", "--limit", "1000"),
        ("glob: nobody, terminal", "--from", "*@nobody.example"),
        ("nobody", "--from", "nobody@nobody.example"),
        ("nobody's domain", "--to", "*@nobody.example"),
        ("a client's name", "--client", "client777.example", "--limit", "1000"),
        ("a client that is not", "--client", "nobody.example"),
        ("expired, none", "--state", "expired"),
        ("discarded, none", "--state", "discarded"),
        ("failed", "--state", "failed", "--limit", "1000"),
        ("tried often, none", "--attempts", "9"),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200000)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    folder = options.folder or pathlib.Path(tempfile.mkdtemp(prefix="waypost-history-"))
    relay = Relay(folder / "relay", {}, queue={"history-size": '"0"', "history": '"90d"'})
    try:
        with relay:
            pass
        path = relay.folder / "history.db"
        begin = time.time()
        some = fill(path, options.rows)
        print(f"{options.rows} rows, {path.stat().st_size >> 20} MB, made in "
              f"{time.time() - begin:.0f} s", flush=True)
        begin = time.time()
        with relay:
            print(f"started in {time.time() - begin:.2f} s")
            slow = ask(relay, "--to", some["rare"][1])
            print(f"a recipient, while indexes are built: first {slow[0]:.3f} s, "
                  f"all {slow[1]:.3f} s", flush=True)
            wait_for(lambda: "indexes are ready" in relay.log() or options.rows < 100000,
                     3600, "the indexes")
            print(f"indexes built {time.time() - begin:.0f} s after the start, "
                  f"{path.stat().st_size >> 20} MB", flush=True)
            time.sleep(2)
            for name, *words in questions(some):
                first, whole, lines = ask(relay, *words, terminal="terminal" in name)
                print(f"{name:28} first {first if first else float('nan'):6.3f} s"
                      f"  all {whole:7.3f} s  {lines}", flush=True)
        begin = time.perf_counter()
        first, whole, _ = ask(relay, "--limit", "1000")
        print(f"{'no relay: the newest':28} first {first:6.3f} s  all {whole:7.3f} s")
    finally:
        if not options.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
