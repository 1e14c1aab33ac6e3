"""Row C10: what a domain's web server (MTA-STS) demands of TLS.

The world of cases_policy.py, with web servers on port 443 besides. As a script: cases_sts.py
ROW FOLDER runs one row inside.
"""

import collections
import contextlib
import http.server
import re
import ssl
import sys
import threading

from cases_policy import NETWORK, PLAIN, ZONE, World, serving
from island_rows import IslandRows
from nsd import HEAD
from pki import Authority
from relay import Sink, wait_for

rows = IslandRows("cases_sts.py", NETWORK, tail=9000)
WEB = ["192.0.2.50", "192.0.2.51"]


class PolicyServer:
    """The web servers of domains: pages {domain: (status, headers, body)}, hits of each."""

    def __init__(self, certificate, pages, host):
        self.pages, self.hits = pages, collections.Counter()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                domain = self.headers["Host"].removeprefix("mta-sts.")
                outer.hits[domain] += 1
                good = self.path == "/.well-known/mta-sts.txt"
                status, headers, body = outer.pages[domain] if good else (
                    200, {"Content-Type": "text/plain"}, policy("none"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that does not like the certificate

        self.server = Server((host, 443), Handler)
        self.server.socket = serving(certificate).wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def policy(mode, *mx, age=86400):
    return "".join(f"{line}\r\n" for line in (
        "version: STSv1", f"mode: {mode}", *(f"mx: {m}" for m in mx),
        f"max_age: {age}")).encode()


PLAIN_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Domain:
    """A domain without DNSSEC with its policy, a server, and what comes of its mail (as in
    Hop)."""

    def __init__(self, name, certificate, comes, body, status=200, headers=None, web=0,
                 more="", record="v=STSv1; id=1;"):
        self.name, self.certificate, self.comes, self.web = name, certificate, comes, web
        self.page = status, headers or PLAIN_TEXT, body
        self.more, self.record = more, record

    @property
    def domain(self):
        return f"{self.name}.{PLAIN}"

    def lines(self, address):
        return (f"{self.name} IN MX 10 mx-{self.name}\nmx-{self.name} IN A {address}\n"
                f'_mta-sts.{self.name} IN TXT "{self.record}"\n'
                f"mta-sts.{self.name} IN A {WEB[self.web]}\n{self.more}")


def mx(name):
    return f"mx-{name}.{PLAIN}"


def plan_policies(folder):
    """Every domain of row C10, and certificates for the two web servers."""
    root = Authority(folder, "root")
    good = root.issue(*(mx(n) for n in ("named", "wild", "many", "second", "later")))
    own, other = root.self_signed(mx("self")), root.issue("elsewhere.example")
    by_policy, any_of = "Verified TLS .*\\(MTA-STS\\)", "TLS [^(]*\\([^(]*\\)$"
    unnamed = policy("enforce", "mx.elsewhere.example")

    def named(name):
        return policy("enforce", mx(name))

    domains = [
        Domain("named", good, by_policy, named("named")),
        Domain("wild", good, by_policy, policy("enforce", f"*.{PLAIN}")),
        Domain("unnamed", good, ("4.7.5", "policy of unnamed.* does not name"), unnamed),
        Domain("self", own, ("4.7.5", "self-signed"), named("self")),
        Domain("other", other, ("4.7.5", "the certificate is for elsewhere"), named("other")),
        Domain("clear", None, ("4.7.4", "TLS is required"), named("clear")),
        Domain("second", good, by_policy, named("many"),
               more=f"second IN MX 20 {mx('many')}.\n"),
        Domain("testing", own, any_of, policy("testing", "mx.elsewhere.example")),
        Domain("testclear", None, None, policy("testing", "mx.elsewhere.example")),
        Domain("off", own, any_of, policy("none")),
        Domain("moved", own, any_of, b"", 302,
               {"Location": f"https://mta-sts.unnamed.{PLAIN}/.well-known/mta-sts.txt"}),
        Domain("large", own, any_of, unnamed + b"x: y\r\n" * 11000),
        Domain("html", own, any_of, unnamed, headers={"Content-Type": "text/html"}),
        Domain("gone", own, any_of, unnamed, 404),
        Domain("broken", own, any_of, b"mode: enforce"),
        Domain("badweb", own, any_of, unnamed, web=1),
        Domain("norecord", own, any_of, unnamed, record="v=STSv2; id=1;"),
        Domain("many", good, by_policy, named("many")),
        Domain("later", good, by_policy, named("later")),
    ]
    webs = [root.issue(*(f"mta-sts.{d.domain}" for d in domains)),
            root.self_signed("mta-sts.badweb." + PLAIN)]
    return root, domains, webs


class PolicyWorld(World):
    def __init__(self, folder, domains, authority, webs):
        super().__init__(folder, [], authority)
        self.domains, self.webs = domains, webs

    def zone(self, zone):
        return "" if zone == ZONE else "".join(
            d.lines(f"192.0.2.{i + 1}") for i, d in enumerate(self.domains))

    def start_web(self):
        pages = {d.domain: d.page for d in self.domains}
        self.servers = [PolicyServer(c, pages, host) for c, host in zip(self.webs, WEB)]

    def stop_web(self):
        for s in self.servers:
            s.stop()
        self.servers = []

    def __enter__(self):
        self.start_web()
        self.stack.callback(self.stop_web)
        for i, d in enumerate(self.domains):
            d.sink = self.stack.enter_context(Sink(
                port=25, host=f"192.0.2.{i + 1}",
                tls=serving(d.certificate) if d.certificate else None))
        return super().__enter__()

    def announce(self, domain, id):
        """Another policy is announced; its text is as it was."""
        domain.record = f"v=STSv1; id={id};"
        self.names.stop()
        path = self.folder / "nsd" / f"{PLAIN}.zone"
        path.write_text(HEAD.format(zone=PLAIN, ttl=300) + self.zone(PLAIN))
        self.names.start()


@rows.row("C10")
def what_a_domains_web_server_demands_of_tls(folder):
    root, domains, webs = plan_policies(folder / "pki")
    with PolicyWorld(folder, domains, root, webs) as w:
        by_name = {d.name: d for d in domains}
        many = by_name["many"]
        w.send(*(d.domain for d in domains), *[many.domain] * 30)
        wait_for(lambda: all(w.fate(d.domain) for d in domains), 60,
                 "an end of each first attempt")
        for d in domains:
            check_domain(w, d)
        said = w.relay.log()
        for name, words in (("testing", "does not name this host; it only tests"),
                            ("testing", "only tests: its certificate is not trusted"),
                            ("testclear", "only tests: there is no TLS")):
            assert re.search(rf"{mx(name)}.*{words}", said), words
        for name, words in (("moved", "it answers 302"), ("large", "64 KB"),
                            ("html", "not text/plain"), ("gone", "it answers 404"),
                            ("broken", "it has no version"), ("badweb", "self.signed")):
            assert re.search(rf"MTA-STS: .*mta-sts.{name}.{PLAIN}: .*{words}", said), words
        assert "norecord" not in w.servers[0].hits
        wait_for(lambda: len(many.sink.messages) >= 31, 30, "all of many's mail")
        # one fetch for all of its mail, on all workers
        assert w.servers[0].hits[many.domain] == 1, w.servers[0].hits
        found = w.probe(many.domain, "mta-sts")
        assert found["detail"]["mode"] == "enforce" and found["detail"]["mx"] == [mx("many")]
        assert "does not name" in w.probe(f"unnamed.{PLAIN}", "dane")["text"]
        assert w.metric('waypost_tls_policy_total{policy="mta-sts"}') > 3
        assert w.metric('waypost_mta_sts_fetches_total{result="failed"}') == 6
        still_enforced(w, by_name["later"])


def still_enforced(w, later):
    """What is kept outlives a restart, and another policy that cannot be had."""
    w.relay.stop()
    w.stop_web()
    w.announce(later, 2)
    w.relay.start()
    w.send(later.domain)
    later.sink.wait(2)
    assert "mta-sts.later.plain.example: " in w.relay.log()
    secured = re.findall(r".* TLS connection established to "
                         rf"{mx('later')}.*", w.relay.log())
    assert len(secured) == 2 and all("(MTA-STS)" in s for s in secured)
    assert w.servers == []


def check_domain(w, d):
    line = w.fate(d.domain)[0]
    if isinstance(d.comes, tuple):
        status, words = d.comes
        assert re.search(f"rests for .*: {status} .*{words}", line), line
        assert d.sink.count("mail") == 0
        return
    assert "status=sent" in line, line
    at = re.escape(re.search(r"relay=(\S+), ", line)[1])
    secured = re.findall(rf"(?m)^.* TLS connection established to {at}: .*", w.relay.log())
    assert bool(secured) == bool(d.comes), (d.name, secured)
    if d.comes:
        assert all(re.search(d.comes, s) for s in secured), (d.name, secured)


if __name__ == "__main__":
    rows.main(*sys.argv[1:])
