"""Rows B: TLS on the way in. Whoever needs a record or a handshake that no library
makes builds it here."""

import ctypes
import ctypes.util
import random
import re
import socket
import ssl
import struct
import subprocess
import time

from cases import case
from door import Door, Wire, plain
from pki import openssl
from relay import LONG, Closed, wait_for

INJECTED = b"MAIL FROM:<inj@open.test>\r\nRCPT TO:<inj@open.test>\r\n"


def is_silent(c, seconds=0.3):
    """Nothing more is said."""
    return c.all_replies(seconds) == []


# ------------------------------------------------------------- STARTTLS ----

@case("B01", "B02", world="door")
def nothing_said_in_clear_is_heard_under_tls(w):
    behind = {"B01": b"EHLO inj\r\n",
              "B02": b"AUTH PLAIN AHUAcA==\r\n" + INJECTED}[w.row]
    for pause in (None, 0, 0.05):
        c = w.relay.wire(cut=None)
        c.reply()
        c.command("EHLO client.test")
        if pause is None:
            c.send(b"STARTTLS\r\n" + behind)
        else:
            c.send(b"STARTTLS\r\n")
            time.sleep(pause)
            c.send(behind)
        first = c.reply()
        if first.code == 220:       # read apart: what follows is no handshake
            try:
                c.shake()
                c.send(b"NOOP\r\n")
                assert [r.code for r in c.all_replies(1)] in ([250], [])
            except (Closed, ssl.SSLError):
                pass
        else:
            assert first.code == 554 and c.is_closed()
        c.close()
    # the same bytes inside the handshake's first segment
    c = w.relay.wire()
    c.reply()
    c.command("EHLO client.test")
    c.command("STARTTLS")
    c.cut = lambda data: [behind + data]
    try:
        c.shake()
        raise AssertionError("a handshake behind clear text")
    except (Closed, ssl.SSLError):
        c.close()
    assert "inj@open.test" not in w.relay.log()


@case("B03", world="door")
def a_handshake_forgets_all_before_it(w):
    with w.client() as c:
        assert c.command("MAIL FROM:<s@from.test>").code == 250
        assert c.command("STARTTLS").code == 220
        c.secure(w.relay.context())
        assert c.codes("RCPT TO:<r@open.test>", "DATA", "BDAT 0",
                       "MAIL FROM:<s@from.test>") == [503] * 4
        assert c.command("EHLO a").code == 250
        assert c.command("RCPT TO:<r@open.test>").code == 503
    with w.client("clear") as c:
        assert c.login("alice", w.relay.users["alice"]).code == 235
        assert c.command("MAIL FROM:<s@from.test>").code == 250
        assert c.command(f"RCPT TO:<{w.to()}>").code == 250
        assert c.starttls(w.relay.context()).code == 250
        assert c.command("MAIL FROM:<x@else.test>").code == 250
        assert c.command(f"RCPT TO:<{w.to()}>").code == 554


@case("B04", world="door")
def starttls_takes_no_argument_and_is_not_for_helo(w):
    with w.client() as c:
        assert c.codes("STARTTLS foo", "NOOP") == [501, 250]
        assert c.starttls(w.relay.context()).code == 250
    with w.client(helo=None) as c:  # some clients say nothing before it
        assert c.starttls(w.relay.context()).code == 250
    with w.client(helo=None) as c:
        assert c.command("HELO old.test").code == 250
        assert c.command("STARTTLS").code in (502, 503)
        assert c.command("NOOP").code == 250


