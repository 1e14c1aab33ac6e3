"""Waypost as the customer of a provider: ATRN, RFC 2645."""

import base64
import hashlib
import hmac
import json
import random
import re
import secrets
import ssl
import threading
import time

import pytest

from pki import Authority
from relay import FIN, HANG, RST, Client, Relay, Sink, _Over, _SinkSession, \
    content_of, wait_for
from test_atrn import Provider as Waypost

OPENED = b"250 OK now reversing the connection\r\n"
RULES = 'rule "ours" { to = {"ours.test"}  action = relay }\n'


# --------------------------------------------------------------- provider ----

class Peer(Client):
    """The provider's end once the roles have changed: exact bytes out, whole replies in."""

    def __init__(self, s, rest=b""):
        self.socket, self.rest = s, rest
        s.settimeout(15)

    def begin(self, name="isp.test"):
        assert self.reply().code == 220
        return self.command(f"EHLO {name}")


class _ProviderSession(_SinkSession):
    def do_atrn(self, line):
        if self.sink.logins is not None and not self.login:
            self.act(None, b"530 5.7.0 Authentication required\r\n")
            return
        if self.act(self.ask("atrn", line), OPENED) != b"250":
            return
        if self.sink.deliver:
            peer = Peer(self.socket)
            try:
                self.sink.deliver(peer)
                self.sink.delivered += 1
            except BaseException as e:
                self.sink.failed = e
                raise
        raise _Over

    def do_auth(self, line):
        way = line.split(b" ")[1].upper()
        with self.sink.lock:
            self.sink.ways.append(way.decode())
        if way == b"CRAM-MD5":
            return self.cram()
        if way == b"SCRAM-SHA-256":
            return self.scram(line)
        return super().do_auth(line)

    def welcome(self, user, good):
        code = self.act(None, b"235 2.7.0 welcome\r\n" if good
                        else b"535 5.7.8 no\r\n")
        self.login = user if code == b"235" else None

    def cram(self):
        nonce = b"<%s@isp.test>" % secrets.token_hex(8).encode()
        user, _, digest = self.challenge(nonce).rpartition(b" ")
        password = self.sink.logins.get(user.decode(), "").encode()
        self.welcome(user.decode(), digest.decode() ==
                     hmac.new(password, nonce, "md5").hexdigest())

    def scram(self, line):
        first = base64.b64decode(line.split(b" ")[2])
        bare = first.split(b",", 2)[2]
        user, nonce = re.match(rb"n=([^,]*),r=(.*)", bare).groups()
        salt, whole = secrets.token_bytes(16), nonce + secrets.token_hex(8).encode()
        server = b"r=%s,s=%s,i=4096" % (whole, base64.b64encode(salt))
        final = self.challenge(server)
        without, _, proof = final.rpartition(b",p=")
        salted = hashlib.pbkdf2_hmac(
            "sha256", self.sink.logins.get(user.decode(), "").encode(), salt, 4096)

        def mac(key, text):
            return hmac.new(key, text, "sha256").digest()
        text = b",".join((bare, server, without))
        key = mac(salted, b"Client Key")
        wanted = bytes(a ^ b for a, b in zip(
            key, mac(hashlib.sha256(key).digest(), text)))
        if base64.b64decode(proof) != wanted:
            return self.welcome(None, False)
        signature = mac(mac(salted, b"Server Key"), text)
        assert self.challenge(b"v=" + base64.b64encode(signature)) == b""
        self.welcome(user.decode(), True)


class Provider(Sink):
    """Asked by ATRN, it does `deliver(peer)`, and closes."""

    extensions = (*Sink.extensions, "ATRN")

    def __init__(self, deliver=None, logins=(("us", "secret"),), **kw):
        self.deliver, self.delivered, self.failed, self.ways = deliver, 0, None, []
        super().__init__(logins=dict(logins), **kw)

    def session(self, s, number):
        return _ProviderSession(self, s, number)

    @property
    def asked(self):
        return [s[3] for s in self.stages if s[1] == "atrn"]


