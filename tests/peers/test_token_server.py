"""The desk for tokens against a token server that speaks TLS.

Driven through the program `showtoken`, which prints what an account shows. What a relay
does with it is in test_tokens.py.
"""

import os
import pathlib
import socket
import ssl
import subprocess
import time

import pytest

from oauth import TokenServer
from pki import Authority
from relay import program


def showtoken_program():
    named = os.environ.get("WAYPOST_BUILD")
    folders = [pathlib.Path(named)] if named else program().parents[:4]
    for folder in folders:
        if (folder / "tests/peers/showtoken").exists():
            return folder / "tests/peers/showtoken"
    raise RuntimeError("no program showtoken: build it, or set WAYPOST_BUILD")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    return context


def show(folder, url, authorities="", secret="s3cret", client="app", env=None):
    path = folder / "client.secret"
    path.write_text(secret + "\n")
    path.chmod(0o600)
    done = subprocess.run([showtoken_program(), url, client, path, authorities],
                          capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr
    kind, _, text = done.stdout.rstrip("\n").partition(" ")
    assert text and text not in done.stderr
    return kind, text


@pytest.mark.parametrize("methods", [{"basic"}, {"form"}, {"basic", "form"}])
@pytest.mark.parametrize("secret", ["s3cret", "a+b %&=:/~\"'\\ü", "x" * 5000])
def test_a_verified_server_gives_a_token(tmp_path, authority, methods, secret):
    with TokenServer(serving(authority.issue("127.0.0.1")),
                     clients={"app": secret}) as server:
        server.methods = methods
        kind, text = show(tmp_path, server.url, authority.path, secret)
        assert (kind, server.is_good(text)) == ("token", True), text
        assert len(server.requests) == (2 if methods == {"form"} else 1)
        assert all(r["path"] == "/token" for r in server.requests)


def certificates(authority, tmp_path):
    return {
        "of another authority": Authority(tmp_path, "other").issue("127.0.0.1"),
        "with another name": authority.issue("login.test"),
        "ended": authority.issue("127.0.0.1", begins=-9, ends=-1),
        "of clients": authority.issue("127.0.0.1", usage="clientAuth"),
        "by itself": authority.self_signed("127.0.0.1"),
    }


@pytest.mark.parametrize("kind", ["of another authority", "with another name",
                                  "ended", "of clients", "by itself"])
def test_a_server_with_a_wrong_certificate_hears_no_secret(tmp_path, authority,
                                                           kind):
    with TokenServer(serving(certificates(authority, tmp_path)[kind]),
                     clients={"app": "s3cret"}) as server:
        said, text = show(tmp_path, server.url, authority.path)
        assert said == "error"
        assert text.startswith("token server 127.0.0.1 cannot be asked: SSL")
        assert not server.requests


def test_without_authorities_the_systems_are_asked(tmp_path, authority):
    with TokenServer(serving(authority.issue("127.0.0.1")),
                     clients={"app": "s3cret"}) as server:
        said, text = show(tmp_path, server.url)
        assert said == "error" and "certificate" in text
        assert not server.requests


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_not_spoken(tmp_path, authority):
    context = serving(authority.issue("127.0.0.1"))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(authority.path)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with TokenServer(context, clients={"app": "s3cret"}) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as s, \
                old.wrap_socket(s, server_hostname="127.0.0.1") as spoken:
            assert spoken.version() == "TLSv1.1"
        said, _ = show(tmp_path, server.url, authority.path)
        assert said == "error" and not server.requests


def test_the_environment_changes_nothing(tmp_path, authority):
    proxies = {n: "http://127.0.0.1:9" for n in (
        "https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY")}
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login app password wr0ng\n")
    with TokenServer(serving(authority.issue("127.0.0.1")),
                     clients={"app": "s3cret"}) as server:
        kind, _ = show(tmp_path, server.url, authority.path,
                       env={**proxies, "HOME": str(tmp_path)})
        assert kind == "token"


@pytest.mark.parametrize("status, said, why", [
    (400, {"error": "invalid_scope", "error_description": "no\x1b[1m"},
     "answered 400 invalid_scope: no?[1m"),
    (503, "busy", "answered 503"),
    (307, "", "answered 307"),
    (200, {"access_token": "tok", "token_type": "mac"},
     "gave an answer that has a token that is not of type Bearer"),
])
def test_a_refusal_is_told_in_a_sentence(tmp_path, status, said, why):
    with TokenServer(clients={"app": "s3cret"}) as server:
        server.refusal = status, said
        assert show(tmp_path, server.url) == \
            ("error", "token server 127.0.0.1 " + why)


def test_a_server_that_stays_silent_is_left_after_half_a_minute(tmp_path):
    if os.environ.get("WAYPOST_LONG") != "1":
        pytest.skip("takes half a minute: WAYPOST_LONG=1")
    with TokenServer(clients={"app": "s3cret"}) as server:
        server.delay = 40
        began = time.monotonic()
        assert show(tmp_path, server.url)[0] == "error"
        assert 28 < time.monotonic() - began < 35
