"""Rows N: where mail goes by DNS, in a network of its own (island.py) with nsd.

As a script: cases_dns.py ROW FOLDER runs one row inside the network.
"""

import contextlib
import os
import re
import sys
import time

from cases import case, report_of
from island_rows import IslandRows
from nsd import NameServer
from relay import LONG, Relay, Sink, wait_for

NETWORK = [f"192.0.2.{i}" for i in range(1, 13)] + [
    "192.0.2.99", "10.0.0.1", "169.254.169.254", "2001:db8::1"]
HOSTS = "".join(f"h{i} IN A 192.0.2.{i}\n" for i in range(1, 13))
# The resolver holds more locks at once than the sanitizer can count.
ENV = {"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") +
       ":detect_deadlocks=0"}
rows = IslandRows("cases_dns.py", NETWORK)


class Net:
    """nsd, a relay that routes by MX, and a home for reports."""

    def __init__(self, folder, records, zones=None, ttl=300, extra="", **kw):
        self.folder, self.stack = folder, contextlib.ExitStack()
        self.records, self.zones, self.ttl = records, zones or {}, ttl
        self.extra, self.kw = extra, kw

    def __enter__(self):
        self.names = self.stack.enter_context(NameServer(
            self.folder / "nsd", {"mail.example": HOSTS + self.records,
                                  **self.zones}, ttl=self.ttl))
        self.home = self.stack.enter_context(Sink())
        self.kw.setdefault("hostname", "relay.mail.example")
        self.relay = self.stack.enter_context(Relay(
            self.folder / "relay", {"home.test": self.home.hop}, env=ENV, extra=(
                self.names.resolver + self.extra +
                '\nroute "*" { via = {"mx"} '
                ' messages-per-connection = 1 }\n'), **self.kw))
        return self

    def __exit__(self, *e):
        return self.stack.__exit__(*e)

    def sink(self, number, script=None, **kw):
        return self.stack.enter_context(
            Sink(script, port=25, host=f"192.0.2.{number}", **kw))

    def send(self, *domains, local="r"):
        with self.relay.client() as c:
            for d in domains:
                reply = c.mail(b"Subject: x\r\n\r\nx\r\n", to=[f"{local}@{d}"],
                               sender=f"{d}@home.test")
                assert reply.code == 250, reply

    def report(self, domain, status, seconds=15):
        """Waits for the report about a domain's message."""
        def found():
            return [m for m in self.home.messages
                    if m.recipients == [f"{domain}@home.test"]]
        wait_for(found, seconds, f"a report about {domain}")
        return report_of(found()[0], status)

    def deferred(self, domain, status, seconds=30):
        """It waits, and the log says why: of the recipient, or of the host."""
        self.relay.wait_log(
            rf"to=<r@{re.escape(domain)}>.*dsn={status}, status=deferred"
            rf"|mx:{re.escape(domain)}( \S+=\S+)* rests for \d+ s: {status} ", seconds)
        waiting = [r["address"] for m in self.relay.queue_list()
                   for r in m["recipients"]]
        assert f"r@{domain}" in waiting


@rows.row("N01")
def a_null_mx_takes_no_mail(folder):
    with Net(folder, "null IN MX 0 .\nnull IN A 192.0.2.1\n") as n:
        s = n.sink(1)
        n.send("null.mail.example")
        n.report("null.mail.example", r"5\.1\.10")
        n.relay.wait_empty()
        assert s.connections == 0


@rows.row("N02")
def without_an_mx_there_are_still_answers(folder):
    with Net(folder, "plain IN A 192.0.2.1\ntext IN TXT x\n",
             {"broken.example": None}) as n:
        s = n.sink(1)
        n.send("plain.mail.example", "text.mail.example", "no.mail.example",
               "broken.example")
        s.wait(1)
        n.report("text.mail.example", r"5\.4\.4")
        n.report("no.mail.example", r"5\.1\.2")
        n.deferred("broken.example", r"4\.4\.3")


UNSAFE = ["127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1",
          "255.255.255.255", "::1", "::", "fe80::1", "::ffff:127.0.0.1"]


