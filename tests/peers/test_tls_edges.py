"""TLS records cut anywhere, connections ended anywhere: only what was answered is mail.

A transaction is a list of steps; its bytes travel in records and segments of any size, and
the connection ends (close_notify, FIN without one, RST) behind any step or within one. A
message whose 250 was read has arrived, whole; one whose end was never sent has not; and the
relay keeps neither descriptors nor memory of any of it.
"""

import contextlib
import random
import ssl

import pytest

from door import Door, Wire, plain
from relay import LONG, SANITIZED, Closed, Sink, stuff, wait_for

LOGIN = f"AUTH PLAIN {plain('alice', 'correct horse')}\r\n".encode()
ENDS = ("notify", "fin", "rst")


@pytest.fixture(scope="module")
def sink():
    with Sink() as s:
        yield s


@pytest.fixture(scope="module")
def door(tmp_path_factory, sink):
    with Door(tmp_path_factory.mktemp("door"), {"*": sink.hop},
              users={"alice": "correct horse"}) as d:
        yield d
        assert "ERROR" not in d.log()   # as a sanitizer says it


class Steps:
    """What is said after EHLO under TLS: (bytes, how many replies). end is the index of
    the step with whose last byte the message is whole."""

    def __init__(self, number, form):
        self.to = f"r{number}@edge.test"
        body = b"".join(b"%d line %d\r\n.dots\r\n" % (number, i)
                        for i in range(number % 7 * 20))
        self.content = b"Subject: %d\r\n\r\n" % number + body
        mail = [(LOGIN, 1), (b"MAIL FROM:<s@from.test>\r\n", 1),
                (f"RCPT TO:<{self.to}>\r\n".encode(), 1)]
        if form == "data":
            mail += [(b"DATA\r\n", 1), (stuff(self.content), 0), (b".\r\n", 1)]
        else:
            half = len(self.content) // 2
            first, last = self.content[:half], self.content[half:]
            mail += [(b"BDAT %d\r\n" % len(first) + first, 1),
                     (b"BDAT %d LAST\r\n" % len(last) + last, 1)]
        self.end = len(mail) - 1
        self.list = mail + [(b"QUIT\r\n", 1)]


def pieces(data, rng, most):
    """The data in random pieces, each at most so long."""
    at = 0
    while at < len(data):
        n = rng.randint(1, most)
        yield data[at:at + n]
        at += n


def connect(door, implicit, cut=None, version=None):
    context = door.context(newest=version)
    wire = Wire(door.ports["implicit"] if implicit else door.port, context, cut)
    if implicit:
        wire.shake()
        assert wire.reply().code == 220
    else:
        wire.reply()
        assert wire.codes("EHLO a", "STARTTLS") == [250, 220]
        wire.shake()
    assert wire.command("EHLO a").code == 250
    return wire


def go(wire, steps, upto, within=None):
    """Steps up to (and with) one; of that one only `within` bytes. Answers whether the
    250 for the message was read."""
    is_kept = False
    for i, (data, replies) in enumerate(steps.list[:upto + 1]):
        if i == upto and within is not None:
            wire.send(data[:within]) if within else None
            return is_kept
        wire.send(data)
        for _ in range(replies):
            code = wire.reply().code
            assert code // 100 in (2, 3), (data[:60], code)
        is_kept |= i == steps.end
    return is_kept


class Ledger:
    """What must have arrived, what must not."""

    def __init__(self, door, sink):
        self.door, self.sink, self.number = door, sink, len(sink.messages) * 1000
        self.kept, self.lost = {}, set()
        with door.secured():        # whatever is opened only once
            self.descriptors = door.descriptors_at_rest()
        self.memory = door.status("VmRSS")

    def steps(self, form):
        self.number += 1
        return Steps(self.number, form)

    def note(self, steps, is_kept):
        if is_kept:
            self.kept[steps.to] = steps.content
        else:
            self.lost.add(steps.to)

    def check(self, kb=4000):
        wait_for(lambda: self.door.descriptors() <= self.descriptors, 15,
                 "the end of all sessions")
        self.door.wait_empty()
        with self.sink.lock:
            got = {m.recipients[0]: m.body_as_sent for m in self.sink.messages}
        for to, content in self.kept.items():
            assert got.get(to) == content, (to, got.get(to))
        assert not self.lost & set(got), "cut off, and mail all the same"
        assert self.door.is_alive
        if not SANITIZED:
            grown = self.door.status("VmRSS") - self.memory
            assert grown < kb, f"{grown} kB more than before"


FORMS = [(implicit, form) for implicit in (False, True)
         for form in ("data", "bdat")]


