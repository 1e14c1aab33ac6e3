"""waypost backup and restore: what is in one, what kills and full disks leave of it."""

import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import tarfile
import tempfile
import threading
import time

import pytest

from relay import Relay, Sink, program, wait_for

DATAERR, NOINPUT, CANTCREAT, IOERR, TEMPFAIL = 65, 66, 73, 74, 75
LARGE = b"".join(b"%06d " % i + b"x" * 62 + b"\r\n" for i in range(6000))
BUSY = {"rcpt": b"450 4.2.0 Busy\r\n"}


def waypost(*words, **options):
    return subprocess.run([program(), *map(str, words)], capture_output=True,
                          text=True, timeout=60, **options)


def backup(r, path, *words):
    done = waypost("backup", *words, "-c", r.config, path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def content(r, queue_id):
    return r.verb("queue", "cat", queue_id).stdout


def slow_retry(**more):
    return {"first": '"10min"', "most": '"1h"', **more}


@pytest.fixture
def busy():
    with Sink(BUSY) as s:
        yield s


@pytest.fixture
def full(tmp_path, busy):
    """A relay whose queue has one of everything."""
    with Relay(tmp_path / "old", {"*": busy.hop}, retry=slow_retry()) as r:
        with r.client() as c:
            for i in range(20):
                assert c.mail(b"Subject: %d\r\n\r\nsmall %d\r\n" % (i, i)).code == 250
            for i in range(3):
                assert c.mail(b"Subject: large\r\n\r\n" + LARGE + b"%d\r\n" % i,
                              to=("a@to.test", "b@other.test")).code == 250
            assert c.mail(b"Subject: held\r\n\r\nh\r\n", "held@from.test").code == 250
            assert c.mail(b"Subject: gone\r\n\r\ng\r\n", "gone@from.test").code == 250
        wait_for(lambda: all(m["state"] == "deferred" for m in r.queue_list()), 20,
                 "deferrals")
        r.verb("queue", "hold", "--from", "held@from.test", "--yes")
        r.verb("queue", "delete", "--from", "gone@from.test", "--yes")
        yield r


def all_mail(r):
    """{id: (sender, recipients, state, content)}, deleted ones too."""
    rows = r.queue_list() + r.queue_list("--state", "deleted")
    return {m["queue_id"]: (m["sender"], sorted(a["address"] for a in m["recipients"]),
                            m["state"], content(r, m["queue_id"])) for m in rows}


def other(r, folder):
    """A relay of the same settings with a queue of its own, not started."""
    return Relay(folder, {"*": list(r.routes.values())[0]}, retry=r.retry)


def test_all_of_it_comes_back(tmp_path, full):
    before = all_mail(full)
    path = tmp_path / "b.tar"
    said = backup(full, path)
    assert said == (f"{path}: 25 messages for 28 recipients, "
                    f"{path.stat().st_size / 1e6:.1f} MB\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.tar", "old"]
    # ordinary tools
    (tmp_path / "x").mkdir()
    subprocess.run(["tar", "xf", path, "-C", tmp_path / "x"], check=True)
    x = tmp_path / "x" / "waypost-backup"
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=x, capture_output=True,
                          text=True)
    assert sums.returncode == 0 and sums.stdout.count(": OK\n") == 3 + 3
    assert json.loads((x / "backup.json").read_text())["messages"] == 25
    with sqlite3.connect(x / "queue.db") as db:
        assert db.execute("SELECT count(*) FROM v_queue").fetchone() == (28,)
    with sqlite3.connect(x / "history.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    # what comes after it is not in it
    with full.client() as c:
        assert c.mail(b"Subject: late\r\n\r\nlate\r\n", "late@from.test").code == 250
    new = other(full, tmp_path / "new")
    done = waypost("restore", "-c", new.config, path)
    assert done.returncode == 0, done.stderr
    assert "25 messages for 28 recipients restored" in done.stdout
    assert "a second time" in done.stdout
    full.stop()
    with new:
        assert all_mail(new) == before
        new.verb("queue", "undelete", "--from", "gone@from.test", "--yes")
    assert sorted(p.name for p in new.folder.iterdir() if "restore" in p.name) == []


def drop(r, count):
    """While it does not run."""
    for i in range(count):
        subprocess.run([program(), "sendmail", "-C", r.config, "-f", f"d{i}@from.test",
                        "a@to.test"], input=b"Subject: dropped\n\n%d\n" % i, check=True)


def dropped(r):
    return sorted(m["sender"] for m in r.queue_list() if m["sender"][0] == "d")


def test_the_drop_folder_comes_back_and_is_imported_once(tmp_path, full):
    wait_for((full.folder / "drop" / "refused").exists, what="the drop folder")
    full.stop()
    drop(full, 3)
    assert "3 messages of the drop folder are in it" in backup(full, tmp_path / "b.tar")
    # the running relay imports while the next one is made: in the queue or beside it
    with full:
        assert backup(full, tmp_path / "c.tar")
        wait_for(lambda: len(dropped(full)) == 3, 20, "imported")
    for name in ("b", "c"):
        new = other(full, tmp_path / name)
        done = waypost("restore", "--check", "-c", new.config, tmp_path / f"{name}.tar")
        assert done.returncode == 0, done.stderr
        for again in (), ("--force",):
            done = waypost("restore", *again, "-c", new.config, tmp_path / f"{name}.tar")
            assert done.returncode == 0, done.stderr
        with new:
            wait_for(lambda: not list((new.folder / "drop" / "jobs").glob("*")), 20,
                     "the import")
            assert dropped(new) == [f"d{i}@from.test" for i in range(3)]


def test_what_is_still_in_the_drop_folder_is_not_doubled(tmp_path, busy):
    with Relay(tmp_path / "old", {"*": busy.hop}, retry=slow_retry()) as r:
        wait_for((r.folder / "drop" / "refused").exists, what="the drop folder")
    drop(r, 2)
    backup(r, tmp_path / "b.tar")
    done = waypost("restore", "-c", r.config, tmp_path / "b.tar")
    assert done.returncode == 0, done.stderr
    with r:
        wait_for(lambda: len(dropped(r)) == 2, 20, "imported")
        wait_for(lambda: not list((r.folder / "drop" / "jobs").glob("*")), 20, "the end")
        assert len(dropped(r)) == 2


def test_what_a_killed_check_left_is_cleaned_up(tmp_path, full):
    backup(full, tmp_path / "b.tar")
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = full.folder / f"queue.db.check-{gone.pid}.restore"
    for folder in left, left / "drop", left / "queue.db.content":
        folder.mkdir()
        (folder / "x").write_text("mail")
    alive = full.folder / f"queue.db.check-{os.getpid()}.restore"
    alive.mkdir()
    done = waypost("restore", "--check", "-c", full.config, tmp_path / "b.tar")
    assert done.returncode == 0, done.stderr
    assert not left.exists() and alive.exists()


@pytest.mark.parametrize("what", ["group", "others", "owner"])
def test_a_file_that_others_may_have_written_is_refused(tmp_path, full, what):
    path = tmp_path / "b.tar"
    backup(full, path)
    if what == "owner":
        if os.getuid() != 0:
            pytest.skip("needs root, to give it away")
        os.chown(path, 65534, -1)
    else:
        path.chmod(0o620 if what == "group" else 0o602)
    new = other(full, tmp_path / "new")
    for look in (), ("--check",):
        done = waypost("restore", *look, "-c", new.config, path)
        assert done.returncode == 77, done
        assert ("chown" if what == "owner" else "chmod go-w") in done.stderr
    assert not (new.folder / "queue.db").exists()


def repacked(path, to, change):
    """The backup with something else in it, and sums that fit."""
    folder = path.with_suffix(".d")
    folder.mkdir()
    with tarfile.open(path) as t:
        names = t.getnames()
        t.extractall(folder)
    change(folder / "waypost-backup")
    sums = folder / "waypost-backup" / "SHA256SUMS"
    said = subprocess.run(["sha256sum", *[n.partition("/")[2] for n in names[:-1]]],
                          cwd=sums.parent, check=True, capture_output=True)
    sums.write_bytes(said.stdout)
    subprocess.run(["tar", "--format=ustar", "-cf", to, "--owner=0", "--hard-dereference",
                    *names], cwd=folder, check=True)
    to.chmod(0o600)


def test_a_trigger_in_a_queue_is_refused_and_never_run(tmp_path, full):
    def evil(folder):
        db = sqlite3.connect(folder / "queue.db")
        db.execute("CREATE TRIGGER evil AFTER UPDATE ON state BEGIN "
                   "DELETE FROM recipient; END")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.commit()
        db.close()  # its WAL, which would not be in the archive, goes
    backup(full, tmp_path / "b.tar")
    repacked(tmp_path / "b.tar", tmp_path / "evil.tar", evil)
    new = other(full, tmp_path / "new")
    done = waypost("restore", "-c", new.config, tmp_path / "evil.tar")
    assert done.returncode == 65 and 'trigger that is not ours, "evil"' in done.stderr
    assert not (new.folder / "queue.db").exists()
    full.stop()
    evil(full.folder)
    full.start(wait=False)
    assert full.process.wait(30) == 75
    assert 'trigger that is not ours, "evil"' in full.log()


def test_what_is_not_ours_in_a_backup_is_refused(tmp_path, full):
    new = other(full, tmp_path / "new")
    for n, (name, sql, said) in enumerate((
            ("queue.db", "CREATE TABLE evil(x)", "a table"),
            ("queue.db", "CREATE VIEW evil AS SELECT * FROM message", "a view"),
            ("queue.db", "CREATE INDEX evil ON recipient(address)", "an index"),
            ("history.db", "CREATE VIEW evil AS SELECT * FROM history", "a view"),
            ("history.db", "CREATE INDEX evil ON history(size)", "an index"))):
        def change(folder, name=name, sql=sql):
            db = sqlite3.connect(folder / name)
            db.execute(sql)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.commit()
            db.close()
        backup(full, tmp_path / f"b{n}.tar")
        repacked(tmp_path / f"b{n}.tar", tmp_path / f"evil{n}.tar", change)
        done = waypost("restore", "-c", new.config, tmp_path / f"evil{n}.tar")
        assert done.returncode == 65 and f'{said} that is not ours, "evil"' in done.stderr
        assert done.stderr.count("\n") == 1 and not (new.folder / "queue.db").exists()


def test_held_until_a_person_decides(tmp_path, full):
    backup(full, tmp_path / "b.tar", "--no-history")
    names = tarfile.open(tmp_path / "b.tar").getnames()
    assert "waypost-backup/history.db" not in names
    full.stop()
    done = waypost("restore", "-c", full.config, tmp_path / "b.tar")
    assert done.returncode == CANTCREAT and "--force" in done.stderr
    assert "25 messages" in done.stderr
    done = waypost("restore", "--force", "--hold", "--json", "-c", full.config,
                   tmp_path / "b.tar")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["messages"] == 25 and said["damaged"] == 0 and said["held"] >= 26
    [aside] = full.folder.glob("queue.db.before-restore-*")
    with sqlite3.connect(aside / "queue.db") as db:
        assert db.execute("SELECT count(*) FROM message").fetchone() == (25,)
    assert len(list((aside / "queue.db.content").iterdir())) == 3
    with full.start():
        states = {m["state"] for m in full.queue_list()}
        assert states == {"held"}
        full.verb("queue", "release", "--from", "held@from.test", "--yes")


def test_outcomes_after_a_restore_are_not_taken_for_old_ones(tmp_path):
    """The history beside it knows later events than the restored queue does."""
    with Sink(BUSY) as sink:
        with Relay(tmp_path / "r", {"*": sink.hop}, retry=slow_retry()) as r:
            with r.client() as c:
                for i in range(3):
                    assert c.mail(b"Subject: x\r\n\r\nx\r\n", f"s{i}@from.test").code == 250
            wait_for(lambda: all(m["state"] == "deferred" for m in r.queue_list()), 20)
            backup(r, tmp_path / "b.tar", "--no-history")
            r.verb("queue", "bounce", "--yes", "--from", "s0@from.test")
            wait_for(lambda: b"s0@from.test" in r.verb("history", "--json").stdout, 20)
            r.stop()
            assert waypost("restore", "--force", "-c", r.config,
                           tmp_path / "b.tar").returncode == 0
            sink.script = None
            with r.start():
                r.retry_now()
                r.wait_empty()

                def delivered():
                    out = r.verb("history", "--json").stdout.splitlines()
                    return [h for h in map(json.loads, out) if h["what"] == "delivered"]
                wait_for(lambda: len(delivered()) >= 3, 20, "three deliveries in the history")


def test_under_load_nothing_acknowledged_is_missing(tmp_path):
    """Some go, some come, some are large; what was acknowledged before, and was not
    delivered when it ended, is in it, byte for byte."""
    with Sink() as sink, Sink(BUSY) as busy:
        with Relay(tmp_path / "r", {"stays.test": busy.hop, "*": sink.hop},
                   retry=slow_retry()) as r:
            stop, acknowledged, lock = threading.Event(), set(), threading.Lock()

            def send(n):
                i = 0
                with r.client() as c:
                    while not stop.is_set():
                        name = f"{n}-{i}"
                        body = LARGE if i % 7 == 3 else b"small\r\n"
                        to = "r@stays.test" if i % 2 else "r@goes.test"
                        text = b"Subject: %s\r\n\r\n" % name.encode() + body
                        if c.mail(text, f"{name}@from.test", (to,)).code == 250 and i % 2:
                            with lock:
                                acknowledged.add(name)
                        i += 1
            threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
            for t in threads:
                t.start()
            wait_for(lambda: len(acknowledged) > 100, 30, "some mail")
            for turn in range(3):
                with lock:
                    before = set(acknowledged)
                backup(r, tmp_path / "b.tar")
            stop.set()
            for t in threads:
                t.join()
            r.kill()
        new = Relay(tmp_path / "new", {"*": busy.hop}, retry=slow_retry())
        done = waypost("restore", "--hold", "--json", "-c", new.config, tmp_path / "b.tar")
        assert done.returncode == 0 and json.loads(done.stdout)["damaged"] == 0
        with new:
            rows = {m["sender"].partition("@")[0]: m["queue_id"] for m in new.queue_list()}
            assert before <= set(rows)
            for name in sorted(before)[:40]:
                body = LARGE if int(name.split("-")[1]) % 7 == 3 else b"small\r\n"
                assert content(new, rows[name]).endswith(
                    b"Subject: %s\r\n\r\n" % name.encode() + body)
        left = os.listdir(r.folder)
        assert "queue.db.backup" not in left and "queue.db.restore" not in left


def test_files_of_gone_messages_go_when_the_backup_has_them(tmp_path, full):
    """The reader is slow; the messages are purged meanwhile, or delivered."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(full.folder / "admin.sock"))
    s.sendall(b"POST /api/v1/backup HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
              b"\r\nContent-Length: 2\r\n\r\n{}")
    assert s.recv(100).startswith(b"HTTP/1.1 200")
    again = waypost("backup", "-c", full.config, tmp_path / "second.tar")
    assert again.returncode == TEMPFAIL and "being made already" in again.stderr
    assert not (tmp_path / "second.tar").exists()
    s.close()
    wait_for(lambda: waypost("backup", "-c", full.config,
                             tmp_path / "second.tar").returncode == 0, 10,
             "a backup after one that was left")


def test_not_over_tcp_nor_with_other_words(tmp_path, full):
    for body, code in ((b'{"history": 1}', b"400"), (b'{"file": "/x"}', b"400")):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(full.folder / "admin.sock"))
        s.sendall(b"POST /api/v1/backup HTTP/1.0\r\nHost: x\r\nContent-Type: application/json"
                  b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert s.recv(100).split()[1] == code
        s.close()


def test_killed_midway_leaves_no_half_file(tmp_path, full):
    path = tmp_path / "b.tar"
    backup(full, path)
    good = path.read_bytes()
    for wait in (0.0, 0.005, 0.02, 0.05):
        p = subprocess.Popen([program(), "backup", "-c", full.config, path],
                             stdout=subprocess.DEVNULL)
        time.sleep(wait)
        p.kill()
        p.wait()
        whole = path.read_bytes()
        assert whole == good or len(whole) == len(good)
    wait_for(lambda: waypost("backup", "-c", full.config, path).returncode == 0, 10)
    assert not pathlib.Path(f"{path}.part").exists()
    # the relay killed while it copies: no FILE, and the next start cleans up
    (full.folder / "queue.db.backup").write_bytes(b"left over")
    full.kill()
    path.unlink()
    with full.start():
        assert not (full.folder / "queue.db.backup").exists()


def test_restore_killed_midway_is_the_old_queue_or_the_new(tmp_path, full):
    backup(full, tmp_path / "b.tar")
    full.stop()
    for wait in (0.01, 0.02, 0.03, 0.05, 0.08):
        p = subprocess.Popen([program(), "restore", "--force", "-c", full.config,
                              tmp_path / "b.tar"], stdout=subprocess.DEVNULL)
        time.sleep(wait)
        p.kill()
        p.wait()
        with sqlite3.connect(full.queue_path) as db:
            assert db.execute("SELECT count(*) FROM message").fetchone() == (25,)
            files = [i for i, in db.execute("SELECT queue_id FROM v_queue WHERE size>100000")]
        db.close()
        for i in files:
            assert (full.folder / "queue.db.content" / i).exists()
    assert waypost("restore", "--force", "-c", full.config,
                   tmp_path / "b.tar").returncode == 0
    assert not (full.folder / "queue.db.restore").exists()
    with full.start():
        assert len(full.queue_list()) == 24


@pytest.mark.parametrize("harm, sentence", [
    (lambda b: b[:len(b) // 2], "cut off"),
    (lambda b: b[:-1024], "cut off"),
    (lambda b: b[:3000] + bytes([b[3000] ^ 1]) + b[3001:], "does not match its sum"),
    (lambda b: bytes([b[0] ^ 1]) + b[1:], "header"),
    (lambda b: b"hello", "cut off"),
    (lambda b: b"h" * 5000, "not a backup"),
], ids=["half", "no end", "a bit", "a name", "short", "text"])
def test_a_damaged_file_changes_nothing(tmp_path, full, harm, sentence):
    path = tmp_path / "b.tar"
    backup(full, path)
    path.write_bytes(harm(path.read_bytes()))
    full.stop()
    before = {p: p.stat().st_mtime_ns for p in full.folder.rglob("*") if p.is_file()
              and p.name != "queue.db.lock"}
    done = waypost("restore", "--force", "-c", full.config, path)
    assert done.returncode == DATAERR
    assert sentence in done.stderr and done.stderr.count("\n") == 1
    after = {p for p in full.folder.rglob("*") if p.is_file()
             and p.name != "queue.db.lock"}
    assert {p for p in before if not p.name.endswith(("-wal", "-shm"))} <= after
    assert not (full.folder / "queue.db.restore").exists()
    with full.start():
        assert len(full.queue_list()) == 24


def test_content_that_was_damaged_before_is_told_of(tmp_path, full):
    one = next((full.folder / "queue.db.content").iterdir())
    bytes_ = bytearray(one.read_bytes())
    bytes_[100] ^= 1
    one.write_bytes(bytes_)
    next(p for p in (full.folder / "queue.db.content").iterdir() if p != one).unlink()
    said = backup(full, tmp_path / "b.tar")
    assert "Of 1 large messages the content was not there" in said
    new = other(full, tmp_path / "new")
    done = waypost("restore", "-c", new.config, tmp_path / "b.tar")
    assert done.returncode == 0 and "Of 2 the content was damaged" in done.stdout


def test_the_disk_of_the_file_is_full(tmp_path, full):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = tmp_path / "b.tar"
    done = waypost("backup", "-c", full.config, path, preexec_fn=small)
    assert done.returncode in (IOERR, TEMPFAIL) and "cannot be written" in done.stderr
    assert list(tmp_path.glob("b.tar*")) == []
    done = waypost("backup", "-c", full.config, tmp_path / "no" / "where.tar")
    assert done.returncode == CANTCREAT and "where.tar" in done.stderr


def test_one_relay_at_a_time(tmp_path, full):
    backup(full, tmp_path / "b.tar")
    done = waypost("restore", "--force", "-c", full.config, tmp_path / "b.tar")
    assert done.returncode == TEMPFAIL and "stop it" in done.stderr
    assert waypost("restore", "-c", full.config, tmp_path / "none").returncode == NOINPUT
    full.stop()
    # with none running the queue is read from the disk
    backup(full, tmp_path / "c.tar")
    with tarfile.open(tmp_path / "b.tar") as b, tarfile.open(tmp_path / "c.tar") as c:
        assert b.getnames() == c.getnames()
    other_one = other(full, tmp_path / "empty")
    done = waypost("backup", "-c", other_one.config, tmp_path / "d.tar")
    assert done.returncode == NOINPUT and not other_one.queue_path.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_root_leaves_nothing_of_its_own(tmp_path, busy):
    """The folder is the relay's account's: what root restores or backs up with no relay
    running stays so; FILE is root's."""
    nobody = 65534
    folder = pathlib.Path(tempfile.mkdtemp(dir="/tmp", prefix="waypost-root-"))
    folder.chmod(0o755)
    try:
        with Relay(folder / "r", {"*": busy.hop}, retry=slow_retry()) as r:
            with r.client() as c:
                assert c.mail(b"Subject: large\r\n\r\n" + LARGE).code == 250
        r.folder.chmod(0o700)
        for p in [r.folder, *r.folder.rglob("*")]:
            os.chown(p, nobody, nobody)
        backup(r, tmp_path / "b.tar")
        assert (tmp_path / "b.tar").stat().st_uid == 0
        done = waypost("restore", "--force", "-c", r.config, tmp_path / "b.tar")
        assert done.returncode == 0, done.stderr
        owners = {p: p.stat().st_uid for p in r.folder.rglob("*")}
        assert set(owners.values()) == {nobody}, owners
        assert len(list((r.folder / "queue.db.content").iterdir())) == 1
    finally:
        shutil.rmtree(folder)
