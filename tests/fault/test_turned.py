"""kill -9 of either end of a turned session: nothing acknowledged is lost (Q1 to Q5)."""

import json
import pathlib
import subprocess
import sys

import pytest

from relay import LONG

TURNED = pathlib.Path(__file__).resolve().parent / "turned.py"


@pytest.mark.parametrize("side, kills", [("provider", 10), ("customer", 5)])
def test_nothing_is_lost_when_one_end_of_a_turned_session_is_killed(side, kills):
    done = subprocess.run(
        [sys.executable, TURNED, "--side", side, "--kills",
         "100" if LONG else str(kills), "--ahead", "1500"],
        capture_output=True, text=True)
    assert done.stdout, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    for bad in ("lost", "duplicates", "bad", "strangers"):
        assert result[bad] == 0, result
    assert result["queue_empty"] and result["turned"] > kills / 2, result
    assert result["reported"] > 0, result
    assert done.returncode == 0, (result, done.stderr)
