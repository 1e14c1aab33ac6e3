"""Who can talk to us, and how: real programs as clients and as next hops, in every TLS
mode, by every way to log in, with every extension that they have.

Each test is one cell: one message goes all the way through, arrives byte for byte, and
what was really used is read from our log, the peer's log or the wire. What a peer cannot
do is not in the lists below. The filled-in table is written to matrix.md in the build
folder (WAYPOST_BUILD, else where the program was built).
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import os
import pathlib
import random
import re
import subprocess
import tempfile
import time

import pytest

from matrix_peers import (
    CLEAR, CLIENTS, IMPLICIT, IMPLICIT_VERIFIED, MECHANISMS, MODES, NO_LOGIN,
    OPTIONAL, PASSWORD, REQUIRED, SENDER, SOCKET, USER, VERIFIED, Cell, Dovecot,
    Ground, MatrixAioSmtpd, MatrixExim, MatrixOpenSmtpd, MatrixPostfix, Tap)
from peers import Missing
from pki import Authority
from relay import Client, Relay, Sink, free_port, program, stuff, wait_for

# ---------------------------------------------------------------- the cells --

ANY = (CLEAR, OPTIONAL, REQUIRED, VERIFIED, IMPLICIT, IMPLICIT_VERIFIED)
FIRM = (CLEAR, REQUIRED, VERIFIED, IMPLICIT, IMPLICIT_VERIFIED)
# Logins are tried where it matters: in clear text, after STARTTLS, inside TLS.
LOGIN_MODES = (CLEAR, VERIFIED, IMPLICIT_VERIFIED)
OLD = ("PLAIN", "LOGIN", "CRAM-MD5")
SCRAM = ("SCRAM-SHA-1", "SCRAM-SHA-256")
PLUS = ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS")
SECURE = (VERIFIED, IMPLICIT_VERIFIED)


def product(peer, direction, *groups):
    return [Cell(peer, direction, mode, mechanism) for modes, mechanisms in groups
            for mode in modes for mechanism in mechanisms]


BARE = (NO_LOGIN,)
EXTERNAL = (SECURE, ("EXTERNAL",))
CLIENT_CELLS = [
    *product("swaks", "client", (ANY, BARE), (LOGIN_MODES, OLD)),
    *product("msmtp", "client", (FIRM, BARE), (LOGIN_MODES, OLD + SCRAM), EXTERNAL),
    *product("curl", "client", (ANY, BARE), (LOGIN_MODES, OLD), EXTERNAL),
    *product("smtplib", "client", (FIRM, BARE), (LOGIN_MODES, OLD), EXTERNAL),
    # it computes nothing: what it says was typed
    *product("s_client", "client", (FIRM[1:], BARE), (SECURE, OLD[:2]), EXTERNAL),
    # it always logs in, and knows no implicit TLS
    *product("gsasl", "client", ((CLEAR, REQUIRED, VERIFIED), OLD + SCRAM),
             ((VERIFIED,), PLUS + ("EXTERNAL",))),
    *product("Postfix", "client", (ANY, BARE), (LOGIN_MODES, OLD + SCRAM)),
    *product("Exim", "client", (ANY, BARE), (LOGIN_MODES, OLD), EXTERNAL),
    # in clear text it does not log in
    *product("OpenSMTPD", "client", (ANY, BARE), (SECURE, OLD[:1])),
    *product("Dovecot submission", "client", (FIRM, BARE), (LOGIN_MODES, OLD[:1])),
]
NEXT_HOP_CELLS = [
    *product("Postfix", "next hop", (ANY, BARE), (LOGIN_MODES, OLD + SCRAM)),
    *product("Exim", "next hop", (ANY, BARE), (LOGIN_MODES, OLD + SCRAM), EXTERNAL),
    *product("OpenSMTPD", "next hop", (ANY, BARE), (SECURE, OLD[:2])),
    # it takes nothing without a login
    *product("Dovecot submission", "next hop", (ANY, OLD[:1]),
             (LOGIN_MODES, OLD[1:] + SCRAM), EXTERNAL),
    *product("Dovecot LMTP", "next hop", ((SOCKET, CLEAR, OPTIONAL, REQUIRED,
                                           VERIFIED), BARE)),
    *product("aiosmtpd", "next hop", (ANY, BARE), (LOGIN_MODES, OLD[:2])),
    *product("Waypost", "next hop", (ANY, BARE), (LOGIN_MODES, OLD + SCRAM),
             (SECURE, PLUS), EXTERNAL),
]
BACKEND_CELLS = [
    # CRAM-MD5 is served from a file of ours only
    *product("Dovecot auth socket", "backend", (LOGIN_MODES, OLD[:2] + SCRAM)),
    *product("PAM", "backend", (LOGIN_MODES, OLD[:2])),
]

# What is looked for in what the client said, and in which message.
EXTENSIONS = {
    "PIPELINING": ("eight", None),
    "SIZE": ("eight", rb"MAIL FROM:<[^>]*>[^\r\n]* SIZE=\d+"),
    "8BITMIME": ("eight", rb" BODY=8BITMIME"),
    "CHUNKING": ("eight", rb"(?m)^BDAT \d+ LAST\r"),
    "BINARYMIME": ("binary", rb" BODY=BINARYMIME"),
    "DSN": ("eight", rb"RCPT TO:<eight@[^>]*>[^\r\n]* NOTIFY=(SUCCESS,FAILURE|"
                     rb"FAILURE,SUCCESS)"),
    "SMTPUTF8": ("utf8", rb" SMTPUTF8"),
    "LIMITS": ("many", rb"(?s)MAIL FROM:.*DATA|BDAT.*MAIL FROM:"),
    "MT-PRIORITY": ("eight", rb" MT-PRIORITY=3"),
    "DELIVERBY": ("eight", rb" BY=\d+;N"),
    "FUTURERELEASE": ("later", rb" HOLDFOR=1"),
    "XFORWARD": ("eight", rb"(?m)^XFORWARD "),
    "XCLIENT": ("eight", rb"(?m)^XCLIENT "),
}
BASE = ("PIPELINING", "SIZE", "8BITMIME")
EXTENSION_CELLS = [(peer, direction, e) for (peer, direction), names in {
    ("swaks", "client"): ("PIPELINING",),
    ("msmtp", "client"): ("DSN",),
    ("curl", "client"): ("SIZE", "SMTPUTF8"),
    ("smtplib", "client"): ("SIZE", "8BITMIME", "DSN", "SMTPUTF8", "MT-PRIORITY",
                            "DELIVERBY", "FUTURERELEASE"),
    ("Postfix", "client"): (*BASE, "DSN", "SMTPUTF8", "XFORWARD"),
    ("Exim", "client"): ("PIPELINING", "SIZE", "CHUNKING", "DSN", "SMTPUTF8"),
    ("OpenSMTPD", "client"): ("DSN",),
    ("Dovecot submission", "client"): ("8BITMIME", "CHUNKING", "BINARYMIME", "DSN",
                                       "XCLIENT"),
    ("Postfix", "next hop"): (*BASE, "CHUNKING", "DSN", "SMTPUTF8", "XFORWARD"),
    ("Exim", "next hop"): (*BASE, "CHUNKING", "DSN", "SMTPUTF8"),
    ("OpenSMTPD", "next hop"): ("SIZE", "8BITMIME", "DSN"),
    # what else it has it shows only after the login
    ("Dovecot submission", "next hop"): (*BASE, "CHUNKING"),
    ("Dovecot LMTP", "next hop"): ("PIPELINING", "8BITMIME", "CHUNKING"),
    ("aiosmtpd", "next hop"): ("SIZE", "8BITMIME", "SMTPUTF8"),
    ("Waypost", "next hop"): (*BASE, "CHUNKING", "BINARYMIME", "DSN", "SMTPUTF8",
                              "LIMITS", "MT-PRIORITY", "DELIVERBY", "XFORWARD"),
}.items() for e in names]

SINK_EXTENSIONS = (*Sink.extensions, "DSN", "CHUNKING", "BINARYMIME", "MT-PRIORITY",
                   "DELIVERBY")
MOST_RECIPIENTS = 7  # at a time, our receiving side says by LIMITS


# ------------------------------------------------------------- the messages --

PLAIN_BYTES = bytes(b for b in range(256) if 32 <= b < 127 or b >= 160)
# what some clients' templates would replace
PLAIN_BYTES = PLAIN_BYTES.translate(None, b"%\\")


def message(name, kind="eight"):
    """Lines that begin with dots, bytes over 127; for "binary" anything at all."""
    chance = random.Random(name)
    subject = "grüße" if kind == "utf8" else name
    head = (f"From: <{SENDER}>\r\nTo: <r@to.test>\r\nSubject: {subject}\r\n"
            "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n"
            f"Message-ID: <{name}@from.test>\r\nMIME-Version: 1.0\r\n")
    if kind == "binary":
        body = chance.randbytes(5000) + b"\0\n.\n\r\r\n.\r\n\r"
        if "dovecot" in name:  # which makes CRLF of a bare LF in anything
            body = body.translate(None, b"\r\n") + b"\r\n.\r\n"
        head += ("Content-Type: application/octet-stream\r\n"
                 "Content-Transfer-Encoding: binary\r\n\r\n")
        return head.encode() + body
    head += ("Content-Type: text/plain; charset=iso-8859-1\r\n"
             "Content-Transfer-Encoding: 8bit\r\n\r\n")
    lines = [b".", b"..", b".x", b"", b"...."]
    for _ in range(60):
        line = bytes(chance.choices(PLAIN_BYTES, k=chance.randrange(1, 200)))
        lines.append(chance.choice((b"", b"", b".")) + line)
    chance.shuffle(lines)
    return head.encode() + b"\r\n".join(lines) + b"\r\nend\r\n"


def digest(content):
    return hashlib.sha256(content).hexdigest()


def check_content(got, content):
    """Once, whole, and nothing else."""
    for one in got:
        one = without_trace(one)
        if digest(one) != digest(content):
            at = next((i for i, (a, b) in enumerate(zip(one, content)) if a != b),
                      min(len(one), len(content)))
            raise AssertionError(f"differs at {at} of {len(content)}: "
                                 f"{one[at - 20:at + 60]} for "
                                 f"{content[at - 20:at + 60]}")


def without_trace(content):
    """What was sent: without the fields that those on the way put in front."""
    at = content.index(f"From: <{SENDER}>\r\n".encode())
    for field in re.split(rb"\r\n(?![ \t])", content[:at])[:-1]:
        assert re.match(rb"(?i)(received|return-path|delivered-to):", field), field
    return content[at:]


# ---------------------------------------------------------------- the world --

SERVERS = ("Postfix", "Exim", "OpenSMTPD", "Dovecot", "aiosmtpd")
RULE = 'rule "all" { client = {"127.0.0.0/8"}  action = relay }\n'


class World:
    """Everybody who takes part, started once; peers that cannot be had are in missing."""

    def __init__(self, folder, stack):
        self.folder, self.stack = folder, stack
        self.ground = Ground(folder, Authority(folder))
        self.sink = stack.enter_context(Sink(extensions=SINK_EXTENSIONS))
        self.ports, self.taps, self.peers, self.missing = {}, {}, {}, {}
        self.wires, self.extension_cells = {}, {}
        self.name_listeners()
        self.start_receiver()
        self.plan_cells()
        self.start_peers()
        self.start_sender()

    # --- our receiving side: a listener for each mode and way to log in

    def name_listeners(self):
        for kind in ("clear", "optional", "starttls", "implicit"):
            for mechanism in (NO_LOGIN, *MECHANISMS):
                self.ports[kind, mechanism] = free_port()

    @staticmethod
    def kind_of(cell):
        return {CLEAR: "clear", OPTIONAL: "optional", REQUIRED: "starttls",
                VERIFIED: "starttls"}.get(cell.mode, "implicit")

    def listener_of(self, cell):
        title = f"{self.kind_of(cell)} {cell.mechanism}"
        return f"{title} {cell.mode}" if cell.peer == "OpenSMTPD" else title

    def listeners(self):
        tls = {"clear": "none", "optional": "optional", "starttls": "required",
               "implicit": "implicit"}
        text = ""
        wanted = [(kind, mechanism, "127.0.0.1", port, f"{kind} {mechanism}")
                  for (kind, mechanism), port in self.ports.items()]
        # it lets 5 s go by before it connects to the same address again
        for i, cell in enumerate(c for c in CLIENT_CELLS if c.peer == "OpenSMTPD"):
            cell.host, cell.port = f"127.0.2.{i + 1}", free_port()
            wanted.append((self.kind_of(cell), cell.mechanism, cell.host, cell.port,
                           self.listener_of(cell)))
        for kind, mechanism, host, port, title in wanted:
            text += (f'listener "{title}" {{ address = "{host}:{port}"'
                     f"  tls = {tls[kind]}")
            if mechanism != NO_LOGIN:
                text += f"  auth = required  mechanisms = {{{mechanism}}}"
                text += "  auth-without-tls = true" if kind == "clear" else ""
            if (kind, mechanism) == ("clear", "PLAIN"):
                text += "  submission = true"  # FUTURERELEASE
            if kind == "clear":
                text += '  xforward = {"127.0.0.0/8"}'
            if mechanism == "CRAM-MD5":
                text += "  turn = true"  # offered there alone
            if mechanism == "EXTERNAL":
                text += "  client-certificate = optional"
            text += " }\n"
        return text

    def start_receiver(self):
        g, folder = self.ground, self.folder / "receiver"
        for (kind, mechanism) in list(self.ports):
            if kind == "clear" and (mechanism in PLUS or mechanism == "EXTERNAL"):
                del self.ports[kind, mechanism]
        folder.mkdir()
        (folder / "certificates").write_text(f"{g.client.fingerprint} {USER}\n")
        (folder / "cram").write_text("")
        (folder / "cram").chmod(0o600)
        top = f"""
