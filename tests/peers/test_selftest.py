"""waypost selftest: all is well with a good relay, and each check can fail."""

import json
import os
import resource
import socket
import sqlite3
import ssl
import subprocess
import time

import pytest

import pki
from relay import Relay, Sink, free_port, program

TEMPFAIL, CONFIG, USAGE = 75, 78, 64


def selftest(r, *words, **options):
    done = subprocess.run([program(), "selftest", "--json", *words, "-c", r.config],
                          capture_output=True, text=True, timeout=60, **options)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def of(lines, check):
    return [line for line in lines if line["check"] == check]


def state(lines, check):
    """The worst of a check's lines."""
    order = ["ok", "warning", "bad"]
    found = [line["state"] for line in of(lines, check)]
    assert found, (check, lines)
    return max(found, key=order.index)


def texts(lines, check):
    return " / ".join(line["text"] for line in of(lines, check))


@pytest.fixture
def sink():
    with Sink() as s:
        yield s


def test_a_good_relay(tmp_path, sink):
    with Relay(tmp_path / "r", {"*": sink.hop}) as r:
        code, lines = selftest(r)
        bad = [line for line in lines if line["state"] == "bad"]
        assert code == 0 and not bad, bad
        for check in ("settings", "certificates", "fsync", "queue", "relay",
                      "ports", "next hops"):
            assert state(lines, check) == "ok", of(lines, check)
        assert {line["check"] for line in lines} >= {
            "disk", "files", "memory", "clock", "hostname", "dns"}
        assert all(line.get("advice") for line in lines if line["state"] == "warning"), lines
        assert sink.messages == []
        # people's lines
        done = r.verb("selftest", "--no-network")
        assert b"\x1b" not in done.stdout and done.stdout.startswith(b"ok  settings")
        assert {line["check"] for line in selftest(r, "--no-network")[1]}.isdisjoint(
            {"dns", "next hops", "mx"})


def test_wrong_calls(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop})
    for words in (["what"], ["--mx"], ["--mx", "x.test", "--no-network"]):
        done = subprocess.run([program(), "selftest", "-c", r.config, *words],
                              capture_output=True, timeout=60)
        assert done.returncode == USAGE, words


def test_settings(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop}, top="nonsense = 1\n")
    code, lines = selftest(r)
    assert code == CONFIG and state(lines, "settings") == "bad"
    assert len(lines) == 1 and "waypost.conf:" in lines[0]["text"]


def test_the_relay_and_its_ports(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop})
    code, lines = selftest(r, "--no-network")
    assert code == 0 and state(lines, "relay") == "warning"
    assert "is free" in texts(lines, "ports")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", r.port))
        other.listen()
        code, lines = selftest(r, "--no-network")
        assert code == TEMPFAIL and state(lines, "ports") == "bad"
        assert "another program listens" in texts(lines, "ports")
    r.address = "192.0.2.1"  # not this machine's
    r.write_config()
    code, lines = selftest(r, "--no-network")
    assert code == TEMPFAIL and "cannot be listened on" in texts(lines, "ports")


def test_something_else_on_the_socket(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop})
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(r.folder / "admin.sock"))
        s.listen()
        p = subprocess.Popen([program(), "selftest", "--json", "--no-network", "-c", r.config],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        s.accept()[0].close()  # is somebody there?
        s.accept()[0].close()
        lines = [json.loads(line) for line in p.communicate(timeout=30)[0].splitlines()]
    assert state(lines, "relay") == "bad"


def test_next_hops(tmp_path, sink):
    dead = f"smtp://127.0.0.1:{free_port()}"
    r = Relay(tmp_path / "r", {"a.test": sink.hop, "b.test": dead, "c.test": [sink.hop]})
    code, lines = selftest(r)
    assert code == TEMPFAIL
    found = of(lines, "next hops")
    assert [line["state"] for line in found] == ["ok", "bad"]  # each once
    with r:
        code, lines = selftest(r)
        found = of(lines, "next hops")
        assert code == TEMPFAIL and [line["state"] for line in found] == ["ok", "bad"]
    with Sink({"banner": b"554 5.7.1 not you\r\n"}) as rude:
        r = Relay(tmp_path / "s", {"*": rude.hop})
        code, lines = selftest(r)
        assert code == TEMPFAIL and "554 5.7.1 not you" in texts(lines, "next hops")


def test_a_login_that_is_refused(tmp_path):
    made = pki.Authority(tmp_path).issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.path, made.key)
    secret = tmp_path / "pw"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    with Sink(tls=context, logins={"us": "right"}) as s, Relay(
            tmp_path / "r", {"*": {"via": s.hop, "tls": "required", "user": '"us"',
                                   "password-file": f'"{secret}"'}}) as r:
        code, lines = selftest(r)
        assert code == TEMPFAIL and "login" in texts(lines, "next hops"), lines
        secret.write_text("right\n")
        r.reload()
        r.wait_log("configuration reloaded")
        code, lines = selftest(r)
        assert code == 0 and state(lines, "next hops") == "ok", lines


