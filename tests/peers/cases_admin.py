"""Rows M: the HTTP interface under attack, over TCP and over its socket."""

import contextlib
import json
import os
import re
import socket
import threading
import time

from cases import case
from relay import LONG, Relay, Sink, wait_for
from web import JSON, Answer, Web, hear, unchunk

HOSTILE = '<script>alert(1)</script>'


@contextlib.contextmanager
def web(w, **kw):
    """A relay for this row alone, with one waiting message."""
    with Sink({"rcpt": f"450 4.2.0 {HOSTILE}\r\n".encode()}) as busy, \
            Web(w.folder / "relay", {"*": busy.hop},
                retry={"first": '"10min"', "most": '"1h"'}, **kw) as r:
        with r.client() as c:
            c.mail(f"Subject: {HOSTILE}\r\n\r\nx\r\n".encode(),
                   '"<b>"@from.test', ('"<i>"@to.test',))
        wait_for(lambda: [m for m in r.queue_list() if m["state"] == "deferred"],
                 20, "a deferral")
        yield r
        assert r.is_alive
        assert len(r.queue_list()) == 1
        assert r.ask("GET", "/healthz").status == 200


# What may not get to a terminal or the eye: ESC, C1, direction, tags, line ends, no UTF-8.
ACTS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8b\x8e\x8f\xa8-\xae]|"
                  rb"\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xef\xbf[\xb9-\xbb]|\xf3\xa0")
WORDS = (b"\x1b[2J\x1b]0;x\x07 \xc2\x9b1m \xe2\x80\xae\xe2\x80\xa8 \xd8\x9c\xe2\x81\xaa\xe2\x80\x8b"
         b"\xf3\xa0\x81\x81 \xff\xfe \xc0\x80 %s%n \"\\ <b> Nov 22 00:00:00 x waypost/smtp[1]: forged")
QUOTED = '"\u202e\u061c\u206a\U000e0041\u2028"'


def is_harmless(data):
    data.decode()
    return not ACTS.search(data)


@case("M01")
def words_of_strangers_are_words(w):
    for form in ("json", "postfix"):
        with Sink({"rcpt": b"450 4.2.0 " + WORDS + b"\r\n450 4.2.0 \rmore\r\n"},
                  extensions=["SMTPUTF8", "8BITMIME"]) as busy, \
                Web(w.folder / form, {"*": busy.hop}, top=f"log {{ form = {form} }}\n",
                    retry={"first": '"10min"', "most": '"1h"'}) as r:
            read_everywhere(r)
            r.stop()
            lines = r.log_path.read_bytes().splitlines()
            assert all(is_harmless(line) for line in lines), lines
            for line in lines:
                (json.loads if form == "json" else whole)(line)


def whole(line):
    assert re.match(rb"[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ waypost/[a-z]+\[\d+\]: ", line), line


def say_it_all(r):
    with r.client() as c:
        for verb in (b"EHLO ", b"AUTH PLAIN ", b"MAIL FROM:<", b"", b"VRFY "):
            c.send(verb + WORDS + b"\r\n")
            assert c.reply().code >= 500
        c.command("EHLO x")
        c.send(f"MAIL FROM:<{QUOTED}@from.test> SMTPUTF8\r\n".encode())
        assert c.reply().code == 250
        c.send(f"RCPT TO:<{QUOTED}@to.test>\r\n".encode())
        assert c.reply().code == 250
        c.command("DATA")
        c.send(b"".join(name + b": " + WORDS + b"\r\n"
                        for name in (b"Subject", b"From", b"To", b"Message-ID", b"\xe2\x80\xae"))
               + b"\r\nx\r\n.\r\n")
        assert c.reply().code == 250