tls {{ certificate = {{"{g.server.path}"}}  key = {{"{g.server.key}"}}
      authorities = "{g.authority}"  client-authorities = "{g.authority}" }}
users {{ file = "{folder}/users"  cram = "{folder}/cram"
        certificates = "{folder}/certificates" }}
{self.listeners()}"""
        self.receiver = Relay(
            folder, {"*": self.sink.hop}, top=top, rules=RULE,
            limits={"recipients": MOST_RECIPIENTS, "future-release": '"1h"'},
            listener='tls = none  xclient = {"127.0.0.0/8"}'
                     '  xforward = {"127.0.0.0/8"}')
        self.add_user(self.receiver)
        self.stack.enter_context(self.receiver)

    def add_user(self, relay):
        for more in ((), ("--cram",)):
            subprocess.run([program(), "user", "-c", relay.config, "add", *more,
                            USER], input=PASSWORD + "\n", text=True, check=True,
                           capture_output=True)

    # --- who goes where

    def tap(self, peer, direction, target):
        t = self.taps[peer, direction] = Tap(target)
        self.stack.callback(t.close)
        return t.port

    def plan_cells(self):
        for cell in CLIENT_CELLS:
            cell.port = cell.port or self.ports[self.kind_of(cell), cell.mechanism]
        for peer, direction, _ in EXTENSION_CELLS:
            if direction == "client" and (peer, direction) not in self.taps:
                # priority and delay are for those who have logged in
                login = "PLAIN" if peer == "smtplib" else NO_LOGIN
                port = (self.ports["clear", login] if peer == "smtplib"
                        else self.receiver.port)
                cell = Cell(peer, direction, CLEAR, login,
                            self.tap(peer, direction, port))
                cell.domain = "wire-" + cell.domain
                cell.extra["tap"] = True
                self.extension_cells[peer, direction] = cell
        self.ground.cells = [*CLIENT_CELLS, *self.extension_cells.values()]

    def start_peers(self):
        g, sink = self.ground, self.sink.port
        socket = self.folder / "dovecot/base/auth-client"
        makers = {
            "Dovecot": lambda f: Dovecot(f, g, sink),
            "Postfix": lambda f: MatrixPostfix(f, g, sink, socket),
            "Exim": lambda f: MatrixExim(f, g, sink, socket),
            "OpenSMTPD": lambda f: MatrixOpenSmtpd(f, g, sink),
            "aiosmtpd": lambda f: MatrixAioSmtpd(f, g),
        }

        def start(name):
            try:
                peer = makers[name](self.folder / name.lower())
            except Missing as e:
                self.missing[name] = str(e)
            else:
                self.peers[name] = peer
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            list(pool.map(start, makers))
        for peer in self.peers.values():
            self.stack.callback(peer.stop)

    def peer(self, name):
        server = "Dovecot" if name.startswith("Dovecot") else name
        if server in self.missing:
            if os.environ.get("CI"):
                pytest.fail(self.missing[server])
            pytest.skip(self.missing[server])
        return self.peers[server]

    @functools.cached_property
    def shakes_hands(self):
        """Does OpenSMTPD? With OpenSSL 3 that build may fail to use its own key."""
        context = self.ground.context(Cell("", "", REQUIRED, NO_LOGIN))
        try:
            Client(self.peers["OpenSMTPD"].ports[IMPLICIT], tls=context).close()
        except OSError:
            return False
        return True

    # --- our sending side: a route for each cell

    def start_sender(self):
        g = self.ground
        routes = {"*": self.sink.hop}
        text = (f'account "EXTERNAL" {{ mechanisms = {{EXTERNAL}} }}\n')
        for m in MECHANISMS[:-1]:
            text += (f'account "{m}" {{ user = "{USER}"  password-file = '
                     f'"{g.password_file}"  mechanisms = {{{m}}} }}\n')
        for cell in NEXT_HOP_CELLS:
            via = self.hop_of(cell)
            if via:
                routes[cell.domain] = self.route(cell, via)
        for peer, direction, _ in EXTENSION_CELLS:
            if direction == "next hop" and (peer, direction) not in self.taps:
                self.route_through_tap(peer, routes)
        tls = (f'tls {{ authorities = "{g.authority}" }}\n'
               f'users {{ file = "{self.receiver.folder}/users" }}\n')
        self.sender = self.stack.enter_context(Relay(
            self.folder / "sender", routes, top=tls + text, rules=RULE,
            listener="auth = optional  auth-without-tls = true"))

    def route(self, cell, via):
        tls = {SOCKET: "none", CLEAR: "none", OPTIONAL: "optional",
               REQUIRED: "required", IMPLICIT: "required"}
        keys = {"via": via, "tls": tls.get(cell.mode, "verify"),
                "xforward": "true"}
        if cell.mechanism == "EXTERNAL":
            keys |= {"certificate": f'"{self.ground.client.path}"',
                     "certificate-key": f'"{self.ground.client.key}"'}
        if cell.has_login:
            keys["account"] = f'"{cell.mechanism}"'
        return keys

    def hop_of(self, cell):
        if cell.peer == "Waypost":
            cell.port = self.ports[self.kind_of(cell), cell.mechanism]
        else:
            server = self.peers.get(cell.peer.split()[0])
            if not server:
                return None
            if cell.mode == SOCKET:
                return f"lmtp:{server.lmtp_socket}"
            if cell.peer == "Dovecot LMTP":
                cell.port = server.lmtp_port
                return f"lmtp://127.0.0.1:{cell.port}"
            cell.port = server.ports[
                CLEAR if cell.mode == CLEAR else
                IMPLICIT if cell.is_implicit else REQUIRED]
        return f"{'smtps' if cell.is_implicit else 'smtp'}://127.0.0.1:{cell.port}"

    def route_through_tap(self, peer, routes):
        login = "PLAIN" if peer in ("Dovecot submission", "Waypost") else NO_LOGIN
        cell = Cell(peer, "next hop", CLEAR, login)
        if not self.hop_of(cell):
            return
        port = self.tap(peer, "next hop", cell.port)
        cell.domain = "wire-" + cell.domain
        scheme = "lmtp" if peer == "Dovecot LMTP" else "smtp"
        routes[cell.domain] = self.route(cell, f"{scheme}://127.0.0.1:{port}")
        self.extension_cells[peer, "next hop"] = cell

    # --- what came of it

    def arrived(self, cell, name, seconds=15):
        """Content as it arrived where the cell's mail ends."""
        if cell.peer == "Dovecot LMTP":
            def found():
                mark = f"Message-ID: <{name}@".encode()
                return [c for c in self.peers["Dovecot"].delivered() if mark in c]
        elif cell.peer == "aiosmtpd":
            def found():
                server = self.peers["aiosmtpd"]
                with server.lock:
                    return [e.content for e in server.got
                            if f"<{name}@".encode() in e.content]
        else:
            def found():
                return [m.content for m in list(self.sink.messages)
                        if f"Message-ID: <{name}@".encode() in m.content
                        and any(cell.domain in r for r in m.recipients)]
        return wait_for(found, seconds, f"{name} at its end")

    def message_at_sink(self, name):
        return next(m for m in self.sink.messages
                    if f"Message-ID: <{name}@".encode() in m.content)


