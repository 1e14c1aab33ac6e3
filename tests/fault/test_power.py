"""The power goes, a sync fails, the disk is full (Q1, Q2, Q5, Q7).

The relay runs on shim.c's disk, which notes every write and sync; power.py works out
what would be left after a power cut at any moment. On that a relay is started and
must deliver all that had been acknowledged before the cut.
"""

import os
import random
import shutil
import threading
import time

import power
from relay import LONG, Closed, Relay, Sink, tool, wait_for

LINE = b"x" * 76 + b"\r\n"


def attempt(client, to, content):
    """The last reply: to the dot, or that with which it was refused before."""
    for command in (f"MAIL FROM:<s@from.test> SIZE={len(content)}",
                    f"RCPT TO:<{to}>", "DATA"):
        reply = client.command(command)
        if reply.code // 100 > 3:
            client.command("RSET")
            return reply
    client.send(content + b".\r\n")
    return client.reply()


class Load:
    """Threads that send messages and remember when each was acknowledged."""

    def __init__(self, relay, threads=6, large_every=25, pause=0.0):
        self.relay, self.acked, self.refused = relay, {}, []
        self.large_every, self.pause = large_every, pause
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,))
                        for n in range(threads)]
        for t in self.threads:
            t.start()

    def run(self, number):
        i = 0
        while not self.stop.is_set():
            try:
                with self.relay.client() as c:
                    while not self.stop.is_set():
                        i += 1
                        self.one(c, f"m{number}.{i}.{id(self)}@load.test", i)
            except (Closed, OSError, AssertionError):
                time.sleep(0.02)

    def one(self, client, name, i):
        lines = 4000 if i % self.large_every == 0 else 20
        reply = attempt(client, name,
                        f"Subject: {name}\r\n\r\n".encode() + LINE * lines)
        now = time.monotonic_ns()
        with self.lock:
            if reply.code == 250:
                self.acked[name] = now
            else:
                self.refused.append(reply)
        time.sleep(self.pause)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()


class Faulty:
    """A relay on the disk that can fail, and a next hop that can be away."""

    def __init__(self, folder, **kw):
        self.folder, self.queue = folder, folder / "disk"
        self.queue.mkdir(parents=True)
        self.journal = folder / "journal"
        self.control = power.Control(folder / "control")
        self.sink = Sink()
        env = {"LD_PRELOAD": str(tool("libfaults.so")),
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")
               + ":verify_asan_link_order=0",
               "FAULTS_FOLDER": str(self.queue),
               "FAULTS_JOURNAL": str(self.journal),
               "FAULTS_CONTROL": str(folder / "control")}
        if kw.pop("journal", True) is False:
            del env["FAULTS_JOURNAL"]
        self.relay = Relay(folder / "relay", {"*": self.sink.hop}, env=env, **kw)
        self.relay.queue_path = self.queue / "queue.db"
        self.relay.write_config()

    def __enter__(self):
        self.relay.start()
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(self.relay.log()[-4000:])
        if self.relay.process:
            self.relay.kill()
        self.sink.close()

    def arrived(self, until_ns=None):
        return {r for m in list(self.sink.messages) for r in m.recipients
                if until_ns is None or m.time * 1e9 <= until_ns}


def survivors(folder, image):
    """The recipients to whom a relay on this image delivers, or why it will not."""
    with Sink() as sink:
        relay = Relay(folder, {"*": sink.hop})
        shutil.copytree(image, folder / "disk")
        relay.queue_path = folder / "disk" / "queue.db"
        relay.write_config()
        try:
            relay.start()
            relay.wait_empty()
            return {r for m in sink.messages for r in m.recipients}
        except TimeoutError:
            print(relay.queue_list(), relay.log()[-3000:])
            raise
        finally:
            relay.stop()


def lost_at(f, cuts, acked, chance=None, lies=False):
    """What had been acknowledged before each cut and is nowhere after it."""
    lost = {}
    for i, (cut, disk) in enumerate(power.images(f.journal, f.queue, cuts,
                                                 lies)):
        folder = f.folder / f"cut-{i}-{bool(chance)}-{lies}"
        disk.write_image(f.queue, folder / "image", chance)
        (folder / "image").mkdir(parents=True, exist_ok=True)
        owed = {n for n, t in acked.items() if t <= cut} - f.arrived(cut)
        try:
            lost[cut] = owed - survivors(folder / "relay", folder / "image")
        except (RuntimeError, TimeoutError):
            if not lies:
                raise
            lost[cut] = owed
        shutil.rmtree(folder)
    return lost


