"""Logins at next hops with bearer tokens: fetched, refreshed, refused, and never seen.

The token server is oauth.py's; the next hop takes a token only while that server holds it
for good. Both speak TLS under an authority of the test's.

A program that does not log in yet has no thread named "tokens": then all of this is left
out, and nothing else is a reason to.
"""

import base64
import os
import pathlib
import re
import ssl
import stat
import subprocess
import time

import pytest

from oauth import BearerSink, TokenServer
from pki import Authority
from relay import LONG, Relay, Sink, program, wait_for

SMALL = b"Subject: small\r\n\r\nhello\r\n"
# no kept connection hides what the next login does
ROUTE = {"tls": "verify", "idle": '"1s"'}
# the destination rests: no recipient has been shown to it
DEFERRED_LOGIN = r"rests for \d+ s: 4\.7\.8 "
PATIENCE = {"first": '"1s"', "most": '"1s"'}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    return context


@pytest.fixture(scope="module")
def tls(authority):
    return serving(authority.issue("127.0.0.1", cn="sink.test"))


@pytest.fixture(scope="module", autouse=True)
def supported(tmp_path_factory):
    """Has the program a desk for tokens?"""
    with Sink() as sink, \
            Relay(tmp_path_factory.mktemp("probe"), {"*": sink.hop}) as relay:
        names = [p.read_text().strip() for p in pathlib.Path(
            f"/proc/{relay.process.pid}/task").glob("*/comm")]
    if "tokens" not in names:
        pytest.skip("this program does not log in at next hops")


@pytest.fixture
def server(tls):
    with TokenServer(tls, clients={"app": "s3cret-of-app"}) as s:
        yield s


@pytest.fixture
def sink(tls, server):
    with BearerSink(server, tls=tls) as s:
        yield s


def secret_file(folder, name, secret):
    path = pathlib.Path(folder) / name
    path.write_text(secret + "\n")
    path.chmod(0o600)
    return path


def account(title="big", **keys):
    lines = "".join(f"    {k.replace('_', '-')} = {v}\n"
                    for k, v in keys.items())
    return f'account "{title}" {{\n{lines}}}\n'


def by_client(folder, server, **more):
    """An account with the client credentials grant."""
    path = secret_file(folder, "client.secret", "s3cret-of-app")
    keys = {"user": '"us@big.test"', "token-url": f'"{server.url}"',
            "client-id": '"app"', "client-secret-file": f'"{path}"',
            "scope": '"mail.send"', **more}
    return account(**keys)


def by_refresh(folder, server, token):
    path = secret_file(folder, "refresh.token", token)
    return account(user='"us@big.test"', token_url=f'"{server.url}"',
                   client_id='"public"', refresh_token_file=f'"{path}"'), path


def start(tmp_path, authority, sink, text, **kw):
    top = f'tls {{ authorities = "{authority.path}" }}\n{text}'
    route = {"via": sink.hop, "account": '"big"', **ROUTE}
    return Relay(tmp_path / "relay", {"*": route}, top=top,
                 retry={**PATIENCE, **kw.pop("retry", {})}, **kw)


def send(relay, subject="small"):
    with relay.client() as c:
        assert c.mail(SMALL.replace(b"small", subject.encode())).code == 250


