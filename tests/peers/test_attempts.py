"""What one attempt to deliver does: which host, which recipients, when again.

The sinks say what hostile or merely busy next hops say; the relay's patience is long
(retry after a minute), so whatever arrives soon was sent in the same attempt.
"""

import email
import re
import sqlite3
import time

import pytest

from relay import FIN, HANG, RST, Relay, Sink, wait_for

PATIENT = {"first": '"60s"', "most": '"60s"'}
SMALL = b"Subject: small\r\n\r\nhello\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"0123456789 " * 7 + b"\r\n"
LARGE += (b"x" * 70 + b"\r\n") * 8000


def people(count):
    return [f"r{i}@to.test" for i in range(count)]


def arrived(sink):
    return sorted(r for m in sink.messages for r in m.recipients)


def reports(sink):
    """The delivery reports a sink got, parsed."""
    return [email.message_from_bytes(m.content) for m in sink.messages
            if m.mail.startswith(b"MAIL FROM:<>")]


def status_part(report):
    for part in report.walk():
        if part.get_content_type() == "message/delivery-status":
            return "\n".join(str(p) for p in part.get_payload())
    raise AssertionError("no delivery-status")


def limited(most):
    """The 452 of a server that takes so many recipients in a transaction."""
    taken = {}

    def at(connection, stage, _argument):
        if stage == "mail":
            taken[connection] = 0
        elif stage == "rcpt":
            taken[connection] += 1
            if taken[connection] > most:
                return b"452 4.5.3 too many recipients\r\n"
        return None
    return at


def test_what_one_host_took_too_much_of_goes_at_once(tmp_path):
    with Sink(limited(7)) as sink, \
            Relay(tmp_path, {"*": sink.hop}, retry=PATIENT) as relay:
        with relay.client() as c:
            assert c.mail(SMALL, to=people(120)).code == 250
        wait_for(lambda: len(arrived(sink)) >= 120, 10)
        assert arrived(sink) == sorted(people(120))
        assert "status=deferred" not in relay.log()


def test_the_rest_goes_at_once_though_the_peer_hangs_up_each_time(tmp_path):
    often = limited(3)

    def at(connection, stage, argument):
        if stage == "dot":
            return [b"250 2.0.0 ok\r\n", FIN]
        return often(connection, stage, argument)
    with Sink(at) as sink, \
            Relay(tmp_path, {"*": sink.hop}, retry=PATIENT) as relay:
        with relay.client() as c:
            assert c.mail(SMALL, to=people(20)).code == 250
        wait_for(lambda: len(arrived(sink)) >= 20, 10)
        assert arrived(sink) == sorted(people(20))
        assert "status=deferred" not in relay.log()


def test_a_second_host_with_a_small_rcptmax_gets_them_one_by_one(tmp_path):
    with Sink({"rcpt": b"450 4.2.0 greylisted\r\n"}) as first, \
            Sink(extensions=("PIPELINING", "LIMITS RCPTMAX=1")) as second, \
            Relay(tmp_path, {"*": [first.hop, second.hop]},
                  retry=PATIENT) as relay:
        with relay.client() as c:
            assert c.mail(SMALL, to=people(30)).code == 250
        wait_for(lambda: len(arrived(second)) >= 30, 10)
        assert arrived(second) == sorted(people(30))
        assert all(len(m.rcpts) == 1 for m in second.messages)
        assert relay.is_alive and not first.messages


def test_a_thousand_recipients_go_in_transactions_of_fifty(tmp_path):
    with Sink() as sink, \
            Relay(tmp_path, {"*": sink.hop}, retry=PATIENT) as relay:
        with relay.client() as c:
            assert c.mail(LARGE, to=people(1000)).code == 250
        wait_for(lambda: len(arrived(sink)) >= 1000, 20)
        assert arrived(sink) == sorted(people(1000))
        assert all(len(m.rcpts) <= 50 for m in sink.messages)
        assert {m.body_as_sent for m in sink.messages} == {LARGE}
        relay.wait_empty(5)


@pytest.mark.parametrize("stage, answer", [
    ("banner", b"554 5.3.2 not today\r\n"), ("banner", FIN), ("banner", RST),
    ("banner", b"421 4.3.2 busy\r\n"), ("banner", b"hello\r\n"),
    ("ehlo", b"421 4.3.2 busy\r\n"), ("mail", b"451 4.3.0 later\r\n"),
    ("mail", b"421 4.3.2 busy\r\n"), ("mail", RST),
    ("rcpt", b"450 4.2.0 later\r\n"), ("rcpt", b"421 4.3.2 busy\r\n"),
    ("data", b"451 4.3.0 later\r\n"), ("data", b"421 4.3.2 busy\r\n"),
    ("body", b"421 4.3.2 busy\r\n"), ("dot", b"451 4.3.0 later\r\n"),
    ("dot", b"421 4.3.2 busy\r\n"),
])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_trouble_with_one_host_sends_it_to_the_next(tmp_path, stage, answer,
                                                    content):
    with Sink({stage: answer}) as first, Sink() as second, \
            Relay(tmp_path, {"*": [first.hop, second.hop]},
                  retry=PATIENT) as relay:
        with relay.client() as c:
            assert c.mail(content, to=["r@to.test"]).code == 250
        got = second.wait(1, 10)
        assert got[0].body_as_sent == content
        relay.wait_empty(5)


