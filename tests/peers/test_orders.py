"""What a person wants of waiting mail: moved, bounced, read, looked at; and what that does."""

import email
import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import threading
import time

import pytest

import relay as peers
from relay import Relay, wait_for

NOINPUT, USAGE = 66, 64
ESC = "\x1b"


def waypost(r, *words, env=None):
    return subprocess.run([peers.program(), *map(str, words), "-c", r.config],
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(env or {})})


def queue(r, *words):
    out = waypost(r, "queue", *words)
    return out.returncode, out.stdout.decode(), out.stderr.decode()


def rows(r, *filters):
    code, out, err = queue(r, "list", "--json", *filters)
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def show(r, message):
    code, out, err = queue(r, "show", message, "--json")
    assert code == 0, err
    return json.loads(out)


def store(r, sql):
    with sqlite3.connect(f"file:{r.folder}/queue.db?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def history(r, what):
    code, out, err = (lambda o: (o.returncode, o.stdout.decode(), o.stderr.decode()))(
        waypost(r, "history", "--json", "--state", what))
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def busy(number, stage, argument):
    return b"450 4.2.0 Busy \x1b[2J\r\n" if stage == "rcpt" else None


@pytest.fixture
def stuck(tmp_path):
    """A relay whose usual next hop is always busy, and which has a spare one that is not."""
    with peers.Sink(busy) as bad, peers.Sink() as good, \
            Relay(tmp_path / "relay", {"spare.test": good.hop, "*": bad.hop},
                  retry={"first": '"10min"', "most": '"1h"'}) as r:
        r.bad, r.good = bad, good
        yield r


def put(r, count, sender="a@from.test", to="x@to.test", content=b"Subject: 1\r\n\r\nhi\r\n"):
    with r.client() as c:
        for _ in range(count):
            c.mail(content, sender, (to,))
    wait_for(lambda: len(rows(r, "--state", "deferred", "--to", to)) >= count, 30,
             "mail that waits")


# ---------------------------------------------------------------- moving -----

def test_mail_is_moved_to_another_route(stuck):
    put(stuck, 30)
    put(stuck, 1, to="y@other.test")
    code, out, err = queue(stuck, "move", "--domain", "to.test", "--route", "spare.test")
    assert code == 0 and "30 messages" in out and "--yes" in out, err
    assert "... and 25 more" in out and stuck.bad.hop in out
    assert not stuck.good.messages
    code, out, err = queue(stuck, "move", "--domain", "to.test", "--route", "spare.test",
                           "--yes")
    assert code == 0 and "30 messages" in out, err
    stuck.good.wait(30)
    wait_for(lambda: len(rows(stuck)) == 1, 10, "what was not moved")
    assert queue(stuck, "move", "--all", "--route", "gone", "--yes")[0] == NOINPUT
    assert queue(stuck, "move", "--all", "--yes")[0] == USAGE


def test_what_was_moved_stays_so_after_a_restart(stuck):
    put(stuck, 1)
    queue(stuck, "hold", "--all", "--why", "ask the\ncustomer", "--yes")
    assert queue(stuck, "move", "--all", "--route", "spare.test", "--yes")[0] == 0
    assert store(stuck, "SELECT lane FROM v_queue") == [("to.test\tspare.test",)]
    stuck.stop()
    stuck.start()
    assert rows(stuck)[0]["state"] == "held"
    m = show(stuck, rows(stuck)[0]["queue_id"])
    assert m["recipients"][0]["route"] == "spare.test"
    who = m["recipients"][0]["ordered_by"]
    assert re.fullmatch(rf"it is held by {re.escape(who)} since 20[-0-9: ]+: "
                        r"ask the\\x0Acustomer", m["recipients"][0]["why"])
    assert m["recipients"][0]["delay_reason"].startswith("4.2.0 ")
    assert re.search(r"^    let in by rule \"[^\"]+\" \(.+:\d+\)$",
                     queue(stuck, "show", m["queue_id"])[1], re.M)
    assert f"(held by {who}: ask the\\x0Acustomer; 4.2.0 " in queue(stuck, "list")[1]
    queue(stuck, "release", "--all", "--yes")
    stuck.good.wait(1)


def test_what_is_being_sent_is_left_alone_and_said_to_be(tmp_path):
    with peers.Sink({"dot": peers.HANG}) as slow, peers.Sink(busy) as bad, \
            Relay(tmp_path / "relay", {"busy.test": bad.hop, "*": slow.hop},
                  retry={"first": '"10min"', "most": '"1h"'}) as r:
        put(r, 1, to="x@busy.test")
        with r.client() as c:
            for n in range(3):
                c.mail(b"Subject: 1\r\n\r\nhi\r\n", "a@from.test", (f"x{n}@slow.test",))
        wait_for(lambda: slow.count("dot") == 3, 30, "three that hang")
        assert len(rows(r, "--state", "active")) == 3
        alone = "3 recipients are being sent now and were left alone."
        for order in (["retry"], ["move", "--route", "busy.test"], ["hold"],
                      ["bounce"], ["delete"]):
            code, out, err = queue(r, *order, "--to", "x?@slow.test", "--yes")
            assert (code, out) == (0, alone + "\n"), (order, out, err)
            assert len(rows(r, "--state", "active")) == 3
        code, out, err = queue(r, "hold", "--all", "--yes")
        assert code == 0 and out.startswith("1 message, 1 recipient, "), err
        assert out.endswith(f": held. {alone}\n")
        done = json.loads(queue(r, "delete", "--all", "--yes", "--json")[1])
        assert (done["messages"], done["being_sent"]) == (1, 3)
        one = rows(r, "--state", "active")[0]["queue_id"]
        assert queue(r, "hold", one)[1] == "1 recipient is being sent now and was left alone.\n"


# -------------------------------------------------------------- bouncing -----

def test_mail_is_returned_to_its_senders(stuck):
    with stuck.client() as c:
        c.mail(b"Subject: mine\r\n\r\nhi\r\n", "a@spare.test", ("x@to.test",))
        c.mail(b"Subject: null\r\n\r\nhi\r\n", "", ("x@to.test",))
    wait_for(lambda: len(rows(stuck, "--state", "deferred")) == 2, 20, "deferrals")
    queue(stuck, "hold", "--from", "a@*", "--yes")
    code, out, err = queue(stuck, "bounce", "--domain", "to.test", "--why", "spam run",
                           "--yes")
    assert code == 0 and "2 messages" in out, err
    report = email.message_from_bytes(stuck.good.wait(1)[0].content)
    assert report.get_content_type() == "multipart/report"
    text = report.as_string()
    assert "Status: 5.7.0" in text and "spam run" in text and "Subject: mine" in text
    assert "uid=" not in text
    wait_for(lambda: not rows(stuck), 10, "an empty queue")
    assert len(stuck.good.messages) == 1
    wait_for(lambda: len(history(stuck, "returned")) == 2, 10, "two rows")
    assert all(h["who"].startswith("uid=") for h in history(stuck, "returned"))
    assert "status=bounced" in stuck.log()
    said = [h["reply"] for h in history(stuck, "changed")]
    assert any(s.startswith("bounce why=") and s.endswith("2 messages, 2 recipients")
               for s in said), said


# --------------------------------------------------------------- reading -----

def test_content_is_what_would_be_sent(stuck):
    small = b"Subject: small\r\nX: \x1b[31m\r\n\r\n.dots\r\nhi\r\n"
    large = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 20000 + b"\r\n"
    large = b"\r\n".join(large[i:i + 900] for i in range(0, len(large) - 2, 900)) + b"\r\n"
    put(stuck, 1, content=small, to="s@to.test")
    put(stuck, 1, content=large, to="l@to.test")
    for to, content in (("s@to.test", small), ("l@to.test", large)):
        message = rows(stuck, "--to", to)[0]["queue_id"]
        out = waypost(stuck, "queue", "cat", message)
        assert out.returncode == 0, out.stderr
        assert out.stdout.endswith(content) and out.stdout.startswith(b"Received: ")
        head = waypost(stuck, "queue", "cat", message, "--header").stdout
        assert out.stdout.startswith(head) and head.endswith(b"\r\n\r\n")
    stuck.stop()
    (stored,) = [p for p in (stuck.folder / "queue.db.content").iterdir()]
    data = bytearray(stored.read_bytes())
    data[-100] ^= 1
    stored.write_bytes(data)
    stuck.start()
    out = waypost(stuck, "queue", "cat", message)
    assert out.returncode != 0 and out.stderr and len(out.stdout) < len(data)
    assert waypost(stuck, "queue", "cat", "01HF8M5XK3QZA").returncode == NOINPUT


def test_show_tells_why_it_waits_and_what_was_said(stuck):
    put(stuck, 1, content=b"Subject: \x1b]0;evil\x07\r\n\r\nSECRET\r\n")
    message = rows(stuck)[0]["queue_id"]
    m = show(stuck, message)
    to = m["recipients"][0]
    assert re.match(r"it is deferred until \d{4}-.*, after 4.2.0 .*Busy", to["why"])
    assert len(to["tries"]) == 1 and to["tries"][0]["status"] == "4.2.0"
    lines = m["dialogues"][0]["lines"]
    assert lines[0].startswith("< 220 ") and any(s.startswith("> EHLO ") for s in lines)
    assert lines[-1].startswith("< ") and any("450 4.2.0 Busy" in s for s in lines)
    assert "> MAIL FROM:<a@from.test>" in " ".join(lines) and "SECRET" not in str(m)
    assert "Subject: \\x1B]0;evil" in m["header"]
    for words in (["show", message], ["list"], ["show", message, "--json"],
                  ["list", "--json"], ["hold", "--all"]):
        _, out, _ = queue(stuck, *words)
        assert ESC not in out and "\x07" not in out, words
    for _ in range(12):
        before = store(stuck, "SELECT attempts FROM recipient")[0][0]
        queue(stuck, "retry", message)
        wait_for(lambda: store(stuck, "SELECT attempts FROM recipient")[0][0] > before, 10,
                 "another attempt")
    assert len(show(stuck, message)["dialogues"]) == 10
    stuck.bad.script = {"rcpt": b"550 5.1.1 nobody\r\n"}
    queue(stuck, "retry", message)
    wait_for(lambda: not rows(stuck, "--id", message), 10, "a failure")
    assert store(stuck, f"SELECT count(*) FROM dialogue") == [(0,)]
    wait_for(lambda: history(stuck, "failed"), 10, "a row")
    assert any("550 5.1.1 nobody" in s for s in history(stuck, "failed")[0]["dialogue"])


def test_destinations_that_rest_or_are_suspended_say_why(tmp_path):
    with Relay(tmp_path / "relay", {"*": f'smtp://127.0.0.1:{peers.free_port()}'}) as r:
        with r.client() as c:
            c.mail(b"\r\nhi\r\n", "a@b.test", ("x@to.test",))
        wait_for(lambda: rows(r, "--state", "deferred"), 20, "a rest")
        message = rows(r)[0]["queue_id"]
        name = show(r, message)["recipients"][0]["destination"]
        assert "its destination is backing off until" in show(
            r, message)["recipients"][0]["why"]
        assert rows(r, "--via", name) and rows(r, "--via", "SMTP*")
        assert not rows(r, "--via", "mx:*")
        waypost(r, "dest", "suspend", name, "--reason", "works on the line")
        why = show(r, message)["recipients"][0]["why"]
        assert "a person has suspended" in why and "works on the line" in why


def test_the_shape_of_the_queue(stuck):
    put(stuck, 3)
    put(stuck, 1, to="y@other.test")

    def shape():
        code, out, err = queue(stuck, "shape", "--json")
        assert code == 0, err
        return json.loads(out)
    assert "rows" in shape()
    wait_for(lambda: shape()["total"] == 4, 40, "a new picture")
    found = {row["domain"]: row["cells"][0] for row in shape()["rows"]}
    assert found == {"to.test": 3, "other.test": 1}
    out = queue(stuck, "shape")[1].splitlines()
    assert out[0].split() == ["minutes", "T", "5", "10", "20", "40", "80", "160", "320",
                              "640", "1280", "1280+"]
    assert out[1].split()[:3] == ["TOTAL", "4", "4"]


# -------------------------------------------------------------- at once ------

def test_two_operators_at_once(stuck):
    put(stuck, 40, sender="")  # nobody is sent a report
    answers = []

    def wish(*words):
        answers.append(queue(stuck, *words, "--all", "--yes", "--json"))
    both = [threading.Thread(target=wish, args=w)
            for w in (("move", "--route", "spare.test"), ("delete",), ("bounce",))]
    for t in both:
        t.start()
    for t in both:
        t.join()
    assert [code for code, _, _ in answers] == [0, 0, 0], answers
    # Each message met one of them, or was moved and then met another.
    wait_for(lambda: not rows(stuck, "--state", "active,ready,deferred,held"), 30, "an end")
    gone = len(stuck.good.messages) + len(rows(stuck, "--state", "deleted"))
    wait_for(lambda: len(history(stuck, "returned")) + gone == 40, 10, "forty ends")


def on_terminal(r, *words, columns=100):
    """What a person sees."""
    main, side = pty.openpty()
    p = subprocess.Popen([peers.program(), *words, "-c", str(r.config)], stdin=side,
                         stdout=side, stderr=side,
                         env=peers.on_terminal(COLUMNS=str(columns)))
    os.close(side)
    seen = b""
    while select.select([main], [], [], 30)[0]:
        try:
            part = os.read(main, 1024)
        except OSError:
            break
        seen += part
        time.sleep(0.005)  # a slow terminal
    os.close(main)
    return p.wait(30), seen.decode(errors="replace")


def test_a_terminal_has_colours_and_a_bar_and_nothing_of_strangers(stuck):
    put(stuck, 5)
    code, seen = on_terminal(stuck, "queue", "hold", "--all", "--yes")
    assert code == 0 and "5 messages" in seen and ESC + "[32m" in seen
    message = rows(stuck)[0]["queue_id"]
    code, seen = on_terminal(stuck, "queue", "show", message)
    assert code == 0 and ESC + "[1;31mheld" in seen
    assert ESC + "[2J" not in seen and "\\x1B[2J" in seen
    code, seen = on_terminal(stuck, "queue", "list")
    assert code == 0 and ESC + "[2J" not in seen
