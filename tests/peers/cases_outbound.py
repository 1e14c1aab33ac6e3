"""Rows R (a next hop that misbehaves) and L (loops and reports)."""

import itertools
import re
import time

from cases import case, private, report_of
from relay import (FIN, HANG, LONG, RST, ZERO_WINDOW, Relay, Sink, wait_for)


def once(stage, answer, also=None):
    """A script that misbehaves the first time a stage is reached, then no more."""
    seen = set()

    def script(_connection, at, argument):
        if at == stage and at not in seen:
            seen.add(at)
            return answer
        return also(at, argument) if also else None
    return script


def is_retried(w, script, seconds=20, extensions=None):
    """The trouble is temporary: not reported, delivered by a later attempt."""
    with private(w.folder, w.row, script, extensions) as p:
        p.accept(b"x\r\n")
        p.one(seconds)
        p.all_gone()
        assert all(m.sender for m in p.sink.messages), "a report was made"
        assert re.search(r"status=deferred", p.relay.log())
        p.is_well()
        return p


@case("R01")
def odd_greetings_are_tried_again_later(w):
    greetings = [b"bogus\r\n", b"2200 x\r\n", b"22\r\n", b"\r\n",
                 b"\x00220 x\r\n", b"999 x\r\n", b"120 x\r\n", b"220\r\n"]
    many_sinks(w, [once("banner", g) for g in greetings])


def many_sinks(w, scripts, seconds=25, doubtful=(), **options):
    """One relay, a destination for each script; each gets its message once in
    the end (those in doubt after the dot: perhaps once more) and nothing is
    reported. Answers the sinks and the relay's log."""
    home = Sink()
    sinks = [Sink(s, **options) for s in scripts]
    routes = {f"s{i}.test": s.hop for i, s in enumerate(sinks)}
    routes["home.test"] = home.hop
    try:
        with Relay(w.folder / "many", routes) as relay:
            with relay.client() as c:
                for i in range(len(sinks)):
                    assert c.mail(b"x\r\n", sender=f"s{i}@home.test",
                                  to=[f"r@s{i}.test"]).code == 250
            wait_for(lambda: all(s.messages for s in sinks), seconds,
                     "arrival of all, not "
                     f"{[i for i, s in enumerate(sinks) if not s.messages]}")
            relay.wait_empty()
            for i, s in enumerate(sinks):
                assert len(s.messages) in ((1, 2) if i in doubtful else (1,))
            assert not home.messages, home.messages[0].content
            assert relay.is_alive
            return sinks, relay.log()
    finally:
        for s in [*sinks, home]:
            s.close()


@case("R02")
def a_reply_has_one_code(w):
    many_sinks(w, [once(stage, b"250-a\r\n500 b\r\n")
                   for stage in ("ehlo", "mail", "rcpt", "dot")])


@case("R03", "R04")
def replies_are_capped(w):
    endless = b"250-x\r\n" * 20000 if w.row == "R03" else b"250-" + b"x" * (
        1 << 20)
    scripts = [once(s, [endless, endless, endless, HANG])
               for s in ("banner", "ehlo", "mail", "dot")]
    # at the dot the sink has said "250-" before it is cut off: taken, for all
    # that it knows
    _sinks, log = many_sinks(w, scripts, doubtful=(3,))
    assert len(log) < 64 * 1024


@case("R05")
def only_a_whole_250_counts(w):
    many_sinks(w, [once("dot", [b"25", FIN]), once("mail", [b"25", FIN]),
                   once("rcpt", [b"250", FIN])])
    harmless = [b"250 \xff\xfe\r\n", b"250\r\n", b"250 \r\n"]
    with private(w.folder / "fine", w.row) as p:
        for answer in harmless:
            p.sink.script = {"dot": answer, "mail": answer}
            p.accept(b"x\r\n")
        p.wait(len(harmless))
    # LF alone: a reply or none, but an outcome that is the same for ever
    with private(w.folder / "lf", w.row, once("mail", b"250\n")) as p:
        p.accept(b"x\r\n")
        p.one(20)