@case("B05", world="door")
def there_is_no_tls_within_tls(w):
    for c in (w.relay.secured(), w.client("implicit")):
        with c:
            assert b"STARTTLS" not in c.command("EHLO a").lines
            assert c.command("STARTTLS").code in (503, 554)
            c.send(b"\x16\x03\x01\x00\x05")
            c.send(b"\r\nNOOP\r\n")
            assert [c.reply().code // 100 for _ in range(2)] == [5, 2]
            assert is_silent(c)


@case("B06", world="door")
def clear_text_after_the_220_ends_it(w):
    for text in (b"EHLO x\r\n", b"QUIT\r\n", b"\r\n", b"\x15\x03\x01",
                 b"\x16\x03\x01\xff\xff" + b"x" * 70000, b"\x80\x2e\x01\x03\x00"):
        with w.client() as c:
            assert c.command("STARTTLS").code == 220
            c.send(text)
            c.socket.settimeout(3)
            said = b""
            try:
                c.shut()
                while more := c.socket.recv(4096):
                    said += more
            except OSError:     # it has closed already
                pass
            assert said[:1] in (b"", b"\x15"), said      # an alert at most


@case("B07", world="door")
def a_handshake_on_the_plain_port_is_shown_out(w):
    hello = client_hello()
    for raw in (hello, hello[:1], hello + INJECTED, b"\x16" + random.Random(7).randbytes(2000)):
        with w.client(greet=False) as c:
            c.reply()
            c.send(raw)
            replies = c.all_replies()
            assert [r.code for r in replies] in ([500], [554], []), replies
            assert c.is_closed()
    log = w.relay.log().rstrip("\n").split("\n")
    assert all(re.match(r"[A-Z][a-z]{2} ", line) for line in log)


@case("B08")
def a_handshake_has_a_deadline_as_a_whole(w):
    with Door(w.folder / "slow", {"*": w.sink.hop}, users={},
              handshake="2s") as relay:
        with relay.secured():
            before = relay.descriptors_at_rest()
        drips = []
        for door in (None, "implicit"):
            for n in (0, 1):
                c = relay.client(door, greet=False, tls=None) if n else \
                    relay.wire(door)
                if door is None:
                    c.reply()
                    c.command("EHLO a")
                    c.command("STARTTLS")
                drips.append((c, n))
        began, hello = time.monotonic(), client_hello()
        gone = {}
        for i in range(len(hello) - 10):
            for c, n in drips:
                if c in gone:
                    continue
                try:
                    if n:
                        c.socket.sendall(hello[i:i + 1])
                    c.socket.settimeout(0.001)
                    if c.socket.recv(100) == b"":
                        raise ConnectionError
                except TimeoutError:
                    pass
                except ConnectionError:
                    gone[c] = time.monotonic() - began
            if len(gone) == len(drips):
                break
            time.sleep(0.1)
        assert len(gone) == len(drips), gone
        # a byte now and then would have kept it for longer
        assert all(1.5 < t for t in gone.values()), gone
        for c, _ in drips:
            c.close()
        wait_for(lambda: relay.descriptors() <= before, 5, "the slots' return")


# ---------------------------------------------------------------- floods ----

def libssl():
    library = ctypes.CDLL(ctypes.util.find_library("ssl") or "libssl.so.3")
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name, result, *arguments in (
            ("TLS_client_method", pointer), ("SSL_CTX_new", pointer, pointer),
            ("SSL_CTX_ctrl", ctypes.c_long, pointer, number, ctypes.c_long, pointer),
            ("SSL_CTX_free", None, pointer), ("SSL_new", pointer, pointer),
            ("SSL_free", None, pointer), ("SSL_set_fd", number, pointer, number),
            ("SSL_connect", number, pointer), ("SSL_key_update", number, pointer, number),
            ("SSL_renegotiate", number, pointer), ("SSL_do_handshake", number, pointer),
            ("SSL_write", number, pointer, pointer, number),
            ("SSL_read", number, pointer, pointer, number)):
        f = getattr(library, name)
        f.restype, f.argtypes = result, arguments
    return library


class Raw:
    """libssl itself, for what Python's ssl does not offer."""
    TLS_1_2, TLS_1_3, SET_MIN, SET_MAX = 0x303, 0x304, 123, 124

    def __init__(self, port, version):
        self.ssl = libssl()
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.context = self.ssl.SSL_CTX_new(self.ssl.TLS_client_method())
        for what in (self.SET_MIN, self.SET_MAX):
            assert self.ssl.SSL_CTX_ctrl(self.context, what, version, None) == 1
        self.s = self.ssl.SSL_new(self.context)
        self.socket.settimeout(None)    # libssl reads and writes it
        self.ssl.SSL_set_fd(self.s, self.socket.fileno())
        assert self.ssl.SSL_connect(self.s) == 1
        assert self.read().startswith(b"220 ")

    def read(self):
        room = ctypes.create_string_buffer(4096)
        n = self.ssl.SSL_read(self.s, room, 4096)
        return room.raw[:n] if n > 0 else b""

    def write(self, data):
        return self.ssl.SSL_write(self.s, data, len(data)) > 0

    def close(self):
        self.ssl.SSL_free(self.s)
        self.ssl.SSL_CTX_free(self.context)
        self.socket.close()


def renegotiates(port):
    """What s_client says of it, asked for behind the greeting: libssl takes no data while
    hands are shaken anew."""
    with subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE) as client:
        assert any(line.startswith(b"220 ") for line in client.stdout)
        return client.communicate(b"R\n", 20)[1]


