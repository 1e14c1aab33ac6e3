"""Mail for hosts that are often away: it waits, is released, waits again; and what a
person does with a destination."""

import itertools
import json
import threading
import time

import pytest

from relay import Relay, Sink, wait_for

NOTE = b"Subject: a note\r\n\r\nIt can wait.\r\n"
NOINPUT, USAGE = 66, 64


def away(hop, name="branch", more="", route=""):
    """A pickup that a release delivers to hop; None: only fetched."""
    deliver = f'deliver-to = "{hop}"' if hop else ""
    return (f'route "away.test" {{ via = {{"pickup:{name}"}}  tls = none  {route}\n'
            f'    offline {{ login = {{"branch"}}  {deliver}  {more} }} }}\n'
            if hop else
            f'route "away.test" {{ via = {{"pickup:{name}"}}  {route}\n'
            f'    offline {{ login = {{"branch"}}  {more} }} }}\n')


def on_demand(hop, more="", route=""):
    """An ordinary route that waits to be released."""
    return (f'route "away.test" {{ via = {{"{hop}"}}  {route}\n'
            f'    offline {{ login = {{"branch"}}  {more} }} }}\n')


def dest(r, *words):
    return [json.loads(line) for line in
            r.verb("dest", *words, "--json").stdout.splitlines()]


def row(r, name):
    found = [d for d in dest(r, "list") if d["name"].startswith(name)]
    return found[0] if found else {"state": "up", "waiting": 0}


def put(r, *recipients, content=NOTE):
    with r.client() as c:
        for to in recipients:
            assert c.mail(content, to=(to,)).code == 250


def state(r, name):
    return row(r, name)["state"]


@pytest.mark.parametrize("route, name", [(away, "pickup:branch"),
                                         (on_demand, "smtp://127.0.0.1")])
def test_it_waits_is_released_and_waits_again(tmp_path, route, name):
    with Sink() as s, Relay(tmp_path / "r", extra=route(s.hop)) as r:
        put(r, "a@away.test", "b@away.test")
        wait_for(lambda: row(r, name)["waiting"] == 2)
        time.sleep(0.5)
        assert s.connections == 0
        found = row(r, name)
        assert found["state"] == "offline" and found["due"] is None
        assert found["open"] == 0 and found["active"] == 0 and found["on_demand"]
        waiting = r.queue_list()[0]["recipients"][0]
        assert waiting["state"] == "deferred" and waiting["due"] is None
        assert waiting["delay_reason"] == "4.4.1 waits for pick-up"
        shown = r.verb("queue", "show", r.queue_list()[0]["queue_id"]).stdout
        assert b"it waits to be fetched" in shown

        r.verb("dest", "resume", found["name"])
        assert len(s.wait(2)) == 2
        r.wait_empty()
        wait_for(lambda: state(r, name) == "offline", what="it waits again")

        connections = s.connections
        put(r, "c@away.test")
        time.sleep(0.5)
        assert len(s.messages) == 2 and s.connections == connections
        r.verb("queue", "retry", "--to", "c@away.test", "--yes")
        assert s.wait(3)[2].recipients == ["c@away.test"]


def test_what_nobody_can_deliver_waits_whatever_is_wanted(tmp_path):
    with Relay(tmp_path / "r", extra=away(None)) as r:
        put(r, "a@away.test")
        for order in ("resume", "retry", "probe"):
            r.verb("dest", order, "pickup:branch")
            wait_for(lambda: state(r, "pickup:branch") == "offline")
        time.sleep(0.3)
        mail = r.queue_list()[0]["recipients"][0]
        assert mail["state"] == "deferred" and mail["attempts"] == 0
        assert "waits for pick-up" in mail["delay_reason"]
        assert "rests for" not in r.log()


def test_a_release_may_lead_into_a_folder(tmp_path):
    (tmp_path / "mail" / "away.test" / "a").mkdir(parents=True)
    with Relay(tmp_path / "r", extra=away(
            f"maildir:{tmp_path}/mail/%d/%u")) as r:
        put(r, "a@away.test")
        wait_for(lambda: state(r, "pickup:branch") == "offline")
        assert not list(tmp_path.glob("mail/*/*/new/*"))
        r.verb("dest", "resume", "pickup:branch")
        r.wait_empty()
        assert len(list(tmp_path.glob("mail/away.test/a/new/*"))) == 1


