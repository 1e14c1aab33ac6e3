"""Rules that look at the message, and what they do with it, between real clients and hops."""

import base64
import hashlib
import hmac
import os
import random
import re
import time

import pytest

from relay import (Client, Relay, Sink, content_of, free_port, stuff,
                   wait_for, without_received)

LOOPBACK = 'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n'
BASE = "From: a@from.test\r\nSubject: {}\r\nMessage-ID: <1@from.test>\r\n"


def relay_with(folder, sink, rules, **more):
    """Loopback may relay below these rules; everything goes to the sink."""
    return Relay(folder, {"*": {"via": sink.hop, "tls": "none"}},
                 rules=rules + LOOPBACK, **more)


def send(relay, content, to=("r@to.test",), sender="s@from.test", bdat=0):
    """The reply to the end of the content; bdat: in chunks of so many bytes."""
    with Client(relay.port) as c:
        if not bdat:
            return c.mail(content, sender, to)
        assert c.command(f"MAIL FROM:<{sender}>").code == 250
        for r in to:
            assert c.command(f"RCPT TO:<{r}>").code == 250
        for at in range(0, len(content), bdat):
            piece = content[at:at + bdat]
            last = b" LAST" if at + bdat >= len(content) else b""
            c.send(b"BDAT %d%s\r\n" % (len(piece), last) + piece)
            reply = c.reply()
        return reply


def text(subject="x", extra="", body=b"body\r\n"):
    return (BASE.format(subject) + extra).encode() + b"\r\n" + body


def split_message(content):
    """Our Received: line, the other fields, the body."""
    trace = content[:len(content) - len(without_received(content))]
    head, _, body = without_received(content).partition(b"\r\n\r\n")
    return trace, head, body


# ------------------------------------------------------------ what is refused ----

def attached(fields, depth=0):
    part = b"\r\n".join(fields) + b"\r\n\r\nTVqQ\r\n"
    inner = (b"Content-Type: multipart/mixed; boundary=b0\r\n\r\n--b0\r\n"
             b"Content-Type: text/plain\r\n\r\nhi\r\n--b0\r\n" + part + b"--b0--\r\n")
    for n in range(depth):
        b = b"r%d" % n
        inner = (b"Content-Type: multipart/mixed; boundary=" + b + b"\r\n\r\n--" + b +
                 b"\r\nContent-Type: message/rfc822\r\n\r\nSubject: fwd\r\n" +
                 inner + b"--" + b + b"--\r\n")
    return BASE.format("files").encode() + b"MIME-Version: 1.0\r\n" + inner


EXES = {
    "plain": attached([b"Content-Type: application/octet-stream; name=a.exe"]),
    "disposition": attached([b"Content-Type: text/plain",
                             b'Content-Disposition: attachment;\r\n filename="A.EXE"']),
    "rfc2231": attached([b"Content-Type: application/octet-stream",
                         b"Content-Disposition: attachment;\r\n"
                         b" filename*0*=utf-8''setup%2E;\r\n filename*1=ex;\r\n filename*2=e"]),
    "encoded word": attached([b'Content-Type: application/octet-stream;\r\n name="=?utf-8?B?' +
                              base64.b64encode("b\u00fcro.exe".encode()) + b'?="']),
    "nested": attached([b"Content-Type: application/octet-stream; name=a.exe"], depth=3),
    "by type": attached([b"Content-Type: application/X-MSDownload"]),
}


def test_attachments_are_refused_by_name_and_by_type(tmp_path):
    rules = ('rule "programs" { attachment = {"*.exe", "application/x-msdownload"}\n'
             '  action = reject  reply = "552 5.7.0 %{recipient} takes no programs" }\n')
    good = attached([b"Content-Type: application/pdf; name=exe.pdf"])
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        for name, content in EXES.items():
            for bdat in (0, 17):
                reply = send(relay, content, bdat=bdat)
                assert (reply.code, reply.text) == (
                    552, "5.7.0 r@to.test takes no programs"), (name, reply)
        assert send(relay, good).code == 250
        assert send(relay, text(body=b"name=a.exe\r\n")).code == 250
        assert [without_received(m.content) for m in sink.wait(2)][0] == good
        line = relay.wait_log(r"NOQUEUE: reject: END-OF-DATA from .*552 5\.7\.0 .*")[0]
        assert 'rule="programs"' in line and "waypost.conf:" in line, line
        relay.wait_empty()
        assert len(sink.messages) == 2