@case("B11", world="door")
def keys_are_not_changed_for_ever(w):
    port = w.relay.ports["implicit"]
    before, began = w.relay.cpu_seconds(), time.monotonic()
    for asks in (0, 1):                 # SSL_KEY_UPDATE_NOT_REQUESTED, REQUESTED
        c = Raw(port, Raw.TLS_1_3)
        for sent in range(10000):
            if c.ssl.SSL_key_update(c.s, asks) != 1 or \
                    c.ssl.SSL_do_handshake(c.s) != 1:
                break
        assert sent < 9999 or not c.write(b"NOOP\r\n") or c.read() == b""
        c.close()
    # a change now and then, with data between, is nobody's flood
    c = Raw(port, Raw.TLS_1_3)
    for _ in range(20):
        assert c.ssl.SSL_key_update(c.s, 1) == 1 and c.write(b"NOOP\r\n")
        assert c.read().startswith(b"250 ")
    c.close()
    for _ in range(1000 if LONG else 50):
        c = Raw(port, Raw.TLS_1_2)
        c.ssl.SSL_renegotiate(c.s)
        assert c.ssl.SSL_do_handshake(c.s) != 1, "renegotiated"
        c.close()
    spent = w.relay.cpu_seconds() - before
    print(f"cpu {spent:.2f} s in {time.monotonic() - began:.2f} s")
    # s_client's own way, with the server's secure renegotiation named
    said = renegotiates(port)
    assert b"no renegotiation" in said, said[-500:]
    assert "too many messages besides data" in w.relay.log()


# -------------------------------------------------------------- versions ----

MODERN = (0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xC009, 0xC013, 0xC00A, 0xC014)


def client_hello(version=0x303, ciphers=MODERN, record=0x301):
    """As TLS 1.2 and older have it, with the extensions that ECDHE needs."""
    suites = b"".join(struct.pack(">H", c) for c in ciphers)
    groups = struct.pack(">HHHHH", 10, 6, 4, 0x17, 0x18)
    points = struct.pack(">HHBB", 11, 2, 1, 0)
    signs = struct.pack(">HHHHHH", 13, 8, 6, 0x403, 0x804, 0x401)
    extensions = groups + points + (signs if version >= 0x303 else b"")
    if version < 0x301:
        extensions = b""
    body = struct.pack(">H", version) + bytes(range(32)) + b"\0" + \
        struct.pack(">H", len(suites)) + suites + b"\1\0"
    if extensions:
        body += struct.pack(">H", len(extensions)) + extensions
    message = b"\1" + struct.pack(">I", len(body))[1:] + body
    return b"\x16" + struct.pack(">HH", record, len(message)) + message


def answer_to(w, hello):
    """The type of the record that comes back: 22 is a handshake that goes on."""
    with socket.create_connection(("127.0.0.1", w.relay.ports["implicit"]),
                                  5) as s:
        s.sendall(hello)
        try:
            return s.recv(1)
        except ConnectionError:
            return b""


@case("B13", world="door")
def old_versions_and_weak_ciphers_are_refused(w):
    assert answer_to(w, client_hello()) == b"\x16"      # this one is good
    old = {"SSL 3": 0x300, "TLS 1.0": 0x301, "TLS 1.1": 0x302}
    weak = {"anonymous": (0xC018, 0xC019, 0x34, 0x3A, 0xA6, 0xA7),
            "null": (0x01, 0x02, 0x3B, 0xC006, 0xC010),
            "export": (0x03, 0x06, 0x08, 0x0B, 0x0E, 0x11, 0x14, 0x17),
            "RC4": (0x04, 0x05, 0xC007, 0xC011), "DES": (0x09, 0x0A, 0xC012),
            "no forward secrecy": (0x2F, 0x35, 0x9C, 0x9D, 0x3C)}
    for name, version in old.items():
        for record in (version, 0x301):
            hello = client_hello(version, record=record)
            assert answer_to(w, hello) in (b"\x15", b""), name
    for name, suites in weak.items():
        for version in (0x303, 0x301):
            hello = client_hello(version, suites)
            assert answer_to(w, hello) in (b"\x15", b""), name
    ssl_2 = b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(37)
    assert answer_to(w, ssl_2) in (b"\x15", b"")
    context = w.relay.context(ssl.TLSVersion.MINIMUM_SUPPORTED,
                              ssl.TLSVersion.TLSv1_1)
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        w.client("implicit", tls=context)
        raise AssertionError("TLS 1.1")
    except (ssl.SSLError, ConnectionError):
        pass


