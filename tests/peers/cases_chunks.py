"""Rows G and A18: content in chunks."""

import time

from cases import case
from relay import LONG

MAIL = "MAIL FROM:<s@from.test>"


def begin(c, w, body=""):
    assert c.codes(MAIL + body, f"RCPT TO:<{w.to()}>") == [250, 250]


def chunk(c, data, last=False):
    c.send(b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data)
    return c.reply()


@case("A18")
def a_last_line_gets_its_end(w):
    for content in (b"Subject: x\r\n\r\nX", b"Subject: x\r\n\r\n.", b"X",
                    b"Subject: x\r\n\r\nX\r\n."):
        with w.client() as c:
            begin(c, w)
            assert chunk(c, content, True).code == 250
        m = w.one()
        assert not m.by_bdat and m.body_as_sent == content + b"\r\n", m.wire
        w.sink.messages.remove(m)


@case("G04")
def a_chunk_has_a_size(w):
    """What cannot be read ends the session: how much content follows is not known."""
    smuggled = b"MAIL FROM:<smuggled@from.test>\r\nRCPT TO:<x@g04.test>\r\n"
    bad = [b"BDAT", b"BDAT -1", b"BDAT +5", b"BDAT 5LAST", b"BDAT 5 FOO",
           b"BDAT 0x5", b"BDAT 5,", b"BDAT LAST", b"BDAT LAST 5",
           b"BDAT 5 LAST LAST", b"BDAT 5 LAST extra", b"BDAT 5\tLAST\x00",
           b"BDAT 99999999999999999999", b"BDAT 18446744073709551616",
           b"BDAT 5" + b" " * 3000 + b"LAST", b"bdat " + b"0" * 3000 + b"5",
           b"BDAT " + b"9" * 70000]
    for line in bad:
        for with_mail in (True, False):
            with w.client() as c:
                if with_mail:
                    begin(c, w)
                c.send(line + b"\r\n" + smuggled)
                replies = c.all_replies(3)
                assert len(replies) == 1 and replies[0].code // 100 == 5, \
                    (line[:40], replies)
                assert replies[0].code in (500, 501, 554) and c.is_closed()
    with w.client() as c:
        begin(c, w)
        c.send(b"BDAT 0\r\nBDAT 000005\r\nfirst")
        assert [c.reply().code, c.reply().code] == [250, 250]
        c.send(b"bdat  3   last  \r\n.\r\nNOOP\r\n")
        assert [c.reply().code, c.reply().code] == [250, 250]
        assert w.one().body_as_sent == b"first.\r\n"
        w.sink.messages.clear()
        begin(c, w)
        assert c.command("BDAT 0 LAST").code in (250, 554)
    with w.client() as c:       # a size that is over every limit is read past
        begin(c, w)
        c.send(b"BDAT 18446744073709551615\r\n" + smuggled * 1000)
        c.shut()
        assert c.all_replies(3) == []


@case("G07")
def between_chunks_there_are_only_chunks(w):
    with w.client() as c:
        begin(c, w)
        assert chunk(c, b"Subject: x\r\n\r\n").code == 250
        assert c.codes("DATA", "RCPT TO:<y@g07.test>", MAIL, "VRFY x", "NOOP") == \
            [503, 503, 503, c.command("VRFY x").code, 250]
        assert chunk(c, b"one\r\n", True).code == 250
        assert c.command("BDAT 0 LAST").code == 503
        assert w.one().body_as_sent == b"Subject: x\r\n\r\none\r\n"
        w.sink.messages.clear()
        begin(c, w)
        assert chunk(c, b"Subject: cut\r\n").code == 250
        assert c.command("RSET").code == 250
        assert c.command("BDAT 0 LAST").code == 503
        begin(c, w)
        assert chunk(c, b"Subject: two\r\n\r\n").code == 250
        assert c.command("EHLO again").code == 250
        assert chunk(c, b"QUIT\r\n", True).code == 503
        # the chunk of a refused BDAT is no command
        assert chunk(c, b"QUIT\r\nQUIT\r\n").code == 503
        assert c.command("NOOP").code == 250
        c.send(b"%s\r\nRCPT TO:<bad@b..test>\r\n" % MAIL.encode())
        c.send(b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n")
        assert [c.reply().code for _ in range(4)] == [250, 501, 554, 503]
        assert c.command("NOOP").code == 250
        # every line end of a chunk obeys DATA's rules
        begin(c, w)
        assert chunk(c, b"bare\nline\r\n", True).code == 550
        assert c.is_closed()
    w.nothing_arrives()


@case("G10")
def many_chunks_cost_no_more_than_their_bytes(w):
    def send(count):
        content = b"Subject: x\r\n\r\n" + b"y" * (count - 14)
        with w.client(timeout=60) as c:
            begin(c, w)
            began, got = time.monotonic(), 0
            for at in range(0, count, 500):
                c.send(b"".join(b"BDAT 1\r\n" + content[i:i + 1]
                                for i in range(at, min(at + 500, count))))
                while got < min(at + 500, count):
                    assert c.reply().code == 250
                    got += 1
            assert c.command("BDAT 0 LAST").code == 250
            spent = time.monotonic() - began
        m = w.one()
        assert m.body_as_sent == content + b"\r\n"
        w.sink.messages.remove(m)
        return spent

    send(1000)
    before = w.relay.status("VmRSS")
    most = 100000 if LONG else 20000
    some, all_of_it = send(most // 10), send(most)
    print(f"{most // 10} chunks {some:.2f} s, {most} chunks {all_of_it:.2f} s")
    assert all_of_it < 40 * some + 1
    assert w.relay.uses_less_than(6000, before)


def chunks_cut_off_leave_nothing(p):
    """G09's other half: the connection goes within a chunk, or between two."""
    for size in (5, 5000, 700000):
        for last in ("reset", "close", "shut"):
            for is_within in (True, False):
                c = p.client()
                begin(c, p)
                data = b"x" * (size - 2) + b"\r\n"
                c.send(b"BDAT %d%s\r\n" % (size + is_within,
                                          b" LAST" if is_within else b"") + data)
                if not is_within:
                    assert c.reply().code == 250
                getattr(c, last)()
                if last == "shut":
                    assert 250 not in [r.code for r in c.all_replies()]
                    c.close()
