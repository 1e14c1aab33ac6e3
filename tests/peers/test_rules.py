"""Rules end to end: each stage's refusals, greet-delay, limits, what acts and goes on, shadow."""

import re
import subprocess
import threading
import time

import pytest

from relay import Client, Closed, Relay, Sink, wait_for

HERE = 'rule "here" { client = {"127.0.0.0/8"}  action = relay }\n'


def said(reply):
    return f"{reply.code} {reply.text}"


def first_words(relay, source=None, **kw):
    """A connection on which nothing was said yet."""
    return Client(relay.port, greet=False, source=source, **kw)


def mail_to(relay, *to, sender="s@from.test", **kw):
    """The codes of RCPT in one transaction that is not finished."""
    with Client(relay.port, **kw) as c:
        assert c.command(f"MAIL FROM:<{sender}>").code == 250
        c.send("".join(f"RCPT TO:<{a}>\r\n" for a in to).encode())  # at one moment
        return [c.reply().code for _ in to]


# ---------------------------------------------------------------- stages ----

STAGES = """
rule "net" { client = {"127.0.0.2"}  action = reject  reply = "550 5.7.1 go away, %{session}" }
rule "slow" { client = {"127.0.0.3"}  action = defer }
rule "names" { helo = {"*.dyn.test"}  action = reject }
rule "spam" { from = {"spam.test"}  action = reject }
rule "large" { from = {"bulk.test"} size = "10kB"  action = defer  reply = "452 4.3.1 not now" }
"""


def test_each_refusal_comes_at_the_earliest_stage(tmp_path):
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"},
               rules=STAGES + HERE) as relay:
        with first_words(relay, "127.0.0.2") as c:
            r = c.reply()
            assert said(r).startswith("554 5.7.1 go away, "), r
            session = r.text.rsplit(" ", 1)[1]
            assert re.fullmatch("[0-9A-Z]{13}", session), r
            assert c.codes("EHLO a", "MAIL FROM:<a@b.test>", "QUIT") == \
                [503, 503, 221]
            assert c.is_closed()
        with first_words(relay, "127.0.0.3") as c:
            assert said(c.reply()) == "421 4.7.1 127.0.0.3: Try again later"
            assert c.is_closed()
        with Client(relay.port, helo=None) as c:
            assert c.codes("EHLO x.dyn.test", "MAIL FROM:<a@b.test>",
                           "EHLO fine.test", "MAIL FROM:<a@spam.test>",
                           "MAIL FROM:<a@bulk.test> SIZE=20000",
                           "MAIL FROM:<a@bulk.test> SIZE=200",
                           "RCPT TO:<r@to.test>") == \
                [554, 503, 250, 554, 452, 250, 250]
        for what in (r"CONNECT from \S+\[127.0.0.2\]: 554 5.7.1 go away, "
                     + session + r"; .*rule=\"net\" \S+:\d+ session=" + session,
                     r"CONNECT from \S+\[127.0.0.3\]: 421 4.7.1 .*"
                     r"rule=\"slow\"",
                     r"EHLO from \S+\[127.0.0.1\]: 554 5.7.1 .*"
                     r"helo=<x.dyn.test> .*rule=\"names\"",
                     r"MAIL from \S+: 554 5.7.1 .*from=<a@spam.test>.*"
                     r"rule=\"spam\"",
                     r"MAIL from \S+: 452 4.3.1 not now;.*rule=\"large\""):
            relay.wait_log(r"NOQUEUE: reject: " + what)
        # the session's name in the reply is that in the log
        relay.wait_log(rf"disconnect from \S+\[127.0.0.2\] .*session={session}")


def test_a_talker_before_the_banner_is_turned_away(tmp_path):
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, rules=HERE,
               listener='greet-delay = "1s"') as relay:
        begin = time.monotonic()
        with first_words(relay) as c:
            assert c.reply().code == 220
            assert time.monotonic() - begin >= 0.9
            assert c.codes("EHLO a", "MAIL FROM:<a@b.test>",
                           "RCPT TO:<r@to.test>") == [250, 250, 250]
        with first_words(relay) as c:
            c.send(b"EHLO bot.test\r\nMAIL FROM:<a@b.test>\r\n")
            assert said(c.reply()) == \
                "554 5.5.0 Error: you talk before your turn"
            assert c.is_closed()
        relay.wait_log(r"NOQUEUE: reject: CONNECT from \S+: 554 5.5.0 .*"
                       r"EHLO bot.test")
        with first_words(relay) as c:
            c.shut()
            assert c.is_closed()


