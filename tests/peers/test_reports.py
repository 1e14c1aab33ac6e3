"""Who is told what: NOTIFY, RET, ENVID and ORCPT over real sockets, what a report looks like
to another MIME reader, and that it gets through to a host that takes seven bits only.
"""

import email
import email.policy
import re
import time

import pytest

from relay import Relay, Sink, wait_for
from test_attempts import TIMES, status_part

MESSAGE = b"Subject: hi\r\nMessage-ID: <1@from.test>\r\n\r\nthe body\r\n"
EIGHT_BIT = ("Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
             "Content-Transfer-Encoding: 8bit\r\n\r\ngrüße\r\n").encode()
NO_DSN = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")
DSN = (*NO_DSN, "DSN")
SEVEN_BITS = ("PIPELINING",)
UNKNOWN = {"rcpt": b"550 5.1.1 no such user\r\n"}


@pytest.fixture
def home():
    with Sink(extensions=SEVEN_BITS) as s:
        yield s


def send(relay, content=MESSAGE, mail="", rcpt="", sender="s@from.test", to="r@to.test"):
    with relay.client() as c:
        assert c.command(f"MAIL FROM:<{sender}>{mail}").code == 250
        assert c.command(f"RCPT TO:<{to}>{rcpt}").code == 250
        assert c.command("DATA").code == 354
        c.send(content + b".\r\n")
        assert c.reply().code == 250
    relay.wait_empty(20)


def one_report(home, seconds=10):
    wait_for(lambda: home.messages, seconds, "a report")
    message, = home.messages
    assert message.sender == "" and not message.has_stray_line_end
    report = email.message_from_bytes(message.content, policy=email.policy.SMTP)
    assert report.get_content_type() == "multipart/report"
    assert not report.defects and len(report.get_payload()) == 3
    assert max(message.content) < 128
    return report


def routes(sink, home):
    return {"to.test": sink.hop, "from.test": home.hop}


@pytest.mark.parametrize("extensions, notify, action", [
    (NO_DSN, "SUCCESS", "relayed"), (NO_DSN, "SUCCESS,FAILURE", "relayed"),
    (NO_DSN, "FAILURE,DELAY", None), (NO_DSN, "NEVER", None), (NO_DSN, None, None),
    (DSN, "SUCCESS", None), (DSN, "NEVER", None)])
def test_success_is_reported_by_the_last_who_can(tmp_path, home, extensions,
                                                 notify, action):
    with Sink(extensions=extensions) as sink, \
            Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, rcpt=f" NOTIFY={notify}" if notify else "")
        assert len(sink.messages) == 1
        if action is None:
            time.sleep(0.3)
            assert not home.messages
            return
        report = one_report(home)
        assert report["Subject"] == "Successful Mail Delivery Report"
        assert f"Action: {action}" in status_part(report)
        assert "Status: 2." in status_part(report)
        assert report.get_payload(2).get_content_type() == "text/rfc822-headers"


def test_lmtp_means_delivered(tmp_path, home):
    with Sink(lmtp=True, extensions=NO_DSN) as sink, \
            Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, rcpt=" NOTIFY=SUCCESS")
        assert "Action: delivered" in status_part(one_report(home))


@pytest.mark.parametrize("notify, told", [
    ("FAILURE", True), ("", True), ("SUCCESS", False), ("DELAY", False),
    ("NEVER", False)])
def test_failure_is_told_to_who_wants_to_know(tmp_path, home, notify, told):
    with Sink(UNKNOWN) as sink, Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, rcpt=f" NOTIFY={notify}" if notify else "")
        if not told:
            time.sleep(0.3)
            assert not home.messages
        else:
            assert "Action: failed" in status_part(one_report(home))
        assert len(re.findall("status=bounced", relay.log())) == 1


def test_what_the_sender_gave_comes_back(tmp_path, home):
    with Sink(UNKNOWN) as sink, Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, mail=" RET=HDRS ENVID=QQ+2B3141+3D59",
             rcpt=" ORCPT=rfc822;First+2BLast@elsewhere.test")
        report = one_report(home)
        status = status_part(report)
        assert "Original-Envelope-Id: QQ+3141=59" in status
        assert "Original-Recipient: rfc822;First+Last@elsewhere.test" in status
        assert "Final-Recipient: rfc822; r@to.test" in status
        assert report["In-Reply-To"] == "<1@from.test>"
        assert report.get_payload(2).get_content_type() == "text/rfc822-headers"
        assert "the body" not in report.as_string()
        assert "orig_to=<First+Last@elsewhere.test>" in relay.log()


@pytest.mark.parametrize("ret", ["", " RET=FULL"])
def test_the_message_comes_back(tmp_path, home, ret):
    with Sink(UNKNOWN) as sink, Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, mail=ret)
        inner = one_report(home).get_payload(2).get_payload(0)
        assert inner.get_content().strip() == "the body"


def test_8_bit_content_comes_back_in_seven(tmp_path, home):
    with Sink(UNKNOWN) as sink, Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, EIGHT_BIT, " BODY=8BITMIME")
        inner = one_report(home).get_payload(2).get_payload(0)
        assert inner["Subject"] == "hi" and inner.get_content().strip() == "grüße"


def test_8_bit_headers_come_back_alone(tmp_path, home):
    with Sink(UNKNOWN) as sink, Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, "Subject: grüße\r\n\r\nthe body\r\n".encode(), " BODY=8BITMIME")
        last = one_report(home).get_payload(2)
        assert last.get_content_type() == "text/rfc822-headers"
        assert "Subject: grüße" in last.get_content()


