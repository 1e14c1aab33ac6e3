#!/usr/bin/python3
"""turned - is everything that was acknowledged still there when one end of a turned
session is killed?

    tests/fault/turned.py [--side provider|customer] [--kills 100] [--seconds-between A,B]
                          [--sessions 20] [--size 4096] [--ahead 4000] [--seed N]
                          [--keep] [--exe waypost] [--expect-loss]

The ledger of kill.py, with mail that is fetched (ATRN) and not brought:

  provider   generator --> relay <--ATRN-- two customers, who are the sink; the relay is
             killed while they fetch
  customer   generator --> relay <--ATRN-- a second relay --> sink; the second one, which
             fetches, is killed, and what it has not acknowledged stays at the first

Reports go to the sink as any mail. At the end all is fetched, and the ledger is read as
kill.py says. A duplicate is explained by a kill right after the copy before it, and where
the customer is killed also by the provider's own log, which names what it left in doubt.
Prints one JSON line; exit code 0 when nothing was lost, bad or doubled without a reason.
"""

import base64
import os
import random
import re
import subprocess
import sys
import time

from kill import Ledger, judge  # finds tests/peers, too

from ledger_run import carry_out, drain, options, start_generator, stop_generator
from relay import Relay, end, free_port, program, tool, wait_for, wait_for_port

# (login, what is his of the generator's domains)
CUSTOMERS = (("one", ("d0.test", "d1.test", "d2.test", "d3.test")),
             ("two", ("d4.test", "d5.test", "d6.test", "d7.test")))
PASSWORD = "pencil"


def secret(login):
    return base64.b64encode(f"\0{login}\0{PASSWORD}".encode()).decode()


def quoted(words):
    return "{" + ", ".join(f'"{w}"' for w in words) + "}"


class Provider(Relay):
    """Keeps the generator's mail until it is fetched; the rest goes to the sink."""

    def __init__(self, folder, sink_port, customers):
        folder.mkdir(parents=True)
        self.odmr, users = free_port(), folder / "users"
        users.touch(0o600)
        routes = "".join(
            f'route "{login}" {{ to = {quoted(domains)}  via = {{"pickup:{login}"}}  '
            f'tls = none  offline {{ login = {{"{login}"}} }} }}\n'
            for login, domains in customers)
        super().__init__(
            folder, {"*": f"smtp://127.0.0.1:{sink_port}"}, extra=routes,
            retry={"first": '"1s"', "most": '"1s"'},
            top=f'users {{ file = "{users}" }}\n'
                f'listener "odmr" {{ address = "127.0.0.1:{self.odmr}"  '
                'auth = optional  auth-without-tls = true  turn = true }\n')
        for login, _ in customers:
            subprocess.run([program(), "user", "add", login, "-c", self.config],
                           input=f"{PASSWORD}\n".encode(), check=True,
                           capture_output=True)

    def doubted(self):
        """Slots that it has left in doubt, by its own word."""
        return {int(n) for n in re.findall(
            r"delivery to [ldf](\d+)@\S+ is in doubt", self.log())}


class Run:
    def __init__(self, o, folder):
        self.o, self.folder, self.kills = o, folder, []
        self.ledger = Ledger(folder / "ledger", o.slots)
        sink_port = free_port()
        self.relays, self.generator = [], None
        words = []
        if o.side == "provider":
            self.provider = Provider(folder / "p", sink_port, CUSTOMERS)
            for login, _ in CUSTOMERS:
                words += ["--login", secret(login)]
            words += ["--odmr", str(self.provider.odmr)]
            self.victim = self.provider
        else:
            both = (("one", [d for _, mine in CUSTOMERS for d in mine]),)
            self.provider = Provider(folder / "p", sink_port, both)
            self.victim = self.customer(sink_port)
        self.sink = subprocess.Popen(
            [tool("ledger_sink"), "--port", str(sink_port), "--ledger",
             self.ledger.path, *words], stdout=subprocess.PIPE)
        wait_for_port(sink_port, self.sink)
        self.relays = list(dict.fromkeys((self.provider, self.victim)))

    def customer(self, sink_port):
        folder = self.folder / "c"
        folder.mkdir()
        (folder / "pw").write_text(PASSWORD + "\n")
        (folder / "pw").chmod(0o600)
        return Relay(
            folder, {"*": f"smtp://127.0.0.1:{sink_port}"},
            rules='rule "ours" { to = {"*.test"}  action = relay }\n',
            retry={"first": '"1s"', "most": '"1s"'}, hostname="branch.test",
            extra=f'fetch "isp" {{ from = "smtp://127.0.0.1:{self.provider.odmr}"  '
                  f'user = one  password-file = "{folder}/pw"  tls = none  '
                  'every = "1s" }\n')

    def start(self):
        for r in self.relays:
            r.start()
        self.generator = start_generator(self.o, self.ledger, self.provider.port)

    def has_fetched(self):
        """A question: has something come over a turned connection since now?"""
        if self.o.side == "provider":
            before = self.ledger.head()["copies"]
            return lambda: self.ledger.head()["copies"] > before
        log = open(self.victim.log_path, "rb")
        log.seek(0, os.SEEK_END)
        return lambda: b"listener=isp" in log.read()

    def life(self, seconds):
        """One life of the victim; the clock runs once mail is fetched from it, or by it."""
        has_fetched = self.has_fetched()
        wait_for(lambda: has_fetched() or not self.victim.is_alive, 30, "a message")
        time.sleep(seconds)
        for r in self.relays:
            if not r.is_alive:
                raise RuntimeError(f"a relay ended by itself:\n{r.log()[-3000:]}")
        k0 = time.monotonic_ns()
        self.victim.kill()
        self.kills.append((k0, time.monotonic_ns()))
        self.victim.start(wait=False)

    def waiting(self):
        return sum(len(r.queue_list()) for r in self.relays)

    def stop(self):
        if self.generator:
            end(self.generator)
        for r in self.relays:
            r.stop()
        end(self.sink)


def run(o, folder):
    chance = random.Random(o.seed)
    low, high = (float(x) for x in o.seconds_between.split(","))
    r = Run(o, folder)
    try:
        r.start()
        for _ in range(o.kills):
            r.life(chance.uniform(low, high))
        acked = stop_generator(r.generator)
        is_empty = drain(r.ledger, o.patience, r.waiting)
        doubted = r.provider.doubted() if o.side == "customer" else frozenset()
        result = judge(r.ledger, r.kills, doubted)
        fetched = re.findall(r"has fetched (\d+) messages?", r.provider.log())
        result.update(side=o.side, kills=len(r.kills), messages=acked,
                      doubted_by_provider=len(doubted), seed=o.seed,
                      turned=len(fetched), fetched=sum(map(int, fetched)),
                      queue_empty=is_empty)
        return result
    finally:
        r.stop()


def main():
    p = options("turned.py", kills=100, seconds_between="0.05,0.8", sessions=20,
                large_every=300, ahead=4000, rate=3000)
    p.add_argument("--side", choices=("provider", "customer"), default="provider")
    o = p.parse_args()
    o.slots = o.slots or 500_000 + o.kills * 30_000
    return carry_out(o, run, "turned")


if __name__ == "__main__":
    sys.exit(main())