# ---------------------------------------------------------------- limits ----

def limits(per, rest=""):
    return (f'rule "some" {{ action = limit  per = {per}  rate = {{"3/min"}}'
            f'  count = recipients {rest} }}\n')


@pytest.mark.parametrize("per,same,other", [
    ("client", {}, {"source": "127.0.0.9"}),
    ("from", {"sender": "A@one.test"}, {"sender": "b@one.test"}),
    ("from-domain", {"sender": "a@One.test"}, {"sender": "a@two.test"}),
])
def test_a_limit_counts_what_it_names(tmp_path, per, same, other):
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"},
               rules=limits(per) + HERE) as relay:
        assert mail_to(relay, "a@x.test", "b@x.test", **same) == [250, 250]
        assert mail_to(relay, "c@x.test", "d@y.test", **same) == [250, 450]
        assert mail_to(relay, "a@x.test", **other) == [250]
        assert mail_to(relay, "a@x.test", **same) == [450]
        relay.wait_log(r"NOQUEUE: reject: RCPT from .*: 450 4.7.1 .*"
                       r"rule=\"some\"")


def test_a_limit_of_a_domain_ends_with_its_time(tmp_path):
    rules = ('rule "few" { action = limit  per = to-domain  rate = {"2/3s"}'
             '  count = recipients  over = reject'
             '  reply = "554 5.7.1 too much for %{recipient}" }\n')
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"},
               rules=rules + HERE) as relay:
        assert mail_to(relay, "a@x.test", "b@X.test", "c@x.test",
                       "a@y.test") == [250, 250, 554, 250]
        wait_for(lambda: mail_to(relay, "d@x.test") == [250], 10,
                 "the end of the limit")


def test_a_refused_recipient_costs_nothing(tmp_path):
    rules = (limits("client") +
             'rule "no" { to = {"no.test"}  action = reject }\n' + HERE)
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, rules=rules) as relay:
        assert mail_to(relay, *["a@no.test"] * 5, "a@x.test", "b@x.test",
                       "c@x.test", "d@x.test") == \
            [554] * 5 + [250] * 3 + [450]


def test_faster_sessions_never_get_more(tmp_path):
    """Many ask at once; what is taken is taken once."""
    rules = ('rule "ten" { action = limit  per = from-domain'
             '  rate = {"10/min"}  count = recipients }\n' + HERE)
    codes, lock = [], threading.Lock()

    def one(relay, n):
        got = mail_to(relay, *[f"r{i}@x.test" for i in range(5)],
                      source=f"127.0.1.{n}")
        with lock:
            codes.extend(got)

    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, rules=rules,
               top="workers = 4") as relay:
        all_of_them = [threading.Thread(target=one, args=(relay, n + 1))
                       for n in range(8)]
        for t in all_of_them:
            t.start()
        for t in all_of_them:
            t.join()
        assert sorted(codes) == [250] * 10 + [450] * 30


def test_over_a_limit_mail_is_held(tmp_path):
    with Sink() as sink, \
            Relay(tmp_path, {"*": sink.hop},
                  rules=limits("client", "over = hold") + HERE) as relay:
        with Client(relay.port) as c:
            for n in range(5):
                assert c.mail(b"x\r\n", to=[f"r{n}@x.test"]).code == 250
        sink.wait(3)
        held = wait_for(lambda: len(q := relay.queue_list()) == 2 and q)
        assert [r["state"] for m in held for r in m["recipients"]] == \
            ["held", "held"]
        relay.wait_log(r"hold: RCPT from .*to=<r[34]@x.test>.*rule=\"some\"")


