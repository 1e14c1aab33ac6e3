"""Rows C: outbound TLS against servers that are hostile, broken or badly kept.

Each row is driven with several servers at once: one relay, a route for each server. What a
person finds in the log and in `queue list` is part of the outcome, and where TLS is a must,
that nothing of a message was said in clear text.
"""

import contextlib
import os
import re
import ssl
import time

from cases import case, private
from pki import Authority
from relay import FIN, HANG, LONG, Relay, Sink, wait_for

PASSWORD = "correct-horse-battery"
MUST = ("required", "verify")


def serving(certificate, most=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    if most:
        context.maximum_version = most
    return context


def route(sink, tls, name="mx.test"):
    keys = {"via": sink.hop, "tls": tls}
    if tls == "verify":
        keys["tls-name"] = f'"{name}"'
    return keys


class Hop:
    """A server, the route that leads to it, and what must come of it.

    comes: "secured", "clear", or (status, words in the log) of a deferral.
    """

    def __init__(self, comes, script=None, tls="required", name="mx.test",
                 context=None, login=False, **options):
        self.comes, self.login = comes, login
        self.sink = Sink(script, tls=context, **options)
        self.keys = route(self.sink, tls, name)
        self.must = tls in MUST

    def heal(self, context):
        """A server as it should be."""
        self.sink.script, self.sink.tls = None, context
        self.sink.extensions = Sink.extensions
        self.sink.logins = {"us": PASSWORD} if self.login else None

    def check(self, relay, i):
        """After the first attempt."""
        said = relay.log()
        if isinstance(self.comes, tuple):
            status, words = self.comes
            # what a person looks for, and finds beside the host's address
            at = re.escape(f"127.0.0.1[127.0.0.1]:{self.sink.port}: ")
            assert re.search(f"connect to {at}.*{words}", said), (i, words)
            assert re.search(f"rests for .*: {re.escape(status)} {at}.*{words}",
                             said), (i, status, words)
            waits = relay.queue_list("--to", f"r@d{i}.test")
            assert len(waits) == 1
            reason = waits[0]["recipients"][0]["delay_reason"]
            assert reason.startswith(status) and re.search(words, reason)
            assert self.sink.count("mail") == 0 and not self.sink.messages
        else:
            arrived = self.sink.messages
            assert len(arrived) == 1, (i, self.comes, arrived)
            assert bool(arrived[0].tls) == (self.comes == "secured")
            told = re.search(f":{self.sink.port}: mail goes in clear text",
                             said)
            assert bool(told) == (self.comes == "clear"), i
        self.check_secrets()

    def check_secrets(self):
        for _, stage, _, argument, tls in list(self.sink.stages):
            if tls or not isinstance(argument, bytes):
                continue
            assert stage != "auth" and PASSWORD.encode() not in argument
            assert not (self.must and stage in ("mail", "rcpt", "data")), (
                stage, argument)

    def is_tried(self, relay):
        if not isinstance(self.comes, tuple):
            return bool(self.sink.messages)
        return re.search(rf"rests for .*:{self.sink.port}: ", relay.log())


@contextlib.contextmanager
def driven(w, hops, authority, good):
    """Sends each hop a message, checks what comes of it, then heals them all: each
    message arrives once in the end, and nothing is reported."""
    home = Sink()
    password = w.folder / "password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o600)
    routes = {"home.test": home.hop}
    for i, hop in enumerate(hops):
        more = {"user": '"us"', "password-file": f'"{password}"'} \
            if hop.login else {}
        routes[f"d{i}.test"] = {**hop.keys, **more}
    try:
        with Relay(w.folder / "relay", routes,
                   top=f'tls {{ authorities = "{authority.path}" }}') as relay:
            with relay.client() as c:
                for i in range(len(hops)):
                    assert c.mail(b"x\r\n", sender="s@home.test",
                                  to=[f"r@d{i}.test"]).code == 250
            wait_for(lambda: all(h.is_tried(relay) for h in hops), 20,
                     "an attempt at "
                     f"{[i for i, h in enumerate(hops) if not h.is_tried(relay)]}")
            yield relay
            for i, hop in enumerate(hops):
                hop.check(relay, i)
            for hop in hops:
                hop.heal(good)
            relay.wait_empty(25)
            for i, hop in enumerate(hops):
                assert len(hop.sink.messages) == 1, (i, hop.sink.messages)
                hop.check_secrets()
            assert not home.messages, home.messages[0].content
            assert "status=bounced" not in relay.log()
            assert PASSWORD not in relay.log()
            assert relay.is_alive
    finally:
        for sink in [home, *(h.sink for h in hops)]:
            sink.close()


def drive(w, make, name="mx.test"):
    """make(context) answers the hops; context is one that each of them may trust."""
    authority = Authority(w.folder)
    good = serving(authority.issue(name))
    with driven(w, make(good), authority, good):
        pass


NOT_OFFERED = "TLS is required, but was not offered by peer"


@case("C01")
def what_follows_220_in_clear_text_is_not_obeyed(w):
    injected = b"220 go\r\n250-x\r\n250 AUTH LOGIN\r\n"
    late = [b"220 go\r\n", 0.05, b"250-x\r\n250 AUTH LOGIN\r\n", HANG]
    early = "clear text where TLS begins"
    drive(w, lambda good: [
        *(Hop(("4.7.4", early), {"starttls": injected}, tls, context=good,
              login=True) for tls in MUST),
        *(Hop(("4.7.4", "peer does not speak TLS"), {"starttls": late}, tls,
              context=good, login=True) for tls in MUST),
        Hop("clear", {"starttls": injected}, "optional", context=good),
        Hop("clear", {"starttls": late}, "optional", context=good)])


@case("C02")
def without_starttls_only_an_optional_one_goes_on(w):
    drive(w, lambda good: [
        *(Hop(("4.7.4", NOT_OFFERED), None, tls) for tls in MUST),
        *(Hop(("4.7.4", NOT_OFFERED), None, tls, login=True, logins={"us": PASSWORD})
          for tls in MUST),
        # a name is not enough: STARTTLS as a word of another line
        Hop(("4.7.4", NOT_OFFERED), None, extensions=["X-STARTTLS", "SIZE STARTTLS"]),
        Hop("clear", None, "optional"),
        Hop("secured", None, "optional", context=good),
        # what is written in the configuration is kept to: no word of TLS
        Hop(("4.7.4", "login needs TLS, which was not to be had"), None, "optional",
            login=True, logins={"us": PASSWORD})])


@case("C03")
def starttls_that_does_not_come_true(w):
    answers = {b"454 4.7.0 not now\r\n": "454 4.7.0 not now",
               b"502 5.5.1 no\r\n": "502 5.5.1 no",
               b"250 ok\r\n": "250 ok",
               b"421 4.3.2 bye\r\n": "421 4.3.2 bye",
               b"\x07what\r\n": "broke the protocol"}
    clear = "peer does not speak TLS|clear text where TLS begins"
    after = {"gone": ([b"220 go\r\n", FIN],
                      "went away during the handshake|reset by peer"),
             "garbage": ([b"220 go\r\n", b"\x00garbage" * 20, HANG], clear),
             "mail": ([b"220 go\r\n", b"554 5.7.0 no mail for you\r\n", HANG],
                      clear)}
    drive(w, lambda good: [
        *(Hop(("4.7.4", words), {"starttls": answer}, tls, context=good)
          for answer, words in answers.items() for tls in MUST),
        *(Hop(("4.7.4", words), {"starttls": answer}, tls, context=good)
          for answer, words in after.values() for tls in MUST),
        *(Hop("clear", {"starttls": answer}, "optional", context=good)
          for answer in answers),
        *(Hop("clear", {"starttls": answer}, "optional", context=good)
          for answer, _ in after.values())])


@case("C04")
def helo_hides_no_starttls(w):
    drive(w, lambda good: [
        *(Hop(("4.7.4", NOT_OFFERED), {"ehlo": b"502 5.5.1 what?\r\n"}, tls,
              context=good) for tls in MUST),
        Hop("clear", {"ehlo": b"502 5.5.1 what?\r\n"}, "optional", context=good)])


@case("C06")
def a_certificate_for_another_name_is_not_theirs(w):
    authority = Authority(w.folder)
    good = serving(authority.issue("mx.test"))
    other = serving(authority.issue("other.test", "third.test"))
    words = "the certificate is for other.test, third.test"
    hops = [Hop(("4.7.5", words), None, "verify", context=other),
            Hop(("4.7.5", words), None, "verify", context=other, login=True),
            Hop("secured", None, "required", context=other),
            Hop("secured", None, "optional", context=other),
            Hop("secured", None, "verify", context=good)]
    with driven(w, hops, authority, good) as relay:
        relay.wait_log(rf"Trusted TLS connection established to "
                       rf"127\.0\.0\.1\[127\.0\.0\.1\]:{hops[2].sink.port}: TLSv1")
        relay.wait_log(rf"Verified TLS connection established to "
                       rf"127\.0\.0\.1\[127\.0\.0\.1\]:{hops[4].sink.port}: TLSv1")


def names_with_nul(name):
    """A subjectAltName of one DNS name, as OpenSSL's configuration takes it."""
    name = name.encode()
    inner = b"\x82" + bytes([len(name)]) + name
    return "DER:" + (b"\x30" + bytes([len(inner)]) + inner).hex()


@case("C07")
def only_the_right_certificate_verifies(w):
    authority, stranger = Authority(w.folder), Authority(w.folder, "stranger")
    issue = authority.issue
    wrong = "the certificate is for "
    rows = [        # certificate, the name asked for, what is said (None: verified)
        (issue("mx.test"), "mx.test", None),
        (issue("mx.test"), "MX.Test", None),
        (issue("*.example.com"), "a.example.com", None),
        (issue("mx.test", begins=-9, ends=-1), "mx.test",
         "certificate has expired"),
        (issue("mx.test", begins=1, ends=9), "mx.test",
         "certificate is not yet valid"),
        (authority.self_signed("mx.test"), "mx.test", "self-signed certificate"),
        (stranger.issue("mx.test"), "mx.test",
         "unable to get (local )?issuer certificate|unable to verify"),
        (issue("mx.test", usage="clientAuth"), "mx.test",
         "(unsuitable|unsupported) certificate purpose"),
        (issue("*.example.com"), "a.b.example.com", wrong + r"\*\.example\.com"),
        (issue("*.example.com"), "example.com", wrong + r"\*\.example\.com"),
        (issue("*.com"), "example.com", wrong + r"\*\.com"),
        (issue("f*o.example"), "foo.example", wrong + r"f\*o\.example"),
        (issue(cn="mx.test", san=""), "mx.test", wrong + "no host at all"),
        (issue(cn="x", san=names_with_nul("mx.test\0.evil.test")), "mx.test",
         wrong + r"mx\.test\\x00\.evil\.test")]
    hops = [Hop(("4.7.5", words) if words else "secured", None, "verify", name,
                context=serving(certificate)) for certificate, name, words in rows]
    # one that is good for every name that was asked for
    good = serving(issue(*sorted({name for _, name, _ in rows})))
    with driven(w, hops, authority, good) as relay:
        for hop in hops:
            assert hop.must
        count = len(re.findall("Verified TLS connection", relay.log()))
        assert count == sum(1 for r in rows if not r[2])


@case("C11")
def handshakes_that_stall_hold_up_nobody(w):
    many, letters = 100, 200 if LONG else 60
    authority = Authority(w.folder)
    good = serving(authority.issue("mx.test"))
    top = f'tls {{ authorities = "{authority.path}" }}'
    with Sink({"starttls": [b"220 go\r\n", HANG]}, tls=good) as stuck, \
            Sink(tls=good) as fine:
        # names that differ, so that each is a destination of its own
        routes = {f"s{i}.test": route(stuck, "verify", f"h{i}.test")
                  for i in range(many)}
        routes["fine.test"] = route(fine, "verify")
        with Relay(w.folder / "relay", routes, top=top) as relay:
            def delays(c):
                """Of letters to the destination that is well, one at a time."""
                got = []
                for _ in range(letters):
                    begun, count = time.monotonic(), len(fine.messages)
                    assert c.mail(b"x\r\n", to=["r@fine.test"]).code == 250
                    wait_for(lambda n=count: len(fine.messages) > n, 10)
                    got.append(fine.messages[-1].time - begun)
                return sorted(got)[letters // 2]
            with relay.client() as c:
                delays(c)       # connections, files: all is warm then
                before = delays(c)
                for i in range(many):
                    assert c.mail(b"x\r\n", to=[f"r@s{i}.test"]).code == 250
                wait_for(lambda: stuck.count("starttls") >= many, 20,
                         "a handshake with each")
                after = delays(c)
            # of a machine that does other things too
            assert after < max(2 * before, 0.5), (before, after)
            assert len(relay.queue_list()) == many
            assert stuck.count("mail") == 0


@case("C12")
def a_login_that_nobody_asked_for_is_none(w):
    early = [b"235 2.7.0 welcome\r\n", b"334 \r\n",
             b"250-x\r\n250 AUTH PLAIN LOGIN\r\n235 2.7.0 welcome\r\n",
             b"250-x\r\n250 AUTH PLAIN LOGIN\r\n334 \r\n",
             b"250-x\r\n250 AUTH PLAIN LOGIN\r\n"]
    login = {"login": True, "logins": {"us": PASSWORD}}
    words = "broke the protocol|not offered|needs TLS|235|334"

    def hops(good):
        for tls in (*MUST, "optional"):
            for said in early:
                yield Hop(("4.", words), {"ehlo": said}, tls, **login)
            for said in early[:2]:
                yield Hop(("4.", words), {"banner": said}, tls, **login)
                yield Hop(("4.", words), {"starttls": said}, tls, context=good,
                          **login)

    def all_hops(good):
        # optional heals with TLS, too: a login goes no other way
        return list(hops(good))
    drive(w, all_hops)


def in_clear(data):
    """Puts bytes beside the TLS stream, as one who sits on the wire can."""
    def step(session):
        os.write(session.socket.fileno(), data)
    return step


class Injected:
    """A server to whose first answer at one stage somebody on the wire adds a yes."""

    def __init__(self, where, tls, context):
        self.where, self.first = where, None
        self.sink = Sink(self.script, tls=context)
        self.keys = route(self.sink, tls)

    def script(self, connection, stage, _argument):
        if stage != self.where or self.first not in (None, connection):
            return None
        self.first = connection
        return [in_clear(b"250 2.0.0 taken\r\n"), HANG]


@case("C13")
def a_reply_put_into_the_tls_stream_is_an_error(w):
    authority = Authority(w.folder)
    good = serving(authority.issue("mx.test"))
    hops = [Injected(where, tls, good)
            for where in ("secured", "mail", "rcpt", "data", "dot")
            for tls in ("verify", "optional")]
    routes = {f"d{i}.test": h.keys for i, h in enumerate(hops)}
    try:
        with Relay(w.folder / "relay", routes,
                   top=f'tls {{ authorities = "{authority.path}" }}') as relay:
            with relay.client() as c:
                for i in range(len(hops)):
                    assert c.mail(b"x\r\n", to=[f"r@d{i}.test"]).code == 250
            relay.wait_empty()
            log = relay.log()
            for h in hops:
                assert h.first and len(h.sink.messages) == 1
                assert h.sink.messages[0].tls
                doubt = re.findall(rf":{h.sink.port},.*may be sent more than "
                                   "once", log)
                assert bool(doubt) == (h.where == "dot"), (h.where, doubt)
            # each is an error of TLS, in words
            assert len(re.findall("lost connection with peer while .*: wrong "
                                  "version number", log)) >= len(hops), log
            assert "status=bounced" not in log
    finally:
        for h in hops:
            h.sink.close()


@case("C14")
def after_the_250_no_close_notify_is_needed(w):
    authority = Authority(w.folder)
    good = serving(authority.issue("mx.test"))
    with Sink({"dot": [b"250 2.0.0 taken\r\n", FIN]}, tls=good) as sink, \
            Relay(w.folder / "relay",
                  {"*": route(sink, "verify")},
                  top=f'tls {{ authorities = "{authority.path}" }}') as relay:
        with relay.client() as c:
            for _ in range(5):
                assert c.mail(b"x\r\n").code == 250
        sink.wait(5)
        relay.wait_empty()
        time.sleep(1.5)         # a second attempt would have been made
        assert len(sink.messages) == 5
        assert len(re.findall("status=sent", relay.log())) == 5
        assert "status=deferred" not in relay.log()


@case("C15")
def requiretls_is_refused_and_its_header_passes(w):
    with w.client() as c:
        assert b"REQUIRETLS" not in b"\n".join(c.command("EHLO x").lines)
        reply = c.command(f"MAIL FROM:<s@{w.domain}> REQUIRETLS")
        assert reply.code == 555 and "5.5.4" in reply.text, reply
    content = b"TLS-Required: No\r\nSubject: x\r\n\r\nx\r\n"
    w.accept(content)
    assert w.one().body_as_sent == content
