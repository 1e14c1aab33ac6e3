"""What each extension becomes on its way to the next hop, end to end."""

import email
import email.policy
import random
import re
import threading
import time

import pytest

from relay import (FIN, Relay, Sink, content_of, wait_for,
                   without_received)

SMALL = b"Subject: small\r\n\r\nx\r\n"
PLAIN = ("PIPELINING", "SIZE 104857600", "ENHANCEDSTATUSCODES")
EIGHT = (*PLAIN, "8BITMIME", "SMTPUTF8")


def send(c, content=SMALL, mail="", to=("r@to.test",), rcpt="", binary=False,
         sender="s@home.test"):
    """A message with parameters; answers its id."""
    assert c.command(f"MAIL FROM:<{sender}> {mail}".rstrip()).code == 250
    for r in to:
        assert c.command(f"RCPT TO:<{r}> {rcpt}".rstrip()).code == 250
    if binary:
        c.send(b"BDAT %d LAST\r\n" % len(content) + content)
        reply = c.reply()
    else:
        assert c.command("DATA").code == 354
        c.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
        reply = c.reply()
    assert reply.code == 250, reply
    return reply.text.split()[-1]


def by_address(*rows):
    """A script: what is said after the content, by a recipient's local part."""
    answers = dict(rows)

    def script(_connection, stage, argument):
        if stage != "dot":
            return None
        local = re.search(rb"<([^@]*)@", argument[1])[1].decode()
        answer = answers.get(local)
        return answer.pop(0) if isinstance(answer, list) and answer else \
            None if isinstance(answer, list) else answer
    return script


def parts_of(content):
    return email.message_from_bytes(content, policy=email.policy.SMTP)


# ------------------------------------------------------------------- LMTP ----

@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_lmtp_settles_each_recipient_on_its_own(tmp_path, where):
    script = by_address(("no", b"550 5.1.1 nobody\r\n"),
                        ("later", [b"450 4.2.2 full\r\n"]))
    path = tmp_path / "lmtp.sock" if where == "unix" else None
    with Sink(script, lmtp=True, path=path) as sink, Sink() as home, \
            Relay(tmp_path / "relay", {"*": sink.hop, "home.test": home.hop}) as relay:
        with relay.client() as c:
            send(c, to=["yes@to.test", "no@to.test", "later@to.test"])
        relay.wait_log(r"to=<no@to\.test>.*dsn=5\.1\.1, status=bounced")
        relay.wait_log(r"to=<later@to\.test>.*dsn=4\.2\.2, status=deferred")
        report = home.wait(1)[0]
        assert b"no@to.test" in report.content
        relay.wait_empty()
        got = [r for m in sink.messages for r in m.recipients]
        assert sorted(got) == ["later@to.test", "yes@to.test"]
        name = re.escape(str(path)) if path else "127.0.0.1"
        assert re.search(rf"relay=[^ ]*\[{name}\]", relay.log())
        assert {s[1] for s in sink.stages} & {"ehlo", "helo"} == {"ehlo"}
        assert sink.stages and all(s[3].startswith(b"LHLO") for s in sink.stages
                                   if s[1] == "ehlo")


def test_lmtp_that_breaks_between_its_replies_leaves_the_rest_in_doubt(tmp_path):
    broken = []

    def script(_connection, stage, argument):
        if stage == "dot" and b"b@" in argument[1] and not broken:
            broken.append(1)
            return FIN
        return None

    with Sink(script, lmtp=True) as sink, \
            Relay(tmp_path / "relay", {"*": sink.hop}) as relay:
        with relay.client() as c:
            send(c, to=["a@to.test", "b@to.test", "c@to.test"])
        relay.wait_empty()
        log = relay.log()
        assert len(re.findall("to=<a@to.test>.*status=sent", log)) == 1
        for who in "bc":
            assert re.search(f"delivery to {who}@to.test is in doubt", log)
        # a's yes was heard: it is not shown to the server again
        shown = [s[3] for s in sink.stages if s[1] == "rcpt"]
        assert sum(b"<a@" in s for s in shown) == 1
        assert sum(b"<b@" in s for s in shown) == 2


