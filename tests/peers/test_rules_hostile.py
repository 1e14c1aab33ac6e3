"""Rules under attack: nothing that comes in opens the relay, stops it, or is taken for what it
is not; and configurations with a person's mistakes say what was meant."""

import random
import socket
import struct
import subprocess
import threading
import time

import pytest

from policies import CLOSE, HANG, RESET, Policy
from relay import PATIENCE, Client, Relay, Sink, program, wait_for, without_received

HERE = 'rule "here" { client = {"127.0.0.0/8"}  action = relay }\n'


def rcpt(client, *to, sender="s@from.test"):
    """The codes of RCPT in a transaction that is not finished."""
    assert client.command("RSET").code == 250
    assert client.command(f"MAIL FROM:<{sender}>").code == 250
    return [client.command(f"RCPT TO:<{a}>").code for a in to]


def slowest_meanwhile(relay, work):
    """What work returns, and the longest that another client waited for a reply meanwhile."""
    slowest, over = [0.0], threading.Event()

    def look():
        with Client(relay.port, source="127.0.0.9") as c:
            while not over.wait(0.01):
                begin = time.monotonic()
                c.command("RSET")
                slowest[0] = max(slowest[0], time.monotonic() - begin)
                if c.command("EHLO x.test").code != 250:
                    return
    looker = threading.Thread(target=look)
    looker.start()
    time.sleep(0.1)
    try:
        return work(), slowest[0]
    finally:
        over.set()
        looker.join()


# ------------------------------------------------------------ who may relay ----

# All that changes where mail goes, or looks like a grant, above and below what grants.
EVERYTHING = """
rule "percent" {{ from = {{"rw.test"}}  action = rewrite
                  rewrite-to = {{'/^(.+)%(.+)@ok\\.test$/ $1@$2'}} }}
rule "moved" {{ action = rewrite  rewrite-to = {{"table:{folder}/moved"}} }}
rule "way" {{ action = route  route = "*" }}
rule "kept" {{ action = copy  copy = {{"archive@else.test"}} }}
rule "seen" {{ action = tag  set-tag = {{"trusted"}} }}
rule "asked" {{ action = policy  server = "{server}" }}
rule "few" {{ action = limit  per = client  rate = {{"100000/h"}} }}
rule "ours" {{ to = {{"ok.test"}}  action = relay }}
rule "theirs" {{ to = "table:{folder}/theirs"  action = relay }}
rule "friend" {{ tag = {{"trusted"}}  client = {{"127.0.0.77"}}  action = relay }}
rule "would" {{ client = {{"127.0.0.0/8"}}  action = relay  mode = shadow }}
"""

NOT_OURS = ["x@else.test", "out@else.test", "x%else.test@ok.test", "else.test!x@ok.test",
            '"x@else.test"@ok.test', '"a\\%b"@ok.test', "@ok.test:x@else.test",
            "x%else.test@OK.TEST", "x@ok.test.else.test", "x@sub.ok.test", "x@[127.0.0.1]",
            "postmaster@else.test", "x%else.test@table.test"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("everything")
    (folder / "moved").write_text("in@ok.test out@else.test\n@was.test @else.test\n")
    (folder / "theirs").write_text("table.test\n")
    with Sink() as sink, \
            Policy(lambda r, n: "REDIRECT far@else.test"
                   if r["sender"] == "re@from.test" else "OK") as policy, \
            Relay(folder, {"*": {"via": sink.hop, "tls": "none"}},
                  rules=EVERYTHING.format(folder=folder, server=policy.server),
                  listener='xclient = {"127.0.0.0/8"}',
                  limits={"errors": 100000}) as relay:
        yield relay


def refused_all(client):
    for sender in ("s@from.test", "", "a@rw.test", "re@from.test", "a@ok.test"):
        codes = rcpt(client, *NOT_OURS, sender=sender)
        assert all(code in (451, 501, 554) for code in codes), \
            (sender, [t for t, c in zip(NOT_OURS, codes) if c == 250])


def test_only_relay_grants_whatever_else_acts(everything):
    with Client(everything.port) as c:
        refused_all(c)
        assert rcpt(c, "in@ok.test", "x@table.test", "postmaster") == [250] * 3
    assert everything.queue_list() == []


def test_everybody_is_nobody_who_may_route_through_us(tmp_path):
    (tmp_path / "all").write_text("0.0.0.0/0\n")
    for client in ('{"0.0.0.0/0"}', f'"table:{tmp_path}/all"'):
        with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"},
                   rules=f'rule "x" {{ client = {client}  to = {{"ok.test"}}'
                         '  action = relay }\n') as relay, Client(relay.port) as c:
            assert rcpt(c, "x@ok.test", "v%else.test@ok.test", "else.test!v@ok.test",
                        '"v@else.test"@ok.test') == [250, 554, 554, 554]