class Table:
    """What was shown: (row, column) to "ok" or "FAILED"."""

    def __init__(self):
        self.shown = {}

    @contextlib.contextmanager
    def cell(self, row, column):
        self.shown[row, column] = "FAILED"
        try:
            yield
        except pytest.skip.Exception:
            self.shown[row, column] = "skipped"
            raise
        self.shown[row, column] = "ok"

    def part(self, heading, columns, rows):
        lines = ["| " + " | ".join((*heading, *columns)) + " |",
                 "|" + "---|" * (len(heading) + len(columns))]
        for row in rows:
            cells = [self.shown.get((row, c), "-") for c in columns]
            lines.append("| " + " | ".join((*row, *cells)) + " |")
        return "\n".join(lines) + "\n"

    def write(self):
        logins, extensions = [], []
        for c in (*CLIENT_CELLS, *NEXT_HOP_CELLS, *BACKEND_CELLS):
            logins.append((c.peer, c.direction))
        for peer, direction, _ in EXTENSION_CELLS:
            extensions.append((peer, direction))
        rows = [(*who, mode) for who in dict.fromkeys(logins) for mode in MODES
                if any(r == (*who, mode) for r, _ in self.shown)]
        text = ("TLS and logins: a message arrived whole by this way, over this kind of "
                "connection.\n\n")
        text += self.part(("peer", "as", "TLS"), (NO_LOGIN, *MECHANISMS), rows)
        text += "\nExtensions, as they were said on the wire.\n\n"
        text += self.part(("peer", "as"), tuple(EXTENSIONS),
                          list(dict.fromkeys(extensions)))
        (build_folder() / "matrix.md").write_text(text)


