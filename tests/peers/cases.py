"""The registry of the rows of cases.tsv and the worlds they are driven in.

A row's function gets a World: a running relay, the sink its mail goes to, and what
looks whether something arrived. Worlds are shared by rows, so each row uses
addresses of its own: <anything>@<row>.test.
"""

import contextlib
import pathlib
import re

from relay import Client, Relay, Sink, wait_for

FILE = pathlib.Path(__file__).with_name("cases.tsv")
functions = {}          # id -> (function, name of its world)

END = b"\r\n.\r\n"


def rows():
    """(id, input, expected, reason to skip) of each row."""
    lines = FILE.read_text().splitlines()[1:]
    return [tuple(line.split("\t")) for line in lines]


def case(*ids, world="plain"):
    def register(function):
        for i in ids:
            assert i not in functions, i
            functions[i] = (function, world)
        return function
    return register


class World:
    """One row's view of a relay and a sink."""

    def __init__(self, row, relay, sink, normal=None):
        self.row, self.relay, self.sink, self.normal = row, relay, sink, normal
        self.domain = f"{row.lower()}.test"

    def to(self, local="r"):
        return f"{local}@{self.domain}"

    def client(self, *args, **kw):
        return self.relay.client(*args, **kw)

    def arrived(self):
        """Messages for this row, so far."""
        with self.sink.lock:
            all_of_them = list(self.sink.messages)
        return [m for m in all_of_them
                if any(r.lower().endswith("@" + self.domain)
                       for r in m.recipients)]

    def wait(self, count=1, seconds=15):
        wait_for(lambda: len(self.arrived()) >= count, seconds,
                 f"arrival of {count} ({len(self.arrived())} have)")
        got = self.arrived()
        assert len(got) == count, [(m.sender, m.recipients) for m in got]
        return got

    def one(self, seconds=15):
        return self.wait(1, seconds)[0]

    def all_gone(self, seconds=20):
        """Until nothing of this row waits in the queue."""
        wait_for(lambda: not self.relay.queue_list("--to", f"*@{self.domain}"),
                 seconds, "the end of this row's mail")

    def nothing_arrives(self):
        """A later message overtakes nothing: when it is there, all is."""
        mark = f"{self.row}.{len(self.sink.messages)}@mark.test"
        with self.client() as c:
            assert c.mail(b"mark\r\n", to=[mark]).code == 250
        wait_for(lambda: any(mark in m.recipients for m in self.sink.messages),
                 15, "the mark")
        assert self.relay.queue_list("--to", f"*@{self.domain}") == []
        assert self.arrived() == []

    def accept(self, content, **kw):
        kw.setdefault("to", [self.to()])
        with self.client() as c:
            reply = c.mail(content, **kw)
        assert reply.code == 250, reply
        return reply

    def is_well(self):
        assert self.relay.is_alive, self.relay.log()[-3000:]
        stray = [m for m in self.sink.messages if m.has_stray_line_end]
        assert not stray, stray[0].wire[:300]
        assert "\x1b" not in self.relay.log()


@contextlib.contextmanager
def private(folder, row, script=None, extensions=None, home=None, **kw):
    """A relay and a sink for one row alone; home: where reports go."""
    with Sink(script, extensions=extensions) as sink:
        kw.setdefault("routes", {"*": sink.hop})
        if home:
            kw["routes"]["home.test"] = home.hop
        with Relay(folder / "relay", **kw) as relay:
            yield World(row, relay, sink)


def report_of(message, status):
    """Is it a delivery report with this status? Asserts what each must have."""
    text = message.content.decode("utf-8", "surrogateescape")
    assert message.sender == ""
    assert re.search(r"^Auto-Submitted: auto-replied", text, re.M | re.I), text
    assert "message/delivery-status" in text or \
        "message/global-delivery-status" in text, text
    found = re.findall(r"^Status: (\S+)", text, re.M | re.I)
    assert found and all(re.fullmatch(status, s) for s in found), (found, text)
    return text


__all__ = ["case", "rows", "functions", "World", "private", "report_of", "END",
           "Client"]