def test_who_is_somebody_else_now_has_nothing_of_before(everything):
    with Client(everything.port) as c:
        for address, code in (("127.0.0.77", 250), ("127.0.0.78", 554),
                              ("[UNAVAILABLE]", 554), ("127.0.0.77", 250),
                              ("IPV6:::ffff:127.0.0.78", 554)):
            assert c.command("RSET").code in (250, 503)
            assert c.command(f"XCLIENT ADDR={address}").code == 220
            assert c.command("EHLO x.test").code == 250
            assert rcpt(c, "x@else.test") == [code], address


def test_a_table_never_comes_to_open_the_relay(everything):
    table = everything.folder / "theirs"
    with Client(everything.port) as c:
        for n, bad in enumerate(("*\n", "/.*/\n", "<>\ntable.test\n")):
            assert rcpt(c, "x@table.test", "x@else.test") == [250, 554]
            table.write_text(bad)
            everything.reload()
            wait_for(lambda: everything.log().count("opens the relay") > n, 10,
                     "the refusal of the reload")
            assert [c.command(f"RCPT TO:<{a}>").code for a in
                    ("y@table.test", "y@else.test")] == [250, 554]
            refused_all(c)
    table.write_text("table.test\n")


# ------------------------------------------------------------------ patterns ----

EVIL = """
rule "subject" { header = {'Subject: /(a+)+$/'}  action = reject }
rule "name" { attachment = {'/^(a+)+$/'}  action = reject }
rule "to" { to = {'/^(b+)+$/'}  action = reject }
rule "off" { action = remove-header  remove-header = {'X-Off: /^(a+)+$/'} }
"""


def content(fields, body=b"x\r\n"):
    return fields + b"\r\n" + body


LONG = b"\r\n ".join([b"aaaaaaaaaaaaaa!" * 60] * 200)
PARTS = b"".join(b"--b\r\nContent-Type: text/x; name=%s%d!\r\n\r\n\r\n" % (b"a" * 28, n)
                 for n in range(1000))


def test_no_pattern_holds_up_others(tmp_path):
    mails = {
        "one long field": (content(b"Subject: " + LONG + b"\r\n"), 451),
        "many fields": (content(b"Subject: aaaaaaaaaaaaa!\r\n" * 4000), 451),
        "many names": (content(b"Content-Type: multipart/mixed; boundary=b\r\n", PARTS), 451),
        "many to remove": (content(b"X-Off: aaaaaaaaaaaaaaaaaaaaaa!\r\n" * 4000), 250),
    }
    with Sink() as sink, \
            Relay(tmp_path, {"*": {"via": sink.hop, "tls": "none"}}, rules=EVIL + HERE,
                  top="workers = 1", limits={"errors": 1000}) as relay:
        for name, (mail, code) in mails.items():
            def send():
                with Client(relay.port) as c:
                    return c.mail(mail).code
            # without bounds these take from 1 to 20 seconds
            got, waited = slowest_meanwhile(relay, send)
            assert got == code and waited < 1, (name, got, waited)

        def recipients():
            with Client(relay.port) as c:
                return rcpt(c, *["b" * 30 + f"{n}@to.test" for n in range(30)])
        got, waited = slowest_meanwhile(relay, recipients)
        assert set(got) == {451} and waited < 1, waited


def nested(depth, name=b"b%d"):
    return b"".join(b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n" % (b, b)
                    for b in (name % n if b"%" in name else name for n in range(depth))) \
        + b"Content-Type: text/x; name=a.exe\r\n\r\nx\r\n"