def refused_with(w, text):
    """A message to a next hop that says this to RCPT; report, log, listing."""
    def script(_c, stage, argument):
        if stage == "rcpt" and b"home.test" not in argument:
            return text
        return None
    with private(w.folder / f"p{len(text)}", w.row, script) as p:
        p.accept(b"x\r\n", sender="s@home.test")
        report = p.sink.wait(1, 20)[0]
        p.relay.wait_log(r"status=bounced")
        return report.content, p.relay.log()


@case("R07")
def a_refusal_cannot_write_fields(w):
    content, log = refused_with(
        w, b"553-\r\n553-type: mda\r\n553-Final-Recipient: rfc822; x@evil.test"
           b"\r\n553 end\r\n")
    assert not re.search(rb"^type: mda", content, re.M)
    assert len(re.findall(rb"^Final-Recipient:", content, re.M | re.I)) == 1
    assert not re.search(r"^type: mda", log, re.M)
    lines = [line for line in log.splitlines() if "status=bounced" in line]
    assert len(lines) == 1 and "end" in lines[0], lines


@case("R08")
def a_refusal_is_shown_escaped(w):
    content, log = refused_with(
        w, b"550 5.1.1 \x1b[2J\x07 \x00 <script>alert(1)</script> \xff\xc3\r\n")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", log)
    body = content.split(b"\r\n\r\n", 1)[1]
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", body)


@case("R11")
def a_reply_of_another_stage_is_no_reply(w):
    scripts = [once("rcpt", b"354 go\r\n"), once("data", b"250 ok\r\n"),
               once("ehlo", b"354 go\r\n"), once("mail", b"354 go\r\n")]
    many_sinks(w, scripts)


STAGES = ("connect", "banner", "ehlo", "mail", "rcpt", "data", "body", "dot",
          "quit")
FAULTS = {"fin": FIN, "rst": RST, "4xx": b"450 4.3.0 not now\r\n",
          "5xx": b"550 5.7.0 never\r\n", "hang": HANG,
          "garbage": b"\x07what\x00\xff\r\n"}


def outcome_of(stage, fault):
    """delivered | reported | waits, for the first attempt's fault alone."""
    if stage == "quit":
        return "delivered"
    if fault == "hang":
        return "waits"
    if fault == "5xx" and stage in ("mail", "rcpt", "data", "dot"):
        return "reported"
    return "delivered"


@case("R12")
def every_fault_at_every_stage_has_one_outcome(w):
    cells = [(s, f) for s, f in itertools.product(STAGES, FAULTS)
             # at connect and in the body there is nobody to say a code to
             if not (s in ("connect", "body") and f in ("4xx", "5xx",
                                                        "garbage"))]
    home = Sink()
    sinks = {c: Sink(once(c[0], FAULTS[c[1]])) for c in cells}
    routes = {f"{s}-{f}.test": k.hop for (s, f), k in sinks.items()}
    # and a port where nobody is
    nobody = Sink()
    nobody.refuse()
    routes.update({"refuse.test": nobody.hop, "home.test": home.hop})
    try:
        with Relay(w.folder / "matrix", routes) as relay:
            with relay.client() as c:
                for s, f in cells:
                    assert c.mail(b"x\r\n", sender=f"{s}-{f}@home.test",
                                  to=[f"r@{s}-{f}.test"]).code == 250
                assert c.mail(b"x\r\n", sender="refuse@home.test",
                              to=["r@refuse.test"]).code == 250
            expected = {c: outcome_of(*c) for c in cells}

            def seen():
                got = {}
                reported = [m.recipients[0].split("@")[0]
                            for m in home.messages]
                for c in cells:
                    n = len(sinks[c].messages)
                    r = reported.count("-".join(c))
                    got[c] = ("delivered" if (n, r) == (1, 0) else
                              "reported" if (n, r) == (0, 1) else
                              "waits" if (n, r) == (0, 0) else f"{n} and {r}")
                return got

            def is_as_expected():
                return seen() == expected
            try:
                wait_for(is_as_expected, 25)
            except TimeoutError:
                got = seen()
                raise AssertionError({c: (got[c], expected[c]) for c in cells
                                      if got[c] != expected[c]}) from None
            # what waits is in the queue, what does not is gone
            waits = {f"{s}-{f}@home.test" for (s, f), o in expected.items()
                     if o == "waits"} | {"refuse@home.test"}
            wait_for(lambda: {m["sender"] for m in relay.queue_list()} == waits,
                     15, "the queue")
            time.sleep(1)
            assert is_as_expected()
            nobody.listen()
            nobody.wait(1, 20)
    finally:
        for s in [home, nobody, *sinks.values()]:
            s.close()


