"""Rows F (who may relay) and S (too much, too slow, too long)."""

import resource
import signal
import socket
import threading
import time

from cases import case, private
from relay import LONG, Client, Closed, wait_for

# ------------------------------------------------------- F: open relay -------

RELAY_TESTS = {
    "F01": ("s@ext.test", "v@ext.test"),
    "F02": ("", "v@ext.test"),
    "F03": ("s@ok.test", "v@ext.test"),
    "F05": ("s@mx.ok.test", "v%ext.test@mx.ok.test"),
    "F06": ("s@[127.0.0.1]", "v%ext.test@[127.0.0.1]"),
    "F07": ("s@[127.0.0.1]", '"v@ext.test"'),
    "F08": ("s@[127.0.0.1]", '"v%ext.test"'),
    "F09": ("s@[127.0.0.1]", "v@ext.test@[127.0.0.1]"),
    "F10": ("s@[127.0.0.1]", '"v@ext.test"@[127.0.0.1]'),
    "F11": ("s@[127.0.0.1]", "v@ext.test@mx.ok.test"),
    "F12": ("s@[127.0.0.1]", "@[127.0.0.1]:v@ext.test"),
    "F13": ("s@[127.0.0.1]", "@mx.ok.test:v@ext.test"),
    "F14": ("s@[127.0.0.1]", "ext.test!v"),
    "F15": ("s@[127.0.0.1]", "ext.test!v@[127.0.0.1]"),
    "F16": ("s@[127.0.0.1]", "ext.test!v@mx.ok.test"),
}


def is_refused(w, sender, recipient, helo="client.test"):
    with w.client(helo=helo) as c:
        assert c.command(f"MAIL FROM:<{sender}>").code == 250, sender
        reply = c.command(f"RCPT TO:<{recipient}>")
        assert reply.code in (501, 550, 553, 554), (recipient, reply)
        assert c.command("DATA").code in (503, 554)
        return reply


@case(*RELAY_TESTS, world="edge")
def a_stranger_cannot_relay(w):
    reply = is_refused(w, *RELAY_TESTS[w.row])
    if w.row in ("F01", "F02", "F03"):
        assert reply.code == 554 and reply.text.startswith("5.7.1"), reply
        assert "Relay access denied" in reply.text


@case("F04", world="edge")
def a_sender_gives_no_trust(w):
    for sender in ("s@[127.0.0.1]", "s@localhost", "s"):
        with w.client() as c:
            if c.command(f"MAIL FROM:<{sender}>").code == 250:
                code = c.command("RCPT TO:<v@ext.test>").code
                assert code in (550, 554), (sender, code)


@case("F18", world="edge")
def a_route_inside_an_allowed_address_is_refused(w):
    for recipient in ("ext.test!x!v@ok.test", "v%ext.test@ok.test",
                      '"v@ext.test"@ok.test', "@a:@b:v@ext.test"):
        is_refused(w, "s@from.test", recipient)


@case("F19", world="edge")
def a_name_gives_no_trust(w):
    for name in ("localhost", "mx.ok.test", "[127.0.0.1]", "ok.test"):
        is_refused(w, "s@ext.test", "v@ext.test", helo=name)


@case("F21", world="edge")
def only_the_allowed_recipient_gets_it(w):
    with w.client() as c:
        assert c.codes("MAIL FROM:<s@ext.test>", "RCPT TO:<f21@ok.test>",
                       "RCPT TO:<f21@ext.test>", "DATA") == [250, 250, 554, 354]
        c.send(b"x\r\n.\r\n")
        assert c.reply().code == 250

    def mine():
        return [m for m in w.sink.messages
                if any(r.startswith("f21@") for r in m.recipients)]
    wait_for(mine, 10)
    time.sleep(0.3)
    assert [m.recipients for m in mine()] == [["f21@ok.test"]]


@case("F24", world="edge")
def nobody_can_claim_to_be_another(w):
    for line in ("XCLIENT ADDR=127.0.0.1 NAME=localhost", "XFORWARD NAME=x",
                 "PROXY TCP4 10.0.0.1 10.0.0.2 1 25"):
        with w.client() as c:
            # a balancer's line is another protocol: said no and closed
            assert c.command(line).code in (550, 221), line
            if line.startswith("PROXY"):
                assert c.is_closed()
    version_2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    for raw in (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 25\r\n",
                version_2 + b"\x7f\0\0\x01" * 2 + b"\0\x19\0\x19",
                version_2[:13], b"PROXY " + b"x" * 210 + b"\r\n",
                b"\r\n\r\n\x00\r\nQUIT\n\x21\x21\xff\xff" + b"\xff" * 300):
        with w.client(helo=None) as c:
            c.send(raw)
            c.all_replies(0.3)
        with w.client(helo=None) as c:
            c.send(raw[:7])
            c.reset()
    is_refused(w, "s@ext.test", "v@ext.test")


