"""What `waypost replay` says of traffic whose verdicts are known.

One relay has seen mail of every kind of fate; each test tries a candidate configuration
on that past and knows every number.
"""

import json
import sqlite3
import subprocess

import pytest

from relay import Client, Relay, Sink, program, wait_for

RULES = """
rule "worst"    { from = {"worst@evil.test"}  action = reject }
rule "blocked"  { from = {"bad@evil.test"}  to = {"ok.test"}
                  action = reject  reply = "554 5.7.1 not you" }
rule "grey"     { to = {"grey.test"}        action = greylist }
rule "keep"     { to = {"hold.test"}        action = hold }
rule "bin"      { to = {"bin.test"}         action = discard }
rule "virus"    { header = {'Subject: /virus/'}  action = reject }
rule "ours"     { client = {"127.0.0.0/8"}
                  to = {"ok.test", "grey.test", "hold.test"}  action = relay }
"""
# sender, recipient, how often, what comes of it
TRAFFIC = [
    ("a@x.test", "u@ok.test", 4, 250),
    ("joe@x.test", "u@ok.test", 2, 250),
    ("bad@evil.test", "u@ok.test", 3, 554),
    ("worst@evil.test", None, 1, 554),
    ("a@x.test", "u@other.test", 2, 554),
    ("a@x.test", "u@grey.test", 1, 450),
    ("a@x.test", "u@hold.test", 1, 250),
    ("a@x.test", "u@bin.test", 1, 250),
]
SAME = {"accepted": 6, "refused": 6, "deferred": 1, "held": 1, "discarded": 1}


def deliver(client, sender, to):
    code = client.command(f"MAIL FROM:<{sender}>").code
    if to is None:
        return code
    assert code == 250
    code = client.command(f"RCPT TO:<{to}>").code
    if code == 250:
        assert client.command("DATA").code == 354
        client.send(b"Subject: hello\r\n\r\nx\r\n.\r\n")
        assert client.reply().code == 250
    else:
        client.command("RSET")
    return code


