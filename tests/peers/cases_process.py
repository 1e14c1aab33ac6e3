"""Rows about the process: its sandbox, its privileges, what it leaves behind."""

import os
import pathlib
import pwd
import signal
import ssl
import subprocess

import pytest

from cases import case, private
from pki import Authority
from relay import SANITIZED, program, tool


def status(p):
    text = pathlib.Path(f"/proc/{p.relay.process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def unit(name):
    """A unit test's program, beside the relay that meson built."""
    for up in program().parents[:4]:
        if (up / "tests/unit" / name).exists():
            return up / "tests/unit" / name
    pytest.skip(f"{name} is not there: it is built by meson")


@case("M13")
def what_mail_does_not_need_is_refused(w):
    done = subprocess.run([unit("test_sandbox")], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SKIPPED" not in done.stdout + done.stderr or os.geteuid() != 0


@case("M14")
def root_becomes_another_without_capabilities(w):
    if os.geteuid() != 0:
        pytest.skip("only root becomes another")
    for up in [w.folder, *w.folder.parents][:-1]:
        if up.stat().st_uid == 0:
            up.chmod(up.stat().st_mode & 0o7777 | 0o711)
    (w.folder / "relay").mkdir(mode=0o777)
    (w.folder / "relay").chmod(0o777)
    top = 'user = "daemon"\nsandbox = %s' % ("false" if SANITIZED else "true")
    with private(w.folder, w.row, top=top) as p:
        known = status(p)
        assert int(known["CapEff"], 16) == 0
        assert known["NoNewPrivs"] == "1"
        assert known["Seccomp"] == "2" or SANITIZED
        assert set(known["Uid"].split()) == {str(pwd.getpwnam("daemon").pw_uid)}
        p.accept(b"Subject: x\r\n\r\nx\r\n")
        p.one()


@case("M15")
def nothing_is_left_behind_and_nobody_looks_in(w):
    with private(w.folder, w.row, env={"WAYPOST_TEST_SECRET": "s3cret"}) as p:
        folder = pathlib.Path(f"/proc/{p.relay.process.pid}")
        # not dumpable: the files are root's, and who is the same user is refused
        assert (folder / "environ").stat().st_uid == 0
        assert (folder / "mem").stat().st_uid == 0
        if os.geteuid() != 0:
            with pytest.raises(PermissionError):
                (folder / "environ").read_bytes()
        words = (folder / "cmdline").read_bytes().split(b"\0")
        assert words[1:3] == [b"run", b"-c"]
        p.accept(b"Subject: x\r\n\r\nx\r\n")
        p.relay.process.send_signal(signal.SIGUSR2)
        p.relay.wait_log("state: end")
        assert "s3cret" not in p.relay.log()
        p.relay.process.send_signal(signal.SIGABRT)
        p.relay.process.wait(15)
        assert not [f for f in p.relay.folder.iterdir() if "core" in f.name]


@case("M16")
def without_random_numbers_nothing_secret_is_made(w):
    if SANITIZED:
        pytest.skip("a sanitizer's library must be the first")
    over = w.folder / "relay" / "over"
    env = {"LD_PRELOAD": str(tool("libnorandom.so")), "NORANDOM_FROM": str(over)}
    authority = Authority(w.folder / "pki")
    certificate = authority.issue("relay.test")
    tls = ssl._create_unverified_context()
    with private(w.folder, w.row, env=env, listener="tls = optional",
                 top=f'tls {{ certificate = "{certificate.path}" '
                     f'key = "{certificate.key}" }}') as p:
        with p.client() as c:
            assert c.starttls(tls).code == 250
        over.touch()
        with p.client() as c, pytest.raises((ssl.SSLError, OSError, AssertionError)):
            c.starttls(tls)
        # what needs none goes on, each under a name of its own
        for _ in range(3):
            p.accept(b"Subject: x\r\n\r\nx\r\n")
        p.wait(3)
        tokens = p.relay.folder / "tokens"
        for words in (["token", "add", "x", "--role", "read"],):
            done = subprocess.run([program(), *words, "-c", p.relay.config],
                                  capture_output=True, text=True,
                                  env={**os.environ, **env}, timeout=30)
            assert done.returncode != 0 and not done.stdout, done
            assert not tokens.exists() or not tokens.read_text()
        p.relay.stop()
        done = subprocess.run([program(), "sendmail", "-C", p.relay.config, p.to()],
                              input="Subject: y\n\ny\n", capture_output=True,
                              text=True, env={**os.environ, **env,
                                              "WAYPOST_CONFIG": str(p.relay.config)},
                              timeout=30)
        assert done.returncode != 0, done
        assert not list((p.relay.folder / "drop").glob("new.*"))
        # nor does a relay begin without
        begun = p.relay.start(wait=False).process
        assert begun.wait(30) != 0
        over.unlink()
        with p.relay, p.client() as c:
            assert c.starttls(tls).code == 250