def test_the_day_counts_recipients(tmp_path):
    rules = ('rule "enough" { today = 3  action = reject'
             '  reply = "554 5.7.1 enough for today" }\n' + HERE)
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, rules=rules) as relay:
        assert mail_to(relay, *[f"r{n}@x.test" for n in range(4)]) == \
            [250] * 3 + [554]
        # who has had enough hears it as soon as it is known who it is
        with first_words(relay) as c:
            assert said(c.reply()) == "554 5.7.1 enough for today"
        assert mail_to(relay, "r@x.test", source="127.0.0.7") == [250]


# ------------------------------------------------------ acts and goes on ----

def test_tags_hold_discard_and_routes(tmp_path):
    rules = (
        'rule "mark" { from = {"news.test"}  action = tag'
        '  set-tag = {"bulk"} }\n'
        'rule "bulk waits" { tag = {"bulk"} to = {"slow.test"}'
        '  action = hold }\n'
        'rule "bulk way" { tag = {"bulk"} to = {"way.test"}'
        '  action = route  route = "second" }\n'
        'rule "away" { to = {"gone.test"}  action = discard }\n' + HERE)
    with Sink() as first, Sink() as second, \
            Relay(tmp_path, {"*": first.hop,
                             "second": {"via": second.hop}},
                  rules=rules) as relay:
        with Client(relay.port) as c:
            to = ["a@slow.test", "b@way.test", "c@gone.test", "d@plain.test"]
            assert c.mail(b"x\r\n", "n@news.test", to).code == 250
            assert c.mail(b"x\r\n", "n@plain.test", to).code == 250
        second.wait(1)

        def got():
            return sorted(r for m in first.messages for r in m.recipients)

        wait_for(lambda: len(got()) == 4)
        assert got() == ["a@slow.test", "b@way.test", "d@plain.test",
                       "d@plain.test"]
        assert [m.recipients for m in second.messages] == [["b@way.test"]]
        held = wait_for(lambda: len(q := relay.queue_list()) == 1 and q)
        assert held[0]["recipients"][0]["address"] == "a@slow.test"
        relay.wait_log(r"discard: RCPT from .*to=<c@gone.test>")


def test_a_rewritten_recipient_is_verified_where_it_goes(tmp_path):
    (tmp_path / "known").write_text("ann@new.test\n")
    rules = ('rule "alias" { action = rewrite-to'
             '  rewrite-to = {\'/^(.+)@old\\.test$/ $1@new.test\'} }\n' + HERE)
    rules = rules.replace("action = rewrite-to", "action = rewrite")
    with Sink() as sink, \
            Relay(tmp_path, {
                "*": "smtp://127.0.0.1:1",
                "new.test": {"via": sink.hop,
                             "verify": f'"table:{tmp_path}/known"'},
            }, rules=rules) as relay:
        assert mail_to(relay, "ann@old.test", "bob@old.test",
                       "bob@other.test") == [250, 550, 250]
        with Client(relay.port) as c:
            assert c.mail(b"x\r\n", to=["ann@old.test"]).code == 250
        sink.wait(1)
        assert sink.messages[0].recipients == ["ann@new.test"]


def test_recipients_with_other_rules_are_sent_apart(tmp_path):
    rules = ('rule "list" { to = {"one.test"} header = {"X-Bad"}'
             '  action = reject }\n' + HERE)
    with Sink() as sink, Relay(tmp_path, {"*": sink.hop},
                               rules=rules) as relay:
        with Client(relay.port) as c:
            assert c.command("MAIL FROM:<s@from.test>").code == 250
            assert [c.command(f"RCPT TO:<{a}>").code for a in (
                "a@one.test", "b@two.test", "c@one.test")] == [250, 452, 250]
            assert c.command("DATA").code == 354
            c.send(b"X-Bad: 1\r\n\r\nx\r\n.\r\n")
            assert c.reply().code == 554
            assert c.mail(b"X-Bad: 1\r\n\r\nx\r\n", to=["b@two.test"]).code \
                == 250
        sink.wait(1)


# ----------------------------------------------------------------- shadow ----

