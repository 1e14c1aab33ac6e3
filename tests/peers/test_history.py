"""`waypost history`: what happened to mail, asked of a relay that runs, and of its files.

One relay has seen deliveries, failures, deferrals, refusals and an operator; every test asks
for what it knows is there. Dates, JSON, paging, hostile words, and the sqlite3 program beside it.
"""

import datetime
import http.client
import json
import os
import pty
import re
import socket
import subprocess
import time

import pytest

from relay import Relay, Sink, program, wait_for

RULES = """
rule "bad"  { from = {"bad@evil.test"}  to = {"ok.test"}
              action = reject  reply = "554 5.7.1 not you" }
rule "bin"  { to = {"bin.test"}         action = discard }
rule "ours" { client = {"127.0.0.0/8"}  action = relay }
"""


def rcpt(argument):
    if b"nobody@" in argument:
        return b"550 5.1.1 <nobody> no such user\r\n"
    if b"wild@" in argument:
        return b"550 5.1.1 \x1b[31mred\x1b[0m <b>markup</b> \xff\xfe broken\r\n"
    return None


class Http(http.client.HTTPConnection):
    def __init__(self, relay):
        super().__init__("localhost")
        self.path = relay.folder / "admin.sock"

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))


def get(relay, path):
    c = Http(relay)
    c.request("GET", path)
    r = c.getresponse()
    body = r.read().decode()
    c.close()
    return r.status, body


def rows(relay, *words):
    out = relay.verb("history", "--json", *words).stdout
    return [json.loads(line) for line in out.splitlines()]


def whats(relay, *words):
    return [r["what"] for r in rows(relay, *words)]


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    tries = {"slow": 0}

    def script(_, stage, argument):
        if stage != "rcpt":
            return None
        if b"slow@" in argument and tries["slow"] < 1:
            tries["slow"] += 1
            return b"450 4.2.1 come again\r\n"
        return rcpt(argument)

    with Sink(script) as sink, \
            Relay(folder / "relay", {"*": f"smtp://127.0.0.1:{sink.port}",
                                     "stuck.test": "smtp://127.0.0.1:1"},
                  rules=RULES, retry={"first": '"1s"', "most": '"1s"'}) as relay:
        relay.started = time.time()
        with relay.client() as c:
            for sender, to in (("Joe@Org.test", "ann@ok.test"),
                               ("joe@org.test", "bob@ok.test"),
                               ("joe@org.test", "nobody@ok.test"),
                               ("joe@org.test", "wild@ok.test"),
                               ("eve@org.test", "slow@ok.test"),
                               ("", "ann@ok.test"),
                               ("joe@org.test", "x@bin.test"),
                               ("joe@org.test", "y@stuck.test")):
                c.command(f"MAIL FROM:<{sender}>")
                code = c.command(f"RCPT TO:<{to}>").code
                assert code == 250, to
                c.command("DATA")
                c.send(b"Subject: x\r\nMessage-ID: <" + to.encode() +
                       b">\r\n\r\nx\r\n.\r\n")
                assert c.reply().code == 250
            assert c.command("MAIL FROM:<bad@evil.test>").code == 250
            assert c.command("RCPT TO:<ann@ok.test>").code == 554
        relay.verb("queue", "hold", "--to", "y@stuck.test", "--yes")
        wait_for(lambda: {"delivered", "failed", "discarded", "refused", "changed"} <=
                 set(whats(relay)) and len(rows(relay, "--state", "delivered",
                                                "--to", "slow@ok.test")) == 1,
                 20, "the history")
        yield relay


# ------------------------------------------------------------ filters ----


@pytest.mark.parametrize("words,many", [
    (["--from", "JOE@org.test", "--to", "ann@ok.test"], 1),
    (["--to", "ann@ok.test", "--state", "delivered,failed"], 2),
    (["--to", "ann@ok.test", "--state", "refused"], 1),
    (["--from", "bad@*"], 1),
    (["--from", "<>", "--to", "ann@ok.test"], 1),
    (["--domain", "OK.test", "--state", "failed", "--from", "joe@org.test"], 2),
    (["--reason", "*5.1.1*", "--from", "joe*"], 2),
    (["--reason", "*NO SUCH*", "--from", "joe*"], 1),
    (["--attempts", "2"], 1),
    (["--state", "discarded"], 1),
    (["--state", "changed"], 1),
    (["--client", "127.0.0.1", "--state", "refused"], 1),
    (["--client", "192.0.2.*"], 0),
    (["--newer", "1h", "--state", "refused"], 1),
    (["--older", "1h"], 0),
    (["--login", "nobody"], 0),
])
def test_filters_find_what_they_mean(past, words, many):
    assert len(rows(past, *words)) == many, rows(past, *words)