def test_a_power_cut_loses_nothing_acknowledged(tmp_path):
    """Q1: at any moment, most of all just after a 250."""
    with Faulty(tmp_path) as f:
        f.sink.refuse()
        load = Load(f.relay, pause=0.01)
        wait_for(lambda: len(load.acked) > 40, 60)
        f.sink.listen()
        wait_for(lambda: len(f.arrived()) > 20, 60)
        load.end()
        f.relay.kill()
        assert len(load.acked) > 50, len(load.acked)
        chance = random.Random(5)
        # a microsecond after the client has read a 250
        moments = [t + 1000 for t in load.acked.values()]
        cuts = sorted(chance.sample(moments, 40 if LONG else 5))
        for order in (None, chance):
            lost = lost_at(f, cuts, load.acked, order)
            assert not any(lost.values()), lost
        # and the test can fail: had the syncs done nothing, mail would be gone
        lost = lost_at(f, cuts[-1:], load.acked, lies=True)
        assert any(lost.values())


def test_a_failed_sync_ends_the_relay_and_loses_nothing(tmp_path):
    """Q7: no 250, the process ends; and what is accepted after a restart, on a
    file of which the disk lacks a part, survives a power cut too."""
    for n in range(1, 40 if LONG else 7):
        with Faulty(tmp_path / str(n)) as f:
            f.sink.refuse()
            load = Load(f.relay, threads=4, large_every=5, pause=0.005)
            wait_for(lambda: len(load.acked) > 30, 20)
            f.control["sync_fails_in"] = n
            wait_for(lambda: f.control["sync_failures"] == 1, 20, "the failure")
            failed_ns = time.monotonic_ns()
            disk = list(power.images(f.journal, f.queue, [failed_ns]))[0][1]
            if "history" not in disk.failed[0]:
                wait_for(lambda: not f.relay.is_alive, 10,
                         f"the end after a failed sync of {disk.failed[0]}")
                assert f.relay.process.returncode == 75
                time.sleep(0.2)
                before = len(load.acked)
                f.relay.start()
                wait_for(lambda: len(load.acked) > before + 20, 30)
            load.end()
            f.relay.kill()
            cut = time.monotonic_ns()
            lost = lost_at(f, [cut], load.acked)
            assert not lost[cut], (n, disk.failed, lost)


def is_full(f, size):
    """452 4.3.1 to a client while the disk is full, at MAIL or at the dot."""
    with f.relay.client() as c:
        reply = attempt(c, "full@load.test", LINE * (size // len(LINE)))
    assert reply.code in (250, 452), reply
    assert reply.code == 250 or reply.text.startswith("4.3.1"), reply
    return reply.code == 452


def full_disk(f, tells):
    """Fills it up, empties it by deliveries, gives the room back."""
    f.sink.refuse()
    load = Load(f.relay, threads=3, large_every=10, pause=0.005)
    wait_for(lambda: len(load.acked) > 30, 20)
    f.control["statvfs_tells"] = tells
    f.control["budget"] = 6 << 20
    wait_for(lambda: len(load.refused) > 20, 60, "a full disk")
    load.end()
    assert {r.code for r in load.refused} == {452}, load.refused[:5]
    assert all(r.text.startswith("4.3.1") for r in load.refused)
    assert f.relay.is_alive
    wait_for(lambda: is_full(f, 4 << 20), 20, "452 for a large message")
    # deliveries and their deletes go on although nothing fits any more
    f.control["budget"] = 0
    f.sink.listen()
    wait_for(lambda: f.arrived() >= set(load.acked), 40, "deliveries")
    f.relay.wait_empty()
    assert f.relay.is_alive
    f.control["budget"] = -1
    wait_for(lambda: not is_full(f, 4 << 20), 20, "room again")
    assert f.relay.is_alive
    extra = f.arrived() - set(load.acked) - {"full@load.test"}
    assert not extra, "delivered what was refused"


def test_a_full_disk_is_temporary_when_it_is_seen_coming(tmp_path):
    with Faulty(tmp_path, journal=False) as f:
        full_disk(f, tells=1)


def test_a_full_disk_is_temporary_when_a_write_fails(tmp_path):
    with Faulty(tmp_path, journal=False) as f:
        full_disk(f, tells=0)
