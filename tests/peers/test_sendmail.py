"""Programs of this machine: sendmail, mailq and newaliases, the drop folder, aliases."""

import email
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from peers import Missing, unpacked, with_libraries
from relay import LONG, Relay, Sink, free_port, program, wait_for

NOBODY = 65534
NEXT = "smtp://127.0.0.1:1"  # nobody listens there: what is taken stays


class Machine(Relay):
    """A relay, and the programs beside it as other users can call them."""

    def __init__(self, folder, *args, aliases="", top="", **kw):
        folder = pathlib.Path(folder)
        (folder / "aliases").write_text(aliases)
        for name in ("sendmail", "mailq", "newaliases", "waypost"):
            shutil.copy(program(), folder / name)
        super().__init__(folder, *args, top=(
            f'origin = "example.org"\naliases = "{folder}/aliases"\n' + top), **kw)
        self.drop = folder / "drop"

    def call(self, name, *words, text=b"", uid=None, env=None):
        as_user = [] if uid is None else [
            "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        return subprocess.run(
            [*as_user, self.folder / name, *words], input=text, timeout=60,
            capture_output=True, cwd="/",
            env={"PATH": os.environ["PATH"], "WAYPOST_CONFIG": str(self.config),
                 **(env or {})})

    def sendmail(self, *words, text=b"Subject: x\n\nhello\n", code=0, **kw):
        done = self.call("sendmail", *words, text=text, **kw)
        assert done.returncode == code, (done.returncode, done.stderr)
        return done.stderr.decode()

    def waiting(self):
        """{sender: its recipients}"""
        return {m["sender"]: sorted(r["address"] for r in m["recipients"])
                for m in self.queue_list()}