def build_folder():
    if os.environ.get("WAYPOST_BUILD"):
        return pathlib.Path(os.environ["WAYPOST_BUILD"])
    exe = program()
    return next((up for up in exe.parents if (up / "build.ninja").exists()),
                exe.parent)


@pytest.fixture(scope="module")
def table():
    t = Table()
    yield t
    t.write()


@pytest.fixture(scope="module")
def world(request):
    with contextlib.ExitStack() as stack:
        # not below pytest's folder, which it closes to servers with users of their own
        folder = stack.enter_context(tempfile.TemporaryDirectory(
            prefix="waypost-matrix-", dir="/var/tmp", ignore_cleanup_errors=True))
        w = World(pathlib.Path(folder), stack)
        yield w
        if request.session.testsfailed:
            for name, who in (*w.peers.items(), ("receiver", w.receiver),
                              ("sender", w.sender)):
                path = build_folder() / f"matrix-{name}.log"
                path.write_text(who.log(), errors="replace")


# ---------------------------------------------------------------- the tests --

def hand_to_server(peer, cell, content, mail="", rcpt="", to=None):
    """Into a server, which will be our client: by its plain port."""
    host = "127.0.0.1"
    if isinstance(peer, Dovecot):
        host = peer.hosts[cell.domain]
    with Client(peer.port, host=host, timeout=30) as c:
        if isinstance(peer, Dovecot):
            assert c.login(USER, PASSWORD).code == 235
        say(c, content, to or cell.rcpt, mail, rcpt)


