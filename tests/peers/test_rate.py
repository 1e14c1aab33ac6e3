"""Routes with a rate: never more than it allows reaches the next hop, over restarts and a kill
too; other mail does not wait for it, and people are told.

Times are those at the sink, counted from before the first message was handed in: what comes late
makes no sum up to then larger, so a slow machine breaks nothing.
"""

import json
import re
import socket
import time
from http.client import HTTPConnection

from relay import Relay, Sink, wait_for

NOTE = b"Subject: a note\r\n\r\nIt can wait.\r\n"


def hand_in(r, to, count):
    with r.client() as c:
        for _ in range(count):
            assert c.mail(NOTE, to=(to,)).code == 250


def check_sums(times, begin, amount, period):
    """None of the first so many came before it may have gone."""
    burst = max(1, amount // 16)
    every = period / (amount - burst + 1)
    for n, at in enumerate(sorted(times)):
        assert at - begin >= (n - burst) * every - 0.01, (n, at - begin)


def shown(r, name):
    return r.verb("dest", "show", name, check=False).stdout.decode()


def why(r):
    found = [r.verb("queue", "show", m["queue_id"]).stdout.decode()
             for m in r.queue_list()]
    return [" ".join(text.split()) for text in found]


def test_never_more_than_the_rate_over_a_restart_and_a_kill(tmp_path):
    rate = '{"5/s"}'
    with Sink() as slow, Sink() as quick, \
         Relay(tmp_path / "r", {"slow.test": {"via": slow.hop, "rate": rate},
                                "quick.test": quick.hop}) as r:
        begin = time.monotonic()
        hand_in(r, "a@slow.test", 25)
        hand_in(r, "a@quick.test", 25)
        quick.wait(25)
        slow.wait(5)
        r.stop()
        r.start()
        slow.wait(10)
        r.kill()
        r.start()
        slow.wait(25, 60)
        r.wait_empty()
        check_sums([m.time for m in slow.messages], begin, 5, 1)
        assert "status=deferred" not in r.log()
        assert 25 <= len(slow.messages) <= 30  # in doubt at the kill: again


def test_who_waits_for_a_rate_is_told_so(tmp_path):
    with Sink() as slow, Sink() as quick, \
         Relay(tmp_path / "r", {"slow.test": {"via": slow.hop, "rate": '{"1/d", "5/7d"}'},
                                "quick.test": quick.hop}) as r:
        name = f"{slow.hop} rate=1/d+5/7d"
        hand_in(r, "a@slow.test", 4)
        slow.wait(1)
        wait_for(lambda: "limited" in shown(r, name), what="a word on the rate")
        text = shown(r, name)
        words = re.search(r"^rate +(limited to 1/d and 5/7d, next at \d{4}-\d\d-\d\d "
                          r"\d\d:\d\d:\d\d)$", text, re.M)
        assert words, text
        assert re.search(r"^state +up$", text, re.M)
        line = next(line for line in r.verb("dest", "list").stdout.decode().splitlines()
                    if line.startswith(name[:20]))
        assert words[1] in line
        row = json.loads(r.verb("dest", "show", name, "--json").stdout)
        assert row["rates"] == ["1/d", "5/7d"] and row["reason"] == words[1]
        assert row["held_until"] > time.time() + 3600
        r.wait_log(re.escape(name) + " is limited to 1/d and 5/7d: mail waits")
        # neither attempted nor deferred, and it says why
        told = why(r)
        assert len(told) == 3
        for text in told:
            assert "it is ready; its destination is " + words[1] in text, text
        assert all(m["recipients"][0]["attempts"] == 0 for m in r.queue_list())
        figure = 'waypost_destination_rate_limited{destination="%s"} 1' % name
        wait_for(lambda: figure in metrics(r), what=figure)
        probe = r.verb("dest", "probe", "a@slow.test", check=False).stdout.decode()
        assert "it is limited to 1/d and 5/7d, next at" in probe, probe
        assert "goes as its rate allows" in probe
        told = r.verb("explain", "--client", "127.0.0.1", "--from", "s@from.test",
                      "--to", "a@slow.test").stdout.decode()
        assert ", at most 1/d and 5/7d: up" in told, told
        # whatever is asked for, and after a crash
        r.verb("queue", "retry", "--yes")
        r.verb("dest", "retry", name)
        r.kill()
        r.start()
        hand_in(r, "a@quick.test", 1)
        quick.wait(1)
        wait_for(lambda: "limited" in shown(r, name), what="a word on the rate")
        assert len(slow.messages) == 1
        # one for each start, and a minute
        assert 2 <= len(re.findall("is limited to", r.log())) <= 5
        assert "deferred" not in r.log()
        # another rate, or none, is taken up at once
        r.routes["slow.test"] = slow.hop
        r.write_config()
        r.reload()
        slow.wait(4)
        r.wait_empty()


def metrics(r):
    c = HTTPConnection("localhost")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(str(r.folder / "admin.sock"))
    c.request("GET", "/metrics")
    return c.getresponse().read().decode()


def test_a_connection_is_not_kept_for_what_waits(tmp_path):
    with Sink() as s, \
         Relay(tmp_path / "r", {"slow.test": {"via": s.hop, "rate": '{"1/d"}',
                                              "idle": '"0s"'}}) as r:
        hand_in(r, "a@slow.test", 3)
        s.wait(1)
        wait_for(lambda: not s.open, what="the end of the connection")
        hand_in(r, "a@slow.test", 1)
        wait_for(lambda: len(r.queue_list()) == 3, what="three that wait")
        assert s.connections == 1
