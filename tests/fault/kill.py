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

import argparse
import json
import mmap
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "peers"))

from relay import Relay, end, free_port, tool, wait_for, wait_for_port  # noqa: E402

HEAD, SLOT = 4096, struct.Struct("<QQII4QQ")
BAD, DEFERRED, REPORTED, FAILED = 1, 2, 4, 8
# A kill and the copy it put in doubt: the sink's 250 may lie so far before it (a
# settle waits for the commit under way and its own) or after it (bytes that were
# in the sink's buffers).
BEFORE_NS, AFTER_NS = 2_000_000_000, 1_000_000_000


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

    def start_generator(self):
        o = self.o
        self.generator = subprocess.Popen(
            [tool("ledger_generator"), "--port", str(self.relay.port),
             "--ledger", self.ledger.path, "--sessions", str(o.sessions),
             "--size", str(o.size), "--large-every", str(o.large_every),
             "--ahead", str(o.ahead), "--rate", str(o.rate), "--mixed"],
            stdout=subprocess.PIPE)

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

    def drain(self, seconds):
        """Until all that was acknowledged has arrived, or nothing moves."""
        still = time.monotonic() + seconds
        last = -1
        while time.monotonic() < still:
            h = self.ledger.head()
            if h["copies"] != last:
                last, still = h["copies"], time.monotonic() + seconds
            try:
                if not self.relay.queue_list():
                    return True
            except (RuntimeError, subprocess.TimeoutExpired):
                pass
            time.sleep(0.2)
        return False

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
        r.start_generator()
        begun = time.monotonic()
        for _ in range(o.kills):
            r.life(chance.uniform(low, high))
        loaded = time.monotonic() - begun
        r.generator.send_signal(signal.SIGTERM)
        said = json.loads(r.generator.communicate(timeout=30)[0])
        is_empty = r.drain(o.patience)
        # one more second, in which a second copy would come
        time.sleep(1)
        result = judge(r.ledger, r.kills)
        result.update(kills=len(r.kills), messages=said["acked"],
                      rate=round(said["acked"] / loaded), seed=o.seed,
                      queue_empty=is_empty)
        return result
    finally:
        r.stop()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--seconds-between", default="0.3,2.0")
    p.add_argument("--sessions", type=int, default=50)
    p.add_argument("--size", type=int, default=4096)
    p.add_argument("--large-every", type=int, default=500)
    p.add_argument("--ahead", type=int, default=10000)
    p.add_argument("--rate", type=int, default=0)
    p.add_argument("--slots", type=int, default=0)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--patience", type=float, default=15)
    p.add_argument("--keep", action="store_true")
    p.add_argument("--exe")
    p.add_argument("--expect-loss", action="store_true")
    o = p.parse_args()
    o.slots = o.slots or 1_000_000 + o.kills * 60_000
    if o.exe:
        os.environ["WAYPOST_EXE"] = o.exe
    folder = pathlib.Path(tempfile.mkdtemp(prefix="waypost-kill-"))
    try:
        result = run(o, folder)
    finally:
        if o.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result), flush=True)
    is_good = (result["queue_empty"] and result["acknowledged"] > 0 and
               not any(result[k] for k in ("lost", "duplicates", "bad",
                                           "strangers")))
    if o.expect_loss:
        return 0 if result["lost"] > 0 else 1
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