def parts(count, name):
    return (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
            b"".join(b"--b\r\nContent-Type: text/x; name=%s\r\n\r\nx\r\n" %
                     (name % n if b"%" in name else name) for n in range(count)) + b"--b--\r\n")


BOMBS = {  # what hides from us is not let through
    "50 levels": (nested(50), 554),
    "10,000 levels": (nested(10000), 451),
    "10,000 levels of one boundary": (nested(10000, b"b"), 554),
    "messages in messages": (b"Content-Type: message/rfc822\r\n\r\n" * 10000, 451),
    "100,000 parts": (parts(100000, b"q"), 250),
    "100,000 names": (parts(100000, b"q%d"), 451),
    "dashes": (nested(99) + b"--zz\r\n" * 300000, 554),
    "parameters": (b"Content-Type: text/x" +
                   b"".join(b";\r\n a%d*%d*=x" % (n % 7, n) for n in range(15000)) +
                   b"\r\n\r\nx\r\n", 451),
    "250 KB field": (content(b"Subject: " + b"\r\n ".join([b"v" * 990] * 250) + b"\r\n"), 250),
    "words": (content(b"Subject: " + b"\r\n ".join([b"=?utf-8?q?a?= =?x?b?e=?="] * 9000) +
                      b"\r\n"), 250),
    "broken words": (content(b"Subject: " + b"\r\n ".join([b"=?utf-8?q?" * 90] * 270) +
                             b"\r\n"), 250),
    "25,000 fields": (content(b"Subject:\r\n" * 25000), 451),
    "nothing": (b"", 250),
    "a body alone": (b"\r\nbody\r\n", 250),
    "a header alone": (b"Subject: x\r\n", 250),
}


def test_bombs_are_looked_through_in_no_time(tmp_path):
    rules = ('rule "exe" { attachment = {"*.exe"}  action = reject }\n'
             "rule \"pill\" { header = {'Subject: /blue.*pill/'}  action = reject }\n" + HERE)
    with Sink() as sink, Relay(tmp_path, {"*": {"via": sink.hop, "tls": "none"}},
                               rules=rules, top="workers = 1") as relay:
        for name, (mail, code) in BOMBS.items():
            begin = relay.cpu_seconds()
            with Client(relay.port) as c:
                got = c.mail(mail)
            assert got.code == code and relay.cpu_seconds() - begin < 3 * PATIENCE, (name, got)


# ---------------------------------------------------------- what is written ----

def test_nothing_comes_into_a_header_but_its_text(tmp_path):
    rules = ('rule "who" { action = add-header'
             '  add-header = {"X-Who: %{helo} %{sender} %{recipient}"} }\n'
             'rule "off" { action = remove-header  remove-header = {"X-Off"} }\n' + HERE)
    with Sink() as sink, Relay(tmp_path, {"*": {"via": sink.hop, "tls": "none"}}, rules=rules,
                               listener='xclient = {"127.0.0.0/8"}') as relay:
        with Client(relay.port) as c:
            assert c.command("XCLIENT HELO=a+0D+0ABcc:+20x").code == 501
            assert c.command("XCLIENT HELO=a+E4+FFb").code == 220
            assert c.command("EHLO x").code == 250
            assert c.mail(b"X-Off: 1\r\nSubject: x\r\nX-OFF:\r\n 2\r\n\r\nx\r\n",
                          '"a\\ b"@own.test', ["r@to.test"]).code == 250
        head = without_received(sink.wait(1)[0].content)
        assert head == (b'X-Who: a??b "a\\ b"@own.test r@to.test\r\nSubject: x\r\n\r\nx\r\n')
        with Client(relay.port) as c:  # each with a header of his own, and no more than fit
            codes = rcpt(c, *[f"r{n}@to.test" for n in range(120)])
            assert codes == [250] * 100 + [452] * 20


# ------------------------------------------------------------ policy servers ----

CHAOS = """
rule "grey" { from = {"grey.test"}  action = greylist  retry-after = "1s" }
rule "many" { action = limit  per = to-domain  rate = {"1000000/h"} }
rule "asked" { action = policy  server = "%s" }
rule "asked then" { header = {"Subject"}  action = policy  server = "%s" }
rule "exe" { attachment = {"*.exe"}  action = reject }
rule "own" { action = add-header  add-header = {"X-To: %%{recipient}"} }
rule "here" { client = {"127.0.0.0/8"}  action = relay }
"""