def say(c, content, to, mail="", rcpt=""):
    assert c.command(f"MAIL FROM:<{SENDER}>{mail}").code == 250
    for one in [to] if isinstance(to, str) else to:
        assert c.command(f"RCPT TO:<{one}>{rcpt}").code == 250
    if "BINARYMIME" in mail:
        c.send(f"BDAT {len(content)} LAST\r\n".encode() + content)
        assert c.reply().code == 250
    else:
        assert c.command("DATA").code == 354
        c.send(stuff(content) + b".\r\n")
        assert c.reply().code == 250


def check_our_log_of_a_client(log, cell, name, listener):
    """The message's lines say by which listener it came, and who had logged in how."""
    found = re.search(rf": (\w+): message-id=<{name}@", log)
    assert found, log[-2000:]
    login = f", login={USER}" if cell.has_login else ""
    assert re.search(rf"{found[1]}: client=[^,]*, listener={listener}{login}(, rule=|$)", log,
                     re.M), log[-2000:]
    secured = re.search(r"(\w+) TLS connection established from [^:]*: TLSv1\.[23] ",
                        log)
    assert bool(secured) == cell.is_secure
    if cell.mechanism == "EXTERNAL":
        assert secured[1] in ("Trusted", "Verified")
    logins = re.findall(r"logged in as (\S+) by (\S+)$", log, re.M)
    assert set(logins) == ({(USER, cell.mechanism)} if cell.has_login else set())


