"""What a person does with a relay: the verbs, the HTTP interface, README, quick start."""

import json
import os
import pathlib
import re
import resource
import signal
import socket
import stat
import subprocess
import time
import urllib.request

import pytest

import relay as peers
from relay import ROOT, Relay, free_port, wait_for

USAGE, DATAERR, NOINPUT, UNAVAILABLE, CONFIG = 64, 65, 66, 69, 78


def waypost(*words, **options):
    return subprocess.run([peers.program(), *map(str, words)], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL, **options)


def http(path_of_socket, method, path, body=None, timeout=15):
    """(status, body) of one request, by hand."""
    data = b"" if body is None else (
        body if isinstance(body, bytes) else json.dumps(body).encode())
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(str(path_of_socket))
    s.sendall(f"{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {len(data)}"
              "\r\n\r\n".encode() + data)
    answer = b""
    while part := s.recv(65536):
        answer += part
    s.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


@pytest.fixture
def waiting(tmp_path):
    """A relay with three messages, whose next hop is always busy."""
    with peers.Sink({"rcpt": b"450 4.2.0 Busy\r\n"}) as busy, \
            Relay(tmp_path / "relay", {"*": busy.hop},
                  retry={"first": '"10min"', "most": '"1h"'}) as r:
        with r.client() as c:
            c.mail(b"Subject: 1\r\n\r\n1\r\n", "a@one.test", ("x@to.test",))
            c.mail(b"Subject: 2\r\n\r\n2\r\n", "b@two.test", ("x@to.test", "y@to.test"))
            c.mail(b"Subject: 3\r\n\r\n3\r\n", "", ("z@other.test",))
        r.socket = r.folder / "admin.sock"
        wait_for(lambda: all(m["state"] == "deferred" for m in rows(r)), 20,
                 "three deferrals")
        yield r


def verb(r, *words):
    return waypost("queue", *words, "-c", r.config)


def rows(r, *filters):
    out = verb(r, "list", "--json", *filters)
    assert out.returncode == 0, out.stderr
    return [json.loads(line) for line in out.stdout.splitlines()]


def senders(found):
    return sorted(m["sender"] for m in found)


# --------------------------------------------------------------- without -----

def test_verbs_say_how_they_are_used():
    assert waypost("--version").stdout.startswith("waypost ")
    assert "queue" in waypost("help").stdout
    assert "--older" in waypost("help", "queue").stdout
    for words in (["queue", "--help"], ["queue", "list", "--help"], ["queue", "-h"], ["-h"]):
        assert waypost(*words).returncode == 0, words
    for wrong in ([], ["dance"], ["queue"], ["queue", "dance"], ["help", "dance"],
                  ["check", "x"], ["queue", "list", "-x"], ["queue", "list", "--color"],
                  ["queue", "list", "--older"], ["queue", "list", "--older", "soon"],
                  ["queue", "show"], ["queue", "delete", "not-an-id"], ["check", "-c"]):
        out = waypost(*wrong)
        assert out.returncode == USAGE, wrong
        assert out.stderr.strip() and not out.stdout, wrong


def test_verbs_without_a_relay_exit_69_in_one_sentence(tmp_path):
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "WAYPOST_CONFIG": ""}
    for words in (["list"], ["count"], ["retry", "--yes"], ["show", "01HF8M5XK3QZA"]):
        out = waypost("queue", *words, env=env)
        assert out.returncode == UNAVAILABLE
        assert out.stderr.count("\n") == 1 and str(tmp_path) in out.stderr


def test_check_prints_every_fault_with_its_place(tmp_path):
    bad = tmp_path / "bad.conf"
    bad.write_text('hostnam = "x"\nlistener { address = "nowhere" }\n'
                   'rule "r" { action = relay }\n')
    out = waypost("check", "-c", bad)
    assert out.returncode == CONFIG
    for line in (1, 2, 3):
        assert re.search(rf"^{re.escape(str(bad))}:{line}:\d+: ", out.stderr, re.M)
    out = waypost("check", env={**os.environ, "WAYPOST_CONFIG": str(bad)})
    assert out.returncode == CONFIG
    assert waypost("check", "-c", tmp_path / "missing").returncode == CONFIG
    assert waypost("run", "-c", bad).returncode == CONFIG