def test_headers_are_matched_as_readers_see_them(tmp_path):
    rules = ("rule \"prize\" { header = {'Subject: /you.*won/'} action = reject }\n"
             'rule "list" { header = {"List-Id"} action = hold }\n')
    word = base64.b64encode(b"YOU have won").decode()
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        for subject in ("You won", "so you\r\n\thave won", f"=?utf-8?b?{word}?="):
            assert send(relay, text(subject)).code == 554, subject
        assert send(relay, text("x", body=b"Subject: you won\r\n")).code == 250
        sink.wait(1)
        assert send(relay, text("x", "List-ID: <a>\r\n")).code == 250
        wait_for(lambda: [m["state"] for m in relay.queue_list()] == ["held"])
        relay.wait_log(r'hold: END-OF-DATA from .* to=<r@to\.test> .*rule="list" .*waypost\.conf:\d+')
        assert len(sink.messages) == 1


def test_a_discarded_recipient_gets_nothing_and_the_other_does(tmp_path):
    rules = ('rule "odd" { header = {"X-Odd"} action = discard }\n'
             'rule "sink" { to = {"hole@to.test"} action = discard }\n')
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        assert send(relay, text(), ["hole@to.test", "r@to.test"]).code == 250
        assert sink.wait(1)[0].recipients == ["r@to.test"]
        assert send(relay, text("x", "X-Odd: 1\r\n")).code == 250
        relay.wait_log(r'discard: END-OF-DATA from .* to=<r@to\.test>.* rule="odd" .*waypost\.conf:\d+')
        relay.wait_log(r'discard: RCPT from .*to=<hole@to\.test>')
        relay.wait_empty()
        assert len(sink.messages) == 1


def test_a_real_size_counts_and_not_the_declared_one(tmp_path):
    rules = ('rule "big" { size = "100KB" header = {"Subject"} action = reject'
             ' reply = "552 5.3.4 too big" }\n')
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        assert send(relay, text(body=b"x" * 70 + b"\r\n")).code == 250
        assert send(relay, text(body=(b"x" * 70 + b"\r\n") * 1500)).code == 552
        assert len(sink.wait(1)) == 1


def test_a_recipient_with_other_rules_comes_separately(tmp_path):
    rules = ('rule "theirs" { to = {"b@to.test"} header = {"X-Odd"} action = reject }\n')
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        with Client(relay.port) as c:
            codes = c.codes("MAIL FROM:<s@from.test>", "RCPT TO:<a@to.test>",
                            "RCPT TO:<b@to.test>", "RCPT TO:<c@to.test>", "DATA")
            assert codes == [250, 250, 452, 250, 354]
            c.send(b"X-Odd: y\r\n\r\nx\r\n.\r\n")
            assert c.reply().code == 250
        assert sink.wait(1)[0].recipients == ["a@to.test", "c@to.test"]
        assert send(relay, text("x", "X-Odd: y\r\n"), ["b@to.test"]).code == 554


def test_a_mime_bomb_costs_linear_time(tmp_path):
    rules = 'rule "exe" { attachment = {"*.exe"} action = reject }\n'

    def bomb(levels):
        return text("bomb", "MIME-Version: 1.0\r\n", b"")[:-2] + b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
            for n in range(levels)) + b"\r\nx\r\n"

    def seconds(relay, levels):
        began = relay.cpu_seconds()
        assert send(relay, bomb(levels)).code in (250, 451, 552, 554)
        return relay.cpu_seconds() - began

    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        seconds(relay, 100)
        assert seconds(relay, 10000) < 0.5
        assert seconds(relay, 100000) < 5
        assert relay.is_alive


# ------------------------------------------------------------- what is edited ----

