#!/usr/bin/python3
"""kill - is everything that was acknowledged still there after kill -9?

    tests/fault/kill.py [--kills 20] [--seconds-between 0.5,2.0] [--sessions 50]
                        [--size 4096] [--ahead 20000] [--seed N] [--keep]
                        [--exe waypost] [--expect-loss]

A generator and a sink, which are never killed, keep a ledger of what the relay
between them acknowledged and delivered (ledger.h). The relay dies at random moments
under full load and is started again on the same queue. At the end it runs until
nothing is left, and the ledger is read:

  lost        acknowledged, and neither delivered nor reported back: must be 0
  duplicates  delivered again although no kill was near the copy before: must be 0
              ("in doubt" are the others: the relay died between the sink's 250 and
              the record of it)
  bad         content that is not what was sent: must be 0
  strangers   mail that nobody sent: must be 0

Prints one JSON line; exit code 0 when all hold. --expect-loss turns that round, for
a build that breaks a promise on purpose (prove.py).
"""

import mmap
import pathlib
import random
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))

from ledger_run import carry_out, drain, options, start_generator, stop_generator  # noqa: E402
from relay import Relay, end, free_port, tool, wait_for, wait_for_port  # noqa: E402

HEAD, SLOT = 4096, struct.Struct("<QQII4QQ")
BAD, DEFERRED, REPORTED, FAILED = 1, 2, 4, 8
# A kill and the copy it put in doubt: the sink's 250 may lie so far before it (a
# settle waits for the commit under way and its own) or after it (bytes that were
# in the sink's buffers).
BEFORE_NS, AFTER_NS = 5_000_000_000, 1_000_000_000


class Ledger:
    """The file that generator and sink write."""

    def __init__(self, path, slots):
        self.path = path
        with open(path, "wb") as f:
            f.truncate(HEAD + slots * SLOT.size)
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)

    def head(self):
        names = ("slots", "next", "acked", "arrived", "copies", "strangers")
        return dict(zip(names, struct.unpack_from("<6Q", self.map)))

    def rows(self):
        """(slot, sent, acked, count, flags, times) of every slot used."""
        most = self.head()["next"]
        data = memoryview(self.map)[HEAD + SLOT.size:HEAD + most * SLOT.size]
        try:
            for i, row in enumerate(SLOT.iter_unpack(data), 1):
                yield i, row[0], row[1], row[2], row[3], row[4:8]
        finally:
            data.release()


def was_killed_after(kills, copy_ns, next_ns):
    """Did the relay die between this copy's 250 and its record, as far as times
    can tell?"""
    return any(k0 - BEFORE_NS <= copy_ns <= k1 + AFTER_NS and k0 <= next_ns
               for k0, k1 in kills)


def judge(ledger, kills, doubted=frozenset()):
    """What the ledger says, in numbers. doubted: slots that a relay which was not killed
    has called in doubt."""
    lost, duplicates, doubtful, bad = [], [], 0, 0
    widest_ns = acked = reported = failed = 0
    for slot, _sent, acked_ns, count, flags, times in ledger.rows():
        acked += acked_ns > 0
        bad += flags & BAD > 0
        reported += flags & REPORTED > 0
        failed += acked_ns > 0 and flags & FAILED > 0
        if acked_ns and not count:
            lost.append(slot)
        for i in range(1, min(count, len(times))):
            if slot not in doubted and \
                    not was_killed_after(kills, times[i - 1], times[i]):
                duplicates.append(slot)
                break
            near = max((k1 for k0, k1 in kills if k0 <= times[i]), default=0)
            if slot not in doubted:
                widest_ns = max(widest_ns, near - times[i - 1])
        doubtful += count > 1
    return {"acknowledged": acked, "lost": len(lost),
            "duplicates": len(duplicates), "in_doubt": doubtful - len(duplicates),
            "bad": bad, "strangers": ledger.head()["strangers"],
            "refused_by_sink": failed, "reported": reported,
            "doubt_ms": round(widest_ns / 1e6),
            "first_lost": lost[:5], "first_duplicates": duplicates[:5]}


class Run:
    def __init__(self, o, folder):
        self.o, self.folder, self.kills = o, folder, []
        self.ledger = Ledger(folder / "ledger", o.slots)
        self.sink_port = free_port()
        self.sink = subprocess.Popen(
            [tool("ledger_sink"), "--port", str(self.sink_port), "--ledger",
             self.ledger.path], stdout=subprocess.PIPE)
        wait_for_port(self.sink_port, self.sink)
        self.relay = Relay(folder / "relay",
                           {"*": f"smtp://127.0.0.1:{self.sink_port}"},
                           retry={"first": '"1s"', "most": '"1s"'})
        self.generator = None

    def life(self, seconds):
        """One life of the relay, cut short under load."""
        before = self.ledger.head()["acked"]
        # the clock runs from the first message on, so that each life has some
        wait_for(lambda: self.ledger.head()["acked"] > before or
                 not self.relay.is_alive, 30, "a message")
        time.sleep(seconds)
        if not self.relay.is_alive:
            raise RuntimeError(f"the relay ended by itself:\n"
                               f"{self.relay.log()[-3000:]}")
        k0 = time.monotonic_ns()
        self.relay.kill()
        self.kills.append((k0, time.monotonic_ns()))
        self.relay.start(wait=False)

    def stop(self):
        for p in (self.generator, self.relay.process, self.sink):
            if p:
                end(p)


def run(o, folder):
    chance = random.Random(o.seed)
    low, high = (float(x) for x in o.seconds_between.split(","))
    r = Run(o, folder)
    try:
        r.relay.start()
        r.generator = start_generator(o, r.ledger, r.relay.port)
        begun = time.monotonic()
        for _ in range(o.kills):
            r.life(chance.uniform(low, high))
        loaded = time.monotonic() - begun
        acked = stop_generator(r.generator)
        is_empty = drain(r.ledger, o.patience, r.relay.queue_list)
        result = judge(r.ledger, r.kills)
        result.update(kills=len(r.kills), messages=acked,
                      rate=round(acked / loaded), seed=o.seed,
                      queue_empty=is_empty)
        return result
    finally:
        r.stop()


def main():
    o = options("kill.py", kills=20, seconds_between="0.3,2.0", sessions=50,
                large_every=500, ahead=10000, rate=0).parse_args()
    o.slots = o.slots or 1_000_000 + o.kills * 60_000
    return carry_out(o, run)


if __name__ == "__main__":
    sys.exit(main())
