"""Each verb called wrongly, or where it cannot do its work: one sentence on standard error that
names what is wrong, sysexits' code, and nothing on standard output.

The calls are made from the verbs' own tables, as the manual prints them: a new verb or option
is in it by itself.
"""

import fcntl
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import termios

import pytest

import relay as peers
from relay import Relay, Sink, wait_for

USAGE, UNAVAILABLE, IOERR, NOPERM, CONFIG = 64, 69, 74, 77, 78
NOBODY = 65534
ENDED_BY_SIGPIPE = -13

# What makes a call of it a whole one, where it needs more than the words that it begins with.
WHOLE = {
    ("explain",): ["--client", "192.0.2.7", "--from", "a@b.test", "--to", "c@d.test"],
    ("replay",): ["--config", "{config}"],
    ("selftest",): ["--no-network"],
    ("top",): ["--once"],
    ("backup",): ["{folder}/backup"],
    ("restore",): ["--check", "{folder}/backup"],
    ("queue", "show"): ["01HF8M5XK3QZA"],
    ("queue", "cat"): ["01HF8M5XK3QZA"],
    ("queue", "move"): ["--all", "--route", "*"],
    **{("queue", order): ["--all"]
       for order in ("hold", "release", "delete", "undelete", "bounce")},
    ("dest", "show"): ["x.test"], ("dest", "suspend"): ["x.test"],
    ("dest", "resume"): ["x.test"], ("dest", "retry"): ["x.test"],
    ("dest", "probe"): ["x.test"],
    ("user", "add"): ["joe"], ("user", "delete"): ["joe"],
    ("token", "add"): ["joe", "--role", "read"], ("token", "delete"): ["joe"],
    ("sendmail",): ["joe@x.test"],
}
# They end with the relay, or never.
ENDLESS = {("run",), ("follow",)}
# What a value can be that is none of these.
KINDS = {"N", "DURATION", "TIME", "ID", "STATE", "IP", "ROLE"}


class Place:
    """A verb, or a word of one, with its options: {name: what its value is called}."""

    def __init__(self, words, config, asks):
        self.words, self.config, self.asks, self.options = words, config, asks, {}

    def __repr__(self):
        return " ".join(self.words)


def run(*words, **options):
    return subprocess.run([peers.program(), *map(str, words)], capture_output=True, text=True,
                          timeout=60, errors="replace",
                          **{"stdin": subprocess.DEVNULL, **options})


def read_tables():
    """The places of all verbs, and the filters. What all words of a verb share stands with the
    first of them."""
    text = run("help", "--man").stdout
    listed = re.findall(r"^  (\w\S+) ", run("help").stdout, re.M)
    places = []
    text, _, after = text.partition("\n# FILTERS")
    filters = dict(re.findall(r"^\*\\(--\S+)\* _(\S+)_$", after, re.M))
    parts = re.split(r"^\*waypost (\S+)\* ?", text, flags=re.M)
    for verb, body in zip(parts[1::2], parts[2::2]):
        head, _, body = body.partition("\n")
        config = ("-c" if head.startswith("[-c") else
                  "-C" if re.search(r"-C\*? _?FILE", head + body) else None)
        own = Place((verb,), config, "69 no relay" in body)
        mine = []
        for tabs, name, value in re.findall(r"^(\t+)\*(\S+)\*(?: _(.*)_)?$", body, re.M):
            name = name.replace("\\", "")
            if name[0] == "-":
                of = mine[-1] if len(tabs) > 1 and mine else own
                if name.startswith("--"):
                    of.options[name] = value.replace("\\", "")
            else:
                mine.append(Place((verb, name), config, own.asks))
        (mine or [own])[0].options.update(own.options if mine else {})
        if "[FILTERS]" in head:
            (mine or [own])[0].options["FILTERS"] = ""
        places += mine or [own]
    for place in places:
        if place.options.pop("FILTERS", None) is not None:
            place.options.update({k: v for k, v in filters.items()
                                  if k not in place.options})
    assert {p.words[0] for p in places} >= set(listed) and len(filters) > 10
    return [p for p in places if p.words[0] not in ("help", "\\--version")], filters