EDITS = ('rule "mark" { action = add-header'
         ' add-header = {"X-Checked: by %{rule} for %{sender}", "X-Long: ' +
         " ".join(["word"] * 40) + '"} }\n'
         "rule \"strip\" { action = remove-header"
         " remove-header = {\"X-Spam\", 'Subject: /junk/'} }\n")


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
@pytest.mark.parametrize("bdat", [0, 100_001])
def test_headers_are_edited_and_nothing_else(tmp_path, size, bdat):
    body = content_of(size, random.Random(size), eight_bit=size > 10)
    extra = ("X-Spam: yes\r\n folded\r\nDKIM-Signature: v=1;  a=x;\r\n\tb=AbC==\r\n"
             "Subject: junk\r\nx-SPAM:\r\n")
    with Sink() as sink, relay_with(tmp_path, sink, EDITS) as relay:
        sent = text("keep", extra, body)
        assert send(relay, sent, bdat=bdat).code == 250
        got = sink.wait(1)[0].content
    trace, head, rest = split_message(got)
    assert rest == body
    lines = head.split(b"\r\n")
    assert lines[0] == b"X-Checked: by mark for s@from.test"
    folds = 1 + next(i for i, x in enumerate(lines[2:], 1) if not x.startswith(b" "))
    assert b"".join(lines[1:folds]) == b"X-Long: " + b" ".join([b"word"] * 40)
    assert all(len(x) <= 78 for x in lines[1:folds])
    assert b"\r\n".join(lines[folds:]) + b"\r\n" == (
        BASE.format("keep") + "DKIM-Signature: v=1;  a=x;\r\n\tb=AbC==\r\n").encode()
    assert trace.count(b"Received:") == 1


def test_without_such_rules_every_byte_stays(tmp_path):
    rules = ('rule "other" { to = {"other@to.test"} action = add-header'
             ' add-header = {"X-A: b"} }\n')
    sent = (b"Received: from x\r\n by y; z\r\nDKIM-Signature: v=1;\r\n\t b=  x\r\n"
            b"X-Spam : \r\nSubject:\tx \r\n\r\n" + b"\xff\x80 \r\n.\r\n..\r\n")
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        assert send(relay, sent).code == 250
        assert without_received(sink.wait(1)[0].content) == sent


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_one_of_two_recipients_gets_another_message(tmp_path, size):
    rules = ('rule "theirs" { to = {"b@to.test"} action = add-header'
             ' add-header = {"X-For: %{recipient}"} }\n')
    body = content_of(size, random.Random(3))
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        reply = send(relay, text(body=body), ["a@to.test", "b@to.test", "c@to.test"])
        assert reply.code == 250
        got = {tuple(sorted(m.recipients)): m.content for m in sink.wait(2)}
        relay.wait_empty()
        log = relay.log()
        assert len(sink.messages) == 2
    assert set(got) == {("a@to.test", "c@to.test"), ("b@to.test",)}
    first = re.search(r"queued as (\w+)", reply.text)[1]
    other = re.search(rf"(\w+): client=.*orig_queue_id={first}", log)[1]
    trace, head, rest = split_message(got["a@to.test", "c@to.test"])
    assert first.encode() in trace and rest == body and b"X-For" not in head
    trace, head, rest = split_message(got["b@to.test",])
    assert other.encode() in trace and rest == body
    assert head.startswith(b"X-For: b@to.test\r\nFrom: ")
    assert f"{other}: from=<s@from.test>, size={len(got['b@to.test',])}, nrcpt=1" in log
    assert f"{other}: message-id=<1@from.test>" in log
    assert f"{other}: removed" in log and f"{first}: removed" in log


