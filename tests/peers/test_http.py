"""The HTTP interface over TCP: tokens, roles, a crowd, two at once, a reload."""

import json
import re
import resource
import socket
import threading
import time

import pytest

from relay import ROOT, LONG, Sink, free_port, wait_for, wait_for_port
from web import JSON, Web

ROLES = ("anyone", "read", "operator")
TABLE = (ROOT / "relay/admin/endpoints.c").read_text()
ROWS = re.findall(r'^    \{ "(GET|POST)", +"([^"]+)", +\w+, +ROLE_(\w+),', TABLE, re.M)


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with Sink({"rcpt": b"450 4.2.0 Busy\r\n"}) as busy, \
            Web(tmp_path_factory.mktemp("http"), {"*": busy.hop},
                retry={"first": '"10min"', "most": '"1h"'}) as r:
        yield r


def waiting(r, sender):
    with r.client() as c:
        assert c.mail(b"Subject: x\r\n\r\nx\r\n", sender).code == 250
    return wait_for(lambda: [m for m in r.queue_list("--from", sender)
                             if m["state"] == "deferred"], 20, "a deferral")[0]


def test_the_table_was_read():
    assert len(ROWS) == len(re.findall(r'^    \{ "(?:GET|POST)"', TABLE, re.M)) > 15


@pytest.mark.parametrize("method, path, role", ROWS, ids=[f"{m} {p}" for m, p, _ in ROWS])
def test_each_role_may_what_the_table_says(web, method, path, role):
    path = path.replace("**", "none").replace("*", "none")
    needed = {"ANYONE": 0, "READ": 1, "OPERATOR": 2, "LOCAL": 3}[role]
    for has, name in enumerate(ROLES):
        token = web.tokens.get(name)
        if path == "/api/v1/events" and has >= needed:
            with web.dial() as s:       # it never ends
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
                          f"Authorization: Bearer {token}\r\n\r\n".encode())
                assert s.recv(100).startswith(b"HTTP/1.1 200 ")
            continue
        a = (web.ask(method, path, token) if method == "GET" else
             web.change(path, token, {"no such member": 1}))
        if has >= needed:
            assert a.status not in (401, 403), (name, a)
        else:
            assert a.status == (403 if has or role == "LOCAL" else 401), (name, a)


def test_a_token_is_worth_something_from_its_making_to_its_end(web):
    token = web.add_token("probe", "read")
    assert re.fullmatch("wp_[a-z2-7]{52}", token)
    assert web.ask("GET", "/api/v1/status", token).status == 200
    file = web.folder / "tokens"
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in file.read_text() and token[3:] not in file.read_text()
    listed = web.token("list").stdout
    assert re.search(r"^probe +read +since \d", listed, re.M) and token not in listed
    assert web.token("add", "probe", "--role", "operator").returncode == 65
    with web.dial() as s:               # a stream that is open ends with it
        s.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n"
                  f"Authorization: Bearer {token}\r\n\r\n".encode())
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
        assert web.token("delete", "probe").returncode == 0
        wait_for(lambda: web.ask("GET", "/api/v1/status", token).status == 401, 2)
        s.settimeout(5)
        while s.recv(65536):
            pass
    assert web.token("delete", "probe").returncode == 67


@pytest.mark.parametrize("words", [("add", "x"), ("add", "x", "--role", "root"), ("add",),
                                   ("add", "a:b", "--role", "read"), ("delete",), ("dance",),
                                   ("list", "x"), ("add", "x\ny", "--role", "read")])
def test_wrong_calls_make_no_token(web, words):
    before = (web.folder / "tokens").read_text()
    done = web.token(*words)
    assert done.returncode == 64 and done.stderr and not done.stdout
    assert (web.folder / "tokens").read_text() == before


def test_a_file_with_a_fault_lets_nobody_in_until_it_is_mended(web):
    file = web.folder / "tokens"
    before = file.read_text()
    file.write_text(before + "nonsense\n")
    try:
        wait_for(lambda: web.ask("GET", "/api/v1/status", "read").status == 401, 5)
        web.wait_log("no token is valid: .*tokens:3: ")
        assert web.token("add", "y", "--role", "read").returncode == 78
    finally:
        file.write_text(before)
    wait_for(lambda: web.ask("GET", "/api/v1/status", "read").status == 200, 5)


def test_who_did_it_is_told(web):
    m = waiting(web, "who@from.test")
    a = web.change("/api/v1/queue/hold", body={"id": m["queue_id"]})
    assert a.status == 200 and json.loads(a.body)["messages"] == 1
    name = web.ask("GET", "/api/v1/destinations", "read")
    hop = json.loads(name.body.splitlines()[0])["name"]
    assert web.change("/api/v1/destinations/retry", body={"name": hop}).status == 200
    web.wait_log(r"retry by token=operator")
    web.verb("dest", "retry", hop)
    web.wait_log(r"retry by uid=\d+\(\w+\)")