def test_mad_policy_servers_and_clients_that_vanish(tmp_path):
    dice, calm = random.Random(5), threading.Event()

    def answer(request, n):
        if calm.is_set():
            return "DUNNO"
        return dice.choice([
            HANG, CLOSE, CLOSE, RESET, b"\0\0\0", b"garbage\n\n", b"action=" + b"A" * 70000,
            b"action=DUNNO\n\naction=REJECT\n\n", ("REDIRECT x@else.test",), "DUNNO", "OK",
            "REJECT no", "DEFER_IF_PERMIT later", "PREPEND X-A: b", "BCC b@else.test", "HOLD",
            "DISCARD", "421 go", "REDIRECT postmaster", "BCC x@-a.test", "PREPEND no field"])

    def client(relay, seed, until):
        r = random.Random(seed)
        while time.monotonic() < until:
            with socket.create_connection(("127.0.0.1", relay.port), 3) as s:
                if r.random() < .7:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                lines = [b"EHLO x.test\r\n",
                         b"MAIL FROM:<s@%s>\r\n" % r.choice([b"grey.test", b"a.test"])]
                lines += [b"RCPT TO:<r%d@to.test>\r\n" % n for n in range(r.randrange(1, 5))]
                lines += r.choice([[b"DATA\r\n"], [b"RSET\r\n"], []])
                lines += [b"Subject: x\r\n\r\n.\r\n"]
                try:
                    s.recv(200)
                    for line in lines[:r.randrange(2, len(lines) + 1)]:
                        s.sendall(line)
                        if r.random() < .5:
                            s.recv(2000)
                except OSError:
                    pass

    with Sink() as sink, Policy(answer) as policy, \
            Relay(tmp_path, {"*": {"via": sink.hop, "tls": "none"}}, top="workers = 2",
                  rules=CHAOS % (policy.server, policy.server)) as relay:
        until = time.monotonic() + 4
        clients = [threading.Thread(target=client, args=(relay, n, until)) for n in range(12)]
        for t in clients:
            t.start()
        while time.monotonic() < until:
            time.sleep(.5)
            relay.reload()
        for t in clients:
            t.join()
        calm.set()
        policy.drop_all()
        assert relay.is_alive
        with Client(relay.port, timeout=30) as c:
            assert c.mail(b"Subject: last\r\n\r\nx\r\n", "s@b.test", ["last@to.test"]).code == 250
        wait_for(lambda: [m for m in sink.messages if "last@to.test" in m.recipients])
        assert sum("last@to.test" in m.recipients for m in sink.messages) == 1
        assert relay.stop() == 0


# ------------------------------------------------------------------ mistakes ----

BASE = """hostname = "relay.test"
listener "in" {{ address = "127.0.0.1:2525" }}
admin {{ socket = "{folder}/admin.sock" }}
queue {{ path = "{folder}/queue.db" }}
route "*" {{ via = {{"smtp://127.0.0.1:1"}} }}
"""
TEN = 'rule "ten" { client = {"10.0.0.0/8"}  action = relay }\n'

