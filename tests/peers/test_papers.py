"""Man pages, help with its examples, completions, and what reads the log."""

import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

import relay as peers
from papers import manual
from relay import ROOT, Relay, free_port, wait_for

MAN = ROOT / "relay/man"
PAGES = ("waypost.1", "waypost-sendmail.1", "waypost.conf.5", "waypost-queue.5")
ENDLESS = ("waypost run", "waypost follow")
# The example's provider is not there, and while a relay runs nothing is restored.
CODES = {"waypost fetch isp": 75, "waypost restore --hold FILE": 75,
         "waypost restore --force FILE": 75}


def waypost(*words, **options):
    return subprocess.run([peers.program(), *map(str, words)], capture_output=True,
                          text=True, timeout=60, **options)


def overview():
    return re.findall(r"^  ([a-z]+) ", waypost("help").stdout, re.M)


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A relay with something of everything that the papers speak of."""
    folder = tmp_path_factory.mktemp("papers")
    for name, text in (("users", ""), ("aliases", "root: joe@example.org\n"),
                       ("isp.password", "x\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    top = (f'users {{ file = "{folder}/users" }}\naliases = "{folder}/aliases"\n'
           f'fetch "isp" {{ from = "smtp://127.0.0.1:{free_port()}"  user = "branch"  '
           f'password-file = "{folder}/isp.password"  tls = none }}\n'
           f'sendmail {{ socket = "{folder}/submit.sock"  drop = "{folder}/drop" }}\n')
    rules = ('rule "nobody" { to = {"nobody@example.org"}  action = reject }\n'
             'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n')
    with peers.Sink() as good, \
            peers.Sink({"rcpt": b"450 4.2.0 Busy\r\n"}) as bad, \
            Relay(folder / "relay",
                  {"branch.example": bad.hop, "big customer": {
                      "via": good.hop, "to": '{"big.example"}'}, "*": good.hop},
                  rules=rules, top=top, retry={"first": '"10min"', "most": '"1h"'},
                  listener="auth = optional  auth-without-tls = true") as r:
        waypost("user", "add", "mona", "-c", r.config, input="right\n")
        with r.client() as c:
            c.mail(b"Subject: 1\r\n\r\n1\r\n", "a@example.org", ("x@branch.example",))
            c.mail(b"Subject: 2\r\n\r\n2\r\n", "b@example.org", ("joe@example.org",))
            c.command("MAIL FROM:<b@example.org>")
            assert c.command("RCPT TO:<nobody@example.org>").code == 554
        with r.client() as c:
            assert c.login("mona", "wrong").code == 535
        r.wait_log("status=sent")
        wait_for(lambda: any(m["state"] == "deferred" for m in r.queue_list()), 20)
        wait_for(lambda: r.verb("history", "--json").stdout.count(b"\n") >= 2, 20)
        r.branch = bad.hop
        r.bin = folder / "bin"
        r.bin.mkdir()
        for name in ("waypost", "sendmail", "mailq", "newaliases"):
            (r.bin / name).symlink_to(peers.program())
        r.shell = {**os.environ, "PATH": f"{r.bin}:{os.environ['PATH']}",
                   "WAYPOST_CONFIG": str(r.config), "HOME": str(folder)}
        yield r


# -------------------------------------------------------------- man pages ----

@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """{name: the page as it is read}"""
    folder, found = tmp_path_factory.mktemp("man"), {}
    for name in PAGES:
        subprocess.run([sys.executable, MAN / "make.py", MAN / f"{name}.scd", folder / name,
                        ROOT, "scdoc", peers.program()], check=True, timeout=60)
        shown = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-P", "cat", folder / name],
            capture_output=True, text=True, timeout=60,
            env={**os.environ, "MANWIDTH": "400", "LC_ALL": "C.UTF-8"})
        assert shown.returncode == 0 and not shown.stderr, (name, shown.stderr)
        found[name] = re.sub(".\b", "", shown.stdout).replace("\u2010", "-")
    return found


def test_each_verb_word_and_option_stands_in_its_page(pages):
    page = pages["waypost.1"]
    for verb in overview():
        assert re.search(rf"^ +waypost {verb}\b", page, re.M), verb
        said = waypost("help", verb).stdout.split("\nExamples:")[0]
        for option in re.findall(r"^ +(--[a-z-]+)", said, re.M):
            assert re.search(rf"^ +{option}\b", page, re.M), (verb, option)
    for example in examples():
        assert example in page


def test_no_markup_is_left_in_a_page(pages):
    for name, page in pages.items():
        assert not re.search(r"`|\*\*|\]\(#|@[A-Z]+@|\\_|\.\w*br\b", page), name
        assert not re.search(r"(?<!\S)\*\w+\*(?!\S)", page), name
    rules = pages["waypost.conf.5"]
    for text in ("*.example.org what is below it", "server = \"127.0.0.1:10023\"",
                 "status=deferred with dsn=4.7.4"):
        assert text in rules, text


def test_each_key_stands_in_its_page_with_a_type(pages):
    spec = importlib.util.spec_from_file_location("make", MAN / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    types = make.types(ROOT)
    assert sum(map(len, types.values())) > 120
    page = pages["waypost.conf.5"].split("\nKEYS\n")[1].split("\nWHAT LOG")[0]
    parts = re.split(r"^   (\S.*)$", page, flags=re.M)
    told = {("" if h == "At the top" else h.split()[0]): text
            for h, text in zip(parts[1::2], parts[2::2])}
    for section, keys in types.items():
        for key, kind in keys.items():
            assert kind, f"make.py has no type for {section} {key}"
            if section == "route" and key in types["retry"]:
                continue
            row = re.search(rf"^ +(?:\S+, )*{key}(?:, \S+)* \((.*?)\)", told[section], re.M)
            assert row and kind in row[1], (section, key, kind)


def test_each_event_of_the_log_stands_in_the_manual():
    table = (ROOT / "relay/net/logline_events.c").read_text()
    events = re.findall(r'^    \[LOG_\w+\] = \{ "([a-z-]+)"', table, re.M)
    assert len(events) > 20
    rows = manual("log.md").split("| event | line |")[1].split("\n\n")[0].splitlines()[2:]
    told = [e for row in rows for e in re.findall(r"`([a-z-]+)`", row.split(" | ")[0])]
    assert sorted(told) == sorted(events)


def test_the_documented_views_are_those_of_the_files(pages, busy):
    page = pages["waypost-queue.5"]
    for view in ("v_queue", "v_attempts", "v_lanes", "v_history", "v_verdicts"):
        told = page.split(f"\n{view.upper()}\n")[1]
        told = re.split(r"^\S", told, flags=re.M)[0]
        names = [n for line in re.findall(r"^       ([a-z_]+(?:, [a-z_]+)*)$", told, re.M)
                 for n in line.split(", ")]
        name = "queue.db" if view in ("v_queue", "v_attempts", "v_lanes") else "history.db"
        with sqlite3.connect(f"file:{busy.folder / name}?mode=ro", uri=True) as db:
            real = [row[1] for row in db.execute(f"PRAGMA table_info({view})")]
        assert sorted(names) == sorted(real), view


def test_the_questions_to_the_files_have_answers(busy):
    text = (MAN / "waypost-queue.5.scd").read_text()
    asked = re.findall(r"^\$ (sqlite3 .*?)^```", text, re.S | re.M)
    assert len(asked) >= 10
    silent = 0
    for question in asked:
        out = subprocess.run(["sh", "-c", question.replace("/var/lib/waypost", str(busy.folder))],
                             capture_output=True, text=True, timeout=30)
        assert out.returncode == 0 and not out.stderr, (question, out.stderr)
        silent += not out.stdout
    # nothing of the fixture's mail is that old
    assert silent == 0, silent


# --------------------------------------------------------------- examples ----

def examples():
    found = []
    for verb in overview():
        told = waypost("help", verb).stdout.partition("\nExamples:\n")[2]
        calls = re.findall(r"^  (\S.*)\n      \S", told, re.M)
        assert len(calls) == 2, f"{verb} has {len(calls)} examples"
        found += calls
    return found


def run_example(command, busy, folder):
    config = busy.config
    if command.startswith("waypost run"):
        config = folder / "other.conf"
        text = busy.config.read_text().replace(str(busy.folder), str(folder))
        text = text.replace(f":{busy.port}", f":{free_port()}")
        config.write_text(re.sub(r"sendmail \{.*", "", text))
    command = command.replace("/etc/waypost/waypost.conf", str(config))
    command = command.replace("/var/backups", str(folder))
    command = command.replace("smtp://mail.branch.example:25", busy.branch)
    shell = ["fish", "-c"] if command.endswith("| source") else ["bash", "-c"]
    if command.startswith(ENDLESS):
        command = f"exec {command}"
    env = dict(busy.shell)
    if peers.SANITIZED and command.startswith("exec waypost run"):
        # nobody may look into a relay, not even for leaks
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    if command.startswith("exec"):
        return interrupted([*shell, command], cwd=folder, env=env)
    return subprocess.run([*shell, command], cwd=folder, env=env, timeout=60,
                          capture_output=True, text=True, input="secret\nsecret\n")


def interrupted(command, cwd, env):
    """By Ctrl-C; a relay, when it is ready."""
    path = cwd / "said"
    with open(path, "w") as said:
        # who runs tests in the background of a shell hands on that it is ignored
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                             cwd=cwd, env=env, preexec_fn=lambda: signal.signal(
                                 signal.SIGINT, signal.SIG_DFL))
    try:
        if "waypost run" in command[-1]:
            said = [path, cwd / "waypost.log"]  # as the example has it
            wait_for(lambda: p.poll() is not None or any(
                "is ready" in one.read_text() for one in said if one.exists()))
        # before that the shell would take the signal, and forget it
        wait_for(lambda: p.poll() is not None or pathlib.Path(
            f"/proc/{p.pid}/comm").read_text() == "waypost\n", 60)
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        p.wait(60)
    finally:
        p.kill()
        p.wait()
    code = p.returncode if p.returncode >= 0 else 128 - p.returncode
    return subprocess.CompletedProcess(command, code, "", path.read_text())


def test_each_example_does_what_it_says(busy, tmp_path):
    (tmp_path / "message.eml").write_text(
        "From: a@example.org\nTo: joe@example.org\nSubject: x\n\nx\n")
    for command in examples():
        shutil.copy(busy.config, tmp_path / "new.conf")
        out = run_example(command, busy, tmp_path)
        if command.startswith("waypost selftest"):
            # this machine need not be one for a relay
            assert out.returncode in (0, 75) and out.stdout, (command, out.stderr)
            continue
        wanted = 130 if command.startswith("waypost follow") else CODES.get(
            command.replace("/var/backups/waypost.tar", "FILE"), 0)
        assert out.returncode == wanted, (command, out.returncode, out.stdout, out.stderr)
        assert "Usage:" not in out.stderr, (command, out.stderr)
    said = waypost("user", "list", "-c", busy.config).stdout
    assert "printer-3" in said


def test_help_says_what_exit_codes_mean():
    for verb in overview():
        if verb not in ("help",):
            assert "Exit codes:" in waypost("help", verb).stdout, verb


# ------------------------------------------------------------ completions ----

def words(config, *typed):
    out = waypost("completion", "words", "--", *typed,
                  env={**os.environ, "WAYPOST_CONFIG": str(config)})
    assert out.returncode == 0 and not out.stderr, out
    return [line.split("\t")[0] for line in out.stdout.splitlines()]


def patiently(ask, wanted):
    """A relay that takes more than its second is asked again: it says nothing then."""
    for _ in range(20):
        found = ask()
        if found or not wanted:
            break
    return found


def test_what_can_be_typed_next(busy):
    waiting = {m["queue_id"] for m in busy.queue_list()}
    assert waiting
    destination = next(d for d in map(json.loads, busy.verb(
        "dest", "list", "--json").stdout.splitlines()))["name"]
    for typed, wanted in (
            (("que",), ["queue"]), (("queue", "s"), {"show", "shape"}),
            (("queue", "list", "--st"), ["--state"]),
            (("queue", "list", "--state", "de"), ["deferred", "deleted"]),
            (("history", "--state=re"), ["--state=returned", "--state=refused"]),
            (("queue", "show", ""), waiting), (("queue", "list", "--id", ""), waiting),
            (("-c", str(busy.config), "dest", "show", destination[:6]), {destination}),
            (("queue", "move", "--route", "big"), ["big customer"]),
            (("fetch", ""), ["isp"]), (("explain", "--listener", ""), ["test"]),
            (("token", "add", "x", "--role", ""), ["read", "operator"]),
            (("help", "quEu"), []), (("explain", "--message", ""), [":files"]),
            (("-c", ""), [":files"]), (("completion", ""), ["bash", "zsh", "fish"]),
            (("nothing", ""), overview() + ["--version"]), ((), overview() + ["--version"])):
        found = patiently(lambda: words(busy.config, *typed), wanted)
        assert type(wanted)(found) == wanted, (typed, found)
    options = words(busy.config, "dest", "suspend", "x", "--")
    assert {"--for", "--reason", "--json", "--yes", "--help"} <= set(options)
    assert "--verbose" not in options


def test_who_waits_for_a_completion_waits_no_longer_than_a_second(tmp_path):
    """A relay that is not there, and one that never answers."""
    config = tmp_path / "waypost.conf"
    config.write_text(f'queue {{ path = "{tmp_path}/queue.db" }}\n'
                      f'admin {{ socket = "{tmp_path}/s" }}\n')
    assert words(config, "queue", "show", "") == []
    assert words(tmp_path / "missing", "queue", "show", "") == []
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "s"))
        deaf.listen()
        before = time.monotonic()
        assert words(config, "dest", "show", "") == []
        assert 0.5 < time.monotonic() - before < 30


def bash(busy, line):
    """What bash would offer behind this line."""
    script = ('. /usr/share/bash-completion/bash_completion\n'
              'eval "$(waypost completion bash)"\n'
              'COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9\n'
              # bash itself would take the line apart so
              'eval "COMP_WORDS=($2)"; COMP_CWORD=$((${#COMP_WORDS[@]}-1))\n'
              'COMPREPLY=(); _waypost waypost "${COMP_WORDS[COMP_CWORD]}" ""\n'
              'printf "%s\\n" "${COMPREPLY[@]}"\n')
    parts = re.findall(r"[:=]+|[^\s:=]+", line) + ([""] if line.endswith(" ") else [])
    apart = " ".join("'" + p + "'" for p in parts)

    def ask():
        out = subprocess.run(["bash", "--norc", "-c", script, "bash", line, apart],
                             env=busy.shell, capture_output=True, text=True, timeout=30)
        assert not out.stderr, out.stderr
        return [found for found in out.stdout.split("\n")[:-1] if found]
    return patiently(ask, True)


def test_bash_completes(busy, tmp_path):
    assert bash(busy, "waypost que") == ["queue"]
    assert bash(busy, "waypost queue list --sta") == ["--state"]
    waiting = busy.queue_list()[0]["queue_id"]
    assert waiting in bash(busy, "waypost queue show ")
    name = json.loads(busy.verb("dest", "list", "--json").stdout.splitlines()[0])["name"]
    assert ":" in name
    # what stands before the last colon is there already
    assert name.rpartition(":")[2] in bash(busy, f"waypost dest show {name.rpartition(':')[0]}:")
    assert bash(busy, "waypost queue move --route big") == ["big\\ customer"]
    (tmp_path / "one.conf").touch()
    assert bash(busy, f"waypost check -c {tmp_path}/o") == [f"{tmp_path}/one.conf"]


def test_zsh_completes(busy):
    """In a terminal of its own, as a person types it."""
    script = """