def test_verbs_ask_a_running_relay_whose_new_configuration_is_at_fault(waiting):
    with open(waiting.config, "a") as f:
        f.write('users { file = "users"  senders = "none" }\nroute "x" { via = {"smtp:/x"} }\n')
    assert waypost("check", "-c", waiting.config).returncode == CONFIG
    for words in (["queue", "count"], ["queue", "hold", "--all", "--yes"], ["dest", "list"],
                  ["history"], ["top", "--once"], ["token", "list"]):
        out = waypost(*words, "-c", waiting.config)
        assert out.returncode == 0, (words, out.stderr)


def test_users_can_be_made_before_the_file_of_senders(tmp_path):
    config = tmp_path / "w.conf"
    config.write_text(f'users {{ file = "{tmp_path}/users"  senders = "{tmp_path}/senders" }}\n')
    added = subprocess.run([peers.program(), "user", "add", "ann", "-c", config],
                           input=b"secret\n", capture_output=True, timeout=60)
    assert added.returncode == 0, added.stderr
    assert "ann" in waypost("user", "list", "-c", config).stdout
    (tmp_path / "senders").write_text("ann a@x.example\n")
    assert waypost("check", "-c", config).returncode == 0
    (tmp_path / "users").unlink()
    assert re.search(rf"^{config}:1:1: {tmp_path}/users: .*waypost user add makes it",
                     waypost("check", "-c", config).stderr)


def test_check_says_where_each_file_is_named_that_is_not_there(tmp_path):
    config = tmp_path / "w.conf"
    config.write_text(f'hostname = "a.test"\ntls {{ certificate = "{tmp_path}/c"  key = "{tmp_path}/k" }}\n'
                      f'users {{ file = "{tmp_path}/u" }}\n')
    out = waypost("check", "-c", config)
    assert out.returncode == 78
    assert re.findall(rf"(?m)^{config}:(\d+:\d+): {tmp_path}/(.): No such file", out.stderr) == \
        [("2:7", "c"), ("2:7", "k"), ("3:1", "u")]


def test_a_message_with_bare_line_ends_is_a_refusal_that_is_remembered(waiting):
    with waiting.client() as c:
        c.send(b"EHLO x\r\nMAIL FROM:<s@bare.test>\r\nRCPT TO:<r@bare.test>\r\nDATA\r\n"
               b"Subject: x\n\nx\r\n.\r\n")
        wait_for(lambda: "reject: END-OF-DATA" in waiting.log(), 15, "the refusal")
        wait_for(lambda: "bare <CR>" in waiting.verb(
            "history", "--state", "refused").stdout.decode(), 15, "the history")


def test_an_order_that_does_not_fit_a_message_says_why(waiting):
    some = rows(waiting)[0]["queue_id"]
    assert "not held" in waypost("queue", "release", some, "-c", waiting.config).stdout
    assert ": held" in waypost("queue", "hold", some, "-c", waiting.config).stdout
    assert "needs release" in waypost("queue", "retry", some, "-c", waiting.config).stdout


def test_what_names_a_host_of_several_is_told_how_they_are_called(waiting):
    moved = waypost("queue", "hold", "--via", "smtp://nowhere", "-c", waiting.config)
    assert moved.returncode == 0 and "waypost dest list" in moved.stdout
    assert "whole name" not in waypost(
        "queue", "hold", "--via", "smtp://nowhere*", "-c", waiting.config).stdout
    for word in ("show", "resume"):
        gone = waypost("dest", word, "smtp://nowhere", "-c", waiting.config)
        assert gone.returncode == NOINPUT and "waypost dest list" in gone.stderr


@pytest.mark.parametrize("verb, words", [
    ("run", ("SIGTERM", "SIGHUP", "75", "78")),
    ("check", ("certificates", "warning:", "78")),
    ("queue", ("undelete", "--older", "66", "69")),
    ("dest", ("suspend", "--for", "66", "69")),
    ("user", ("standard input", "--cram", "65", "67"))])
def test_help_of_a_verb_tells_its_exit_codes(verb, words):
    out = waypost("help", verb)
    assert out.returncode == 0 and not out.stderr
    for word in ("Exit codes: 0", *words):
        assert word in out.stdout


def test_a_crash_leaves_no_core(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        r = Relay(tmp_path / "relay").start()
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    r.process.send_signal(signal.SIGABRT)
    status = os.waitpid(r.process.pid, 0)[1]
    r.process.returncode = -os.WTERMSIG(status)
    assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)
    assert not list(r.folder.glob("core*"))


