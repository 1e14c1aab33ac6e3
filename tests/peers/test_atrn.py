"""ATRN (RFC 2645): a customer without an address of his own fetches his mail over the
connection that he has made.

The customer is a Client until the 250, and a Sink from then on.
"""

import base64
import hashlib
import hmac
import random
import shutil
import ssl
import subprocess
import threading
import time

import pytest

from pki import Authority
from relay import (Client, FIN, RST, Relay, Sink, content_of,
                   free_port, program, wait_for)

USERS = {"branch": "pencil", "shop": "paper", "vault": "steel", "stranger": "stone"}
ROUTES = """
route "branch.test" { via = {"pickup:branch"}  offline { login = {"branch"} } }
route "two.branch.test" { via = {"pickup:branch"}  offline { login = {"branch"} } }
route "three.test" { via = {"pickup:three"}  offline { login = {"branch"} } }
route "shop.test" { via = {"pickup:shop"}  offline { login = {"shop", "vault"} } }
route "safe.test" { via = {"pickup:safe"}  tls = required
                    offline { login = {"vault"} } }
"""


_files = {}


class Provider(Relay):
    """A relay with mail for others, and with listeners for who fetches it."""

    def __init__(self, folder, authority=None, extra=ROUTES, **kw):
        folder.mkdir(parents=True, exist_ok=True)
        self.odmr, self.odmrs = free_port(), free_port()
        for name in ("users", "cram"):
            (folder / name).touch(0o600)
        top = f'users {{ file = "{folder}/users"  cram = "{folder}/cram" }}\n'
        keys = "auth = optional  auth-without-tls = true  turn = true"
        if authority:
            pair = authority.issue("relay.test")
            top += f'tls {{ certificate = "{pair.path}"  key = "{pair.key}" }}\n'
            top += (f'listener "odmrs" {{ address = "127.0.0.1:{self.odmrs}" '
                    f'tls = implicit  {keys} }}\n')
        top += f'listener "odmr" {{ address = "127.0.0.1:{self.odmr}"  {keys} }}\n'
        super().__init__(folder, {"*": "smtp://127.0.0.1:9"}, top=top,
                         extra=extra, **kw)
        if not _files:  # hashing takes its time
            for name, password in USERS.items():
                for more in ((), ("--cram",)):
                    self.add(name, password, *more)
            for name in ("users", "cram"):
                _files[name] = (folder / name).read_bytes()
        for name, text in _files.items():
            (folder / name).write_bytes(text)

    def add(self, name, password, *more):
        subprocess.run([program(), "user", "add", *more, name, "-c", self.config],
                       input=password.encode() + b"\n", check=True,
                       capture_output=True)

    def put(self, *recipients, content=b"Subject: x\r\n\r\nwaited\r\n", **kw):
        with Client(self.port) as c:
            for r in recipients:
                assert c.mail(content, to=(r,), **kw).code == 250

    def waiting(self):
        return sorted(r["address"] for row in self.queue_list()
                      for r in row["recipients"])


class Customer:
    """Dials, logs in and asks; then serves what comes with the sink."""

    def __init__(self, provider, user="branch", sink=None, tls=None,
                 implicit=False):
        self.provider, self.sink = provider, sink or Sink()
        self.client = Client(provider.odmrs if implicit else provider.odmr,
                             tls=tls if implicit else None)
        if tls and not implicit:
            assert self.client.starttls(tls).code == 250
        assert self.client.login(user, USERS[user]).code == 235
        self.thread = None

    def ask(self, argument=""):
        return self.client.command(f"ATRN {argument}".strip())

    def serve(self, wait=True):
        self.thread = threading.Thread(
            target=self.sink._serve, args=(self.client.socket, 1), daemon=True)
        self.thread.start()
        if wait:
            self.thread.join(20)
            assert not self.thread.is_alive()
        return self.sink

    def fetch(self, argument=""):
        reply = self.ask(argument)
        assert reply.code == 250 and \
            reply.text == "OK now reversing the connection", reply
        return self.serve()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.sink.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def provider(tmp_path):
    with Provider(tmp_path / "p") as p:
        yield p