def messages(*contents, to="joe@ours.test"):
    """A delivery of these, one after the other."""
    def deliver(peer):
        peer.begin()
        for content in contents:
            assert peer.mail(content, to=(to,)).code == 250
        assert peer.command("QUIT").code == 221
    return deliver


class Customer(Relay):
    """Fetches from a provider under the name isp, into a sink."""

    def __init__(self, folder, provider, sink, keys="", rules=RULES, top="", **kw):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pw").write_text("secret\n")
        (folder / "pw").chmod(0o600)
        tls = "" if "tls" in keys or provider.tls else "tls = none"
        super().__init__(folder, {"*": sink.hop}, rules=rules, top=top, extra=(
            f'account "us" {{ user = us  password-file = "{folder}/pw" }}\n'
            f'fetch "isp" {{ from = "{provider.hop}"  login = us  {tls} {keys} }}\n'),
            **kw)

    def fetch(self, name="isp", *words):
        done = self.verb("fetch", name, *words, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def contexts(authority):
    """What a provider shows, and what the customer trusts."""
    leaf = authority.issue("127.0.0.1")
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(leaf.path, leaf.key)
    return serves, f'tls {{ authorities = "{authority.path}" }}\n'


# -------------------------------------------------------------- the good way ----

WAYS = {"plain": {}, "STARTTLS": {"tls": True}, "implicit": {"tls": True,
                                                             "implicit": True}}


@pytest.mark.parametrize("way", WAYS)
def test_mail_comes_in_over_the_turned_connection(tmp_path, contexts, way):
    kw, chance = dict(WAYS[way]), random.Random(7)
    if kw:
        kw["tls"] = contexts[0]
    contents = [b"Subject: one\r\n\r\n.dots\r\n..\r\n", content_of(3000, chance),
                b"Subject: large\r\n\r\n" + content_of(3_000_000, chance)]
    with Sink() as sink, Provider(messages(*contents), **kw) as isp, \
            Customer(tmp_path, isp, sink, top=contexts[1]) as us:
        assert us.fetch() == (0, "isp: 3 messages\n")
        got = sink.wait(3, 30)
        assert sorted(m.body_as_sent for m in got) == sorted(contents)
        assert isp.asked == [b"ATRN"] and not isp.failed
        log = us.log()
        received = got[0].content.split(b"\r\n\r\n")[0]
    assert f'fetch "isp": asking {isp.hop}' in log
    assert 'fetch "isp": 3 messages' in log
    assert log.count("client=unknown[127.0.0.1], listener=isp") == 3
    assert (b"with ESMTPS" if kw else b"with ESMTP") in received
    # the same TLS session went on: there was one handshake
    assert log.count("TLS connection established") == (1 if kw else 0)
    assert "secret" not in log


@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"])
def test_it_logs_in_in_every_way(tmp_path, auth):
    with Sink() as sink, \
            Provider(messages(b"x: y\r\n\r\nz\r\n"), auth=auth) as isp, \
            Customer(tmp_path, isp, sink) as us:
        assert us.fetch() == (0, "isp: 1 message\n")
        assert isp.ways == [auth]


def test_domains_are_named(tmp_path):
    with Sink() as sink, Provider(messages()) as isp, \
            Customer(tmp_path, isp, sink, 'domains = {"a.test", "B.test"}') as us:
        assert us.fetch() == (0, "isp: 0 messages\n")
        assert isp.asked == [b"ATRN a.test,b.test"]


def test_nothing_that_would_lead_back_is_offered_to_the_provider(tmp_path):
    """No login, no STARTTLS, no ETRN, no ATRN; and it may relay only what rules allow."""
    seen = {}

    def deliver(peer):
        seen["ehlo"] = peer.begin().text
        seen["codes"] = peer.codes("STARTTLS", "AUTH PLAIN AHVzAHNlY3JldA==",
                                   "ATRN", "TURN", "ETRN ours.test", "HELP")
        assert peer.command("MAIL FROM:<a@b.test>").code == 250
        seen["refusal"] = peer.command("RCPT TO:<joe@other.test>")
        assert peer.command("RSET").code == 250
        assert peer.mail(b"x: y\r\n\r\nz\r\n", to=("joe@ours.test",)).code == 250
        assert peer.command("MAIL FROM:<a@b.test>").code == 250
        assert peer.command("QUIT").code == 221

    extra = ('rule "login" { login = {"*"}  action = relay }\n')
    offline = ('route "away.test" { via = {"pickup:away"} '
               'offline { client = {"127.0.0.1"} } }\n')
    with Sink() as sink, Provider(deliver) as isp, \
            Customer(tmp_path, isp, sink, rules=RULES + extra + offline) as us:
        assert us.fetch() == (0, "isp: 1 message, 2 refused\n")
        assert seen["refusal"].code == 554
        assert "<joe@other.test>: Relay access denied" in seen["refusal"].text
        for word in ("AUTH", "STARTTLS", "ETRN", "ATRN"):
            assert word not in seen["ehlo"], seen
        assert seen["codes"][:5] == [502] * 5
        wait_for(lambda: len(sink.messages) == 1, 10)
        assert not us.queue_list()


def test_pipelined_mail(tmp_path):
    def deliver(peer):
        peer.begin()
        for _ in range(20):
            peer.send(b"MAIL FROM:<s@x.test>\r\nRCPT TO:<joe@ours.test>\r\nDATA\r\n")
            assert [peer.reply().code for _ in range(3)] == [250, 250, 354]
            peer.send(b"Subject: p\r\n\r\nx\r\n.\r\n")
            assert peer.reply().code == 250
        peer.send(b"MAIL FROM:<s@x.test>\r\nRCPT TO:<joe@ours.test>\r\nRSET\r\nQUIT\r\n")
        assert [peer.reply().code for _ in range(4)] == [250, 250, 250, 221]

    with Sink() as sink, Provider(deliver) as isp, Customer(tmp_path, isp, sink) as us:
        assert us.fetch() == (0, "isp: 20 messages, 1 refused\n")
        sink.wait(20)


# ------------------------------------------------------------------ what is no ----

@pytest.mark.parametrize("said, code, told", [
    (b"453 You have no mail\r\n", 0, "isp: no mail"),
    (b"450 4.7.1 ATRN request refused\r\n", 75, "isp: 450 4.7.1 ATRN request refused"),
    (b"451 4.3.0 not now\r\n", 75, "isp: 451 4.3.0 not now"),
    (b"500 5.5.2 what?\r\n", 75, "isp: 500 5.5.2 what?"),
    (b"502 5.5.1 no\r\n", 75, "isp: 502 5.5.1 no"),
    (b"530 5.7.0 login\r\n", 75, "isp: 530 5.7.0 login"),
    (b"421 4.3.2 bye\r\n", 75, "isp: 421 4.3.2 bye"),
    (b"251 well\r\n", 75, "isp: peer broke the protocol: 251 well"),
    (b"354 go on\r\n", 75, "isp: peer broke the protocol: 354 go on"),
    (b"\0\xff\x16garbage\r\n", 75, "isp: peer broke the protocol"),
    (FIN, 75, "isp: lost connection with peer while sending ATRN"),
    (RST, 75, "isp: lost connection with peer while sending ATRN"),
    ([b"250-OK\r\n", FIN], 75, "isp: lost connection with peer while sending ATRN"),
    ([OPENED, FIN], 75, "isp: 0 messages, then the connection broke off"),
    ([OPENED, RST], 75, "isp: 0 messages, then the connection broke off"),
])
def test_what_a_provider_says_to_ATRN(tmp_path, said, code, told):
    with Sink() as sink, Provider(script={"atrn": said}) as isp, \
            Customer(tmp_path, isp, sink) as us:
        got = us.fetch()
        assert got[0] == code and got[1].startswith(told), got
        assert len(got[1].splitlines()) == 1
        listed = json.loads(us.verb("fetch", "--json").stdout)
        assert listed["state"] == "idle" and listed["ok"] is (code == 0)
        assert listed["result"] == got[1].strip()[5:]


@pytest.mark.parametrize("extensions, told", [
    (Sink.extensions, "peer does not offer ATRN"),
    (("PIPELINING", "XATRN", "ATRNX"), "peer does not offer ATRN"),
])
def test_a_server_that_is_no_provider(tmp_path, extensions, told):
    with Sink() as sink, Provider(extensions=extensions) as isp, \
            Customer(tmp_path, isp, sink) as us:
        code, said = us.fetch()
        assert code == 75 and told in said
        assert not isp.asked


def test_nobody_there_and_a_wrong_password(tmp_path):
    with Sink() as sink, Provider(logins={"us": "other"}.items()) as isp, \
            Customer(tmp_path, isp, sink) as us:
        code, said = us.fetch()
        assert code == 75 and "535 5.7.8 no" in said and not isp.asked
        isp.refuse()
        code, said = us.fetch()
        assert code == 75 and "connect to 127.0.0.1" in said
        (tmp_path / "pw").unlink()
        code, said = us.fetch()
        assert code == 75 and "cannot log in" in said
    assert us.verb("fetch", "isp", check=False).returncode == 69


@pytest.mark.parametrize("stage", ["connect", "banner", "ehlo", "auth"])
@pytest.mark.parametrize("how", [FIN, RST])
def test_a_provider_that_vanishes_before_ATRN(tmp_path, stage, how):
    with Sink() as sink, Provider(script={stage: how}) as isp, \
            Customer(tmp_path, isp, sink) as us:
        code, said = us.fetch()
        assert code == 75 and said.startswith("isp: "), said
        assert us.is_alive


def test_nothing_secret_is_said_where_TLS_is_not_to_be_had(tmp_path, contexts):
    with Sink() as sink, Provider() as isp, \
            Customer(tmp_path, isp, sink, "tls = verify", top=contexts[1]) as us:
        code, said = us.fetch()
        assert code == 75 and "TLS is required" in said
        assert not isp.ways and not isp.asked


def test_a_certificate_that_is_another_hosts(tmp_path, authority, contexts):
    other = authority.issue("other.test")
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(other.path, other.key)
    with Sink() as sink, Provider(messages(), tls=serves) as isp:
        with Customer(tmp_path / "a", isp, sink, top=contexts[1]) as us:
            code, said = us.fetch()
            assert code == 75 and "certificate of peer is not trusted" in said
            assert not isp.ways
        with Customer(tmp_path / "b", isp, sink, 'tls = verify tls-name = "other.test"',
                      top=contexts[1]) as us:
            assert us.fetch() == (0, "isp: 0 messages\n")


# ------------------------------------------------ the provider as our client ----

def at(step, how):
    """Delivers one message whole, then vanishes at a step of the second."""
    def vanish(peer):
        if how == RST:
            peer.reset()
        else:
            peer.close()
        raise _Over

    def deliver(peer):
        if step == "before the greeting":
            vanish(peer)
        peer.begin()
        assert peer.mail(b"x: 1\r\n\r\n1\r\n", to=("joe@ours.test",)).code == 250
        if step == "ehlo":
            vanish(peer)
        assert peer.command("MAIL FROM:<s@x.test>").code == 250
        if step == "mail":
            vanish(peer)
        assert peer.command("RCPT TO:<joe@ours.test>").code == 250
        if step == "rcpt":
            vanish(peer)
        assert peer.command("DATA").code == 354
        if step == "data":
            vanish(peer)
        peer.send(b"x: 2\r\n\r\n2\r\n")
        if step == "body":
            vanish(peer)
        peer.send(b".\r\n")
        assert peer.reply().code == 250
        vanish(peer)
    return deliver


@pytest.mark.parametrize("how", [FIN, RST])
@pytest.mark.parametrize("step, whole, refused", [
    ("before the greeting", 0, 0), ("ehlo", 1, 0), ("mail", 1, 1), ("rcpt", 1, 1),
    ("data", 1, 1), ("body", 1, 1), ("dot", 2, 0)])
def test_a_provider_that_vanishes_while_it_delivers(tmp_path, step, whole, refused, how):
    with Sink() as sink, Provider(at(step, how)) as isp, \
            Customer(tmp_path, isp, sink) as us:
        words = f"{whole} message{'' if whole == 1 else 's'}"
        words += f", {refused} refused" if refused else ""
        assert us.fetch() == (75, f"isp: {words}, then the connection broke off\n")
        assert len(sink.wait(whole)) == whole
        us.wait_empty()
        assert len(sink.messages) == whole


def test_a_provider_that_talks_before_it_is_greeted(tmp_path):
    """Bytes behind the 250 are the new client's: nothing of them is lost."""
    def deliver(peer):
        assert peer.reply().code == 220
        assert peer.reply().code == 250
        assert peer.mail(b"x: y\r\n\r\nz\r\n", to=("joe@ours.test",)).code == 250
        assert peer.command("QUIT").code == 221
    with Sink() as sink, \
            Provider(deliver, script={"atrn": [
                OPENED + b"EHLO isp.test\r\n",
                lambda s: setattr(s, "said", OPENED)]}) as isp, \
            Customer(tmp_path, isp, sink) as us:
        assert us.fetch() == (0, "isp: 1 message\n")


def test_a_silent_provider_is_not_waited_for_forever(tmp_path):
    def deliver(peer):
        peer.begin()
        assert peer.reply().code == 421
    with Sink() as sink, Provider(deliver) as isp, \
            Customer(tmp_path, isp, sink, limits={"silence": '"1s"'}) as us:
        code, said = us.fetch()
        assert code == 75 and said == "isp: 0 messages, then the connection broke off\n"


def test_going_down_while_it_is_fetched(tmp_path):
    with Sink() as sink, Provider(script={"atrn": HANG}) as isp, \
            Customer(tmp_path, isp, sink, 'every = "1s"', drain="60s") as us:
        wait_for(lambda: isp.asked, 10)
        assert us.stop() == 0

    def deliver(peer):
        peer.begin()
        peer.reply(30)
    with Sink() as sink, Provider(deliver) as isp, \
            Customer(tmp_path / "2", isp, sink, 'every = "1s"') as us:
        us.wait_log("connect from .*127.0.0.1")
        assert us.stop() == 0


# ---------------------------------------------------------------- schedule ----

def test_every_so_often(tmp_path):
    with Sink() as sink, Provider(messages(b"x: y\r\n\r\nz\r\n")) as isp, \
            Customer(tmp_path, isp, sink, 'every = "1s"') as us:
        wait_for(lambda: isp.delivered >= 3, 10)
        times = [s[0] for s in isp.stages if s[1] == "atrn"]
        assert all(0.5 < b - a < 20 for a, b in zip(times, times[1:])), times
        listed = json.loads(us.verb("fetch", "--json").stdout)
        assert listed["name"] == "isp" and listed["from"] == isp.hop
        assert listed["every"] == 1 and listed["next"] >= listed["last"] - 1
        assert listed["ok"] is True and listed["messages"] == 1
        table = us.verb("fetch").stdout.decode()
        assert re.search(r"^isp +smtp://\S+ +(idle|running) .* 1 message$", table, re.M)


def test_one_that_failed_is_asked_again_and_a_reload_is_heeded(tmp_path):
    with Sink() as sink, Provider(script={"atrn": b"450 4.7.1 no\r\n"}) as isp, \
            Customer(tmp_path, isp, sink, 'every = "1s"') as us:
        wait_for(lambda: len(isp.asked) >= 2, 10)
        assert 'warning: fetch "isp": 450 4.7.1 no' in us.log()
        text = us.config.read_text()
        us.config.write_text(text.replace('every = "1s"', ""))
        us.reload()
        us.wait_log("configuration reloaded")
        time.sleep(1.5)  # one that was under way
        before = len(isp.asked)
        time.sleep(1.5)
        assert len(isp.asked) == before
        assert us.fetch()[0] == 75 and len(isp.asked) == before + 1
        us.config.write_text(re.sub(r'fetch "isp".*', "", text))
        us.reload()
        wait_for(lambda: us.log().count("configuration reloaded") == 2, 10)
        assert us.fetch() == (64, 'waypost: there is no fetch "isp"\n')
        assert us.verb("fetch").stdout == b"Mail is fetched from nobody.\n"


def test_two_who_ask_at_once_wait_for_one_fetch(tmp_path):
    def slow(peer):
        time.sleep(1)
        messages(b"x: y\r\n\r\nz\r\n")(peer)
    with Sink() as sink, Provider(slow) as isp, Customer(tmp_path, isp, sink) as us:
        got = []
        threads = [threading.Thread(target=lambda: got.append(us.fetch()))
                   for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert got == [(0, "isp: 1 message\n")] * 4
        assert len(isp.asked) == 1


def test_what_the_verb_is_told(tmp_path):
    with Sink() as sink, Provider(messages()) as isp, \
            Customer(tmp_path, isp, sink) as us:
        assert us.fetch("other") == (64, 'waypost: there is no fetch "other"\n')
        assert us.fetch("o/t?h er")[0] == 64
        assert us.fetch("isp", "two")[0] == 64
        assert us.fetch("--what")[0] == 64
        answer = json.loads(us.fetch("isp", "--json")[1])
        assert answer["result"] == "0 messages" and answer["ok"] is True


def test_the_limits_of_inbound_mail_hold(tmp_path):
    def deliver(peer):
        peer.begin()
        assert peer.command("MAIL FROM:<s@x.test> SIZE=5000000").code == 552
        assert peer.mail(b"x: y\r\n\r\n" + b"z" * 900 + b"\r\n" * 3000,
                         to=("joe@ours.test",)).code == 552
        assert peer.command("QUIT").code == 221
    with Sink() as sink, Provider(deliver) as isp, \
            Customer(tmp_path, isp, sink, limits={"message": '"4KB"'}) as us:
        assert us.fetch() == (0, "isp: 0 messages, 2 refused\n")


def test_a_client_certificate_is_shown_to_the_provider(tmp_path, authority, contexts):
    ours, leaf = authority.issue("us.test"), authority.issue("127.0.0.1")
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH,
                                        cafile=authority.path)
    serves.load_cert_chain(leaf.path, leaf.key)
    serves.verify_mode = ssl.CERT_REQUIRED
    seen = []

    def deliver(peer):
        seen.append(peer.socket.getpeercert()["subjectAltName"])
        messages()(peer)
    with Sink() as sink, Provider(deliver, tls=serves, implicit=True) as isp, \
            Customer(tmp_path, isp, sink, f'certificate = "{ours.path}"  '
                     f'certificate-key = "{ours.key}"', top=contexts[1]) as us:
        assert us.fetch() == (0, "isp: 0 messages\n")
        assert seen == [(("DNS", "us.test"),)]


# --------------------------------------------- against a provider of our own ----

class Branch(Relay):
    """A relay that fetches from a Waypost, by each of its doors."""

    def __init__(self, folder, isp, sink, authority, name="branch", keys="",
                 password="pencil", **kw):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pw").write_text(password + "\n")
        (folder / "pw").chmod(0o600)
        doors = {"plain": f'"smtp://127.0.0.1:{isp.odmr}"  tls = none',
                 "STARTTLS": f'"smtp://127.0.0.1:{isp.odmr}"  tls-name = "relay.test"',
                 "implicit": f'"smtps://127.0.0.1:{isp.odmrs}"  tls-name = "relay.test"'}
        rules = ('rule "ours" { to = {"branch.test", "two.branch.test", "three.test", '
                 '"shop.test"}  action = relay }\n')
        super().__init__(
            folder, {"*": sink.hop}, rules=rules, **kw, hostname="branch.test",
            top=f'tls {{ authorities = "{authority.path}" }}\n',
            extra=f'account "us" {{ user = {name}  password-file = "{folder}/pw" }}\n' +
            "".join(f'fetch "{door}" {{ from = {way}  login = us  {keys} }}\n'
                    for door, way in doors.items()))

    def fetch(self, name):
        done = self.verb("fetch", name, check=False)
        return done.returncode, (done.stdout + done.stderr).decode()


def test_a_waypost_fetches_from_a_waypost_by_every_door(tmp_path, authority):
    chance = random.Random(5)
    contents = [content_of(n, chance) for n in (10, 3000, 300_000, 2_000_000)]
    with Waypost(tmp_path / "isp", authority) as isp, Sink() as sink, \
            Branch(tmp_path / "us", isp, sink, authority) as us:
        for door in ("plain", "STARTTLS", "implicit"):
            assert us.fetch(door) == (0, f"{door}: no mail\n")
            before = len(sink.messages)
            for content in contents:
                isp.put("joe@branch.test", content=content)
            isp.put("shop@shop.test")
            wait_for(lambda: len(isp.waiting()) >= 5, 10)
            assert us.fetch(door) == (0, f"{door}: 4 messages\n")
            got = [m.body_as_sent for m in sink.wait(before + 4, 30)[before:]]
            # ours, below the provider's own line
            assert sorted(b.split(b"\r\n\t", 2)[-1].split(b"\r\n", 1)[1]
                          for b in got) == sorted(contents)
            assert "joe@branch.test" not in isp.waiting()
        tls = re.findall(r"TLS connection established to 127.0.0.1\S*:(\d+)", us.log())
        assert tls == [str(isp.odmr)] * 2 + [str(isp.odmrs)] * 2
        assert "TLS connection established from" not in us.log()
        us.wait_empty()


def test_a_thousand_messages_over_one_connection(tmp_path, authority):
    with Waypost(tmp_path / "isp", authority) as isp, Sink() as sink, \
            Branch(tmp_path / "us", isp, sink, authority) as us:
        with Client(isp.port) as c:
            for i in range(1000):
                assert c.mail(b"Subject: %d\r\n\r\nx\r\n" % i,
                              to=("joe@branch.test",)).code == 250
        assert us.fetch("implicit") == (0, "implicit: 1000 messages\n")
        sink.wait(1000, 30)
        us.wait_empty()
        subjects = {re.search(rb"Subject: (\d+)", m.content)[1]
                    for m in sink.messages}
        assert len(subjects) == 1000 == len(sink.messages)
        assert not isp.waiting()


def test_domains_and_what_a_waypost_refuses(tmp_path, authority):
    with Waypost(tmp_path / "isp", authority) as isp, Sink() as sink:
        isp.put("a@branch.test", "b@two.branch.test", "c@three.test", "d@shop.test")
        with Branch(tmp_path / "a", isp, sink, authority,
                    keys='domains = {"three.test"}') as us:
            assert us.fetch("implicit") == (0, "implicit: 1 message\n")
            assert isp.waiting() == ["a@branch.test", "b@two.branch.test", "d@shop.test"]
        with Branch(tmp_path / "b", isp, sink, authority,
                    keys='domains = {"branch.test", "shop.test"}') as us:
            code, said = us.fetch("STARTTLS")
            assert code == 75 and said.startswith("STARTTLS: 450"), said
            assert len(isp.waiting()) == 3
        with Branch(tmp_path / "c", isp, sink, authority, password="wrong") as us:
            code, said = us.fetch("plain")
            assert code == 75 and "535" in said
        with Branch(tmp_path / "d", isp, sink, authority) as us:
            assert us.fetch("plain") == (0, "plain: 2 messages\n")
        assert isp.waiting() == ["d@shop.test"]


def test_what_our_rules_refuse_is_reported_by_the_provider(tmp_path, authority):
    """Our 554 is a failure for good on the provider's side, not a loop."""
    with Waypost(tmp_path / "isp", authority) as isp, Sink() as sink, \
            Branch(tmp_path / "us", isp, sink, authority) as us:
        us.rules = 'rule "ours" { to = {"two.branch.test"}  action = relay }\n'
        us.write_config()
        us.reload()
        us.wait_log("configuration reloaded")
        isp.put("a@branch.test", "b@two.branch.test")
        assert us.fetch("implicit") == (0, "implicit: 1 message, 1 refused\n")
        wait_for(lambda: not [w for w in isp.waiting() if "branch" in w], 10)
        assert re.search(r"to=<a@branch.test>.*status=bounced \(554 5.7.1 ", isp.log())


# ------------------------------------------------------- providers that do harm ----

def test_a_provider_that_never_ends_is_left(tmp_path):
    """It may say NOOP as often as any client may, and no more."""
    said = []

    def deliver(peer):
        peer.begin()
        while True:
            said.append(peer.command("NOOP").code)
            if said[-1] != 250:
                break
    with Sink() as sink, Provider(deliver) as isp, Customer(tmp_path, isp, sink) as us:
        code, words = us.fetch()
        assert code == 75 and said[-1] == 421, said[-3:]
        assert words == "isp: 0 messages, then the connection broke off\n"
        assert len(said) < 1000


@pytest.mark.parametrize("step", ["idle", "between", "in DATA", "storing"])
def test_going_down_in_the_middle_of_what_a_provider_sends(tmp_path, step):
    """What was answered 250 is there after the restart; what was not is not."""
    told, at_it = [], threading.Event()

    def content(peer):
        if peer.command("MAIL FROM:<s@x.test>").code != 250 or \
                peer.command("RCPT TO:<joe@ours.test>").code != 250 or \
                peer.command("DATA").code != 354:
            raise _Over
        while step == "in DATA" and len(told) == 3:
            peer.send(b"x" * 70 + b"\r\n")
            at_it.set()
            time.sleep(0.01)
        peer.send(b"x: %d\r\n\r\ny\r\n.\r\n" % len(told))
        if peer.reply().code != 250:
            raise _Over
        told.append(len(told))

    def deliver(peer):
        peer.begin()
        while True:
            if step == "idle":
                at_it.set()
                peer.reply(30)
                raise _Over
            content(peer)
            if len(told) == 3 and step != "in DATA":
                at_it.set()
            if step == "between":
                time.sleep(0.05)
    with Sink() as sink, Provider(deliver) as isp:
        sink.refuse()
        with Customer(tmp_path, isp, sink, 'every = "1h"') as us:
            assert at_it.wait(10)
            assert us.stop() == 0
            isp.deliver = None
            known = list(told)
            us.config.write_text(us.config.read_text().replace('every = "1h"', ""))
            sink.listen()
            us.start()
            sink.wait(len(known))
            us.wait_empty()
        got = sorted(int(re.search(rb"x: (\d+)", m.content)[1]) for m in sink.messages)
        assert got == known or got == [*known, len(known)]


def test_mail_that_comes_round_and_round_ends_as_a_loop(tmp_path, authority):
    """Fetched from one who routes it back to us: the Received lines are counted."""
    with Waypost(tmp_path / "isp", authority) as isp, Sink() as sink:
        with Branch(tmp_path / "us", isp, sink, authority, keys='every = "1s"',
                    limits={"hops": 8}) as us:
            us.routes = {"branch.test": f"smtp://127.0.0.1:{isp.port}", "*": sink.hop}
            us.write_config()
            us.reload()
            us.wait_log("configuration reloaded")
            isp.put("joe@branch.test", sender="who@back.test")
            isp.wait_log(r"to=<joe@branch.test>.*status=bounced \(554 5.4.6", 40)
            wait_for(lambda: "joe@branch.test" not in isp.waiting(), 10)
            us.wait_empty()
            assert us.log().count("to=<joe@branch.test>") <= 8
            assert isp.waiting() == ["who@back.test"]  # one report
