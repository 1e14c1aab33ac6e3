"""kill -9 of the relay and of sendmail: what was left in the drop folder becomes mail, once."""

import json
import pathlib
import subprocess
import sys

from relay import LONG

DROPPED = pathlib.Path(__file__).resolve().parent / "dropped.py"


def test_each_message_left_becomes_one_whoever_is_killed_when():
    done = subprocess.run(
        [sys.executable, DROPPED, "--kills", "400" if LONG else "12"],
        capture_output=True, text=True)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    for bad in ("lost", "halves", "doubled", "strangers", "left", "failed"):
        assert result[bad] == 0, result
    assert result["said_yes"] > 0, result
    assert done.returncode == 0, (result, done.stderr)
