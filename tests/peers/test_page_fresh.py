"""The page of a relay that has had no mail yet, and what is rarely seen on one that has:
walked by tests/page/fresh.mjs."""

import json
import os
import subprocess

import pytest

from relay import Relay, Sink, free_port
from test_page import PAGE, Walk, npm_packages

STEPS = ["nothing needs you", "what to do first", "the first message", "troubles", "names",
         "many attempts are folded", "strange names", "the head of a phone", "reader",
         "nothing wrong"]


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    packages, http = npm_packages(), free_port()
    folder = tmp_path_factory.mktemp("fresh")
    with Sink() as up:
        relay = Relay(folder / "relay", {"*": {"via": up.hop, "tls": "none"}},
                      admin={"http": f'"127.0.0.1:{http}"'})
        tokens = {name: relay.verb("token", "add", name, "--role", role).stdout.decode().strip()
                  for name, role in (("operator", "operator"), ("reader", "read"))}
        with relay:
            done = subprocess.run(
                ["node", PAGE / "fresh.mjs"], capture_output=True, text=True, timeout=400,
                env={**os.environ, "WAYPOST_NPM": str(packages), "WAYPOST_PAGE": json.dumps({
                    "base": f"http://127.0.0.1:{http}", "smtp": relay.port,
                    "tokens": tokens})})
    return Walk(done)


@pytest.mark.parametrize("step", STEPS)
def test_page_fresh(walk, step):
    walk.step(step)


def test_each_step_of_the_fresh_walk_is_asked_for(walk):
    walk.has_only(STEPS)
