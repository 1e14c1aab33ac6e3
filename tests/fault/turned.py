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

import argparse
import base64
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from kill import Ledger, judge  # finds tests/peers, too

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
        o = self.o
        self.generator = subprocess.Popen(
            [tool("ledger_generator"), "--port", str(self.provider.port),
             "--ledger", self.ledger.path, "--sessions", str(o.sessions),
             "--size", str(o.size), "--large-every", "300", "--ahead",
             str(o.ahead), "--rate", str(o.rate), "--mixed"],
            stdout=subprocess.PIPE)

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

    def drain(self, seconds):
        """Until all has been fetched, or nothing moves."""
        still, last = time.monotonic() + seconds, -1
        while time.monotonic() < still:
            copies = self.ledger.head()["copies"]
            if copies != last:
                last, still = copies, time.monotonic() + seconds
            try:
                if not self.waiting():
                    return True
            except (RuntimeError, subprocess.TimeoutExpired):
                pass
            time.sleep(0.2)
        return False

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
        r.generator.send_signal(signal.SIGTERM)
        said = json.loads(r.generator.communicate(timeout=30)[0])
        is_empty = r.drain(o.patience)
        time.sleep(1)  # in which a second copy would come
        doubted = r.provider.doubted() if o.side == "customer" else frozenset()
        result = judge(r.ledger, r.kills, doubted)
        fetched = re.findall(r"has fetched (\d+) messages?", r.provider.log())
        result.update(side=o.side, kills=len(r.kills), messages=said["acked"],
                      doubted_by_provider=len(doubted), seed=o.seed,
                      turned=len(fetched), fetched=sum(map(int, fetched)),
                      queue_empty=is_empty)
        return result
    finally:
        r.stop()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--side", choices=("provider", "customer"), default="provider")
    p.add_argument("--kills", type=int, default=100)
    p.add_argument("--seconds-between", default="0.05,0.8")
    p.add_argument("--sessions", type=int, default=20)
    p.add_argument("--size", type=int, default=4096)
    p.add_argument("--ahead", type=int, default=4000)
    p.add_argument("--rate", type=int, default=3000)
    p.add_argument("--slots", type=int, default=0)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--patience", type=float, default=15)
    p.add_argument("--keep", action="store_true")
    p.add_argument("--exe")
    p.add_argument("--expect-loss", action="store_true")
    o = p.parse_args()
    o.slots = o.slots or 500_000 + o.kills * 30_000
    if o.exe:
        os.environ["WAYPOST_EXE"] = o.exe
    folder = pathlib.Path(tempfile.mkdtemp(prefix="waypost-turned-"))
    try:
        result = run(o, folder)
    finally:
        if o.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result), flush=True)
    if o.expect_loss:
        return 0 if result["lost"] > 0 else 1
    is_good = (result["queue_empty"] and result["acknowledged"] > 0 and
               result["turned"] > 0 and
               not any(result[k] for k in ("lost", "duplicates", "bad",
                                           "strangers")))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
