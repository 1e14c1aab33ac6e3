"""Real programs and hosts that are often offline: fetchmail as a customer of ATRN by every
door, a shell that says ETRN, and Postfix's ETRN beside ours."""

import os
import random
import re
import shutil
import subprocess

import pytest

from peers import Missing, Postfix
from pki import Authority
from relay import Client, Relay, Sink, content_of, free_port
from test_atrn import Provider, recipients

fetchmail = pytest.mark.skipif(not shutil.which("fetchmail"), reason="no fetchmail")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


def run_fetchmail(folder, port, home, keys, patience=60):
    folder.mkdir(exist_ok=True)
    rc = folder / "fetchmailrc"
    rc.write_text(f"""poll localhost via 127.0.0.1 service {port} protocol ODMR
  user "branch" password "pencil" smtphost 127.0.0.1/{home.port}
  fetchdomains branch.test,three.test {keys}
""")
    rc.chmod(0o600)
    return subprocess.run(
        ["fetchmail", "-f", rc, "--nosyslog", "--nodetach", "-vv", "--pidfile",
         folder / "pid"], capture_output=True, timeout=patience, text=True,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C"})


@fetchmail
@pytest.mark.parametrize("door", ["clear", "starttls", "implicit"])
def test_fetchmail_fetches_by_every_door(tmp_path, authority, door):
    trust = f'sslcertfile {authority.path} sslcommonname "relay.test"'
    keys = {"clear": 'sslproto ""', "starttls": f'sslproto "auto" {trust}',
            "implicit": f'ssl {trust}'}[door]
    chance = random.Random(door)
    with Provider(tmp_path / "p", authority) as p, Sink(extensions=["8BITMIME"]) as home:
        port = p.odmrs if door == "implicit" else p.odmr
        bodies = {}
        for i, size in enumerate((2, 5000, 400000)):
            bodies[f"u{i}@branch.test"] = content_of(size, chance, eight_bit=False)
        for to, body in bodies.items():
            p.put(to, content=b"Subject: x\r\n\r\n" + body)
        p.put("w@three.test")
        done = run_fetchmail(tmp_path / "f", port, home, keys, 10)
        said = done.stdout + done.stderr
        assert recipients(home) == sorted([*bodies, "w@three.test"]), said + p.log()
        for to, body in bodies.items():
            m = next(m for m in home.messages if m.recipients == [to])
            assert m.content.endswith(body)
        p.wait_empty()
        assert "453" in run_fetchmail(tmp_path / "f", port, home, keys).stdout
