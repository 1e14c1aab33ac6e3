"""Rows U (logins that are no logins), and what of F is about who may send as whom."""

import bisect
import pathlib
import random
import socket
import statistics
import threading
import time

from cases import case
from door import Door, b64, plain
from relay import LONG, SANITIZED, wait_for

ALICE = ("alice", "correct horse")


def opened(w, door="clear", **kw):
    """A session in which a login is possible, and where nothing is cut for errors."""
    return w.client(door, **kw)


def is_clean(c):
    """As if there had been no AUTH."""
    assert c.command("NOOP").code == 250
    assert c.command("MAIL FROM:<s@from.test>").code == 250
    assert c.command("RCPT TO:<r@u.test>").code == 554      # nobody logged in
    assert c.command("RSET").code == 250


# -------------------------------------------------------------- grammar ----

@case("U01", world="door")
def a_cancelled_login_is_none(w):
    with opened(w) as c:
        for first in (b"AUTH PLAIN *", b"AUTH LOGIN *", b"AUTH SCRAM-SHA-256 *"):
            assert c.command(first).code == 501, first
        assert c.command("AUTH PLAIN =").code in (501, 535)
        for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
            reply = c.command(f"AUTH {mechanism}")
            assert reply.code == 334, reply
            assert c.command("*").code == 501
        is_clean(c)
        assert c.login(*ALICE).code == 235


@case("U02", world="door")
def base64_has_one_form(w):
    bad = "!#$%&'()-._~:;<>?@[]^`{|}\x7f\x80\xff"
    rng = random.Random(2)
    with opened(w) as c:
        lines, good = [], b64("\0alice\0" + "p" * 60)
        for n in range(1, 301):
            text = (good * 4)[:n]
            lines.append(text if n % 4 else text[:-1] + rng.choice(bad))
            at = rng.randrange(n)
            lines.append(text[:at] + rng.choice(bad) + text[at + 1:])
            if n > 4:
                at = rng.randrange(n - 3)
                lines.append(text[:at] + "=" + text[at + 1:])
        lines += ["====", "A===", "AB=C", "AB==CDEF", "ABC=DEFG", "AB==\t", "=A=="]
        for k, line in enumerate(lines):
            raw = line.encode("latin-1")
            if k % 2:
                assert c.command("AUTH PLAIN").code == 334
                reply = c.command(raw)
            else:
                reply = c.command(b"AUTH PLAIN " + raw)
            assert reply.code == 501, (line, reply)
        is_clean(c)
    w.is_well()


