"""Webhooks: what became of mail arrives at a receiver that fails in every way, and is killed
with the relay in between; at least once each, signed, in order."""

import hashlib
import hmac
import http.server
import json
import sqlite3
import ssl
import threading
import time

import pytest

from pki import Authority
from relay import Relay, Sink, wait_for
from test_operating import http as ask
from test_operating import waypost

SECRET = "a secret of a webhook"


class Receiver:
    """An HTTPS server that keeps what it is told, and answers as `how` says."""

    def __init__(self, certificate, port=0):
        self.certificate, self.port = certificate, port
        self.how, self.batches, self.requests, self.bad = "ok", [], 0, []
        self.released = threading.Event()
        self.start()

    def start(self):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests += 1
                receiver.take(self, body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.path, self.certificate.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def die(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self, handler, body):
        how = self.how
        self.check(handler.headers, body)
        if how == "hang":
            self.released.wait(60)
            handler.close_connection = True
            return
        if how in ("close", "garbage"):
            if how == "garbage":
                handler.wfile.write(b"\x00\xff what is this\r\n\r\n" * 10)
            handler.close_connection = True
            handler.connection.close()
            return
        if how == "loud":  # 200, and then no end of it
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
            self.batches.append(json.loads(body))
            try:
                while True:
                    handler.wfile.write(b"x" * 65536)
            except OSError:
                return
        status = {"ok": 200, "none": 204}.get(how, how)
        if isinstance(status, int) and 200 <= status < 300:
            self.batches.append(json.loads(body))
        handler.send_response(status)
        if status == 302:
            handler.send_header("Location", f"https://127.0.0.1:{self.port}/other")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def check(self, headers, body):
        t, _, v1 = headers["Waypost-Signature"].partition(",")
        stamp = t.removeprefix("t=")
        mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256)
        o = json.loads(body)
        ids = [e["id"] for e in o["events"]]
        if (v1 != f"v1={mac.hexdigest()}" or abs(int(stamp) - time.time()) > 60
                or headers["Content-Type"] != "application/json"
                or headers["Waypost-Batch"] != str(o["batch"]) or o["batch"] < ids[-1]
                or ids != sorted(set(ids)) or o["webhook"] != "crm" or not ids):
            self.bad.append((dict(headers), body))

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}/hook"

    def events(self):
        return [e for b in list(self.batches) for e in b["events"]]

    def told(self):
        return {e["recipient"] for e in self.events()}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def receiver(authority):
    r = Receiver(authority.issue("127.0.0.1"))
    yield r
    r.released.set()
    r.die()
    assert not r.bad


def webhook(folder, receiver, authority, more="", name="crm"):
    secret = folder / "crm.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    return (f'webhook "{name}" {{ url = "{receiver.url}"  secret-file = "{secret}"\n'
            f'  authorities = "{authority.path}" {more} }}\n')


def send(relay, *recipients):
    with relay.client() as c:
        for to in recipients:
            c.mail(b"Subject: x\r\n\r\nx\r\n", "ann@from.test", (to,))


def state(relay, name="crm"):
    status, body = ask(relay.folder / "admin.sock", "GET", "/api/v1/webhooks")
    assert status == 200
    return next(o for o in map(json.loads, body.splitlines()) if o["name"] == name)


def retry(relay, name="crm"):
    return ask(relay.folder / "admin.sock", "POST", f"/api/v1/webhooks/{name}/retry", {})


def begun(relay):
    """A new webhook begins with now: until that was."""
    time.sleep(1.2)
    wait_for(lambda: state(relay)["state"] == "ok", 5, "a good state")