def test_a_probe_is_one_connection_and_its_success_releases_all(tmp_path):
    with Sink() as s, Relay(tmp_path / "r",
                            extra=on_demand(s.hop, 'probe = "10s"')) as r:
        s.refuse()
        before = time.time()
        put(r, *(f"r{i}@away.test" for i in range(30)))
        assert before + 8 < row(r, "smtp://")["due"] <= time.time() + 10
        r.wait_log("connect to .*refused")
        wait_for(lambda: row(r, "smtp://")["downs"] == 1)
        found = row(r, "smtp://")
        assert found["state"] == "offline" and found["active"] <= 16
        assert "refused" in found["reason"] and found["open"] == 0
        assert r.log().count("refused") == 1, "one at a time"
        s.listen()
        assert len(s.wait(30, 15)) == 30
        r.wait_empty()


def test_a_probe_by_hand(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", extra=on_demand(s.hop)) as r:
        s.refuse()
        put(r, *(f"r{i}@away.test" for i in range(30)))
        name = row(r, "smtp://")["name"]
        r.verb("dest", "probe", name, "--quiet")
        r.wait_log("connect to .*refused")
        wait_for(lambda: row(r, name)["downs"] == 1)
        assert state(r, name) == "offline"
        s.listen()
        r.verb("dest", "probe", name)
        assert len(s.wait(30)) == 30


def test_a_suspension_survives_a_restart(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}) as r:
        put(r, "a@one.test")
        s.wait(1)
        r.verb("dest", "suspend", s.hop, "--for", "2h", "--reason", "a new disk")
        put(r, "b@one.test")
        wait_for(lambda: row(r, s.hop)["waiting"] == 1)
        found = row(r, s.hop)
        assert found["state"] == "suspended"
        assert 7100 < found["due"] - time.time() <= 7200
        assert found["reason"].endswith("a new disk")
        assert r.queue_list()[0]["recipients"][0]["delay_reason"] == found["reason"]
        r.kill()
        r.start()
        time.sleep(0.5)
        assert len(s.messages) == 1
        assert row(r, s.hop)["reason"].endswith("a new disk")
        # neither of these ends what a person has ordered
        r.verb("dest", "retry", s.hop)
        r.retry_now()
        time.sleep(0.5)
        assert len(s.messages) == 1
        r.verb("dest", "resume", s.hop)
        assert len(s.wait(2)) == 2
        r.wait_empty()  # and with it all before is written down
        r.kill()
        r.start()
        assert state(r, s.hop) == "up"


def test_kill_during_a_release_loses_nothing(tmp_path):
    first, go_on = itertools.count(), threading.Event()

    def slow(_, stage, __):
        """Takes some, and then nothing until the relay was killed."""
        if stage == "dot" and next(first) >= 20:
            return [lambda _s: go_on.wait(60), b"250 2.0.0 Ok\r\n"]
        return None
    with Sink(slow) as s, Relay(tmp_path / "r", extra=on_demand(s.hop)) as r:
        put(r, *(f"r{i}@away.test" for i in range(60)))
        r.verb("dest", "resume", row(r, "smtp://")["name"])
        s.wait(10)
        r.kill()
        s.drop()
        go_on.set()
        r.start()
        wait_for(lambda: state(r, "smtp://") == "offline")
        time.sleep(0.3)
        seen = len(s.messages)
        assert seen < 60, "a restart is no release"
        r.verb("dest", "resume", row(r, "smtp://")["name"])
        wait_for(lambda: len({m.recipients[0] for m in s.messages}) == 60, 20)
        r.wait_empty()
        assert len(s.messages) <= 60 + 40, "twice only where it was in doubt"


def test_order_holds_with_one_connection(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", extra=away(
            s.hop, route="connections = 1")) as r:
        put(r, *(f"r{i}@away.test" for i in range(200)))
        r.verb("dest", "resume", "pickup:branch")
        got = [m.recipients[0] for m in s.wait(200)]
        assert got == [f"r{i}@away.test" for i in range(200)]


def minute(offset):
    return time.strftime("%H:%M", time.localtime(time.time() + offset * 60))