@case("R13")
def a_refusing_greeting_means_another_host(w):
    for stage in ("banner", "ehlo"):
        refusal = {stage: b"554 5.3.2 no\r\n", "helo": b"554 5.3.2 no\r\n"}
        with Sink(refusal) as first, Sink() as second:
            with Relay(w.folder / stage,
                       {"r13.test": [first.hop, second.hop],
                        "alone.test": first.hop}) as relay:
                with relay.client() as c:
                    c.mail(b"x\r\n", to=["r@r13.test"])
                    c.mail(b"x\r\n", to=["r@alone.test"])
                second.wait(1)
                # a person who looks at the log finds out why it waits
                relay.wait_log(re.escape("554 5.3.2 no"))
                time.sleep(0.3)
                assert [m["recipients"][0]["address"]
                        for m in relay.queue_list()] == ["r@alone.test"]
                assert "status=bounced" not in relay.log()


@case("R14")
def a_lost_reply_to_the_dot_is_doubt(w):
    # the sink took it and said so to nobody
    taken = []

    def script(_c, stage, argument):
        if stage == "dot" and not taken:
            taken.append(argument)
            return FIN
        return None
    p = is_retried(w, script)
    assert len(taken) == 1 and len(p.sink.messages) == 1
    assert taken[0].body_as_sent == p.sink.messages[0].body_as_sent
    assert re.search(r"in.?doubt|more than once|duplicate", p.relay.log(), re.I)


@case("R16")
def each_recipient_has_its_own_outcome(w):
    told = []

    def script(_c, stage, argument):
        if stage != "rcpt":
            return None
        if b"later@" in argument and "later" not in told:
            told.append("later")
            return b"450 4.2.1 later\r\n"
        return b"550 5.1.1 no\r\n" if b"never@" in argument else None
    with private(w.folder, w.row, script) as p:
        p.accept(b"x\r\n", sender="s@home.test",
                 to=[p.to("now"), p.to("later"), p.to("never")])
        messages = p.sink.wait(3)
        p.all_gone()
        assert len(p.sink.messages) == 3
        got = sorted(r for m in messages for r in m.recipients)
        assert got == ["later@r16.test", "now@r16.test", "s@home.test"]
        text = report_of(next(m for m in messages if not m.sender), r"5\.1\.1")
        assert "never@r16.test" in text and "later@" not in text.split(
            "message/delivery-status")[1].split("\r\n--")[0]


@case("R18")
def what_was_too_many_is_sent_again_at_once(w):
    in_transaction = {}

    def script(connection, stage, _argument):
        if stage == "mail":
            in_transaction[connection] = 0
        if stage == "rcpt":
            in_transaction[connection] += 1
            if in_transaction[connection] > 10:
                return b"452 4.5.3 too many\r\n"
        return None
    with private(w.folder, w.row, script,
                 retry={"first": '"60s"', "most": '"60s"'}) as p:
        p.accept(b"x\r\n", to=[p.to(f"r{i}") for i in range(100)])
        wait_for(lambda: sum(len(m.recipients) for m in p.arrived()) == 100, 15,
                 "100 recipients without a wait for the next attempt")
        p.all_gone()
        every = [r for m in p.arrived() for r in m.recipients]
        assert len(set(every)) == len(every) == 100