def test_only_two_hosts_are_shown_a_message_in_one_attempt(tmp_path):
    busy = {"rcpt": b"450 4.2.0 later\r\n"}
    with Sink(busy) as a, Sink(busy) as b, Sink() as c3, \
            Relay(tmp_path, {"*": [a.hop, b.hop, c3.hop]},
                  retry=PATIENT) as relay:
        with relay.client() as c:
            assert c.mail(SMALL, to=["r@to.test"]).code == 250
        relay.wait_log(r"status=deferred \(450 4.2.0 later")
        assert a.count("rcpt") == 1 and b.count("rcpt") == 1
        assert c3.connections == 0


def test_a_kept_connection_that_the_peer_closed_is_no_deferral(tmp_path):
    slow = 'route "*" {{ via = {{"{}"}}  idle = "60s" }}\n'
    with Sink() as sink, Relay(tmp_path, extra=slow.format(sink.hop),
                               retry=PATIENT) as relay, relay.client() as c:
        for i in range(5):
            assert c.mail(SMALL if i % 2 else LARGE).code == 250
            sink.wait(i + 1)
            sink.drop()
        relay.wait_empty(5)
        assert "status=deferred" not in relay.log()
        # and one that says 421 to the next MAIL
        mails = {}

        def second_is_refused(connection, stage, _argument):
            if stage == "mail":
                mails[connection] = mails.get(connection, 0) + 1
                if mails[connection] > 1:
                    return b"421 4.3.2 old\r\n"
            return None
        sink.script = second_is_refused
        for i in range(5, 9):
            assert c.mail(SMALL).code == 250
            sink.wait(i + 1)
        assert "status=deferred" not in relay.log()


def test_a_reload_moves_mail_to_the_new_next_hop_at_once(tmp_path):
    def route(sink):
        return f'route "*" {{ via = {{"{sink.hop}"}}  idle = "60s" }}\n'
    with Sink() as old, Sink() as new, \
            Relay(tmp_path, extra=route(old), retry=PATIENT) as relay, \
            relay.client() as c:
        assert c.mail(SMALL).code == 250
        old.wait(1)
        relay.extra = route(new)
        relay.write_config()
        relay.reload()
        relay.wait_log("configuration reloaded")
        assert c.mail(SMALL).code == 250
        new.wait(1)
        assert len(old.messages) == 1


def test_a_reload_gives_kept_connections_their_new_settings(tmp_path):
    with Sink() as sink, Relay(tmp_path, extra=(
            f'route "*" {{ via = {{"{sink.hop}"}}  idle = "60s" }}\n'),
            retry=PATIENT) as relay, relay.client() as c:
        assert c.mail(SMALL).code == 250
        sink.wait(1)
        relay.hostname = "another.test"
        relay.write_config()
        relay.reload()
        relay.wait_log("configuration reloaded")
        assert c.mail(SMALL).code == 250
        sink.wait(2)
        assert [s[3] for s in sink.stages if s[1] == "ehlo"][-1].rstrip() \
            == b"EHLO another.test"


def test_content_that_is_gone_is_held_and_not_lost(tmp_path):
    with Sink() as sink, Relay(tmp_path, {"*": sink.hop},
                               retry={"first": '"1s"'}) as relay:
        sink.refuse()
        with relay.client() as c:
            assert c.mail(LARGE).code == 250
            relay.wait_log(r"rests for \d+ s: 4\.4\.1")
            files = [f for f in (tmp_path / "queue.db.content").rglob("*")
                     if f.is_file() and f.stat().st_size >= len(LARGE)]
            assert len(files) == 1, files
            files[0].unlink()
            sink.listen()
            relay.wait_log("status=held")
            wait_for(lambda: [m["state"] for m in relay.queue_list()] == ["held"])
            assert c.mail(SMALL).code == 250
        sink.wait(1)


def test_a_yes_is_shown_as_it_came(tmp_path):
    with Sink() as sink, Relay(tmp_path, {"*": sink.hop}) as relay:
        with relay.client() as c:
            c.mail(SMALL)
        relay.wait_log(r"status=sent \(250 2\.0\.0 taken\)\n")


# --------------------------------------------------------- notice, expiry ----

