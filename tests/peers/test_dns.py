"""The resolver against a real name server: nsd on loopback, a signed and an unsigned zone.

Driven through the program `lookup`, which prints what a delivery would be told. No query
leaves the machine: nsd is the only server that any configuration here names.
WAYPOST_BUILD names the build folder.
"""

import collections
import os
import pathlib
import re
import subprocess
import time

import pytest

import island
from nsd import HEAD, NameServer
from relay import LONG, ROOT


def lookup_program():
    """In the build folder that is named, or beside the relay under test."""
    exe = pathlib.Path(os.environ.get("WAYPOST_EXE", "/")).resolve()
    named = os.environ.get("WAYPOST_BUILD", ROOT / "build")
    for folder in (pathlib.Path(named), *exe.parents[:4]):
        if (folder / "tests/peers/lookup").exists():
            return folder / "tests/peers/lookup"
    raise RuntimeError("no program lookup: build it, or set WAYPOST_BUILD")


PLAIN = """
mail1 IN A 192.0.2.1
mail2 IN A 192.0.2.2
mail3 IN A 192.0.2.3
mail3 IN AAAA 2001:db8::3
alias IN CNAME mail3
private IN A 10.0.0.5
relay IN A 192.0.2.99
hidden IN A 192.0.2.98
text IN TXT "no address"

order IN MX 20 mail2
order IN MX 5 mail1
order IN MX 65535 mail3
order IN MX 0 private
equal IN MX 10 mail1
equal IN MX 10 mail2
equal IN MX 10 mail3
address IN A 192.0.2.4
address IN AAAA 2001:db8::4
six IN AAAA 2001:db8::6
pointer IN CNAME order
null IN MX 0 .
nullish IN MX 0 .
nullish IN MX 10 mail1
own IN MX 5 mail1
own IN MX 10 relay
own IN MX 10 mail2
own IN MX 20 mail3
ownbest IN MX 5 relay
ownbest IN MX 20 mail3
ownaddress IN MX 5 mail1
ownaddress IN MX 10 hidden
ownaddress IN MX 20 mail3
toalias IN MX 10 alias
loop1 IN CNAME loop2
loop2 IN CNAME loop1
toloop IN MX 10 loop1
toloop IN MX 20 mail2
dotted IN MX 5 10.0.0.1.
dotted IN MX 10 mail1
dottedalone IN MX 5 10.0.0.1.
gone IN MX 5 nothere
gone IN MX 10 mail1
allgone IN MX 5 nothere
allgone IN MX 10 text
halfbroken IN MX 5 mail.broken.example.
halfbroken IN MX 10 mail1
allbroken IN MX 5 mail.broken.example.
allbroken IN MX 10 text
ownbroken IN MX 5 mail.broken.example.
ownbroken IN MX 10 relay
away IN NS ns.away
ns.away IN A 127.0.0.2
"""

UNSAFE = ["127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1",
          "255.255.255.255", "127.9.9.9", "::1", "::", "fe80::1", "ff02::1",
          "::ffff:127.0.0.1"]

SIGNED = """
@ IN MX 10 mail
@ IN MX 20 mail1.plain.example.
mail IN A 192.0.2.11
mail IN AAAA 2001:db8::11
all IN MX 10 mail
alone IN A 192.0.2.12
forged IN MX 10 mail
forgedhost IN A 192.0.2.13
toforged IN MX 5 forgedhost
toforged IN MX 10 mail
"""


def plain_zone():
    lines = [PLAIN]
    for i, address in enumerate(UNSAFE):
        kind = "AAAA" if ":" in address else "A"
        lines.append(f"unsafe{i} IN MX 10 target{i}\n"
                     f"target{i} IN {kind} {address}\n"
                     f"partly{i} IN MX 5 target{i}\n"
                     f"partly{i} IN MX 10 mail1\n")
    for i in range(100):
        lines.append(f"hundred IN MX {i} h{i}\n")
        for k in range(1, 21):
            lines.append(f"h{i} IN A 198.51.{i}.{k}\n"
                         f"h{i} IN AAAA 2001:db8:{i}::{k}\n")
    for i in range(20):
        lines.append(f"chain{i} IN CNAME chain{i + 1}\n")
    lines.append("chain20 IN A 192.0.2.20\nlongchain IN MX 10 chain0\n")
    lines.append("shortchain IN MX 10 chain15\n")
    return "".join(lines)


