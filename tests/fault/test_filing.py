"""Mail into maildirs on a disk that is full, fails, or dies: none is lost."""

import os
import time

import power
import pytest

from mailboxes import SENDER, Mailboxes, without_received
from relay import LONG, Closed, tool, wait_for

TEXT = b"Subject: %s\r\n\r\n" + (b"x" * 76 + b"\r\n") * 40


class Faulty(Mailboxes):
    """The maildirs, not the queue, are on the disk that can fail."""

    def __init__(self, folder):
        self.control = power.Control(folder / "control")
        super().__init__(folder, env={
            "LD_PRELOAD": str(tool("libfaults.so")),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")
            + ":verify_asan_link_order=0",
            "FAULTS_FOLDER": str(folder / "mail"),
            "FAULTS_JOURNAL": str(folder / "journal"),
            "FAULTS_CONTROL": str(folder / "control")})

    def mail(self, name, to="bob@site.test", lines=0):
        with self.relay.client() as c:
            assert c.mail(TEXT % name + (b"z" * 76 + b"\r\n") * lines, SENDER,
                          (to,)).code == 250


def test_a_full_disk_is_no_bounce(tmp_path):
    with Faulty(tmp_path) as site:
        site.control["budget"] = 1000
        site.mail(b"small")
        site.mail(b"large", "ann@site.test", lines=8000)
        for to in ("bob", "ann"):
            site.relay.wait_log(rf"to=<{to}@site.test>, relay=maildir.*"
                                r"dsn=4\.3\.1, status=deferred \(cannot write "
                                r"the message: No space left")
        assert site.control["refusals"] > 0
        assert site.files("bob") == site.files("bob", "tmp") == []
        assert site.files("ann") == site.files("ann", "tmp") == []
        site.control["budget"] = -1
        assert len(site.wait("bob")) == len(site.wait("ann")) == 1
        site.relay.wait_empty()
        assert "bounced" not in site.relay.log()


@pytest.mark.parametrize("which, words", [(1, "the file in tmp"),
                                          (2, "what is in new")])
def test_a_sync_that_fails_is_not_delivered(tmp_path, which, words):
    with Faulty(tmp_path) as site:
        site.mail(b"first")    # the folders are made
        site.wait("bob")
        site.relay.wait_empty()
        site.control["sync_fails_in"] = which
        site.mail(b"second")
        site.relay.wait_log(r"dsn=4\.3\.0, status=deferred \(cannot make durable "
                            + words)
        site.relay.wait_empty()
        assert len(site.files("bob")) == 2 and not site.files("bob", "tmp")


def test_damaged_content_is_held_and_not_filed(tmp_path):
    with Mailboxes(tmp_path) as site:
        away = tmp_path / "away"
        site.root.rename(away)
        with site.relay.client() as c:
            assert c.mail(TEXT % b"x" + (b"z" * 76 + b"\r\n") * 8000, SENDER,
                          ("bob@site.test", "ann@site.test")).code == 250
        site.relay.wait_log("status=deferred")
        stored, = (tmp_path / "relay" / "queue.db.content").iterdir()
        with open(stored, "r+b") as f:
            f.seek(500_000)
            f.write(b"Q")
        away.rename(site.root)
        wait_for(lambda: site.relay.log().count("status=held") == 2)
        for user in ("bob", "ann"):
            assert site.files(user) == site.files(user, "tmp") == []
        assert [m["state"] for m in site.relay.queue_list()] == ["held"]


def sent(site):
    return site.relay.log().count("status=sent")


def test_what_was_delivered_survives_the_power(tmp_path):
    """Whatever the log calls sent at a moment is in `new`, whole, on a disk that kept
    only what was synced by then."""
    with Faulty(tmp_path) as site:
        cuts = {}
        for i in range(12):
            site.mail(b"m%d" % i, lines=4000 if i % 5 == 0 else 0)
            wait_for(lambda: sent(site) > i)
            cuts[time.monotonic_ns()] = i + 1
        whole = {without_received(t) for t in site.texts("bob")}
    for i, (cut, disk) in enumerate(power.images(tmp_path / "journal",
                                                 site.root, cuts)):
        image = tmp_path / f"cut-{i}"
        disk.write_image(site.root, image)
        left = {without_received(f.read_bytes())
                for f in image.glob("site.test/bob/new/*")}
        assert len(left) == cuts[cut] and left <= whole


def test_nothing_is_lost_when_the_relay_is_killed(tmp_path):
    """Each message is there, whole; a second copy at most of what was being settled."""
    names, kills = set(), 40 if LONG else 8
    with Mailboxes(tmp_path) as site:
        for k in range(kills):
            with site.relay.client() as c:
                try:
                    for i in range(30):
                        name = b"k%d.%d" % (k, i)
                        lines = 3000 if i % 7 == 0 else 0
                        text = TEXT % name + (b"z" * 76 + b"\r\n") * lines
                        if c.mail(text, SENDER, ("bob@site.test",
                                                 "ann@site.test")).code == 250:
                            names.add((name, len(text)))
                except Closed:
                    pass
            time.sleep(0.01 * (k % 4))
            site.relay.kill()
            site.relay.start()
        site.relay.wait_empty(60)
        for user in ("bob", "ann"):
            copies = {}
            for text in site.texts(user):
                name = text.split(b"Subject: ")[1].split(b"\n")[0]
                body = text[text.index(b"Subject: "):]
                size = len(body) + body.count(b"\n")
                copies[name, size] = copies.get((name, size), 0) + 1
            assert names <= copies.keys(), "lost or torn"
            assert {n for n, _ in copies} == {n for n, _ in names}
            assert sum(copies.values()) - len(copies) <= 30 * kills
