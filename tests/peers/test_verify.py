"""Recipients that are known to the primary, or not: verify = callout and verify = "table:FILE".

The primary is a scripted sink, and a real Postfix with a list of its own.
"""

import os
import re
import ssl
import threading
import time

import pytest

import peers
import pki
from relay import FIN, HANG, RST, Client, Relay, Sink, free_port, wait_for

LONG = os.environ.get("WAYPOST_LONG")
NO_USER = "550 5.1.1 <{}>: No such user here"
UNSURE = ("450 4.1.1 <{}>: Recipient cannot be verified now, try again later")


def knows(*known):
    """A primary that takes these mailboxes alone."""
    def script(_connection, stage, argument):
        if stage != "rcpt":
            return None
        address = re.search(rb"<(.*)>", argument)[1].decode()
        return None if address in known else b"550 5.1.1 never heard of\r\n"
    return script


def route(hop, **keys):
    return {"*": {"via": hop, "verify": "callout", "tls": "none",
                  **{k.replace("_", "-"): v for k, v in keys.items()}}}


def said(reply):
    return f"{reply.code} {reply.text}"


def ask(relay, *addresses):
    """What RCPT hears for each, in a session of its own."""
    with Client(relay.port) as c:
        c.command("MAIL FROM:<s@from.test>")
        return [said(c.command(f"RCPT TO:<{a}>")) for a in addresses]


def test_who_is_unknown_to_the_primary_is_refused_at_rcpt(tmp_path):
    with Sink(knows("ann@to.test")) as sink, \
            Relay(tmp_path, route(sink.hop)) as relay:
        assert ask(relay, "ann@to.test", "bob@to.test", "bob@to.test") == [
            "250 2.1.5 Ok"] + [NO_USER.format("bob@to.test")] * 2
        assert sink.count("data") == 0 and sink.count("rcpt") == 2
        # asked as nobody, and never with mail
        mails = [s[3] for s in sink.stages if s[1] == "mail"]
        assert all(m.upper().startswith(b"MAIL FROM:<>") for m in mails), mails
        relay.wait_log(r"NOQUEUE: reject: RCPT from .*: 550 5.1.1 "
                       r"<bob@to.test>: No such user here.*never heard of")
        with Client(relay.port) as c:
            assert c.mail(b"Subject: x\r\n\r\nx\r\n", to=["ann@to.test"]).code == 250
        assert sink.wait(1)[0].recipients == ["ann@to.test"]
        relay.wait_empty()
        assert len(sink.messages) == 1, "no report to anybody"


def test_answers_outlive_a_restart_and_a_primary_that_is_away(tmp_path):
    with Sink(knows("ann@to.test")) as sink:
        relay = Relay(tmp_path, route(sink.hop))
        with relay:
            ask(relay, "ann@to.test", "bob@to.test")
            time.sleep(0.3)
        sink.close()
        with relay:
            assert ask(relay, "ann@to.test", "bob@to.test", "eve@to.test") == [
                "250 2.1.5 Ok", NO_USER.format("bob@to.test"),
                UNSURE.format("eve@to.test")]
            relay.wait_log("cannot be verified")
    relay = Relay(tmp_path / "lax",
                  route(f"smtp://127.0.0.1:{free_port()}", verify_unknown="accept"))
    with relay:
        assert ask(relay, "eve@to.test") == ["250 2.1.5 Ok"]


def test_answers_expire(tmp_path):
    known = {"ann@to.test"}
    with Sink(lambda *a: knows(*known)(*a)) as sink, \
            Relay(tmp_path, route(sink.hop, verify_known='"2s"',
                                  verify_refused='"1s"')) as relay:
        begun = time.monotonic()
        assert ask(relay, "ann@to.test", "bob@to.test") == [
            "250 2.1.5 Ok", NO_USER.format("bob@to.test")]
        known.clear()
        known.add("bob@to.test")
        is_known = ask(relay, "ann@to.test") == ["250 2.1.5 Ok"]
        assert is_known or time.monotonic() - begun > 2
        time.sleep(1.2)
        assert ask(relay, "bob@to.test") == ["250 2.1.5 Ok"]
        time.sleep(1.2)
        assert ask(relay, "ann@to.test") == [NO_USER.format("ann@to.test")]


