"""Fixtures for the tests with real peers."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import relay as relay_module  # noqa: E402


@pytest.fixture
def sink():
    with relay_module.Sink() as s:
        yield s


@pytest.fixture
def relay(tmp_path, sink):
    """A relay whose every message goes to `sink`."""
    with relay_module.Relay(tmp_path / "relay", {"*": sink.hop}) as r:
        yield r