def test_disk(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop}, queue={"reserve": '"900000GB"'})
    code, lines = selftest(r, "--no-network")
    assert code == TEMPFAIL and state(lines, "disk") == "bad"
    assert "less than the reserve" in texts(lines, "disk")
    r.queue_path = tmp_path / "nowhere" / "queue.db"
    r.queue = {}
    r.write_config()
    code, lines = selftest(r, "--no-network")
    assert code == TEMPFAIL and state(lines, "disk") == state(lines, "fsync") == "bad"


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no tmpfs")
def test_a_queue_in_memory(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop})
    r.queue_path = f"/dev/shm/waypost-selftest-{os.getpid()}/queue.db"
    os.mkdir(os.path.dirname(r.queue_path))
    try:
        r.write_config()
        code, lines = selftest(r, "--no-network")
        assert code == 0 and state(lines, "disk") == "warning"
        assert "tmpfs" in texts(lines, "disk")
    finally:
        os.rmdir(os.path.dirname(r.queue_path))


def test_queue_and_history(tmp_path, sink):
    with Relay(tmp_path / "r", {"*": sink.hop}) as r:
        with r.client() as c:
            assert c.mail(b"Subject: x\r\n\r\nx\r\n").code == 250
        r.wait_empty()
    assert state(selftest(r, "--no-network")[1], "queue") == "ok"
    for name, words in (("history.db", "the history is not whole"),
                        ("queue.db", "queue.db is not whole")):
        path = r.folder / name
        with sqlite3.connect(path) as db:  # all of it in the one file
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.close()
        data = path.read_bytes()
        path.write_bytes(data[:len(data) // 2] + b"\xff" * (len(data) - len(data) // 2))
        code, lines = selftest(r, "--no-network")
        assert code == TEMPFAIL and words in texts(lines, "queue")
        path.write_bytes(data)


def test_few_open_files(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop})
    _, lines = selftest(r, "--no-network", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (256, 256)))
    assert state(lines, "files") == "warning"


def test_hostname_and_dns(tmp_path, sink):
    r = Relay(tmp_path / "r", {"*": sink.hop}, hostname="printer")
    _, lines = selftest(r, "--no-network")
    assert state(lines, "hostname") == "warning"
    r = Relay(tmp_path / "s", {"*": sink.hop}, hostname="localhost.localdomain",
              extra=f'resolver {{ mode = forward  server = "127.0.0.1@{free_port()}" }}\n')
    began = time.monotonic()
    code, lines = selftest(r)
    assert code == TEMPFAIL and state(lines, "dns") == "bad"
    assert state(lines, "hostname") == "warning" and time.monotonic() - began < 30


def test_certificates_and_secrets(tmp_path, sink):
    ca = pki.Authority(tmp_path)
    good = ca.issue("relay.test")
    other = ca.issue("other.test")
    for made, hostname, words, expected in (
            (good, "relay.test", "is for relay.test", "ok"),
            (other, "relay.test", "not for relay.test", "warning"),
            (good, "more.relay.test", "not for more.relay.test", "warning")):
        r = Relay(tmp_path / hostname / expected, {"*": sink.hop}, hostname=hostname,
                  extra=f'tls {{ certificate = "{made.path}"  key = "{made.key}" }}\n')
        _, lines = selftest(r, "--no-network")
        assert state(lines, "certificates") == expected, lines
        assert words in texts(lines, "certificates")
    users = tmp_path / "users"
    users.write_text("")
    r = Relay(tmp_path / "u", {"*": sink.hop}, extra=f'users {{ file = "{users}" }}\n')
    users.chmod(0o600)
    assert state(selftest(r, "--no-network")[1], "secrets") == "ok"
    users.chmod(0o644)
    code, lines = selftest(r, "--no-network")
    assert code != 0 and state(lines, "secrets") == "bad"