# what was written at line 6, and what is said: COLUMN, and words of it
MISTAKES = [
    ('rule "x" { to = {"table:no-such"} action = reject }', 18, "cannot read the table"),
    ('rule "x" { from = {\'/(a/\'} action = reject }', 20, "missing closing parenthesis"),
    ('rule "x" { client = {"0.0.0.0/0"} action = relay }', 12, "these networks hold everybody"),
    ('rule "x" { client = {"0.0.0.0/1", "128.0.0.0/1"} action = relay }', 12,
     "these networks hold everybody"),
    ('rule "x" { to = {"*"} action = relay }', 23, "opens the relay"),
    ('rule "x" { from = {"me.test"} action = relay }', 31, "opens the relay"),
    ('rule "x" { tag = {"friend"} action = relay }', 29, "opens the relay"),
    ('rule "x" { client = {"10.0.0.1/8"} action = relay }', 22, "no bits set below"),
    ('rule "x" { cleint = {"10.0.0.0/8"} action = relay }', 12, '"client" was meant?'),
    ('rule "x" { client = {"10.0.0.0/8" "10.1.0.0/16"} action = relay }', 35, "comma is missing"),
    ('rule "x" { client = {"10.0.0.0/8"} }', 1, "a rule needs an action"),
    ('rule "x" { action = limit per = client rate = {"100 per hour"} }', 48, '"100/h"'),
    ('rule "x" { action = limit per = client }', 12, "limit needs rate"),
    ('rule "x" { from = {"a.test"} action = reject reply = "450 4.7.1 no" }', 46, "begins with 5"),
    ('rule "x" { from = {"a.test"} action = reject reply = "554 5.7.1 %{reciever}" }', 54,
     '"reciever" in %{...} is not one of recipient, sender'),
    ('rule "x" { from = {"a.test"} action = reject reply = "554 5.7.1 a\\r\\nb" }', 54,
     "a backslash"),
    ('rule "x" { action = add-header add-header = {"X-A b"} }', 46, "is not a header"),
    ('rule "x" { header = {"Subject: pills"} action = reject }', 22, "'Subject: /pattern/'"),
    ('rule "x" { header = {"X"} client = {"10.0.0.0/8"} action = relay }', 12,
     "decided before the message comes"),
    ('rule "x" { action = route route = "nowhere" }', 35, "there is no route"),
    ('rule "x" { dnsbl = {"127.0.0.1"} action = reject }', 21, "is not a list in the DNS"),
    ('rule "x" { action = policy server = "127.0.0.1" }', 37, "is not a policy server"),
    ('rule "x" { action = rewrite rewrite-to = {"a@b.test"} }', 43, "table:FILE"),
    ('rule "x" { action = rewrite rewrite-to = {\'/(.*)@a/ $3@b\'} }', 43,
     "its expression has 1 group,"),
    ('rule "x" { action = greylist retry-after = "3d" }', 30, "nobody could ever pass"),
]
DOUBTS = [
    ('rule "x" { client = {"10.1.0.0/16"} action = reject }', 7, 1,
     'never reached: rule "ten" at {f}:6:1'),
    ('rule "x" { action = add-header add-header = {"X: y"} }', 7, 1,
     "never acts on mail that is accepted"),
    ('rule "x" { attachment = {".exe", "*.com", "a.bat"} action = reject }', 7, 26,
     '"*.exe" was meant?'),
    ('rule "x" { tag = {"spam"} action = reject }', 7, 1, "no rule above it sets"),
]


def check(folder, text, mode=0o600):
    config = folder / "waypost.conf"
    config.write_text(BASE.format(folder=folder) + text)
    config.chmod(mode)
    done = subprocess.run([program(), "check", "-c", config], capture_output=True, timeout=20)
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("text,column,words", MISTAKES)
def test_a_mistake_is_told_where_it_is(tmp_path, text, column, words):
    code, said = check(tmp_path, text + "\n" + TEN)
    told = [line for line in said.splitlines()
            if line.startswith(f"{tmp_path}/waypost.conf:6:{column}: ") and words in line]
    assert code == 78 and told, said


@pytest.mark.parametrize("text,line,column,words", DOUBTS)
def test_a_doubt_is_told_with_its_lines(tmp_path, text, line, column, words):
    code, said = check(tmp_path, TEN + text + "\n")
    words = words.format(f=f"{tmp_path}/waypost.conf")
    start = f"{tmp_path}/waypost.conf:{line}:{column}: warning: "
    told = [w for w in said.splitlines() if w.startswith(start)]
    assert code == 0 and len(told) == 1 and words in told[0], said


def test_circles_and_files_that_anybody_may_write(tmp_path):
    (tmp_path / "round").write_text("x@a.test y@a.test\ny@a.test x@a.test\n")
    code, said = check(tmp_path, 'rule "x" { action = rewrite rewrite-to = '
                       f'{{"table:{tmp_path}/round"}} }}\n' + TEN)
    assert code == 78 and f'{tmp_path}/round:1:1: "x@a.test" leads back' in said
    assert "warning" not in check(tmp_path, TEN)[1]
    code, said = check(tmp_path, TEN, 0o666)
    assert code == 0 and "waypost.conf:1:1: warning: anybody on this machine" in said