def test_more_than_a_hundred_messages_are_sent_one_after_the_other(tmp_path):
    rules = ('rule "each" { from = {"each@from.test"} action = add-header'
             ' add-header = {"X-For: %{recipient}"} }\n')
    with Sink() as sink, relay_with(tmp_path, sink, rules) as relay:
        with Client(relay.port) as c:
            def offer(sender):
                c.command(f"MAIL FROM:<{sender}>")
                return [c.command(f"RCPT TO:<r{n}@to.test>").code for n in range(150)]
            assert offer("s@from.test") == [250] * 150
            c.command("RSET")
            assert offer("each@from.test") == [250] * 100 + [452] * 50
            c.command("DATA")
            # the largest there may be: the header and what is kept in memory
            c.send(text("x", "X-A: " + "a" * 900 + "\r\n", b"x" * 70 + b"\r\n"
                        b"" + (b"y" * 70 + b"\r\n") * 1700) + b".\r\n")
            assert c.reply().code == 250
        assert len({m.recipients[0] for m in sink.wait(100)}) == 100
        relay.wait_empty()


def test_submitted_mail_is_completed_and_edited(tmp_path):
    rules = ('rule "mark" { action = add-header add-header = {"X-A: b"} }\n'
             'rule "no date" { not-header = {"Date"} action = reject }\n')
    with Sink() as sink, relay_with(tmp_path, sink, rules,
                                    listener="submission = true") as relay:
        assert send(relay, b"Subject: x\r\n\r\nbody\r\n").code == 250
        _, head, body = split_message(sink.wait(1)[0].content)
    assert head.startswith(b"X-A: b\r\nSubject: x\r\n") and body == b"body\r\n"
    assert all(re.search(rb"(?m)^" + f + rb": .", head)
               for f in (b"From", b"Date", b"Message-ID"))


# ----------------------------------------------------- where it goes, and from whom ----

def test_an_archive_gets_a_copy_and_nobody_hears_of_it(tmp_path):
    rules = ('rule "archive" { action = copy copy = {"all@archive.test"} }\n')
    with Sink() as sink, Sink({"rcpt": b"550 5.1.1 no\r\n"}) as broken:
        routes = {"archive.test": {"via": broken.hop, "tls": "none"},
                  "*": {"via": sink.hop, "tls": "none"}}
        with Relay(tmp_path, routes, rules=rules + LOOPBACK) as relay:
            assert send(relay, text(), ["a@to.test", "b@to.test"]).code == 250
            assert sorted(sink.wait(1)[0].recipients) == ["a@to.test", "b@to.test"]
            wait_for(lambda: broken.count("rcpt") == 1)
            relay.wait_log(r"to=<all@archive\.test>.*status=bounced")
            relay.wait_empty()
            time.sleep(0.2)
            assert len(sink.messages) == 1, "no report"
    with Sink() as sink, relay_with(tmp_path / "good", sink, rules) as relay:
        # an archive that is a recipient gets it once, and is told about
        assert send(relay, text(), ["all@archive.test", "a@to.test"]).code == 250
        sink.wait(1)
        relay.wait_empty()
        got = sorted(r for m in sink.messages for r in m.recipients)
        assert got == ["a@to.test", "all@archive.test"]


def test_tables_rewrite_recipients(tmp_path):
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "virtual").write_text(
        "sales@to.test  joe@in.test, ann@in.test, eve@out.test\n"
        "old.test       @new.test\n")
    rules = 'rule "virtual" { action = rewrite rewrite-to = {"table:virtual"} }\n'
    with Sink() as sink, Sink({"rcpt": b"550 5.1.1 no\r\n"}) as broken:
        routes = {"out.test": {"via": broken.hop, "tls": "none"},
                  "*": {"via": sink.hop, "tls": "none"}}
        with Relay(tmp_path, routes, rules=rules + LOOPBACK) as relay:
            to = ["sales@to.test", "ann@in.test", "x@old.test", "y@to.test"]
            assert send(relay, text(), to).code == 250
            wait_for(lambda: any(not m.sender for m in sink.messages))
            relay.wait_empty()
            got = sorted(r for m in sink.messages if m.sender for r in m.recipients)
            assert got == ["ann@in.test", "joe@in.test", "x@new.test", "y@to.test"]
            relay.wait_log(r"to=<eve@out\.test>, orig_to=<sales@to\.test>")
            report = next(m for m in sink.messages if not m.sender).content
            assert b"Original-Recipient: rfc822; sales@to.test" in report.replace(
                b"rfc822;sales", b"rfc822; sales")