def go_in(world, cell, tmp_path):
    content = message(cell.domain)
    if cell.peer in CLIENTS:
        try:
            CLIENTS[cell.peer](world.ground, cell, content, tmp_path)
        except Missing as e:
            if os.environ.get("CI"):
                pytest.fail(str(e))
            pytest.skip(str(e))
    else:
        hand_to_server(world.peer(cell.peer), cell, content)
    return content


@pytest.mark.parametrize("cell", CLIENT_CELLS, ids=lambda c: c.id)
def test_client(world, table, cell, tmp_path):
    with table.cell((cell.peer, cell.direction, cell.mode), cell.mechanism):
        begun = len(world.receiver.log())
        content = go_in(world, cell, tmp_path)
        got = world.arrived(cell, cell.domain)
        check_content(got, content)
        assert len(got) == 1
        protocol = "ESMTP" + "S" * cell.is_secure + "A" * cell.has_login
        ours = re.split(rb"\r\n(?![ \t])", got[0])[0].decode()
        assert f"(Waypost) with {protocol} id " in ours
        check_our_log_of_a_client(world.receiver.log()[begun:], cell, cell.domain,
                                  world.listener_of(cell))


def check_our_log_of_a_next_hop(log, cell):
    where = (r"\S+" if cell.mode == SOCKET
             else rf"127\.0\.0\.1\[127\.0\.0\.1\]:{cell.port}")
    assert re.search(rf"to=<{re.escape(cell.rcpt)}>, relay={where}, .*status=sent",
                     log), log[-2000:]
    secured = re.findall(rf"(\w+) TLS connection established to {where}: TLSv1\.[23] ",
                         log)
    assert bool(secured) == cell.is_secure, log[-2000:]
    if cell.is_verified:
        assert set(secured) == {"Verified"}


