"""What the relay is doing, in a terminal: drawn, redrawn, and given back as it was."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

import pytest

from relay import Relay, Sink, end, free_port, on_terminal as terminal, program, wait_for

NOTE = b"Subject: a note\r\n\r\nIt can wait.\r\n"
UNAVAILABLE = 69
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """`waypost top` in a terminal of so many columns and rows."""

    def __init__(self, r, columns=100, rows=24):
        # it is opened behind the listener that Relay waits for
        wait_for((r.folder / "admin.sock").exists)
        self.master, slave = pty.openpty()
        self.size(columns, rows, slave)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [program(), "top", "-c", r.config], stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True, env=terminal(),
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave, self.said = slave, b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)
        os.close(self.master)
        os.close(self.slave)

    def size(self, columns, rows, fd=None):
        fcntl.ioctl(fd or self.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            self.said += os.read(self.master, 65536)
        return self.said

    def page(self):
        """The latest whole one, its lines without colours."""
        pages = self.read().split(b"\x1b[H")
        done = [p for p in pages if b"\x1b[J" in p]
        text = done[-1].split(b"\x1b[J")[0] if done else b""
        return re.sub(rb"\x1b\[[0-9;]*[mK]", b"", text).decode().replace("\r", "").split("\n")

    def sees(self, text, seconds=8):
        return wait_for(lambda: any(text in line for line in self.page()),
                        seconds, f"{text} on the screen")

    def type(self, keys):
        os.write(self.master, keys)

    def is_as_before(self):
        self.read()
        return (self.said.rstrip().endswith(LEAVE) and
                self.said.count(ENTER) == self.said.count(LEAVE) and
                termios.tcgetattr(self.slave) == self.before)


def on_terminal(r, columns, *words, term="xterm"):
    """What a verb says on a terminal, without colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [program(), *words, "-c", r.config], stdin=slave, stdout=slave,
        stderr=subprocess.DEVNULL, env=terminal(TERM=term))
    os.close(slave)
    said = b""
    try:
        while more := os.read(master, 65536):
            said += more
    except OSError:
        pass  # how a terminal tells that nobody is left
    process.wait(30)
    os.close(master)
    return re.sub(rb"\x1b\[[0-9;]*[mK]", b"", said).decode().replace("\r", "").splitlines()


def wide(text):
    """Columns, as the library counts them."""
    return sum(0 if unicodedata.combining(c) else
               2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_tables_fit_the_terminal_whatever_the_names(tmp_path):
    long = f"{'a' * 60}.{'b' * 60}.test"
    with Relay(tmp_path / "r", {"*": f"smtp://127.0.0.1:{free_port()}"}) as r:
        with r.client() as c:
            for domain in (long, "メール.例え.test", "한국한국한국한국.test"):
                c.command("MAIL FROM:<鈴木一郎鈴木一郎鈴木一郎鈴木一郎@from.test> SMTPUTF8")
                assert c.command(f"RCPT TO:<🚚🚚🚚🚚🚚🚚🚚🚚🚚🚚@{domain}>").code == 250
                c.command("DATA")
                c.send(NOTE + b".\r\n")
                assert c.reply().code == 250
        wait_for(lambda: any("backing-off" in line for line in on_terminal(
            r, 80, "dest", "list")), 20, "a destination that is down")
        for words, columns in ((("dest", "list"), (40, 80, 200)),
                               (("queue", "list"), (80, 200)),
                               (("queue", "shape"), (80, 200))):
            for n in columns:
                lines = on_terminal(r, n, *words)
                assert len(lines) > 1 and max(map(wide, lines)) <= n, (words, n, lines)
        [line] = [x for x in on_terminal(r, 200, "dest", "list") if "backing-off" in x]
        assert "connection refused" in line and re.search(r" 3 +", line), line
        # where nothing can be drawn over, it is one page
        page = on_terminal(r, 100, "top", term="dumb")
        assert page[0].startswith("Waypost ") and not any("\x1b" in x for x in page)


def test_where_there_is_no_terminal_it_is_one_plain_page(tmp_path):
    rules = ('rule "no spam" { from = {"bad@from.test"}  action = reject }\n'
             'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n')
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}, rules=rules) as r:
        s.refuse()
        with r.client() as c:
            assert c.mail(NOTE).code == 250
            c.command("MAIL FROM:<bad@from.test>")
            c.command("RCPT TO:<a@to.test>")
        wait_for(lambda: b"backing-off" in r.verb("top").stdout)
        text = r.verb("top", "--once").stdout.decode()
        assert "\x1b" not in text
        for word in ("Waypost ", "accepted", "LAST HOUR", s.hop, "backing-off",
                     "connection refused", "no spam", "554"):
            assert word in text, word
        assert r.verb("top", "--what", check=False).returncode == 64
    done = r.verb("top", check=False)
    assert done.returncode == UNAVAILABLE and b"no relay answers" in done.stderr