def test_lmtp_over_a_socket_that_is_not_there_yet(tmp_path):
    path = tmp_path / "late.sock"
    with Relay(tmp_path / "relay", {"*": f"lmtp:{path}"}) as relay:
        with relay.client() as c:
            send(c)
        said = re.escape(f"4.4.1 connect to localhost[{path}]: "
                         "no such file or directory")
        relay.wait_log(rf"rests for .*: {said}")
        reason = relay.queue_list()[0]["recipients"][0]["delay_reason"]
        assert re.match(said, reason), reason
        with Sink(lmtp=True, path=path) as sink:
            sink.wait(1)
            relay.wait_empty()
            sink.refuse()       # the file stays, nobody listens
            sink.drop()
            with relay.client() as c:
                send(c)
            time.sleep(0.5)
            assert len(relay.queue_list()) == 1
            sink.listen()
            sink.wait(2)
        assert "status=bounced" not in relay.log()


# --------------------------------------------------------------- CHUNKING ----

def test_content_goes_in_chunks_byte_for_byte(tmp_path):
    chance = random.Random(3)
    # ends of parts, lines of dots, and what is no line end
    sizes = (0, 1, 2, 65536, 131071, 262144, 262145, 600000, 20_000_000)
    with Sink(extensions=(*EIGHT, "CHUNKING")) as sink, \
            Relay(tmp_path / "relay", {"*": sink.hop}) as relay:
        sent = []
        with relay.client() as c:
            for size in sizes:
                sent.append(b"Subject: x\r\n\r\n" + content_of(size, chance))
                send(c, sent[-1])
            got = sink.wait(len(sizes), 40)
        relay.wait_empty()
        assert all(m.by_bdat for m in got) and sink.count("data") == 0
        assert sorted(without_received(m.content) for m in got) == sorted(sent)
        assert sink.count("bdat") >= 20_000_000 // 262144


@pytest.mark.parametrize("size", [10, 700000])
@pytest.mark.parametrize("said", [b"500 5.5.1 what?\r\n", b"502 5.5.1 not built\r\n",
                                  b"503 5.5.1 no\r\n"])
