#!/usr/bin/python3
"""dropped - does each message left in the drop folder become one, whoever is killed when?

    tests/fault/dropped.py [--kills 20] [--seconds-between 0.01,0.25] [--at-once 6] [--seed N]
                           [--keep] [--exe waypost] [--expect-loss]

Programs call sendmail without a pause, and find no relay: their messages go to the drop folder,
while the relay that looks after it is killed at random moments and started again. A part of the
sendmails is killed too. Half of the mail is delivered at once, so that only the history knows it,
the other half waits until the last life of the relay. In the end all must have arrived:

  lost       sendmail had said yes, and it did not arrive: must be 0
  halves     content that is not what was sent: must be 0
  doubled    two messages of the relay's made of one: must be 0 (a delivery in doubt may come
             twice, as the same message)
  strangers  mail that nobody sent: must be 0
  left       what lies in the folder at the end as new, begun or refused: must be 0

Prints one JSON line; exit code 0 when all hold. `unsaid`: it arrived though its sendmail was
killed before it could say yes. --expect-loss turns it round: exit code 0 when something was lost,
doubled or cut off.
"""

import argparse
import collections
import hashlib
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))

from ledger_run import in_own_folder  # noqa: E402
from relay import Relay, Sink, program, wait_for  # noqa: E402

NEVER = "smtp://127.0.0.1:1"  # nobody listens there: it waits
SIZES = (0, 40, 4000, 400_000)


def text_of(number, size):
    body = b"".join(b"%07d %s\n" % (number, b"x" * 70) for _ in range(size // 79 + 1))
    return b"Subject: %d\n\n%s%s\n" % (number, body, hashlib.sha256(body).hexdigest().encode())


class Callers:
    """Programs that send, each a thread; the messages they were told yes for."""

    def __init__(self, o, folder, config):
        self.o, self.folder, self.config = o, folder, config
        self.lock, self.over = threading.Lock(), threading.Event()
        self.called, self.said_yes, self.killed, self.failed = 0, set(), set(), []
        self.threads = [threading.Thread(target=self.call, args=(random.Random(o.seed + i),))
                        for i in range(o.at_once)]
        for t in self.threads:
            t.start()

    def call(self, dice):
        while not self.over.is_set():
            with self.lock:
                number = self.called
                self.called += 1
            self.send(number, dice)
            self.over.wait(dice.uniform(0, 0.1))

    def send(self, number, dice):
        domain = ("away.test", "near.test")[number % 2]
        p = subprocess.Popen(
            [self.folder / "sendmail", "-i", "-f", f"m{number}@example.org", f"a@{domain}"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
            env={"PATH": os.environ["PATH"], "WAYPOST_CONFIG": str(self.config)})
        timer = None
        # the first ones are let be, so that some say yes on any machine
        if number >= self.o.at_once and dice.random() < 0.4:
            # the time that it needs, on a busy machine
            timer = threading.Timer(dice.expovariate(1 / 0.015), p.kill)
            timer.start()
        try:
            why = p.communicate(text_of(number, dice.choice(SIZES)))[1]
        except BrokenPipeError:
            why = b""
        p.wait()
        if timer:
            timer.cancel()
        with self.lock:
            if p.returncode == 0:
                self.said_yes.add(number)
            elif p.returncode < 0:
                self.killed.add(number)
            else:
                self.failed.append((number, p.returncode, why.decode(errors="replace")))

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join()


def is_whole(number, content):
    """As text_of made it, whatever header it has got; sizes are the reader's to guess."""
    body = content.replace(b"\r\n", b"\n").split(b"\n\n", 1)[-1]
    lines, said = body[:-65], body[-65:-1].decode(errors="replace")
    return hashlib.sha256(lines).hexdigest() == said and \
        lines.startswith(b"%07d " % number)


def judge(callers, messages, left):
    arrived = collections.defaultdict(set)
    halves = strangers = copies = 0
    for m in messages:
        found = re.fullmatch(r"m(\d+)@example\.org", m.sender)
        number = int(found[1]) if found else -1
        if number not in callers.said_yes | callers.killed:
            strangers += 1
            continue
        mark = re.search(rb"^Received:[^\n]*\n(?:[ \t][^\n]*\n)*?[^\n]*\bid (\w+);", m.content,
                         re.M)
        arrived[number].add(mark[1])
        copies += 1
        halves += not is_whole(number, m.content)
    lost = sorted(callers.said_yes - set(arrived))
    doubled = sorted(n for n, ids in arrived.items() if len(ids) > 1)
    return {"said_yes": len(callers.said_yes), "sendmails_killed": len(callers.killed),
            "arrived": len(arrived), "unsaid": len(set(arrived) & callers.killed),
            "lost": len(lost), "halves": halves, "doubled": len(doubled),
            "strangers": strangers, "left": left, "failed": len(callers.failed),
            "in_doubt": copies - len(arrived), "first_lost": lost[:5],
            "first_doubled": doubled[:5], "first_failed": callers.failed[:3]}


def life(relay, seconds):
    relay.start(wait=False)
    time.sleep(seconds)
    if not relay.is_alive:
        raise RuntimeError(f"the relay ended by itself:\n{relay.log()[-3000:]}")
    relay.kill()


def settled(drop):
    """Nothing is new and nothing begun; what a killed sendmail has not ended stays a day."""
    return not list(drop.glob("new.*")) and not list((drop / "jobs").glob("*"))


def run(o, folder):
    chance = random.Random(o.seed)
    low, high = (float(x) for x in o.seconds_between.split(","))
    shutil.copy(program(), folder / "sendmail")
    drop = folder / "relay" / "drop"
    with Sink() as sink:
        relay = Relay(folder / "relay", {"away.test": NEVER, "*": sink.hop}, rules="",
                      top='origin = "example.org"\n')
        # the relay makes the folder; sendmail, which is told of another socket, finds nobody
        with relay:
            wait_for((drop / "jobs").exists, what="the drop folder")
        config = folder / "caller.conf"
        config.write_text(re.sub(r'(socket = ")[^"]*"', rf'\1{folder}/nobody.sock"',
                                 relay.config.read_text()))
        callers = Callers(o, folder, config)
        try:
            for _ in range(o.kills):
                life(relay, chance.uniform(low, high))
        finally:
            callers.stop()
        relay.routes = {"*": sink.hop}
        relay.write_config()
        with relay:
            wait_for(lambda: settled(drop), o.patience, "an empty folder")
            relay.retry_now()
            relay.wait_empty(o.patience)
        left = [p.name for p in drop.glob("new.*")] + \
            [p.name for p in (*(drop / "jobs").iterdir(), *(drop / "refused").iterdir())]
        result = judge(callers, sink.messages, len(left))
        result.update(kills=o.kills, seed=o.seed, cut_off=len(list(drop.glob("tmp.*"))))
        return result


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--seconds-between", default="0.01,0.25")
    p.add_argument("--at-once", type=int, default=6)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--patience", type=float, default=120)
    p.add_argument("--keep", action="store_true")
    p.add_argument("--exe")
    p.add_argument("--expect-loss", action="store_true")
    o = p.parse_args()
    result = in_own_folder(o, run, "dropped")
    if o.expect_loss:
        return 0 if any(result[k] for k in ("lost", "halves", "doubled")) else 1
    is_good = result["said_yes"] > 0 and not any(
        result[k] for k in ("lost", "halves", "doubled", "strangers", "left", "failed"))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