@rows.row("N03")
def an_mx_cannot_lead_inwards(folder):
    records = "own IN MX 10 self\nself IN A 192.0.2.99\n"
    for i, a in enumerate(UNSAFE):
        kind = "AAAA" if ":" in a else "A"
        records += f"u{i} IN MX 10 t{i}\nt{i} IN {kind} {a}\n"
    with Net(folder, records, address="192.0.2.99", rules=(
            'rule "here" { client = {"192.0.2.0/24"}  action = relay }\n')) as n:
        traps = [n.stack.enter_context(Sink(port=25, host=h)) for h in (
            "127.0.0.1", "::1", "169.254.169.254", "192.0.2.99")]
        domains = [f"u{i}.mail.example" for i in range(len(UNSAFE))]
        n.send("own.mail.example", *domains)
        n.report("own.mail.example", r"5\.4\.6")
        for d in domains:
            n.relay.wait_log(rf"to=<r@{d}>.*status=|mx:{d}( \S+=\S+)* rests")
        assert [t.connections for t in traps] == [0] * len(traps)


@rows.row("N04")
def hosts_no_better_than_ourselves_are_not_tried(folder):
    with Net(folder, "own IN MX 5 h1\nown IN MX 10 relay\nown IN MX 10 h3\n"
             "own IN MX 20 h2\nrelay IN A 192.0.2.9\n") as n:
        others = [n.sink(i) for i in (2, 3, 9)]
        n.send("own.mail.example")
        n.deferred("own.mail.example", r"4\.4\.1")
        best = n.sink(1)
        best.wait(1, 30)
        assert [s.connections for s in others] == [0, 0, 0]


@rows.row("N05")
def aliases_are_followed_as_far_as_they_go(folder):
    records = "alias IN CNAME h1\nto IN MX 10 alias\n" \
              "l1 IN CNAME l2\nl2 IN CNAME l1\nloop IN MX 10 l1\n" \
              "far IN MX 10 c0\n"
    records += "".join(f"c{i} IN CNAME c{i + 1}\n" for i in range(20))
    with Net(folder, records + "c20 IN A 192.0.2.1\n") as n:
        s = n.sink(1)
        n.send("to.mail.example", "loop.mail.example", "far.mail.example")
        wait_for(lambda: any("r@to.mail.example" in m.recipients
                             for m in s.messages))
        for d in ("loop", "far"):
            n.relay.wait_log(rf"to=<r@{d}.mail.example>.*status="
                             rf"|mx:{d}.mail.example( \S+=\S+)* rests", 30)


@rows.row("N06")
def attempts_are_capped(folder):
    records = ""
    for i in range(100):
        records += f"many IN MX {i} m{i}\n"
        records += "".join(f"m{i} IN A 10.{i}.0.{k}\n"
                           f"m{i} IN AAAA 2001:db8:{i:x}::{k:x}\n"
                           for k in range(1, 21))
    with Net(folder, records) as n:
        n.send("many.mail.example")
        n.deferred("many.mail.example", r"4\.4\.[1-4]", 60)
        # it rests once five attempts have failed, of five addresses at most
        first = n.relay.log().split(" rests for ")[0]
        tried = re.findall(r"connect to \S+\[", first)
        assert 1 <= len(tried) <= 25, first


@rows.row("N07")
def equal_hosts_take_turns(folder):
    records = "".join(f"even IN MX 10 h{i}\n" for i in range(1, 11))
    records += "order IN MX 65535 h12\norder IN MX 0 h11\n"
    with Net(folder, records) as n:
        sinks = [n.sink(i) for i in range(1, 13)]
        for i in range(150):
            n.send("even.mail.example", local=f"r{i}")
        for i in range(20):
            n.send("order.mail.example", local=f"r{i}")
        n.relay.wait_empty()
        got = [len(s.messages) for s in sinks]
        assert sum(got[:10]) == 150 and min(got[:10]) > 0, got
        assert max(got[:10]) < 75, got
        assert got[10:] == [20, 0], got