def recipients(sink):
    return sorted(r for m in sink.messages for r in m.recipients)


def test_mail_is_fetched_and_there_is_no_more(provider):
    provider.put("u@branch.test", "v@two.branch.test", "w@three.test")
    with Customer(provider) as c:
        assert recipients(c.fetch()) == ["u@branch.test", "v@two.branch.test",
                                         "w@three.test"]
        assert c.sink.count("quit") == 1
    provider.wait_empty()
    provider.wait_log(r"branch has fetched 3 messages over unknown\[127.0.0.1\]:\d+\n")
    with Customer(provider) as c:
        reply = c.ask()
        assert (reply.code, reply.text) == (453, "You have no mail")


# ---------------------------------------------------------- who may have what ----

def test_only_what_is_asked_for_is_given(provider):
    provider.put("u@branch.test", "v@two.branch.test", "w@three.test", "x@shop.test")
    with Customer(provider) as c:
        assert recipients(c.fetch("TWO.branch.test,three.test")) == [
            "v@two.branch.test", "w@three.test"]
    assert provider.waiting() == ["u@branch.test", "x@shop.test"]
    with Customer(provider) as c:
        assert c.ask("three.test").code == 453
        assert recipients(c.fetch("three.test,branch.test")) == ["u@branch.test"]
    with Customer(provider, "shop") as c:
        assert c.client.command("TURN").code == 250
        assert recipients(c.serve()) == ["x@shop.test"]
    provider.wait_empty()


def test_what_is_not_his_is_refused_and_all_with_it(provider, authority, tmp_path):
    provider.put("u@branch.test", "x@shop.test", "y@safe.test")
    with Client(provider.odmr) as c:
        assert c.command("ATRN branch.test").code == 530
        assert c.command("TURN").code == 530
    with Client(provider.port, helo=None) as c:
        assert b"ATRN" not in c.command("EHLO a").lines
        assert c.command("ATRN branch.test").code == 502
    with Customer(provider, "stranger") as c:
        for argument in ("", "branch.test", "branch.test,shop.test", "nobody.test"):
            assert c.ask(argument).code == 450, argument
    with Customer(provider) as c:
        for argument in ("branch.test,shop.test", "shop.test,branch.test",
                         "branch.test,nobody.test"):
            assert c.ask(argument).code == 450, argument
        assert c.ask("branch.test,branch.test").code == 501
        assert c.client.command("ETRN branch.test").code == 458
    with Customer(provider, "vault") as c:
        assert c.ask("safe.test").code == 530  # the route wants TLS
        assert c.ask().code == 530
        assert recipients(c.fetch("shop.test")) == ["x@shop.test"]
    provider.wait_log("vault fetches over .*: shop.test")
    assert provider.waiting() == ["u@branch.test", "y@safe.test"]


def test_two_at_once_do_not_share(provider):
    provider.put("u@branch.test", "x@shop.test", "w@three.test")
    with Customer(provider) as first, Customer(provider) as second, \
            Customer(provider, "shop") as other:
        assert first.ask("branch.test").code == 250  # and greets when it likes
        assert second.ask("branch.test").code == 450
        assert second.ask().code == 450
        assert recipients(other.fetch()) == ["x@shop.test"]
        assert recipients(second.fetch("three.test")) == ["w@three.test"]
        assert recipients(first.serve()) == ["u@branch.test"]
    provider.wait_empty()


def test_a_suspended_destination_is_not_fetched(provider):
    provider.put("u@branch.test")
    provider.verb("dest", "suspend", "pickup:branch", "--for", "1h", "--reason", "no")
    with Customer(provider) as c:
        assert c.ask().code == 450
        provider.verb("dest", "resume", "pickup:branch")
        assert recipients(c.fetch()) == ["u@branch.test"]


