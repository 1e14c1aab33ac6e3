"""The live feed: what a relay does, told while it does it."""

import json
import select
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from relay import Relay, Sink, program, wait_for


class Follower:
    """GET /api/v1/events over the relay's socket, read by a thread unless it is slow."""

    def __init__(self, relay, reads=True, buffer=None, **query):
        self.socket = socket.socket(socket.AF_UNIX)
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(30)
        path = str(relay.folder / "admin.sock")
        wait_for(lambda: self.socket.connect_ex(path) == 0, 5, "the socket")
        path = "/api/v1/events?" + urllib.parse.urlencode(query)
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.head, self.data = b"", b""
        while b"\r\n\r\n" not in self.data:
            self.data += self.socket.recv(4096)
        self.head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.status = int(self.head.split()[1])
        self.records, self.over = [], False
        if reads:
            self.thread = threading.Thread(target=self.read, daemon=True)
            self.thread.start()

    def read(self):
        """Chunks off, records apart: (event, object)."""
        text = b""
        while True:
            while b"\r\n" not in self.data:
                if not self.more():
                    return
            size, _, rest = self.data.partition(b"\r\n")
            n = int(size, 16)
            while len(rest) < n + 2:
                if not self.more():
                    return
                rest = self.data.partition(b"\r\n")[2]
            text += rest[:n]
            self.data = rest[n + 2:]
            while b"\n\n" in text:
                record, _, text = text.partition(b"\n\n")
                self.take(record.decode())

    def more(self):
        try:
            part = self.socket.recv(65536)
        except OSError:
            part = b""
        self.data += part
        self.over = not part
        return part

    def take(self, record):
        fields = [line.partition(": ")[::2] for line in record.split("\n")]
        values = {name: value for name, value in fields if name}
        if "data" in values:
            self.records.append((values.get("event", "message"),
                                 json.loads(values["data"])))

    def events(self, kind=None):
        return [o for name, o in self.records if name == "message"
                and kind in (None, o["event"])]

    def of(self, name):
        return [o for n, o in self.records if n == name]

    def omitted(self):
        total = {}
        for o in self.of("omitted"):
            assert o["count"] == sum(o["by"].values())
            for kind, n in o["by"].items():
                total[kind] = total.get(kind, 0) + n
        return total

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def many(relay, messages, recipients=500):
    """So many deliveries, fast."""
    with relay.client() as c:
        for n in range(messages):
            c.mail(b"Subject: x\r\n\r\nx\r\n", "s@from.test",
                   [f"r{i}@to.test" for i in range(recipients)])


@pytest.fixture
def pair(tmp_path):
    with Sink() as sink, Relay(tmp_path / "relay", {"*": sink.hop},
                           retry={"first": '"10min"', "most": '"1h"'}) as r:
        yield r, sink


def test_a_message_is_told_from_its_client_to_its_end(pair):
    r, sink = pair
    with Follower(r) as f:
        assert f.status == 200
        assert b"Content-Type: text/event-stream" in f.head
        with r.client() as c:
            c.mail(b"Subject: x\r\n\r\nx\r\n", "ann@from.test", ("bob@to.test",))
        wait_for(lambda: f.events("removed"), 5, "the end")
        kinds = [o["event"] for o in f.events()]
        for kind in ("connect", "client", "queued", "delivery", "removed"):
            assert kind in kinds
        o = f.events("delivery")[0]
        assert (o["to"], o["status"]) == ("bob@to.test", "sent")
        assert o["queue_id"] == f.events("queued")[0]["queue_id"]
        assert o["time"].endswith("Z") and o["tag"] == "waypost"
        wait_for(lambda: len(f.of("tick")) >= 3, 5, "ticks")
        assert f.of("tick")[-1]["held"] == 0
        assert not f.of("omitted")


def test_curl_reads_it(pair):
    r, sink = pair
    curl = subprocess.Popen(["curl", "-sN", "--unix-socket", r.folder / "admin.sock",
                             "http://localhost/api/v1/events?kinds=delivery&match=BOB@"],
                            stdout=subprocess.PIPE, text=True)
    try:
        assert curl.stdout.readline().startswith(": ")
        with r.client() as c:
            c.mail(b"Subject: x\r\n\r\nx\r\n", "ann@from.test",
                   ("al@to.test", "bob@to.test"))
        data = next(line for line in curl.stdout if line.startswith("data: {\"time\""))
        assert json.loads(data[6:])["to"] == "bob@to.test"
    finally:
        curl.kill()
        curl.wait()