def read_everywhere(r):
    """By each way to read, while and after it was said."""
    with r.dial() as feed:
        feed.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
                     f"Bearer {r.tokens['read']}\r\n\r\n".encode())
        said = feed.recv(100)
        say_it_all(r)
        row = wait_for(lambda: [m for m in r.queue_list() if m["state"] == "deferred"], 20)[0]
        while b'"event":"delivery"' not in said:
            said += feed.recv(65536)
    assert b"forged" in said
    for line in unchunk(said.partition(b"\r\n\r\n")[2]).splitlines():
        assert is_harmless(line) and (not line.startswith(b"data: {") or json.loads(line[6:]))
    i = row["queue_id"]
    wait_for(lambda: b"refused" in r.verb("history").stdout, 10, "the history")
    for path in ("queue", f"queue/{i}", "history", "destinations", "status", "system",
                 "queue?from=%ff%1b", "%1b%e2%80%ae", "queue/heat"):
        a = r.ask("GET", "/api/v1/" + path, "read")
        assert is_harmless(a.body) and all(map(json.loads, a.body.splitlines())), a
    assert is_harmless(r.ask("GET", "/metrics", "read").body)
    for words in (("queue", "list"), ("queue", "show", i), ("history",), ("history", i),
                  ("dest", "list"), ("dest", "show", "*"), ("top",), ("queue", "list", "--json"),
                  ("dest", "probe", "to.test"), ("queue", "list", "--" + QUOTED), ("\x1b[2J",)):
        done = r.verb(*words, check=False)
        assert done.stdout + done.stderr and is_harmless(done.stdout + done.stderr), done


@case("M09")
def names_of_strangers_make_no_metrics(w):
    rules = ('rule "no" { from = {"no.test"}  action = reject }\n'
             'rule "wait" { client = {"127.0.0.0/8"}  action = hold }\n'
             'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n')
    with Web(w.folder / "relay", {"*": "mx"}, rules=rules,
             limits={"errors": 100000, "recipients": 1000}) as r:
        def metrics():
            return r.ask("GET", "/metrics", "read").body.decode()
        with r.client() as c:
            c.command("EHLO first.test")
            c.mail(b"x\r\n", "s@first.test", ["r@first.test"])
            c.command("MAIL FROM:<a@no.test>")
            c.command("RSET")
            before = len(metrics().splitlines())
            for i in range(10_000 if LONG else 500):
                assert c.command(f"EHLO h{i}.test").code == 250
                c.command(f"XM{i}")
                c.command(f"MAIL FROM:<a@no.test> X{i}=y")
                c.command(f"MAIL FROM:<s@f{i}.test>")
                if i % 50 == 0:
                    r.ask("GET", f"/api/v1/p{i}")
                    r.ask("GET", "/api/v1/queue", f"t{i}.test")
            to = [f"x@d{i}.test" for i in range(2000)]
            for first in (0, 1000):
                c.command("RSET")
                assert c.mail(b"x\r\n", to=to[first:first + 1000]).code == 250
        wait_for(lambda: metrics().count("waypost_destination_queued{") == 100, 30)
        text = metrics()
        assert len(text.splitlines()) <= before + 5 * 100 + 60
        assert ".test" not in re.sub(r'destination="[^"]*"', "", text)


@case("M02")
def nobody_gets_in_without_a_token(w):
    """401; and without a key nothing listens on TCP at all."""
    with web(w) as r:
        for path in ("/api/v1/status", "/api/v1/queue", "/api/v1/history", "/metrics",
                     "/api/v1/openapi.json"):
            for headers in ("", "Authorization: Basic b3BzOm9wcw==\r\n",
                            "Authorization: Bearer\r\n", "Cookie: token=x\r\n"):
                a = r.ask("GET", path, headers=headers)
                assert a.status == 401, (path, headers, a)
                assert a.headers["www-authenticate"].startswith("Bearer")
        assert r.change("/api/v1/queue/delete", None, {"yes": True}).status == 401
        assert r.ask("GET", "/api/v1/status?token=" + r.tokens["read"]).status == 401
    assert all(address.startswith(b"0100007F") for address in
               tcp_listeners(w.relay.process.pid))