@pytest.mark.parametrize("trouble", [
    {"rcpt": b"450 4.2.0 greylisted\r\n"},
    {"rcpt": b"421 4.3.2 going\r\n"},
    {"rcpt": b"530 5.7.0 log in first\r\n"},
    {"rcpt": b"550 5.7.1 members only\r\n"},
    {"rcpt": b"554 5.7.1 your network is blocked\r\n"},
    {"rcpt": b"552 5.2.2 full\r\n"},
    {"rcpt": b"what?\r\n"},
    {"rcpt": RST},
    {"mail": b"550 5.7.1 not from nobody\r\n"},
    {"mail": FIN},
    {"banner": b"554 5.7.1 go away\r\n"},
    {"banner": b"\xff\xfe\x00garbage\r\n"},
    {"connect": RST},
    {"ehlo": b"550 no\r\n", "helo": b"550 no\r\n"},
], ids=lambda t: "-".join(f"{k} {str(v)[:12]}" for k, v in t.items()))
def test_trouble_says_nothing_of_a_mailbox(tmp_path, trouble):
    with Sink(dict(trouble)) as sink, \
            Relay(tmp_path, route(sink.hop)) as relay:
        assert ask(relay, "ann@to.test") == [UNSURE.format("ann@to.test")]
        with Client(relay.port) as c:
            assert c.command("NOOP").code == 250
        if "rcpt" in trouble:   # nothing was remembered
            sink.script = None
            assert ask(relay, "ann@to.test") == ["250 2.1.5 Ok"]


def test_a_connection_that_was_kept_and_lost_is_made_anew(tmp_path):
    with Sink(knows("ann@to.test", "eve@to.test")) as sink, \
            Relay(tmp_path, route(sink.hop, idle='"60s"')) as relay:
        assert ask(relay, "ann@to.test") == ["250 2.1.5 Ok"]
        sink.script = lambda n, stage, argument: (
            RST if n == 1 and stage == "mail" else
            knows("eve@to.test")(n, stage, argument))
        assert ask(relay, "eve@to.test") == ["250 2.1.5 Ok"]
        assert sink.connections == 2


def test_pipelined_recipients_hear_their_replies_in_order(tmp_path):
    known = [f"u{i}@to.test" for i in range(0, 300, 2)]
    with Sink(knows(*known)) as sink, \
            Relay(tmp_path, route(sink.hop),
                  limits={"errors": 1000}) as relay, \
            Client(relay.port) as c:
        everybody = [f"u{i}@to.test" for i in range(300)]
        commands = ["MAIL FROM:<s@from.test>",
                    *[f"RCPT TO:<{a}>" for a in everybody], "DATA", ""]
        c.send("\r\n".join(commands).encode())
        assert c.reply().code == 250
        for address in everybody:
            assert said(c.reply()) == ("250 2.1.5 Ok" if address in known
                                       else NO_USER.format(address))
        assert c.reply().code == 354
        c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert c.reply().code == 250
        wait_for(lambda: sum(len(m.recipients) for m in sink.messages) == 150)
        # one connection serves one question after the other
        assert sink.connections < 20


def test_an_address_is_asked_about_once_however_many_want_to_know(tmp_path):
    go = threading.Event()
    with Sink(lambda n, stage, a: [lambda _: go.wait(10), b"250 Ok\r\n"]
              if stage == "rcpt" else None) as sink, \
            Relay(tmp_path, route(sink.hop), top="workers = 1") as relay:
        clients = [Client(relay.port) for _ in range(20)]
        for c in clients:
            c.command("MAIL FROM:<>")
            c.send(b"RCPT TO:<ann@to.test>\r\n")
        wait_for(lambda: sink.count("rcpt") == 1)
        time.sleep(0.3)
        gone = clients[:10]
        for c in gone[:5]:
            c.reset()
        for c in gone[5:]:
            c.close()
        time.sleep(0.3)
        go.set()
        for c in clients[10:]:
            assert said(c.reply()) == "250 2.1.5 Ok"
            c.close()
        assert sink.count("rcpt") == 1 and relay.is_alive


def test_a_client_that_half_closes_is_answered(tmp_path):
    with Sink([]) as sink:
        sink.script = lambda n, stage, a: [0.3, b"250 Ok\r\n"] \
            if stage == "rcpt" else None
        with Relay(tmp_path, route(sink.hop)) as relay, \
                Client(relay.port) as c:
            c.send(b"MAIL FROM:<>\r\nRCPT TO:<ann@to.test>\r\nDATA\r\n")
            c.shut()
            assert [r.code for r in c.all_replies()] == [250, 250, 354]