def test_chunks_that_are_refused_go_by_data(tmp_path, said, size):
    """A server that offers CHUNKING, but reads the chunk as commands."""

    def script(_connection, stage, _argument):
        return said if stage == "bdat" else None
    with Sink(script, extensions=(*EIGHT, "CHUNKING")) as sink, \
            Relay(tmp_path / "relay", {"*": {"via": sink.hop, "connections": 1}}) \
            as relay:
        content = b"Subject: x\r\n\r\n" + b"line\r\n" * (size // 6)
        # with one chunk alone the answer is that to LAST
        if size < 1000:
            sink.script = lambda _c, stage, argument: said \
                if stage == "dot" and argument.by_bdat else None
        with relay.client() as c:
            for _ in range(3):
                send(c, content)
        got = sink.wait(3)
        relay.wait_empty()
        assert len(got) == 3 and not any(m.by_bdat for m in got)
        assert all(m.body_as_sent == content for m in got)
        # once is enough for a connection, and it costs nobody an attempt
        assert sink.count("bdat") + sum(
            1 for s in sink.stages if s[1] == "dot" and s[3].by_bdat) <= 6
        assert "status=deferred" not in relay.log()


def test_a_chunk_that_is_refused_for_now_is_sent_again_later(tmp_path):
    seen = []

    def script(_connection, stage, _argument):
        if stage in ("bdat", "dot") and not seen:
            seen.append(1)
            return b"452 4.3.1 full\r\n"
        return None
    for size in (10, 700000):
        seen.clear()
        with Sink(script, extensions=(*EIGHT, "CHUNKING")) as sink, \
                Relay(tmp_path / f"relay{size}", {"*": sink.hop}) as relay:
            with relay.client() as c:
                send(c, b"Subject: x\r\n\r\n" + b"line\r\n" * (size // 6))
            assert sink.wait(1)[0].by_bdat
            relay.wait_empty()
            assert len(sink.messages) == 1
            assert "dsn=4.3.1, status=deferred (452 4.3.1 full" in relay.log()


def test_the_route_can_say_that_there_are_no_chunks(tmp_path):
    with Sink(extensions=(*EIGHT, "CHUNKING")) as sink, \
            Relay(tmp_path / "relay", {"*": {"via": sink.hop,
                                             "chunking": "false"}}) as relay:
        with relay.client() as c:
            send(c)
        assert not sink.wait(1)[0].by_bdat


# ------------------------------------------------------------- conversion ----

EIGHT_BIT = ("Subject: x\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: 8bit\r\n\r\n").encode()


@pytest.mark.parametrize("size", [1000, 400000])
def test_8_bit_content_becomes_7_bit_where_it_must(tmp_path, size):
    body = "Grüße, ein Brief.\r\n".encode() * (size // 20)
    with Sink(extensions=PLAIN) as seven, Sink(extensions=EIGHT) as eight, \
            Relay(tmp_path / "relay", {"seven.test": seven.hop, "eight.test": eight.hop,
                                       "both.test": [seven.hop, eight.hop]}) as relay:
        with relay.client() as c:
            send(c, EIGHT_BIT + body, "BODY=8BITMIME",
                 ["r@seven.test", "r@eight.test"])
            # another host takes it as it is
            send(c, EIGHT_BIT + body, "BODY=8BITMIME", ["r@both.test"])
        (m,) = seven.wait(1)
        assert max(m.wire) < 128 and "BODY" not in m.parameters
        assert "SIZE" not in m.parameters       # nobody knew it yet
        assert parts_of(m.body_as_sent).get_content().encode().replace(
            b"\r\n", b"\n") == body.replace(b"\r\n", b"\n")
        for m in eight.wait(2):
            assert m.body_as_sent == EIGHT_BIT + body
            assert "BODY=8BITMIME" in m.parameters
        relay.wait_empty()
        assert len(seven.messages) == 1


def test_what_may_not_be_converted_is_reported(tmp_path):
    signed = EIGHT_BIT.replace(b"Subject: x", b"DKIM-Signature: v=1; d=x; b=x\r\n"
                               b"Subject: x")
    with Sink(extensions=PLAIN) as seven, Sink() as home:
        def keys(convert):
            return {"via": seven.hop, "convert": convert}
        routes = {"never.test": keys("never"), "unsigned.test": keys("unsigned"),
                  "always.test": keys("always"), "home.test": home.hop}
        with Relay(tmp_path / "relay", routes) as relay:
            body = "Grüße\r\n".encode()
            # large content is seen only as it is sent
            for text in (body, body * 50000):
                with relay.client() as c:
                    send(c, EIGHT_BIT + text, "BODY=8BITMIME", ["r@never.test"])
                    send(c, signed + text, "BODY=8BITMIME", ["r@unsigned.test"])
                    send(c, signed + text, "BODY=8BITMIME", ["r@always.test"])
            reports = home.wait(4)
            seven.wait(2)
            relay.wait_empty()
            assert [m.recipients for m in seven.messages] == [["r@always.test"]] * 2
            assert all(b"Status: 5.6.3" in r.content for r in reports)
            assert len(home.messages) == 4


def test_binary_content_stays_binary_or_becomes_text(tmp_path):
    head = (b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: image/x-test\r\n"
            b"Content-Transfer-Encoding: binary\r\n\r\n")
    data = bytes(range(256)) * 2000 + b"no line end"
    with Sink(extensions=(*EIGHT, "CHUNKING", "BINARYMIME")) as able, \
            Sink(extensions=EIGHT) as unable, Sink() as home, \
            Relay(tmp_path / "relay", {"able.test": able.hop, "home.test": home.hop,
                                       "unable.test": unable.hop}) as relay:
        with relay.client() as c:
            send(c, head + data, "BODY=BINARYMIME", ["r@able.test", "r@unable.test"],
                 binary=True)
        (m,) = able.wait(1)
        assert "BODY=BINARYMIME" in m.parameters and m.by_bdat
        assert m.body_as_sent == head + data
        (m,) = unable.wait(1)
        assert not m.has_stray_line_end and "BINARYMIME" not in m.parameters
        assert parts_of(m.body_as_sent).get_payload(decode=True) == data
        relay.wait_empty()
        assert not home.messages


# -------------------------------------------------------------- envelopes ----

@pytest.mark.parametrize("lacks, mail, to", [
    ("SMTPUTF8", "SMTPUTF8", "grüße@to.test"), ("SIZE 10", "", "r@to.test")])
def test_another_host_may_take_what_the_first_cannot(tmp_path, lacks, mail, to):
    """MX sets are not always of one kind; the last host's no is final."""
    less = [e for e in EIGHT if not lacks.startswith(e.split()[0])]
    with Sink(extensions=[*less, *([lacks] if " " in lacks else [])]) as first, \
            Sink(extensions=EIGHT) as second, Sink(extensions=EIGHT) as home:
        routes = {"to.test": [first.hop, second.hop], "home.test": home.hop,
                  "alone.test": first.hop}
        with Relay(tmp_path / "relay", routes) as relay, relay.client() as c:
            send(c, mail=mail, to=[to])
            assert second.wait(1)[0].recipients == [to]
            send(c, mail=mail, to=[to.replace("to.test", "alone.test")])
            assert home.wait(1)[0].sender == ""
            relay.wait_empty()
            assert not first.messages and first.count("mail") == 0


def test_dsn_parameters_go_on_as_they_came(tmp_path):
    with Sink(extensions=(*EIGHT, "DSN")) as knows, \
            Sink(extensions=EIGHT) as ignorant, \
            Relay(tmp_path / "relay", {"knows.test": knows.hop,
                                       "ignorant.test": ignorant.hop}) as relay:
        with relay.client() as c:
            send(c, mail="RET=HDRS ENVID=a+2Bb+3Dc", to=["r@knows.test",
                                                         "r@ignorant.test"],
                 rcpt="NOTIFY=FAILURE,DELAY ORCPT=rfc822;o+2Bx@orig.test")
            send(c, to=["plain@knows.test"])
        got = {m.recipients[0]: m for m in knows.wait(2)}
        m = got["r@knows.test"]
        assert "RET=HDRS" in m.parameters and "ENVID=a+2Bb+3Dc" in m.parameters
        rcpt = m.rcpts[0].decode()
        assert "NOTIFY=FAILURE,DELAY" in rcpt
        assert "ORCPT=rfc822;o+2Bx@orig.test" in rcpt
        assert "RET" not in got["plain@knows.test"].parameters
        (m,) = ignorant.wait(1)
        assert not re.search("RET|ENVID", m.parameters)
        assert m.rcpts[0].strip() == b"RCPT TO:<r@ignorant.test>"


def test_verp_gives_each_recipient_a_transaction(tmp_path):
    with Sink(extensions=EIGHT) as sink, \
            Relay(tmp_path / "relay", {"*": sink.hop},
                  listener='verp = {"127.0.0.0/8"}') as relay:
        with relay.client() as c:
            send(c, mail="XVERP", sender="list@home.test",
                 to=["a@x.test", "b+c@y.test"])
            send(c, mail="XVERP=-=", sender="list@home.test", to=["d@z.test"])
        got = {tuple(m.recipients): m.sender for m in sink.wait(3)}
        assert got == {("a@x.test",): "list+a=x.test@home.test",
                       ("b+c@y.test",): "list+b+c=y.test@home.test",
                       ("d@z.test",): "list-d=z.test@home.test"}
        assert not any("XVERP" in m.parameters for m in sink.messages)


def test_xforward_tells_who_the_client_was(tmp_path):
    with Sink(extensions=(*EIGHT, "XFORWARD NAME ADDR PROTO HELO SOURCE")) as sink:
        told = []

        def script(_connection, stage, argument):
            if stage == "xforward":
                told.append(argument.decode())
                return b"250 2.0.0 Ok\r\n"
            return None
        sink.script = script
        with Relay(tmp_path / "relay", {"told.test": {"via": sink.hop,
                                                      "xforward": "true"},
                                        "*": sink.hop}) as relay:
            with relay.client(helo="the.client.test") as c:
                send(c, to=["r@told.test"])
                sink.wait(1)
                send(c, to=["r@other.test"])
                sink.wait(2)
        words = " ".join(t.split(" ", 1)[1] for t in told).split()
        assert sorted(w.split("=")[0] for w in words) == [
            "ADDR", "HELO", "NAME", "PROTO", "SOURCE"]
        assert {"ADDR=127.0.0.1", "HELO=the.client.test", "PROTO=ESMTP",
                "SOURCE=REMOTE"} <= set(words)
        # in time: before MAIL, and for that route alone
        order = [s[1] for s in sink.stages if s[1] in ("xforward", "mail")]
        assert order[0] == "xforward" and order.count("mail") == 2
        assert order[-1] == "mail" and order[-2] == "mail"


def test_a_refused_xforward_stops_no_mail(tmp_path):
    with Sink({"xforward": b"550 5.7.0 not from you\r\n"},
              extensions=(*EIGHT, "XFORWARD NAME ADDR")) as sink, \
            Relay(tmp_path / "relay", {"*": {"via": sink.hop,
                                             "xforward": "true"}}) as relay:
        with relay.client() as c:
            send(c)
        sink.wait(1)
        relay.wait_empty()


@pytest.mark.parametrize("limits", ["RCPTMAX=2", "MAILMAX=3", "RCPTDOMAINMAX=1",
                                    "RCPTMAX=3 MAILMAX=2 RCPTDOMAINMAX=2"])
def test_the_limits_of_the_next_hop_are_obeyed(tmp_path, limits):
    most = {k: int(v) for k, v in (w.split("=") for w in limits.split())}
    to = [f"r{i}@d{i % 3}.test" for i in range(12)]
    with Sink(extensions=(*EIGHT, f"LIMITS {limits}")) as sink, \
            Relay(tmp_path / "relay", {"*": sink.hop}) as relay:
        with relay.client() as c:
            for _ in range(4):
                send(c, to=to)
        wait_for(lambda: sum(len(m.recipients) for m in sink.messages) == 48, 15,
                 "all recipients")
        relay.wait_empty()
        assert sorted(r for m in sink.messages for r in m.recipients) == \
            sorted(to * 4)
        mails = {}
        for _, stage, number, _, _ in sink.stages:
            if stage == "mail":
                mails[number] = mails.get(number, 0) + 1
        assert max(mails.values()) <= most.get("MAILMAX", 99), mails
        for m in sink.messages:
            assert len(m.recipients) <= most.get("RCPTMAX", 99)
            assert len({r.split("@")[1] for r in m.recipients}) <= most.get(
                "RCPTDOMAINMAX", 99)
        assert "status=deferred" not in relay.log()


@pytest.mark.parametrize("extensions", [PLAIN, PLAIN[1:], (*PLAIN, "CHUNKING")])
def test_a_host_that_takes_so_many_on_a_connection_gets_another(tmp_path, extensions):
    """A limit that no LIMITS tells, and that a 4xx to MAIL speaks of: no message waits for it,
    and the order is kept."""
    mails = {}

    def limited(_connection, stage, _argument):
        if stage != "mail":
            return None
        mails[_connection] = mails.get(_connection, 0) + 1
        return b"452 4.5.3 enough of you\r\n" if mails[_connection] > 3 else None

    with Sink(limited, extensions=extensions) as sink, \
            Relay(tmp_path / "relay", {"*": {"via": sink.hop, "connections": 1}}) \
            as relay:
        with relay.client() as c:
            for i in range(20):
                send(c, to=[f"r{i}@to.test", "second@to.test"])
        got = [m.recipients[0] for m in sink.wait(20)]
        relay.wait_empty()
        assert got == [f"r{i}@to.test" for i in range(20)]
        assert "status=deferred" not in relay.log()
        assert sink.connections == 7


def test_a_host_that_says_later_at_once_means_the_message(tmp_path):
    """A fresh connection's first MAIL, and one behind a MAIL that was not taken either, are
    settled by what they are answered: no connection is made for them."""
    def busy(_connection, stage, argument):
        return (b"450 4.7.1 not from you\r\n"
                if stage == "mail" and b"odd" in argument else None)

    with Sink(busy) as sink, \
            Relay(tmp_path / "relay", {"*": {"via": sink.hop, "connections": 1}}) \
            as relay:
        with relay.client() as c:
            send(c, sender="s@home.test")
            sink.wait(1)
            for i in range(4):
                send(c, sender=f"odd{i}@home.test")
            wait_for(lambda: relay.log().count("status=deferred") == 4, 15,
                     "four deferrals")
            send(c, sender="t@home.test")
            sink.wait(2)
        assert sink.connections == 2


def test_deliver_by_goes_on_with_what_is_left(tmp_path):
    first = []

    def busy(_connection, stage, _argument):
        if stage == "rcpt" and not first:
            first.append(time.monotonic())
            return b"450 4.2.0 not now\r\n"
        return None
    with Sink(busy, extensions=(*EIGHT, "DSN", "DELIVERBY")) as sink, \
            Relay(tmp_path / "relay", {"*": sink.hop},
                  retry={"first": '"2s"', "most": '"2s"'}) as relay:
        with relay.client() as c:
            send(c, mail="BY=600;N")
        m = sink.wait(1)[0]
        by = int(re.search(r"BY=(\d+);N", m.parameters)[1])
        gone = m.time - first[0]
        assert gone > 1 and 598 - gone - 30 <= by <= 600 - gone + 1, (by, gone)


def test_mail_of_a_higher_priority_overtakes(tmp_path):
    """One connection, and slow; what waits for it goes by priority, then as it came."""
    all_wait = threading.Event()

    def slow(_connection, stage, _argument):
        return [lambda _s: all_wait.wait(60), b"250 2.0.0 taken\r\n"] \
            if stage == "dot" else None
    with Sink(slow, extensions=(*EIGHT, "MT-PRIORITY")) as sink, \
            Relay(tmp_path / "relay", {"*": {"via": sink.hop, "connections": 1}},
                  listener="submission = true") as relay:
        with relay.client() as c:
            assert any("MT-PRIORITY" in w.decode()
                       for w in c.command("EHLO x").lines)
            send(c, to=["first@to.test"])
            wait_for(lambda: sink.count("dot"), 10)
            for i in range(3):
                for priority in (-3, 0, 4):
                    send(c, mail=f"MT-PRIORITY={priority}",
                         to=[f"p{priority}.{i}@to.test"])
        all_wait.set()
        got = [m.recipients[0].split("@")[0] for m in sink.wait(10)]
        assert got[0] == "first"
        assert got[1:] == [f"p{p}.{i}" for p in (4, 0, -3) for i in range(3)]
        said = {m.recipients[0]: m.parameters for m in sink.messages}
        assert "MT-PRIORITY=4" in said["p4.0@to.test"]
        assert "MT-PRIORITY=-3" in said["p-3.0@to.test"]
        assert "MT-PRIORITY" not in said["first@to.test"]


def test_one_connection_keeps_the_order(tmp_path):
    def slow(_connection, stage, _argument):
        return [0.005, b"250 2.0.0 taken\r\n"] if stage == "dot" else None
    with Sink(slow) as sink, \
            Relay(tmp_path / "relay", {"*": {"via": sink.hop, "connections": 1}}) \
            as relay:
        with relay.client() as c:
            for i in range(100):
                # some too large for memory: read in parts, in their turn
                body = b"x" * 70 + b"\r\n"
                send(c, SMALL + body * (6000 if i % 25 == 10 else 1),
                     to=[f"r{i}@to.test"])
        got = [m.recipients[0] for m in sink.wait(100)]
        assert got == [f"r{i}@to.test" for i in range(100)]
        assert sink.connections == 1


def test_a_reload_ends_nothing_that_has_begun(tmp_path):
    held = []

    def slow(connection, stage, _argument):
        if stage == "dot" and not held:
            held.append(connection)
            return [1.0, b"250 2.0.0 taken\r\n"]
        return None
    with Sink(slow) as sink, Relay(tmp_path / "relay", {"*": sink.hop}) as relay:
        with relay.client() as c:
            send(c)
            wait_for(lambda: held, 10)
            relay.routes = {"*": {"via": sink.hop, "tls": "none"}}
            relay.write_config()
            relay.reload()
            relay.wait_log("reload|configuration")
            send(c, to=["next@to.test"])
        sink.wait(2)
        relay.wait_empty()
        assert len(sink.messages) == 2
        # nothing more goes over what was opened on other terms
        assert len({m.connection for m in sink.messages}) == 2