def sign(folder, zone, text):
    """The signed zone's text, and its key as a trust anchor."""
    (folder / zone).write_text(text)
    out = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone],
                         cwd=folder, check=True, capture_output=True, text=True)
    key = out.stdout.strip()
    subprocess.run(["ldns-signzone", "-e", "20380101", "-f", "signed", zone, key],
                   cwd=folder, check=True, capture_output=True)
    return (folder / "signed").read_text(), (folder / f"{key}.key").read_text()


def forge(signed):
    """Two records changed after they were signed."""
    signed, n = re.subn(r"(?m)^(forged\.\S+\s+\d+\s+IN\s+MX\s+)10 \S+",
                        r"\g<1>10 alone.signed.example.", signed)
    signed, k = re.subn(r"192\.0\.2\.13\b", "192.0.2.66", signed)
    assert (n, k) == (1, 1)
    return signed


Answer = collections.namedtuple("Answer", "kind flags hosts why")


class Lookup:
    """One run of the program `lookup`."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [lookup_program(), *options], stdin=subprocess.PIPE, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.end()

    def end(self):
        """Its log."""
        if self.process.poll() is None:
            out, log = self.process.communicate(timeout=40)
            assert out == ""
            assert self.process.returncode == 0, log
            self.log = log
        return self.log

    def ask(self, verb, *names):
        self.process.stdin.write(" ".join((verb, *names)) + "\n")
        self.process.stdin.flush()
        answers = {}
        while (line := self.process.stdout.readline()) != "\n":
            assert line, self.process.stderr.read()
            line, _, why = line.rstrip("\n").partition(" (")
            name, kind, *words = line.split()
            hosts = [w for w in words if "=" in w]
            answers[name] = Answer(kind, {w for w in words if "=" not in w},
                                   hosts, why.rstrip(")"))
        assert set(answers) == (set() if verb == "cancel" else set(names))
        return answers

    def mx(self, name):
        return self.ask("mx", name)[name]

    def host(self, name):
        return self.ask("host", name)[name]


@pytest.fixture(scope="module")
def zones(tmp_path_factory):
    text = HEAD.format(zone="signed.example", ttl=300) + SIGNED
    signed, key = sign(tmp_path_factory.mktemp("keys"), "signed.example", text)
    return {"plain": plain_zone(), "unsigned": SIGNED, "signed": forge(signed),
            "key": key}


@pytest.fixture(scope="module")
def server(zones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("nsd")
    (folder / "signed.example.zone").write_text(zones["signed"])
    with NameServer(folder, {"plain.example": zones["plain"],
                             "broken.example": None,
                             "signed.example": None}) as s:  # as it lies there
        yield s


def forward(server):
    return f"forward=127.0.0.1@{server.port}"


@pytest.fixture(scope="module")
def anchor(zones, tmp_path_factory):
    path = tmp_path_factory.mktemp("anchor") / "anchor.key"
    path.write_text("; the key of a zone made for this test\n" + zones["key"])
    return path


@pytest.fixture(scope="module")
def plain(server):
    with Lookup(forward(server), "hostname=Relay.Plain.Example",
                "own=192.0.2.98") as r:
        yield r


def names(answer):
    return [re.sub(r"\.plain\.example.*", "", h) for h in answer.hosts]


def test_hosts_come_in_the_order_of_their_preference(plain):
    a = plain.mx("order.plain.example")
    assert a.kind == "ok"
    assert a.hosts == ["0:private.plain.example=10.0.0.5",
                       "5:mail1.plain.example=192.0.2.1",
                       "20:mail2.plain.example=192.0.2.2",
                       "65535:mail3.plain.example=2001:db8::3,192.0.2.3"]


def test_a_domain_that_is_an_alias_has_the_hosts_of_its_target(plain):
    assert plain.mx("pointer.plain.example") == plain.mx("order.plain.example")


def test_case_and_a_last_dot_do_not_matter(plain):
    assert plain.mx("ORDER.Plain.Example.") == plain.mx("order.plain.example")


def test_hosts_of_equal_preference_take_turns(plain):
    first = collections.Counter(names(plain.mx("equal.plain.example"))[0]
                                for _ in range(300))
    assert set(first) == {"10:mail1", "10:mail2", "10:mail3"}
    # chi-square, 2 degrees of freedom, p = 1e-6
    assert sum((n - 100) ** 2 / 100 for n in first.values()) < 27.6


def test_a_domain_without_mx_is_its_own_host(plain):
    assert plain.mx("address.plain.example").hosts == [
        "0:address.plain.example=2001:db8::4,192.0.2.4"]
    assert plain.mx("six.plain.example").hosts == [
        "0:six.plain.example=2001:db8::6"]


def test_a_null_mx_takes_no_mail(plain):
    a = plain.mx("null.plain.example")
    assert (a.kind, a.flags, a.hosts) == ("ok", {"null"}, [])


def test_a_null_mx_among_others_is_no_host(plain):
    a = plain.mx("nullish.plain.example")
    assert (a.flags, names(a)) == (set(), ["10:mail1"])


def test_no_such_domain_no_address_and_failure_are_told_apart(plain):
    kinds = {n: a.kind for n, a in plain.ask(
        "mx", "nothere.plain.example", "text.plain.example",
        "broken.example", "x.broken.example", "a..b", "[300.1.1.1]").items()}
    assert kinds == {"nothere.plain.example": "no-domain",
                     "text.plain.example": "no-data",
                     "broken.example": "failed", "x.broken.example": "failed",
                     "a..b": "no-domain", "[300.1.1.1]": "no-domain"}


def test_a_delegation_that_is_not_followed_is_a_failure(plain):
    assert plain.mx("x.away.plain.example").kind == "failed"
    assert plain.host("away.plain.example").kind == "failed"


def test_a_domain_that_nobody_serves_is_a_failure(plain):
    assert plain.mx("elsewhere.example").kind == "failed"


def test_our_own_name_cuts_what_is_not_better(plain):
    assert names(plain.mx("own.plain.example")) == ["5:mail1"]


def test_our_own_address_cuts_what_is_not_better(plain):
    assert names(plain.mx("ownaddress.plain.example")) == ["5:mail1"]


def test_a_domain_whose_best_host_we_are_loops(plain):
    for name in ("ownbest.plain.example", "relay.plain.example",
                 "hidden.plain.example", "[192.0.2.98]"):
        a = plain.mx(name)
        assert (a.kind, a.flags, a.hosts) == ("ok", {"own"}, []), name


def test_we_are_not_the_best_host_while_a_better_one_is_in_doubt(plain):
    a = plain.mx("ownbroken.plain.example")
    assert (a.kind, a.flags) == ("failed", set())


def test_targets_that_are_aliases_are_followed(plain):
    assert plain.mx("toalias.plain.example").hosts == [
        "10:alias.plain.example=2001:db8::3,192.0.2.3"]


def test_alias_chains_and_loops_end(plain):
    assert plain.mx("shortchain.plain.example").hosts == [
        "10:chain15.plain.example=192.0.2.20"]
    assert plain.mx("longchain.plain.example").kind in ("ok", "failed")
    assert names(plain.mx("toloop.plain.example")) == ["20:mail2"]
    assert plain.mx("loop1.plain.example").kind == "failed"


def test_a_target_that_looks_like_an_address_is_a_name(plain):
    assert names(plain.mx("dotted.plain.example")) == ["10:mail1"]
    a = plain.mx("dottedalone.plain.example")
    assert a.kind == "failed"  # nobody serves the name "10.0.0.1." here
    assert a.hosts == []


def test_targets_without_an_address_are_passed_over(plain):
    assert names(plain.mx("gone.plain.example")) == ["10:mail1"]
    assert names(plain.mx("halfbroken.plain.example")) == ["10:mail1"]
    assert plain.mx("allgone.plain.example").kind == "no-data"
    assert plain.mx("allbroken.plain.example").kind == "failed"


@pytest.mark.parametrize("i", range(len(UNSAFE)), ids=UNSAFE)
def test_mail_never_goes_to_an_unsafe_target(plain, i):
    a = plain.mx(f"unsafe{i}.plain.example")
    assert (a.kind, a.flags, a.hosts) == ("ok", {"unsafe"}, [])
    assert names(plain.mx(f"partly{i}.plain.example")) == ["10:mail1"]
    assert plain.mx(f"target{i}.plain.example").flags == {"unsafe"}


def test_literals_need_no_question(plain):
    assert plain.mx("[192.0.2.7]").hosts == ["0:192.0.2.7=192.0.2.7"]
    assert plain.mx("[IPv6:2001:db8::7]").hosts == [
        "0:2001:db8::7=2001:db8::7"]
    assert plain.mx("[127.0.0.1]").flags == {"unsafe"}


def test_a_hundred_hosts_of_forty_addresses_are_ten_of_eight(plain):
    a = plain.mx("hundred.plain.example")
    assert names(a) == [f"{i}:h{i}" for i in range(10)]
    assert all(h.count(",") == 7 for h in a.hosts)
    assert all("198.51" in h and "2001:db8" in h for h in a.hosts)


def test_a_smarthost_may_be_anywhere(plain):
    assert plain.host("private.plain.example").hosts == [
        "0:private.plain.example=10.0.0.5"]
    assert plain.host("target0.plain.example").hosts == [
        "0:target0.plain.example=127.0.0.1"]
    assert plain.host("relay.plain.example").hosts == [
        "0:relay.plain.example=192.0.2.99"]
    assert plain.host("127.0.0.1").hosts == ["0:127.0.0.1=127.0.0.1"]
    assert plain.host("[::1]").hosts == ["0:::1=::1"]
    assert plain.host("localhost").kind == "ok"
    assert plain.host("order.plain.example").kind == "no-data"
    assert plain.host("nothere.plain.example").kind == "no-domain"
    assert plain.host("mail.broken.example").kind == "failed"


def test_many_names_at_once_and_the_same_one_often(plain):
    asked = [f"h{i}.plain.example" for i in range(100)]
    answers = plain.ask("mx", *asked)
    assert all(a.kind == "ok" for a in answers.values())
    plain.ask("cancel", *(f"new{i}.plain.example" for i in range(50)))
    assert plain.mx("order.plain.example").kind == "ok"


def test_the_cache_can_be_dropped(plain, server):
    assert plain.mx("six.plain.example").kind == "ok"
    server.pause()
    try:
        assert plain.mx("six.plain.example").kind == "ok"
    finally:
        server.go_on()
    assert plain.ask("flush") == {}
    assert plain.mx("six.plain.example").kind == "ok"


def test_signed_answers_are_validated(server, anchor):
    with Lookup(forward(server), f"anchor={anchor}") as r:
        a = r.mx("all.signed.example")
        assert (a.kind, a.flags) == ("ok", {"secure"})
        assert a.hosts == ["10:mail.signed.example=2001:db8::11,192.0.2.11"]
        assert r.mx("alone.signed.example").flags == {"secure"}
        assert r.host("mail.signed.example").flags == {"secure"}
        assert r.mx("order.plain.example").flags == set()
        # one host of two lies in a zone without signatures
        assert r.mx("signed.example").flags == set()
        assert r.mx("nothere.signed.example").kind == "no-domain"
        assert r.mx("[192.0.2.7]").flags == set()


def test_a_forged_answer_is_a_failure_and_changes_nothing_else(server, anchor):
    with Lookup(forward(server), f"anchor={anchor}") as r:
        for _ in range(2):
            a = r.mx("forged.signed.example")
            assert (a.kind, a.hosts) == ("failed", [])
            assert "signature" in a.why or "alidation" in a.why
        assert r.host("forgedhost.signed.example").kind == "failed"
        # a host that somebody has named serves all the same
        a = r.ask("anyhost", "forgedhost.signed.example")["forgedhost.signed.example"]
        assert (a.kind, a.flags) == ("ok", set())
        assert a.hosts == ["0:forgedhost.signed.example=192.0.2.66"]
        assert r.mx("toforged.signed.example").hosts == [
            "10:mail.signed.example=2001:db8::11,192.0.2.11"]
        assert r.mx("all.signed.example").flags == {"secure"}
        assert "VALIDATED" not in r.end()


def test_names_said_to_be_insecure_are_not_validated(server, anchor):
    with Lookup(forward(server), f"anchor={anchor}",
                "insecure=forged.signed.example") as r:
        a = r.mx("forged.signed.example")
        assert (a.kind, a.flags) == ("ok", set())


def test_a_server_that_drops_signatures_ends_validation_loudly(
        zones, anchor, tmp_path):
    with NameServer(tmp_path, {"signed.example": zones["unsigned"],
                               "plain.example": zones["plain"]}) as s, \
            Lookup(forward(s), f"anchor={anchor}") as r:
        both = r.ask("mx", "all.signed.example", "forged.signed.example",
                     "order.plain.example", "toforged.signed.example")
        assert all((a.kind, a.flags) == ("ok", set()) for a in both.values())
        assert r.mx("alone.signed.example").kind == "ok"
        log = r.end()
    assert log.count("NOT VALIDATED") == 1


def test_a_bad_setting_is_found_at_start(tmp_path):
    (tmp_path / "junk").write_text("this is no key\n")
    for options in (["forward=nonsense"], ["forward="],
                    ["forward=127.0.0.1@5", f"anchor={tmp_path}/missing"],
                    ["forward=127.0.0.1@5", f"anchor={tmp_path}/junk"]):
        r = subprocess.run([lookup_program(), *options], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=20)
        assert r.returncode == 78, options
        assert r.stderr.startswith("lookup: resolver: "), options


def test_the_hosts_own_files_are_obeyed(server, tmp_path):
    hosts, resolv = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text("127.0.0.1 localhost\n"
                     "192.0.2.50 smart SMART.plain.example # ours\n"
                     "192.0.2.51 mail1.plain.example\n"
                     "2001:db8::52 order.plain.example\n")
    resolv.write_text("# made by hand\nsearch plain.example\n"
                      f"nameserver\t127.0.0.1@{server.port}\noptions edns0\n")
    with Lookup("system", f"hosts={hosts}", f"resolv={resolv}") as r:
        assert r.host("smart").hosts == ["0:smart=192.0.2.50"]
        assert r.host("smart.plain.example").kind == "ok"
        assert r.host("mail2.plain.example").hosts == [
            "0:mail2.plain.example=192.0.2.2"]
        # addresses of exchangers too, but never whether there are any
        assert r.mx("order.plain.example").hosts[1] == \
            "5:mail1.plain.example=192.0.2.51"
        assert r.mx("order.plain.example").flags == set()
        hosts.write_text("")
        assert r.host("smart.plain.example").kind == "ok"
        r.ask("flush")
        assert r.host("smart.plain.example").kind == "no-domain"


def test_recursion_needs_no_other_server(anchor, tmp_path):
    (tmp_path / "anchor.key").write_text(anchor.read_text())
    island.run("recursion.py", tmp_path, seconds=90)


def asked_until_it_answers(r, name):
    start = time.monotonic()
    while r.mx(name).kind != "ok":
        assert time.monotonic() - start < 60
        time.sleep(0.5)


def test_a_server_that_comes_back_is_used_again(zones, tmp_path):
    with NameServer(tmp_path, {"plain.example": zones["plain"]}) as s, \
            Lookup(forward(s)) as r:
        assert r.mx("order.plain.example").kind == "ok"
        s.stop()
        until = time.monotonic() + (600 if LONG else 1)
        for i in range(10 ** 6):
            asked = [f"dead{i}x{k}.plain.example" for k in range(20)]
            assert all(a.kind == "failed" for a in r.ask("mx", *asked).values())
            if time.monotonic() > until:
                break
            time.sleep(0.2)
        s.start()
        asked_until_it_answers(r, "equal.plain.example")


@pytest.mark.skipif(not LONG, reason="takes half a minute: WAYPOST_LONG=1")
def test_a_silent_server_costs_thirty_seconds_at_most(zones, tmp_path):
    with NameServer(tmp_path, {"plain.example": zones["plain"]}) as s, \
            Lookup(forward(s)) as r:
        s.pause()
        start = time.monotonic()
        answers = r.ask("mx", "order.plain.example", "equal.plain.example")
        assert time.monotonic() - start < 32
        assert all(a.kind == "failed" for a in answers.values())
        s.go_on()
        asked_until_it_answers(r, "order.plain.example")