def test_going_down_and_reloading_while_it_asks(tmp_path):
    go = threading.Event()
    with Sink(lambda n, stage, a: [lambda _: go.wait(20), b"250 Ok\r\n"]
              if stage == "rcpt" else None) as sink:
        relay = Relay(tmp_path, route(sink.hop))
        with relay, Client(relay.port) as c:
            c.command("MAIL FROM:<>")
            c.send(b"RCPT TO:<ann@to.test>\r\n")
            wait_for(lambda: sink.count("rcpt") == 1)
            relay.routes = {"*": sink.hop}
            relay.write_config()
            relay.reload()
            relay.wait_log("configuration reloaded")
            go.set()
            assert said(c.reply()) == "250 2.1.5 Ok"
            c.command("RSET")
            c.command("MAIL FROM:<>")
            assert c.command("RCPT TO:<bob@to.test>").code == 250
            assert sink.count("rcpt") == 1
        go.clear()
        relay = Relay(tmp_path / "down", route(sink.hop))
        with relay, Client(relay.port) as c:
            c.command("MAIL FROM:<>")
            c.send(b"RCPT TO:<eve@to.test>\r\n")
            wait_for(lambda: sink.count("rcpt") == 2)
            relay.process.terminate()
            assert c.reply().code == 421
            c.close()
            relay.process.wait(60)
        go.set()


@pytest.mark.skipif(not LONG, reason="takes half a minute")
def test_a_silent_primary_is_waited_for_so_long(tmp_path):
    with Sink({"rcpt": HANG}) as sink, \
            Relay(tmp_path, route(sink.hop)) as relay, \
            Client(relay.port, timeout=40) as c:
        c.command("MAIL FROM:<>")
        begun = time.monotonic()
        assert said(c.command("RCPT TO:<ann@to.test>")) == \
            UNSURE.format("ann@to.test")
        assert 18 < time.monotonic() - begun < 25
        sink.script = {"banner": HANG}
        begun = time.monotonic()
        c.command("RCPT TO:<bob@to.test>")
        assert 18 < time.monotonic() - begun < 25
        begun = time.monotonic()  # it rests now
        assert c.command("RCPT TO:<eve@to.test>").code == 450
        assert time.monotonic() - begun < 2


def test_the_primary_is_met_on_the_routes_terms(tmp_path):
    authority = pki.Authority(tmp_path)
    certificate = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    (tmp_path / "pw").write_text("pencil-case\n")
    with Sink(knows("ann@to.test"), tls=context,
              logins={"us": "pencil-case"}) as sink:
        terms = {"tls": "verify", "user": '"us"',
                 "password-file": f'"{tmp_path}/pw"', "idle": '"0s"'}
        top = f'tls {{ authorities = "{authority.path}" }}'
        with Relay(tmp_path / "good", route(sink.hop, **terms), top=top) as relay:
            assert ask(relay, "ann@to.test", "bob@to.test") == [
                "250 2.1.5 Ok", NO_USER.format("bob@to.test")]
            assert all(tls for _, stage, _, _, tls in sink.stages
                       if stage in ("auth", "mail", "rcpt"))
        asked = sink.count("mail")
        with Relay(tmp_path / "bad", route(sink.hop, **terms)) as relay:
            assert ask(relay, "ann@to.test") == [UNSURE.format("ann@to.test")]
        assert sink.count("mail") == asked


def test_a_list_tells_as_well(tmp_path):
    (tmp_path / "known").write_text("ann@to.test\nwhole.test\n")
    routes = {"*": {"via": f"smtp://127.0.0.1:{free_port()}",
                    "verify": f'"table:{tmp_path}/known"'}}
    with Relay(tmp_path, routes) as relay:
        assert ask(relay, "Ann@to.test", "any@whole.test", "bob@to.test") == [
            "250 2.1.5 Ok", "250 2.1.5 Ok", NO_USER.format("bob@to.test")]


class Primary(peers.Postfix):
    """Knows one mailbox, and needs a name that it can send reports to."""
    extra = """
mydestination = to.test
local_recipient_maps = inline:{ann=ann}
local_transport = discard:
"""


def test_a_real_postfix_is_the_primary(tmp_path):
    try:
        primary = Primary(tmp_path / "postfix", free_port())
    except peers.Missing as e:
        pytest.skip(str(e))
    with primary, Relay(tmp_path / "relay", route(primary.hop)) as relay:
        assert ask(relay, "ann@to.test", "bob@to.test") == [
            "250 2.1.5 Ok", NO_USER.format("bob@to.test")]
        relay.wait_log("bob@to.test>: No such user here.*User unknown")
        with Client(relay.port) as c:
            assert c.mail(b"Subject: x\r\n\r\nx\r\n", to=["ann@to.test"]).code == 250
        relay.wait_empty()
        assert "status=sent" in relay.log() and "bounced" not in relay.log()