# ------------------------------------------------------------- the queue -----

def test_list_has_the_keys_of_postqueue_and_a_few_more(waiting):
    found = rows(waiting)
    assert senders(found) == ["MAILER-DAEMON", "a@one.test", "b@two.test"]
    for m in found:
        assert set(m) == {"queue_id", "arrival_time", "message_size", "sender",
                          "state", "recipients"}
        assert abs(m["arrival_time"] - time.time()) < 600
        for r in m["recipients"]:
            assert set(r) == {"address", "state", "attempts", "due", "delay_reason"}
            assert r["state"] == "deferred" and r["due"] > time.time()


def test_filters_choose(waiting):
    for filters, expected in (
            (["--from", "a@*"], ["a@one.test"]),
            (["--from", "<>"], ["MAILER-DAEMON"]),
            (["--to", "Y@to.test"], ["b@two.test"]),
            (["--domain", "other.test"], ["MAILER-DAEMON"]),
            (["--client", "127.*", "--from", "b*"], ["b@two.test"]),
            (["--client", "192.*"], []),
            (["--state", "held"], []),
            (["--older", "1h"], []),
            (["--newer", "1h", "--attempts", "1", "--to=x@*"], ["a@one.test", "b@two.test"]),
            (["--attempts", "99"], []),
            (["--reason", "*Busy*", "--from", "a*"], ["a@one.test"])):
        assert senders(rows(waiting, *filters)) == expected, filters


def test_list_for_people_is_one_line_each(waiting):
    out = verb(waiting, "list")
    assert out.returncode == 0 and len(out.stdout.splitlines()) == 3
    assert "a@one.test -> x@to.test (4.2.0" in out.stdout


def test_show_tells_all_about_one(waiting):
    found = rows(waiting, "--from", "b@*")[0]
    out = verb(waiting, "show", found["queue_id"])
    assert out.returncode == 0
    for word in (found["queue_id"], "b@two.test", "x@to.test", "y@to.test", "127.0.0.1"):
        assert word in out.stdout
    shown = json.loads(verb(waiting, "show", found["queue_id"], "--json").stdout)
    assert shown["client"] == "127.0.0.1" and shown["queue_id"] == found["queue_id"]
    assert verb(waiting, "show", "01HF8M5XK3QZA").returncode == NOINPUT


def test_changes_are_announced_and_done_with_yes(waiting):
    out = verb(waiting, "delete", "--domain", "to.test")
    assert out.returncode == 0 and "2 messages" in out.stdout and "--yes" in out.stdout
    assert len(rows(waiting)) == 3
    out = verb(waiting, "delete", "--domain", "to.test", "--yes")
    assert out.returncode == 0 and "2 messages" in out.stdout
    assert senders(rows(waiting)) == ["MAILER-DAEMON"]
    assert len(rows(waiting, "--state", "deleted")) == 2
    assert verb(waiting, "undelete", "--all", "--yes").returncode == 0
    assert len(rows(waiting)) == 3


def test_one_message_is_changed_at_once(waiting):
    name = rows(waiting, "--from", "a@*")[0]["queue_id"]
    assert verb(waiting, "delete", "--id", name).returncode == 0
    assert senders(rows(waiting)) == ["MAILER-DAEMON", "b@two.test"]
    count = json.loads(verb(waiting, "count", "--json").stdout)
    assert (count["messages"], count["recipients"]) == (2, 3)


def test_no_filter_is_no_order_for_the_whole_queue(waiting):
    before = rows(waiting)
    for order in ("hold", "release", "delete", "undelete", "bounce", "move"):
        route = ("--route", "*") if order == "move" else ()
        body = {"yes": True, **({"route": "*"} if route else {})}
        path = f"/api/v1/queue/{order}"
        for yes in (), ("--yes",):
            out = verb(waiting, order, *route, *yes)
            assert out.returncode == USAGE and not out.stdout, out
            assert "or --all for" in out.stderr.splitlines()[0]
        out = verb(waiting, order, *route, "--all", "--from", "a@*", "--yes")
        assert out.returncode == USAGE and "no filter" in out.stderr
        code, text = http(waiting.socket, "POST", path, body)
        assert code == 400 and b"all" in text, text
        code, text = http(waiting.socket, "POST", path, {**body, "all": True, "from": "a@*"})
        assert code == 400 and b"$.all" in text
        out = verb(waiting, order, *route, "--all")
        assert out.returncode == 0, out.stderr
    assert rows(waiting) == before