def test_dates_are_days_and_minutes_where_the_verb_is_typed(past):
    """The relay's own clock shows another time of day."""
    env = {**os.environ, "TZ": "Pacific/Auckland"}

    def count(*words, verb=("history",)):
        out = subprocess.run([program(), *verb, "-c", past.config, "--json", *words],
                             capture_output=True, check=True, env=env).stdout
        return len(out.splitlines())
    os.environ["TZ"], before = "Pacific/Auckland", os.environ.get("TZ")
    time.tzset()
    try:
        begin = datetime.datetime.fromtimestamp(past.started - 60)
        end = begin + datetime.timedelta(minutes=5)
        zone = time.strftime("%z", time.localtime(past.started))
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
    assert count("--newer", begin.strftime("%Y-%m-%dT%H:%M") + zone) > 8
    assert count("--newer", end.strftime("%Y-%m-%dT%H:%M") + zone) == 0
    assert count("--newer", begin.strftime("%Y-%m-%dT%H:%M"),
                 "--older", end.strftime("%Y-%m-%d %H:%M")) > 8
    # the same for what waits
    assert count("--newer", begin.strftime("%Y-%m-%dT%H:%M"), verb=("queue", "list")) == 1
    assert count("--older", begin.strftime("%Y-%m-%dT%H:%M"), verb=("queue", "list")) == 0


@pytest.mark.parametrize("words,complaint", [
    (["--older", "yesterday"], "2026-11-17"),
    (["--older", "2026-02-30"], "2026-11-17"),
    (["--state", "held"], "delivered"),
    (["--limit", "0"], "--limit"),
    (["--frm", "x"], "--frm"),
    (["--id", "nonsense"], "id"),
])
def test_what_is_wrong_is_said(past, words, complaint):
    done = past.verb("history", *words, check=False)
    assert done.returncode == 64 and complaint in done.stderr.decode()


# -------------------------------------------------------------- shape ----


def test_a_row_has_all_that_is_known(past):
    row, = rows(past, "--to", "slow@ok.test", "--state", "delivered")
    assert row["status"] == "2.0.0" and row["attempts"] == 2
    assert row["sender"] == "eve@org.test" and row["rule"] == "ours"
    assert re.fullmatch(r".*waypost\.conf:\d+", row["place"])
    assert row["message_id"] == "<slow@ok.test>" and row["listener"] == "test"
    one, = row["tries"]
    assert one["status"] == "4.2.1" and "come again" in one["reply"]
    assert len(row["delays"]) == 4 and sum(row["delays"]) > 0.5
    assert abs(row["at"] - time.time()) < 1800 and row["received"] <= row["at"]
    refused, = rows(past, "--state", "refused")
    assert refused["stage"] == "RCPT" and refused["rule"] == "bad"
    assert refused["queue_id"] == "" and refused["received"] is None
    order, = rows(past, "--state", "changed")
    assert order["who"].startswith("uid=") and order["reply"].startswith("hold")


def test_newest_comes_first_and_limits_hold(past):
    every = rows(past)
    assert [r["at_ms"] for r in every] == sorted((r["at_ms"] for r in every),
                                                 reverse=True)
    assert rows(past, "--limit", "3") == every[:3]


def test_pages_join_without_gap_or_double(past):
    every, seen, after = rows(past), [], ""
    while True:
        status, body = get(past, f"/api/v1/history?limit=2{after}")
        assert status == 200
        page = [json.loads(line) for line in body.splitlines()]
        seen += page
        if not page:
            break
        after = f"&after={page[-1]['cursor']}"
    assert seen == every


def test_bad_questions_are_refused(past):
    for query in ("after=x", "after=1.2", "limit=x", "limit=0", "state=ready",
                  "frm=a", "older=soon", "after=-1.2.3", "from=a&from=b"):
        status, body = get(past, f"/api/v1/history?{query}")
        assert status == 400 and json.loads(body)["error"], query


def test_words_of_strangers_are_escaped(past):
    row, = rows(past, "--to", "wild@ok.test")
    assert row["what"] == "failed" and "markup" in row["reply"]
    for words in (["--to", "wild@ok.test"], [row["queue_id"]]):
        text = past.verb("history", *words).stdout
        assert b"markup" in text
        assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", text), text
        text.decode()


def test_a_message_is_told_as_a_story(past):
    row, = rows(past, "--to", "slow@ok.test", "--state", "delivered")
    story = past.verb("history", row["queue_id"]).stdout.decode().splitlines()
    received = next(i for i, l in enumerate(story) if "received" in l)
    tried = next(i for i, l in enumerate(story) if "come again" in l)
    went = next(i for i, l in enumerate(story) if "  delivered" in l)
    assert received < tried < went
    assert "by rule ours" in story[received + 1] and "127.0.0.1" in story[received]