def tcp_listeners(pid):
    """Local addresses of the process's listening sockets, in hexadecimal."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    for line in open(f"/proc/{pid}/net/tcp", "rb").readlines()[1:]:
        words = line.split()
        if words[3] == b"0A" and f"socket:[{words[9].decode()}]" in inodes:
            yield words[1]


@case("M03")
def a_foreign_page_changes_nothing(w):
    with web(w) as r:
        for media in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                      "text/plain", "text/plain; charset=utf-8"):
            for token in (None, "operator"):
                a = r.ask("POST", "/api/v1/queue/delete", token, {"yes": True},
                          f"Content-Type: {media}\r\n")
                assert a.status == 403, (media, a)
        for headers in ("Origin: http://evil.test\r\n", "Origin: null\r\n",
                        "Origin: http://localhost:1\r\n",
                        "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n"):
            a = r.change("/api/v1/queue/delete", body={"yes": True}, headers=headers)
            assert a.status == 403, (headers, a)
            # a browser on this machine, by a forwarded port, comes in by the socket
            s = dial_socket(r)
            s.sendall((f"POST /api/v1/queue/delete HTTP/1.0\r\nHost: localhost\r\n{JSON}"
                       f"{headers}Content-Length: 13\r\n\r\n").encode() + b'{"yes": true}')
            assert Answer(hear(s)).status == 403
        for media in ("application/xml", "application/jsonp"):
            assert r.ask("POST", "/api/v1/queue/delete", "operator", {"yes": True},
                         f"Content-Type: {media}\r\n").status == 415
        assert r.ask("POST", "/api/v1/queue/delete", "operator",
                     {"yes": True}).status == 415
        # asking first helps nobody, and nothing is changed by GET
        a = r.ask("OPTIONS", "/api/v1/queue/delete",
                  headers="Origin: http://evil.test\r\n"
                          "Access-Control-Request-Method: POST\r\n")
        assert a.status in (403, 405)
        assert not [h for h in a.headers if h.startswith("access-control")]
        for order in ("retry", "hold", "release", "delete", "undelete"):
            a = r.ask("GET", f"/api/v1/queue/{order}?yes=true", "operator")
            assert a.status in (404, 405), a
        own = f"Origin: http://localhost:{r.http}\r\nSec-Fetch-Site: same-origin\r\n"
        assert r.change("/api/v1/queue/hold", body={"preview": True}, headers=own,
                        host=f"localhost:{r.http}").status == 200


@case("M04")
def a_name_that_is_not_ours_is_not_answered(w):
    with web(w, admin={"allow-hosts": '{"mail.example.org"}'}) as r:
        for host in ("evil.test", "evil.test:80", "localhost.evil.test", "127.0.0.1.evil.test",
                     "relay.test.evil.test", "x", "[::1", ""):
            for path in ("/api/v1/queue", "/", "/healthz"):
                a = r.ask("GET", path, "read", headers=f"Host: {host}\r\n", host=None)
                assert a.status in (400, 421), (host, path, a)
        for host in ("localhost", f"LOCALHOST:{r.http}", "127.0.0.1", "[::1]:80",
                     "relay.test", "mail.example.org:443"):
            assert r.ask("GET", "/healthz", host=host).status == 200, host
        assert r.ask("GET", "/healthz", headers="Host: localhost\r\nHost: evil.test\r\n",
                     host=None).status == 400
        s = dial_socket(r)
        s.sendall(b"GET /api/v1/queue HTTP/1.0\r\nHost: evil.test\r\n\r\n")
        assert Answer(hear(s)).status == 421


@case("M05")
def markup_is_text(w):
    with web(w) as r:
        row = r.queue_list()[0]
        for path in ("/api/v1/queue", f"/api/v1/queue/{row['queue_id']}",
                     "/api/v1/queue/" + HOSTILE.replace("/", "%2f")):
            a = r.ask("GET", path, "read")
            assert "json" in a.headers["content-type"], a.headers
            assert a.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in a.headers["content-security-policy"]
        assert HOSTILE in row["recipients"][0]["delay_reason"]
        page = r.ask("GET", "/")
        assert page.status == 200
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy and "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy


@case("M06")
def paths_lead_nowhere_else(w):
    with web(w) as r:
        for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
                     "/..%2f..%2fetc%2fpasswd", "/page.css/../../../etc/passwd",
                     "/api/v1/../../etc/passwd", "/index.html%00.css", "/api/v1/queue/%00",
                     "/api/v1/queue/1%20OR%201=1", "/api/v1/queue/-1",
                     "/api/v1/queue/18446744073709551616", "/api/v1/queue/'",
                     "/api/v1/queue?id=1%20OR%201=1", "/api/v1/queue?id=-1",
                     "/api/v1/queue?id=18446744073709551616", "/api/v1/queue?limit=-1",
                     "/api/v1/queue?attempts=99999999999999999999",
                     "/api/v1/queue?older=" + "9" * 5000, "/api/v1/queue?state='",
                     "http://evil.test/api/v1/queue", "*"):
            a = r.ask("GET", path, "operator")
            assert a.status in (400, 404, 405), (path, a)
            assert b"root:" not in a.body
        for body in ({"id": "1 OR 1=1"}, {"id": -1}, {"id": 2 ** 63 - 1},
                     {"id": [], "yes": True}, {"older": {"$gt": 0}, "yes": True}):
            a = r.change("/api/v1/queue/delete", body=body)
            assert a.status == 400 and a.error.startswith("$."), (body, a)


@case("M07")
def unclear_and_endless_requests_end(w):
    def status(data):
        return Answer(r.raw(data)).status

    with web(w) as r:
        bearer = f"Authorization: Bearer {r.tokens['operator']}\r\n".encode()
        post = (b"POST /api/v1/queue/delete HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\n" + bearer)
        inner = b'{"yes": true}'
        # two readers would see two requests
        assert status(post + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n"
                      b"d\r\n" + inner + b"\r\n0\r\n\r\n") == 400
        assert status(post + b"Content-Length: 13\r\nContent-Length: 5\r\n\r\n" + inner) == 400
        assert status(post + b"Transfer-Encoding: gzip, chunked\r\n\r\n") in (400, 501)
        for chunk in (b"fffffffffffffffff\r\n", b"-1\r\n", b"x\r\n"):
            assert status(post + b"Transfer-Encoding: chunked\r\n\r\n" + chunk) in \
                (400, 413), chunk
        # one that is possible is read, up to what is too much
        assert status(post + b"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n"
                      + b" " * 3_000_000) in (0, 413)
        for length in (b"-1", b"0x10", b"99999999999999999999999", b"1 1"):
            assert status(post + b"Content-Length: " + length + b"\r\n\r\n") in \
                (400, 413), length
        # too much of a header, of an address, of a body
        big = b"x" * 1_000_000
        assert status(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + big) in (0, 431)
        assert status(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + big[:40000]
                      + b"\r\n\r\n") == 431
        assert status(b"GET /" + big[:40000] + b" HTTP/1.1\r\nHost: localhost\r\n\r\n") in \
            (400, 414, 431)
        assert status(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                      + b"X: y\r\n" * 20000 + b"\r\n") in (0, 431)
        assert r.change("/api/v1/queue/delete", body=b'{"yes": ' + big[:70000]).status == 413
        deep = r.change("/api/v1/queue/delete", body=b"[" * 60000)
        assert deep.status == 400 and deep.error.startswith("$: ")
        # an older language
        assert status(b"GET /healthz\r\n\r\n") in (0, 400, 505)
        assert status(b"GET /healthz HTTP/3.7\r\nHost: localhost\r\n\r\n") in (0, 400, 505)
        assert status(b"GET /healthz HTTP/1.1\r\n\r\n") == 400
        # many at once, on one connection
        with r.dial() as s:
            many = 10_000 if LONG else 2_000
            one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            threading.Thread(target=s.sendall, args=(one * many,), daemon=True).start()
            got = b""
            while got.count(b"HTTP/1.1 200 ") < many:
                part = s.recv(65536)
                assert part, got[-300:]
                got += part
        # one byte now and then, for as long as it takes
        began = time.monotonic()
        with r.dial(60) as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\n")
            s.settimeout(0.5)
            while time.monotonic() - began < 90:
                try:
                    s.sendall(b"X")
                    if not s.recv(100):
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        assert 20 < time.monotonic() - began < 80


@case("M08")
def tokens_cannot_be_guessed(w):
    with web(w) as r:
        wrong = "wp_" + "a" * 52
        crowd = [r.dial() for _ in range(40)]
        for s in crowd:     # at one moment, on any machine
            s.sendall(b"GET /api/v1/status HTTP/1.0\r\nHost: localhost\r\n"
                      b"Authorization: Bearer %s\r\n\r\n" % wrong.encode())
        got = [Answer(hear(s)) for s in crowd]
        codes = [a.status for a in got]
        assert set(codes) == {401, 429} and codes.count(401) < 30, codes
        assert all("retry-after" in a.headers for a in got if a.status == 429)
        # which is no way to keep others out who come from the same address
        assert r.ask("GET", "/api/v1/status", "read").status == 200
        wait_for(lambda: r.ask("GET", "/api/v1/status", wrong).status == 401, 5,
                 "the end of the wait")

        # of one answer each, slow enough not to be turned away; the quickest of each, which
        # a busy machine does not make
        near = r.tokens["read"][:-1] + ("b" if r.tokens["read"][-1] == "a" else "a")
        took = {near: [], wrong: []}
        for token in (near, wrong) * 12:
            time.sleep(0.25)
            began = time.perf_counter()
            assert r.ask("GET", "/api/v1/status", token).status == 401
            took[token].append(time.perf_counter() - began)
        a, b = min(took[near]), min(took[wrong])
        assert abs(a - b) < 0.005, (a, b)
        assert r.tokens["read"] not in r.log() and wrong not in r.log()


def checked(w, text, code=78, admin=None):
    """What check says of a usual configuration with this in its place or behind it."""
    r = Relay(w.folder / "checked", {"*": "smtp://127.0.0.1:1"}, admin=admin)
    usual = r.config.read_text()
    key = text.partition(" ")[0]
    line = re.search(rf"^{key} = .*\n", usual, re.M)
    r.config.write_text(usual.replace(line[0], text + "\n") if line else usual + text + "\n")
    done = r.verb("check", check=False)
    said = done.stdout + done.stderr
    assert done.returncode == code and is_harmless(said), (text, done)
    assert not code or re.search(rb"waypost\.conf:\d+:\d+: ", said), (text, said)
    return said


@case("M10")
def settings_carry_nothing_across_a_line(w):
    for value in ("a\\r\\nX: y", "a\r\nb", "a\nb", "a b", "a\x1b[2J", "a\0b", "${helo}", "<x>"):
        for key in ("hostname", "origin", "postmaster"):
            checked(w, f'{key} = "{value}"')
        checked(w, f'log {{ tag = "{value}: " }}')
        checked(w, f'listener "{value}\x1b" {{ address = "127.0.0.1:2" }}')
        checked(w, f'rule "{value}\x1b" {{ action = reject }}')
        checked(w, f'webhook "w" {{ url = "{value}"  secret-file = "/x" }}')
        checked(w, "", admin={"allow-hosts": f'{{"{value}\x1b"}}'})
    for reply in ("550 a\\r\\n250 ok", "550 a\n250 ok", "550 a\x1b[2J"):
        checked(w, f'rule "r" {{ action = reject  reply = "{reply}" }}')


@case("M11")
def a_configuration_with_a_fault_is_none(w):
    for text in ('hostnam = "x"', 'hostname = "a.test"\nhostname = "b.test"', "limits { nothing = 1 }",
                 'aliases = "/nonexistent"', 'x "y" { }',
                 'rule "r" { client = {"0.0.0.0/0"}  action = relay }',
                 'rule "r" { client = {"::/0"}  action = relay }', 'rule "r" { action = relay }'):
        checked(w, text)
    assert b"warning: " in checked(w, "", 0, {"http": '"0.0.0.0:8025"'})
    (w.folder / "checked" / "waypost.conf").chmod(0o666)
    assert b"anybody on this machine may write" in checked(w, "", 0)


def dial_socket(r, timeout=15):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(str(r.folder / "admin.sock"))
    return s


def try_socket(r):
    try:
        return dial_socket(r)
    except BlockingIOError:
        return None


@case("M12")
def the_socket_survives_garbage(w):
    with web(w) as r:
        for data in (b"\0" * 5000, b"\xff" * 5000, b"MAIL FROM:<x>\r\n" * 500,
                     b"POST /api/v1/queue/delete HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Length: 4294967296\r\n\r\n{",
                     b"POST /api/v1/queue/delete HTTP/1.1\r\nHost: x\r\n"
                     b"Content-Length: 13\r\n\r\n{\"yes\"", b"GET /api/v1/que"):
            s = dial_socket(r, 45 if LONG else 0.3)
            with contextlib.suppress(ConnectionError):
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(*() if LONG else (TimeoutError,)):
                assert b" 200 OK" not in hear(s), data[:40]
            s.close()
        assert (r.folder / "admin.sock").stat().st_mode & 0o777 == 0o600
        crowd = []
        try:
            for _ in range(250):
                # a full backlog says so at once to who does not wait
                s = wait_for(lambda: try_socket(r), 15, "a connection")
                s.sendall(b"GET /heal")
                crowd.append(s)
            assert len(r.queue_list()) == 1
        finally:
            for s in crowd:
                s.close()