@pytest.fixture
def folder():
    """One that every user can reach."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="waypost-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def needs_root():
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")


# --------------------------------------------------------------- the message ----

def test_cron_and_php_mail_arrives_as_aliases_and_postmaster_say(folder):
    with Sink() as sink, Machine(
            folder, {"*": sink.hop}, rules="", top='postmaster = "ops@example.net"\n',
            aliases="root: admin@example.com,\n  night@example.com\n"
                    "backup: root\nbin: /dev/null\n") as m:
        # as cron calls it
        m.sendmail("-FCronDaemon", "-i", "-B8BITMIME", "-oem", "backup", text=(
            b"From: root (Cron Daemon)\nTo: backup\nSubject: Cron\n\n.\n\xc3\xa4\n"))
        # as PHP's mail() does
        m.sendmail("-t", "-i", text=(
            b"To: Ann <ann@example.com>\r\nSubject: php\r\nBcc: secret@example.com\r\n"
            b"X-Long: " + b"x" * 5000 + b"\r\n\r\nhello\r\n.\r\nmore"))
        m.sendmail("mailer-daemon", "bin")
        wait_for(lambda: len(sink.messages) == 3, what="three messages")
        cron, php, daemon = (next(s for s in sink.messages if key in s.content)
                             for key in (b"Subject: Cron", b"Subject: php",
                                         b"Subject: x"))
        assert sorted(cron.recipients) == ["admin@example.com", "night@example.com"]
        assert sorted(php.recipients) == ["ann@example.com", "secret@example.com"]
        assert daemon.recipients == ["ops@example.net"]
        assert b"\r\n.\r\n\xc3\xa4\r\n" in cron.content
        assert b"secret" not in php.content and b"\r\n.\r\nmore\r\n" in php.content
        head = email.message_from_bytes(php.content)
        assert head["From"] and head["Date"] and head["Message-ID"]
        uid = os.getuid()
        assert re.search(rf"by relay.test \(Waypost, from userid {uid}\)\s+id \w+; ",
                         head["Received"])
        assert re.search(r"client=localhost\[127.0.0.1\], listener=sendmail, login=\w+",
                         m.log())


def test_the_envelope_is_what_was_asked_for(folder):
    with Sink() as sink, Machine(folder, {"*": sink.hop}, rules="") as m:
        m.sendmail("-f", "", "-N", "never", "-R", "hdrs", "-V", "id 9", "a@b.example")
        m.sendmail("-r", "joe@example.com", "-F", "Joe, \"X\"", "a@b.example",
                   text=b"no header\n\nat all\n")
        m.sendmail("a@b.example", "--", "c", text=b"Subject: dot\n\nseen\n.\nunseen\n")
        wait_for(lambda: len(sink.messages) == 3, what="three messages")
        null = next(s for s in sink.messages if s.sender == "")
        joe = next(s for s in sink.messages if s.sender == "joe@example.com")
        dot = next(s for s in sink.messages if b"dot" in s.content)
        assert null.recipients == ["a@b.example"]
        assert b'From: "Joe, \\"X\\"" <joe@example.com>\r\n' in joe.content
        assert b"\r\n\r\nno header\r\n\r\nat all\r\n" in joe.content
        assert b"unseen" not in dot.content
        assert sorted(dot.recipients) == ["a@b.example", "c@example.org"]


def test_refusals_are_told_and_nothing_is_sent(folder):
    rules = ('rule "no" { to = {"no@example.com"}  action = reject  '
             'reply = "550 5.1.1 no such" }\n'
             'rule "later" { to = {"later@example.com"}  action = defer }\n')
    with Machine(folder, {"*": NEXT}, rules=rules, aliases='prog: "|/bin/cat"\n',
                 limits={"message": '"100KB"'}) as m:
        assert "no such" in m.sendmail("a@example.com", "no@example.com", code=67)
        assert "4.7.1" in m.sendmail("a@example.com", "later@example.com", code=75)
        assert "program" in m.sendmail("prog", code=69)
        assert "bytes" in m.sendmail("a@example.com", text=b"x" * 200000, code=65)
        assert "address" in m.sendmail("a b@example.com>", code=65)
        assert "-t" in m.sendmail(code=64)
        assert "names no" in m.sendmail("-t", code=65)
        assert "-Z" in m.sendmail("-Z", code=64)
        assert "waypost run" in m.sendmail("-bd", code=64)
        assert not m.queue_list()


def test_who_is_not_named_is_told_so(folder):
    needs_root()
    with Machine(folder, {"*": NEXT}, rules="",
                 extra='sendmail { users = {"root"} }\n') as m:
        m.sendmail("-f", "r@example.org", "a@example.com")
        assert "nobody" in m.sendmail("a@example.com", uid=NOBODY, code=77)
        asked = m.call("waypost", "queue", "count", uid=NOBODY)
        assert asked.returncode == 77 and b"may not ask" in asked.stderr, asked
        m.stop()
        m.sendmail("-f", "n@example.org", "a@example.com", uid=NOBODY)
        m.start()
        m.wait_log("dropped by nobody and refused")
        assert set(m.waiting()) == {"r@example.org", "MAILER-DAEMON"}


def test_smtp_on_standard_input(folder):
    with Machine(folder, {"*": NEXT}, rules="") as m:
        said = m.call("sendmail", "-bs", text=(
            b"EHLO me\r\nMAIL FROM:<joe>\r\nRCPT TO:<ann>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n"))
        assert said.returncode == 0 and b"queued as" in said.stdout
        assert m.waiting() == {"joe@example.org": ["ann@example.org"]}
    said = m.call("sendmail", "-bs")
    assert said.returncode == 75 and said.stdout.startswith(b"421 4.3.2 ")


def test_mail_of_bsd_mailx_arrives(folder):
    try:
        root = unpacked("bsd-mailx")
        mail = root / "usr/bin/bsd-mailx"
        env = with_libraries(root, mail, ["libbsd0", "liblockfile1"])
    except Missing as e:
        pytest.skip(str(e))
    with Sink() as sink, Machine(folder, {"*": sink.hop}, rules="") as m:
        (folder / "mailrc").write_text(f"set sendmail={folder}/sendmail\n")
        subprocess.run([mail, "-n", "-s", "from mail", "-c", "carl@example.com", "ann"],
                       input=b"body\n", check=True, timeout=30, cwd="/", env={
                           **env, "MAILRC": f"{folder}/mailrc",
                           "WAYPOST_CONFIG": str(m.config)})
        wait_for(lambda: sink.messages, what="a message")
        assert sorted(sink.messages[0].recipients) == ["ann@example.org",
                                                       "carl@example.com"]


# -------------------------------------------------------- mailq, newaliases ----

def test_mailq_has_the_columns_of_postfix(folder):
    with Machine(folder, {"*": NEXT},
                 rules='rule "h" { to = {"held@example.com"}  action = hold }\n') as m:
        assert m.call("mailq").stdout == b"Mail queue is empty\n"
        m.sendmail("-f", "joe@example.org", "ann@example.com", "bob@example.com")
        m.sendmail("-f", "", "held@example.com")
        m.wait_log("rests for")
        lines = m.call("sendmail", "-bp").stdout.decode().splitlines()
        assert lines[0] == ("-Queue ID-  --Size-- ----Arrival Time---- "
                            "-Sender/Recipient-------")
        row = r"^(\w+)([*! ]) +(\d+) (\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d)  (\S+)$"
        rows = {r[5]: r for r in (re.match(row, x) for x in lines) if r}
        assert rows["joe@example.org"][2] == " "
        assert rows["MAILER-DAEMON"][2] == "!"
        assert any(re.match(r"^ +\(.*refused\)$", x) for x in lines)
        assert re.match(r"^ {41,42}ann@example.com$", next(
            x for x in lines if "ann@" in x))
        assert re.match(r"^-- \d+ Kbytes in 2 Requests\.$", lines[-1])
        assert m.call("sendmail", "-q").returncode == 0
        if os.getuid() == 0:
            other = m.call("mailq", uid=NOBODY)
            assert other.returncode == 77 and b"only root" in other.stderr
        # as a verb it takes what every verb does, on either side of it
        for words in (("mailq", "-c", m.config), ("-c", m.config, "mailq")):
            out = subprocess.run([program(), *words], capture_output=True).stdout
            assert b" in 2 Requests" in out
    assert m.call("mailq").returncode == 69


def test_a_changed_file_of_aliases_is_read_by_itself(folder):
    with Machine(folder, {"*": NEXT}, rules="", aliases="ann: old@example.com\n") as m:
        done = m.call("newaliases")
        assert done.returncode == 0 and b": 1 aliases" in done.stdout
        (folder / "aliases").write_text("ann: new@example.com\n bob\n")
        bad = m.call("newaliases")
        assert bad.returncode == 65 and b"/aliases:1:1: " in bad.stderr, bad
        m.wait_log("tables not read again")
        m.sendmail("-f", "a@example.org", "ann")
        (folder / "aliases").write_text("ann: new@example.com\nbob: ann\n")
        m.wait_log("aliases .* read again: 2 names")
        m.sendmail("-f", "b@example.org", "bob@localhost")
        assert m.waiting() == {"a@example.org": ["old@example.com"],
                               "b@example.org": ["new@example.com"]}


def test_a_users_missing_list_puts_off_his_alias_alone(folder):
    (folder / "lists").mkdir()
    with Machine(folder, {"*": NEXT}, rules="", aliases=(
            f"joe: joe@example.com\nall: joe, :include:{folder}/lists/all\nboss: all\n")) as m:
        told = m.verb("check", check=False)
        assert told.returncode == 0, told
        assert b'/aliases:2:1: warning: "' in told.stderr
        assert "/aliases:2:1: warning: " in m.log()
        m.sendmail("-f", "a@example.org", "all")  # it waits in the drop folder
        said = m.call("sendmail", "-bs", text=(
            b"EHLO me\r\nMAIL FROM:<joe>\r\nRCPT TO:<boss>\r\nQUIT\r\n"))
        assert (b"451 4.3.5 <boss@example.org>: a list that its alias includes cannot "
                b"be read now") in said.stdout
        m.sendmail("-f", "b@example.org", "joe")
        m.process.send_signal(signal.SIGHUP)
        m.wait_log("configuration reloaded")
        (folder / "lists" / "all").write_text("new@example.com\n")
        m.wait_log("list .*/lists/all read again")
        m.sendmail("-f", "c@example.org", "all")
        wait_for(lambda: len(m.waiting()) == 3, 30, "what was left")
        assert m.waiting() == {"a@example.org": ["joe@example.com", "new@example.com"],
                               "b@example.org": ["joe@example.com"],
                               "c@example.org": ["joe@example.com", "new@example.com"]}


def test_faults_of_aliases_are_told_by_check(folder):
    m = Machine(folder, {"*": NEXT}, aliases="a: b\nno colon\n")
    told = m.verb("check", check=False)
    assert told.returncode == 78 and b"/aliases:2:1: " in told.stderr


# ------------------------------------------------------------ the drop folder ----

def drop_many(machine, first, count):
    for n in range(first, first + count):
        machine.sendmail("-f", f"m{n}@example.org", "a@example.com")


def test_what_was_dropped_by_anybody_becomes_mail(folder):
    needs_root()
    with Machine(folder, {"*": NEXT}, rules="") as m:
        wait_for(m.drop.exists, what="the drop folder")
    assert (m.drop.stat().st_mode & 0o7777) == 0o1733
    m.sendmail("-f", "n@example.org", "ann@example.com", uid=NOBODY)
    m.sendmail("-f", "r@example.org", "ann@example.com")
    dropped = list(m.drop.glob("new.*"))
    assert sorted(p.stat().st_uid for p in dropped) == [0, NOBODY]
    assert m.call("sendmail", uid=NOBODY, text=b"", env={"X": "y"}).returncode == 64
    listed = subprocess.run(["setpriv", f"--reuid={NOBODY}", "--clear-groups", "ls",
                             m.drop], capture_output=True)
    assert listed.returncode != 0
    with m:
        wait_for(lambda: len(m.queue_list()) == 2, what="both")
        assert "login=nobody" in m.log()
        # one that comes while it runs, too
        (m.drop / "tmp.x").write_text(
            "waypost-drop 1\nMAIL FROM:<late@example.org>\nRCPT TO:<a@b.example>\n\nx")
        (m.drop / "tmp.x").rename(m.drop / "new.x")
        wait_for(lambda: "late@example.org" in m.waiting(), what="the third")


def test_what_is_no_message_is_kept_for_people(folder):
    m = Machine(folder, {"*": NEXT}, rules="")
    m.drop.mkdir()
    (m.drop / "junk").write_text("x")
    (m.drop / "new.bad").write_text("waypost-drop 1\nVRFY x\n")
    (m.drop / "new.link").symlink_to("/etc/passwd")
    (m.drop / "new.folder").mkdir()
    os.mkfifo(m.drop / "new.pipe")
    (m.drop / "new.one").write_text("two names")
    os.link(m.drop / "new.one", folder / "other")
    (m.drop / "tmp.young").write_text("half")
    with m:
        wait_for(lambda: len(list((m.drop / "refused").glob("*"))) == 6
                 if (m.drop / "refused").exists() else False, what="six of them")
        assert (m.drop / "tmp.young").exists()
        assert not m.queue_list()
        assert m.log().count("it is now ") == 6


def test_a_dropped_message_that_is_refused_is_reported(folder):
    rules = ('rule "no" { to = {"no@example.com"}  action = reject  '
             'reply = "550 5.1.1 no such" }\n')
    m = Machine(folder, {"*": NEXT}, rules=rules)
    m.drop.mkdir()
    m.sendmail("-f", "joe@example.com", "no@example.com", "yes@example.com")
    m.sendmail("-f", "ann@example.com", "no@example.com")
    with m:
        wait_for(lambda: len(m.queue_list()) == 3, what="one and two reports")
        assert sorted((x["sender"], x["recipients"][0]["address"])
                      for x in m.queue_list()) == [
            ("MAILER-DAEMON", "ann@example.com"), ("MAILER-DAEMON", "joe@example.com"),
            ("joe@example.com", "yes@example.com")]
        assert not list((m.drop / "jobs").glob("*"))


def test_temporary_trouble_leaves_it_where_it_is(folder):
    m = Machine(folder, {"*": NEXT}, rules='rule "l" { to = {"example.com"}  action = defer }\n')
    m.drop.mkdir()
    m.sendmail("-f", "joe@example.com", "a@example.com")
    with m:
        m.wait_log("450 4.7.1")
        assert not m.queue_list()
        assert len(list((m.drop / "jobs").glob("*"))) == 1
        m.rules = ""
        m.write_config()
        m.reload()
        wait_for(m.queue_list, 20, "the message")


def test_a_relay_that_stops_in_the_middle_is_as_one_that_is_not_there(folder):
    """What was not answered goes to the folder, so nothing is lost."""
    with Machine(folder, {"*": NEXT}, rules="") as m:
        wait_for(m.drop.exists, what="the drop folder")
        calls = [subprocess.Popen(
            [folder / "sendmail", "-f", f"m{n}@example.org", "a@example.com"],
            stdin=subprocess.PIPE, env={"WAYPOST_CONFIG": str(m.config)})
            for n in range(20)]
        for c in calls:
            c.stdin.write(b"Subject: x\n\nbody\n")
            c.stdin.close()
        time.sleep(0.02)
        m.kill()
        codes = [c.wait(30) for c in calls]
    assert codes == [0] * 20
    with m:
        wait_for(lambda: len(m.waiting()) == 20, what="all of them")


def test_each_dropped_message_becomes_one_whatever_is_killed_when(folder):
    rounds = 400 if LONG else 20
    with Sink() as sink:
        # half of them leave the queue at once: then only the history knows them
        m = Machine(folder, {"example.com": NEXT, "*": sink.hop}, rules="")
        m.drop.mkdir()
        dice, sent = random.Random(7), 0
        for _ in range(rounds):
            for _ in range(4):
                m.sendmail("-f", f"m{sent}@example.org",
                           "a@example.com" if sent % 2 else "a@example.net")
                sent += 1
            m.start(wait=False)
            time.sleep(dice.uniform(0.02, 0.2))
            m.kill()
        with m:
            wait_for(lambda: not list(m.drop.glob("new.*")) and
                     not list((m.drop / "jobs").glob("*")), 60, "an empty folder")
            wait_for(lambda: len(m.queue_list("--to", "a@example.net")) == 0, 60,
                     "the deliveries")
            kept = sorted(x["sender"] for x in m.queue_list())
            assert kept == sorted(f"m{n}@example.org" for n in range(1, sent, 2))
            # a delivery in doubt may come twice, but as the same message
            ids = {}
            for got in sink.messages:
                ids.setdefault(got.sender, set()).add(
                    email.message_from_bytes(got.content)["Message-ID"])
            assert sorted(ids) == sorted(f"m{n}@example.org" for n in range(0, sent, 2))
            assert all(len(one) == 1 for one in ids.values())


def test_a_folder_with_a_long_name_keeps_nobody_from_running_a_relay(tmp_path):
    # the admin socket's path just fits in 107 bytes, that of sendmail's beside it does not
    long = tmp_path / ("x" * (107 - len(f"{tmp_path}//a")))
    long.mkdir()
    config = tmp_path / "long.conf"
    config.write_text(f'''hostname = "relay.test"
queue {{ path = "{tmp_path}/queue.db" }}
admin {{ socket = "{long}/a" }}
listener "t" {{ address = "127.0.0.1:{free_port()}" }}
rule "l" {{ client = {{"127.0.0.0/8"}}  action = relay }}
route "*" {{ via = {{"smtp://127.0.0.1:9"}} }}
''')
    checked = subprocess.run([program(), "check", "-c", config],
                             capture_output=True, text=True)
    assert checked.returncode == 0
    assert f"{config}:1:1: warning: programs of this machine cannot" in checked.stderr