@pytest.mark.parametrize("cell", NEXT_HOP_CELLS, ids=lambda c: c.id)
def test_next_hop(world, table, cell):
    with table.cell((cell.peer, cell.direction, cell.mode), cell.mechanism):
        peer = None if cell.peer == "Waypost" else world.peer(cell.peer)
        if cell.peer == "OpenSMTPD" and cell.is_secure and not world.shakes_hands:
            pytest.skip("this OpenSMTPD shakes hands with nobody as a server, not "
                        "with Python either")
        begun, content = len(world.sender.log()), message(cell.domain)
        theirs = len(peer.log() if peer else world.receiver.log())
        with world.sender.client() as c:
            say(c, content, cell.rcpt, " BODY=8BITMIME")
        got = world.arrived(cell, cell.domain)
        check_content(got, content)
        assert len(got) == 1
        world.sender.wait_log(rf"to=<{re.escape(cell.rcpt)}>")
        check_our_log_of_a_next_hop(world.sender.log()[begun:], cell)
        if peer is None:
            check_our_log_of_a_client(world.receiver.log()[theirs:], cell,
                                      cell.domain,
                                      f"{world.kind_of(cell)} {cell.mechanism}")
        elif cell.has_login:
            wait_for(lambda: re.search(peer.login_line(cell.mechanism),
                                       peer.log()[theirs:], re.M), 10,
                     f"a login by {cell.mechanism} in {cell.peer}'s log")


# --- extensions ---------------------------------------------------------------

ENVELOPE = " BODY=8BITMIME RET=HDRS ENVID=matrix+2B1"
NOTIFY = " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;orig@to.test"
MORE = " MT-PRIORITY=3 BY=7200;N"


def send_kind(world, cell, kind, name, tmp_path):
    """One message of this kind over the cell's wire; the content, and the recipients."""
    content = message(name, kind)
    to = "grün@" + cell.domain if kind == "utf8" else f"{kind}@{cell.domain}"
    if kind == "many":
        to = [f"many{i}@{cell.domain}" for i in range(MOST_RECIPIENTS + 2)]
    mail = {"eight": ENVELOPE, "utf8": " BODY=8BITMIME SMTPUTF8",
            "binary": " BODY=BINARYMIME", "later": " HOLDFOR=1"}.get(kind, "")
    rcpt = NOTIFY if kind == "eight" else ""
    if cell.direction == "next hop":
        if kind == "eight":
            mail += MORE
        with world.sender.client() as c:
            assert c.login(USER, PASSWORD).code == 235
            say(c, content, to, mail, rcpt)
    elif cell.peer in CLIENTS:
        one = Cell(cell.peer, cell.direction, CLEAR, cell.mechanism, cell.port)
        one.rcpt = to
        if kind == "eight" and cell.peer == "smtplib":
            mail += MORE
        one.extra = {"pipelining": True, "dsn": True, "mail": mail.split(),
                     "rcpt": rcpt.split(),
                     "sender": "sé@from.test" if kind == "utf8" else SENDER}
        CLIENTS[cell.peer](world.ground, one, content, tmp_path)
    else:
        hand_to_server(world.peer(cell.peer), cell, content, mail, rcpt, to)
    return content, to


def wire(world, peer, direction, kind, tmp_path):
    """What the client said when it sent a message of this kind; sent once."""
    key = peer, direction, kind
    if key not in world.wires:
        cell = world.extension_cells[peer, direction]
        name = f"{kind}-{cell.domain}"
        begun = time.monotonic()
        content, to = send_kind(world, cell, kind, name, tmp_path)
        copies = 2 if kind == "many" else 1
        got = wait_for(lambda: len(a := world.arrived(cell, name)) >= copies and a)
        check_content(got, content)
        assert len(got) == copies
        if kind == "later":
            assert time.monotonic() - begun >= 1
        world.wires[key] = world.taps[peer, direction].of(
            to if isinstance(to, str) else to[-1])
    return world.wires[key]


def is_pipelined(pieces):
    """Were two commands sent together?"""
    return any(re.search(rb"MAIL FROM:[^\n]*\nRCPT TO:", p) for p in pieces)


