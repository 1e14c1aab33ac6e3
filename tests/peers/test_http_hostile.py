"""The HTTP interface and who may use it, but means harm: what is held, and for how long."""

import collections
import json
import random
import threading
import time

import pytest

from relay import LONG, PATIENCE, SANITIZED, Sink, wait_for
from web import JSON, Web


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with Web(tmp_path_factory.mktemp("http"), {"*": "smtp://127.0.0.1:1"}) as r:
        yield r


def test_bodies_of_many_do_not_add_up(web):
    """Each may be large, since a message comes along; all together may not."""
    before, crowd = web.status("VmRSS"), []
    for _ in range(10):
        s = web.dial()
        s.sendall(f"POST /api/v1/explain HTTP/1.1\r\nHost: localhost\r\n{JSON}"
                  f"Authorization: Bearer {web.tokens['read']}\r\n"
                  "Content-Length: 20000001\r\n\r\n".encode() + b'"' * 20_000_000)
        crowd.append(s)
    a = web.ask("POST", "/api/v1/explain", "read", b" " * 20_000_000, JSON)
    assert a.status == 503 and "too much" in a.error
    # what is small finds room, and an order over the socket does
    assert web.change("/api/v1/queue/hold", body={"preview": True}).status == 200
    assert web.uses_less_than(200 * 1024, since=before)
    for s in crowd:
        s.close()
    wait_for(lambda: web.ask("POST", "/api/v1/explain", "read", b" " * 20_000_000,
                             JSON).status == 400, 10, "room")


@pytest.mark.parametrize("body, path", [
    (b"[", "$: "), (b"7", "$: "), (b"\xff", "$: "), (b'{"client": 7}', "$.client: "),
    (b'{"client": "x"}', "$.client: "), (b'{"client": "::1", "to": []}', "$.from: "),
    (b'{"client": "::1", "from": "", "to": {}}', "$.to: "),
    (b'{"client": "::1", "listener": "none"}', "$.listener: "),
    (b'{"client": "::1", "from": "", "to": "a@b.c", "size": -1}', "$.size: "),
    (b'{"client": "::1", "from": "", "to": "a@b.c", "message": "%"}', "$.message: "),
    (b'{"\\u001b[2J\\u202e": 1}', '$["\\x1B'), (b'{"a":' * 3000, "$: "),
    (b"[" * 3_000_000, "$: "),
    (b"{" + b",".join(b'"k%d":1' % i for i in range(1_000_000)) + b"}", "$: ")],
    ids=range(14))
def test_a_question_with_a_fault_says_where_and_holds_up_nobody(web, body, path):
    began = time.monotonic()
    a = web.ask("POST", "/api/v1/explain", "read", body, JSON)
    assert a.status == 400 and a.error.startswith(path), a
    assert SANITIZED or time.monotonic() - began < 20
    assert json.loads(a.body)["error"].isprintable()


def orders_at_random(r, seed, until, counts):
    chance = random.Random(seed)
    while time.monotonic() < until:
        rows = r.ask("GET", "/api/v1/queue?limit=20", "read").body.splitlines()
        order = chance.choice(("retry", "hold", "release", "delete", "undelete", "move"))
        body = {"to": f"*{chance.randrange(10)}@*", "yes": True}
        if rows and chance.random() < 0.7:
            body = {"id": json.loads(chance.choice(rows))["queue_id"]}
        if order == "move":
            body["route"] = chance.choice(("*", "good.test"))
        a = r.change(f"/api/v1/queue/{order}", body=body)
        assert a.status == 200, (order, body, a)
        counts[order] = counts.get(order, 0) + json.loads(a.body)["messages"]


def test_operators_who_change_what_is_being_sent_break_nothing(tmp_path):
    """Orders, deliveries and the reader at the same rows: each recipient has one fate."""
    seconds, counts = 60 if LONG else 6 * PATIENCE, {}
    with Sink() as good, Sink({"rcpt": b"450 4.2.0 busy\r\n"}) as busy, \
            Web(tmp_path / "r", {"*": busy.hop, "good.test": good.hop}) as r:
        until = time.monotonic() + seconds
        crowd = [threading.Thread(target=orders_at_random, args=(r, n, until, counts))
                 for n in range(5)]
        for t in crowd:
            t.start()
        sent = 0
        while time.monotonic() < until:
            with r.client() as c:
                for _ in range(20):
                    sent += 1
                    assert c.mail(b"x\r\n" * 1000, to=[f"a{sent}@good.test", f"b{sent}@other.test"]
                                  ).code == 250
        for t in crowd:
            t.join()
        assert r.is_alive and min(counts.values()) > 0, counts
        busy.script.clear()
        for order in ("undelete", "release", "retry"):
            assert r.change(f"/api/v1/queue/{order}", body={"yes": True, "all": True}).status == 200
        r.wait_empty(60)
        got = collections.Counter(
            to for sink in (good, busy) for m in sink.messages for to in m.recipients)
        assert len(got) == 2 * sent and set(got.values()) == {1}
        for line in r.ask("GET", "/api/v1/destinations", "read").body.splitlines():
            assert json.loads(line)["waiting"] == 0, line
