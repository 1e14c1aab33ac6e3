"""waypost explain: what it says is what a session gets, and nothing is changed by it.

Clients get their addresses and logins by XCLIENT. Each question is explained twice, then a
session asks it, so that a note or a charge of the explanation would be seen.
"""

import base64
import json
import os
import socket
import sqlite3
import subprocess
import time

import pytest

from nsd import NameServer
from policies import HANG, Policy
from relay import Client, Relay, Sink, program, stuff, wait_for

LISTENER = 'xclient = {"127.0.0.0/8"}'
WORDS = {"client": "192.0.2.7", "from": "s@from.test", "to": "r@to.test"}
TO = 'rule "ours" { to = {"to.test"}  action = relay }\n'
STAGES = ("connect", "hello", "sender", "recipient", "message")
PLAIN = b"Subject: hello\r\n\r\nhello\r\n"


def words(question):
    found = []
    for key, value in {**WORDS, **question}.items():
        if value is True:
            found.append(f"--{key}")
        elif key != "message":
            found += [f"--{key}", str(value)]
    return found


def explain(relay, question, *more, check=True):
    question = dict(question)
    if "message" in question:
        path = relay.folder / "message.eml"
        path.write_bytes(question["message"])
        more = (*more, "--message", str(path))
    done = relay.verb("explain", "--json", *words(question), *more, check=check)
    return json.loads(done.stdout)


def verdict(explained):
    """(stage, reply) of a refusal; ("", "250") where it is accepted."""
    v = explained["verdict"]
    if v["kind"] in ("accept", "discard"):
        return "", "250"
    return v["stage"], v["reply"]


def said(reply):
    return f"{reply.code} {reply.text}"


def live(relay, question):
    """The same of a session; the message is sent whole where it was accepted."""
    q = {**WORDS, "helo": "[%s]" % (question.get("client") or WORDS["client"]),
         **question}
    size = q.get("size") or (len(q["message"]) if "message" in q else 0)
    login = f" LOGIN={q['login']}" if q.get("login") else ""
    with Client(relay.port) as c:
        for stage, command in (
                ("connect", f"XCLIENT ADDR={q['client']}{login}"),
                ("hello", f"EHLO {q['helo']}"),
                ("sender", f"MAIL FROM:<{q['from'].strip('<>')}>"
                           + (f" SIZE={size}" if size else "")),
                ("recipient", f"RCPT TO:<{q['to']}>")):
            reply = c.command(command)
            if reply.code >= 400:
                return stage, said(reply)
        assert c.command("DATA").code == 354
        c.send(stuff(q.get("message", PLAIN)) + b".\r\n")
        reply = c.reply()
        return ("", "250") if reply.code == 250 else ("message", said(reply))


def agree(relay, question):
    first = explain(relay, question)
    assert first["source"] == "relay" and not first["verdict"]["conditional"]
    assert verdict(explain(relay, question)) == verdict(first), question
    heard = live(relay, question)
    assert verdict(first) == heard, (question, first["verdict"])
    return first


def fates(explained):
    return {r["name"]: r["fate"] for r in explained["rules"]}


# ---------------------------------------------- as a session would have it ----

STAGED = """
rule "net"    { client = {"198.51.100.0/24"}  action = reject  reply = "550 5.7.1 not you" }
rule "slow"   { client = {"203.0.113.1"}  action = defer }
rule "named"  { helo = {"*.dyn.test"}  action = reject }
rule "spam"   { from = {"spam.test"}  action = reject }
rule "null"   { from = {"<>"} to = {"list.test"}  action = reject }
rule "large"  { from = {"bulk.test"} size = "10kB"  action = defer  reply = "452 4.3.1 not now" }
rule "marked" { from = {"mark.test"}  action = tag  set-tag = {"seen"} }
rule "shadow" { tag = {"seen"}  mode = shadow  action = reject }
rule "staff"  { login = {"joe"}  action = relay }
rule "exe"    { attachment = {"*.exe"}  action = reject  reply = "554 5.7.1 no programs" }
rule "offer"  { header = {'Subject: /viagra/'}  action = discard }
rule "quiet"  { to = {"quiet.test"}  action = discard }
rule "wait"   { to = {"hold.test"}  action = hold }
rule "ours"   { to = {"to.test", "list.test", "hold.test", "nowhere.test", "known.test"}
                action = relay }
rule "last"   { client = {"192.0.2.99"}  action = relay }
"""
EXE = (b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream;"
       b" name=\"a.exe\"\r\n\r\nMZ\r\n")