def test_a_retry_of_everything_needs_no_more_words(waiting):
    assert verb(waiting, "retry", "--yes").returncode == 0
    assert verb(waiting, "retry", "--all", "--yes").returncode == 0
    out = verb(waiting, "list", "--all")
    assert out.returncode == USAGE and "--all" in out.stderr


def verb_reading(r, text, *words):
    return subprocess.run([peers.program(), "queue", *words, "-c", r.config], input=text,
                          capture_output=True, text=True, timeout=60)


def test_several_messages_are_named_at_once(waiting):
    names = [m["queue_id"] for m in rows(waiting)]
    a, b, _ = names
    gone = "01HF8M5XK3QZA"
    out = verb(waiting, "hold", a, b, a)
    assert out.returncode == 0 and "2 messages, 3 recipients" in out.stdout, out
    assert "Nothing was changed" in out.stdout
    assert not rows(waiting, "--state", "held")
    out = verb(waiting, "hold", a, "--id", b, gone, "--why", "ask", "--yes")
    assert out.returncode == 0 and ": held." in out.stdout and gone in out.stdout, out
    assert {m["queue_id"] for m in rows(waiting, "--state", "held")} == {a, b}
    for name in (a, b):
        wait_for(lambda name=name: any(
            e["what"] == "changed" for e in map(json.loads, waypost(
                "history", "--id", name, "--json", "-c", waiting.config).stdout.splitlines())),
            20, "its own history")
    out = verb(waiting, "show", a, gone, b)
    assert out.returncode == NOINPUT and a in out.stdout and b in out.stdout
    assert [m["queue_id"] for m in rows(waiting, b, a)] == [a, b]
    out = verb(waiting, "delete", a, b, "--from", "a@*", "--yes", "--json")
    done = json.loads(out.stdout)
    assert (done["messages"], done["unmatched"]) == (1, [b]), done
    assert [m["queue_id"] for m in rows(waiting)] == names[1:]
    for words in (("cat", a, b), ("count", a, b), ("top", a, b)):
        out = verb(waiting, *words)
        assert out.returncode == USAGE and "one message" in out.stderr