def srs(secret, domain, local):
    """What libsrs2 makes of it today."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    day = int(time.time() // 86400)
    stamp = letters[day >> 5 & 31] + letters[day & 31]
    told = (stamp + domain + local).lower().encode()
    mac = base64.b64encode(hmac.new(secret, told, hashlib.sha1).digest())[:4].decode()
    return f"SRS0={mac}={stamp}={domain}={local}@ours.test"


def test_srs_there_and_back(tmp_path):
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "secret").write_text("a secret of ours\n")
    os.chmod(tmp_path / "secret", 0o600)
    rules = ('rule "forward" { to = {"fwd@to.test"} action = rewrite'
             ' rewrite-to = {\'/^fwd@.*/ joe@far.test\'} }\n'
             'rule "sender" { to = {"fwd@to.test"} action = rewrite'
             ' rewrite-from = {"srs"} }\n'
             'rule "back" { to = {"ours.test"} action = rewrite rewrite-to = {"srs"} }\n')
    top = 'srs-secret-file = "secret"\nsrs-domain = "ours.test"\n'
    with Sink() as sink, relay_with(tmp_path, sink, rules, top=top) as relay:
        assert send(relay, text(), ["fwd@to.test", "b@to.test"]).code == 250
        got = {m.recipients[0]: m.sender for m in sink.wait(2)}
        assert got == {"joe@far.test": srs(b"a secret of ours", "from.test", "s"),
                       "b@to.test": "s@from.test"}
        back = got["joe@far.test"]
        assert send(relay, text(), [back], sender="").code == 250
        assert sink.wait(3)[2].recipients == ["s@from.test"]
        with Client(relay.port) as c:
            forged = back.replace("=s@", "=t@")
            assert c.codes("MAIL FROM:<>", f"RCPT TO:<{forged}>") == [250, 550]


def test_a_rule_names_the_route(tmp_path):
    rules = ('rule "bulk" { header = {"List-Id"} action = route route = "slow" }\n')
    with Sink() as usual, Sink() as slow:
        routes = {"*": {"via": usual.hop, "tls": "none"},
                  "slow": {"to": '{"slow.invalid"}', "via": slow.hop, "tls": "none"}}
        with Relay(tmp_path, routes, rules=rules + LOOPBACK) as relay:
            assert send(relay, text("x", "List-Id: <l>\r\n")).code == 250
            assert send(relay, text("y")).code == 250
            assert b"Subject: x" in slow.wait(1)[0].content
            assert b"Subject: y" in usual.wait(1)[0].content


# -------------------------------------------------------------------- all or nothing ----

def test_a_killed_relay_has_all_messages_of_a_group_or_none(tmp_path):
    rules = ('rule "each" { action = add-header add-header = {"X-For: %{recipient}"} }\n')
    to = [f"r{n}@to.test" for n in range(8)]
    chance = random.Random(8)
    yes = set()
    with Sink() as sink:
        relay = relay_with(tmp_path, sink, rules, retry={"first": '"1s"', "most": '"1s"'})
        sink.refuse()
        number = 0
        for _ in range(3):
            relay.start()
            clients = []
            end = time.monotonic() + 0.3 + chance.random() * 0.4
            try:
                with Client(relay.port) as c:
                    while time.monotonic() < end:
                        number += 1
                        c.envelope(to=to)
                        c.send(stuff(text(f"n{number}.", body=b"x\r\n")) + b".\r\n")
                        if time.monotonic() < end and c.reply().code == 250:
                            yes.add(number)
            finally:
                relay.kill()
            del clients
        sink.listen()
        with relay:
            relay.retry_now()
            wait_for(lambda: len(sink.messages) >= 8 * len(yes), 60)
            relay.wait_empty(60)
    got = {}
    for m in sink.messages:
        n = int(re.search(rb"Subject: n(\d+)\.", m.content)[1])
        assert re.search(rb"X-For: (\S+)", m.content)[1].decode() == m.recipients[0]
        got.setdefault(n, set()).add(m.recipients[0])
    assert yes and yes <= set(got)
    assert all(r == set(to) for r in got.values()), {n: len(r) for n, r in got.items()}