def test_views_keys_and_the_size_of_the_terminal(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}) as r:
        s.refuse()
        with r.client() as c:
            assert c.mail(NOTE, to=[f"a{i}@to.test" for i in range(5)]).code == 250
        with Terminal(r) as t:
            t.sees("[1 flow]")
            t.sees("LAST HOUR")
            t.type(b"\t")
            t.sees("[2 destinations]")
            t.sees("backing-off")
            t.type(b"\x1b[C")
            t.sees("[3 refusals]")
            t.type(b"\x1b[D")
            t.sees("[2 destinations]")
            t.type(b"1")
            t.sees("[1 flow]")
            t.size(40, 6)
            wait_for(lambda: len(t.page()) <= 6 and max(map(len, t.page())) <= 40,
                     5, "the smaller page")
            t.size(120, 30)
            wait_for(lambda: len(t.page()) > 8, 5, "the larger page")
            t.type(b"q")
            assert t.process.wait(60) == 0
            assert t.is_as_before()


def test_what_happens_is_shown_live_and_escaped(tmp_path):
    with Sink({"rcpt": b"550 5.1.1 no \x1b[2J\x9b31m one\r\n"}) as s, \
            Relay(tmp_path / "r", {"*": s.hop}) as r, Terminal(r, 600) as t:
        t.sees("[1 flow]")
        t.type(b"4")
        t.sees("[4 live]")

        def is_told():  # from when it listens
            with r.client() as c:
                assert c.mail(NOTE).code == 250
            time.sleep(0.3)
            return any("bounced" in line for line in t.page())
        wait_for(is_told, what="bounced on the screen")
        t.sees("\\x1B[2J")
        frame = t.read()
        ours = re.sub(rb"\x1b\[(\?1049[hl]|\?25[hl]|\?7[hl]|2J|H|K|J|[0-9;]*m)",
                      b"", frame.replace(b"\x1b[2J", b"", 1))
        assert b"\x1b" not in ours and b"\x9b31m" not in ours
        t.type(b"q")
        assert t.process.wait(60) == 0


@pytest.mark.parametrize("number, code", [
    (signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0),
    (signal.SIGABRT, -signal.SIGABRT)])
def test_a_signal_gives_the_terminal_back(tmp_path, number, code):
    with Relay(tmp_path / "r", {"*": "smtp://127.0.0.1:1"}) as r, Terminal(r) as t:
        t.sees("[1 flow]")
        t.process.send_signal(number)
        assert t.process.wait(60) == code
        assert t.is_as_before()


def test_a_relay_that_goes_is_told_on_the_usual_screen(tmp_path):
    with Relay(tmp_path / "r", {"*": "smtp://127.0.0.1:1"}) as r, Terminal(r) as t:
        t.sees("[1 flow]")
        r.stop()
        assert t.process.wait(60) == UNAVAILABLE
        after = t.read().rsplit(LEAVE, 1)[1]
        assert b"no relay answers" in after
        assert termios.tcgetattr(t.slave) == t.before