def test_an_international_recipient_is_reported_to_an_ascii_sender(tmp_path, home):
    with Sink(UNKNOWN) as sink, Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, "Subject: grüße\r\n\r\nthe body\r\n".encode(), " SMTPUTF8",
             to="jürgen@to.test")
        report = one_report(home)
        assert r"Final-Recipient: utf-8; j\x{FC}rgen@to.test" in status_part(report)
        assert "jürgen@to.test" in report.get_payload(0).get_content()
        assert report.get_payload(2).get_content_type() == "message/global"


def test_deliver_by_tells_when_its_time_has_passed(tmp_path, home):
    busy = {"rcpt": b"450 4.2.9 mailbox is busy\r\n"}
    with Sink(busy, extensions=(*DSN, "DELIVERBY")) as sink, \
            Relay(tmp_path, routes(sink, home),
                  retry={**TIMES, "warn": '"1h"', "expire": '"1d"'}) as relay:
        with relay.client() as c:
            assert c.command("MAIL FROM:<s@from.test> BY=1;N").code == 250
            assert c.command("RCPT TO:<r@to.test>").code == 250
            assert c.command("DATA").code == 354
            c.send(MESSAGE + b".\r\n")
            assert c.reply().code == 250
        report = one_report(home, 15)
        assert "Action: delayed" in status_part(report)
        assert "Status: 4.4.7" in status_part(report)
        assert "Deliver-By-Date: " in status_part(report)


def test_what_was_held_is_as_young_as_its_release(tmp_path, home):
    refusals = iter([b"450 4.2.0 not now\r\n"])

    def not_the_first(_connection, stage, _argument):
        return next(refusals, None) if stage == "rcpt" else None

    with Sink(not_the_first) as sink, \
            Relay(tmp_path, routes(sink, home), listener="submission = true",
                  retry={"first": '"1s"', "most": '"1s"', "warn": '"0"',
                         "expire": '"3s"', "expire-reports": '"3s"'}) as relay:
        send(relay, mail=" HOLDFOR=4")
        assert len(sink.messages) == 1 and not home.messages


@pytest.mark.parametrize("extensions, by, told", [
    (DSN, "600;NT", True), (DSN, "600;N", True),
    ((*DSN, "DELIVERBY"), "600;NT", True), ((*DSN, "DELIVERBY"), "600;N", False)])
def test_deliver_by_tells_of_each_relay_or_of_the_last_that_knows_it(
        tmp_path, home, extensions, by, told):
    with Sink(extensions=extensions) as sink, \
            Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, mail=f" BY={by}")
        if told:
            assert "Action: relayed" in status_part(one_report(home))
            return
        time.sleep(0.3)
        assert not home.messages


def test_verp_brings_each_report_to_an_address_of_its_own(tmp_path, home):
    with Sink(UNKNOWN) as sink, \
            Relay(tmp_path, routes(sink, home),
                  listener='verp = {"127.0.0.1"}') as relay:
        with relay.client() as c:
            assert "XVERP" in c.command("EHLO c.test").text
            assert c.command("MAIL FROM:<owner@from.test> XVERP").code == 250
            for to in ("a@to.test", "b@to.test"):
                assert c.command(f"RCPT TO:<{to}>").code == 250
            assert c.command("DATA").code == 354
            c.send(MESSAGE + b".\r\n")
            assert c.reply().code == 250
        wait_for(lambda: len(home.messages) == 2, 10, "two reports")
        told = {m.recipients[0]: m.content for m in home.messages}
        for who in ("a", "b"):
            report = told[f"owner+{who}=to.test@from.test"]
            assert f"Final-Recipient: rfc822; {who}@to.test".encode() in report
            assert report.count(b"Final-Recipient") == 1


def test_smtputf8_is_a_must_only_where_something_needs_it(tmp_path, home):
    with Sink(extensions=NO_DSN) as sink, \
            Relay(tmp_path, routes(sink, home)) as relay:
        send(relay, mail=" SMTPUTF8")
        send(relay, mail=" SMTPUTF8 BODY=8BITMIME", content=EIGHT_BIT)
        assert len(sink.messages) == 2 and not home.messages
        send(relay, mail=" SMTPUTF8", content="Subject: grüße\r\n\r\nx\r\n".encode())
        assert len(sink.messages) == 2
        assert "Status: 5.6.7" in status_part(one_report(home))


def test_the_postmaster_hears_of_a_double_bounce_once(tmp_path):
    with Sink(UNKNOWN) as sink, Sink(UNKNOWN) as lost, Sink() as office, \
            Relay(tmp_path, {"to.test": sink.hop, "from.test": lost.hop,
                             "us.test": office.hop},
                  top='postmaster = "pm@us.test"\n') as relay:
        send(relay)
        wait_for(lambda: office.messages, 10)
        relay.wait_empty(10)
        notice, = office.messages
        assert notice.sender == "" and notice.recipients == ["pm@us.test"]
        report = email.message_from_bytes(notice.content)
        assert report["Subject"].startswith("Postmaster Notice:")
        assert "Final-Recipient: rfc822; s@from.test" in status_part(report)
        # What was sent to the sender is inside, and in it what he had sent.
        assert "the body" in report.as_string()


def test_a_notice_that_fails_is_logged_and_nothing_else(tmp_path):
    with Sink(UNKNOWN) as sink, \
            Relay(tmp_path, {"*": sink.hop}, top='postmaster = "pm@us.test"\n') as relay:
        send(relay)
        relay.wait_log(r"double bounce: .*<pm@us\.test>.* nobody is sent a report")
        relay.wait_empty(10)
        assert len(re.findall("status=bounced", relay.log())) == 3
