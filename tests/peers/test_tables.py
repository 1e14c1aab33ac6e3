"""Tables in files: conditions and routes ask them, and they are read again when they change."""

import os
import re
import socket
import sqlite3
import subprocess
import time

import pytest

import relay as peers
from relay import Relay, wait_for

SECONDS = 10


def codes(r, *recipients, sender="s@from.test"):
    with r.client() as c:
        assert c.command(f"MAIL FROM:<{sender}>").code == 250
        return [c.command(f"RCPT TO:<{to}>").code for to in recipients]


def becomes(r, recipient, code):
    wait_for(lambda: codes(r, recipient) == [code], SECONDS, f"{code} for {recipient}")


def replace(path, text):
    """As careful programs do."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


@pytest.fixture
def ours(tmp_path):
    """Takes mail for the domains of a table, from anybody."""
    table = tmp_path / "relay" / "ours"
    table.parent.mkdir()
    table.write_text("# ours\none.test\n*.below.test\njoe@person.test\n")
    with Relay(table.parent, {"*": "smtp://127.0.0.1:1"},
               rules='rule "ours" { to = {"table:ours", "plain.test"}  action = relay }\n') as r:
        r.table = table
        yield r


def test_a_rule_asks_a_table_and_a_new_one_within_seconds(ours):
    assert codes(ours, "a@one.test", "a@x.below.test", "a@below.test", "joe@person.test",
                 "ann@person.test", "a@plain.test", "a@two.test") \
        == [250, 250, 554, 250, 554, 250, 554]
    with ours.client() as c:
        assert c.command("MAIL FROM:<s@from.test>").code == 250
        assert c.command("RCPT TO:<a@two.test>").code == 554
        replace(ours.table, "two.test\n")
        ours.wait_log(r"table \S*ours read again: 1 entries", SECONDS)
        # the session that was open asks it too
        wait_for(lambda: c.codes("RSET", "MAIL FROM:<s@from.test>", "RCPT TO:<a@two.test>")[2]
                 == 250, SECONDS, "the new table")
    assert codes(ours, "a@one.test", "a@two.test", "a@plain.test") == [554, 250, 250]
    with open(ours.table, "a") as f:  # in place, as well
        f.write("three.test\n")
    becomes(ours, "a@three.test", 250)


def test_a_table_that_becomes_faulty_leaves_the_old_one(ours):
    replace(ours.table, "one.test\ntwo.test\nnot a@@b\n10.0.0.1/8\n")
    ours.wait_log(r"ours:4:1: .*is not a network", SECONDS)
    ours.wait_log("tables not read again: the old ones stay", SECONDS)
    assert codes(ours, "a@one.test", "a@two.test") == [250, 554]
    # a table with * names no domain: the relay would be open
    replace(ours.table, "*\n")
    ours.wait_log("this opens the relay", SECONDS)
    assert codes(ours, "a@one.test", "a@two.test") == [250, 554]
    ours.table.unlink()
    ours.wait_log("cannot read the table .*No such file", SECONDS)
    assert codes(ours, "a@one.test", "a@two.test") == [250, 554]
    time.sleep(3)
    assert len(re.findall("cannot read the table", ours.log())) == 1
    replace(ours.table, "two.test\n")
    becomes(ours, "a@two.test", 250)


def test_a_faulty_table_keeps_no_other_waiting(tmp_path):
    folder = tmp_path / "relay"
    folder.mkdir()
    (folder / "ours").write_text("one.test\n")
    (folder / "theirs").write_text("three.test\n")
    (folder / "aliases").write_text("ann: a@plain.test\n")
    rules = ('rule "ours" { to = {"table:ours"}  action = relay }\n'
             'rule "theirs" { to = {"table:theirs"}  action = relay }\n')

    def faulty():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{folder}/admin.sock")
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            said = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        return int(re.search(r"^waypost_tables_faulty (\d+)", said, re.M)[1])

    with Relay(folder, {"*": "smtp://127.0.0.1:1"}, rules=rules,
               top=f'aliases = "{folder}/aliases"\n') as r:
        assert faulty() == 0
        replace(folder / "ours", "one.test\nnot a@@b\n10.0.0.1/8\n")
        r.wait_log(r"ours:3:1: .*is not a network", SECONDS)
        # with the faulty one lying there, and together with another fault
        replace(folder / "theirs", "four.test\n")
        becomes(r, "a@four.test", 250)
        assert codes(r, "a@one.test", "a@three.test") == [250, 554]
        assert faulty() == 1
        replace(folder / "aliases", "no colon\n")
        replace(folder / "theirs", "five.test\n")
        becomes(r, "a@five.test", 250)
        r.wait_log("table .*aliases not read again: the old one stays", SECONDS)
        assert codes(r, "a@one.test", "a@four.test") == [250, 554]
        assert faulty() == 2
        replace(folder / "ours", "two.test\n")
        becomes(r, "a@two.test", 250)
        replace(folder / "aliases", "ann: b@plain.test\n")
        r.wait_log("aliases .* read again: 1 names", SECONDS)
        assert codes(r, "a@one.test", "a@five.test") == [554, 250]
        assert faulty() == 0


def test_a_configuration_that_is_being_edited_waits_for_its_signal(ours):
    good = ours.config.read_text()
    ours.config.write_text(good.replace("plain.test", "edited.test") + "\nrule {\n")
    replace(ours.table, "two.test\n")
    becomes(ours, "a@two.test", 250)
    assert codes(ours, "a@plain.test", "a@edited.test") == [250, 554]
    ours.reload()
    ours.wait_log("configuration not reloaded", SECONDS)
    assert codes(ours, "a@plain.test", "a@edited.test") == [250, 554]
    ours.config.write_text(good.replace("plain.test", "edited.test"))
    ours.reload()
    ours.wait_log("configuration reloaded", SECONDS)
    becomes(ours, "a@edited.test", 250)
    assert codes(ours, "a@plain.test", "a@two.test") == [554, 250]


def test_clients_senders_and_names_may_be_in_tables(tmp_path):
    folder = tmp_path / "relay"
    folder.mkdir()
    (folder / "lists").mkdir()
    (folder / "lists/hosts").write_text("127.0.0.0/8\n")
    (folder / "bad").write_text("spam.test\n/^bulk[0-9]+@/ # many\n<>\n")
    (folder / "names").write_text("localhost\n[127.0.0.1]\nmy_pc\n")
    rules = ('rule "bad" { from = {"table:bad"}  action = reject }\n'
             'rule "names" { helo = {"table:names"}  action = reject }\n'
             f'rule "ours" {{ client = {{"table:{folder}/lists/hosts"}}  action = relay }}\n')
    with Relay(folder, {"*": "smtp://127.0.0.1:1"}, rules=rules) as r:
        for sender, code in (("a@good.test", 250), ("a@spam.test", 554), ("BULK7@x.test", 554),
                             ("", 554), ("bulk@x.test", 250)):
            with r.client() as c:
                assert c.command(f"MAIL FROM:<{sender}>").code == code, sender
        for name, code in (("other", 250), ("LOCALHOST", 554), ("my_pc", 554),
                           ("[127.0.0.1]", 554)):
            # not before MAIL: the rule above has its say first
            with r.client(helo=name) as c:
                assert c.command("MAIL FROM:<a@good.test>").code == code
        replace(folder / "lists/hosts", "10.0.0.0/8\n")
        becomes(r, "a@to.test", 554)


def test_a_route_finds_its_domains_in_a_table(tmp_path):
    folder = tmp_path / "relay"
    folder.mkdir()
    big = folder / "big"
    big.write_text("big.example\nann@other.example\n")
    with peers.Sink() as a, peers.Sink() as b, \
            Relay(folder, {"*": b.hop, "big customer":
                           {"to": '{"named.example", "table:big"}', "via": a.hop}}) as r:
        def goes(recipient):
            before = len(a.messages), len(b.messages)
            with r.client() as c:
                c.mail(b"Subject: x\r\n\r\nx\r\n", to=(recipient,))
            r.wait_empty()
            return "a" if len(a.messages) > before[0] else "b"

        assert [goes(f"{x}.example") for x in ("x@big", "x@named", "x@other", "ann@other")] \
            == ["a", "a", "b", "a"]
        replace(big, "other.example\n")
        r.wait_log(r"table \S*big read again", SECONDS)
        assert [goes(f"{x}.example") for x in ("x@big", "x@named", "x@other", "ann@other")] \
            == ["b", "a", "a", "a"]


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_table_may_be_kept_in_sqlite(tmp_path, mode):
    folder = tmp_path / "relay"
    folder.mkdir()
    db = sqlite3.connect(folder / "domains.db")
    db.execute(f"PRAGMA journal_mode={mode}")
    db.execute("CREATE TABLE entries (key TEXT, value TEXT)")
    db.execute("CREATE TABLE closed (key TEXT)")
    db.execute("INSERT INTO entries VALUES ('one.test', 'it''s #1')")
    db.execute("INSERT INTO closed VALUES ('closed.test')")
    db.commit()
    rules = ('rule "closed" { to = {"table:domains.db#closed"}  action = reject }\n'
             'rule "ours" { to = {"table:domains.db"}  action = relay }\n')
    with Relay(folder, {"*": "smtp://127.0.0.1:1"}, rules=rules) as r:
        assert codes(r, "a@one.test", "a@two.test") == [250, 554]
        db.execute("INSERT INTO entries VALUES ('two.test', NULL), ('closed.test', '')")
        db.commit()
        becomes(r, "a@two.test", 250)
        assert codes(r, "a@one.test", "a@closed.test") == [250, 554]
        # another writes it at this moment, for some seconds: nothing is lost by it
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM closed")
        time.sleep(1)
        assert codes(r, "a@one.test", "a@closed.test") == [250, 554]
        db.commit()
        becomes(r, "a@closed.test", 250)
        db.execute("DROP TABLE closed")
        db.commit()
        r.wait_log("cannot read the table .*no such table: closed", SECONDS)
        assert codes(r, "a@one.test", "a@closed.test") == [250, 250]
    db.close()


def test_check_tells_what_tables_hold_and_what_is_wrong(tmp_path):
    folder = tmp_path / "relay"
    folder.mkdir()
    r = Relay(folder, {"*": "smtp://127.0.0.1:1"},
              rules='rule "ours" { to = {"table:ours"}  action = relay }\n')

    def check():
        done = subprocess.run([peers.program(), "check", "-c", r.config], text=True,
                              capture_output=True, timeout=30)
        return done.returncode, done.stdout, done.stderr

    code, _, said = check()
    assert code == 78 and re.search(r"waypost\.conf:\d+:\d+: cannot read the table", said)
    (folder / "ours").write_text("one.test\ntwo.test\nOne.test\n")
    code, told, said = check()
    assert code == 0 and f"table {folder}/ours: 2 entries\n" in told
    assert f"{folder}/ours:3:1: warning: \"one.test\" stands a second time" in said
    (folder / "ours").write_text("")
    code, told, said = check()
    assert code == 0 and f"{folder}/ours:1:1: warning: the table is empty" in said
    (folder / "ours").write_text("good.test\n\nb@d@x.test\n'open\n")
    code, told, said = check()
    assert code == 78
    assert f'{folder}/ours:3:1: "b@d@x.test" is not an address' in said
    assert f"{folder}/ours:4:1: \"'open\" has a quote that is not closed" in said