PLACES, FILTERS = read_tables()
OWN = [p for p in PLACES if p.config != "-C"]  # those of Postfix's names have letters
# One of each verb, where its words do not differ; all of them when there is time.
SOME = [p for i, p in enumerate(PLACES)
        if peers.LONG or p.words[0] != PLACES[i - 1].words[0]]


def whole(place, config, folder):
    words = [w.format(config=config, folder=folder) for w in WHOLE.get(place.words, [])]
    given = [place.config, str(config)] if place.config else []
    return [*place.words, *given, *words]


def test_the_tables_are_all_of_it():
    """Else the tests below would look at nothing, and find nothing."""
    known = {str(p): p.options for p in PLACES}
    assert {"run", "queue list", "dest probe", "completion fish", "sendmail"} <= set(known)
    assert known["queue list"]["--older"] == "TIME" and known["queue list"]["--yes"] == ""
    assert known["dest suspend"]["--for"] == "DURATION" and len(PLACES) > 35
    assert sum(p.asks for p in PLACES) > 20


def is_usage(out, *words):
    said = out.stderr.splitlines()
    return (out.returncode == USAGE and not out.stdout and said[0].startswith("waypost: ")
            and said[1].startswith("Usage: waypost ") and all(w in said[0] for w in words))


def test_a_call_that_is_not_as_the_table_says_is_told_by_its_word():
    wrong = []
    tried = set()
    for place in OWN:
        calls = [(["--no-such"], "--no-such")]
        if place in SOME:
            calls += [(["-x"], "-x"), ([""], "empty"), (["one", "two", "three", "four"], "")]
        for name, value in place.options.items():
            if not peers.LONG and (name, value) in tried:
                continue  # a filter that another verb has, too
            tried.add((name, value))
            calls.append(([name] if value else [f"{name}=1"], name))
            if value and (peers.LONG or name == next(iter(place.options))):
                calls += [([f"{name}="], name), ([name, ""], name),
                          ([name, "1", f"{name}=1"], name)]
        for words, told in calls:
            out = run(*place.words, *words)
            # a value that is none may be told before that it is there twice
            if not is_usage(out, told.lstrip("-")):
                wrong.append((place, words, out))
    assert not wrong, wrong


def test_a_value_that_is_none_is_told(tmp_path):
    wrong = []
    (tmp_path / "x.conf").write_text("")
    for place in OWN:
        for name, value in place.options.items():
            if value not in KINDS:
                continue
            if place not in SOME and name in FILTERS:
                continue
            for bad in ("x", "-1", "99999999999999999999") if peers.LONG else ("1x",):
                words = [w for w in whole(place, tmp_path / "x.conf", tmp_path)]
                if name in words:
                    at = words.index(name)
                    del words[at:at + 2]
                out = run(*words, name, bad)
                if out.returncode not in (USAGE, 65) or out.stdout or not (
                        name.lstrip("-") in out.stderr or bad in out.stderr):
                    wrong.append((place, name, bad, out))
    assert not wrong, wrong


def test_a_configuration_that_is_missing_or_wrong_is_told_by_its_place(tmp_path):
    faulty = tmp_path / "faulty.conf"
    faulty.write_text('hostname = "x.test"\nhostnam = "x"\n')
    for place in SOME:
        if not place.config:
            continue
        for config, told in ((tmp_path / "none.conf", "none.conf.*No such file"),
                             (faulty, r"faulty\.conf:2:\d+: .*hostnam")):
            out = run(*whole(place, config, tmp_path))
            assert out.returncode == CONFIG, (place, out)
            # selftest's lines are its answer
            assert re.search(told, out.stderr + out.stdout), (place, out)
            assert place.words == ("selftest",) or not out.stdout, (place, out)


def test_without_a_relay_who_asks_it_is_told_where_it_was_looked_for(tmp_path):
    config = tmp_path / "x.conf"
    config.write_text(f'queue {{ path = "{tmp_path}/queue.db" }}\n'
                      f'admin {{ socket = "{tmp_path}/admin.sock" }}\n')
    for place in PLACES:
        if place.asks:
            out = run(*whole(place, config, tmp_path))
            assert (out.returncode, out.stdout) == (UNAVAILABLE, ""), (place, out)
            assert out.stderr.count("\n") == 1 and f"{tmp_path}/admin.sock" in out.stderr, out


# ------------------------------------------------------------- with a relay ----

