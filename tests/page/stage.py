#!/usr/bin/python3
"""Stages a relay with the mess of a busy night, to look at its page and its terminal views.

    WAYPOST_EXE=.../waypost /usr/bin/python3 tests/page/stage.py [FOLDER] [options]

    --seconds N   how long the hour before may take (default 150; 0: no hour, a fresh mess)
    --empty       a relay that has never seen mail
    --domains N   so many more domains wait, long, wide and hostile names among them
    --shots DIR   screenshots of each view into DIR (shots.mjs), then it ends

Needs root (the sinks stand on port 25 of 127.0.5.0/24), nsd and a C compiler. Says what it is
as one line of JSON when it is ready (address of the page, tokens, folder), and carries on,
with some mail each second, until it is ended.

Nothing on the page is made up. The relay runs with a clock that is an hour behind and goes
faster until it is right (hasten.c), and lives through that hour: the mail of the cast below
comes in over SMTP and goes out to sinks that greylist, are slow, break down, come for their
mail. The pictures in relay/page/screenshots were made so:

    ... stage.py --shots relay/page/screenshots && pngquant --ext .png --force --strip 128 \
        relay/page/screenshots/*.png
"""

import argparse
import json
import math
import os
import pathlib
import random
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))

from nsd import NameServer
from pki import Authority
from relay import ROOT, Client, Relay, Sink, free_port, program, wait_for

HERE = pathlib.Path(__file__).resolve().parent
HOUR = 3660  # and a minute, so that the first points are behind the left edge

# name: address, TLS
HOSTS = {
    "mail.example.org": ("127.0.5.1", True),
    "mx.bigmail.example": ("127.0.5.2", True),
    "smtp.partner.example.net": ("127.0.5.3", True),
    "mx.university.example": ("127.0.5.4", True),
    "shop.example.org": ("127.0.5.5", True),
    "mx1.hosting.example": ("127.0.5.6", True),
    "inbound-cluster-07.eu-central.customers.a-really-long-provider-name.example":
        ("127.0.5.7", False),
}
ROUTES = {
    "example.org": "smtp://mail.example.org:25",
    "bigmail.example": "smtp://mx.bigmail.example:25",
    "partner.example.net": "smtp://smtp.partner.example.net:25",
    "university.example": "smtp://mx.university.example:25",
    "shop.example.org": "smtp://shop.example.org:25",
    "hosting.example": "smtp://mx1.hosting.example:25",
    "provider.example":
        "smtp://inbound-cluster-07.eu-central.customers.a-really-long-provider-name.example:25",
}
RULES = """
rule "bad neighbours" {{ client = {{"127.0.66.0/24"}}  action = reject
                        reply = "554 5.7.1 %{{client}} is on a list of bad hosts" }}
rule "not from our bank" {{ from = {{"bank.example"}}  action = reject
                           reply = "550 5.7.1 this sender writes from elsewhere" }}
rule "knock twice" {{ client = {{"127.0.67.0/24"}}  action = greylist }}
rule "look at invoices" {{ from = {{'/^invoice[0-9]+@/'}}  action = hold }}
rule "no such people" {{ to = {{"/^former/"}}  action = reject
                        reply = "550 5.1.1 nobody here by that name" }}
rule "our machines" {{ client = {{"127.0.0.0/8"}}
                      not-client = {{"127.0.68.0/24"}}  action = relay }}
"""
EXTRA = """
route "branch.example" {{ via = {{"pickup:branch"}}  expire = "30d"
    offline {{ client = {{"127.0.70.1"}}  deliver-to = "{branch}" }} }}
route "ship.example" {{ via = {{"pickup:ship"}}  expire = "30d"
    offline {{ client = {{"127.0.70.2"}}  deliver-to = "{branch}"  window = "22:00-06:00" }} }}
route "*" {{ via = {{"smtp://127.0.5.250:25"}}  tls = none }}
tls {{ certificate = "{certificate}"  key = "{key}"  authorities = "{authority}" }}
"""

