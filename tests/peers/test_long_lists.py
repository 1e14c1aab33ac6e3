"""Lists of many messages: they give way to all else, and a slow reader holds nobody up."""

import contextlib
import json
import os
import pathlib
import sqlite3
import subprocess
import threading
import time

import pytest

import relay as peers
from relay import Relay, wait_for
from test_operating import http

COUNT = 12000  # of some 350 bytes each as JSON: more than all buffers on the way hold
LISTS = 10
LONG = 15  # the priority of who prints a long list, and of the relay's thread that reads it
MESSAGES = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i+1<:count)
INSERT INTO message(id, sender, received_ms, size, header_bytes, body, smtputf8, has_8bit, ret,
  envid, client, client_name, helo, login, listener, protocol, message_id, checksum, has_file,
  alarm_ms)
SELECT (:start+i)*256000, CASE i%3 WHEN 0 THEN '' ELSE 'user' || i || '@\u00e4rger.test' END,
  :start+i, 3000, 25, 0, 1, 0, 0, '', '192.0.2.1', '', 'client.test', '', 'edge', 'ESMTP', '', 0,
  0, :start+864000000 FROM n;
"""
RECIPIENTS = """
INSERT INTO recipient(message, number, address, orcpt, notify, lane, state, due_ms, attempts,
  expire_ms, warn_ms, since_ms, reply, trail)
SELECT id, 0, 'someone' || received_ms || '@away.test', '', 0, 1, 0, received_ms+80000000, 3,
  received_ms+864000000, 9223372036854775807, 0,
  '4.2.2 "452" 4.2.2 Over \\quota, which takes a while to say, so that rows are ' ||
  'as long as they are where hosts have much to say of what they do not want (in reply to RCPT)',
  '' FROM message
"""


def fill(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        start = int(time.time() * 1000) - 60000
        db.execute("BEGIN")
        db.execute("INSERT INTO lane(id, key) VALUES(1, 'away.test')")
        db.execute(MESSAGES, {"count": COUNT, "start": start})
        db.execute("INSERT INTO content(message, bytes) SELECT id, 'Subject: x' FROM message")
        db.execute(RECIPIENTS)
        db.execute("UPDATE state SET last_message=(SELECT max(id) FROM message)")
        db.execute("COMMIT")


def nice_of(stat):
    """Of /proc/PID/task/TID/stat: (name, priority)"""
    text = pathlib.Path(stat).read_text()
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, int(rest.split()[16])


@pytest.fixture
def crowd(tmp_path):
    r = Relay(tmp_path / "relay", {"*": "smtp://127.0.0.1:9"},
              retry={"first": '"10min"', "most": '"1h"'})
    with r:
        pass
    fill(r.queue_path)
    with r:
        r.socket = r.folder / "admin.sock"
        yield r


def begin(relay, *words):
    return subprocess.Popen([peers.program(), "queue", "list", *words, "-c", relay.config],
                            stdout=subprocess.PIPE)


def test_a_page_is_answered_while_ten_lists_are_read_slowly(crowd):
    own = os.getpriority(os.PRIO_PROCESS, 0)
    lists = [begin(crowd, "--json") for _ in range(LISTS)]
    try:
        # All are under way, and none gets on: nobody reads.
        heads = [p.stdout.read(500000) for p in lists]
        for p in lists:
            wait_for(lambda p=p: nice_of(f"/proc/{p.pid}/stat")[1] == max(own, LONG), 30,
                     "the command's low priority")
        status, page = http(crowd.socket, "GET", "/api/v1/queue?limit=20")
        assert status == 200 and page.count(b"\n") == 20
        assert http(crowd.socket, "GET", "/healthz")[0] == 200
        # All are read at once, and pages are asked for meanwhile.
        rest = [b""] * LISTS

        def read(i):
            rest[i] = lists[i].stdout.read()
        threads = [threading.Thread(target=read, args=(i,)) for i in range(LISTS)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            assert http(crowd.socket, "GET", "/api/v1/queue?limit=20") == (200, page)
            assert http(crowd.socket, "GET", "/healthz")[0] == 200
        for t in threads:
            t.join()
        assert [p.wait() for p in lists] == [0] * LISTS
    finally:
        for p in lists:
            p.kill()
            p.wait()
            p.stdout.close()
    whole = {a + b for a, b in zip(heads, rest)}
    assert len(whole) == 1
    whole = whole.pop()
    assert whole.startswith(page) and whole.count(b"\n") == COUNT
    # Each line is what a JSON library would have written of it, byte for byte.
    for line in whole.splitlines()[::97]:
        o = json.loads(line)
        assert list(o) == ["queue_id", "arrival_time", "message_size", "sender", "state",
                           "recipients"]
        again = json.dumps(o, separators=(",", ":"))
        assert again.lower().encode() == line.lower()


def test_the_thread_that_reads_a_long_list_has_a_low_priority(crowd):
    own = os.getpriority(os.PRIO_PROCESS, 0)

    def threads():
        found = {}
        for task in pathlib.Path(f"/proc/{crowd.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name, nice = nice_of(task / "stat")
                found[name] = max(nice, found.get(name, nice))
        return found

    def seen():
        lines = crowd.verb("queue", "list").stdout.splitlines()
        assert len(lines) == COUNT
        return threads().get("queue-stream") == max(own, LONG)
    wait_for(seen, 30, "the thread, and its priority")
    # Who carries mail, writes it down, and says that all is well does not.
    others = threads()
    assert others["queue-writer"] == own
    assert nice_of(f"/proc/{crowd.process.pid}/stat")[1] == own


def test_people_and_programs_read_the_same_list(crowd):
    rows = [json.loads(line) for line in
            crowd.verb("queue", "list", "--json").stdout.splitlines()]
    lines = crowd.verb("queue", "list").stdout.decode().splitlines()
    assert len(rows) == len(lines) == COUNT
    for o, line in list(zip(rows, lines))[::53]:
        to = o["recipients"][0]
        reason = to["delay_reason"].replace("\\", r"\x5C")
        assert line.startswith(o["queue_id"])
        assert line.endswith(f"  deferred  {o['sender']} -> {to['address']} ({reason})")


def test_who_has_enough_of_a_list_ends_it(crowd):
    p = begin(crowd, "--json")
    assert p.stdout.readline().startswith(b'{"queue_id":')
    p.stdout.close()
    p.wait(60)
    assert crowd.verb("queue", "count").stdout.startswith(b"%d messages" % COUNT)