def test_a_message_that_waits_has_a_story_too(past):
    waiting, = past.queue_list("--to", "y@stuck.test")
    story = past.verb("history", waiting["queue_id"]).stdout.decode()
    assert "still here" in story and "held" in story and "y@stuck.test" in story
    nothing = past.verb("history", "0000000000001").stdout.decode()
    assert "Nothing matches" in nothing


def test_on_a_terminal_there_are_colours_unless_somebody_minds(past):
    def look(**env):
        master, slave = pty.openpty()
        p = subprocess.Popen([program(), "history", "-c", past.config], stdout=slave,
                             stderr=slave, env={**os.environ, **env})
        os.close(slave)
        text = b""
        try:
            while got := os.read(master, 65536):
                text += got
        except OSError:
            pass
        assert p.wait() == 0
        os.close(master)
        return text
    assert b"\x1b[32mdelivered" in look(NO_COLOR="")
    assert b"\x1b" not in look(NO_COLOR="1")


# ----------------------------------------------------------- the files ----


def sqlite(relay, sql):
    return subprocess.run(["sqlite3", "-readonly", relay.folder / "history.db", sql],
                          capture_output=True, text=True, check=True,
                          timeout=20).stdout.splitlines()


def test_sqlite3_reads_the_views_while_the_relay_writes(past):
    assert sqlite(past, "SELECT count(*) FROM v_history WHERE what='delivered'")
    assert "bad|refused" in sqlite(past, "SELECT rule, verdict FROM v_verdicts")
    columns = sqlite(past, "SELECT name FROM pragma_table_info('v_history')")
    assert columns[-3:] == ["dialogue", "who", "orig_to"] and columns[:3] == ["at", "at_ms", "what"]
    before = int(sqlite(past, "SELECT count(*) FROM v_history")[0])
    reader = subprocess.Popen(["sqlite3", "-readonly", past.folder / "history.db"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    reader.stdin.write("BEGIN; SELECT count(*) FROM v_history;\n")
    reader.stdin.flush()
    assert int(reader.stdout.readline()) == before
    with past.client() as c:
        assert c.mail(b"Subject: y\r\n\r\ny\r\n").code == 250
    wait_for(lambda: int(sqlite(past, "SELECT count(*) FROM v_history")[0]) > before,
             what="a row beside an open reader")
    reader.communicate("SELECT count(*) FROM v_history;\n")


def test_a_client_that_goes_away_is_let_go(past):
    for _ in range(5):
        c = Http(past)
        c.request("GET", "/api/v1/history?from=*x*&progress=1")
        c.close()
    assert rows(past, "--limit", "1")


def test_without_a_relay_the_files_answer(tmp_path):
    with Sink() as sink:
        relay = Relay(tmp_path / "relay", {"ok.test": f"smtp://127.0.0.1:{sink.port}",
                                           "*": "smtp://127.0.0.1:1"})
        nothing = relay.verb("history", check=False)
        assert nothing.returncode == 66
        with relay:
            with relay.client() as c:
                assert c.mail(b"x: y\r\n\r\n", to=("a@ok.test",)).code == 250
                waiting = repr(c.mail(b"x: y\r\n\r\n", to=("b@away.test",)))
                waiting = re.search(r"queued as (\w{13})", waiting)[1]
            sink.wait(1)
            # the line in the log comes before the commit
            wait_for(lambda: not relay.queue_list("--domain", "ok.test"), what="a delivery")
            # what has not been copied yet is not lost either
            relay.kill()
        done = relay.verb("history", "--json")
        assert b"no relay is running" in done.stderr
        row, = [json.loads(line) for line in done.stdout.splitlines()]
        assert row["what"] == "delivered" and row["recipient"] == "a@ok.test"
        assert len(rows(relay, "--domain", "ok.test", "--limit", "5")) == 1
        story = relay.verb("history", waiting).stdout.decode()
        assert "still here" in story and "b@away.test" in story


def test_mail_is_found_by_the_addresses_that_it_had_before(tmp_path):
    rules = """
rule "alias" { to = {"old@ok.test"}  action = rewrite
               rewrite-to = {'/^old@.*/ new@ok.test'} }
rule "ours"  { client = {"127.0.0.0/8"}  action = relay }
"""
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}, rules=rules) as r:
        with r.client() as c:
            assert c.codes("MAIL FROM:<a@from.test>",
                           "RCPT TO:<old@ok.test> ORCPT=rfc822;first@list.test",
                           "DATA") == [250, 250, 354]
            c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
            assert c.reply().code == 250
        wait_for(lambda: rows(r, "--to", "new@ok.test"), 20, "a delivery")
        for words in (["--to", "Old@ok.test"], ["--to", "first@list.test"],
                      ["--domain", "list.test"], ["--to", "first@*", "--from", "a@from.test"]):
            found, = rows(r, *words)
            assert (found["recipient"], found["asked_to"], found["orig_to"]) == (
                "new@ok.test", "old@ok.test", "first@list.test")
        assert not rows(r, "--to", "older@ok.test")
