"""Users of this machine who mean harm: the drop folder, sendmail's socket and its words."""

import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from relay import Relay, end, program, wait_for, wait_for_port

NOBODY, OTHER = 65534, 12345
NEXT = "smtp://127.0.0.1:1"  # nobody listens there: what is taken stays
DROPPED = "waypost-drop 1\nMAIL FROM:<{}@from.test>\nRCPT TO:<r@to.test>\n\nx\n"

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be others")


class Unprivileged(Relay):
    """Its own user is none that may do everything."""

    def start(self, wait=True):
        for path in (self.folder, *self.folder.rglob("*")):
            if path.stat().st_uid == 0:
                os.chown(path, OTHER, OTHER)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*as_user(OTHER), program(), "run", "-c", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        wait_for_port(self.port, self.process, 30, self.address)
        return self

    def stop(self):
        return end(self.process, 30)


def as_user(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def nobody_does(folder, script):
    subprocess.run([*as_user(NOBODY), "sh", "-ec", script], check=True, cwd=folder)


@pytest.fixture
def folder():
    """One that every user can reach."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="waypost-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def senders(r):
    return {m["sender"].split("@")[0] for m in r.queue_list()}


def test_what_is_left_lying_hides_no_message_and_fills_no_log(folder):
    with Unprivileged(folder / "r", {"*": NEXT}, rules="") as r:
        (folder / "r").chmod(0o711)
        drop = r.folder / "drop"
        wait_for(lambda: (drop / "refused").exists(), what="the drop folder")
        wait_for(lambda: drop.stat().st_mode & 0o7777 == 0o1733)
    (drop / "new.before").write_text(DROPPED.format("before"))
    # half of it can never be moved: a folder is its owner's
    nobody_does(drop, "for i in $(seq 1500); do : > tmp.$i; mkdir -p a.$i; done; "
                "touch -d '2400-01-01' tmp.1; rm tmp.2; ln -s /etc/shadow tmp.2; mkfifo new.p; "
                "ln -s /etc/shadow new.s; truncate -s 1T new.t; : > 'new.\n\033[2J'")
    (drop / "new.after").write_text(DROPPED.format("after"))
    with r:
        wait_for(lambda: senders(r) == {"before", "after"}, 20, "both")
        (drop / "tmp.late").write_text(DROPPED.format("late"))
        (drop / "tmp.late").rename(drop / "new.late")
        wait_for(lambda: "late" in senders(r), 20, "the third")
        assert r.log().count("cannot be moved") == 1
        assert not (drop / "tmp.1").exists() and (drop / "tmp.3").exists()
        assert "\x1b" not in r.log() and "root:" not in r.log()


def test_a_folder_of_another_user_names_nobody(folder):
    """Whose a message is says its name in jobs: that should be the relay's word."""
    drop = folder / "r" / "drop"
    drop.mkdir(parents=True)
    drop.chmod(0o1733)
    nobody_does(drop, "mkdir jobs")
    with Relay(folder / "r", {"*": NEXT}, rules="") as r:
        r.wait_log("drop folder .* cannot be used")
        (drop / "new.a").write_text(DROPPED.format("a"))
        assert senders(r) == set()
        (drop / "jobs").rmdir()
        wait_for(lambda: senders(r) == {"a"}, 15, "the message")
        assert (drop / "jobs").stat().st_uid == 0


def test_a_backup_is_read_by_nobody_else(folder):
    """Whoever knows its name may have been there first: with a file, a link, a pipe."""
    folder.chmod(0o1777)
    (folder / "precious").write_text("precious")
    r = Relay(folder / "r", {"*": NEXT}, rules="")
    r.folder.chmod(0o711)
    with r:
        nobody_does(folder, ": > mine.tar.part; mkfifo pipe.tar.part; ln -s r/x link.tar.part")
        os.link(folder / "precious", folder / "two.tar.part")
        mine = (folder / "mine.tar.part").open("rb")
        for name in ("mine", "pipe", "link", "two"):
            done = r.verb("backup", folder / f"{name}.tar", check=False)
            assert done.returncode == 73 and done.stderr.count(b"\n") == 1, done
            assert not (folder / f"{name}.tar").exists()
            assert (folder / f"{name}.tar.part").is_symlink() or \
                (folder / f"{name}.tar.part").exists()
        assert mine.read() == b"" and (folder / "precious").read_text() == "precious"
        # one that is being written stays that one's
        with (folder / "busy.tar.part").open("wb") as busy:
            fcntl.flock(busy, fcntl.LOCK_EX)
            assert r.verb("backup", folder / "busy.tar", check=False).returncode == 75
            assert (folder / "busy.tar.part").exists()
        odd = folder / "o\n\x1b\".tar"
        done = r.verb("backup", "--json", odd)
        assert json.loads(done.stdout)["done"] and done.stdout.isascii()
        assert odd.stat().st_mode & 0o777 == 0o600 and odd.stat().st_uid == 0


@pytest.mark.parametrize("words", [("\x1b]0;x\a <a", ), ("-f", "\x1b[2J\nx y", "a@b.test"),
                                   ("-\x1b",), ("-N", "\x1b\n", "a@b.test")])
def test_words_of_a_web_form_stay_one_line_of_text(tmp_path, words):
    r = Relay(tmp_path / "r", {"*": NEXT})
    done = subprocess.run([program(), "sendmail", "-C", r.config, *words], input=b"x\n",
                          capture_output=True, timeout=30)
    assert done.returncode in (64, 65)
    assert done.stderr.count(b"\n") == 1 and b"\x1b" not in done.stderr