@case("B14", world="door")
def what_is_meant_for_a_web_server_is_turned_away(w):
    for names in (["http/1.1"], ["h2", "http/1.1"], ["imap"], ["smtp-ish"]):
        context = w.relay.context()
        context.set_alpn_protocols(names)
        try:
            w.client("implicit", tls=context)
            raise AssertionError(names)
        except ssl.SSLError as e:
            assert "no application protocol" in str(e)
    context = w.relay.context()
    context.set_alpn_protocols(["h2", "smtp"])
    with w.client("implicit", tls=context) as c:
        assert c.socket.selected_alpn_protocol() == "smtp"
    with w.client("implicit", helo=None) as c:
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nEHLO a\r\n" + INJECTED)
        assert [r.code for r in c.all_replies()] in ([221], [554])
        assert c.is_closed()


@case("B15", world="door")
def no_secret_is_asked_for_in_clear(w):
    secret = plain("alice", "a secret said in clear")
    for door in (None, "submission", "bound"):
        with w.client(door) as c:
            lines = c.command("EHLO a").lines
            assert not any(line.startswith(b"AUTH") for line in lines)
            assert c.command("AUTH PLAIN " + secret).code in (530, 538)
            assert c.command("AUTH PLAIN").code in (530, 538)
            assert c.command("NOOP").code == 250
    assert secret not in w.relay.log()


@case("B17", world="door")
def tls_comes_first_where_it_is_required(w):
    with w.client("submission") as c:
        for line in ("MAIL FROM:<s@from.test>", "VRFY x", "ETRN x.test"):
            reply = c.command(line)
            assert reply.code == 530 and "5.7.0" in reply.text, line
        assert c.codes("NOOP", "RSET", "HELP") == [250, 250, 214]
        assert c.starttls(w.relay.context()).code == 250
        assert c.command("MAIL FROM:<s@from.test>").code == 530   # a login
        assert c.login("alice", w.relay.users["alice"]).code == 235
        assert c.command("MAIL FROM:<s@from.test>").code == 250


# ---------------------------------------------------------- certificates ----

def der(tag, body):
    n = len(body)
    if n < 0x80:
        return bytes([tag, n]) + body
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + body


def signed_again(authority, certificate, old, new):
    """The certificate with some bytes changed, and the authority's signature on it."""
    whole = openssl("x509", "-in", certificate.path, "-outform", "DER")
    head = 4 if whole[1] == 0x82 else 3
    size = 4 + int.from_bytes(whole[head + 2:head + 4], "big")
    tbs, rest = whole[head:head + size], whole[head + size:]
    assert old in tbs and len(old) == len(new)
    tbs = tbs.replace(old, new)
    algorithm = rest[:2 + rest[1]]
    sign = openssl("dgst", "-sha256", "-sign", authority.key, input=tbs)
    made = der(0x30, tbs + algorithm + der(3, b"\0" + sign))
    certificate.path.write_text(ssl.DER_cert_to_PEM_cert(made))
    return certificate


def deep_chain(folder, authority, depth):
    """A leaf under so many authorities; they share one key."""
    key, last = folder / "deep.key", authority.path
    signer, pems = authority.key, []
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-out", key)
    for i in range(depth + 1):
        path = folder / f"deep{i}.pem"
        kind = "CA:FALSE" if i == depth else "CA:TRUE"
        openssl("req", "-x509", "-new", "-key", key, "-subj", f"/CN=deep{i}",
                "-CA", last, "-CAkey", signer, "-out", path, "-days", 9,
                "-config", authority.config, "-addext",
                f"basicConstraints=critical,{kind}")
        last, signer = path, key
        pems.insert(0, path.read_text())
    chain = folder / "deep.chain"
    chain.write_text("".join(pems))
    return chain, key


def show(w, certificate, key, newest=None):
    """Hands the certificate in; the client, or None when the handshake failed."""
    context = w.relay.context(newest=newest)
    context.load_cert_chain(certificate, key)
    c = w.client("certified")
    try:
        c.starttls(context)
        return c
    except (ssl.SSLError, ConnectionError, Closed, AssertionError):
        c.close()
        return None