def test_each_outcome_is_told_once_where_nothing_fails(tmp_path, authority, receiver):
    with Sink() as sink:
        sink.script = lambda n, stage, line: \
            b"550 5.1.1 gone\r\n" if stage == "rcpt" and b"bad" in line else None
        with Relay(tmp_path / "relay", {"*": sink.hop}) as r:
            send(r, "old@to.test")
            wait_for(lambda: b"old@to.test" in ask(r.folder / "admin.sock", "GET",
                                                   "/api/v1/history")[1], 10, "its outcome")
            r.stop()
            r.extra = webhook(tmp_path, receiver, authority)
            r.write_config()
            r.start()
            begun(r)
            send(r, "bob@to.test", "bad@to.test")
            wait_for(lambda: {"bob@to.test", "bad@to.test"} <= receiver.told(), 10, "both")
            by = {e["recipient"]: e for e in receiver.events()}
            assert by["bob@to.test"]["what"] == "delivered"
            assert by["bad@to.test"]["what"] == "failed"
            assert by["bad@to.test"]["status"].startswith("5.1.1")
            status, body = ask(r.folder / "admin.sock", "GET", "/api/v1/history?to=bad@to.test")
            said = json.loads(body.splitlines()[0])
            assert {**said, "id": by["bad@to.test"]["id"]} == by["bad@to.test"]
            wait_for(lambda: state(r)["behind"] == 0, 5, "nothing is behind")
            o = state(r)
            assert (o["state"], o["host"], o["status"], o["last_error"], o["lost"]) == \
                ("ok", "127.0.0.1", 200, None, 0)
            ids = [e["id"] for e in receiver.events()]
            assert ids == sorted(set(ids))
            # again with a new process: nothing comes twice
            r.stop()
            r.start()
            send(r, "eve@to.test")
            wait_for(lambda: "eve@to.test" in receiver.told(), 10, "eve")
            ids = [e["id"] for e in receiver.events()]
            assert ids == sorted(set(ids)) and "old@to.test" not in receiver.told()


def test_only_what_was_asked_for_and_no_more_at_once_than_that(tmp_path, authority, receiver):
    with Sink() as sink:
        sink.script = lambda n, stage, line: \
            b"550 5.1.1 gone\r\n" if stage == "rcpt" and b"bad" in line else None
        with Relay(tmp_path / "relay", {"*": sink.hop},
                   extra=webhook(tmp_path, receiver, authority,
                                 "events = {failed}  batch = 3")) as r:
            begun(r)
            with r.client() as c:
                c.mail(b"Subject: x\r\n\r\nx\r\n", "ann@from.test",
                       [f"{who}{i}@to.test" for i in range(10) for who in ("bad", "good")])
            wait_for(lambda: len(receiver.events()) >= 10, 10, "ten")
            assert {e["what"] for e in receiver.events()} == {"failed"}
            assert max(len(b["events"]) for b in receiver.batches) == 3
            wait_for(lambda: state(r)["behind"] == 0, 5, "nothing is behind")


def test_a_receiver_that_fails_is_asked_until_it_says_yes(tmp_path, authority, receiver):
    with Sink() as sink, Relay(tmp_path / "relay", {"*": sink.hop},
                               extra=webhook(tmp_path, receiver, authority)) as r:
        begun(r)
        for n, how in enumerate((500, 302, "garbage", "close", "hang", "dead")):
            fails(r, receiver, how, f"a{n}@to.test")
            # mail knows nothing of it
            send(r, f"b{n}@to.test")
            sink.wait(2 * n + 2, 5)
            receiver.how = "none"
            if how == "dead":
                receiver.start()
            assert retry(r)[0] == 200
            wait_for(lambda: {f"a{n}@to.test", f"b{n}@to.test"} <= receiver.told(), 10, "both")
            wait_for(lambda: state(r)["state"] == "ok", 5, "a good state")
            assert r.log().count('webhook "crm": works again') == n + 1


def fails(r, receiver, how, recipient):
    receiver.how = how
    if how == "dead":
        receiver.die()
    requests, batches = receiver.requests, len(receiver.batches)
    send(r, recipient)
    if how == "hang":
        wait_for(lambda: receiver.requests > requests, 10, "a request")
        assert state(r)["state"] == "waiting"
        receiver.released.set()
    wait_for(lambda: state(r)["state"] == "failing", 10, "a failure")
    o = state(r)
    assert o["behind"] >= 1 and o["next"] > time.time() - 30 and "127.0.0.1" in o["last_error"]
    assert o["status"] == (how if isinstance(how, int) else None)
    assert len(receiver.batches) == batches
    r.wait_log(r'warning: webhook "crm": .*the next try is in 10 s')