# what is asked, what is said of it, which rule says so
STAGED_QUESTIONS = [
    ({}, "accept", "recipient", "ours"),
    ({"client": "198.51.100.3"}, "reject", "connect", "net"),
    ({"client": "203.0.113.1"}, "defer", "connect", "slow"),
    ({"helo": "x.dyn.test"}, "reject", "hello", "named"),
    ({"from": "a@spam.test"}, "reject", "sender", "spam"),
    ({"from": "a@bulk.test", "size": 20000}, "defer", "sender", "large"),
    ({"from": "a@bulk.test", "size": 200}, "accept", "recipient", "ours"),
    ({"from": "<>", "to": "r@list.test"}, "reject", "recipient", "null"),
    ({"from": "<>"}, "accept", "recipient", "ours"),
    ({"to": "r@else.test"}, "reject", "recipient", None),
    ({"to": "r%else.test@to.test"}, "reject", "recipient", None),
    ({"to": "r@else.test", "login": "joe"}, "accept", "recipient", "staff"),
    ({"to": "r@else.test", "login": "ann"}, "reject", "recipient", None),
    ({"from": "a@mark.test"}, "accept", "recipient", "ours"),
    ({"to": "r@quiet.test"}, "discard", "recipient", "quiet"),
    ({"to": "r@hold.test"}, "accept", "recipient", "ours"),
    ({"to": "r@nowhere.test"}, "defer", "recipient", None),
    ({"to": "ann@known.test"}, "accept", "recipient", "ours"),
    ({"to": "bob@known.test"}, "reject", "recipient", None),
    ({"to": "postmaster"}, "accept", "recipient", None),
    ({"size": 900000000}, "reject", "sender", None),
    ({"message": EXE}, "reject", "message", "exe"),
    ({"message": EXE, "login": "joe"}, "accept", "recipient", "staff"),
    ({"message": b"Subject: cheap viagra\r\n\r\n"}, "discard", "message", "offer"),
    ({"message": PLAIN}, "accept", "recipient", "ours"),
]


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged")
    (folder / "known").write_text("ann@known.test\n")
    dead = "smtp://127.0.0.1:1"
    with Relay(folder, {
            "to.test": dead, "list.test": dead, "else.test": dead,
            "hold.test": dead, "quiet.test": dead, "relay.test": dead,
            "known.test": {"via": dead, "verify": f'"table:{folder}/known"'}},
            rules=STAGED, listener=LISTENER) as relay:
        yield relay


@pytest.mark.parametrize("question,kind,stage,rule", STAGED_QUESTIONS,
                         ids=lambda v: repr(v)[:40] if isinstance(v, dict) else "")
def test_the_explanation_is_what_the_session_says(staged, question, kind, stage,
                                                  rule):
    found = agree(staged, question)["verdict"]
    assert (found["kind"], found["stage"], found["rule"]) == (kind, stage, rule)
    assert found["hold"] == (question.get("to") == "r@hold.test")


def test_each_rule_says_what_became_of_it(staged):
    found = explain(staged, {"from": "a@mark.test"})
    assert fates(found) == {
        "net": "not-matched", "slow": "not-matched", "named": "not-matched",
        "spam": "not-matched", "null": "not-matched", "large": "not-matched",
        "marked": "matched", "shadow": "matched", "staff": "not-matched",
        "exe": "set-aside", "offer": "set-aside", "quiet": "not-matched",
        "wait": "not-matched", "ours": "matched", "last": "not-reached"}
    rules = {r["name"]: r for r in found["rules"]}
    assert rules["net"]["condition"] == 'client = "198.51.100.0/24"'
    assert rules["net"]["fact"] == "client is 192.0.2.7"
    assert rules["staff"]["fact"] == "not logged in"
    assert rules["exe"]["fact"] == "needs the message"
    assert rules["marked"]["effects"] == ["tag seen"]
    assert rules["shadow"]["shadow"] and \
        rules["shadow"]["effects"][0].startswith("would 554 5.7.1 ")
    lines = staged.config.read_text().splitlines()
    for r in found["rules"]:
        file, line = r["place"].rsplit(":", 1)
        assert file == str(staged.config)
        assert f'"{r["name"]}"' in lines[int(line) - 1]
    assert found["verdict"]["place"] == rules["ours"]["place"]
    found = explain(staged, {"message": EXE})
    assert fates(found)["exe"] == "matched"
    assert fates(found)["offer"] == "not-reached"