SHADOW = """
rule "would reject" { from = {"bad.test"}  action = reject  mode = shadow
                      reply = "554 5.7.1 %{sender}\x1b is bad" }
rule "would limit" { action = limit  per = client  rate = {"1/min"}  count = recipients
                     mode = shadow }
rule "would hold" { to = {"hold.test"}  action = hold  mode = shadow }
rule "would rewrite" { action = rewrite  mode = shadow
                       rewrite-to = {'/^(.+)@hold\\.test$/ $1@new.test'} }
rule "would look" { header = {"X-Bad"}  action = reject  mode = shadow }
""".replace("\x1b", "")


def test_shadow_changes_nothing_and_is_told(tmp_path):
    with Sink() as sink, Relay(tmp_path, {"*": sink.hop},
                               rules=SHADOW + HERE) as relay:
        with Client(relay.port) as c:
            for n in range(3):
                assert c.mail(b"X-Bad: 1\r\n\r\nx\r\n", "s@bad.test",
                              ["a@hold.test", f"r{n}@x.test"]).code == 250
        sink.wait(3)
        relay.wait_empty()
        got = sorted({r for m in sink.messages for r in m.recipients})
        assert got == ["a@hold.test", "r0@x.test", "r1@x.test",
                       "r2@x.test"]
        for what in (r"554 5.7.1 s@bad.test is bad; from=<s@bad.test> "
                     r"to=<a@hold.test> .*rule=\"would reject\" \S+:\d+",
                     r"450 4.7.1 .*rule=\"would limit\"",
                     r"hold; .*to=<a@hold.test> .*rule=\"would hold\"",
                     r"rewrite-to a@new.test; .*rule=\"would rewrite\"",
                     r".*rule=\"would look\""):
            relay.wait_log(r"NOQUEUE: shadow: \S+ from \S+: " + what)
        assert "NOQUEUE: reject" not in relay.log()


# ------------------------------------------------- what reads the log besides ----

def test_pflogsumm_counts_what_rules_did(tmp_path):
    rules = (
        'rule "kept" { to = {"hold@x.test"}  action = hold }\n'
        'rule "away" { to = {"drop@x.test"}  action = discard }\n'
        'rule "grey" { to = {"grey.test"}  action = greylist }\n'
        'rule "later" { to = {"shadow@x.test"}  action = reject  mode = shadow }\n'
        'rule "virus" { header = {\'Subject: /virus/\'}  action = reject }\n'
        'rule "other" { helo = {"bad.test"}  action = reject }\n' + HERE)
    with Sink() as sink, Relay(tmp_path, {"*": sink.hop}, rules=rules) as relay:
        assert mail_to(relay, "a@grey.test", "b@grey.test") == [450] * 2
        with Client(relay.port) as c:
            assert c.mail(b"Subject: virus\r\n\r\nx\r\n", to=["r@x.test"]).code == 554
            for to in ("shadow", "hold", "drop"):
                assert c.mail(b"x\r\n", to=[f"{to}@x.test"]).code == 250
        with Client(relay.port, greet=False) as c:
            c.reply()
            assert c.command("EHLO bad.test").code in (250, 554)
            c.command("MAIL FROM:<s@x.test>")
            c.command("RCPT TO:<r@x.test>")
        sink.wait(1)
        relay.wait_log("removed")
        relay.wait_log("bad.test")
    # what was said of the last one is surely written when the relay has ended
    log = tmp_path / "copy"
    log.write_text(relay.log())
    out = subprocess.run(["pflogsumm", "--syslog-name=waypost", log],
                         capture_output=True, text=True, timeout=60)
    assert out.stderr == ""
    totals = {word: int(n) for n, word in
              re.findall(r"^ +(\d+)k? +(\w+)", out.stdout, re.M)}
    assert {w: totals[w] for w in ("received", "held", "discarded", "delivered")} \
        == {"received": 3, "held": 1, "discarded": 1, "delivered": 1}, out.stdout
    assert re.search(r"^    Greylisted \(total: 2\)$", out.stdout, re.M), out.stdout
    assert re.search(r"^    discarded \(total: 1\)$", out.stdout, re.M)