@case("U03", world="door")
def a_response_has_a_limit(w):
    most = 12288
    fits = b64(b"\0alice\0" + b"p" * (most // 4 * 3 - 7))
    assert len(fits) == most
    before = w.relay.status("VmRSS")
    with opened(w, timeout=30) as c:
        assert c.command(f"AUTH PLAIN {fits}").code == 535
        assert c.command("AUTH PLAIN").code == 334
        assert c.command(fits).code == 535
        for n in (most + 1, most + 4, most + 100, 60000):
            line = (fits * 6)[:n]
            for first in (f"AUTH PLAIN {line}", None):
                if first is None:
                    assert c.command("AUTH PLAIN").code == 334
                reply = c.command(first or line)
                assert reply.code == 500 and "5.5.6" in reply.text, (n, reply)
        is_clean(c)
    for begins in (b"AUTH PLAIN ", b"AUTH PLAIN\r\n"):
        with opened(w, timeout=30) as c:
            c.send(begins)
            try:
                for _ in range(1024):
                    c.send(b"A" * 1024)
                c.send(b"\r\n")
            except ConnectionError:
                pass
            assert c.all_replies(5)[-1].code == 500
            assert c.is_closed()
    assert w.relay.uses_less_than(8000, before)


@case("U04", world="door")
def plain_has_two_nuls_and_two_names(w):
    def said(text, raw=False):
        with opened(w) as c:
            code = c.command("AUTH PLAIN " + b64(text)).code
            if code // 100 == 5:
                is_clean(c)
            return code

    syntax = ["", "alice", "alice\0correct horse", "\0alice",
              "\0alice\0correct horse\0", "\0\0alice\0correct horse", "\0\0",
              "\0\0correct horse", b"\0alice\0correct\0horse"]
    for text in syntax:
        if text:
            assert said(text) in (501, 535), text
    wrong = ["\0alice\0", "bob\0alice\0correct horse", "\0alice\0" + "p" * 1025,
             "\0ALICE\0correct horse", "\0alice \0correct horse",
             "\0alice\0Correct horse", "\0alice\0correct horse ",
             b"\0alice\0\xff\xfe", "\0bob\0y", "\0" + "a" * 300 + "\0x",
             b"\0\xff\0x", "\0alice\nbob\0x"]
    codes = {}

    def one(text):
        codes[text] = said(text)

    threads = [threading.Thread(target=one, args=(t,)) for t in wrong]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(codes.values()) <= {501, 535} and len(codes) == len(wrong), codes
    assert said("\0bob\0x") == 235                          # one character
    assert said("alice\0alice\0correct horse") == 235       # as himself


@case("U05", world="door")
def login_may_be_broken_off_anywhere(w):
    with opened(w) as c:
        assert c.codes("AUTH LOGIN", "*") == [334, 501]
        assert c.codes("AUTH LOGIN", b64("alice"), "*") == [334, 334, 501]
        assert c.codes("AUTH LOGIN " + b64("alice"), "*") == [334, 501]
        assert c.codes("AUTH LOGIN", "") == [334, 501]      # nobody
        is_clean(c)
        # a line too many is a command, and no password
        c.send(b"AUTH LOGIN\r\n" + b64("alice").encode() + b"\r\n" +
               b64("wrong").encode() + b"\r\n" + b64("secret").encode() +
               b"\r\nNOOP\r\n")
        assert [c.reply().code for _ in range(5)] == [334, 334, 535, 500, 250]
        is_clean(c)
        assert c.codes("AUTH LOGIN", b64("alice"), b64(ALICE[1]),
                       "NOOP") == [334, 334, 235, 250]
    assert b64("secret") not in w.relay.log()


@case("U06", world="door")
def auth_has_its_time(w):
    with opened(w) as c:
        assert c.command("MAIL FROM:<s@from.test>").code == 250
        assert c.command("AUTH PLAIN " + plain(*ALICE)).code == 503
        assert c.command("RSET").code == 250
        assert c.command("AUTH").code == 501
        assert c.command("AUTH NONE").code == 504
        assert c.command("AUTH CRAM-MD5").code == 504
        assert c.command("AUTH PLAIN a b").code == 501
        assert c.command("AUTH " + "X" * 1000).code == 504
        assert c.login(*ALICE).code == 235
        assert c.login(*ALICE).code == 503
        assert c.command("AUTH LOGIN").code == 503
    with opened(w, helo=None) as c:
        assert c.login(*ALICE).code == 503
        assert c.command("HELO a").code == 250
        assert c.login(*ALICE).code == 503
    with w.client("balanced", greet=False) as c:
        c.send(b"PROXY UNKNOWN\r\n")
        assert c.reply().code == 220
        assert c.codes("EHLO a", "AUTH PLAIN " + plain(*ALICE)) == [250, 502]


@case("U09", world="door")
def a_line_behind_auth_is_its_response(w):
    with opened(w) as c:
        c.send(b"AUTH PLAIN\r\nMAIL FROM:<a@b>\r\nNOOP\r\n")
        codes = [c.reply().code for _ in range(3)]
        assert codes in ([334, 501, 250], [334, 535, 250]), codes
        is_clean(c)
        c.send(b"AUTH PLAIN " + plain("alice", "wrong").encode() +
               b"\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<r@u.test>\r\nRSET\r\n")
        assert [c.reply().code for _ in range(4)] == [535, 250, 554, 250]
        c.send(b"AUTH PLAIN " + plain(*ALICE).encode() +
               b"\r\nMAIL FROM:<s@from.test>\r\nRCPT TO:<r@u.test>\r\nRSET\r\n")
        assert [c.reply().code for _ in range(4)] == [235, 250, 250, 250]
    before = w.relay.descriptors_at_rest()
    # gone while it has to wait: nothing is kept for it
    for how in ("close", "reset", "shut"):
        c = opened(w)
        c.send(b"AUTH PLAIN " + plain("alice", "wrong").encode() + b"\r\n")
        time.sleep(0.1)
        getattr(c, how)()
    wait_for(lambda: w.relay.descriptors() <= before, 10, "the end of these")


# -------------------------------------------------------------- guessing ----

def kolmogorov_smirnov(a, b):
    """The distance of two samples, and what chance alone exceeds once in a hundred."""
    a, b = sorted(a), sorted(b)
    d = max(abs(bisect.bisect_right(a, x) / len(a) -
                bisect.bisect_right(b, x) / len(b)) for x in a + b)
    return d, 1.628 * ((len(a) + len(b)) / (len(a) * len(b))) ** 0.5


@case("U07")
def guessing_is_slow_and_tells_nothing(w):
    """A session's answers, and how long the first one took: the later ones wait on
    purpose, and a password that is right is cached."""
    most, sessions, each = 3, 12, 1
    if LONG:
        most, sessions, each = 5, 100, 20
    texts, times, ends, lock = set(), {True: [], False: []}, [], threading.Lock()

    def guess(relay, n):
        rng = random.Random(n)
        for _ in range(each):
            c, k = relay.client("clear", timeout=60), 0
            while True:
                known = rng.random() < 0.5
                user = "alice" if known else f"nobody{rng.randrange(10**6)}"
                began = time.monotonic()
                reply = c.login(user, f"word-{rng.random()}")
                spent = time.monotonic() - began
                k += 1
                with lock:
                    texts.add((reply.code, reply.text))
                    times[known].append((k, spent))
                if k == most:
                    break
            with lock:
                ends.append([r.code for r in c.all_replies()])
            c.close()

    with Door(w.folder / "guessed", {"*": w.sink.hop}, users={"alice": "a b"},
              limits={"login-failures": most}) as relay:
        threads = [threading.Thread(target=guess, args=(relay, n))
                   for n in range(sessions)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(texts) == 1 and next(iter(texts))[0] == 535, texts
        assert ends == [[421]] * (sessions * each)
        for k in range(1, most + 1):
            known = [s for i, s in times[True] if i == k]
            unknown = [s for i, s in times[False] if i == k]
            assert min(known + unknown) >= k * 0.9
            if known and unknown:
                d, limit = kolmogorov_smirnov(known, unknown)
                print(f"guess {k}: {len(known)} known "
                      f"{statistics.median(known):.3f} s, {len(unknown)} unknown "
                      f"{statistics.median(unknown):.3f} s, D = {d:.3f} "
                      f"(p < 0.01 from {limit:.3f})")
        assert "word-" not in relay.log() and "nobody" not in relay.log()


# --------------------------------------------------------------- secrets ----

def found_in_memory(pid, secrets):
    """How often each is in a process's writable memory."""
    found = dict.fromkeys(secrets, 0)
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    with open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            where, rights = line.split()[:2]
            if "rw" not in rights:
                continue
            start, end = (int(x, 16) for x in where.split("-"))
            try:
                mem.seek(start)
                text = mem.read(end - start)
            except OSError:
                continue
            for s in secrets:
                found[s] += text.count(s)
    return {s: n for s, n in found.items() if n}


@case("U10")
def secrets_are_nowhere(w):
    right, wrong = "Sesame-right-7351", "Sesame-wrong-2468"
    with Door(w.folder / "secret", {"*": w.sink.hop},
              users={"alice": right}) as relay:
        tried = [right, wrong]

        def log_in(c):
            with c:
                assert c.login("alice", wrong).code == 535
                assert c.codes("AUTH PLAIN", plain("alice", right)[:-1]) == [334, 501]
                assert c.codes("AUTH LOGIN", b64("alice"), b64(wrong)) == [
                    334, 334, 535]
                assert c.codes("AUTH LOGIN", b64("alice"), b64(right)) == [
                    334, 334, 235]
                assert c.codes("MAIL FROM:<s@from.test>", f"RCPT TO:<{w.to()}>",
                               "DATA") == [250, 250, 354]
                c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
                assert c.reply().code == 250
                assert c.login("alice", right).code == 503
                done.append(c)

        done, sessions = [], [relay.client("clear"), relay.secured(),
                              relay.client("implicit"), relay.secured("submission")]
        threads = [threading.Thread(target=log_in, args=(c,)) for c in sessions]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(done) == len(sessions)
        with relay.client() as c:       # in clear, where it is not allowed
            assert c.login("alice", right).code == 538
        wait_for(lambda: not relay.queue_list(), 10)
        secrets = {s.encode() for s in tried}
        for s in tried:
            for text in (f"\0alice\0{s}", s):
                whole = b64(text).rstrip("=")
                secrets.add(whole[4:-4].encode())
        shown = {"log": relay.log().encode(errors="surrogateescape"),
                 "command line": pathlib.Path(
                     f"/proc/{relay.process.pid}/cmdline").read_bytes(),
                 "environment": pathlib.Path(
                     f"/proc/{relay.process.pid}/environ").read_bytes(),
                 "status": admin(relay, "/api/v1/status"),
                 "queue": relay.verb("queue", "list", "--json").stdout,
                 "message": relay.verb("queue", "show", w.to(), check=False).stdout,
                 "history": relay.verb("history", check=False).stdout}
        for path in relay.folder.glob("**/*.db*"):
            if path.is_dir():
                continue
            shown[path.name] = path.read_bytes()
        for name, text in shown.items():
            assert not any(s in text for s in secrets), name
        if SANITIZED:       # freed memory is kept, to be looked at
            return
        known, found = b"relay.test", {}

        def is_forgotten():
            found.clear()
            found.update(found_in_memory(relay.process.pid, [known, *secrets]))
            assert found.pop(known, 0) > 0      # it looks
            return not found or time.sleep(1)
        try:
            wait_for(is_forgotten, 20)
        except TimeoutError:
            raise AssertionError(found) from None


def admin(relay, path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(relay.folder / "admin.sock"))
        s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        text = b""
        while more := s.recv(65536):
            text += more
    assert text.split(b" ")[1] == b"200", (path, text[:200])
    return text


# -------------------------------------------------------- who sends as whom ---

SENDERS = 'senders = "{folder}/senders"  from-header = true'


@case("F25")
def the_sender_is_the_logins_own(w):
    folder = w.folder / "owned"
    with Door(folder, {"*": w.sink.hop}, more=SENDERS.format(folder=folder)) as r:
        with r.secured("submission") as c:
            assert c.login(*ALICE).code == 235
            for sender, code in (("alice@from.test", 250), ("ALICE@From.Test", 250),
                                 ("bob@from.test", 553), ("x@bob.test", 553),
                                 ("other@else.test", 553), ("", 250),
                                 ('"alice"@from.test', 250),
                                 ("alice@from.test.", 501)):
                reply = c.command(f"MAIL FROM:<{sender}>")
                assert reply.code in (code, 501 if "." == sender[-1:] else code)
                assert reply.code != 553 or "5.7.1" in reply.text
                c.command("RSET")
            for header, code in (("From: alice@from.test", 250),
                                 ("From: x <alice@FROM.test>", 250),
                                 ("From: bob@from.test", 553),
                                 ("From: alice@from.test, bob@from.test", 553),
                                 ("FROM :\r\n\tbob@from.test", 553),
                                 ("From: bob@from.test <alice@from.test>", 553),
                                 ("Subject: x", 250)):
                for sender in ("alice@from.test", ""):
                    assert c.command(f"MAIL FROM:<{sender}>").code == 250
                    assert c.codes(f"RCPT TO:<{w.to()}>", "DATA") == [250, 354]
                    c.send(header.encode() + b"\r\n\r\nx\r\n.\r\n")
                    assert c.reply().code == code, (header, sender)
        with r.client("clear") as c:        # not logged in: another's is refused
            assert c.command("MAIL FROM:<alice@from.test>").code == 553
            assert c.command("MAIL FROM:<x@bob.test>").code == 553
            assert c.command("MAIL FROM:<s@else.test>").code == 250


@case("F26", world="door")
def a_login_counts_once_it_succeeded(w):
    def code(c):
        return c.codes("MAIL FROM:<s@ext.test>", "RCPT TO:<v@ext.test>", "RSET")[1]

    with w.client("clear") as c:
        assert c.login("alice", "wrong").code == 535
        assert code(c) == 554
        assert c.codes("AUTH LOGIN", b64("alice"), "*") == [334, 334, 501]
        assert code(c) == 554
        assert c.login(*ALICE).code == 235
        assert code(c) == 250
        assert c.command("RSET").code == 250
        assert code(c) == 250
        assert c.command("EHLO again").code == 250
        assert code(c) == 250