def test_where_the_mail_would_go_and_how(staged):
    found = explain(staged, {"to": "r@hold.test"})["destinations"]
    assert [(d["address"], d["route"], d["via"], d["tls"], d["name"])
            for d in found] == [("r@hold.test", "hold.test", ["smtp://127.0.0.1:1"],
                                 "optional", "smtp://127.0.0.1:1")]
    staged.verb("dest", "suspend", "smtp://127.0.0.1:1", "--reason", "not today")
    found = explain(staged, {})["destinations"][0]
    assert found["state"] == "suspended" and "not today" in found["reason"]
    staged.verb("dest", "resume", "smtp://127.0.0.1:1")


def test_one_screen_for_people(staged):
    out = staged.verb("explain", *words({"to": "r@hold.test"})).stdout.decode()
    assert "\033" not in out  # colour is for terminals
    lines = out.splitlines()
    assert lines[0] == f"The running relay says (by {staged.config}):"
    rules = [l for l in lines if "waypost.conf:" in l and not l.startswith(
        ("Verdict", "Mail"))]
    assert len({l.index("waypost.conf:") for l in rules}) == 1  # aligned
    assert sum(l.startswith("> ours ") for l in rules) == 1
    assert any(l.startswith("Verdict      accepted and HELD at RCPT by rule "
                            '"ours", ') for l in lines)
    assert any(l.startswith("Mail goes    to <r@hold.test> by route") for l in lines)
    assert any("2 rules wait for the message" in l for l in lines)
    # what is not reached is counted, unless one asks for it
    out = staged.verb("explain", *words({"client": "198.51.100.3"})).stdout.decode()
    assert "... and 14 more that are not reached (--all)" in out
    out = staged.verb("explain", "--all",
                      *words({"client": "198.51.100.3"})).stdout.decode()
    assert out.count("not reached") == 14


# -------------------------------------------------------- nothing is changed ----

MEMORY = """
rule "per client" { action = limit  per = client  rate = {"2/h"}  count = recipients }
rule "grey"       { from = {"grey.test"}  action = greylist  retry-after = "1s" }
rule "much"       { today = 3  client = {"192.0.2.8"}  action = reject }
""" + TO


def notes(relay):
    """What the queue remembers of rules."""
    with sqlite3.connect(f"file:{relay.queue_path}?mode=ro", uri=True) as db:
        return sorted(map(str, db.execute(
            "SELECT kind, key, value FROM note").fetchall()))


def test_nothing_is_noted_charged_or_logged(tmp_path):
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, rules=MEMORY,
               listener=LISTENER) as relay:
        relay.wait_log("disconnect")  # who waited for the port
        before, log = notes(relay), relay.log()
        for _ in range(5):
            found = explain(relay, {"from": "a@grey.test"})
            assert found["verdict"]["rule"] == "grey"
            assert found["budgets"] == [{"rule": "per client", "left": 2,
                                         "limit": 2, "period": 3600,
                                         "free": None}]
        assert notes(relay) == before and relay.log() == log
        # a stranger knocks, waits, and knocks again
        agree(relay, {"from": "a@grey.test"})
        wait_for(lambda: notes(relay) != before, 10, "the note on disk")

        def may_pass():
            return explain(relay, {"from": "a@grey.test"})[
                "verdict"]["kind"] == "accept"
        wait_for(may_pass, 5, "the greylist")
        agree(relay, {"from": "a@grey.test"})
        # what is left falls with each mail, and only then
        assert explain(relay, {})["budgets"][0]["left"] == 1
        agree(relay, {})
        found = agree(relay, {})
        assert found["verdict"]["rule"] == "per client"
        assert found["verdict"]["kind"] == "defer"
        assert found["budgets"][0]["left"] == 0
        assert found["budgets"][0]["free"] > found["now"]
        assert "0 of 2 left per h, free in " in relay.verb(
            "explain", *words({})).stdout.decode()