# weight, sender, recipient, the client's address; {n} is a number
CAST = [
    (40, "news-{n}@shop.example", "ada{n}@example.org", "127.0.0.1"),
    (22, "orders@shop.example", "customer{n}@bigmail.example", "127.0.0.1"),
    (10, "office@example.org", "team{n}@partner.example.net", "127.0.0.1"),
    (8, "registrar@example.org", "student{n}@university.example", "127.0.0.1"),
    (7, "orders@shop.example", "till{n}@shop.example.org", "127.0.0.1"),
    (7, "monitor@example.org", "web{n}@hosting.example", "127.0.0.1"),
    (3, "office@example.org", "kontor{n}@branch.example", "127.0.0.1"),
    (2, "office@example.org", "bridge{n}@ship.example", "127.0.0.1"),
    (2, "newsletter@example.org", "gone{n}@hosting.example", "127.0.0.1"),
    (2, "lists@example.org", "list{n}@provider.example", "127.0.0.1"),
    (0.4, "invoice{n}@example.org", "ada{n}@example.org", "127.0.0.1"),
    (8, "winner{n}@cheap.example", "ada{n}@example.org", "127.0.66.9"),
    (3, "security@bank.example", "ada{n}@example.org", "127.0.0.1"),
    (2, "hello{n}@start.example", "ada{n}@example.org", "127.0.67.{n}"),
    (3, "friend{n}@home.example", "former{n}@example.org", "127.0.0.1"),
    (2, "relay-test@scan.example", "victim{n}@elsewhere.example", "127.0.68.1"),
]
SUBJECTS = ["Your order has left the house", "Minutes of Tuesday", "Disk 83 % full on db2",
            "Timetable, second draft", "Grüße aus Lübeck", "Rechnung 2026-1107",
            "Re: the boiler again", "納品のお知らせ"]


# ---------------------------------------------------------------- the sinks ----

class Greylister:
    """Each recipient knocks three times."""

    def __init__(self):
        self.seen = {}

    def __call__(self, number, stage, argument):
        if stage != "rcpt":
            return None
        self.seen[argument] = self.seen.get(argument, 0) + 1
        return (b"451 4.7.1 Greylisted, please try again in 300 seconds\r\n"
                if self.seen[argument] < 4 else None)


class Hoster:
    """Has unknown recipients, and now and then enough of everybody."""

    def __init__(self):
        self.count = 0

    def __call__(self, number, stage, argument):
        if stage != "rcpt":
            return None
        self.count += 1
        if b"gone" in argument:
            return b"550 5.1.1 no mailbox here by that name\r\n"
        if self.count % 5 == 0:
            return b"452 4.2.2 the mailbox is full, ask its owner to clean up\r\n"
        return None


def slowly(seconds):
    return lambda number, stage, argument: (
        [seconds(), b"250 2.0.0 in the end\r\n"] if stage == "dot" else None)


# ---------------------------------------------------------------- the stage ----

