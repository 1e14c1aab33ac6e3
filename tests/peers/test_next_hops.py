"""Postfix, Exim, OpenSMTPD and aiosmtpd as next hops: byte for byte.

Every message goes to all of them at once, one recipient at each. The servers that are
relays pass it on to a sink of ours; each puts a Received: line in front, ours is
behind it. Sizes run from nothing to 20 MB; around each place where some buffer may
end stand line ends and dots of every kind, at random offsets. WAYPOST_LONG=1 sends
1,000 messages.
"""

import contextlib
import hashlib
import os
import random
import threading
import time

import pytest

from peers import AioSmtpd, Exim, Missing, OpenSmtpd, Postfix, SmtpSink
from relay import (LONG, Client, Relay, Sink, content_of, stuff, wait_for,
                   without_received)

MANY = 1000 if LONG else 200
EDGES = (4096, 16384, 65536, 131072, 262144, 1 << 20)
PATTERNS = (b".\r\n", b"..\r\n", b".x\r\n", b"\r\n", b"x\r\n", b"...\r\n.\r\n",
            b".\r\n\r\n", b"a.\r\n.b\r\n", b"\r\n.\r\n..\r\n")
SERVERS = {"postfix": Postfix, "exim": Exim, "opensmtpd": OpenSmtpd,
           "aiosmtpd": AioSmtpd}


def body_of(size, chance):
    """A body of at least `size` bytes with awkward lines around every edge."""
    out = bytearray()
    for edge in (*EDGES, size):
        edge = min(edge, size)
        start = edge - 700
        if start > len(out):
            out += content_of(start - len(out), chance, eight_bit=False)
        if len(out) < edge:
            # other headers go in front on the way: any phase may meet the edge
            out += b"x" * chance.randrange(7) + b"\r\n"
            pattern = chance.choice(PATTERNS)
            while len(out) < edge + 300:
                out += pattern
        if edge == size:
            break
    return bytes(out)


def message(number, size, chance):
    head = (f"From: <s@from.test>\r\nTo: <r@to.test>\r\nSubject: {number}\r\n"
            "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
            f"Message-ID: <{number}@next.test>\r\n\r\n").encode()
    return head + (body_of(size, chance) if size else b"")


def sizes(chance):
    """Few large, many around the edges, some of anything."""
    got = [20_000_000, 5_000_000, 0, 1, 2, 3]
    got += [e + d for e in EDGES for d in (-3, -2, -1, 0, 1, 2, 3)]
    while len(got) < MANY:
        got.append(int(10 ** chance.uniform(1, 4.9)))
        if len(got) % 100 == 0:
            got.append(int(10 ** chance.uniform(5.5, 6.7)))
    return got[:MANY]


class Book:
    """What arrived where, by digest: content is not kept."""

    def __init__(self):
        self.got, self.lock = {}, threading.Lock()

    def note(self, server, content):
        digest = hashlib.sha256(content).hexdigest()
        with self.lock:
            self.got.setdefault((server, digest), 0)
            self.got[server, digest] += 1

    def script(self, server):
        def at(_connection, stage, argument):
            if stage == "dot":
                # the server's own line, then ours
                self.note(server, without_received(argument.body_as_sent))
                argument.wire = b""
        return at


@contextlib.contextmanager
def all_servers(folder, book):
    with contextlib.ExitStack() as stack:
        started = {}
        for name, kind in SERVERS.items():
            sink = stack.enter_context(Sink(book.script(name)))
            try:
                started[name] = stack.enter_context(kind(folder / name,
                                                         sink.port))
            except Missing as e:
                if os.environ.get("CI"):
                    pytest.fail(f"{name}: {e}")
                pytest.skip(f"{name}: {e}")
        yield started


