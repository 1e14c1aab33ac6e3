"""Where all tests with real peers keep their files.

A unix socket's path has 107 bytes at most, and pytest's own folders grow with the number of
its runs (pytest-9, pytest-10 ...), so that what fits today does not tomorrow. Each run has a
short one of its own; what it leaves is kept where a test has failed.
"""

import shutil
import tempfile


def pytest_configure(config):
    """In a worker of xdist it is given."""
    config.own_folder = None
    if not config.option.basetemp:
        config.own_folder = config.option.basetemp = tempfile.mkdtemp(
            prefix="w", dir="/tmp")


def pytest_sessionfinish(session, exitstatus):
    folder = session.config.own_folder
    if folder and exitstatus == 0:
        shutil.rmtree(folder, ignore_errors=True)