def test_others_are_asked_only_on_demand(tmp_path):
    def known(_connection, stage, argument):
        return b"550 5.1.1 who?\r\n" \
            if stage == "rcpt" and b"nobody" in argument else None
    with Policy(lambda request, n: "REJECT not today"
                if request["sender"] == "no@from.test" else "DUNNO") as server, \
            Sink(known) as sink, Relay(
                tmp_path, {"*": {"via": sink.hop, "verify": "callout",
                                 "tls": "none"}},
                rules=f'rule "policy" {{ action = policy  server = '
                      f'"{server.server}" }}\n' + TO,
                listener=LISTENER) as relay:
        found = explain(relay, {"from": "no@from.test", "to": "nobody@to.test"})
        assert verdict(found) == ("", "250")
        assert found["verdict"]["conditional"]
        assert [(e["kind"], e["question"], e["how"], e["answer"])
                for e in found["evidence"] if e["kind"] != "reverse-dns"] == [
            ("policy-server", server.server, "assumed", "DUNNO"),
            ("next-hop", "nobody@to.test", "assumed", "yes")]
        assert not server.requests and not sink.count("rcpt")
        for question in ({"from": "no@from.test"}, {"to": "nobody@to.test"}, {}):
            found = explain(relay, question, "--ask")
            assert not found["verdict"]["conditional"]
            assert verdict(found) == live(relay, question), question


def test_lists_and_names_are_looked_up(tmp_path):
    with NameServer(tmp_path / "dns", {
            "2.0.192.in-addr.arpa": "1 IN PTR good.example.\n",
            "example": "good IN A 192.0.2.1\n",
            "bl.example": "3.2.0.192 IN A 127.0.0.4\n"}) as dns, Relay(
                tmp_path / "relay", {"*": "smtp://127.0.0.1:1"},
                rules='rule "listed" { dnsbl = {"bl.example"}  action = reject }\n'
                      'rule "nameless" { client-name = none  action = defer }\n' + TO,
                listener=LISTENER, extra=dns.resolver) as relay:
        rules = {r["name"]: r for r in agree(
            relay, {"client": "192.0.2.1"})["rules"]}
        assert rules["listed"]["fact"] == "not listed"
        assert rules["nameless"]["fact"] == "the client's name is good.example"
        found = agree(relay, {"client": "192.0.2.3"})
        assert found["verdict"]["rule"] == "listed"
        assert found["evidence"][0] == {
            "kind": "dns", "question": "3.2.0.192.bl.example", "rule": "listed",
            "how": "asked", "answer": "127.0.0.4"}
        assert agree(relay, {"client": "192.0.2.5"})["verdict"][
            "rule"] == "nameless"
        found = explain(relay, {"client": "192.0.2.5"}, "--client-name", "x.example")
        assert found["verdict"]["kind"] == "accept"


# ------------------------------------------------- what a rule does to mail ----

ACTS = """
rule "alias"  { to = {"list@to.test"}  action = rewrite  rewrite-to = {'/^list@to.test$/ a@to.test'} }
rule "stamp"  { action = add-header  add-header = {"X-From: %{client}"} }
rule "keep"   { action = copy  copy = {"archive@to.test"} }
rule "detour" { from = {"vip.test"}  action = route  route = "side" }
rule "quiet"  { from = {"odd.test"}  action = reject  mode = shadow }
rule "exe"    { attachment = {"*.exe"}  action = reject }
""" + TO


def test_effects_and_detours(tmp_path):
    with Relay(tmp_path, {"to.test": "smtp://127.0.0.1:1",
                          "side": "smtp://127.0.0.1:2"},
               rules=ACTS, listener=LISTENER) as relay:
        found = agree(relay, {"to": "list@to.test", "from": "b@vip.test"})
        assert [(e["rule"], e["kind"], e["text"]) for e in found["effects"]] == [
            ("alias", "rewrite-to", "a@to.test"),
            ("stamp", "add-header", "X-From: 192.0.2.7"),
            ("keep", "copy", "archive@to.test"), ("detour", "route", "side")]
        assert [(d["address"], d["route"]) for d in found["destinations"]] == [
            ("a@to.test", "side")]
        # nothing of it is done for who is refused, nor waits for a message
        found = agree(relay, {"to": "r@else.test", "from": "b@odd.test"})
        assert [e["rule"] for e in found["effects"]] == ["quiet"]
        for to, is_there in (("r@to.test", True), ("r@else.test", False)):
            text = relay.verb("explain", *words({"to": to}), check=False).stdout.decode()
            assert ("archive@to.test  (keep)" in text) == is_there, text
            assert ("waits for the message" in text) == is_there, text


# ------------------------------------------------ without it, and mistakes ----