def test_one_that_is_suspended_does_not_keep_back_the_others(provider):
    provider.put("u@branch.test", "w@three.test")
    provider.verb("dest", "suspend", "pickup:branch", "--for", "1h", "--reason", "no")
    with Customer(provider) as c:
        assert c.ask("branch.test,three.test").code == 450  # named: not without it
        assert recipients(c.fetch()) == ["w@three.test"]
    with Customer(provider) as c:
        assert c.ask().code == 450  # there is mail, but not now
    provider.verb("dest", "resume", "pickup:branch")
    with Customer(provider) as c:
        assert recipients(c.fetch()) == ["u@branch.test"]


def test_an_ordinary_route_may_be_fetched_too(tmp_path):
    extra = """
route "*.dial.test" { via = {"mx"}  offline { login = {"branch"} } }
route "dial.test" { via = {"mx"}  offline { login = {"branch"} } }
route "host.test" { via = {"smtp://127.0.0.1:10"}  offline { login = {"branch"} } }
route "vip" { to = {"host.test"}  from = {"boss.test"}  via = {"pickup:vip"}
              offline { login = {"branch"} } }
route "root" { to = {"root@host.test"}  via = {"pickup:root"}
               offline { login = {"shop"} } }
"""
    with Provider(tmp_path / "p", extra=extra) as p:
        p.put("u@dial.test", "u@host.test", "u@a.dial.test", "root@host.test")
        p.put("v@host.test", sender="s@boss.test")
        with Customer(p) as c:
            # a name below a pattern has to be said
            assert recipients(c.fetch()) == ["u@dial.test", "u@host.test", "v@host.test"]
        with Customer(p) as c:
            assert c.ask("host.test").code == 453
            assert recipients(c.fetch("a.dial.test")) == ["u@a.dial.test"]
        with Customer(p, "shop") as c:
            assert recipients(c.fetch("host.test")) == ["root@host.test"]
        p.wait_empty()


def test_many_destinations_go_over_one_connection(tmp_path):
    routes = "".join(f'route "d{i}.test" {{ via = {{"pickup:d{i}"}} '
                     'offline { login = {"branch"} } }\n' for i in range(70))
    sent = sorted(f"u@d{i}.test" for i in range(70))
    with Provider(tmp_path / "p", extra=routes) as p:
        p.put(*sent)
        got = []
        with Customer(p) as c:  # so many at a time
            got += recipients(c.fetch())
            assert len(got) == 64
        with Customer(p) as c:
            got += recipients(c.fetch())
        assert sorted(got) == sent
        p.wait_empty()


# ---------------------------------------------------------------- the content ----

WAYS = [("clear", False, False), ("clear", True, True), ("starttls", True, False),
        ("starttls", False, True), ("implicit", False, False),
        ("implicit", True, True)]


@pytest.mark.parametrize("way,chunks,group", WAYS)
def test_every_byte_arrives(tmp_path, authority, way, chunks, group):
    chance = random.Random(f"{way} {chunks} {group}")
    trust = None
    if way != "clear":
        trust = ssl.create_default_context(cafile=authority.path)
    extensions = ["SIZE 104857600", "8BITMIME", *["CHUNKING"] * chunks,
                  *["PIPELINING"] * group]
    bodies = {f"u{size}@{domain}": content_of(size, chance)
              for size in (1, 100, 70000, 3000000)
              for domain in ("branch.test", "three.test")}
    with Provider(tmp_path / "p", authority) as p:
        for to, body in bodies.items():
            p.put(to, content=b"Subject: x\r\n\r\n" + body)
        with Customer(p, tls=trust, implicit=way == "implicit",
                      sink=Sink(extensions=extensions)) as c:
            got = {m.recipients[0]: m for m in c.fetch().messages}
            assert set(got) == set(bodies)
            for to, body in bodies.items():
                assert got[to].body_as_sent == b"Subject: x\r\n\r\n" + body, to
                assert got[to].by_bdat == chunks
            assert c.sink.count("starttls") == 0
        p.wait_empty()


