"""A system of its own for each file, and a sink that is a host for it."""

import os
import pathlib
import sys

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).parent),
                str(pathlib.Path(__file__).parents[1] / "peers")]
import relay  # noqa: E402
from room import Room  # noqa: E402


@pytest.fixture(scope="module")
def room():
    r = Room(os.environ["WAYPOST_BASE"])
    try:
        yield r
    finally:
        r.close()


@pytest.fixture(scope="module")
def sink():
    with relay.Sink(port=2600) as s:
        yield s