def test_an_open_window_is_like_any_route(tmp_path):
    window = f'window = "{minute(-60)}-{minute(60)}"'
    shut = f'window = "{minute(120)}-{minute(180)}"'
    with Sink() as s, Relay(tmp_path / "r", extra=on_demand(s.hop, window)) as r:
        put(r, "a@away.test")
        s.wait(1)
        put(r, "b@away.test")
        s.wait(2)
        r.extra = on_demand(s.hop, shut)
        r.write_config()
        r.reload()
        r.wait_log("configuration reloaded")
        put(r, "c@away.test")
        wait_for(lambda: state(r, "smtp://") == "offline")
        found = row(r, "smtp://")
        assert 100 <= (found["opens"] - time.time()) / 60 <= 120
        assert found["closes"] is None and found["fetched"] is False
        shown = r.verb("dest", "show", found["name"]).stdout.decode()
        assert "window       opens in " in shown and "not by itself" not in shown
        time.sleep(0.3)
        assert len(s.messages) == 2
        r.extra = on_demand(s.hop, window)
        r.write_config()
        r.reload()
        s.wait(3)


def test_its_hosts_alone_name_a_destination(tmp_path):
    """Whatever else its route says; and a name that means nothing is not suspended."""
    with Sink() as s, Relay(tmp_path / "r", {
            "one.test": {"via": s.hop, "most": '"9s"'},
            "two.test": {"via": s.hop, "expire": '"9d"'},
            "three.test": {"via": "smtp://127.0.0.1:1", "warn": '"9h"'},
            "*": "mx"}) as r:
        s.refuse()
        put(r, "x@one.test", "x@two.test", "x@three.test")
        wait_for(lambda: [d["state"] for d in dest(r, "list")]
                 == ["backing-off"] * 3, 20)
        assert len(dest(r, "list", s.hop)) == 2
        assert len(r.queue_list("--via", s.hop)) == 2
        assert r.verb("queue", "count", "--via", s.hop).stdout.startswith(b"2 messages")
        assert b"2 messages" in r.verb(
            "queue", "move", "--via", s.hop, "--route", "three.test").stdout
        assert b"2 destinations match" in r.verb("dest", "suspend", s.hop).stdout
        probed = r.verb("dest", "probe", "smtp://127.0.0.1:1", check=False).stdout
        assert b'route "three.test"' in probed
        r.verb("dest", "suspend", "smtp://127.0.0.1:1", "--for", "1h")
        said = {d["name"]: d["state"] for d in dest(r, "list")}
        assert said["smtp://127.0.0.1:1 warn=9h"] == "suspended" and len(said) == 3
        for name, hint in (("three.test", b"its mail goes to \"smtp://127.0.0.1:1 warn=9h\""),
                           ("x@other.test", b"its mail goes to \"mx:other.test\""),
                           ("smtp://127.0.0.1:2", b"waypost dest list tells their names")):
            done = r.verb("dest", "suspend", name, check=False)
            assert done.returncode == NOINPUT and hint in done.stderr, done.stderr
        r.verb("dest", "suspend", "mx:other.test")  # before there is mail for it
        assert len(dest(r, "list")) == 4


def test_names_are_patterns_and_more_than_one_needs_a_yes(tmp_path):
    with Sink() as a, Sink() as b, Relay(tmp_path / "r", {
            "one.test": a.hop, "two.test": b.hop}) as r:
        a.refuse(), b.refuse()
        put(r, "x@one.test", "x@two.test")
        wait_for(lambda: [d["state"] for d in dest(r, "list")]
                 == ["backing-off"] * 2, 20)
        done = r.verb("dest", "suspend", "mx:one.test", check=False)  # nothing goes by MX
        assert done.returncode == NOINPUT and len(dest(r, "list")) == 2, done
        out = r.verb("dest", "suspend", "smtp://127.*").stdout.decode()
        assert "2 destinations match. Nothing was changed" in out and a.hop in out
        assert {d["state"] for d in dest(r, "list")} == {"backing-off"}
        out = r.verb("dest", "suspend", "smtp://127.*", "--yes").stdout.decode()
        assert "2 destinations: suspended until resumed." in out
        table = r.verb("dest", "list").stdout.decode()
        assert table.count("suspended") >= 2 and "LAST WORDS" in table
        assert "not by itself" in r.verb("dest", "show", a.hop).stdout.decode()
        assert len(dest(r, "list", a.hop)) == 1
        assert r.verb("dest", "show", "nobody", check=False).returncode == NOINPUT
        assert r.verb("dest", "retry", "nobody", check=False).returncode == NOINPUT
        assert r.verb("dest", "retry", check=False).returncode == USAGE
        assert r.verb("dest", "suspend", "x", "--for", "soon",
                      check=False).returncode == USAGE
        a.listen(), b.listen()
        r.verb("dest", "resume", "*", "--yes")
        a.wait(1), b.wait(1)