@rows.row("N10")
def a_name_of_digits_is_a_name(folder):
    with Net(folder, "dotted IN MX 5 10.0.0.1.\ndotted IN MX 10 h1\n") as n:
        trap = n.stack.enter_context(Sink(port=25, host="10.0.0.1"))
        s = n.sink(1)
        n.send("dotted.mail.example")
        s.wait(1)
        assert trap.connections == 0


@rows.row("N11")
def a_resolver_that_is_away_is_only_a_delay(folder):
    with Net(folder, "*.later IN MX 10 h1\n") as n:
        s = n.sink(1)
        n.send("a.later.mail.example")
        s.wait(1)
        n.names.pause()
        for i in range(50):
            n.send(f"d{i}.later.mail.example")
        time.sleep(3)
        assert len(s.messages) == 1 and len(n.relay.queue_list()) == 50
        n.names.go_on()
        s.wait(51, 60)
        n.relay.wait_empty()
        assert not n.home.messages


@rows.row("N12")
def one_family_that_is_dead_does_not_matter(folder):
    with Net(folder, "both IN MX 10 b\nb IN AAAA 2001:db8::1\n"
             "b IN AAAA 2001:db8::dead\nb IN A 192.0.2.1\n") as n:
        s = n.sink(1)
        n.send("both.mail.example")
        s.wait(1)
        n.relay.wait_empty()
        assert "status=deferred" not in n.relay.log()


@rows.row("N14")
def the_next_host_is_for_trouble_not_for_refusals(folder):
    records = "".join(f"d{i} IN MX 10 h{i}\nd{i} IN MX 20 h{i + 3}\n"
                      for i in (1, 2, 3))
    with Net(folder, records) as n:
        second = [n.sink(4), n.sink(5), n.sink(6)]
        n.sink(2, {"rcpt": b"450 4.2.0 later\r\n"})
        n.sink(3, {"rcpt": b"550 5.1.1 nobody\r\n"})
        n.send("d1.mail.example", "d2.mail.example", "d3.mail.example")
        second[0].wait(1)
        second[1].wait(1, 20)
        n.report("d3.mail.example", r"5\.1\.1")
        n.relay.wait_empty()
        assert [len(s.messages) for s in second] == [1, 1, 0]


@rows.row("N15")
def many_names_with_no_time_to_live(folder):
    many = 20000 if LONG else 1000
    with Net(folder, "*.many IN MX 10 h1\n", ttl=0) as n:
        s = n.sink(1)
        with n.relay.client() as c:
            for i in range(many):
                assert c.mail(b"x\r\n", to=[f"r@d{i}.many.mail.example"]
                              ).code == 250
        s.wait(many, 60)
        n.relay.wait_empty()
        assert n.relay.uses_less_than(200 * 1024)


if __name__ == "__main__":
    rows.main(*sys.argv[1:])


# ------------------------------------------------------------ reverse names ----

NAMED = ('rule "ours" { client-name = {"*.trusted.example"}  client = {"192.0.2.0/24"}'
         '  action = relay }\n')


@case("F22")
def a_reverse_name_that_nobody_confirms_opens_nothing(w):
    zones = {"2.0.192.in-addr.arpa": "1 IN PTR good.trusted.example.\n"
                                     "2 IN PTR liar.trusted.example.\n",
             "trusted.example": "good IN A 192.0.2.1\nliar IN A 192.0.2.99\n"}
    with NameServer(w.folder / "nsd", zones) as dns, \
            Relay(w.folder / "relay", {"*": "smtp://127.0.0.1:9"}, NAMED,
                  listener='xclient = {"127.0.0.0/8"}', extra=dns.resolver) as relay:
        for address, code in (("192.0.2.1", 250), ("192.0.2.2", 554)):
            with relay.client() as c:
                replies = c.codes("EHLO filter.test", f"XCLIENT ADDR={address}",
                                  "EHLO liar.trusted.example",
                                  "MAIL FROM:<s@trusted.example>",
                                  "RCPT TO:<v@ext.test>")
                assert replies == [250, 220, 250, 250, code], (address, replies)