def test_messages_arrive_byte_for_byte_at_every_server(tmp_path):
    chance, book, sent = random.Random(7), Book(), []
    with all_servers(tmp_path, book) as servers:
        routes = {f"{n}.test": s.hop for n, s in servers.items()}
        to = [f"r@{n}.test" for n in servers]
        taken = 0
        with Relay(tmp_path / "relay", routes) as relay, relay.client() as c:
            for number, size in enumerate(sizes(chance)):
                content = message(number, size, chance)
                reply = c.mail(content, to=to)
                assert reply.code == 250, reply
                sent.append(hashlib.sha256(content).hexdigest())
                # aiosmtpd keeps what it has in memory: take it away meanwhile
                taken += take_away(servers["aiosmtpd"], book)
            begun, arrived = time.monotonic(), -1
            while len(book.got) < len(sent) * len(servers):
                take_away(servers["aiosmtpd"], book)
                if len(book.got) != arrived:
                    arrived, begun = len(book.got), time.monotonic()
                if time.monotonic() - begun > 30:
                    break
                time.sleep(0.05)
            relay.wait_empty()
    expected = {(n, d): 1 for n in servers for d in sent}
    missing = {n: sum(1 for d in sent if (n, d) not in book.got)
               for n in servers}
    assert book.got == expected, (missing, set(book.got) - set(expected))


def take_away(peer, book):
    with peer.lock:
        messages, peer.messages = peer.messages, []
    for m in messages:
        book.note("aiosmtpd", without_received(m.content))
    return len(messages)


def test_smtp_sink_gets_every_message_whole(tmp_path):
    chance, sent = random.Random(8), []
    try:
        peer = SmtpSink(tmp_path / "sink")
    except Missing as e:
        pytest.fail(str(e))
    with peer, Relay(tmp_path / "relay", {"*": peer.hop}) as relay:
        with relay.client() as c:
            for number in range(60):
                content = message(number, int(10 ** chance.uniform(0, 5.2)),
                                  chance)
                assert c.mail(content).code == 250
                sent.append(content.replace(b"\r\n", b"\n"))
        relay.wait_empty()
        wait_for(lambda: len(list(peer.folder.glob("dump.*"))) == 60)

        def without_ours(text):
            return without_received(text.replace(b"\n", b"\r\n")).replace(
                b"\r\n", b"\n")
        got = sorted(without_ours(t) for t in peer.contents())
        # each dump ends with a line end more
        assert got == sorted(s + b"\n" for s in sent)


@pytest.mark.parametrize("extensions", [
    (), ("PIPELINING",), ("SIZE 30000000",), ("8BITMIME", "SMTPUTF8"),
    ("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")],
    ids=lambda e: "+".join(x.split()[0] for x in e) or "none")
def test_content_does_not_depend_on_what_the_next_hop_offers(tmp_path,
                                                             extensions):
    chance, sent = random.Random(9), []
    with Sink(extensions=extensions) as sink:
        with Relay(tmp_path / "relay", {"*": sink.hop}) as relay:
            with relay.client() as c:
                for number in range(40):
                    content = message(number, int(10 ** chance.uniform(0, 6)),
                                      chance)
                    assert c.mail(content).code == 250
                    sent.append(content)
            messages = sink.wait(len(sent), 30)
            assert sorted(m.body_as_sent for m in messages) == sorted(sent)
            assert not any(m.has_stray_line_end for m in messages)


def test_a_cut_at_every_place_of_the_input_changes_nothing(tmp_path):
    """Sent in pieces of all sizes, content and envelope arrive the same."""
    chance = random.Random(10)
    with Sink() as sink, Relay(tmp_path / "relay", {"*": sink.hop}) as relay:
        content = message(0, 9000, chance)
        wire = (b"EHLO c.test\r\nMAIL FROM:<s@from.test>\r\n"
                b"RCPT TO:<r@to.test>\r\nDATA\r\n")
        body = stuff(content) + b".\r\n"
        pieces = (1, 2, 3, 5, 7, 61, 1000, 4095, 4096, 4097)
        for piece in pieces:
            with Client(relay.port, helo=None) as c:
                for at in range(0, len(wire), piece):
                    c.send(wire[at:at + piece])
                assert [c.reply().code for _ in range(4)] == [250, 250, 250, 354]
                for at in range(0, len(body), piece):
                    c.send(body[at:at + piece])
                assert c.reply().code == 250
        got = sink.wait(len(pieces))
        assert {m.body_as_sent for m in got} == {content}
