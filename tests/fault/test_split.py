"""One draft that became several messages, which share large content: after a power cut or
a kill at any moment all of them are there, whole, or none is (Q1, Q5)."""

import os
import random
import shutil
import signal
import subprocess
import time

import power
from relay import LONG, program, tool


def splitter(*arguments, **kw):
    """queue/ by itself, driven by splitter.c."""
    exe = program().parents[2] / "tests/fault/splitter"
    return subprocess.Popen([exe, *map(str, arguments)],
                            stdout=subprocess.PIPE, text=True, **kw)


class Told:
    """What the splitter said: when which drafts were acknowledged, when what left."""

    def __init__(self, text):
        self.drafts, self.left = {}, {}
        for line in text.splitlines(keepends=True):
            word, when, *ids = line.split() or [""] * 2
            if not line.endswith("\n"):
                continue            # it died while it said this
            if word == "acked":
                self.drafts[tuple(ids)] = int(when)
            elif word == "leaves":
                self.left[ids[0]] = int(when)

    def owed(self, cut):
        """May be sent a second time at worst: it was about to leave."""
        return {i for d, t in self.drafts.items() if t <= cut
                for i in d if self.left.get(i, cut) >= cut}


def found(path):
    """The messages that a queue has; each is whole, and leaves nothing behind."""
    p = splitter("check", path)
    lines = [line.split() for line in p.communicate(timeout=60)[0].splitlines()]
    assert p.returncode == 0
    assert all(line[0] == "whole" for line in lines), lines
    assert not list(path.parent.glob("*.content/*"))
    return {line[1] for line in lines}


def check_cut(told, cut, ids):
    """Nothing acknowledged is lost, and no draft is there in part."""
    for d in told.drafts:
        if not any(i in told.left for i in d):
            assert len(ids.intersection(d)) in (0, len(d)), d
    return told.owed(cut) - ids


def test_a_power_cut_keeps_all_messages_of_a_draft_or_none(tmp_path):
    source, journal = tmp_path / "disk", tmp_path / "journal"
    source.mkdir()
    power.Control(tmp_path / "control")
    env = dict(os.environ, LD_PRELOAD=str(tool("libfaults.so")),
               ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "")
               + ":verify_asan_link_order=0",
               FAULTS_FOLDER=str(source), FAULTS_JOURNAL=str(journal),
               FAULTS_CONTROL=str(tmp_path / "control"))
    p = splitter("put", source / "queue.db", 40, env=env)
    told = Told(p.communicate(timeout=60)[0])
    assert p.returncode == 0 and len(told.drafts) == 40 and told.left

    chance = random.Random(7)
    begin, end = min(told.drafts.values()), max(told.drafts.values())
    cuts = sorted([chance.randrange(begin, end) for _ in range(8)]
                  + [t + 1000 for t in chance.sample(
                      list(told.drafts.values()), 30 if LONG else 8)])

    def lost(cuts, order, lies=False):
        missed = set()
        for cut, disk in power.images(journal, source, cuts, lies):
            image = tmp_path / "image"
            image.mkdir()
            disk.write_image(source, image, order)
            missed |= check_cut(told, cut, found(image / "queue.db"))
            shutil.rmtree(image)
        return missed

    assert not lost(cuts, None)
    assert not lost(cuts, chance)
    # and the test can fail
    assert lost(cuts[-1:], None, lies=True)


def test_a_kill_keeps_all_messages_of_a_draft_or_none(tmp_path):
    """Each start finds what the one before it was killed over."""
    path, chance, text, patience = tmp_path / "queue.db", random.Random(3), "", 0.1
    for start in range(1000):
        # on a busy machine most are killed before they begin
        if start >= (100 if LONG else 12) and len(Told(text).drafts) > 20:
            break
        p = splitter("put", path, 1000000)
        time.sleep(0.02 + chance.random() * patience)
        p.send_signal(signal.SIGKILL)
        said = p.communicate(timeout=60)[0].rpartition("\n")[0] + "\n"
        text += said
        if not said.strip():
            patience = min(patience * 1.1, 5)
    told, ids = Told(text), found(path)
    assert len(told.drafts) > 20
    assert not check_cut(told, time.monotonic_ns(), ids)