def test_waypost_follow_shows_it(pair):
    r, sink = pair
    wait_for((r.folder / "admin.sock").exists, 5, "the socket")
    words = [program(), "follow", "-c", r.config, "--match", "BOB@"]
    plain = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    lines = subprocess.Popen([*words, "--kinds=delivery", "--json"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
    time.sleep(0.5)
    with r.client() as c:
        c.mail(b"Subject: x\r\n\r\nx\r\n", "ann@from.test", ("al@to.test", "bob@to.test"))
    try:
        assert json.loads(lines.stdout.readline())["to"] == "bob@to.test"
        line = plain.stdout.readline()
        assert " delivery " in line and " to=bob@to.test " in line and "status=sent" in line
        r.stop()
        assert lines.wait(5) == 75 and lines.stderr.read().count("\n") == 1
    finally:
        plain.kill()
        plain.wait()
        lines.kill()
        lines.wait()
    for wrong in (["--kinds"], ["x"], ["--match"]):
        assert subprocess.run([program(), "follow", *wrong], capture_output=True,
                              timeout=10).returncode == 64


def test_waypost_follow_ends_with_its_reader(pair):
    """Also while nothing happens: a pipeline's shell waits for it."""
    r, sink = pair
    wait_for((r.folder / "admin.sock").exists, 5, "the socket")
    p = subprocess.Popen([program(), "follow", "-c", r.config, "--match", "BOB@"],
                         stdout=subprocess.PIPE)
    try:
        with r.client() as c:
            while not select.select([p.stdout], [], [], 0.2)[0]:
                c.mail(b"Subject: x\r\n\r\nx\r\n", "ann@from.test", ("bob@to.test",))
        p.stdout.close()
        assert p.wait(20) == 0
    finally:
        p.kill()
        p.wait()


def test_what_is_asked_for_is_what_comes(pair):
    r, sink = pair
    sink.script = lambda n, stage, line: \
        b"550 5.1.1 gone\r\n" if stage == "rcpt" and b"bad" in line else None
    with Follower(r, kinds="sent") as sent, Follower(r, kinds="bounced,report") as bad, \
            Follower(r, match="C@TO") as c_only, Follower(r, match="nobody") as none:
        with r.client() as c:
            c.mail(b"Subject: x\r\n\r\nx\r\n", "a@from.test", ("bad@to.test", "c@to.test"))
        wait_for(lambda: sent.events() and bad.events() and c_only.events(), 5, "events")
        wait_for(lambda: none.of("tick"), 5, "a tick")
        assert "bad@to.test" not in [o["to"] for o in sent.events()]
        assert [o["to"] for o in bad.events("delivery")] == ["bad@to.test"]
        assert {o["to"] for o in c_only.events()} == {"c@to.test"}
        assert not none.events()
    for query, word in (({"kinds": "sent,mail"}, "mail"), ({"match": "x" * 201}, "match"),
                        ({"kinds": "SENT"}, "SENT")):
        with Follower(r, reads=False, **query) as f:
            assert f.status == 400 and word in f.data.decode()


def test_a_flood_is_thinned_and_counted_and_hides_nothing_rare(pair):
    r, sink = pair
    with Follower(r) as f, Follower(r, match="r77@") as one:
        flood = threading.Thread(target=many, args=(r, 12))
        began = time.monotonic()
        flood.start()
        time.sleep(0.5)
        with r.client() as c:
            c.command("MAIL FROM:<x@y.test>")
            c.command("RCPT TO:<%relay%not@@us>")
            c.command("RCPT TO:<a@b@c>")
        sink.wait(12 * 500 // 50, 40)
        flood.join()
        wait_for(lambda: len(one.events("delivery")) == 12, 10, "each r77")
        seconds = time.monotonic() - began + 2
        wait_for(lambda: len(f.events("delivery")) + f.omitted().get("delivery", 0)
                 == 6000, 10, "all are told or counted")
        assert 20 < len(f.events("delivery")) <= 100 * seconds
        assert len(f.events()) <= 200 * seconds
        assert not one.omitted()


def test_a_slow_reader_loses_events_and_holds_up_nobody(pair):
    r, sink = pair
    # long lines, most of which are escaped
    sink.script = {"rcpt": b"450 4.2.0 " + b"\\" * 900 + b"\r\n"}
    with Follower(r, reads=False, buffer=4096) as slow, Follower(r) as quick:
        for _ in range(50):
            many(r, 1, 50)
            time.sleep(0.08)
        sink.script = None
        with r.client() as c:
            c.mail(b"Subject: x\r\n\r\nx\r\n", "s@from.test", ("now@to.test",))
        sink.wait(1, 5)
        def seen(f):
            return len(f.events("delivery")) + f.omitted().get("delivery", 0)
        wait_for(lambda: seen(quick) == 2501, 5, "all for the quick one")
        assert len(quick.events("delivery")) > 100
        # late, it reads what was kept, and what was left out is counted
        threading.Thread(target=slow.read, daemon=True).start()
        wait_for(lambda: seen(slow) == 2501, 10, "all are accounted for")
        assert len(slow.events("delivery")) < len(quick.events("delivery"))


def test_only_so_many_look_on_and_a_place_is_free_again(pair):
    r, sink = pair
    all = [Follower(r, reads=False) for _ in range(32)]
    assert {f.status for f in all} == {200}
    with Follower(r, reads=False) as f:
        assert f.status == 503 and b"32" in f.data
    all[0].close()
    with r.client() as c:
        c.mail(b"Subject: x\r\n\r\nx\r\n")

    def is_let_in():
        with Follower(r, reads=False) as f:
            return f.status == 200
    wait_for(is_let_in, 10, "a place")
    for f in all:
        f.close()


def test_a_relay_that_ends_ends_the_stream(pair):
    r, sink = pair
    with Follower(r) as f:
        wait_for(lambda: f.of("tick"), 5, "a tick")
        r.stop()
        wait_for(lambda: f.over, 5, "the end")
