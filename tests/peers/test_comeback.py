"""A host is away while its mail comes in, and is back: all of it, once, and in order where
one connection is all that it takes. What was measured goes to the test's output."""

import os
import threading
import time

import pytest

from relay import Relay, Sink, wait_for

LONG = os.environ.get("WAYPOST_LONG") == "1"
# One after the other each waits for its own commit, so the ordered ones take their time.
MESSAGES = {1: 10000 if LONG else 2500, 20: 10000}


def number(n):
    return b"Subject: %d\r\n\r\nmessage %d\r\n" % (n, n)


def fill(relay, first, count):
    """One client, so that arrival has an order."""
    with relay.client() as c:
        for n in range(first, first + count):
            c.send(b"MAIL FROM:<s@from.test>\r\nRCPT TO:<r@away.test>\r\nDATA\r\n")
            assert [c.reply().code for _ in range(3)] == [250, 250, 354]
            c.send(number(n) + b".\r\n")
            assert c.reply().code == 250


def numbers(messages):
    return [int(m.content.rsplit(b" ", 1)[1]) for m in messages]


@pytest.mark.parametrize("connections", [1, 20])
def test_thousands_wait_for_a_host_and_all_arrive(tmp_path, connections):
    total = MESSAGES[connections]
    with Sink() as s:
        s.refuse()
        with Relay(tmp_path / "r", {"away.test": {
                "via": s.hop, "connections": connections, "tls": "none"}}) as r:
            began = time.time()
            fill(r, 0, 10)
            wait_for(lambda: "rests for" in r.log(), what="the host is known to be down")
            if connections == 1:
                fill(r, 10, total - 10)
            else:
                share = total // 4
                clients = [threading.Thread(target=fill, args=(
                    r, 10 + k * share, share - (10 if k == 3 else 0))) for k in range(4)]
                for c in clients:
                    c.start()
                for c in clients:
                    c.join()
            assert not s.messages
            taken = time.time() - began

            s.listen()
            began = time.time()
            r.verb("dest", "resume", s.hop + "*", "--yes")
            s.wait(1)
            first = time.time() - began
            got = numbers(s.wait(total, 120))
            rate = total / (time.time() - began)
            r.wait_empty()
            print(f"connections = {connections}: taken in {taken:.1f} s; first within "
                  f"{first * 1000:.0f} ms, {rate:.0f}/s")
            assert len(s.messages) == total, "each once"
            assert sorted(got) == list(range(total))
            if connections == 1:
                assert got == list(range(total)), "in order of arrival"
                assert s.connections == 1