@case("R19")
def nothing_after_the_250_matters(w):
    many_sinks(w, [{"quit": HANG}, {"quit": RST}, {"quit": FIN},
                   {"quit": b"500 what\r\n"}, {"dot": [b"250 ok\r\n", RST]},
                   {"dot": [b"250 ok\r\n", FIN]}])


@case("R20")
def refused_chunks_go_by_data(w):
    def script(_c, stage, argument):
        return b"502 5.5.1 BDAT?\r\n" if stage == "dot" and argument.by_bdat else None
    with private(w.folder, w.row, script,
                 extensions=["PIPELINING", "CHUNKING"]) as p:
        p.accept(b"x\r\n")
        assert not p.one().by_bdat
        p.all_gone()
        assert "status=deferred" not in p.relay.log()
        p.is_well()


@case("R21")
def the_next_hops_size_is_obeyed(w):
    content = b"x" * 70 + b"\r\n"
    small = Sink(extensions=["PIPELINING", "SIZE 10000"])
    odd = [Sink(extensions=["PIPELINING", s]) for s in
           ("SIZE abc", "SIZE 0", "SIZE", "SIZE -1", "SIZE " + "9" * 40)]
    home = Sink()
    routes = {f"odd{i}.test": s.hop for i, s in enumerate(odd)}
    routes.update({"small.test": small.hop, "home.test": home.hop})
    try:
        with Relay(w.folder / "size", routes) as relay, relay.client() as c:
            assert c.mail(content * 200, sender="s@home.test",
                          to=["r@small.test"]).code == 250
            for i in range(len(odd)):
                assert c.mail(content * 200, sender="s@home.test",
                              to=[f"r@odd{i}.test"]).code == 250
            for s in odd:
                s.wait(1)
            report_of(home.wait(1)[0], r"5\.3\.4")
            relay.wait_empty()
            assert small.count("body") == 0 and len(home.messages) == 1
    finally:
        for s in [small, home, *odd]:
            s.close()


@case("R22")
def an_ehlo_reply_is_capped(w):
    lines = b"".join(b"250-X%d\r\n" % i for i in range(10000))
    long = b"250-" + b"K" * (1 << 20) + b"\r\n250 x\r\n"
    twice = b"250-sink\r\n250-SIZE 5\r\n250-SIZE 50000\r\n250-PIPELINING\r\n" \
            b"250 PIPELINING\r\n"
    many_sinks(w, [once("ehlo", lines + b"250 x\r\n"), once("ehlo", long),
                   once("ehlo", twice)])


@case("R23")
def a_greylisted_message_is_tried_again_by_schedule(w):
    begun = []

    def script(_c, stage, _argument):
        if stage != "rcpt":
            return None
        begun.append(time.monotonic())
        return b"450 4.7.1 greylisted\r\n" \
            if time.monotonic() - begun[0] < 2.5 else None
    with private(w.folder, w.row, script) as p:
        p.accept(b"x\r\n")
        p.one(20)
        p.all_gone()
        assert 2 <= len(begun) <= 5, begun
        gaps = [b - a for a, b in zip(begun, begun[1:])]
        # first 1 s, by age up to 2 s, 10 % either way; lateness is no fault
        assert all(gap > 0.85 for gap in gaps), gaps


@case("R24")
def a_destination_that_hangs_holds_up_nobody(w):
    with Sink({"banner": HANG}) as tar, Sink() as good:
        with Relay(w.folder / "tar", {"tar.test": tar.hop,
                                      "good.test": good.hop}) as relay:
            with relay.client() as c:
                for i in range(200):
                    c.mail(b"x\r\n", to=[f"r{i}@tar.test"])
                for i in range(200):
                    c.mail(b"x\r\n", to=[f"r{i}@good.test"])
            good.wait(200, 20)
            assert tar.connections <= 20
            assert len(relay.queue_list("--domain", "tar.test")) == 200


# ---------------------------------------------------------------- L: loops ---