@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """One with mail that waits. Its folder can be reached by others, as /var can."""
    folder = tmp_path_factory.mktemp("calls")
    for up in [folder, *folder.parents]:
        if up.stat().st_uid == os.getuid() and up != pathlib.Path("/"):
            up.chmod(up.stat().st_mode | 0o711)
    folder.chmod(0o755)
    with Sink({"rcpt": b"450 4.2.0 Busy\r\n"}) as sink, \
            Relay(folder / "relay", {"*": sink.hop},
                  retry={"first": '"10min"', "most": '"1h"'}) as r:
        with r.client() as c:
            for n in range(3):
                c.mail(b"Subject: x\r\n\r\nx\r\n", "a@one.test", ("x@to.test",))
        (folder / "relay").chmod(0o755)
        wait_for(lambda: run("queue", "count", "--state", "deferred", "-c", r.config)
                 .stdout.startswith("3 "), 20, "three deferrals")
        yield r


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes nobody")
def test_who_may_not_is_told_so(busy):
    exe = shutil.copy(peers.program(), busy.folder / "waypost")
    for place in PLACES:
        if place.asks or place.words in {("history",), ("replay",)}:
            if place.words == ("sendmail",):
                continue
            out = subprocess.run([exe, *whole(place, busy.config, "/tmp")], user=NOBODY,
                                 group=NOBODY, extra_groups=[], cwd="/", text=True,
                                 capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            assert (out.returncode, out.stdout) == (NOPERM, ""), (place, out)
            assert out.stderr.count("\n") == 1 and re.search("may (not|look)", out.stderr), (place, out)


def test_a_reader_that_goes_away_is_not_spoken_of(busy, tmp_path):
    for place in SOME:
        if place.words in ENDLESS:
            continue
        reader, writer = os.pipe()
        os.close(reader)
        out = subprocess.run([peers.program(), *whole(place, busy.config, tmp_path)],
                             stdout=writer, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                             text=True, timeout=60)
        os.close(writer)
        if out.returncode in (0, ENDED_BY_SIGPIPE):
            assert not out.stderr, (place, out)
        # what had nothing to print, but something to say
        assert out.returncode in (0, ENDED_BY_SIGPIPE) or out.stderr or \
            place.words == ("selftest",), (place, out)
        assert "written" not in out.stderr and "ipe" not in out.stderr, (place, out)


def test_output_that_is_lost_is_told(busy, tmp_path):
    """Also where there is none: the next file that is opened must not be taken for it."""
    for place in SOME:
        words = whole(place, busy.config, tmp_path)
        if place.words in ENDLESS or place.words[0] in ("user", "token", "dest") or \
                place.words == ("selftest",) or not run(*words).stdout:
            continue
        for redirect in (">/dev/full", ">&-"):
            out = subprocess.run(["sh", "-c", f'"$@" {redirect}', "sh", peers.program(), *words],
                                 capture_output=True, stdin=subprocess.DEVNULL, text=True,
                                 timeout=60)
            assert out.returncode == IOERR and "written" in out.stderr, (place, redirect, out)
    assert run("restore", "--check", tmp_path / "backup").returncode == 0


def test_closed_streams_and_a_narrow_terminal_stop_nobody(busy, tmp_path):
    for place in SOME:
        if place.words in ENDLESS:
            continue
        words = [str(peers.program()), *whole(place, busy.config, tmp_path)]
        for redirect in ("<&-", "2>&-", "<&- >&- 2>&-") if peers.LONG else ("<&- >&- 2>&-",):
            out = subprocess.run(["sh", "-c", f'"$@" {redirect}', "sh", *words],
                                 capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            assert 0 <= out.returncode <= 78, (place, redirect, out)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 20, 0, 0))
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                                   env={**os.environ, "TERM": "xterm"})
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:
            pass  # it has ended
        os.close(ours)
        assert 0 <= process.wait(60) <= 78 and b"\0" not in shown, (place, shown)
    # a message that could not be read is none
    out = subprocess.run(["sh", "-c", '"$@" <&-', "sh", peers.program(), "sendmail", "-C",
                          busy.config, "joe@x.test"], capture_output=True, timeout=60)
    assert out.returncode == IOERR and b"cannot read the message" in out.stderr