def test_two_operators_at_one_message_one_is_told_that_there_was_nothing(web):
    for n in range(5):
        m = waiting(web, f"two{n}@from.test")
        got, start = [], threading.Barrier(4)

        def change(order):
            start.wait()
            a = web.change(f"/api/v1/queue/{order}", body={"id": m["queue_id"]})
            got.append((a.status, json.loads(a.body)["messages"]))
        crowd = [threading.Thread(target=change, args=("delete",)) for _ in range(4)]
        for t in crowd:
            t.start()
        for t in crowd:
            t.join()
        assert sorted(got) == [(200, 0)] * 3 + [(200, 1)], got
        assert web.change("/api/v1/queue/undelete",
                          body={"id": m["queue_id"]}).status == 200
        assert web.queue_list("--id", m["queue_id"])


def test_a_thousand_slow_clients_keep_no_operator_out(web):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before, crowd = web.status("VmRSS"), []
    try:
        for _ in range(1000):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", web.http))
            crowd.append(s)
        time.sleep(0.5)
        for s in crowd:
            try:
                s.send(b"POST /api/v1/queue/delete HTTP/1.1\r\nHost: localhost\r\nX: "
                       + b"y" * 8000)
            except OSError:
                pass
        for _ in range(5):
            began = time.monotonic()
            web.queue_list()
            assert time.monotonic() - began < 40
        assert web.uses_less_than(16 * 1024, since=before)
        assert web.descriptors() < 500
    finally:
        for s in crowd:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_for(lambda: web.ask("GET", "/healthz").status == 200, 15)


def test_readiness(tmp_path):
    with Web(tmp_path / "r", {"*": "smtp://127.0.0.1:9"}) as r:
        assert r.ask("GET", "/readyz").status == 200
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            r.extra = f'listener {{ address = "127.0.0.1:{taken.getsockname()[1]}" }}\n'
            r.write_config()
            r.reload()
            wait_for(lambda: r.ask("GET", "/readyz").status == 503, 10)
            assert "listener" in r.ask("GET", "/readyz").error
            assert r.ask("GET", "/healthz").status == 200


def test_a_reload_moves_the_address_and_leaves_the_socket_alone(tmp_path):
    with Web(tmp_path / "r", {"*": "smtp://127.0.0.1:9"}) as r:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(str(r.folder / "admin.sock"))
        old, r.http = r.http, free_port()
        r.admin["http"] = f'"127.0.0.1:{r.http}"'
        r.write_config()
        r.reload()
        wait_for_port(r.http, r.process)
        assert r.ask("GET", "/api/v1/status", "read").status == 200
        wait_for(lambda: is_closed(old), what="the end of the old address")
        # one that cannot be had: the old one stays
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            r.admin["http"] = f'"127.0.0.1:{taken.getsockname()[1]}"'
            r.write_config()
            r.reload()
            r.wait_log("cannot listen on the admin address")
        assert r.ask("GET", "/healthz").status == 200
        del r.admin["http"]
        r.write_config()
        r.reload()
        wait_for(lambda: is_closed(r.http), 10)
        # the connection that was there all the time
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
        s.close()


def is_closed(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return True
    return False


def test_check_warns_of_an_address_that_others_can_reach(tmp_path):
    r = Web(tmp_path / "r")
    assert "clear text" not in r.verb("check").stderr.decode()
    r.admin["http"] = '"0.0.0.0:8025"'
    r.write_config()
    assert "clear text" in r.verb("check").stderr.decode()


def test_the_description_is_of_this_relay(web):
    a = web.ask("GET", "/api/v1/openapi.json", "read")
    doc = json.loads(a.body)
    assert doc["openapi"].startswith("3.1") and doc["info"]["version"]
    count = sum(len(p) for p in doc["paths"].values())
    assert count == len(ROWS)


@pytest.mark.skipif(not LONG, reason="WAYPOST_LONG=1")
def test_a_body_that_never_ends_is_cut_off(web):
    with web.dial(200) as s:
        s.sendall(f"POST /api/v1/explain HTTP/1.1\r\nHost: localhost\r\n{JSON}"
                  f"Authorization: Bearer {web.tokens['read']}\r\n"
                  "Content-Length: 1000\r\n\r\n".encode())
        began = time.monotonic()
        s.settimeout(1)
        while time.monotonic() - began < 180:
            try:
                s.sendall(b" ")
                if not s.recv(100):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert 100 < time.monotonic() - began < 140
