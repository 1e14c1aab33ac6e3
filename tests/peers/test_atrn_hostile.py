"""Customers who do not do as they should, and requests made to do harm: ETRN and ATRN."""

import random
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from pki import Authority
from relay import FIN, Client, Relay, Sink, content_of, stuff, \
    wait_for
from test_atrn import Customer, Provider, ROUTES, recipients

CHUNKING = ["CHUNKING", "PIPELINING", "8BITMIME"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def provider(tmp_path):
    with Provider(tmp_path / "p") as p:
        yield p


def ended(p):
    """No turned session is under way."""
    wait_for(lambda: p.log().count("fetches over") == p.log().count("has fetched"),
             15, "an end")


@pytest.mark.parametrize("refusal", [b"500 5.5.2 what?\r\n", b"502 5.5.1 not here\r\n"])
def test_who_offers_CHUNKING_and_does_not_know_it_gets_his_mail(tmp_path, refusal):
    """He loses one session; then it is known of him."""
    extra = ROUTES + 'route "four.test" { via = {"pickup:four"} ' \
        'offline { login = {"branch"} } }\n'
    with Provider(tmp_path / "p", extra=extra, queue={}, retry={
            "first": '"1h"', "most": '"1h"'}) as p:
        sent = ["a@branch.test", "b@branch.test", "c@three.test", "d@four.test"]
        p.put(*sent, content=b"Subject: x\r\n\r\n" + content_of(3000, random.Random(1)))
        got, tries = [], 0

        def script(number, stage, argument):
            return [refusal, FIN] if stage == "dot" and argument.by_bdat else None
        while p.waiting() and tries < 3:
            tries += 1
            with Customer(p, sink=Sink(script, extensions=CHUNKING)) as c:
                if c.ask().code == 250:
                    got += recipients(c.serve())
            ended(p)
            wait_for(lambda: not p.waiting() or tries == 1, 5)
        assert sorted(got) == sent and tries == 2
        p.wait_empty()


# ------------------------------------------------------- requests made to harm ----

# what stands behind the verb, and what may be answered
BAD = [
    b"#','x');--", b"branch.test'; DROP TABLE message;--", b"branch.test' OR '1'='1",
    b'"branch.test"', b"'branch.test'", b"branch.test\"", b"branch.test;", b"%",
    b"branch.test%00", b"branch.te%st", b"*", b"*.test", b".", b"..", b".branch.test",
    b"branch..test", b"-branch.test", b"branch.test-", b"branch.test.", b"[127.0.0.1]",
    b"<branch.test>", b"branch.test\tthree.test", b"branch.test three.test",
    b"branch.test\0", b"\0", b"branch\0.test", b"br\xe4nch.test", b"br\xc3\xa4nch.test",
    b"\xff" * 50, b"a" * 64 + b".test", b"a." * 130 + b"test", b"x" * 1900,
    b"@", b"#", b"@@branch.test", b"##branch", b"#@branch", b"#../../etc/passwd",
    b"#branch/../x", b"@.test", b"@*.test", b"$(id)", b"`id`", b"|id", b"../branch.test",
    b"%s%s%n", b"u@branch.test", b"pickup:branch", b"xn--", b"\\",
]
BAD_LISTS = [b",", b"," * 1500, b"branch.test,", b",branch.test", b"branch.test,,three.test",
             b"branch.test, three.test", b"branch.test ,three.test",
             b"branch.test,@three.test", b"branch.test,#three", b"branch.test,\0",
             b",".join(b"d%d.test" % i for i in range(200)), b"branch.test;three.test"]


def answer(client, line):
    client.send(line + b"\r\n")
    return client.reply()


def test_arguments_made_to_do_harm_are_refused(tmp_path):
    extra = ROUTES.replace('login = {"branch"} }', 'login = {"branch"} '
                           ' client = {"127.0.0.1"} deliver-to = "smtp://127.0.0.1:9" }')
    with Provider(tmp_path / "p", extra=extra, limits={"errors": 1000}) as p:
        p.put("u@branch.test", "w@three.test")
        with Customer(p) as c:
            for argument in BAD:
                reply = answer(c.client, b"ETRN " + argument)
                assert reply.code in (500, 501, 459, 458), (argument, reply)
                assert len(reply.text) < 400 and "\0" not in reply.text
            for argument in BAD + BAD_LISTS:
                reply = answer(c.client, b"ATRN " + argument)
                assert reply.code in (500, 501, 450), (argument, reply)
            assert answer(c.client, b"ATRN " + b"," * 10000).code == 500
            assert answer(c.client, b"ETRN " + b"a" * 2000).code in (500, 501)
            assert answer(c.client, b"NOOP").code == 250
        assert p.waiting() == ["u@branch.test", "w@three.test"]
        tables = subprocess.run(
            ["/usr/bin/python3", "-c", "import sqlite3,sys;print(sqlite3.connect("
             "f'file:{sys.argv[1]}?mode=ro',uri=True).execute("
             "'select count(*) from message').fetchone()[0])", p.queue_path],
            capture_output=True, text=True, check=True).stdout
        assert tables == "2\n" and p.is_alive


def test_spelling_does_not_matter_but_whose_it_is_does(provider):
    provider.put("u@branch.test", "v@two.branch.test", "x@shop.test")
    with Customer(provider) as c:
        for argument in ("SHOP.TEST", "branch.test,SHOP.test", "shop.test,branch.test",
                         "branch.test," + ",".join(f"d{i}.test" for i in range(60))):
            assert c.ask(argument).code == 450, argument
        assert c.client.command("MAIL FROM:<s@x.test>").code == 250
        for verb in ("ATRN", "ATRN branch.test", "TURN", "ETRN branch.test"):
            assert c.client.command(verb).code == 503, verb
        assert c.client.command("RSET").code == 250
        assert recipients(c.fetch("  BRANCH.Test,two.BRANCH.test  ".strip())) == [
            "u@branch.test", "v@two.branch.test"]
    assert provider.waiting() == ["x@shop.test"]


# -------------------------------------------------------- in the middle of a turn ----

def sent_by(sink):
    return recipients(sink)


def test_a_person_suspends_what_is_about_to_be_fetched(provider):
    """Between the 250 and the greeting: he is told at once that there is nothing."""
    provider.put("u@branch.test", "w@three.test")
    with Customer(provider) as c:
        assert c.ask().code == 250
        provider.verb("dest", "suspend", "pickup:branch", "--for", "1h", "--reason", "no")
        begun = time.monotonic()
        assert recipients(c.serve()) == ["w@three.test"]
        assert c.sink.count("quit") == 1 and time.monotonic() - begun < 20
    ended(provider)
    provider.verb("dest", "resume", "pickup:branch")
    with Customer(provider) as c:
        assert recipients(c.fetch()) == ["u@branch.test"]


@pytest.mark.parametrize("what", ["suspend", "resume", "reload", "hold", "delete"])
def test_a_person_acts_while_it_is_fetched(provider, what):
    sent = [f"u{i}@branch.test" for i in range(4)]
    provider.put(*sent)
    done = []

    def script(number, stage, argument):
        if stage != "dot" or done:
            return
        done.append(1)
        if what == "reload":
            provider.reload()
            provider.wait_log("configuration reloaded")
        elif what in ("hold", "delete"):
            provider.verb("queue", what, "--all", "--yes")
        else:
            provider.verb("dest", what, "pickup:branch", *(
                ("--for", "1h", "--reason", "no") if what == "suspend" else ()))
    with Customer(provider, sink=Sink(script)) as c:
        got = recipients(c.fetch())
        assert c.sink.count("quit") == 1
    ended(provider)
    assert len(got) == (4 if what == "resume" else 1), got
    undo = {"suspend": ("dest", "resume", "pickup:branch"),
            "hold": ("queue", "release", "--all", "--yes"),
            "delete": ("queue", "undelete", "--all", "--yes")}.get(what)
    if undo:
        provider.verb(*undo)
    with Customer(provider) as c:
        if len(got) < 4:
            got += recipients(c.fetch())
        else:
            assert c.ask().code == 453
    assert sorted(got) == sent
    provider.wait_empty()


@pytest.mark.parametrize("greeted", [False, True])
def test_a_reload_gives_what_is_fetched_another_way(tmp_path, greeted):
    """The customer keeps what he has in hand; the rest goes where it is routed now."""
    sent = [f"u{i}@branch.test" for i in range(4)]
    with Sink() as other, Provider(tmp_path / "p") as p:
        p.put(*sent, "w@three.test")

        def change():
            text = p.config.read_text()
            p.config.write_text(text.replace(
                'route "branch.test" { via = {"pickup:branch"}  offline { login = {"branch"} } }',
                f'route "branch.test" {{ via = {{"{other.hop}"}} }}'))
            p.reload()
            p.wait_log("configuration reloaded")

        def script(number, stage, argument):
            if stage == "dot" and greeted and "reloaded" not in p.log():
                change()
        with Customer(p, sink=Sink(script)) as c:
            assert c.ask("branch.test").code == 250
            if not greeted:
                change()
            got = recipients(c.serve())
            assert c.sink.count("quit") == 1 and len(got) == greeted
        other.wait(4 - greeted)
        ended(p)
        wait_for(lambda: p.waiting() == ["w@three.test"], 10)
        assert sorted(got + recipients(other)) == sent


def test_ETRN_while_it_is_fetched_and_ATRN_while_it_is_sent(tmp_path):
    """One host may do both; each message goes one way."""
    with Sink() as home:
        extra = f"""
route "branch.test" {{ via = {{"pickup:branch"}}  connections = 1
    offline {{ login = {{"branch"}}  client = {{"127.0.0.1"}}  deliver-to = "{home.hop}" }} }}
"""
        sent = sorted(f"u{i}@branch.test" for i in range(20))
        with Provider(tmp_path / "p", extra=extra) as p:
            p.put(*sent)
            asked = []

            def etrn(number, stage, argument):
                if stage == "dot" and not asked:
                    with Client(p.port) as c:
                        asked.append(c.command("ETRN branch.test").code)
            with Customer(p, sink=Sink(etrn)) as c:
                got = recipients(c.fetch())
            assert asked == [250]
            ended(p)
            p.wait_empty()
            assert sorted(got + recipients(home)) == sent

            del home.messages[:]
            p.put(*sent)
            began, go_on = threading.Event(), threading.Event()

            def hold(number, stage, argument):
                if stage == "dot" and not began.is_set():
                    began.set()
                    go_on.wait(10)
            home.script = hold
            with Client(p.port) as c:
                assert c.command("ETRN branch.test").code == 250
            assert began.wait(10)
            with Customer(p) as c:
                assert c.ask().code == 250
                c.serve(wait=False)
                go_on.set()
                c.thread.join(20)
                got = recipients(c.sink)
            ended(p)
            p.wait_empty()
            assert sorted(got + recipients(home)) == sent and len(got) >= 10


def test_expiry_while_it_is_fetched(tmp_path):
    """What is being given is given; what has run out is reported; nothing is both."""
    extra = 'route "branch.test" { via = {"pickup:branch"}  expire = "2s" ' \
        'offline { login = {"branch"} } }\n'
    sent = [f"u{i}@branch.test" for i in range(3)]
    with Provider(tmp_path / "p", extra=extra) as p:
        p.put(*sent)

        def script(number, stage, argument):
            if stage == "dot":
                wait_for(lambda: "status=expired" in p.log(), 20)
        with Customer(p, sink=Sink(script)) as c:
            got = recipients(c.fetch())
        ended(p)
        assert sent[0] in got
        wait_for(lambda: not [w for w in p.waiting() if "branch" in w], 10)
        log = p.log()
        for to in sent:
            fates = re.findall(f"to=<{to}>.*status=(\\w+)", log)
            assert fates == ["sent" if to in got else "expired"], (to, fates)


def test_a_quota_that_is_reached_in_the_middle_of_a_message(tmp_path):
    """What was let in at RCPT is taken, whole; then nothing until there is room again."""
    extra = ROUTES.replace('via = {"pickup:branch"}', 'via = {"pickup:branch"}  '
                           'quota = "20KB"')
    big = b"Subject: x\r\n\r\n" + content_of(15000, random.Random(1))
    with Provider(tmp_path / "p", extra=extra) as p:
        with Client(p.port) as a, Client(p.port) as b:
            for c in (a, b):  # both are under it, together they are not
                assert c.command(f"MAIL FROM:<s@x.test> SIZE={len(big)}").code == 250
                assert c.command("RCPT TO:<u@branch.test>").code == 250
                assert c.command("RCPT TO:<w@three.test>").code == 250
                assert c.command("DATA").code == 354
            wire = stuff(big) + b".\r\n"
            a.send(wire[:7000])
            b.send(wire)
            assert b.reply().code == 250
            a.send(wire[7000:])
            assert a.reply().code == 250
            assert a.command("MAIL FROM:<s@x.test>").code == 250
            reply = a.command("RCPT TO:<v@two.branch.test>")
            assert reply.code == 452 and reply.text.startswith("4.2.2"), reply
            assert a.command("RCPT TO:<w@three.test>").code == 250
            assert a.command("RSET").code == 250
            with Customer(p) as c:
                assert recipients(c.fetch()) == ["u@branch.test"] * 2 + \
                    ["w@three.test"] * 2
                assert all(big in m.body_as_sent for m in c.sink.messages)
            p.wait_empty()
            assert a.mail(big, to=("v@two.branch.test",)).code == 250


def test_only_what_is_held_or_for_later_is_no_mail_to_wait_for(provider):
    """250 may be followed by QUIT (RFC 2645 5.2.1); the session ends at once."""
    provider.put("u@branch.test")
    provider.verb("queue", "hold", "--all", "--yes")
    with Customer(provider) as c:
        reply = c.ask()
        if reply.code == 250:
            begun = time.monotonic()
            assert recipients(c.serve()) == []
            assert c.sink.count("quit") == 1 and time.monotonic() - begun < 20
        else:
            assert reply.code == 453
    provider.verb("queue", "release", "--all", "--yes")
    with Customer(provider) as c:
        assert recipients(c.fetch()) == ["u@branch.test"]


def test_what_was_deferred_is_given_when_he_asks_again(tmp_path):
    """Also over ETRN; and 250 is not said for nothing."""
    with Sink() as home:
        extra = f"""
route "branch.test" {{ via = {{"pickup:branch"}}
    offline {{ login = {{"branch"}}  client = {{"127.0.0.1"}}  deliver-to = "{home.hop}" }} }}
"""
        with Provider(tmp_path / "p", extra=extra,
                      retry={"first": '"1h"', "most": '"1h"'}) as p:
            p.put("u@branch.test")
            with Customer(p, sink=Sink({"rcpt": b"450 4.2.0 later\r\n"})) as c:
                assert c.ask().code == 250
                assert c.serve().messages == []
                assert c.sink.count("rcpt") == 1  # not again and again
            ended(p)
            home.script = {"rcpt": b"450 4.2.0 later\r\n"}

            def attempts():
                return p.queue_list()[0]["recipients"][0]["attempts"]
            before = attempts()
            with Client(p.port) as c:
                assert c.command("ETRN branch.test").code == 250
            wait_for(lambda: attempts() > before)
            home.script = {}
            with Customer(p) as c:
                assert recipients(c.fetch()) == ["u@branch.test"]
            p.wait_empty()


def keeps_asking(port, peer):
    """Has the kernel a keepalive timer on the server's end of this connection?"""
    want = (f"0100007F:{port:04X}", f"0100007F:{peer:04X}")
    with open("/proc/net/tcp") as table:
        for row in (line.split() for line in table):
            if (row[1], row[2]) == want:
                return row[5].startswith("02:")


def test_a_line_that_is_cut_without_a_word_is_noticed(provider):
    provider.put("u@branch.test")
    with Customer(provider) as c:
        peer = c.client.socket.getsockname()[1]
        assert keeps_asking(provider.odmr, peer) is False
        assert c.ask().code == 250
        wait_for(lambda: keeps_asking(provider.odmr, peer), 5)
        assert recipients(c.serve()) == ["u@branch.test"]


# --------------------------------------------------------------------- under TLS ----

def raw(c):
    """The socket below a TLS one."""
    return socket.socket(fileno=c.client.socket.detach())


@pytest.mark.parametrize("rubbish", [
    b"", b"\x17", b"\x17\x03\x03", b"\x17\x03\x03\x40\x00" + b"x" * 100,
    b"\x17\x03\x03\x00\x20" + b"y" * 32, b"220 in clear\r\n", b"\x15\x03\x03\x00\x02\x02\x28",
])
def test_records_that_are_cut_or_forged(tmp_path, authority, rubbish):
    trust = ssl.create_default_context(cafile=authority.path)
    with Provider(tmp_path / "p", authority) as p:
        p.put("u@branch.test")
        for implicit in (False, True):
            with Customer(p, tls=trust, implicit=implicit) as c:
                assert c.ask().code == 250
                s = raw(c)
                if rubbish:
                    s.sendall(rubbish)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(10)
                try:
                    while s.recv(4096):
                        pass
                except OSError:
                    pass
                s.close()
                c.client.socket = socket.socket()
            ended(p)
            assert p.waiting() == ["u@branch.test"]
        with Customer(p, tls=trust, implicit=True) as c:
            assert recipients(c.fetch()) == ["u@branch.test"]


# ------------------------------------------------------------------ many at once ----

def test_who_reads_a_byte_at_a_time_keeps_nobody_else(provider):
    """A slow customer holds his own mail and no thread: others are served meanwhile, and
    going down does not wait for him."""
    body = b"Subject: x\r\n\r\n" + content_of(9000000, random.Random(1))
    provider.put("u@branch.test", content=body)
    with Customer(provider) as slow:
        slow.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert slow.ask().code == 250

        def dribble(session):
            for _ in range(1000000):
                session.socket.recv(1)
                time.sleep(0.05)
        slow.sink.script = {"data": [b"354 go on\r\n", dribble]}
        slow.serve(wait=False)
        wait_for(lambda: slow.sink.count("data"), 10)
        for i in range(20):
            provider.put("x@shop.test")
            with Customer(provider, "shop") as c:
                assert recipients(c.fetch("shop.test")) == ["x@shop.test"]
        with Customer(provider) as c:
            assert c.ask("branch.test").code == 450
        assert provider.stop() == 0
    provider.start()
    with Customer(provider) as c:
        assert c.fetch("branch.test").messages[0].body_as_sent.endswith(body)



def test_customers_in_each_others_way_lose_nothing_and_get_nothing_twice(tmp_path):
    """Overlapping domains, random ends, mail that comes meanwhile."""
    extra = ROUTES.split('route "safe.test"')[0] + """
route "both.test" { via = {"pickup:both"}  offline { login = {"branch", "shop", "vault"} } }
"""
    chance = random.Random(3)
    domains = ["branch.test", "two.branch.test", "three.test", "shop.test", "both.test"]
    his = {"branch": ["branch.test", "two.branch.test", "three.test", "both.test"],
           "shop": ["shop.test", "both.test"], "vault": ["shop.test", "both.test"]}
    got, lock, over = [], threading.Lock(), threading.Event()
    failed = []
    stages = ["banner", "ehlo", "mail", "rcpt", "data", "body"]
    with Provider(tmp_path / "p", extra=extra) as p:
        def customer(user, seed):
            mine = random.Random(seed)
            try:
                while not over.is_set():
                    some = mine.sample(his[user], mine.randint(0, len(his[user])))
                    at, nth, seen = mine.choice(stages + [None] * 4), mine.randint(1, 9), []

                    def script(number, stage, argument):
                        if stage == at:
                            seen.append(1)
                            return FIN if len(seen) == nth else None
                    with Customer(p, user, sink=Sink(script)) as c:
                        code = c.ask(",".join(some)).code
                        assert code in (250, 450, 453), code
                        if code == 250:
                            c.serve()
                            with lock:
                                got.extend(recipients(c.sink))
            except Exception as e:
                failed.append(e)

        threads = [threading.Thread(target=customer, args=(user, i))
                   for i, user in enumerate(["branch", "branch", "shop", "vault"])]
        for t in threads:
            t.start()
        sent = []
        end = time.monotonic() + 4
        with Client(p.port) as c:
            while time.monotonic() < end:
                to = f"u{len(sent)}@{chance.choice(domains)}"
                assert c.mail(b"Subject: x\r\n\r\ny\r\n", to=(to,)).code == 250
                sent.append(to)
                time.sleep(0.002)
        wait_for(lambda: len(got) >= len(sent) or failed, 30, "all mail")
        over.set()
        for t in threads:
            t.join(30)
        assert not failed, failed
        assert sorted(got) == sorted(sent)
        p.wait_empty()