def test_nothing_is_lost_when_the_relay_is_killed_again_and_again(tmp_path, authority, receiver):
    sent = set()
    with Sink() as sink:
        r = Relay(tmp_path / "relay", {"*": sink.hop},
                  extra=webhook(tmp_path, receiver, authority, "batch = 7"))
        with r:
            begun(r)
            for turn in range(6):
                receiver.how = ("ok", 500, "close", "loud")[turn % 4]
                some = [f"t{turn}n{i}@to.test" for i in range(30)]
                send(r, *some)
                sent |= set(some)
                time.sleep(0.3 * (turn % 4))
                r.kill()
                r.start()
            receiver.how = "ok"
            wait_for(lambda: retry(r)[0] == 200 and sent <= receiver.told(), 20, "every outcome")
            wait_for(lambda: state(r)["behind"] == 0, 10, "nothing is behind")
        # what came twice was the same, and what came later never had a smaller number but then
        by = {}
        for e in receiver.events():
            assert by.setdefault(e["id"], e["recipient"]) == e["recipient"]
        assert len(by) >= len(sent)


def test_one_receiver_waits_for_no_other_and_a_reload_changes_them(tmp_path, authority, receiver):
    other = Receiver(authority.issue("127.0.0.1"))
    other.how = "hang"
    with Sink() as sink:
        r = Relay(tmp_path / "relay", {"*": sink.hop})
        r.extra = webhook(tmp_path, receiver, authority)
        both = r.extra + webhook(tmp_path, other, authority, name="slow")
        r.extra = both
        r.write_config()
        with r:
            begun(r)
            send(r, "a@to.test")
            wait_for(lambda: "a@to.test" in receiver.told(), 10, "a")
            wait_for(lambda: state(r, "slow")["state"] == "waiting", 10, "it waits")
            # taken out and put back, it begins with then
            r.extra = webhook(tmp_path, receiver, authority)
            r.write_config()
            r.reload()
            r.wait_log("configuration reloaded")
            assert retry(r, "slow")[0] == 404 and retry(r, "crm/x")[0] == 404
            send(r, "b@to.test")
            wait_for(lambda: "b@to.test" in receiver.told(), 10, "b")
            r.extra = both
            r.write_config()
            r.reload()
            wait_for(lambda: r.log().count("configuration reloaded") == 2, 5, "a reload")
            other.how = "ok"
            time.sleep(1.2)
            send(r, "c@to.test")
            wait_for(lambda: "c@to.test" in other.told() and "c@to.test" in receiver.told(),
                     10, "c")
            assert other.told() == {"c@to.test"}
    other.released.set()
    other.die()


def test_a_receiver_that_cannot_prove_itself_is_told_nothing(tmp_path, authority):
    stranger = Receiver(Authority(tmp_path, "stranger").issue("127.0.0.1"))
    with Sink() as sink, Relay(tmp_path / "relay", {"*": sink.hop},
                               extra=webhook(tmp_path, stranger, authority)) as r:
        time.sleep(1.2)
        send(r, "a@to.test")
        wait_for(lambda: state(r)["state"] == "failing", 10, "a failure")
        assert stranger.requests == 0 and "certificate" in state(r)["last_error"]
        # a secret that is gone
        (tmp_path / "crm.secret").unlink()
        retry(r)
        wait_for(lambda: "crm.secret" in state(r)["last_error"], 5, "why")
        assert SECRET not in r.log()
    stranger.die()