@case("L01")
def received_lines_are_counted_in_the_header(w):
    def content(n, name="Received", body=0):
        field = f"{name}: from a by b;\r\n\tThu, 1 Jan 2026 00:00:00 +0000\r\n"
        return (field * n + "Subject: x\r\n\r\n" + field * body).encode()
    with w.client() as c:
        for n, name, body, code in ((99, "Received", 0, 250),
                                    (100, "Received", 0, 250),
                                    (101, "Received", 0, 554),
                                    (101, "rEcEiVeD", 0, 554),
                                    (10, "Received", 500, 250)):
            reply = c.mail(content(n, name, body), to=[w.to()])
            assert reply.code == code, (n, name, body, reply)
            if code == 554:
                assert "5.4.6" in reply.text
    w.wait(3)


@case("L02")
def a_loop_ends(w):
    with Sink() as home:
        a = Relay(w.folder / "a", {}, hostname="a.test", limits={"hops": 20})
        b = Relay(w.folder / "b", {}, hostname="b.test", limits={"hops": 20})
        for one, other in ((a, b), (b, a)):
            one.routes = {"home.test": home.hop,
                          "*": f"smtp://127.0.0.1:{other.port}"}
            one.write_config()
        with a, b:
            with a.client() as c:
                c.mail(b"Subject: x\r\n\r\nx\r\n", sender="s@home.test",
                       to=["r@loop.test"])
            report_of(home.wait(1, 30)[0], r"5\.4\.6")
            a.wait_empty()
            b.wait_empty()
            assert len(home.messages) == 1


def all_refused(_c, stage, argument):
    if stage == "rcpt" and b"home.test" not in argument:
        return b"550 5.1.1 nobody\r\n"
    return None


@case("L03")
def the_null_sender_gets_no_report(w):
    with private(w.folder, w.row, all_refused) as p:
        p.accept(b"x\r\n", sender="")
        p.relay.wait_log(r"status=bounced")
        p.relay.wait_empty()
        time.sleep(0.5)
        assert p.sink.messages == []


@case("L04")
def one_refusal_makes_at_most_one_report(w):
    many = 10000 if LONG else 300
    with private(w.folder, w.row, all_refused) as p:
        with p.client() as c:
            for i in range(many):
                assert c.mail(b"x\r\n", sender=f"forged{i}@home.test",
                              to=[p.to(f"r{i}")]).code == 250
        p.sink.wait(many, 60)
        p.relay.wait_empty()
        to = [m.recipients[0] for m in p.sink.messages]
        assert len(to) == len(set(to)) == many


@case("L05")
def a_report_looks_like_one(w):
    with private(w.folder, w.row, all_refused) as p:
        p.accept(b"Subject: the subject\r\nMessage-ID: <1@l05.test>\r\n\r\nx\r\n",
                 sender="s@home.test")
        text = report_of(p.sink.wait(1)[0], r"5\.1\.1")
        assert re.search(r"^From: .*<?MAILER-DAEMON@relay\.test", text, re.M)
        assert re.search(r"^To: .*s@home\.test", text, re.M)
        assert "report-type=delivery-status" in text
        assert "Final-Recipient: rfc822; r@l05.test" in text
        assert re.search(r"^Action: failed", text, re.M)
        assert "Reporting-MTA: dns; relay.test" in text
        assert "550 5.1.1 nobody" in text
        assert "Subject: the subject" in text
        assert "Undelivered Mail Returned to Sender" in text


@case("L08")
def expiry_makes_one_report_with_the_last_reply(w):
    n = itertools.count(1)

    def script(_c, stage, argument):
        if stage == "rcpt" and b"home.test" not in argument:
            return b"450 4.2.1 full, number %d\r\n" % next(n)
        return None
    with private(w.folder, w.row, script,
                 retry={"expire": '"4s"', "warn": '"0s"'}) as p:
        p.accept(b"x\r\n", sender="s@home.test")
        text = report_of(p.sink.wait(1, 25)[0], r"(4\.4\.7|5\.4\.7|4\.2\.1)")
        last = next(n) - 1
        assert f"full, number {last}" in text, text
        p.relay.wait_empty()
        time.sleep(1.5)
        assert len(p.sink.messages) == 1
        p.relay.wait_log("status=expired")


