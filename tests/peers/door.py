"""A relay with every kind of door: TLS and logins, for clients that behave badly.

Door    a Relay with listeners for STARTTLS ("port"), implicit TLS, submission, logins in
        clear, client certificates and PROXY headers; its users have passwords.
Wire    a client whose TLS records are made here (ssl.MemoryBIO), so that a test decides
        which bytes go out together and how a connection ends.

Plain Python 3.11; nothing here knows pytest.
"""

import base64
import pathlib
import socket
import ssl
import subprocess
import time

from pki import Authority
from relay import Closed, Client, Relay, free_port, program, reset

USERS = {"alice": "correct horse", "bob": "x", "alice@from.test": "correct horse"}

LISTENERS = {
    "implicit": "tls = implicit  auth = optional",
    "submission": "tls = required  auth = required  submission = true",
    "clear": "tls = optional  auth = optional  auth-without-tls = true",
    "certified": "tls = optional  client-certificate = optional  auth = optional",
    "balanced": 'tls = optional  proxy = {"127.0.0.1"}',
    "balanced-tls": 'tls = implicit  proxy = {"127.0.0.1"}',
    "bound": "tls = optional  auth = required",
}

RULES = """
rule "staff" { login = {"*"}  action = relay }
rule "open"  { to = {"mark.test", "open.test"}  action = relay }
rule "edge"  { client = {"192.0.2.0/24"}  action = relay }
"""


def add_user(config, name, password, *options):
    subprocess.run([program(), "user", "-c", config, "add", *options, name],
                   input=password + "\n", text=True, check=True,
                   capture_output=True)


class Door(Relay):
    def __init__(self, folder, routes, users=USERS, more="", handshake="60s",
                 listeners=LISTENERS, rules=RULES, **kw):
        folder = pathlib.Path(folder)
        self.authority = Authority(folder)
        self.clients = Authority(folder, "clients")
        self.certificate = self.authority.issue("relay.test")
        self.users, self.ports = users, {n: free_port() for n in listeners}
        text = "".join(
            f'listener "{n}" {{ address = "127.0.0.1:{p}"  {listeners[n]} }}\n'
            for n, p in self.ports.items())
        (folder / "certificates").write_text("")
        (folder / "users").touch(0o600)
        (folder / "senders").write_text(
            "alice alice@from.test s@from.test\nbob bob@from.test @bob.test\n")
        kw.setdefault("listener", "tls = optional  auth = optional")
        kw.setdefault("limits", {})["handshake"] = f'"{handshake}"'
        super().__init__(
            folder, routes, rules=rules, top=(
                f'tls {{ certificate = "{self.certificate.path}"  '
                f'key = "{self.certificate.key}"  '
                f'client-authorities = "{self.clients.path}" }}\n'
                f'users {{ file = "{folder}/users"  '
                f'certificates = "{folder}/certificates"  {more} }}\n'),
            extra=text, **kw)
        for name, password in users.items():
            add_user(self.config, name, password)

    def context(self, oldest=ssl.TLSVersion.TLSv1_2, newest=None, ticket=True):
        c = ssl.create_default_context(cafile=self.authority.path)
        c.minimum_version = oldest
        if newest:
            c.maximum_version = newest
        if not ticket:
            c.options |= ssl.OP_NO_TICKET
        return c

    def client(self, door=None, **kw):
        """door: a listener's name; None: the one with STARTTLS."""
        if door in ("implicit", "balanced-tls"):
            kw.setdefault("tls", self.context())
        return Client(self.ports[door] if door else self.port, host=self.address,
                      **kw)

    def secured(self, door=None, **kw):
        c = self.client(door, **kw)
        assert c.starttls(self.context()).code == 250
        return c

    def wire(self, door=None, **kw):
        return Wire(self.ports[door] if door else self.port, self.context(), **kw)


def plain(user, password, authzid=""):
    return base64.b64encode(f"{authzid}\0{user}\0{password}".encode()).decode()


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else
                            text).decode()


class Wire(Client):
    """As Client, but what goes out can be held back, cut and ended at will."""

    def __init__(self, port, context, cut=None, **kw):
        self.context, self.cut, self.box = context, cut, None
        super().__init__(port, greet=False, **kw)

    def put(self, data):
        """Bytes as they are, in pieces as `cut` (a function) makes them."""
        for piece in self.cut(data) if self.cut else [data]:
            if piece:
                self.socket.sendall(piece)

    def shake(self, name="relay.test"):
        self.rest = b""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.box = self.context.wrap_bio(self.incoming, self.outgoing,
                                         server_hostname=name)
        while True:
            try:
                self.box.do_handshake()
                self.put(self.outgoing.read())
                return
            except ssl.SSLWantReadError:
                self.put(self.outgoing.read())
                self.take()

    def take(self):
        try:
            more = self.socket.recv(65536)
        except ConnectionError as e:
            raise Closed(str(e)) from None
        if not more:
            raise Closed("end of stream")
        self.incoming.write(more)

    def seal(self, data):
        """The record that holds the data, not sent yet."""
        self.box.write(data)
        return self.outgoing.read()

    def send(self, data):
        self.put(self.seal(data) if self.box else data)

    def line(self):
        if not self.box:
            return super().line()
        while b"\n" not in self.rest:
            try:
                more = self.box.read(65536)
            except ssl.SSLWantReadError:
                self.take()
                continue
            except ssl.SSLZeroReturnError:
                more = b""
            if not more:
                raise Closed("close_notify")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line + b"\n"

    def farewell(self):
        """close_notify, and the end of our side."""
        try:
            self.box.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.put(self.outgoing.read())
        self.shut()

    def end(self, how):
        """"notify", "fin" (without a close_notify) or "rst"."""
        if how == "notify" and self.box:
            self.farewell()
        elif how == "rst":
            reset(self.socket)
            return
        else:
            self.shut()
        self.wait_closed()

    def wait_closed(self, seconds=10):
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        self.close()


def until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))


__all__ = ["Door", "Wire", "plain", "b64", "add_user", "USERS", "socket"]