class Stage:
    def __init__(self, folder, seconds=150, empty=False, domains=0):
        self.folder, self.empty, self.domains = pathlib.Path(folder), empty, domains
        self.rate = 1 + HOUR / seconds if seconds and not empty else 1
        self.behind = HOUR if self.rate > 1 else 0
        self.begun, self.over = time.monotonic(), threading.Event()
        self.chance, self.sinks, self.threads = random.Random(25), {}, []
        self.authority = self.old_authority()
        self.http = free_port()
        records, zones = {}, ["example", "example.org", "example.net"]
        for host, (address, _) in HOSTS.items():
            zone = max((z for z in zones if host.endswith("." + z)), key=len)
            records.setdefault(zone, []).append(
                f"{host}. IN A {address}\n")
        self.dns = NameServer(self.folder / "dns", {z: "".join(records[z]) for z in zones})
        self.relay = self.make_relay()

    # --- time ---

    def passed(self):
        """Seconds since the beginning, by the relay's clock."""
        real = time.monotonic() - self.begun
        fast = self.behind / (self.rate - 1) if self.rate > 1 else 0
        return real * self.rate if real < fast else fast * self.rate + real - fast

    def is_late(self):
        return time.monotonic() - self.begun < (
            self.behind / (self.rate - 1) if self.rate > 1 else 0)

    def hasten(self, behind, rate):
        """The environment of a program that is so much behind."""
        made = self.folder / "hasten.so"
        if not made.exists():
            subprocess.run(["cc", "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-shared", "-fPIC",
                            "-o", made, HERE / "hasten.c"], check=True)
        return {"LD_PRELOAD": str(made),
                "HASTEN": f"{int(time.monotonic() * 1000)} {behind} {rate}"}

    def old_authority(self):
        """One that was there before the hour began."""
        self.folder.mkdir(parents=True, exist_ok=True)
        os.environ.update(self.hasten(86400, 1))
        try:
            return Authority(self.folder / "pki")
        finally:
            del os.environ["LD_PRELOAD"], os.environ["HASTEN"]

    # --- the set ---

    def make_relay(self):
        pair = self.authority.issue("relay.example.org", "smtp.example.org", ends=12.5)
        self.rate = round(self.rate)  # the clock goes by whole numbers
        return Relay(
            self.folder / "relay",
            {} if self.empty else
            {domain: {"via": hop,
                      "tls": "optional" if "provider" in domain else "verify"} for domain, hop in ROUTES.items()},
            hostname="relay.example.org", rules=RULES.format(),
            admin={"http": f'"127.0.0.1:{self.http}"'},
            retry={"first": '"60s"', "most": '"10min"'}, queue={"reserve": '"256MB"'},
            extra=("" if self.empty else EXTRA.format(
                branch="smtp://127.0.5.8:25", certificate=pair.path, key=pair.key,
                authority=self.authority.path)) + self.dns.resolver.replace(
                '{"example"}', '{"example", "example.org", "example.net"}'))

    def open_sinks(self):
        scripts = {"mx.bigmail.example": Greylister(), "mx1.hosting.example": Hoster(),
                   "mx.university.example": slowly(lambda: 0.4 if self.is_late() else 2.5)}
        for host, (address, has_tls) in HOSTS.items():
            context = None
            if has_tls:
                pair = self.authority.issue(host)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(pair.path, pair.key)
            self.sinks[host] = Sink(scripts.get(host), port=25, host=address, name=host,
                                    tls=context)
        self.sinks["branch"] = Sink(port=25, host="127.0.5.8", name="branch.example")

    # --- the players ---

    def say(self, sender, to, client="127.0.0.1", subject=None):
        subject = subject or self.chance.choice(SUBJECTS)
        body = "".join(f"line {n} of what was to be said\r\n"
                       for n in range(self.chance.randint(3, 120)))
        content = (f"From: <{sender}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n"
                   f"Message-ID: <{self.chance.getrandbits(48):x}@client.example>\r\n\r\n"
                   f"{body}").encode()
        try:
            with Client(self.relay.port, source=client, helo="client.example") as c:
                if c.command(f"MAIL FROM:<{sender}>").code != 250:
                    return
                if c.command(f"RCPT TO:<{to}>" if isinstance(to, str) else to).code == 250:
                    c.command("DATA")
                    c.send(content + b".\r\n")
                    c.reply()
                c.command("QUIT")
        except (OSError, AssertionError, EOFError):
            pass  # the relay goes down, or has enough

    def play(self, share):
        """So much of the mail there is: waves, a peak and a pause."""
        weights = [c[0] for c in CAST]
        while not self.over.is_set():
            at = self.passed()
            wave = 1.6 + math.sin(at / 500) + 0.4 * math.sin(at / 67)
            wave = wave * (2.6 if 1500 < at < 1800 else 0.25 if 2700 < at < 2880 else 1)
            if self.chance.random() < 0.35:
                wave *= 0.5
            n = self.chance.randrange(1, 240)
            _, sender, to, client = self.chance.choices(CAST, weights)[0]
            self.say(sender.format(n=n), to.format(n=n), client.format(n=n))
            pause = share / max(0.2, wave)
            self.over.wait(pause / self.rate if self.is_late() else pause)

    def direct(self):
        """What happens at which minute."""
        events = [(12, self.partner_goes), (14, self.shop_moves), (16, self.branch_comes),
                  (31, self.branch_comes)]
        for minute, event in events:
            while self.passed() < (minute * 60 if self.behind else 0):
                if self.over.wait(0.02):
                    return
            event()

    def partner_goes(self):
        sink = self.sinks["smtp.partner.example.net"]
        sink.refuse()
        sink.drop()

    def shop_moves(self):
        self.relay.verb("dest", "suspend", "smtp://shop.example.org:25 tls=verify",
                        "--for", "8h", "--reason", "moving to the new rack, Ada")

    def branch_comes(self):
        with Client(self.relay.port, source="127.0.70.1") as c:
            c.command("ETRN branch.example")

    def crowd(self):
        """Domains that nobody answers for: many, long, wide, hostile."""
        odd = ["xn--bcher-kva.example", "bücher.example", "メール.例え.example",
               "דואר.example", "한국.example", "a" * 63 + "." + "b" * 63 + ".example"]
        for n in range(self.domains):
            domain = odd[n] if n < len(odd) else f"d{n:03}.many-customers.example"
            for first in range(0, 1 + 300 // (n + 1), 25):
                with Client(self.relay.port, helo="client.example") as c:
                    for k in range(first, min(first + 25, 1 + 300 // (n + 1))):
                        c.command("MAIL FROM:<crowd@example.org> SMTPUTF8")
                        if c.command(f"RCPT TO:<r{k}@{domain}>").code != 250:
                            break
                        c.command("DATA")
                        c.send(b"Subject: \x1b[2J \xe2\x80\xae evil\r\n\r\nx\r\n.\r\n")
                        c.reply()

    # --- the evening ---

    def __enter__(self):
        try:
            return self.begin()
        except BaseException:
            self.__exit__()
            raise

    def begin(self):
        self.tokens = {}
        if not self.empty:
            self.open_sinks()
        for role in ("operator", "read"):
            self.tokens[role] = self.relay.verb("token", "add", role, "--role",
                                                role).stdout.decode().strip()
        if self.behind:
            self.relay.env = self.hasten(self.behind, self.rate)
        self.begun = time.monotonic()
        self.relay.start()
        if not self.empty:
            for share in (2.0, 2.0, 2.0):
                self.threads.append(threading.Thread(target=self.play, args=(share,)))
            self.threads.append(threading.Thread(target=self.direct))
            for t in self.threads:
                t.start()
            wait_for(lambda: not self.is_late(), 1200, "the hour")
            if self.domains:
                self.crowd()
            if not self.behind:
                time.sleep(5)
        return self

    def __exit__(self, *_):
        self.over.set()
        for t in self.threads:
            t.join(30)
        self.relay.stop()
        for sink in self.sinks.values():
            sink.close()
        self.dns.stop()

    @property
    def about(self):
        return {"base": f"http://127.0.0.1:{self.http}", "tokens": self.tokens,
                "config": str(self.relay.config), "smtp": self.relay.port,
                "pid": self.relay.process.pid, "folder": str(self.folder)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder", nargs="?")
    p.add_argument("--seconds", type=int, default=150)
    p.add_argument("--domains", type=int, default=0)
    p.add_argument("--empty", action="store_true")
    p.add_argument("--shots")
    o = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Stage(o.folder or tempfile.mkdtemp(prefix="waypost-stage-"), o.seconds, o.empty,
               o.domains) as stage:
        print(json.dumps(stage.about), flush=True)
        if o.shots:
            from test_page import npm_packages
            subprocess.run(["node", HERE / "shots.mjs", o.shots], check=True, env={
                **os.environ, "WAYPOST_NPM": str(npm_packages()),
                "WAYPOST_PAGE": json.dumps(stage.about)})
            return
        while stage.relay.is_alive:
            time.sleep(1)


if __name__ == "__main__":
    main()