TIMES = {"first": '"1s"', "most": '"1s"', "warn": '"2s"', "expire": '"6s"',
         "expire-reports": '"4s"'}


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_one_notice_of_delay_and_one_report_at_the_end(tmp_path, content):
    busy = {"dot": b"450 4.2.9 mailbox is busy\r\n"}
    with Sink(busy) as sink, Sink() as home, \
            Relay(tmp_path, {"to.test": sink.hop, "from.test": home.hop},
                  retry=TIMES) as relay:
        with relay.client() as c:
            assert c.mail(content).code == 250
        relay.wait_log("status=expired", 20)
        relay.wait_empty(10)
        time.sleep(2)
        got = reports(home)
        actions = [re.search(r"Action: (\w+)", status_part(r))[1] for r in got]
        assert actions == ["delayed", "failed"]
        assert "Status: 4.2.9" in status_part(got[0])
        assert "Will-Retry-Until:" in status_part(got[0])
        assert "Status: 4.4.7" in status_part(got[1])
        for report in got:
            assert "smtp; 450 4.2.9 mailbox is busy" in status_part(report)
            assert "Subject: " + content[9:14].decode() in report.as_string()
        assert len(re.findall("status=expired", relay.log())) == 1


def test_a_host_that_never_answered_is_named_in_the_report(tmp_path):
    with Sink() as sink, Sink() as home, \
            Relay(tmp_path, {"to.test": sink.hop, "from.test": home.hop},
                  retry=TIMES) as relay:
        sink.refuse()
        with relay.client() as c:
            assert c.mail(SMALL).code == 250
        relay.wait_log("status=expired", 20)
        relay.wait_empty(10)
        got = reports(home)
        assert len(got) == 2
        for report in got:
            assert "connection refused" in report.as_string()


def test_a_report_that_fails_is_logged_and_nothing_else(tmp_path):
    busy = {"rcpt": b"450 4.2.9 mailbox is busy\r\n"}
    with Sink(busy) as sink, Sink() as home, \
            Relay(tmp_path, {"to.test": sink.hop, "from.test": home.hop},
                  retry=TIMES) as relay:
        with relay.client() as c:
            assert c.mail(SMALL, sender="").code == 250
        relay.wait_log("status=expired", 20)
        relay.wait_log(r"warning: \w+: double bounce: .*<r@to\.test>")
        relay.wait_empty(10)
        time.sleep(1)
        assert not home.messages


# ------------------------------------------------------------- going down ----

@pytest.mark.parametrize("stage", ["connect", "banner", "ehlo", "mail", "rcpt",
                                   "data", "body"])
@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_going_down_frees_what_is_before_its_final_dot(tmp_path, stage, content):
    with Sink({stage: HANG} if stage != "body" else {"body": [30]}) as sink:
        is_past_dot = content is SMALL and stage == "body"
        with Relay(tmp_path, {"*": sink.hop}, retry=PATIENT,
                   drain="3s" if is_past_dot else "60s") as relay:
            if content is LARGE and stage == "body":
                content = LARGE * 20 # more than the sockets take
            with relay.client() as c:
                assert c.mail(content).code == 250
            wait_for(lambda: sink.connections and
                     (stage == "banner" or sink.count(stage)), 10)
            time.sleep(0.3)
            assert relay.stop() == 0
            sink.drop()
            sink.script = None
            relay.start()
            if is_past_dot:
                assert "in doubt" in relay.log()
                assert len(relay.queue_list()) == 1
            else:
                sink.wait(1, 10)


def test_going_down_waits_for_the_answer_to_a_final_dot(tmp_path):
    with Sink({"dot": [1.5, b"250 2.0.0 taken\r\n"]}) as sink:
        with Relay(tmp_path, {"*": sink.hop}, retry=PATIENT) as relay:
            with relay.client() as c:
                assert c.mail(SMALL).code == 250
            wait_for(lambda: sink.count("dot"), 10)
            assert relay.stop() == 0
            assert "status=sent" in relay.log()
            relay.start()
            assert not relay.queue_list()
        assert len(sink.messages) == 1


def test_a_peer_that_never_closes_does_not_keep_us(tmp_path):
    with Sink({"quit": HANG}) as sink:
        with Relay(tmp_path, {"*": sink.hop}, retry=PATIENT,
                   drain="60s") as relay:
            with relay.client() as c:
                assert c.mail(SMALL).code == 250
            sink.wait(1)
            assert relay.stop() == 0


def test_hosts_that_failed_are_remembered_over_a_restart(tmp_path):
    def notes():
        db = sqlite3.connect(relay.queue_path)
        try:
            return db.execute("SELECT key FROM note WHERE kind='host' AND "
                              "expire_ms > ?", (time.time() * 1000,)).fetchall()
        finally:
            db.close()
    with Sink() as sink:
        sink.refuse()
        relay = Relay(tmp_path, {"*": sink.hop})
        with relay:
            with relay.client() as c:
                assert c.mail(SMALL).code == 250
            relay.wait_log(r"rests for \d+ s: 4\.4\.1")
        assert notes() == [(f"127.0.0.1 {sink.port}",)]
        sink.listen()
        with relay:
            sink.wait(1)
        assert notes() == []