def test_what_wants_tls_is_fetched_under_it(tmp_path, authority):
    trust = ssl.create_default_context(cafile=authority.path)
    with Provider(tmp_path / "p", authority) as p:
        p.put("y@safe.test", "x@shop.test")
        # a certificate to offer STARTTLS with, which nobody takes him up on
        with Customer(p, "vault", tls=trust) as c:
            assert recipients(c.fetch()) == ["x@shop.test", "y@safe.test"]
        p.wait_empty()


def test_a_backlog_and_what_comes_meanwhile(provider):
    count = 300
    with Client(provider.port) as c:
        for i in range(count):
            assert c.mail(b"Subject: x\r\n\r\n%d\r\n" % i,
                          to=(f"u{i}@branch.test",)).code == 250
    late = []

    def script(number, stage, argument):
        if stage == "dot" and len(late) < 5:
            late.append(f"late{len(late)}@branch.test")
            provider.put(late[-1])
    with Customer(provider, sink=Sink(script)) as c:
        got = recipients(c.fetch())
    assert len(got) == len(set(got)) == count + 5
    provider.wait_empty()


# ------------------------------------------------------------------- trouble ----

def cut(stage, nth=1):
    """A script that cuts the connection at the n-th time of a stage."""
    seen = []

    def script(number, at, argument):
        if at == stage:
            seen.append(at)
            if len(seen) == nth:
                return RST
    return script


# behind "body" stands the dot, and there is doubt
STEPS = ["connect", "banner", "ehlo", "mail", "rcpt", "data", "quit"]


@pytest.mark.parametrize("group", [True, False])
def test_who_vanishes_loses_nothing_and_comes_again_at_once(tmp_path, group):
    sent = ["a@branch.test", "b@branch.test", "c@three.test"]
    extensions = ["PIPELINING"] * group
    with Provider(tmp_path / "p", retry={"first": '"1h"', "most": '"1h"'}) as p:
        for step in STEPS:
            for nth in (1, 2):
                p.put(*sent)
                got = []
                for script in (cut(step, nth), None, None):
                    with Customer(p, sink=Sink(script, extensions=extensions)) as c:
                        if c.ask().code == 250:
                            got += recipients(c.serve())
                    wait_for(lambda: p.log().count("fetches over") ==
                             p.log().count("has fetched"), 10, "an end")
                assert sorted(got) == sent, (step, nth)
                p.wait_empty()


def test_who_says_nothing_after_the_250_and_goes(provider):
    provider.put("u@branch.test")
    for farewell in ("close", "reset", "shut"):
        with Customer(provider) as c:
            assert c.ask().code == 250
            getattr(c.client, farewell)()
            wait_for(lambda: provider.log().count("fetches over") ==
                     provider.log().count("has fetched"), 10, "an end")
    with Customer(provider) as c:
        assert recipients(c.fetch()) == ["u@branch.test"]


def test_half_a_message_is_none(provider):
    body = content_of(12000000, random.Random(1))  # more than the kernel takes
    provider.put("u@branch.test", content=b"Subject: x\r\n\r\n" + body)

    def half(session):
        while len(session.data) < 1000000:
            session.read_more()
    for answer in ([half, RST], [half, FIN]):
        with Customer(provider, sink=Sink({"body": answer})) as c:
            assert c.fetch().messages == []
        wait_for(lambda: provider.log().count("fetches over") ==
                 provider.log().count("has fetched"), 10, "an end")
    with Customer(provider) as c:
        assert c.fetch().messages[0].body_as_sent.endswith(body)
    provider.wait_empty()


def test_only_behind_the_dot_is_there_doubt(provider):
    provider.put("u@branch.test", "v@three.test")
    with Customer(provider, sink=Sink(cut("dot"))) as c:
        assert c.fetch().messages == []
    provider.wait_log("sending end of data -- message may be sent more than once")
    assert len(provider.waiting()) == 2
    got = []
    for _ in range(6):  # the one that is in doubt has its own time
        with Customer(provider) as c:
            if c.ask().code == 250:
                got += recipients(c.serve())
        time.sleep(0.5)
    assert sorted(got) == ["u@branch.test", "v@three.test"]
    provider.wait_empty()