@case("B16", world="door")
def hostile_certificates_are_nobody(w):
    folder, before = w.folder, w.relay.status("VmRSS")
    (w.relay.folder / "certificates").write_text("alice.test alice\n")
    w.relay.reload()
    good = w.relay.clients.issue("alice.test", san="")
    wait_for(lambda: external(w, good.path, good.key) == 235, 10, "the reload")
    # a name that ends at its NUL, for those who read it as C does
    fake = w.relay.clients.issue("alice.test", cn="alice.test_evil.test", san="")
    signed_again(w.relay.clients, fake, b"alice.test_evil", b"alice.test\0evil")
    assert external(w, fake.path, fake.key) == 535
    fake = w.relay.clients.issue("alice.test", cn="x",
                                 san="DNS:alice.test_evil.test")
    signed_again(w.relay.clients, fake, b"alice.test_evil", b"alice.test\0evil")
    assert external(w, fake.path, fake.key) == 535
    other = w.relay.authority.issue("alice.test")      # another authority's
    assert external(w, other.path, other.key) == 535
    # long chains, and one certificate of a megabyte
    chain, key = deep_chain(folder, w.relay.clients, 100 if LONG else 25)
    assert external(w, chain, key) in (None, 535)
    big = folder / "big.conf"
    big.write_text("[req]\ndistinguished_name = n\nx509_extensions = e\n[n]\n[e]\n"
                   "nsComment = ASN1:UTF8:" + "x" * 60000 + "\n" +
                   "".join(f"1.2.3.{i} = ASN1:UTF8:{'x' * 60000}\n"
                           for i in range(16)))
    openssl("req", "-x509", "-config", big, "-key", good.key, "-subj",
            "/CN=alice.test", "-out", folder / "big.pem")
    for _ in range(5):
        assert external(w, folder / "big.pem", good.key) is None
    # bytes of the certificate changed on their way
    rng = random.Random(16)
    for _ in range(200 if LONG else 40):
        assert malformed(w, good, rng) is None
    assert external(w, good.path, good.key) == 235
    assert w.relay.uses_less_than(20_000, before)


def external(w, certificate, key):
    """The answer to AUTH EXTERNAL; None: no handshake."""
    c = show(w, certificate, key)
    if c is None:
        return None
    with c:
        return c.command("AUTH EXTERNAL =").code


def malformed(w, certificate, rng):
    """A TLS 1.2 handshake, where the certificate travels in clear, so that it can be
    spoilt; answers EHLO's code, or None."""
    context = w.relay.context(newest=ssl.TLSVersion.TLSv1_2)
    context.load_cert_chain(certificate.path, certificate.key)
    body = ssl.PEM_cert_to_DER_cert(certificate.path.read_text())
    spoilt = bytearray(body)
    for _ in range(rng.randrange(1, 4)):
        spoilt[rng.randrange(len(body))] ^= 1 << rng.randrange(8)
    c = Wire(w.relay.ports["certified"], context,
             cut=lambda data: [data.replace(body, bytes(spoilt))])
    try:
        c.reply()
        c.command("EHLO a")
        c.command("STARTTLS")
        c.shake()
        return c.command("EHLO a").code
    except (ssl.SSLError, Closed, TimeoutError):
        return None
    finally:
        c.close()


# ---------------------------------------------------------------- tickets ----

@case("B18", world="door")
def a_ticket_opens_one_door_only(w):
    for newest in (None, ssl.TLSVersion.TLSv1_2):
        context = w.relay.context(newest=newest)

        def visit(door, session=None):
            """Resumed?, and the session for the next time."""
            c = w.client(door)
            assert c.command("STARTTLS").code == 220
            c.socket = context.wrap_socket(c.socket, session=session,
                                           server_hostname="relay.test")
            c.rest = b""
            with c:
                assert c.command("EHLO a").code == 250
                again = c.socket.session_reused
                needs = c.command("MAIL FROM:<s@from.test>").code
                return again, c.socket.session, needs
        _, session, _ = visit(None)
        assert visit(None, session)[0], "it is no test when nothing resumes"
        for door in ("submission", "bound", "certified", "clear"):
            again, _, code = visit(door, session)
            assert not again, door
            assert code == (530 if door in ("submission", "bound") else 250)