# What has to go on to the next host, in whose EHLO it is.
PASSED_ON = {"8BITMIME": " BODY=8BITMIME", "BINARYMIME": " BODY=BINARYMIME",
             "DSN": " ENVID=matrix+2B1", "SMTPUTF8": " SMTPUTF8",
             "MT-PRIORITY": " MT-PRIORITY=3", "DELIVERBY": " BY="}


@pytest.mark.parametrize("peer, direction, extension", EXTENSION_CELLS,
                         ids=[f"{p}-{d}-{e}".replace(" ", "_")
                              for p, d, e in EXTENSION_CELLS])
def test_extension(world, table, tmp_path, peer, direction, extension):
    with table.cell((peer, direction), extension):
        if peer != "Waypost" and peer not in CLIENTS:
            world.peer(peer)
        kind, pattern = EXTENSIONS[extension]
        said, pieces, answered = wire(world, peer, direction, kind, tmp_path)
        if extension == "PIPELINING":
            assert is_pipelined(pieces), said[:1500]
        elif extension == "LIMITS":
            assert f"LIMITS RCPTMAX={MOST_RECIPIENTS}\r".encode() in answered
            said = world.taps[peer, direction].all_of("many")
            parts = [p.count(b"RCPT TO:<many") for p in said.split(b"MAIL FROM:")]
            assert sorted(filter(None, parts)) == [2, MOST_RECIPIENTS]
        else:
            assert re.search(pattern, said, re.I), said[:1500]
        if direction == "client" and extension in PASSED_ON and \
                peer not in ("msmtp", "curl"):
            cell = world.extension_cells[peer, direction]
            assert PASSED_ON[extension] in world.message_at_sink(
                f"{kind}-{cell.domain}").parameters


# --- others who know our users ------------------------------------------------

@pytest.fixture(scope="module")
def pam_service():
    """A service of PAM's that knows one password."""
    if os.getuid() != 0 or not pathlib.Path("/etc/pam.d").is_dir():
        pytest.skip("a PAM service is made in /etc/pam.d, by root")
    name = f"waypost-test-{os.getpid()}"
    path, script = pathlib.Path("/etc/pam.d", name), None
    try:
        script = pathlib.Path("/tmp", name)
        script.write_text("#!/bin/sh\n"
                          f'[ "$PAM_USER:$(tr -d "\\000")" = "{USER}:{PASSWORD}" ]\n')
        script.chmod(0o755)
        path.write_text(f"auth required pam_exec.so quiet expose_authtok {script}\n"
                        "account required pam_permit.so\n")
        yield name
    finally:
        path.unlink(missing_ok=True)
        script.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def backends(world, tmp_path_factory, pam_service):
    """One relay for each, with a listener for each kind of connection."""
    g, relays = world.ground, {}
    users = {"PAM": f'pam = "{pam_service}"'}
    if "Dovecot" in world.peers:
        users["Dovecot auth socket"] = \
            f'dovecot = "{world.peers["Dovecot"].auth_socket}"'
    with contextlib.ExitStack() as stack:
        for name, how in users.items():
            ports = {k: free_port() for k in ("clear", "starttls", "implicit")}
            names = OLD[:2] if name == "PAM" else OLD[:2] + SCRAM
            top = (f'tls {{ certificate = {{"{g.server.path}"}}  '
                   f'key = {{"{g.server.key}"}} }}\nusers {{ {how} }}\n')
            for kind, tls in (("clear", "none"), ("starttls", "required"),
                              ("implicit", "implicit")):
                top += (f'listener "{kind}" {{ address = "127.0.0.1:{ports[kind]}"'
                        f"  tls = {tls}  auth = required  mechanisms = "
                        f"{{{', '.join(names)}}}  auth-without-tls = "
                        f"{'true' if kind == 'clear' else 'false'} }}\n")
            folder = tmp_path_factory.mktemp("backend")
            relays[name] = stack.enter_context(Relay(
                folder / "relay", {"*": world.sink.hop}, top=top, rules=RULE)), ports
        yield relays


@pytest.mark.parametrize("cell", BACKEND_CELLS, ids=lambda c: c.id)
def test_backend(world, table, backends, cell, tmp_path):
    with table.cell((cell.peer, cell.direction, cell.mode), cell.mechanism):
        if cell.peer not in backends:
            world.peer("Dovecot")
        relay, ports = backends[cell.peer]
        kind = world.kind_of(cell)
        cell.port, begun = ports[kind], len(relay.log())
        content = message(cell.domain)
        CLIENTS["msmtp"](world.ground, cell, content, tmp_path)
        got = world.arrived(cell, cell.domain)
        check_content(got, content)
        assert len(got) == 1
        check_our_log_of_a_client(relay.log()[begun:], cell, cell.domain, kind)