def test_without_a_relay_the_file_is_judged(tmp_path):
    relay = Relay(tmp_path, {"*": "smtp://127.0.0.1:1"},
                  rules='rule "listed" { dnsbl = {"bl.test"}  action = reject }\n'
                  + MEMORY)
    found = explain(relay, {})
    assert found["source"] == "file" and found["verdict"]["conditional"]
    assert verdict(found) == ("", "250")
    assert [(e["kind"], e["how"], e["answer"]) for e in found["evidence"]] == [
        ("dns", "assumed", "not listed"), ("budget", "assumed", "2 left")]
    assert found["destinations"][0]["state"] is None and not found["budgets"]
    out = relay.verb("explain", *words({})).stdout.decode()
    assert out.splitlines()[0] == (f"The running relay was not asked (none runs). "
                                   f"{relay.config} says:")
    assert "Assumed      dns 7.2.0.192.bl.test: not listed  (listed)" in out
    assert not relay.queue_path.exists()


def test_a_candidate_is_not_what_runs(tmp_path):
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, rules=TO) as relay:
        candidate = tmp_path / "new.conf"
        candidate.write_text(relay.config.read_text().replace('"to.test"',
                                                              '"new.test"'))

        def asked(*more):
            done = subprocess.run([program(), "explain", "--json", *words({}), *more],
                                  capture_output=True, timeout=60, check=True)
            return json.loads(done.stdout)
        found = asked("-c", str(candidate))
        assert found["source"] == "file" and found["why"] == \
            "it runs by another file"
        assert found["verdict"]["kind"] == "reject"
        assert asked("-c", str(relay.config))["source"] == "relay"
        # an edit that nobody has loaded yet: the relay answers, and says so
        relay.config.write_text(candidate.read_text())
        later = time.time() + 10
        os.utime(relay.config, (later, later))
        found = asked("-c", str(relay.config))
        assert found["changed"]
        assert found["verdict"]["kind"] == "accept"
        assert asked("-c", str(relay.config), "--config-only")[
            "verdict"]["kind"] == "reject"
        relay.reload()
        wait_for(lambda: asked("-c", str(relay.config))["verdict"][
            "kind"] == "reject", 10, "the reload")


def test_logins_tls_and_senders(tmp_path):
    (tmp_path / "senders").write_text("joe joe@from.test\n")
    (tmp_path / "users").touch(0o600)
    relay = Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, rules=(
        'rule "staff" { login = {"*"}  action = relay }\n'
        'rule "safe" { tls = true  to = {"to.test"}  action = relay }\n'),
        extra=f'users {{ file = "{tmp_path}/users"  senders = "{tmp_path}/senders" }}\n'
              'listener "submission" { address = "127.0.0.1:2526" '
              'auth = required  auth-without-tls = true  submission = true }\n')

    def asked(**question):
        found = explain(relay, question)
        return (found["question"]["listener"], found["verdict"]["by"],
                verdict(found)[1])
    assert asked(login="joe", **{"from": "joe@from.test"}) == (
        "submission", "rule", "250")
    assert asked(login="joe") == (
        "submission", "senders", "553 5.7.1 <s@from.test>: Sender address "
        "rejected: not owned by user joe")
    assert asked(listener="submission") == (
        "submission", "listener", "530 5.7.0 Authentication required")
    assert asked() == ("test", "no-rule",
                       "554 5.7.1 <r@to.test>: Relay access denied")
    assert asked(tls=True) == ("test", "rule", "250")
    # a bare name is completed where the listener does so
    found = explain(relay, {"login": "joe", "from": "joe@from.test", "to": "ann"})
    assert found["question"]["to"] == "ann@relay.test"


@pytest.mark.parametrize("more,code,text", [
    (["--client", "192.0.2.300"], 65, 'client: "192.0.2.300" is not an IP address'),
    (["--from", "a b@c"], 65, 'from: "a b@c" is not an address'),
    (["--to", "@"], 65, 'to: "@" is not an address'),
    (["--to", "<>"], 65, 'to: "<>" is not an address'),
    (["--listener", "none"], 65, 'there is no listener "none"'),
    (["--size", "big"], 64, "--size should be such as 20000 or 10MB"),
    (["--message", "/nonexistent"], 66, "/nonexistent: No such file"),
    (["--helo"], 64, "--helo needs a value"),
    (["--nonsense"], 64, 'there is no option "--nonsense"'),
    (["stray"], 64, 'there is no option "stray"'),
    (["--login", "joe", "--login", "ann"], 64, "--login is there twice"),
])
def test_mistakes_of_who_asks(staged, more, code, text):
    asked = words({})
    if more[0] in asked:  # instead of what is good
        at = asked.index(more[0])
        del asked[at:at + 2]
    done = staged.verb("explain", *asked, *more, check=False)
    assert done.returncode == code and text in done.stderr.decode()
    assert not done.stdout