zmodload zsh/zpty
zpty z "PS1='%%' zsh -f -i"
zpty -w z 'autoload -U compinit; compinit -u -d '$1'/zcompdump; zstyle ":completion:*" list-separator "=="'
zpty -w z 'bindkey "^I" complete-word; setopt noautomenu; LISTMAX=1000; eval "$(waypost completion zsh)"; echo REA''DY'
zpty -r -m z line '*READY*'
shift
for typed wanted; do
    zpty -n -w z "$typed"$'\\t'
    # until it stands there, however long that takes
    zpty -r -m z line "*$wanted*"
    print -r -- "$typed: seen"
    zpty -n -w z $'\\C-u'
done
zpty -d z
"""
    waiting = busy.queue_list()[0]["queue_id"]
    typed = {"waypost que": "queue ", f"waypost queue show {waiting[:-3]}": waiting,
             "waypost token add x --role o": "--role operator",
             "waypost queue move --route big": "big? customer",
             "waypost completion ": "for fish"}
    out = subprocess.run(
        ["zsh", "-f", "-c", script, "zsh", str(busy.folder), *sum(typed.items(), ())],
        env={**busy.shell, "TERM": "dumb", "COLUMNS": "200"},
        capture_output=True, text=True, timeout=60).stdout
    assert [line.partition(": seen")[0] for line in out.splitlines()] == list(typed), out


def test_fish_completes(busy):
    def complete(line):
        out = subprocess.run(
            ["fish", "--no-config", "-c",
             f"waypost completion fish | source; complete -C {json.dumps(line)}"],
            env=busy.shell, capture_output=True, text=True, timeout=30)
        assert not out.stderr, out.stderr
        return [c.split("\t")[0] for c in out.stdout.splitlines()]

    assert complete("waypost que") == ["queue"]
    assert set(overview()) <= set(complete("waypost "))
    assert busy.queue_list()[0]["queue_id"] in patiently(
        lambda: complete("waypost queue show "), True)
    assert complete("waypost token add x --role op") == ["operator"]
    assert any(c.endswith("waypost.conf") for c in complete(f"waypost check -c {busy.folder}/way"))


# -------------------------------------------------------------- the log ------

def fail2ban(folder, log, mode):
    """The lines that the shipped filter finds with the real fail2ban."""
    # as where it is installed, beside the file that it includes
    folder = folder / "fail2ban/filter.d"
    folder.mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "relay/packaging/fail2ban/filter.d/waypost.conf",
                 "/etc/fail2ban/filter.d/common.conf"):
        shutil.copy(path, folder)
    out = subprocess.run(
        ["fail2ban-regex", "--print-all-matched", str(log), f"{folder}/waypost.conf[mode={mode}]"],
        capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr + out.stdout
    block = out.stdout.partition("|- Matched line(s):")[2].partition("`-")[0]
    return [line.strip("|` -") for line in block.splitlines() if "waypost/" in line]


def test_fail2ban_sees_who_guesses_and_nobody_else(tmp_path):
    (tmp_path / "users").write_text("")
    (tmp_path / "users").chmod(0o600)
    with peers.Sink() as sink, \
            Relay(tmp_path / "relay", {"*": sink.hop}, top=f'users {{ file = "{tmp_path}/users" }}\n',
                  rules='rule "us" { to = {"ours.example"}  action = relay }\n',
                  listener="auth = optional  auth-without-tls = true") as r:
        with r.client() as c:
            assert c.login("mona", "wrong").code == 535
            assert c.mail(b"Subject: x\r\n\r\nx\r\n", "a@b.example",
                          ("x@ours.example",)).code == 250
        with r.client() as c:
            # somebody would like to have another banned
            c.command("EHLO [203.0.113.9]: SASL PLAIN authentication failed: 535")
            c.command("MAIL FROM:<\"[203.0.113.9]: 554 5.7.1\"@b.example>")
            assert c.command("RCPT TO:<x@theirs.example>").code == 554
        r.wait_log("status=sent")
        r.wait_log("Relay access denied")
    guesses = fail2ban(tmp_path, r.log_path, "normal")
    assert len(guesses) == 1 and "[127.0.0.1]: SASL" in guesses[0], guesses
    both = fail2ban(tmp_path, r.log_path, "aggressive")
    assert len(both) == 2 and any("Relay access denied" in line for line in both), both


def test_the_jail_names_a_filter_that_is_there():
    packaging = ROOT / "relay/packaging/fail2ban"
    named = re.search(r"^filter\s*=\s*(\w+)", (packaging / "jail.d/waypost.conf").read_text(), re.M)
    assert (packaging / f"filter.d/{named[1]}.conf").exists()


def test_pflogsumm_counts_a_day_of_it(busy):
    out = subprocess.run(["pflogsumm", "--syslog-name=waypost", busy.log_path],
                         capture_output=True, text=True, timeout=60,
                         env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert out.returncode == 0 and not out.stderr, out.stderr
    counts = {name: int(n) for n, name in
              re.findall(r"^ +(\d+)k? +(received|delivered|deferred|rejected)\b", out.stdout, re.M)}
    assert counts["received"] >= 2 and counts["delivered"] >= 1
    assert counts["deferred"] >= 1 and counts["rejected"] >= 1, out.stdout