def test_messages_are_named_on_standard_input(waiting):
    names = [m["queue_id"] for m in rows(waiting)]
    verb(waiting, "hold", names[0])
    listed = waypost("mailq", "-C", waiting.config).stdout
    words = " ".join(line.split()[0] for line in listed.splitlines()
                     if "test" in line and line[0] in "0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    assert names[0] + "!" in words
    out = verb_reading(waiting, words, "delete", "-")
    assert "Nothing was changed" in out.stdout and len(rows(waiting)) == 3, out
    out = verb_reading(waiting, words + "\n", "delete", "--yes", "-")
    assert out.returncode == 0, out
    assert [m["queue_id"] for m in rows(waiting)] == [
        n for n in names if n not in words.replace("!", "")]
    left = rows(waiting)
    for text in "", "\n \n":  # nobody is named: that is not everybody
        out = verb_reading(waiting, text, "delete", "--yes", "-")
        assert (out.returncode, out.stdout) == (0, "Nothing matches.\n"), out
    out = verb_reading(waiting, f"{names[0]} Mail", "delete", "--yes", "-")
    assert out.returncode == DATAERR and '"Mail"' in out.stderr, out
    for text in f"{left[0]['queue_id']}\0{names[0]}\n", f"{left[0]['queue_id']}\0\n":
        out = verb_reading(waiting, text, "delete", "--yes", "-")
        assert out.returncode == DATAERR, out
    assert rows(waiting) == left


def test_held_mail_waits_until_it_is_released(waiting):
    assert verb(waiting, "hold", "--all", "--yes").returncode == 0
    assert all(m["state"] == "held" for m in rows(waiting))
    assert len(rows(waiting, "--state", "held")) == 3
    assert verb(waiting, "release", "--all", "--yes").returncode == 0
    assert not rows(waiting, "--state", "held")


def test_a_terminal_that_waits_is_told_so(waiting):
    ours, theirs = os.openpty()
    out = subprocess.run([peers.program(), "queue", "count", "-c", waiting.config],
                         stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=30)
    said = b""
    while not said.endswith(b"\x1b[K"):
        said += os.read(ours, 4096)
    os.close(theirs)
    os.close(ours)
    assert said == b"looking through the queue ...\r\x1b[K"
    assert out.stdout.startswith("3 messages")


def test_returned_mail_is_counted_as_bounced(waiting):
    assert verb(waiting, "bounce", "--from", "a@*", "--yes", "--why", "given up").returncode == 0
    wait_for(lambda: "a@one.test" not in senders(rows(waiting)), 10, "its return")
    waiting.wait_log(r"to=<a@one\.test>")
    status, metrics = http(waiting.socket, "GET", "/metrics")
    assert status == 200
    assert b'waypost_deliveries_total{status="bounced"} 1\n' in metrics


def test_retry_delivers_what_waits_as_soon_as_the_host_is_there(tmp_path):
    with peers.Sink() as sink:
        sink.refuse()
        with Relay(tmp_path / "relay", {"*": sink.hop},
                   retry={"first": '"10min"', "most": '"1h"'}) as r:
            with r.client() as c:
                c.mail(b"Subject: x\r\n\r\nx\r\n")
            r.wait_log("connect to .*refused")
            assert len(rows(r)) == 1
            sink.listen()
            assert verb(r, "retry", "--yes").returncode == 0
            assert sink.wait(1, 20)
            wait_for(lambda: not rows(r), 10, "an empty queue")


# ------------------------------------------------------------------ HTTP -----

def test_http_socket_is_for_its_owner_alone(waiting):
    assert stat.S_IMODE(waiting.socket.stat().st_mode) == 0o600


def test_http_answers_as_its_table_says(waiting):
    ask = lambda *a: http(waiting.socket, *a)
    assert ask("GET", "/healthz")[0] == 200
    status = json.loads(ask("GET", "/api/v1/status")[1])
    assert status["pid"] == waiting.process.pid and status["queue"]["puts"] >= 3
    code, lines = ask("GET", "/api/v1/queue?to=*%40to.test")
    assert code == 200 and len(lines.splitlines()) == 2
    assert ask("GET", "/api/v1/queue?color=red")[0] == 400
    assert ask("GET", "/nothing")[0] == 404
    assert ask("PUT", "/api/v1/queue")[0] == 405
    assert ask("POST", "/api/v1/queue/delete", b"x" * 70000)[0] == 413
    assert ask("POST", "/api/v1/queue/delete", {})[0] == 400
    assert ask("POST", "/api/v1/queue/delete", {"form": "a", "yes": True})[0] == 400
    assert ask("POST", "/api/v1/queue/delete", b"{")[0] == 400
    assert len(rows(waiting)) == 3
    code, body = ask("POST", "/api/v1/queue/delete", {"from": "a@*", "preview": True})
    assert code == 200 and json.loads(body)["messages"] == 1 and len(rows(waiting)) == 3


def test_http_survives_idle_and_leaving_clients(waiting):
    idle = []
    for n in range(60):
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(waiting.socket))
        if n % 2:
            s.sendall(b"GET /api/v1/queue HTTP/1.1\r\nHost: x\r\n\r\n"[:5 + n % 40])
        idle.append(s)
    assert len(rows(waiting)) == 3
    for s in idle:
        s.close()
    assert len(rows(waiting)) == 3


def test_a_second_relay_leaves_the_first_its_socket(waiting, tmp_path):
    text = waiting.config.read_text()
    text = text.replace(str(waiting.queue_path), str(tmp_path / "other.db"))
    text = re.sub(r"127\.0\.0\.1:\d+\" ", f'127.0.0.1:{free_port()}" ', text, 1)
    other = tmp_path / "other.conf"
    other.write_text(text)
    out = waypost("run", "-c", other)
    assert out.returncode in (75, 78), out.stderr
    assert "admin socket" in out.stderr
    assert len(rows(waiting)) == 3


# ----------------------------------------------------------- quick start -----