def test_each_recipient_is_heard(provider):
    with Client(provider.port) as c:
        assert c.mail(b"Subject: x\r\n\r\ny\r\n", to=(
            "good@branch.test", "later@branch.test", "never@branch.test")).code == 250
    answers = {b"later": b"450 4.2.0 not now\r\n", b"never": b"550 5.1.1 nobody\r\n"}

    def script(number, stage, argument):
        if stage == "rcpt":
            return next((a for k, a in answers.items() if k in argument), None)
    with Customer(provider, sink=Sink(script)) as c:
        assert recipients(c.fetch()) == ["good@branch.test"]
    provider.wait_log(r"to=<never@branch.test>.*dsn=5.1.1, status=bounced")
    provider.wait_log(r"to=<later@branch.test>.*dsn=4.2.0, status=deferred")
    assert "later@branch.test" in provider.waiting()
    answers.clear()
    got = []

    def again():
        with Customer(provider) as c:
            if c.ask().code == 250:
                got.extend(recipients(c.serve()))
        return got
    wait_for(again, 10, "the second time")
    assert got == ["later@branch.test"]


def test_who_puts_one_message_off_gets_the_rest(provider):
    names = [f"u{i}@branch.test" for i in range(3)]
    for name in names:
        provider.put(name)
    mails = []

    def script(number, stage, argument):
        if stage == "mail":
            mails.append(argument)
            if len(mails) == 2:
                return b"451 4.3.0 not this one\r\n"
    with Customer(provider, sink=Sink(script)) as c:
        got = recipients(c.fetch())
    assert len(got) == 2 and len(mails) == 3
    provider.wait_log("has fetched 2 messages over")
    provider.wait_log(r"status=deferred .*451 4.3.0 not this one")
    assert provider.waiting() == sorted(set(names) - set(got))


@pytest.mark.parametrize("script,mail", [
    ({"banner": b"421 4.3.2 not now\r\n"}, 0), ({"banner": b"554 5.3.2 never\r\n"}, 0),
    ({"banner": b"450 4.3.2 no\r\n"}, 0), ({"banner": b"what?\r\n"}, 0),
    ({"ehlo": b"500 5.5.1 what?\r\n"}, 2), ({"ehlo": b"421 4.3.2 no\r\n"}, 0),
    ({"mail": b"421 4.3.2 bye\r\n"}, 0), ({"mail": b"451 4.3.0 no\r\n"}, 0),
    ({"rcpt": b"421 4.3.2 bye\r\n"}, 0), ({"data": b"451 4.3.0 no\r\n"}, 0),
    ({"dot": b"451 4.3.0 no\r\n"}, 0), ({"dot": [b"250 Ok\r\n421 bye\r\n", FIN]}, 1),
])
def test_a_customer_who_is_not_well(provider, script, mail):
    provider.put("u@branch.test", "v@branch.test")
    with Customer(provider, sink=Sink(script)) as c:
        c.fetch()
    wait_for(lambda: "has fetched" in provider.log(), 10)
    # the line comes before the commit
    wait_for(lambda: len(provider.waiting()) == 2 - mail, 5)
    got = []

    def rest():
        with Customer(provider) as c:
            if c.ask().code == 250:
                got.extend(recipients(c.serve()))
        return len(got) == 2 - mail
    wait_for(rest, 10, "the rest")
    provider.wait_empty()


def test_what_is_said_too_early_ends_it(provider):
    provider.put("u@branch.test")
    with Customer(provider) as c:
        c.client.send(b"ATRN\r\n220 here\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n")
        assert c.client.reply().code == 554
        assert c.client.is_closed()
    with Customer(provider) as c:
        assert c.ask().code == 250
        c.client.send(b"220 here\r\n250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n")
        assert c.client.is_closed()
    provider.wait_log("has fetched 0 messages over .*broke the protocol")
    with Customer(provider) as c:
        assert recipients(c.fetch()) == ["u@branch.test"]