@case("F27")
def a_reload_counts_for_the_next_transaction(w):
    rules = 'rule "two" { to = {"one.test", "two.test"}  action = relay }\n'
    with private(w.folder, w.row, rules=rules) as p:
        with p.client() as c:
            c.command("MAIL FROM:<s@from.test>")
            assert c.command("RCPT TO:<a@two.test>").code == 250
            p.relay.rules = rules.replace(', "two.test"', "")
            p.relay.write_config()
            p.relay.reload()

            def second_is_refused():
                with p.client() as other:
                    other.command("MAIL FROM:<s@from.test>")
                    return other.command("RCPT TO:<a@two.test>").code == 554
            wait_for(second_is_refused, 10, "the reload")
            # the transaction goes on by the rules it began with
            assert c.command("RCPT TO:<b@two.test>").code == 250
            c.command("RSET")
            c.command("MAIL FROM:<s@from.test>")
            assert c.command("RCPT TO:<a@two.test>").code == 554
            assert c.command("RCPT TO:<a@one.test>").code == 250


# ------------------------------------------------------------- S: load -------

def more_files(n):
    """Lets this process have so many descriptors, if it may; how many it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < n:
        soft = n if hard == resource.RLIM_INFINITY else min(n, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def greeted(port, seconds):
    """Is a new client greeted within the time?"""
    with Client(port, timeout=seconds, greet=False) as c:
        return c.reply().code == 220


@case("S01")
def an_eager_client_is_served(w):
    with Client(w.relay.port, greet=False) as c:
        c.send(f"EHLO x.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<{w.to()}>\r\n"
               "DATA\r\n".encode())
        assert [c.reply().code for _ in range(5)] == [220, 250, 250, 250, 354]
        c.send(b"x\r\n.\r\n")
        assert c.reply().code == 250
    w.one()


@case("S02")
def very_many_slow_clients_do_not_keep_others_out(w):
    many = min(10000 if LONG else 3000, more_files(11000) - 500)
    silence = 20 if LONG else 6
    with private(w.folder, w.row, limits={
            "silence": f'"{silence}s"', "sessions-per-client": 20000},
            open_files=12000) as p:
        socks = []
        try:
            begun = time.monotonic()
            for i in range(many):
                s = socket.create_connection(("127.0.0.1", p.relay.port), 10)
                s.setblocking(False)
                socks.append(s)
                # the first may not have been silent for too long when all are there
                if time.monotonic() - begun > silence / 2:
                    break
            for s in socks:
                s.send(b"N")
            assert greeted(p.relay.port, 30)
            descriptors = p.relay.descriptors()
            assert descriptors > len(socks) * 0.9
            # a byte now and then does not keep a session for ever
            end = time.monotonic() + silence * 4
            while time.monotonic() < end and p.relay.descriptors() > 300:
                for s in socks[::50]:
                    try:
                        s.send(b"O")
                    except OSError:
                        pass
                time.sleep(silence / 4)
            assert p.relay.descriptors() < 300
            assert greeted(p.relay.port, 30)
        finally:
            for s in socks:
                s.close()


@case("S03")
def content_has_a_least_rate(w):
    with private(w.folder, w.row, limits={"silence": '"2s"',
                                          "data-rate": 500}) as p:
        with p.client() as c:
            c.envelope(to=[p.to()])
            c.socket.settimeout(0.1)
            begun = time.monotonic()
            reply = None
            while reply is None and time.monotonic() - begun < 30:
                try:
                    c.send(b"x")
                    reply = c.reply()
                except TimeoutError:
                    pass
                except (Closed, ConnectionError):
                    break
            assert reply is not None and reply.code == 421, reply
            assert "4.4.2" in reply.text
        p.nothing_arrives()


@case("S04")
def more_connections_than_allowed_or_possible(w):
    with private(w.folder, w.row, limits={"sessions-per-client": 50}) as p:
        p.relay.wait_log("disconnect from")  # who looked whether it is there
        clients = [Client(p.relay.port, greet=False) for _ in range(150)]
        codes = [c.reply().code for c in clients]
        assert codes.count(220) == 50 and codes.count(421) == 100, codes
        for c in clients:
            c.close()
        wait_for(lambda: greeted(p.relay.port, 5), 5)
    with private(w.folder / "few", w.row, open_files=80) as p:
        socks = [socket.create_connection(("127.0.0.1", p.relay.port), 5)
                 for _ in range(200)]
        time.sleep(0.5)
        before = p.relay.cpu_seconds()
        time.sleep(2)
        assert p.relay.cpu_seconds() - before < 0.4, "a busy loop"
        for s in socks:
            s.close()
        wait_for(lambda: greeted(p.relay.port, 5), 10)
        p.accept(b"x\r\n")
        p.one()


@case("S05")
def one_address_cannot_take_all(w):
    with private(w.folder, w.row, limits={"sessions-per-client": 10},
                 address="127.0.0.1") as p:
        p.relay.wait_log("disconnect from")  # who looked whether it is there
        clients = [Client(p.relay.port) for _ in range(10)]
        with Client(p.relay.port, greet=False) as c:
            reply = c.reply()
            assert reply.code == 421 and reply.text.startswith("4.7.0"), reply
            assert c.is_closed()
        with Client(p.relay.port, source="127.0.0.2") as c:
            assert c.command("NOOP").code == 250
        for c in clients:
            assert c.command("NOOP").code == 250
            c.close()


@case("S06")
def idle_talk_ends(w):
    for verb in ("NOOP", "RSET", "VRFY x"):
        with w.client() as c:
            codes = []
            try:
                for _ in range(1000):
                    codes.append(c.command(verb).code)
            except (Closed, ConnectionError):
                pass
            assert codes[-1] == 421 and 100 <= len(codes) <= 150, (
                verb, len(codes), codes[-1])


@case("S09")
def resets_leave_nothing(w):
    before = w.relay.descriptors_at_rest()
    for i in range(100000 if LONG else 5000):
        s = socket.create_connection(("127.0.0.1", w.relay.port), 5)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     b"\x01\0\0\0\0\0\0\0")
        s.close()
    wait_for(lambda: w.relay.descriptors() <= before + 2, 10)
    w.accept(b"x\r\n")
    w.one()


@case("S10")
def silent_clients_are_ended(w):
    many = 5000 if LONG else 500
    with private(w.folder, w.row, open_files=8000, limits={
            "silence": '"2s"', "sessions-per-client": 20000}) as p:
        more_files(8000)
        before = p.relay.descriptors_at_rest()
        clients = [p.client() for _ in range(many)]
        for c in clients:
            c.send(f"MAIL FROM:<a@b.test>\r\nRCPT TO:<{p.to()}>\r\n".encode())
        # the first of them must not have waited for the last
        for c in clients[-50:]:
            assert [c.reply().code for _ in range(2)] == [250, 250]
        wait_for(lambda: p.relay.descriptors() <= before + 2, 20,
                 "the end of silent sessions")
        reply = clients[-1].reply()
        assert reply.code == 421 and reply.text.startswith("4.4.2"), reply
        for c in clients:
            c.close()


@case("S14")
def going_down_and_reloading_under_load(w):
    with private(w.folder, w.row, open_files=4000) as p:
        more_files(4000)
        stop, taken, errors = threading.Event(), [], []

        def load(n):
            try:
                with p.client() as c:
                    i = 0
                    while not stop.is_set():
                        i += 1
                        if c.mail(b"x\r\n", to=[p.to(f"{n}.{i}")]).code == 250:
                            taken.append(p.to(f"{n}.{i}"))
            except (Closed, ConnectionError, AssertionError) as e:
                if not stop.is_set():
                    errors.append(e)
        threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
        for t in threads:
            t.start()
        idle = [p.client() for _ in range(200)]
        for _ in range(1000 if LONG else 100):
            p.relay.reload()
            time.sleep(0.005)
        time.sleep(0.2)
        assert p.relay.is_alive and not errors, errors
        for c in idle:
            assert c.command("NOOP").code == 250
        stop.set()
        begun = time.monotonic()
        p.relay.process.send_signal(signal.SIGTERM)
        p.relay.process.wait(30)
        assert time.monotonic() - begun < 25
        for c in idle[:20]:
            reply = c.reply()
            assert reply.code == 421 and reply.text.startswith("4.3.2"), reply
        for t in threads:
            t.join()
        for c in idle:
            c.close()
        p.relay.start()
        p.relay.wait_empty()
        arrived = [r for m in p.arrived() for r in m.recipients]
        assert sorted(arrived) == sorted(taken)


@case("S15")
def resets_while_a_commit_is_awaited(w):
    many = 20000 if LONG else 1500
    for i in range(many):
        c = w.client()
        c.envelope(to=[w.to(f"r{i}")])
        c.send(b"x\r\n.\r\n")
        c.reset()
    w.accept(b"last\r\n")
    assert w.relay.is_alive
    w.all_gone()
    got = [r for m in w.arrived() for r in m.recipients]
    assert len(got) == len(set(got)) <= many + 1