def test_check_looks_at_the_files_of_webhooks(tmp_path, authority, receiver):
    r = Relay(tmp_path / "relay", {"*": "smtp://127.0.0.1:9"},
              extra=webhook(tmp_path, receiver, authority))
    out = waypost("check", "-c", r.config)
    assert out.returncode == 0 and not out.stderr
    (tmp_path / "crm.secret").chmod(0o644)
    out = waypost("check", "-c", r.config)
    assert out.returncode == 0 and "chmod 600" in out.stderr
    (tmp_path / "crm.secret").write_text("\n")
    r.extra = r.extra.replace(str(authority.path), str(tmp_path / "none.pem"))
    r.write_config()
    out = waypost("check", "-c", r.config)
    assert out.returncode == 78
    assert "secret-file" in out.stderr and "none.pem: cannot be read" in out.stderr


def test_what_the_history_removed_unsent_is_counted_and_said_once(tmp_path, authority, receiver):
    with Sink() as sink, Relay(tmp_path / "relay", {"*": sink.hop},
                               extra=webhook(tmp_path, receiver, authority)) as r:
        begun(r)
        send(r, "first@to.test")
        wait_for(lambda: "first@to.test" in receiver.told(), 20, "the first")
        wait_for(lambda: state(r)["behind"] == 0, 20, "nothing is behind")
        receiver.how = 500
        for n, to in enumerate(("b@to.test", "c@to.test", "last@to.test")):
            send(r, to)
            wait_for(lambda: len(r.verb("history", "--json", "--state", "delivered")
                                 .stdout.splitlines()) == n + 2, 20, "a delivery")
        r.stop()
        with sqlite3.connect(r.folder / "history.db") as db:
            db.execute("DELETE FROM history WHERE recipient<>'last@to.test'")
        db.close()
        receiver.how = "ok"
        r.start()
        wait_for(lambda: "last@to.test" in receiver.told(), 20, "the last")
        wait_for(lambda: state(r)["behind"] == 0, 20, "nothing is behind")
        assert state(r)["lost"] == 2
        text = ask(r.folder / "admin.sock", "GET", "/metrics")[1]
        assert b'waypost_webhook_lost_total{webhook="crm"} 2' in text
        assert r.log().count("before they were told") == 1
        assert not {"b@to.test", "c@to.test"} & receiver.told()


def deliver(r, *recipients):
    for n, to in enumerate(recipients):
        send(r, to)
        wait_for(lambda n=n: len(r.verb("history", "--json", "--state", "delivered")
                                 .stdout.splitlines()) == n + 1, 20, "a delivery")


def remove_history(r, but=""):
    with sqlite3.connect(r.folder / "history.db") as db:
        db.execute("DELETE FROM history WHERE recipient<>?", (but,))
    db.close()


def test_what_was_lost_before_the_first_was_told_is_counted_too(tmp_path, authority, receiver):
    receiver.how = 500
    with Sink() as sink, Relay(tmp_path / "relay", {"*": sink.hop},
                               extra=webhook(tmp_path, receiver, authority)) as r:
        begun(r)
        deliver(r, "a@to.test", "b@to.test", "last@to.test")
        r.stop()
        remove_history(r, but="last@to.test")
        receiver.how = "ok"
        r.start()
        wait_for(lambda: receiver.told() == {"last@to.test"}, 20, "the last")
        wait_for(lambda: state(r)["behind"] == 0, 20, "nothing is behind")
        assert state(r)["lost"] == 2


def test_what_happened_before_a_webhook_began_is_not_lost(tmp_path, authority, receiver):
    """Though the history is empty when it begins."""
    with Sink() as sink, Relay(tmp_path / "relay", {"*": sink.hop}) as r:
        deliver(r, "a@to.test", "b@to.test")
        r.stop()
        remove_history(r)
        r.extra = webhook(tmp_path, receiver, authority)
        r.write_config()
        r.start()
        begun(r)
        send(r, "new@to.test")
        wait_for(lambda: receiver.told() == {"new@to.test"}, 20, "the new one")
        wait_for(lambda: state(r)["behind"] == 0, 20, "nothing is behind")
        assert state(r)["lost"] == 0