def seen_forms(secret):
    """A secret as it is, and what shows of it in base64 wherever it begins."""
    yield secret.encode()
    for before in range(3):
        text = base64.b64encode(b"x" * before + secret.encode())
        yield text[4 if before else 0:len(text) // 4 * 4 - 4]


def assert_unseen(relay, *secrets):
    """Neither in what the relay says and keeps, nor in what others see of it."""
    here = pathlib.Path(f"/proc/{relay.process.pid}")
    places = {"log": relay.log_path.read_bytes(),
              "command line": (here / "cmdline").read_bytes(),
              # that of a relay is for root alone
              "environment": (here / "environ").read_bytes()
              if os.getuid() == 0 else b"",
              "queue list": relay.verb("queue", "list", "--json").stdout}
    for row in relay.queue_list():
        places["queue show " + row["queue_id"]] = \
            relay.verb("queue", "show", row["queue_id"]).stdout
    for path in relay.folder.rglob("*"):
        if path.is_file() and path.name.startswith(("queue", "history")):
            places[path.name] = path.read_bytes()
    for secret in filter(None, secrets):
        for form in seen_forms(secret):
            assert [n for n, b in places.items() if form in b] == []


@pytest.fixture
def unseen(server):
    """Called with the relay at the end of a test."""
    return lambda relay, *more: assert_unseen(relay, *server.secrets, *more)


# -------------------------------------------------------------- good days ----

@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_mail_goes_with_a_token_of_the_clients_own(tmp_path, authority, tls,
                                                   server, mechanism, unseen):
    with BearerSink(server, tls=tls, auth=mechanism) as sink, \
            start(tmp_path, authority, sink,
                  by_client(tmp_path, server)) as relay:
        for i in range(3):
            send(relay)
        got = sink.wait(3)
        relay.wait_empty(5)
        assert {m.login for m in got} == {"us@big.test"}
        assert all(m.tls for m in got)
        assert len(server.requests) == 1
        assert server.requests[0]["form"]["scope"] == "mail.send"
        assert server.requests[0]["basic"]
        assert "status=deferred" not in relay.log()
        unseen(relay)


def test_a_server_that_takes_the_secret_in_the_form_only_gets_it_so(
        tmp_path, authority, server, sink, unseen):
    server.methods = {"form"}
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        send(relay)
        sink.wait(1)
        assert [r["status"] for r in server.requests] == [401, 200]
        unseen(relay)


def test_a_burst_of_connections_shares_one_fetch(tmp_path, authority, server,
                                                 sink):
    server.delay = 1
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        for i in range(10):
            send(relay)
        sink.wait(10)
        assert len(server.requests) == 1


def test_an_ended_token_is_replaced_between_two_messages(
        tmp_path, authority, server, sink, unseen):
    server.life = 3
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        for i in range(3):
            send(relay)
            sink.wait(i + 1)
            time.sleep(3.2)
        relay.wait_empty(5)
        assert server.granted == 3
        assert "status=deferred" not in relay.log()
        unseen(relay)


def test_a_refresh_token_that_rotates_is_kept_in_its_file(
        tmp_path, authority, server, sink, unseen):
    server.clients["public"] = None
    server.rotate, server.life = True, 3
    first = server.issue_refresh()
    text, path = by_refresh(tmp_path, server, first)
    with start(tmp_path, authority, sink, text) as relay:
        send(relay)
        sink.wait(1)
        second = path.read_text().strip()
        assert second != first and second in server.refresh_tokens
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        time.sleep(3.2)
        send(relay)
        sink.wait(2)
        assert path.read_text().strip() in server.refresh_tokens - {second}
        assert [r["form"]["grant_type"] for r in server.requests] == \
            ["refresh_token"] * 2
        unseen(relay)
    # and it is what a new start begins with
    time.sleep(3.2)
    with start(tmp_path, authority, sink, text.replace(first, "")) as relay:
        send(relay)
        sink.wait(3)
        assert [p.name for p in tmp_path.glob("refresh*")] == [path.name]


def test_a_token_command_prints_it(tmp_path, authority, server, sink, unseen):
    token = server.issue()
    secret_file(tmp_path, "token", token)
    script = tmp_path / "print-token"
    script.write_text(f"#!/bin/sh\nset -x\necho run >> {tmp_path}/runs\n"
                      f'cat "$1"/token\n: {token}\n')
    script.chmod(0o700)
    text = account(user='"us@big.test"',
                   token_command=f'{{"{script}", "{tmp_path}"}}')
    with start(tmp_path, authority, sink, text) as relay:
        for i in range(2):
            send(relay)
            sink.wait(i + 1)
            time.sleep(1.5)
        assert (tmp_path / "runs").read_text() == "run\n"
        unseen(relay)


def test_a_password_is_read_from_its_file(tmp_path, authority, tls):
    with Sink(tls=tls, logins={"us": "pass:w0rd!"}) as sink:
        path = secret_file(tmp_path, "pw", "wr0ng-pass")
        text = account(user='"us"', password_file=f'"{path}"')
        with start(tmp_path, authority, sink, text) as relay:
            send(relay)
            relay.wait_log(DEFERRED_LOGIN)
            secret_file(tmp_path, "pw", "pass:w0rd!")
            relay.retry_now()
            (got,) = sink.wait(1, 30)
            assert got.login == "us"
            assert "status=bounced" not in relay.log()
            assert_unseen(relay, "pass:w0rd!", "wr0ng-pass")


# --------------------------------------------------------------- bad days ----

def test_a_revoked_token_is_fetched_anew_for_the_next_attempt(
        tmp_path, authority, server, sink, unseen):
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        send(relay)
        sink.wait(1)
        server.revoke()
        sink.drop()
        send(relay)
        sink.wait(2, 30)
        relay.wait_empty(5)
        assert server.granted == 2
        assert "status=bounced" not in relay.log()
        unseen(relay)


def test_a_next_hop_that_wants_none_of_the_tokens_gets_few(
        tmp_path, authority, server, sink, unseen):
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        sink.user = "somebody-else@big.test"
        began = time.monotonic()
        send(relay)
        relay.wait_log(DEFERRED_LOGIN)
        for i in range(10):
            relay.retry_now()
            time.sleep(0.5)
        assert server.granted <= 2 + (time.monotonic() - began) / 10
        assert len(relay.queue_list()) == 1
        assert "status=bounced" not in relay.log()
        unseen(relay)


@pytest.mark.parametrize("status, said, why", [
    (401, {"error": "invalid_client"}, "answered 401 invalid_client"),
    (400, {"error": "invalid_grant", "error_description": "was\r\nrevoked"},
     "answered 400 invalid_grant: was revoked"),
    (200, "garbage", "gave an answer that is not a JSON object"),
    (200, "x" * 100000, "larger than 64 KB"),
    (302, "", "answered 302"),
], ids=["client", "grant", "garbage", "huge", "elsewhere"])
def test_a_refusal_of_the_token_server_is_no_bounce(
        tmp_path, authority, server, sink, unseen, status, said, why):
    server.refusal = status, said
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        send(relay)
        relay.wait_log(DEFERRED_LOGIN)
        assert re.search(why, relay.log())
        assert "status=bounced" not in relay.log()
        (row,) = relay.queue_list()
        assert re.search(why, str(row))
        unseen(relay)
        server.refusal = None
        wait_for(lambda: relay.retry_now() or sink.messages or
                 time.sleep(0.5), 40)
        unseen(relay)


@pytest.mark.parametrize("how", [
    "busy", "gone", pytest.param("silent", marks=pytest.mark.skipif(
        not LONG, reason="takes 40 s: WAYPOST_LONG=1"))])
def test_an_outage_of_the_token_server_is_waited_out(
        tmp_path, authority, server, sink, unseen, how):
    if how == "busy":
        server.outage = True
    elif how == "gone":
        server.stop()
    else:
        server.delay = 35
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        for i in range(5):
            send(relay)
        relay.wait_log(DEFERRED_LOGIN, 45)
        # a storm of mail is no storm of questions
        for i in range(5):
            relay.retry_now()
            time.sleep(0.2)
        assert len(server.requests) <= 2
        server.outage, server.delay = False, 0
        if how == "gone":
            server.start()
        wait_for(lambda: relay.retry_now() or len(sink.messages) == 5 or
                 time.sleep(0.5), 60)
        assert "status=bounced" not in relay.log()
        unseen(relay)


def test_a_token_server_of_another_authority_is_told_no_secret(
        tmp_path, authority, sink, server, unseen):
    other = Authority(tmp_path, "other")
    with TokenServer(serving(other.issue("127.0.0.1")),
                     clients={"app": "s3cret-of-app"}) as stranger, \
            start(tmp_path, authority, sink,
                  by_client(tmp_path, stranger)) as relay:
        send(relay)
        relay.wait_log(DEFERRED_LOGIN)
        assert re.search("token server 127.0.0.1 cannot be asked: .*certificate",
                         relay.log())
        assert not stranger.requests
        unseen(relay)


def test_a_token_server_with_anothers_name_is_told_no_secret(
        tmp_path, authority, sink):
    with TokenServer(serving(authority.issue("login.test")),
                     clients={"app": "s3cret-of-app"}) as stranger, \
            start(tmp_path, authority, sink,
                  by_client(tmp_path, stranger)) as relay:
        send(relay)
        relay.wait_log(DEFERRED_LOGIN)
        assert not stranger.requests


def test_a_next_hop_without_tls_is_shown_no_token(tmp_path, authority, server):
    with BearerSink(server) as plain, \
            start(tmp_path, authority, plain,
                  by_client(tmp_path, server)) as relay:
        send(relay)
        relay.wait_log(r"status=deferred|rests for")
        assert plain.count("auth") == 0 and not plain.messages


def test_going_down_does_not_wait_for_a_token_server(tmp_path, authority,
                                                     server, sink):
    server.delay = 25
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        send(relay)
        time.sleep(1)
        began = time.monotonic()
        assert relay.stop() == 0
        assert time.monotonic() - began < 20
    server.delay = 0
    with start(tmp_path, authority, sink,
               by_client(tmp_path, server)) as relay:
        sink.wait(1, 30)


# ------------------------------------------------------------------ check ----

def check(path):
    return subprocess.run([program(), "check", "-c", path], capture_output=True,
                          text=True, timeout=30)


def test_check_tells_of_files_that_are_missing_or_open_to_others(
        tmp_path, authority, server, sink):
    relay = start(tmp_path, authority, sink, by_client(tmp_path, server))
    secret = tmp_path / "client.secret"
    said = check(relay.config)
    assert said.returncode == 0 and "warning" not in said.stderr
    secret.chmod(0o644)
    said = check(relay.config)
    assert said.returncode == 0
    assert re.search(r"waypost\.conf:\d+:\d+: warning: client-secret-file: .*"
                     r"client\.secret: others may read it", said.stderr)
    secret.unlink()
    said = check(relay.config)
    assert said.returncode == 78
    assert re.search(r"waypost\.conf:\d+:\d+: client-secret-file: .*"
                     r"client\.secret: No such file", said.stderr)
