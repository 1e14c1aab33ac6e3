"""ATRN (RFC 2645): a customer without an address of his own fetches his mail over the
connection that he has made.

The customer is a Client until the 250, and a Sink from then on.
"""

import hashlib
import hmac
import base64
import random
import shutil
import subprocess
import threading
import time

import pytest

from pki import Authority
from relay import (Client, FIN, HANG, RST, Closed, Relay, Sink, content_of,
                   free_port, wait_for)

USERS = {"branch": "pencil", "shop": "paper", "stranger": "stone"}
ROUTES = """
route "branch.test" { via = {"pickup:branch"}  offline { login = {"branch"} } }
route "two.branch.test" { via = {"pickup:branch"}  offline { login = {"branch"} } }
route "three.test" { via = {"pickup:three"}  offline { login = {"branch"} } }
route "shop.test" { via = {"pickup:shop"}  offline { login = {"shop"} } }
route "safe.test" { via = {"pickup:safe"}  tls = required
                    offline { login = {"shop"} } }
"""


class Provider(Relay):
    """A relay with mail for others, and with listeners for who fetches it."""

    def __init__(self, folder, authority=None, extra=ROUTES, users=USERS, **kw):
        folder.mkdir(parents=True, exist_ok=True)
        self.odmr, self.odmrs = free_port(), free_port()
        for name in ("users", "cram"):
            (folder / name).touch(0o600)
        top = f'users {{ file = "{folder}/users"  cram = "{folder}/cram" }}\n'
        keys = "auth = optional  auth-without-tls = true  turn = true"
        if authority:
            pair = authority.issue("relay.test")
            top += f'tls {{ certificate = "{pair.path}"  key = "{pair.key}" }}\n'
            top += (f'listener "odmrs" {{ address = "127.0.0.1:{self.odmrs}" '
                    f'tls = implicit  {keys} }}\n')
        top += f'listener "odmr" {{ address = "127.0.0.1:{self.odmr}"  {keys} }}\n'
        super().__init__(folder, {"*": "smtp://127.0.0.1:9"}, top=top,
                         extra=extra, **kw)
        for name, password in users.items():
            for more in ((), ("--cram",)):
                self.add(name, password, *more)

    def add(self, name, password, *more):
        from relay import program
        subprocess.run([program(), "user", "add", *more, name, "-c", self.config],
                       input=password.encode() + b"\n", check=True,
                       capture_output=True)

    def put(self, *recipients, content=b"Subject: x\r\n\r\nwaited\r\n", **kw):
        with Client(self.port) as c:
            for r in recipients:
                assert c.mail(content, to=(r,), **kw).code == 250

    def waiting(self):
        return sorted(r["address"] for row in self.queue_list()
                      for r in row["recipients"])


class Customer:
    """Dials, logs in and asks; then serves what comes with the sink."""

    def __init__(self, provider, user="branch", sink=None, tls=None,
                 implicit=False):
        self.provider, self.sink = provider, sink or Sink()
        self.client = Client(provider.odmrs if implicit else provider.odmr,
                             tls=tls if implicit else None)
        if tls and not implicit:
            assert self.client.starttls(tls).code == 250
        assert self.client.login(user, USERS[user]).code == 235
        self.thread = None

    def ask(self, argument=""):
        return self.client.command(f"ATRN {argument}".strip())

    def serve(self, wait=True):
        self.thread = threading.Thread(
            target=self.sink._serve, args=(self.client.socket, 1), daemon=True)
        self.thread.start()
        if wait:
            self.thread.join(20)
            assert not self.thread.is_alive()
        return self.sink

    def fetch(self, argument=""):
        reply = self.ask(argument)
        assert reply.code == 250 and \
            reply.text == "OK now reversing the connection", reply
        return self.serve()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.sink.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def provider(tmp_path):
    with Provider(tmp_path / "p") as p:
        yield p


def recipients(sink):
    return sorted(r for m in sink.messages for r in m.recipients)


def test_mail_is_fetched_and_there_is_no_more(provider):
    provider.put("u@branch.test", "v@two.branch.test", "w@three.test")
    with Customer(provider) as c:
        assert recipients(c.fetch()) == ["u@branch.test", "v@two.branch.test",
                                         "w@three.test"]
        assert c.sink.count("quit") == 1
    provider.wait_empty()
    provider.wait_log(r"branch has fetched 3 messages over unknown\[127.0.0.1\]:\d+\n")
    with Customer(provider) as c:
        reply = c.ask()
        assert (reply.code, reply.text) == (453, "You have no mail")
