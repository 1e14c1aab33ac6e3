"""What all tests with real peers share: where their files are, and what tests/run is told.

A unix socket's path has 107 bytes at most, and pytest's own folders grow with the number of
its runs (pytest-9, pytest-10 ...), so that what fits today does not tomorrow. Each run has a
short one of its own; what it leaves is kept where a test has failed.

How fast a machine is must not decide, what the relay does must. A test that ran out of time
beside another file (a wait's TimeoutError, a socket's, subprocess.TimeoutExpired, a browser's
wait) has seen nothing wrong yet: its verdict is "late", and tests/run asks it once more,
alone, after all others. A wrong answer, which is everything else, is a failure at once, and so
is whatever goes wrong in tests/fault: what does not come there may have been lost.

WAYPOST_VERDICTS names the file: a line for each test, verdict, tab and name.
"""

import os
import shutil
import signal
import subprocess
import tempfile

import pytest

LINES, SIZE, WIDTH = 60, 4000, 300  # of what a failing test printed, and of its own text
told = set()
LATE = (TimeoutError, subprocess.TimeoutExpired)


def shortened(text):
    """The end of it, no line wider than a reader can use."""
    lines = [line if len(line) <= WIDTH else line[:WIDTH] + f"... ({len(line)} characters)"
             for line in text.splitlines()]
    kept = lines[-LINES:]
    while sum(map(len, kept)) > SIZE:
        kept.pop(0)
    if len(kept) < len(lines):
        kept.insert(0, f"... ({len(lines) - len(kept)} lines before)")
    return "\n".join(kept)


def is_late(error):
    """Also where a start names the wait that it gave up as its cause."""
    return isinstance(error, LATE) or isinstance(error.__cause__, LATE)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed:
        return
    report.late = (call.excinfo is not None and is_late(call.excinfo.value)
                   and item.path.parent.name != "fault")
    report.sections = [(name, shortened(text)) for name, text in report.sections]
    entries = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
    for entry in entries:
        entry.lines = shortened("\n".join(entry.lines)).splitlines()
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash:
        crash.message = crash.message[:WIDTH]
    if report.longreprtext in told:  # what a whole file stands on
        report.sections, entries[:-1] = [], []
    told.add(report.longreprtext)


class Verdicts:
    """The worst that was said of each test."""

    order = ("passed", "skipped", "late", "failed")

    def __init__(self, path):
        self.path, self.of = path, {}

    def say(self, name, verdict):
        self.of[name] = max(self.of.get(name, "passed"), verdict, key=self.order.index)

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.say(report.nodeid, "late" if getattr(report, "late", False) else "failed")
        else:
            self.say(report.nodeid, report.outcome)

    def pytest_collectreport(self, report):
        if report.failed:
            self.say(report.nodeid, "failed")

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter._tw.fullwidth = 200  # of the lines that name failures

    def pytest_unconfigure(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.writelines(f"{verdict}\t{name}\n" for name, verdict in self.of.items())


def take_signals():
    """What a shell starts in the background ignores Ctrl-C, and hands that on to all that it
    starts: programs that tests interrupt would not end."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def pytest_configure(config):
    """In a worker of xdist the folder is given, and nobody asks for verdicts."""
    if not hasattr(config, "workerinput"):
        take_signals()
    config.own_folder = None
    if not config.option.basetemp:
        config.own_folder = config.option.basetemp = tempfile.mkdtemp(
            prefix="w", dir="/tmp")
    path = os.environ.get("WAYPOST_VERDICTS")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Verdicts(path), "verdicts")


def pytest_sessionfinish(session, exitstatus):
    folder = session.config.own_folder
    if folder and exitstatus == 0:
        shutil.rmtree(folder, ignore_errors=True)
