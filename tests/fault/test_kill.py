"""kill -9 under load: nothing acknowledged is lost (Q1 to Q5)."""

import json
import pathlib
import subprocess
import sys

from relay import LONG

KILL = pathlib.Path(__file__).resolve().parent / "kill.py"


def kill(*options):
    done = subprocess.run([sys.executable, KILL, *options],
                          capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout.splitlines()[-1])


def test_nothing_acknowledged_is_lost_when_the_relay_is_killed():
    done, result = kill("--kills", "500" if LONG else "20")
    assert result["lost"] == 0, result
    assert result["duplicates"] == 0, result
    assert result["bad"] == 0 and result["strangers"] == 0, result
    assert result["queue_empty"], result
    assert result["reported"] > 0, result
    assert done.returncode == 0, (result, done.stderr)