def history(relay, sql):
    db = sqlite3.connect(f"file:{relay.folder}/history.db?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


@pytest.fixture(scope="module")
def past(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    with Sink() as sink, \
            Relay(folder / "relay", {"*": f"smtp://127.0.0.1:{sink.port}"},
                  rules=RULES) as relay:
        with relay.client() as c:
            for sender, to, count, code in TRAFFIC:
                for _ in range(count):
                    assert deliver(c, sender, to) == code
            # refused, and by no rule
            assert c.command("MAIL FROM:<a@x.test>").code == 250
            assert c.command("RCPT TO:<u@-->").code == 501
        wait_for(lambda: history(
            relay, "SELECT count(*) FROM v_history")[0][0] >= 15,
            what="the history")
        yield relay


def candidate(relay, old, new, name="new.conf"):
    text = relay.config.read_text()
    assert old in text
    path = relay.folder / name
    path.write_text(text.replace(old, new))
    return path


def replay(relay, config, *more, code=0):
    done = subprocess.run(
        [program(), "replay", "-c", relay.config, "--config", config, "--json",
         *more], capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return (lines[0], lines[1:]) if lines else done.stderr.decode()


def test_every_verdict_is_recorded_with_its_rule_and_place(past):
    rows = history(past, "SELECT verdict, rule, place, recipient, count(*) "
                   "FROM v_verdicts GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4")
    line = past.config.read_text().splitlines()
    places = {text.split('"')[1]: f"{past.config}:{n}"
              for n, text in enumerate(line, 1) if text.startswith("rule ")}
    assert rows == [
        ("accepted", "ours", places["ours"], "u@ok.test", 6),
        ("deferred", "grey", places["grey"], "u@grey.test", 1),
        ("discarded", "bin", places["bin"], "u@bin.test", 1),
        ("refused", "", "", "u@other.test", 2),
        ("refused", "blocked", places["blocked"], "u@ok.test", 3),
        ("refused", "worst", places["worst"], "", 1),
    ]
    stage, listener, helo = history(
        past, "SELECT DISTINCT stage, listener, helo FROM v_verdicts "
        "WHERE rule = 'blocked'")[0]
    assert (stage, listener, helo) == ("RCPT", "test", "client.test")
    log = past.log()
    assert f'rule="blocked" {places["blocked"]}' in log
    assert f'rule="ours" {places["ours"]}' in log


def test_the_status_counts_verdicts_by_rule_and_code(past):
    done = subprocess.run(
        ["curl", "-sS", "--unix-socket", past.folder / "admin.sock",
         "http://localhost/api/v1/status"], capture_output=True, check=True)
    verdicts = json.loads(done.stdout)["verdicts"]
    assert [(v["rule"], v["code"], v["count"]) for v in verdicts] == [
        ("ours", 250, 7), ("blocked", 554, 3), ("", 554, 2), ("bin", 250, 1),
        ("grey", 450, 1), ("", 501, 1), ("worst", 554, 1)]


def test_the_same_configuration_changes_nothing(past):
    total, groups = replay(past, past.config)
    assert groups == []
    assert total["recipients"] == 16
    assert total["same"] == SAME
    assert (total["changed"], total["rerouted"], total["unknown"]) == ({}, 0, 0)
    assert total["other"] == 1


def test_a_rule_more_and_a_rule_less(past):
    new = candidate(
        past, 'rule "blocked"  { from = {"bad@evil.test"}',
        'rule "no joe"  { from = {"joe@x.test"}')
    total, groups = replay(past, new)
    assert total["changed"] == {"accepted": 3, "refused": 2}
    assert total["same"] == {**SAME, "accepted": 4, "refused": 3}
    refused, accepted = groups
    assert (refused["now"], refused["rule"], refused["count"]) == \
        ("refused", "no joe", 2)
    assert refused["place"].startswith(f"{new}:")
    assert refused["reply"] == "554 5.7.1 not you"
    assert (refused["then"], refused["rule_then"]) == ("accepted", "ours")
    assert [e["sender"] for e in refused["examples"]] == ["joe@x.test"] * 2
    assert (accepted["now"], accepted["rule"], accepted["count"]) == \
        ("accepted", "ours", 3)
    assert (accepted["then"], accepted["rule_then"]) == ("refused", "blocked")
    assert accepted["examples"][0]["reply"] == "554 5.7.1 not you"
    _, groups = replay(past, new, "--limit", "1")
    assert [len(g["examples"]) for g in groups] == [1, 1]


def test_who_was_turned_away_early(past):
    new = candidate(past, '"worst@evil.test"', '"nobody@evil.test"')
    total, (group,) = replay(past, new)
    assert total["changed"] == {"let on": 1}
    assert (group["then"], group["rule_then"]) == ("refused", "worst")
    assert group["examples"][0]["stage"] == "MAIL"


def test_who_is_granted_more_or_less(past):
    new = candidate(past, '"ok.test", "grey.test"', '"other.test", "grey.test"')
    total, groups = replay(past, new)
    assert total["changed"] == {"accepted": 2, "refused": 6}
    assert "rule" not in groups[0] and groups[0]["count"] == 6
    assert groups[0]["reply"].endswith("Relay access denied")
    for e in groups[0]["examples"]:
        assert e["reply_now"] == f"554 5.7.1 <{e['recipient']}>: Relay access denied"
    assert groups[1]["rule_then"] == ""


def test_what_was_held_or_discarded(past):
    new = candidate(past, 'to = {"hold.test"}        action = hold',
                    'to = {"bin.test", "ok.test"}  action = hold')
    total, groups = replay(past, new)
    # held and discarded is discarded
    assert total["changed"] == {"held": 6, "accepted": 1}
    assert {(g["now"], g["rule"], g["count"], g["then"]) for g in groups} == {
        ("held", "keep", 6, "accepted"), ("accepted", "ours", 1, "held")}
    new = candidate(past, 'action = discard', 'action = defer')
    total, groups = replay(past, new)
    assert total["changed"] == {"deferred": 1}


def test_what_only_the_message_memory_or_dns_could_tell(past):
    # a new rule that needs the message: nobody knows
    new = candidate(past, "/virus/", "/viagra/")
    total, groups = replay(past, new)
    assert total["unknown"] == 7  # accepted and held; the rest stays as it is
    assert {g["because"] for g in groups} == {"needs the message"}
    assert total["same"] == {"refused": 6, "deferred": 1, "discarded": 1}
    # a stricter greylist for everybody
    new = candidate(past, 'to = {"grey.test"}        action = greylist',
                    'client = {"127.0.0.0/8"}  action = greylist')
    total, groups = replay(past, new)
    assert {g["because"] for g in groups} == {"goes by what was there before"}
    assert total["unknown"] == 9 and total["changed"] == {}
    new = candidate(past, 'rule "grey" ', 'rule "list" { dnsbl = {"l.test"} '
                    'action = reject }\nrule "grey" ')
    total, groups = replay(past, new)
    assert {g["because"] for g in groups} == {"asks the DNS"}
    assert total["same"]["refused"] == 6


def test_a_greylist_less_lets_in(past):
    new = candidate(past, 'to = {"grey.test"}        action = greylist',
                    'to = {"nobody.test"}      action = greylist')
    total, groups = replay(past, new)
    assert total["changed"] == {"accepted": 1}
    # the rule that waits for the message stood below the greylist
    assert (groups[0]["rule_then"], groups[0]["unless"]) == ("grey", "virus")
    assert groups[0]["because"] == "needs the message"
    path = candidate(past, 'rule "virus"    { header = {\'Subject: /virus/\'}  '
                     'action = reject }', "")
    path.write_text(path.read_text().replace('to = {"grey.test"}    ',
                                             'to = {"nobody.test"}  '))
    total, groups = replay(past, path)
    assert total["changed"] == {"accepted": 1}
    assert groups[0]["rule_then"] == "grey" and "unless" not in groups[0]


def test_another_route(past):
    port = past.config.read_text().split('smtp://127.0.0.1:')[1].split('"')[0]
    new = candidate(past, 'route "*"', 'route "hold.test" { via = '
                    '{"smtp://192.0.2.1:26"} }\nroute "also" { to = '
                    '{"ok.test"}  via = {"smtp://127.0.0.1:%s"} }\n'
                    'route "*"' % port)
    total, groups = replay(past, new)
    assert total["rerouted"] == 1
    assert (groups[0]["route"], groups[0]["route_then"]) == ("hold.test", "*")
    new = candidate(past, 'route "*"', 'route "ok.test"')
    total, groups = replay(past, new)
    assert total["changed"] == {"deferred": 1}
    assert groups[0]["reply"].startswith("451 4.3.5")


def test_for_people_and_within_a_time(past):
    new = candidate(past, 'from = {"bad@evil.test"}', 'from = {"joe@x.test"}')
    done = past.verb("replay", "--config", new, "--since", "900000d").stdout
    text = done.decode()
    assert "2  would now be refused" in text
    assert '2  rule "blocked" (%s:' % new in text
    assert "<joe@x.test> to <u@ok.test>" in text
    assert '; was accepted by rule "ours"' in text
    total, _ = replay(past, new, "--since", "0")
    assert total["recipients"] == 0
    text = past.verb("replay", "--config", past.config).stdout.decode()
    assert "as before (6 accepted, 1 held" in text


def test_mail_refused_with_its_content_and_mail_rewritten(tmp_path):
    rules = """
rule "virus" { header = {'Subject: /virus/'}  action = reject }
rule "alias" { to = {"old@ok.test"}  action = rewrite
               rewrite-to = {'/^old@/ new@ok.test'} }
rule "ours"  { client = {"127.0.0.0/8"}  to = {"ok.test"}  action = relay }
"""
    with Sink() as sink, \
            Relay(tmp_path / "r", {"*": f"smtp://127.0.0.1:{sink.port}"},
                  rules=rules) as relay:
        with relay.client() as c:
            assert c.mail(b"Subject: a virus\r\n\r\nx\r\n", "a@x.test",
                          ["u@ok.test"]).code == 554
            assert deliver(c, "a@x.test", "old@ok.test") == 250
        wait_for(lambda: history(
            relay, "SELECT count(*) FROM v_verdicts")[0][0] == 2)
        assert sink.messages[0].recipients == ["new@ok.test"]
        assert history(relay, "SELECT rule, stage, recipient FROM v_verdicts "
                       "ORDER BY 1") == [
            ("ours", "RCPT", "old@ok.test"),
            ("virus", "END-OF-DATA", "u@ok.test")]
        total, groups = replay(relay, relay.config)
        assert groups == [] and total["same"] == {"accepted": 1, "refused": 1}
        new = candidate(relay, '"ours"  {', '"not old" { to = {"old@ok.test"} '
                        'action = reject }\nrule "ours"  {')
        total, groups = replay(relay, new)
        assert total["changed"] == {"refused": 1}
        assert groups[0]["examples"][0]["recipient"] == "old@ok.test"
        new = candidate(relay, "rule \"virus\" { header = {'Subject: /virus/'}"
                        "  action = reject }", "")
        total, groups = replay(relay, new)
        assert total["changed"] == {"accepted": 1}
        assert groups[0]["rule_then"] == "virus"


def test_wrong_calls_and_faulty_candidates(past, tmp_path):
    bad = candidate(past, "action = discard", "action = disregard")
    why = replay(past, bad, code=78)
    assert f"{bad}:" in why and "disregard" in why
    assert past.verb("replay", check=False).returncode == 64
    for words in (["--since", "7x"], ["--limit", "-1"], ["--since"], ["now"]):
        done = past.verb("replay", "--config", past.config, *words, check=False)
        assert done.returncode == 64, words
    nowhere = Relay(tmp_path / "new", rules=RULES,
                    routes={"*": "smtp://127.0.0.1:9"})
    assert "no such file" in replay(nowhere, nowhere.config, code=66)


def test_an_empty_history_and_one_of_an_older_version(tmp_path):
    relay = Relay(tmp_path / "r", rules=RULES,
                  routes={"*": "smtp://127.0.0.1:9"})
    with relay:
        total, groups = replay(relay, relay.config)
        assert total["recipients"] == 0 and groups == []
    # as the version before left it
    db = sqlite3.connect(f"{relay.folder}/history.db")
    for name, in db.execute("SELECT name FROM sqlite_master WHERE type='index' "
                            "AND sql IS NOT NULL").fetchall():
        db.execute(f"DROP INDEX {name}")
    db.executescript("""
        DROP VIEW v_history; DROP VIEW v_verdicts;
        ALTER TABLE history DROP COLUMN tls; ALTER TABLE history DROP COLUMN rule;
        ALTER TABLE history DROP COLUMN place;
        ALTER TABLE history DROP COLUMN held_by;
        ALTER TABLE history DROP COLUMN orig_to;
        ALTER TABLE history DROP COLUMN asked_to;
        ALTER TABLE history DROP COLUMN asked_from;
        ALTER TABLE history DROP COLUMN dialogue;
        ALTER TABLE history DROP COLUMN who;
        ALTER TABLE refusal DROP COLUMN place;
        ALTER TABLE refusal DROP COLUMN stage;
        ALTER TABLE refusal DROP COLUMN client_name;
        ALTER TABLE refusal DROP COLUMN listener;
        ALTER TABLE refusal DROP COLUMN tls; ALTER TABLE refusal DROP COLUMN size;
        ALTER TABLE refusal DROP COLUMN is_verdict;
        CREATE VIEW v_history AS SELECT 1;
        PRAGMA user_version=1;""")
    now = "(strftime('%s','now')*1000)"
    db.execute(f"INSERT INTO history(id,at_ms,kind,message,number,received_ms,"
               f"size,sender,recipient,client,client_name,helo,login,listener)"
               f" VALUES(1,{now},1,5,0,{now},9,'a@x.test','u@ok.test',"
               f"'127.0.0.1','unknown','h','','test')")
    for reply in ("554 5.7.1 <u@z.test>: Relay access denied", "501 5.5.2 no"):
        db.execute(f"INSERT INTO refusal(at_ms,client,helo,login,sender,"
                   f"recipient,reply,rule) VALUES({now},'127.0.0.1','h','',"
                   f"'a@x.test','u@z.test',?,'')", (reply,))
    db.commit()
    db.close()
    assert "older Waypost" in replay(relay, relay.config, code=75)
    with relay:
        total, groups = replay(relay, relay.config)
        assert groups == [] and total["other"] == 1
        assert total["same"] == {"accepted": 1, "refused": 1}