@pytest.mark.parametrize("implicit, form", FORMS)
def test_every_end_at_every_step(door, sink, implicit, form):
    ledger = Ledger(door, sink)
    count = len(ledger.steps(form).list)
    for how in ENDS:
        for upto in range(count):
            for part in ("none", "first", "half", "most", "all"):
                steps = ledger.steps(form)
                size = len(steps.list[upto][0])
                within = {"none": 0, "first": min(1, size), "half": size // 2,
                          "most": size - 1, "all": None}[part]
                wire = connect(door, implicit)
                is_kept = go(wire, steps, upto, within)
                with contextlib.suppress(OSError):  # it may have closed first
                    wire.end(how)
                ledger.note(steps, is_kept)
    ledger.check()


@pytest.mark.parametrize("implicit, form", FORMS)
def test_records_are_cut_anywhere(door, sink, implicit, form):
    """Several commands in one record, one in several, records in segments of a byte."""
    ledger, rng = Ledger(door, sink), random.Random(7)
    for turn in range(60 if LONG else 12):
        steps = ledger.steps(form)
        version = ssl.TLSVersion.TLSv1_2 if turn % 3 == 0 else None
        segment = (1, 5, 50, 3000)[turn % 4]
        wire = connect(door, implicit, version=version, cut=lambda data, n=segment:
                       pieces(data, rng, n))
        login, *rest = steps.list
        said = b"".join(data for data, _ in rest)
        wire.send(login[0])
        assert wire.reply().code == 235
        sealed = b""
        for piece in pieces(said, rng, (1, 3, 40, 9000)[turn // 4 % 4]):
            sealed += wire.seal(piece)
            if rng.random() < 0.3:
                wire.put(sealed)
                sealed = b""
        wire.put(sealed)
        codes = [wire.reply().code for _ in range(sum(n for _, n in rest))]
        assert codes[-2:] == [250, 221], codes
        wire.end(ENDS[turn % 3])
        ledger.note(steps, True)
    ledger.check()


@pytest.mark.parametrize("form", ["data", "bdat"])
def test_a_stream_of_records_ends_at_any_byte(door, sink, form):
    """The sealed bytes of the whole mail, cut off behind each of them: a record that is
    not whole counts for nothing, and neither does one that was spoilt."""
    ledger, rng = Ledger(door, sink), random.Random(9)
    probe = 40 if LONG else 14
    for spoils in (False, True):
        for turn in range(probe):
            steps = ledger.steps(form)
            wire = connect(door, turn % 2 == 0)
            wire.send(LOGIN)
            assert wire.reply().code == 235
            mail = steps.list[1:-1]
            ahead = b"".join(wire.seal(data) for data, _ in mail[:-1])
            last = wire.seal(mail[-1][0])
            at = rng.randrange(len(last)) if turn % 2 else rng.randrange(
                len(ahead + last))
            whole = ahead + last
            if turn % 2:
                at += len(ahead)
            if spoils:
                cut = bytearray(whole)
                cut[at] ^= 1 << rng.randrange(8)
                wire.put(bytes(cut))
            else:
                wire.put(whole[:at])
            with contextlib.suppress(OSError, Closed):
                wire.end(ENDS[1 + turn % 2] if not spoils else "fin")
            ledger.note(steps, False)
    ledger.check()


def test_nothing_is_read_behind_a_close_notify(door, sink):
    ledger = Ledger(door, sink)
    steps = ledger.steps("data")
    wire = connect(door, False)
    assert not go(wire, steps, steps.end - 1)
    dot = wire.seal(b".\r\n")
    with contextlib.suppress(ssl.SSLWantReadError):
        wire.box.unwrap()
    wire.put(wire.outgoing.read() + dot)    # the dot comes too late
    wire.shut()
    wire.wait_closed()
    ledger.note(steps, False)
    # and the dot in the record before it is in time
    steps = ledger.steps("data")
    wire = connect(door, False)
    assert not go(wire, steps, steps.end - 1)
    dot = wire.seal(b".\r\n")
    with contextlib.suppress(ssl.SSLWantReadError):
        wire.box.unwrap()
    wire.put(dot + wire.outgoing.read())
    assert wire.reply().code == 250
    wire.wait_closed()
    ledger.note(steps, True)
    ledger.check()


def test_a_handshake_cut_anywhere_leaves_nothing(door, sink):
    ledger, rng = Ledger(door, sink), random.Random(11)
    for turn in range(120 if LONG else 40):
        left = [rng.randrange(1, 700)]

        def cut(data, left=left):
            part, left[0] = data[:left[0]], max(0, left[0] - len(data))
            return pieces(part, rng, 100)

        implicit = turn % 2 == 0
        wire = Wire(door.ports["implicit"] if implicit else door.port,
                    door.context(), cut if implicit else None)
        wire.socket.settimeout(0.1)
        with contextlib.suppress(Closed, TimeoutError, ssl.SSLError):
            if not implicit:
                wire.reply()
                wire.codes("EHLO a", "STARTTLS")
                wire.cut = cut
            wire.shake()
        wire.end(("fin", "rst")[turn // 2 % 2])
    ledger.check()
