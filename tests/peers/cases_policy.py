"""Row C08: what the DNS (DANE) demands of TLS.

In a network of its own (island.py) with a signed zone in nsd, a key of its own as trust
anchor, and servers on port 25. As a script: cases_policy.py ROW FOLDER runs one row inside.
"""

import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys

from cases_dns import ENV
from island_rows import IslandRows
from nsd import HEAD, NameServer
from pki import Authority, digest
from relay import Relay, Sink, wait_for

NETWORK = [f"192.0.2.{i}" for i in range(1, 60)]
ZONE, PLAIN = "signed.example", "plain.example"
rows = IslandRows("cases_policy.py", NETWORK, tail=9000)


def sign(folder, text):
    """The signed zone's text, and its key as a trust anchor."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ZONE).write_text(HEAD.format(zone=ZONE, ttl=300) + text)
    made = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", ZONE],
                          cwd=folder, check=True, capture_output=True, text=True)
    key = made.stdout.strip()
    subprocess.run(["ldns-signzone", "-e", "20380101", "-f", "signed", ZONE, key],
                   cwd=folder, check=True, capture_output=True)
    return (folder / "signed").read_text(), (folder / f"{key}.key").read_text()


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    return context


def tlsa(certificate, usage=3, selector=1):
    return f"{usage} {selector} 1 {digest(certificate.path, selector)}"


WRONG = "3 1 1 " + "ab" * 32


class Hop:
    """A server behind one name, the TLSA records of that name, and what comes of mail with
    dane and with dane-only: a pattern of the log's TLS line for what is delivered, None for
    delivery in clear text, or ("4.7.5", words) for what waits."""

    def __init__(self, name, certificate, records, dane, only, zone=ZONE, more=None,
                 host=None, host_zone=ZONE, forged=False, mx=True):
        self.name, self.certificate, self.records = name, certificate, records
        self.comes = {"dane": dane, "only": only}
        self.zone, self.host_zone = zone, host_zone
        self.host, self.more = host or f"mx-{name}", more or ""
        self.forged, self.mx = forged, mx

    def domain(self, kind):
        return f"{self.name}-{kind}.{self.zone}"

    def lines(self, zone, address):
        """Of one of the two zones."""
        text = ""
        if zone == self.zone and self.mx:
            for kind in self.comes:
                text += f"{self.name}-{kind} IN MX 10 {self.host}.{self.host_zone}.\n"
        if zone == self.host_zone:
            text += f"{self.host} IN A {address}\n"
            text += "".join(f"_25._tcp.{self.host} IN TLSA {r}\n" for r in self.records)
            text += self.more.replace("ADDRESS", address)
        return text


def plan(folder):
    """Every server of row C08."""
    root = Authority(folder, "root")
    sub = Authority(folder, "sub", by=root)
    good = root.self_signed("elsewhere.example")
    stale = root.issue("stale.elsewhere.example", begins=-30, ends=-2)

    def mx(name):
        return f"mx-{name}.{ZONE}"

    def by_sub(name):
        return sub.issue(name)

    ta, spki = by_sub(mx("ta")), by_sub(mx("spki"))
    whose, other = by_sub(f"whose-dane.{ZONE}"), by_sub("elsewhere.example")
    trusted = "Verified TLS .*\\(DANE\\)"
    any_of = "Untrusted TLS [^(]*\\([^(]*\\)$"
    mismatch = ("4.7.5", "no matching DANE TLSA records")
    return root, [
        Hop("match", good, [tlsa(good)], trusted, trusted),
        Hop("whole", good, [WRONG, tlsa(good, 3, 0)], trusted, trusted),
        Hop("mismatch", good, [WRONG], mismatch, mismatch),
        Hop("stale", stale, [tlsa(stale)], trusted, trusted),
        Hop("ta", ta, [tlsa(sub, 2, 0)], trusted, trusted),
        Hop("spki", spki, [tlsa(sub, 2, 1)], trusted, trusted),
        # the certificate is for the recipient's domain of one of the two
        Hop("whose", whose, [tlsa(sub, 2, 1)], trusted,
            ("4.7.5", "the certificate is for whose-dane")),
        Hop("other", other, [tlsa(sub, 2, 1)],
            ("4.7.5", "the certificate is for elsewhere"),
            ("4.7.5", "the certificate is for elsewhere")),
        # an authority that is trusted, a usage that mail does not know, a digest of no length
        Hop("useless", good, ["0 0 1 " + "ab" * 32, "1 1 1 " + digest(good.path, 1),
                              "3 1 1 abcd", "3 1 9 " + "ab" * 32, "3 0 0 30820101"],
            any_of, ("4.7.5", "0 of 5 TLSA records .* are usable")),
        Hop("servfail", good, [], ("4.7.5", "TLSA look-up failed"),
            ("4.7.5", "TLSA look-up failed"),
            more="_25._tcp.mx-servfail IN CNAME x.broken.example.\n"),
        Hop("bogus", good, [tlsa(good)], ("4.7.5", "TLSA look-up failed"),
            ("4.7.5", "TLSA look-up failed"), forged=True),
        Hop("insecure", good, [WRONG], any_of,
            ("4.7.5", "dane-only, but the domain's MX records are not signed"),
            zone=PLAIN, host_zone=PLAIN),
        Hop("half", good, [WRONG], any_of,
            ("4.7.5", "dane-only, but the host's addresses are not signed"),
            host_zone=PLAIN),
        Hop("clear", None, [tlsa(good)], ("4.7.4", "TLS is required"),
            ("4.7.4", "TLS is required")),
        Hop("uselessclear", None, ["0 0 1 " + "ab" * 32], ("4.7.4", "TLS is required"),
            ("4.7.5", "TLSA records")),
        Hop("none", good, [], any_of, ("4.7.5", "dane-only, but the host has no TLSA")),
        Hop("noneclear", None, [], None, ("4.7.5", "the host has no TLSA")),
        # without MX records the domain is its own host
        Hop("alone", good, [], trusted, trusted, mx=False, more="".join(
            f"alone-{k} IN A ADDRESS\n_25._tcp.alone-{k} IN TLSA {tlsa(good)}\n"
            for k in ("dane", "only"))),
        # an exchanger that is an alias: records of its target, or its own
        Hop("alias", good, [WRONG], trusted, trusted,
            more=f"mx-target IN A ADDRESS\n_25._tcp.mx-target IN TLSA {tlsa(good)}\n"),
        Hop("away", good, [tlsa(good)], trusted, trusted),
        Hop("second", good, [WRONG], trusted, trusted, more="".join(
            f"second-{k} IN MX 20 mx-match\n" for k in ("dane", "only"))),
    ]


class World:
    """nsd, servers, and a relay whose resolver knows the zone's key."""

    def __init__(self, folder, hops, authority):
        self.folder, self.hops, self.stack = folder, hops, contextlib.ExitStack()
        self.authority = authority

    def zone(self, zone):
        text = "".join(h.lines(zone, f"192.0.2.{i + 1}")
                       for i, h in enumerate(self.hops))
        for h in self.hops:
            address = f"192.0.2.{self.hops.index(h) + 1}"
            if h.name == "alias" and zone == ZONE:
                text = text.replace(f"mx-alias IN A {address}\n",
                                    "mx-alias IN CNAME mx-target\n")
            if h.name == "away" and zone == ZONE:
                text = text.replace(f"mx-away IN A {address}\n",
                                    f"mx-away IN CNAME away.{PLAIN}.\n")
            if h.name == "away" and zone == PLAIN:
                text += f"away IN A {address}\n"
        return text

    def start_names(self):
        signed, key = sign(self.folder / "keys", self.zone(ZONE))
        zones = {PLAIN: self.zone(PLAIN), ZONE: None, "broken.example": None}
        for h in self.hops:
            if h.forged:
                signed, n = re.subn(rf"(?m)^(_25\._tcp\.{h.host}\.\S+\s+\d+\s+IN\s+TLSA\s+"
                                    r"3 1 1 )\w\w", r"\g<1>00", signed)
                assert n == 1
        names = self.folder / "nsd"
        names.mkdir(parents=True)
        (names / f"{ZONE}.zone").write_text(signed)
        anchor = self.folder / "anchor.key"
        anchor.write_text(key)
        self.names = self.stack.enter_context(NameServer(names, zones))
        return (f'resolver {{ mode = forward  server = "127.0.0.1@{self.names.port}"\n'
                f'  trust-anchor = "{anchor}" }}\n')

    def __enter__(self):
        resolver = self.start_names()
        for i, h in enumerate(self.hops):
            h.sink = self.stack.enter_context(Sink(
                port=25, host=f"192.0.2.{i + 1}",
                tls=serving(h.certificate) if h.certificate else None))
        only = ", ".join(f'"{h.domain("only")}"' for h in self.hops)
        only = (f'route "only" {{ to = {{{only}}}  via = {{"mx"}}  tls = dane-only }}\n'
                if only else "")
        self.relay = self.stack.enter_context(Relay(
            self.folder / "relay", env=ENV, hostname="relay.plain.example",
            top=f'tls {{ authorities = "{self.authority.path}" }}', extra=(
                f'{resolver}{only}route "*" {{ via = {{"mx"}} }}\n')))
        return self

    def __exit__(self, *e):
        return self.stack.__exit__(*e)

    def send(self, *domains):
        with self.relay.client() as c:
            for d in domains:
                assert c.mail(b"Subject: x\r\n\r\nx\r\n", to=[f"r@{d}"],
                              sender="s@plain.example").code == 250

    def fate(self, domain):
        """What came of its first attempt: the line of the log, or None."""
        said = self.relay.log()
        return (re.search(rf"to=<r@{re.escape(domain)}>.*status=sent.*", said)
                or re.search(rf"mx:{re.escape(domain)}( \S+=\S+)* rests for \d+ s: .*",
                             said))

    def probe(self, domain, name):
        """The stage of this name of a walk there, the first; or None."""
        out = self.relay.verb("dest", "probe", domain, "--json", check=False).stdout
        stages = [json.loads(line) for line in out.splitlines() if line]
        return next((s for s in stages if s["stage"] == name), None)

    def metric(self, name):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.folder / "relay" / "admin.sock"))
            s.sendall(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        return float(re.search(rf"(?m)^{re.escape(name)} (\S+)", text)[1])

    def check(self, hop, kind):
        domain, comes = hop.domain(kind), hop.comes[kind]
        line = self.fate(domain)[0]
        if isinstance(comes, tuple):
            status, words = comes
            assert re.search(f"rests for .*: {status} .*{words}", line), line
            assert not any(f"r@{domain}" in m.recipients for m in hop.sink.messages)
            return
        assert "status=sent" in line, line
        at = re.search(r"relay=(\S+), ", line)[1]
        secured = re.findall(rf"(?m)^.* TLS connection established to {re.escape(at)}: .*",
                             self.relay.log())
        assert bool(secured) == bool(comes), (domain, secured)
        if comes:
            assert any(re.search(comes, s) for s in secured), (domain, secured)
            assert not any("Verified" in s for s in secured) or "Verified" in comes


@rows.row("C08")
def what_the_dns_demands_of_tls(folder):
    root, hops = plan(folder / "pki")
    with World(folder, hops, root) as w:
        domains = [(h, k) for h in hops for k in ("dane", "only")]
        w.send(*(h.domain(k) for h, k in domains))
        wait_for(lambda: all(w.fate(h.domain(k)) for h, k in domains), 40,
                 "an end of each first attempt")
        for h, k in domains:
            w.check(h, k)
        # nothing of a message was said where TLS failed, and nothing is given up
        assert "status=bounced" not in w.relay.log()
        assert "NOT VALIDATED" not in w.relay.log()
        for h in hops:
            if all(isinstance(c, tuple) for c in h.comes.values()):
                assert h.sink.count("mail") == 0, h.name
        what_is_told(w)


def what_is_told(w):
    """To who asks why."""
    good = w.probe(f"match-dane.{ZONE}", "dane")
    assert good["state"] == "ok" and good["detail"]["dnssec"] is True
    assert [t[:6] for t in good["detail"]["tlsa"]] == ["3 1 1 "]
    bad = w.probe(f"servfail-dane.{ZONE}", "dane")
    assert bad["state"] == "bad" and "TLSA look-up failed" in bad["text"]
    end = w.probe(f"mismatch-dane.{ZONE}", "end")
    assert end["state"] == "bad" and "TLSA records in the DNS name another" in end["text"]
    assert w.metric("waypost_dnssec_validates") == 1
    assert w.metric('waypost_tls_policy_total{policy="dane"}') > 10
    assert w.metric('waypost_tls_policy_total{policy="dane-unusable"}') > 0
    assert w.metric('waypost_tls_policy_refused_total{policy="dane"}') > 10
    assert w.metric("waypost_dns_seconds_count") > 100
    assert "DNSSEC: validated by" in w.relay.verb("check").stdout.decode()


if __name__ == "__main__":
    rows.main(*sys.argv[1:])