@pytest.fixture
def quickstart(tmp_path):
    """Starts relay/quickstart with the program under test; ends it by Ctrl-C."""
    started = []

    def start(*words):
        env = {**os.environ, "WAYPOST_EXE": str(peers.program()),
               "XDG_STATE_HOME": str(tmp_path / "state")}
        env.pop("WAYPOST_CONFIG", None)
        # its relay has a sandbox: nobody may look into it, not even for leaks
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
        log = tmp_path / f"quickstart-{len(started)}.log"
        with open(log, "wb") as out:
            p = subprocess.Popen([ROOT / "relay/quickstart", *words], env=env,
                                 stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                 start_new_session=True)
        started.append(p)
        return p, log
    yield start
    for p in started:
        try:
            os.killpg(p.pid, signal.SIGINT)
            p.wait(30)
        except ProcessLookupError:
            pass


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def test_quickstart_demo_tells_four_stories(quickstart, tmp_path):
    port = free_port()
    p, log = quickstart("--demo", "--port", str(port))
    wait_for(lambda: "Ctrl-C ends everything" in log.read_text() or p.poll() is not None,
             90, "the end of the stories")
    text = log.read_text()
    assert p.poll() is None, text
    first, second, third, fourth = re.split(r"^[1-4]\. ", text, flags=re.M)[1:]
    assert "DELIVERED" in first and "status=sent" in first
    assert "status=deferred" in second and "status=sent" in second
    assert "451" in second and "deferred" in second
    assert "status=bounced" in third
    assert "Subject: Undelivered Mail Returned to Sender" in third
    assert "Status: 5.1.1" in third
    assert re.search(r"TLS connection established from .*: TLSv1\.3", fourth)
    assert "logged in as demo" in fourth and "login=demo" in fourth
    assert "status=sent" in fourth
    page = re.search(r"^Watch it in a browser: (http://127\.0\.0\.1:\d+/)$", text, re.M)[1]
    token = re.search(r"\bwp_\w+$", text, re.M)[0]
    status = urllib.request.Request(page + "api/v1/status",
                                    headers={"Authorization": "Bearer " + token})
    assert b"Waypost" in urllib.request.urlopen(page, timeout=60).read()
    assert urllib.request.urlopen(status, timeout=60).status == 200
    again, log2 = quickstart("--demo")
    assert again.wait(60) == 1 and "one runs already" in log2.read_text()
    assert "Verified TLS connection established to" in fourth
    mail = "".join(p.read_text() for p in (
        tmp_path / "state/waypost-demo/mail/welcome@demo.test").iterdir())
    assert "(using TLSv1.3" in mail or "ESMTPSA" in mail
    os.killpg(p.pid, signal.SIGINT)
    assert p.wait(30) == 0
    assert not answers(port)


def test_quickstart_via_delivers_to_the_smarthost(quickstart):
    port = free_port()
    with peers.Sink() as sink:
        p, log = quickstart("--via", sink.hop, "--port", str(port))
        wait_for(lambda: answers(port) or p.poll() is not None, 30, "a relay")
        with peers.Client(port) as c:
            c.mail(b"Subject: x\r\n\r\nx\r\n")
        assert sink.wait(1, 20), log.read_text()
        os.killpg(p.pid, signal.SIGINT)
        p.wait(30)
    assert not answers(port)


def test_no_color_means_the_same_to_all_verbs(tmp_path):
    """no-color.org: when it is there, and not empty."""
    verbs = [("selftest",), ("dest", "list"), ("queue", "list"), ("history",),
             ("explain", "--client", "127.0.0.1", "--from", "a@b.test", "--to", "c@d.test")]

    def said(words, value):
        ours, theirs = os.openpty()
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        if value is not None:
            environment["NO_COLOR"] = value
        verb = subprocess.Popen([peers.program(), *words, "-c", r.config], stdout=theirs,
                                stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                env={**environment, "TERM": "xterm"})
        os.close(theirs)
        told = b""
        try:
            while part := os.read(ours, 65536):
                told += part
        except OSError:
            pass  # the other side is gone
        verb.wait(30)
        os.close(ours)
        return b"\x1b[" in told

    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, retry={"first": '"1h"', "most": '"1h"'}) as r:
        with r.client() as c:
            assert c.mail(b"Subject: x\r\n\r\nx\r\n").code == 250
        wait_for(lambda: any(m["state"] == "deferred" for m in r.queue_list()), 20)
        for words in verbs:
            assert said(words, "") == said(words, None), words
            assert not said(words, "1"), words
        assert any(said(words, "") for words in verbs)
