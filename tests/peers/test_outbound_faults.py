"""Outbound connections that end, or say something senseless, at any point.

For each way to use TLS one relay and a server for each point and fault, which misbehaves
once and is well from then on. Nothing is lost, nothing arrives twice but what was in
doubt, nothing is reported, the queue is empty in the end, and where TLS is a must nothing
of a message was said outside of it.

A login is part of the dialogue wherever the mode allows one.
"""

import collections
import itertools

import pytest

from cases_tls_out import PASSWORD, serving
from pki import Authority
from relay import FIN, HANG, RST, Sink, Relay, wait_for

FAULTS = {"fin": FIN, "rst": RST, "hang": HANG,
          "garbage": b"\x07what\x00\xff\r\n"}
# in the order in which they are reached; the stage of the sink where each begins
POINTS = {"connect": "connect", "banner": "banner", "ehlo": "ehlo",
          "starttls": "starttls", "client hello": "handshake",
          "server hello": "handshake", "secured": "secured",
          "second ehlo": "ehlo", "first challenge": "challenge",
          "second challenge": "challenge", "login": "auth", "mail": "mail",
          "rcpt": "rcpt", "data": "data", "content": "body", "dot": "dot",
          "first chunk": "bdat", "second chunk": "bdat", "last chunk": "dot"}
IN_STARTTLS = ("starttls", "second ehlo")
IN_TLS = ("client hello", "server hello", "secured")
IN_LOGIN = ("first challenge", "second challenge", "login")
CHUNKED = ("first chunk", "second chunk", "last chunk")

Mode = collections.namedtuple("Mode", "tls implicit login")
MODES = {"none": Mode("none", False, True),
         # a login never goes in clear text, so an attempt without TLS would end there
         "optional": Mode("optional", False, False),
         "required": Mode("required", False, True),
         "verify": Mode("verify", False, True),
         "smtps": Mode("verify", True, True)}

# Half of what a server says first: a record that promises 122 bytes, and 20 of them.
HALF_A_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + b"r" * 20


def read_hello(session):
    assert session.socket.recv(4096).startswith(b"\x16\x03")


def half_a_hello(session):
    read_hello(session)
    session.socket.sendall(HALF_A_HELLO)


class Faulty:
    """A server that misbehaves the first time a point is reached."""

    def __init__(self, point, fault, mode, context):
        self.point, self.fault, self.mode = point, fault, mode
        self.struck, self.seen = None, collections.Counter()
        extensions = list(Sink.extensions)
        if point in CHUNKED:
            extensions.append("CHUNKING")
        self.sink = Sink(self.script, extensions=extensions,
                         tls=None if mode.tls == "none" else context,
                         implicit=mode.implicit,
                         logins={"us": PASSWORD} if mode.login else None,
                         auth="LOGIN")
        self.keys = {"via": self.sink.hop, "tls": mode.tls}

    def is_there(self, connection, stage):
        """Has this connection come to the point?"""
        self.seen[connection, stage] += 1
        nth = self.seen[connection, stage]
        if stage != POINTS[self.point]:
            return False
        return nth == (2 if self.point.startswith("second") else 1)

    def script(self, connection, stage, _argument):
        there = self.is_there(connection, stage)
        if not there or self.struck not in (None, connection):
            return None
        self.struck = connection
        answer = FAULTS[self.fault]
        if self.point == "client hello":
            return [read_hello, answer]
        if self.point == "server hello":
            # more than the record promised, or it would be a stall
            return [half_a_hello,
                    answer * 20 if self.fault == "garbage" else answer]
        if self.fault == "garbage" and self.point == "secured":
            return None     # within TLS the first word is ours
        return answer

    def is_doubtful(self):
        """Could it have taken the message at the connection that broke? What is said in
        the middle of the content does not keep the server from reading on."""
        return self.fault == "garbage" and self.point in (
            "content", "first chunk", "second chunk")


def is_reached(point, fault, mode):
    if point in IN_TLS and mode.tls == "none":
        return False
    if point in IN_STARTTLS and (mode.implicit or mode.tls == "none"):
        return False
    if point in IN_LOGIN and not mode.login:
        return False
    # nobody waits for words there
    return not (fault == "garbage" and point in ("connect", "secured"))


def check(f, mode):
    got = [(m.recipients, bool(m.tls)) for m in f.sink.messages]
    assert f.struck, "the point was not reached"
    assert len(got) in ((1, 2) if f.is_doubtful() else (1,)), got
    # what ends while TLS is being begun is tried without it, where that may be
    goes_clear = mode.tls == "none" or (mode.tls == "optional" and f.point in (
        "starttls", *IN_TLS[:2]))
    assert got[0][1] != goes_clear, got
    if mode.tls in ("none", "optional"):
        return
    for _, stage, _, argument, tls in f.sink.stages:
        assert tls or stage in ("connect", "banner", "ehlo", "starttls",
                                "handshake", "quit"), (stage, argument)


@pytest.mark.parametrize("name", MODES)
def test_each_fault_at_each_point_costs_an_attempt_and_no_more(name, tmp_path):
    mode = MODES[name]
    authority = Authority(tmp_path)
    context = serving(authority.issue("127.0.0.1"))
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    login = {"user": '"us"', "password-file": f'"{password}"'} \
        if mode.login else {}
    cells = [c for c in itertools.product(POINTS, FAULTS)
             if is_reached(*c, mode)]
    servers = {f"d{i}.test": Faulty(*c, mode, context)
               for i, c in enumerate(cells)}
    home = Sink()
    routes = {d: {**f.keys, **login} for d, f in servers.items()}
    routes["home.test"] = home.hop
    chunks = b"0123456789abcdef" * 62 + b"\r\n"
    try:
        with Relay(tmp_path / "relay", routes,
                   top=f'tls {{ authorities = "{authority.path}" }}') as relay:
            with relay.client() as c:
                for d, f in servers.items():
                    content = chunks * 700 if f.point in CHUNKED else b"x\r\n"
                    assert c.mail(content, sender="s@home.test",
                                  to=[f"r@{d}"]).code == 250
            stalled = [f for f in servers.values() if f.fault == "hang"]
            wait_for(lambda: all(f.struck for f in servers.values()), 20,
                     "a fault at each point")
            quick = [f for f in servers.values() if f.fault != "hang"]
            wait_for(lambda: all(f.sink.messages for f in quick), 20,
                     "arrival after all but the stalls")
            # the stalled ones wait, and hold up nobody; then they come to an end
            assert not any(f.sink.messages for f in stalled)
            for f in stalled:
                f.sink.drop()
                f.sink.stopped.set()
            relay.wait_empty(20)
            wrong = []
            for f in servers.values():
                try:
                    check(f, mode)
                except AssertionError as e:
                    wrong.append((f.point, f.fault, str(e)))
            assert not wrong, wrong
            assert not home.messages, home.messages[0].content
            assert "status=bounced" not in relay.log()
            assert PASSWORD not in relay.log() and relay.is_alive
    finally:
        for sink in [home, *(f.sink for f in servers.values())]:
            sink.close()