def test_going_down_loses_nothing(tmp_path):
    with Provider(tmp_path / "p") as p:
        p.put("u@branch.test", "v@branch.test", "w@three.test")
        started, go_on = threading.Event(), threading.Event()

        def script(number, stage, argument):
            if stage == "dot":
                started.set()
                go_on.wait(20)
        with Customer(p, sink=Sink(script)) as c:
            assert c.ask().code == 250
            c.serve(wait=False)
            assert started.wait(10)
            p.process.terminate()
            time.sleep(0.3)
            go_on.set()  # past the dot: that answer is waited for
            c.thread.join(10)
            first = recipients(c.sink)
            assert len(first) == 1
        assert p.process.wait(20) == 0
        p.start()
        with Customer(p) as c, Customer(p) as idle:
            # one that waits for its greeting is no reason to stay
            assert idle.ask("three.test").code == 250
            got = recipients(c.fetch("branch.test")) + first
            assert sorted(got) == ["u@branch.test", "v@branch.test"]
            assert p.stop() == 0
        p.start()
        with Customer(p) as c:
            assert recipients(c.fetch()) == ["w@three.test"]
        p.wait_empty()


def test_a_reload_ends_it_between_two_messages(provider):
    provider.put("u@branch.test", "v@branch.test")

    def script(number, stage, argument):
        if stage == "dot":
            provider.reload()
            provider.wait_log("reloaded|configuration .*read")
    with Customer(provider, sink=Sink(script)) as c:
        assert len(recipients(c.fetch())) == 1
        assert c.sink.count("quit") == 1
    with Customer(provider) as c:
        assert len(recipients(c.fetch())) == 1
    provider.wait_empty()


# ---------------------------------------------------------------- real peers ----

def cram(client, user, password):
    reply = client.command("AUTH CRAM-MD5")
    assert reply.code == 334
    digest = hmac.new(password.encode(), base64.b64decode(reply.text), hashlib.md5)
    return client.command(base64.b64encode(
        f"{user} {digest.hexdigest()}".encode()).decode())


def test_cram_md5_is_for_who_fetches(provider):
    for port, code in ((provider.odmr, 235), (provider.port, None)):
        with Client(port, helo=None) as c:
            words = c.command("EHLO a").text
            assert ("CRAM-MD5" in words) == (code is not None)
            if code:
                assert cram(c, "branch", "pencil").code == 235
                assert c.command("ATRN").code == 453
    with Client(provider.odmr) as c:
        assert cram(c, "branch", "paper").code == 535


@pytest.mark.skipif(not shutil.which("fetchmail"), reason="no fetchmail")
def test_fetchmail_is_a_customer(provider, tmp_path):
    bodies = [content_of(size, random.Random(size), eight_bit=False)
              for size in (2, 5000, 400000)]
    for i, body in enumerate(bodies):
        provider.put(f"u{i}@branch.test", content=b"Subject: x\r\n\r\n" + body)
    provider.put("w@three.test")
    with Sink() as home:
        rc = tmp_path / "fetchmailrc"
        rc.write_text(f"""poll 127.0.0.1 service {provider.odmr} protocol ODMR
  user "branch" password "pencil" smtphost 127.0.0.1/{home.port}
  fetchdomains branch.test,three.test sslproto ""
""")
        rc.chmod(0o600)

        def run():
            return subprocess.run(
                ["fetchmail", "-f", rc, "--nosyslog", "--nodetach", "-vv",
                 "--pidfile", tmp_path / "pid"], capture_output=True, timeout=60,
                env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, text=True)
        done = run()
        assert recipients(home) == [
            "u0@branch.test", "u1@branch.test", "u2@branch.test", "w@three.test"], \
            done.stdout + done.stderr + provider.log()
        for i, body in enumerate(bodies):
            m = next(m for m in home.messages if m.recipients == [f"u{i}@branch.test"])
            assert m.content.endswith(body)
        assert "CRAM-MD5" in done.stdout
        provider.wait_empty()
        assert "453" in run().stdout