def test_what_is_needed_is_needed(staged):
    done = staged.verb("explain", "--client", "192.0.2.7", check=False)
    assert done.returncode == 64 and b"--from is needed" in done.stderr


def post(relay, body, length=None):
    """(status, answer) of POST /api/v1/explain."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(str(relay.folder / "admin.sock"))
    s.sendall(b"POST /api/v1/explain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
              b"Content-Length: %d\r\n\r\n" % (length or len(body)) + body)
    answer = b""
    try:
        while more := s.recv(65536):
            answer += more
    except ConnectionError:
        pass
    s.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


@pytest.mark.parametrize("body,text", [
    (b"", "should be a JSON object"), (b"[]", "should be a JSON object"),
    (b"{", "should be a JSON object"), (b'{"client": 7}', "client should be text"),
    (b"{}", "client is missing"),
    (b'{"client": "::1", "to": "a@b.test"}', "from is missing"),
    (b'{"client": "::1", "drop": 1}', 'there is nothing called \\"drop\\"'),
    (b'{"client": "::1", "tls": "yes"}', "tls should be true or false"),
    (b'{"client": "::1", "from": "", "to": "a@b.test", "size": -1}',
     "size should be a number"),
    (b'{"client": "::1", "from": "", "to": "a@b.test", "message": "%%"}',
     "message should be base64"),
    (b'{"client": "::1", "from": "a\\u0000", "to": "a@b.test"}',
     "should be a JSON object"),
])
def test_mistakes_over_http(staged, body, text):
    status, answer = post(staged, body)
    assert status == 400 and text in answer.decode(), answer


def test_a_large_message_and_one_that_is_too_large(staged):
    question = {"client": "192.0.2.7", "from": "s@from.test", "to": "r@to.test"}
    mail = PLAIN + b"x" * 70 + b"\r\n" + b"y" * 78 + b"\r\n"
    large = mail * (3 * 1024 * 1024 // len(mail))
    status, answer = post(staged, json.dumps(
        {**question, "message": base64.b64encode(large).decode()}).encode())
    assert status == 200 and json.loads(answer)["question"]["message"]
    status, answer = post(staged, b"", length=30 * 1024 * 1024)
    assert status == 413, answer


def test_many_ask_while_it_stops(tmp_path):
    """Questions under way when the relay goes down are dropped; it ends in time."""
    with Policy(lambda *_: HANG) as server, Relay(
            tmp_path, {"*": "smtp://127.0.0.1:1"}, listener=LISTENER,
            rules=f'rule "policy" {{ action = policy  server = "{server.server}" }}\n'
            + TO) as relay:
        asking = [subprocess.Popen(
            [program(), "explain", "-c", relay.config, "--ask", *words(
                {"from": f"s{n}@from.test"})], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE) for n in range(8)]
        wait_for(lambda: len(server.requests) >= 1, 10, "a question")
        assert relay.stop() == 0
        for a in asking:
            a.communicate(timeout=20)
            assert a.returncode in (0, 69, 75)


def test_who_logs_in_nowhere_is_thought_to_come_where_nobody_must(tmp_path):
    config = tmp_path / "w.conf"
    config.write_text(
        'hostname = "relay.test"\nqueue { path = "q.db" }\nusers { file = "u" }\n'
        'listener "people" { address = "127.0.0.1:587"  auth = required  '
        'auth-without-tls = true }\n'
        'listener "edge" { address = "127.0.0.1:25" }\n'
        'rule "own" { to = {"example.org"}  action = relay }\nroute "*" { via = {"mx"} }\n')
    (tmp_path / "u").touch(0o600)

    def ask(*words):
        return subprocess.run(
            [program(), "explain", "--config-only", "--client", "192.0.2.1", "--from",
             "a@b.test", "--to", "x@example.org", *words, "-c", config],
            capture_output=True, text=True, cwd=tmp_path).stdout

    assert 'listener "edge"' in ask() and "accepted at RCPT" in ask()
    assert 'listener "people"' in ask("--login", "joe")
    assert "the listener demands TLS or a login" in ask("--listener", "people")