@case("L09")
def a_report_that_fails_is_dropped(w):
    with private(w.folder, w.row, {"rcpt": b"550 5.1.1 nobody\r\n"}) as p:
        p.accept(b"x\r\n", sender="s@home.test")
        p.relay.wait_log(r"to=<s@home.test>.*status=bounced", 20)
        p.relay.wait_empty()
        assert p.sink.messages == []


@case("L10")
def a_kill_leaves_one_report_for_each_failure(w):
    """Each recipient is a message of its own; a report may come twice only when
    the relay died between the sink's 250 and its record."""
    many = 1000 if LONG else 200
    with private(w.folder, w.row, all_refused) as p:
        with p.client() as c:
            for i in range(many):
                c.mail(b"x\r\n", sender=f"s{i}@home.test", to=[p.to(f"r{i}")])
        kills = []
        for reports in (many // 10, many // 4, many // 2):
            wait_for(lambda n=reports: len(p.sink.messages) >= n, 20)
            p.relay.kill()
            kills.append(time.monotonic())
            p.relay.start()
        wait_for(lambda: len({m.recipients[0] for m in p.sink.messages}) == many,
                 30, "all reports")
        p.relay.wait_empty()
        times = {}
        for m in p.sink.messages:
            times.setdefault(m.recipients[0], []).append(m.time)
        for who, t in times.items():
            assert len(t) == 1 or any(k - 10 <= t[0] <= k + 1 for k in kills), (
                who, t, kills)


# -------------------------------------------------- the next hop stops -------

@case("S08")
def a_next_hop_that_stops_reading_keeps_only_its_own(w):
    with Sink({"body": ZERO_WINDOW}) as stuck, Sink() as good:
        with Relay(w.folder / "stuck", {"stuck.test": stuck.hop,
                                        "good.test": good.hop}) as relay:
            content = (b"x" * 998 + b"\r\n") * 8000
            with relay.client() as c:
                for i in range(4):
                    c.mail(content, to=[f"r{i}@stuck.test"])
                for i in range(20):
                    c.mail(b"x\r\n", to=[f"r{i}@good.test"])
            good.wait(20)
            assert len(relay.queue_list("--domain", "stuck.test")) == 4
            assert relay.uses_less_than(120 * 1024)
            # the sink comes to itself; the cut connections are tried again
            stuck.script = None
            stuck.drop()
            stuck.stopped.set()
            stuck.wait(4, 30)


@case("L06")
def reports_are_for_who_asked(w):
    """A refusal, a delivery and a delay, under each NOTIFY."""
    rules = {"NEVER": (), "SUCCESS": ("good",), "FAILURE": ("bad",),
             "DELAY": (), "SUCCESS,FAILURE": ("good", "bad"), "": ("bad",)}

    def script(_connection, stage, argument):
        return b"550 5.1.1 no\r\n" if stage == "rcpt" and b"bad" in argument else None

    with Sink() as home, private(w.folder, w.row, script, home=home) as p:
        for i, notify in enumerate(rules):
            with p.client() as c:
                assert c.command(f"MAIL FROM:<s{i}@home.test>").code == 250
                for local in ("good", "bad"):
                    asked = f" NOTIFY={notify}" if notify else ""
                    assert c.command(
                        f"RCPT TO:<{local}{i}@{w.domain}>{asked}").code == 250
                assert c.command("DATA").code == 354
                c.send(b"x\r\n.\r\n")
                assert c.reply().code == 250
        p.relay.wait_empty()
        got = {}
        for m in home.messages:
            text = m.content.decode()
            for local in re.findall(r"^Final-Recipient: rfc822; ?([a-z]+)", text,
                                    re.M):
                got.setdefault(m.recipients[0], set()).add(local)
        assert got == {f"s{i}@home.test": set(who)
                       for i, who in enumerate(rules.values()) if who}
