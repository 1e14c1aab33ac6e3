"""Whom a balancer or a relay in front names: by PROXY headers and XCLIENT, over sockets; and
sessions that end while they wait for a handshake, a login or its answer."""

import struct
import time

import pytest

from door import Door, b64, plain
from relay import Closed, Sink, wait_for

VERSION_2 = b"\r\n\r\n\x00\r\nQUIT\n"


def line(address):
    return f"PROXY TCP4 {address} 192.0.2.254 4000 25\r\n".encode()


def binary(address, tlvs=b""):
    body = bytes(map(int, address.split("."))) + bytes([192, 0, 2, 254]) + \
        struct.pack(">HH", 4000, 25) + tlvs
    return VERSION_2 + b"\x21\x11" + struct.pack(">H", len(body)) + body


@pytest.fixture(scope="module")
def sink():
    with Sink() as s:
        yield s


@pytest.fixture
def door(tmp_path, sink):
    with Door(tmp_path / "door", {"*": sink.hop}, users={"alice": "a b"},
              handshake="2s", limits={"sessions-per-client": 3,
                                      "silence": '"3s"'}) as d:
        yield d


def greeted(door, header, listener="balanced", cut=None):
    """A client behind a header, or None where it is not let in."""
    c = door.client(listener, greet=False, tls=None, timeout=8)
    for i in range(0, len(header), cut or len(header)):
        c.send(header[i:i + (cut or len(header))])
        time.sleep(0.001 if cut else 0)
    if listener == "balanced-tls":
        c.secure(door.context())
    try:
        assert c.reply().code == 220 and c.command("EHLO a").code == 250
        return c
    except Closed:
        return None


def relays(c, to="r@elsewhere.test"):
    return c.codes("MAIL FROM:<s@from.test>", f"RCPT TO:<{to}>", "RSET")[1] == 250


@pytest.mark.parametrize("listener", ["balanced", "balanced-tls"])
@pytest.mark.parametrize("header", [line, binary], ids=["v1", "v2"])
def test_rules_and_counts_see_whom_the_header_names(door, listener, header):
    for cut in (None, 1):
        with greeted(door, header("192.0.2.7"), listener, cut) as c:
            assert relays(c)
        with greeted(door, header("198.51.100.7"), listener, cut) as c:
            assert not relays(c)
    open_ones = [greeted(door, header("198.51.100.8"), listener) for _ in range(3)]
    with door.client(listener, greet=False, tls=None) as c:
        c.send(header("198.51.100.8"))
        assert c.line().startswith(b"421 ") and c.is_closed()
    other = greeted(door, header("198.51.100.9"), listener)
    assert other and all(open_ones)
    for c in (*open_ones, other):
        c.close()
    assert "198.51.100.8" in door.log()


def test_what_is_no_header_ends_it(door):
    for raw in (b"EHLO a\r\n", line("300.1.1.1"), b"PROXY TCP4 1.2.3.4\r\n",
                b"PROXY " + b"x" * 200, line("192.0.2.7")[:-2] + b"\n",
                VERSION_2 + b"\x21\x11\xff\xff" + b"x" * 4000,
                VERSION_2 + b"\x31\x11\x00\x0c" + b"x" * 12,
                VERSION_2 + b"\x21\x11\x00\x04" + b"x" * 12, b"\x16\x03\x01"):
        with door.client("balanced", greet=False, tls=None) as c:
            c.send(raw)
            assert c.is_closed(), raw
    # a header is read once: a second one is a command of no mail client
    with door.client("balanced", greet=False) as c:
        c.send(line("198.51.100.7") + line("192.0.2.7"))
        assert [r.code for r in c.all_replies()] == [220, 221]
    # with one, a stranger's bytes behind it stay behind it
    with door.client("balanced", greet=False) as c:
        c.send(binary("198.51.100.7", b"\x04\x00\x02xx") +
               b"EHLO a\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<r@else.test>\r\nQUIT\r\n")
        assert [r.code for r in c.all_replies()] == [220, 250, 250, 554, 221]


