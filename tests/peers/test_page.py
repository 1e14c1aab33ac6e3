"""The page on the admin port, walked through in a real Chromium (tests/page/walk.mjs) on a
relay with mail of every kind: delivered, refused, held, deferred with hostile words, for
hosts that are down, suspended and offline.

WAYPOST_SHOTS=FOLDER writes screenshots of each view, light, dark and on a phone.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from pki import Authority
from relay import ROOT, Relay, Sink, free_port, wait_for

PAGE = ROOT / "tests/page"
EVIL = ('451 4.7.1 <script>window.pwned=1</script> \x1b[31mred \u202eevil\u2066 '
        '"onmouseover="window.pwned=1').encode() + b" \xff\xc0\x80\r\n"
STEPS = ["token", "headline", "flow", "a message that has gone", "why", "offline", "feed",
         "theme switch", "no answer", "reader", "heat", "hold and release", "retry",
         "delete and bring back", "bounce", "move", "destinations",
         "hold, retry and probe a destination", "message", "keyboard", "no trap", "light",
         "dark", "phone", "nothing wrong"]


def npm_packages():
    """The folder with node_modules, outside the tree; skips when they cannot be had."""
    for name in ("node", "npm"):
        if not shutil.which(name):
            pytest.skip(f"no {name}")
    if not pathlib.Path("/usr/bin/chromium").exists():
        pytest.skip("no chromium")
    wanted = (PAGE / "package.json").read_bytes()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/tmp"))
    folder = (cache / f"waypost-tests-{os.getuid()}" / "npm" /
              hashlib.sha256(wanted).hexdigest()[:12])
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_bytes(wanted)
        try:
            done = subprocess.run(
                ["npm", "install", "--no-save", "--no-package-lock", "--ignore-scripts",
                 "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True,
                timeout=180)
        except subprocess.TimeoutExpired:
            pytest.skip("npm install takes too long")
        if done.returncode:
            pytest.skip("npm install failed: " + done.stderr.strip()[-300:])
        (folder / "complete").touch()
    return folder


class Walk:
    """What came of each step; after one whose wait ran out there are no more."""

    def __init__(self, done):
        print(done.stderr[-3000:])
        self.rows = [json.loads(line) for line in done.stdout.splitlines()]
        print(" ".join(f"{row['step']}: {row['ms'] / 1000:.1f} s;" for row in self.rows))
        self.late = next((row for row in self.rows if row["late"]), None)
        if done.returncode and "TimeoutError" in done.stderr:
            raise TimeoutError(done.stderr[-500:])  # before its first step, or between two

    def step(self, name):
        row = next((row for row in self.rows if row["step"] == name), self.late)
        assert row, "the walk did not come so far"
        if row["late"]:
            raise TimeoutError(f"{row['step']}: {row['error']}")
        assert row["error"] is None, row["error"]

    def has_only(self, steps):
        assert [row["step"] for row in self.rows] == steps[:len(self.rows)]
        if len(self.rows) < len(steps):
            self.step(steps[-1])


CONFIG = """
rule "no <i>thanks</i>" {{ to = {{"spam@up.test"}}  action = reject  reply = "554 5.7.1 no" }}
rule "look first" {{ from = {{"held@from.test"}}  action = hold }}
rule "loopback" {{ client = {{"127.0.0.0/8"}}  action = relay }}
fetch "isp" {{ from = "smtp://127.0.0.1:{nobody}"  domains = {{"isp.test"}}  user = "us"
              password-file = "{folder}/password"  tls = none }}
route "branch.test" {{ via = {{"pickup:branch"}}
    offline {{ login = {{"branch"}}  deliver-to = "{up}" }} }}
tls {{ certificate = "{certificate}"  key = "{key}" }}
"""


def put(relay, sender, to, count=1):
    with relay.client() as c:
        for n in range(count):
            reply = c.mail(b"From: <a@from.test>\r\nSubject: \x1b[2J \xe2\x80\xae evil\r\n\r\n"
                           b"<img src=x onerror=window.pwned=1>\r\n", sender, (to,))
            assert reply.code == 250, reply


def load(relay, hops):
    """Some of everything."""
    relay.verb("dest", "suspend", hops["susp"] + " tls=none", "--reason", "moving <house>")
    put(relay, "a@from.test", "r@up.test", 3)
    put(relay, '"<script>"@from.test', "r@down.test", 110)
    put(relay, "evil@from.test", "r@evil.test", 3)
    put(relay, "a@from.test", "r@susp.test", 2)
    put(relay, "a@from.test", "r@branch.test", 2)
    put(relay, "held@from.test", "r@up.test", 2)
    put(relay, "b@from.test", "r@bounce.test")
    put(relay, "a@from.test", "r@dead.test")
    with relay.client() as c:
        for _ in range(4):
            assert c.command("MAIL FROM:<a@from.test>").code == 250
            assert c.command("RCPT TO:<spam@up.test>").code == 554
            assert c.command("RSET").code == 250
    wait_for(lambda: len(relay.queue_list("--domain", "evil.test", "--attempts", "1")) == 3,
             15, "evil replies")
    wait_for(lambda: len(relay.queue_list("--domain", "down.test")) == 110, 15, "a backlog")


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    packages = npm_packages()
    folder = tmp_path_factory.mktemp("page")
    authority = Authority(folder / "pki")
    certificate = authority.issue("relay.test", ends=9)
    (folder / "password").write_text("secret\n")
    (folder / "password").chmod(0o600)
    http, nobody, down, dead = free_port(), free_port(), free_port(), free_port()
    with Sink() as up, Sink({"rcpt": EVIL}) as evil, Sink() as susp:
        hops = {"up": up.hop, "down": f"smtp://127.0.0.1:{down}", "evil": evil.hop,
                "susp": susp.hop, "dead": f"smtp://127.0.0.1:{dead}"}
        where = {"up": "up", "down": "down", "evil": "evil", "susp": "susp", "dead": "dead",
                 "bounce": "dead", "from": "dead"}
        relay = Relay(folder / "relay", {
            f"{domain}.test": {"via": hops[hop], "tls": "none"}
            for domain, hop in where.items()}, rules="", admin={"http": f'"127.0.0.1:{http}"'},
            retry={"first": '"10min"', "most": '"1h"'},
            extra=CONFIG.format(up=up.hop, nobody=nobody, folder=folder,
                                certificate=certificate.path, key=certificate.key))
        tokens = {name: relay.verb("token", "add", name, "--role", role).stdout.decode().strip()
                  for name, role in (("operator", "operator"), ("reader", "read"))}
        with relay:
            load(relay, hops)
            done = subprocess.run(
                ["node", PAGE / "walk.mjs"], capture_output=True, text=True, timeout=400,
                env={**os.environ, "WAYPOST_NPM": str(packages), "WAYPOST_PAGE": json.dumps({
                    "base": f"http://127.0.0.1:{http}", "smtp": relay.port, "tokens": tokens,
                    "hops": hops, "shots": os.environ.get("WAYPOST_SHOTS")})})
    return Walk(done)


@pytest.mark.parametrize("step", STEPS)
def test_page(walk, step):
    walk.step(step)


def test_each_step_of_the_walk_is_asked_for(walk):
    walk.has_only(STEPS)
