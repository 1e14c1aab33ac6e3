"""ETRN against a running relay: what waits for a host that was away, and who may ask."""

import time

import pytest

from relay import Client, Relay, Sink

MAIL = b"Subject: later\r\n\r\nwaited\r\n"


@pytest.fixture
def branch(tmp_path):
    """A relay with a pickup, and the host that comes and goes."""
    with Sink() as sink:
        offline = ('offline { client = {"127.0.0.1"}  '
                   f'deliver-to = "{sink.hop}" }}')
        extra = f"""
route "branch.test" {{ via = {{"pickup:branch"}}  {offline} }}
route "b2.branch.test" {{ via = {{"pickup:branch"}}  {offline} }}
route "fetch.test" {{ via = {{"pickup:fetch"}}
                      offline {{ client = {{"127.0.0.1"}} }} }}
route "theirs.test" {{ via = {{"pickup:theirs"}}
    offline {{ client = {{"192.0.2.1"}}  deliver-to = "{sink.hop}" }} }}
route "*" {{ via = {{"{sink.hop}"}} }}
"""
        with Relay(tmp_path, extra=extra) as relay:
            yield relay, sink


def put(relay, *recipients):
    with Client(relay.port) as c:
        for r in recipients:
            assert c.mail(MAIL, to=(r,)).code == 250


def test_mail_waits_until_it_is_asked_for_and_waits_again(branch):
    relay, sink = branch
    put(relay, "u@branch.test", "v@b2.branch.test")
    time.sleep(1.5)
    assert sink.connections == 0
    with Client(relay.port) as c:
        assert c.command("ETRN branch.test").code == 250
        sink.wait(2)  # one pickup: all that waits for it goes
        relay.wait_empty()
        assert c.command("ETRN branch.test").code == 251
    time.sleep(1)
    put(relay, "w@branch.test")
    time.sleep(1.5)
    assert len(sink.messages) == 2
    with Client(relay.port) as c:
        assert c.command("ETRN #branch").code == 250
    sink.wait(3)


def test_mail_that_goes_its_own_way_because_of_an_address_is_released_too(tmp_path):
    with Sink() as sink:
        offline = f'offline {{ client = {{"127.0.0.1"}}  deliver-to = "{sink.hop}" }}'
        extra = f"""
route "vip" {{ to = {{"vip@host.test"}}  via = {{"pickup:vip"}}  {offline} }}
route "boss" {{ to = {{"host.test"}}  from = {{"boss.test"}}  via = {{"pickup:boss"}}  {offline} }}
route "theirs" {{ to = {{"x@host.test"}}  via = {{"pickup:theirs"}}
    offline {{ client = {{"192.0.2.1"}}  deliver-to = "{sink.hop}" }} }}
"""
        with Relay(tmp_path, {"*": "smtp://127.0.0.1:9"}, extra=extra) as relay:
            put(relay, "vip@host.test", "x@host.test")
            with Client(relay.port) as c:
                assert c.mail(MAIL, sender="s@boss.test", to=("u@host.test",)).code == 250
                assert c.command("ETRN other.test").code == 459
                assert c.command("ETRN HOST.test").code == 250
                got = sorted(r for m in sink.wait(2) for r in m.recipients)
                assert got == ["u@host.test", "vip@host.test"]
                time.sleep(0.5)
                assert c.command("ETRN @host.test").code == 251
            assert [r["address"] for row in relay.queue_list()
                    for r in row["recipients"]] == ["x@host.test"]


def test_a_host_that_is_not_there_after_all_loses_nothing(branch):
    relay, sink = branch
    put(relay, "u@branch.test")
    sink.refuse()
    with Client(relay.port) as c:
        assert c.command("ETRN @branch.test").code == 250
        relay.wait_log("Connection refused|connection refused")
        time.sleep(1.5)
        assert len(relay.queue_list()) == 1
        sink.listen()
        assert c.command("ETRN branch.test").code == 250
    sink.wait(1)
    relay.wait_empty()


def test_who_may_not_ask_is_told_so(branch):
    relay, sink = branch
    put(relay, "u@theirs.test", "u@fetch.test")
    with Client(relay.port) as c:
        for argument, code in (("theirs.test", 459), ("nobody.test", 459),
                               ("#theirs", 459), ("fetch.test", 458),
                               ("#fetch", 458), ("#','x');--", 501),
                               ("", 501), ("a..b", 501)):
            assert c.command(f"ETRN {argument}".strip()).code == code, argument
        c.command("MAIL FROM:<s@from.test>")
        assert c.command("ETRN theirs.test").code == 503
    time.sleep(1)
    assert sink.connections == 0


def test_a_pickup_takes_no_more_than_its_quota(tmp_path):
    extra = """
route "small.test" { via = {"pickup:small"}  quota = "1KB"
                     offline { client = {"127.0.0.1"} } }
"""
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:9"}, extra=extra) as relay:
        put(relay, *["u@small.test"] * 5)   # what is over is seen from then on
        with Client(relay.port) as c:
            assert c.command("MAIL FROM:<s@from.test> SIZE=900").code == 250
            reply = c.command("RCPT TO:<u@small.test>")
            assert reply.code == 452 and reply.text.startswith("4.2.2"), reply
            assert c.command("RCPT TO:<u@other.test>").code == 250
        relay.verb("queue", "delete", "--domain", "small.test", "--yes")
        with Client(relay.port) as c:
            assert c.command("MAIL FROM:<s@from.test> SIZE=900").code == 250
            assert c.command("RCPT TO:<u@small.test>").code == 250


def test_it_is_not_offered_where_no_host_is_away(tmp_path):
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:9"}) as relay, \
            Client(relay.port, helo=None) as c:
        assert b"ETRN" not in c.command("EHLO client.test").lines
        assert c.command("ETRN branch.test").code == 502