def waiting(door):
    """Clients in each state in which somebody waits."""
    clients = {}
    for name, said, code in (
            ("greeted", [], 220), ("mail", ["EHLO a", "MAIL FROM:<s@from.test>"], 250),
            ("login", ["EHLO a", "AUTH LOGIN"], 334),
            ("password", ["EHLO a", "AUTH LOGIN " + b64("alice")], 334),
            ("data", ["EHLO a", "MAIL FROM:<s@from.test>", "RCPT TO:<r@open.test>",
                      "DATA"], 354),
            ("chunk", ["EHLO a", "MAIL FROM:<s@from.test>",
                       "RCPT TO:<r@open.test>", "BDAT 2\r\nx"], None),
            ("skipping", ["EHLO a", "BDAT 5\r\nx"], None),
            ("tls", ["EHLO a", "STARTTLS"], 220),
            ("pausing", ["EHLO a", "AUTH PLAIN " + plain("alice", "x")], None)):
        c = door.client("clear", greet=False, timeout=20)
        got = c.reply()
        for text in said:
            if text == said[-1] and code is None:
                c.send(text.encode() + (b"\r\n" if "AUTH" in text else b""))
            else:
                got = c.command(text)
        assert code in (None, got.code), (name, got)
        clients[name] = c
    for listener in ("implicit", "balanced"):
        clients[listener] = door.client(listener, greet=False, tls=None)
    return clients


def last_words(c, seconds):
    c.socket.settimeout(seconds)
    text = c.rest
    try:
        while more := c.socket.recv(4096):
            text += more
    except ConnectionError:
        pass
    return text


def test_silence_ends_every_state(tmp_path, sink):
    with Door(tmp_path / "silent", {"*": sink.hop}, users={"alice": "a b"},
              handshake="2s", limits={"sessions-per-client": 30,
                                      "silence": '"3s"'}) as door:
        with door.client("clear"):
            before = door.descriptors_at_rest() - 1
        for name, c in waiting(door).items():
            said = last_words(c, 12)
            if name in ("tls", "implicit", "balanced"):
                assert said == b"", (name, said)
            else:
                assert b"421 4.4.2 " in said, (name, said)
            c.socket.close()
        wait_for(lambda: door.descriptors() <= before, 5, "the slots' return")


def test_going_down_ends_every_state(tmp_path, sink):
    with Door(tmp_path / "down", {"*": sink.hop}, users={"alice": "a b"},
              limits={"sessions-per-client": 30}) as door:
        clients = waiting(door)
        door.process.terminate()
        for name, c in clients.items():
            said = last_words(c, 10)
            if name in ("tls", "implicit", "balanced"):
                assert said == b"", (name, said)
            else:
                assert b"421 4.3.2 " in said, (name, said)
            c.socket.close()
        assert door.process.wait(30) == 0


def test_a_relay_in_front_names_its_client(tmp_path, sink):
    with Door(tmp_path / "front", {"*": sink.hop}, users={"alice": "a b"},
              listener='tls = optional  auth = optional  xclient = {"127.0.0.1"}'
              ) as door:
        with door.secured() as c:
            assert not relays(c)
            assert c.command("XCLIENT ADDR=192.0.2.9 NAME=inside.test").code == 220
            assert c.command("MAIL FROM:<s@from.test>").code == 503
            assert b"STARTTLS" not in c.command("EHLO a").lines
            assert relays(c)
            assert c.command("XCLIENT ADDR=198.51.100.1").code == 220
            assert c.command("EHLO a").code == 250 and not relays(c)
            assert c.login("alice", "a b").code == 235 and relays(c)
            assert c.command("XCLIENT ADDR=198.51.100.2").code == 220
            assert c.command("EHLO a").code == 250
            assert not relays(c), "a login outlived its client"
            assert c.command("XCLIENT LOGIN=bob ADDR=198.51.100.3").code == 220
            assert c.command("EHLO a").code == 250 and relays(c)
            assert c.login("alice", "a b").code == 503
            assert c.command("XCLIENT LOGIN=[UNAVAILABLE]").code == 220
            assert c.command("EHLO a").code == 250 and not relays(c)
