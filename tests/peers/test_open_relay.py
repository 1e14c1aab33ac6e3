"""Nobody relays through us who may not: the probes of group F, however the client comes.

Over IPv4, over IPv6, over a dual-stack listener (where IPv4 clients have mapped addresses),
and after logins that failed.
"""

import pytest

from cases_load import RELAY_TESTS
from door import USERS, Door, b64, plain
from relay import Client, Sink, free_port

RULES = """
rule "staff" { login = {"*"}  action = relay }
rule "mark" { client = {"127.0.0.5"}  action = relay }
rule "ours" { to = {"ok.test"}  action = relay }
"""

# name: (HELO, sender, recipient)
PROBES = {name: ("client.test", *pair) for name, pair in RELAY_TESTS.items()}
PROBES.update({
    "F04 literal": ("client.test", "s@[127.0.0.1]", "v@ext.test"),
    "F04 localhost": ("client.test", "s@localhost", "v@ext.test"),
    "F18 bang": ("client.test", "s@ext.test", "ext.test!x!v@ok.test"),
    "F18 percent": ("client.test", "s@ext.test", "v%ext.test@ok.test"),
    "F18 quoted": ("client.test", "s@ext.test", '"v@ext.test"@ok.test'),
    "F18 source route": ("client.test", "s@ext.test", "@a:@b:v@ext.test"),
    "F19 localhost": ("localhost", "s@ext.test", "v@ext.test"),
    "F19 our name": ("mx.ok.test", "s@ext.test", "v@ext.test"),
    "F19 literal": ("[127.0.0.1]", "s@ext.test", "v@ext.test"),
    "F19 IPv6 literal": ("[IPv6:::1]", "s@ext.test", "v@ext.test"),
    "IPv6 literal": ("client.test", "s@[IPv6:::1]", "v%ext.test@[IPv6:::1]"),
    "mapped literal": ("client.test", "s@[IPv6:::ffff:127.0.0.1]",
                       "v@ext.test@[IPv6:::ffff:127.0.0.1]"),
})
assert len(PROBES) == 27

WAYS = {"IPv4": "127.0.0.1", "IPv6": "::1", "mapped": "127.0.0.1",
        "IPv6 of both": "::1"}


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    v6, both = free_port(), free_port()
    keys = "tls = optional  auth = optional  auth-without-tls = true"
    with Sink() as sink:
        relay = Door(tmp_path_factory.mktemp("door"), {"*": sink.hop},
                     hostname="mx.ok.test", rules=RULES, listener=keys,
                     limits={"errors": 100000, "login-failures": 1000})
        relay.extra += (f'listener "v6" {{ address = "[::1]:{v6}"  {keys} }}\n'
                        f'listener "both" {{ address = "[::]:{both}"  {keys} }}\n')
        relay.write_config()
        relay.sink = sink
        relay.by = {"IPv4": relay.port, "IPv6": v6, "mapped": both,
                    "IPv6 of both": both}
        with relay:
            yield relay


def probe(client, helo, sender, recipient):
    assert client.command(f"EHLO {helo}").code == 250
    code = client.command(f"MAIL FROM:<{sender}>").code
    if code == 250:
        reply = client.command(f"RCPT TO:<{recipient}>")
        code = reply.code
        assert code in (501, 550, 553, 554), reply
        assert client.command("DATA").code in (503, 554)
    assert code in (501, 550, 553, 554)
    assert client.command("RSET").code == 250


def fail_to_log_in(c):
    assert c.command("EHLO client.test").code == 250
    assert c.command("AUTH LOGIN").code == 334
    assert c.codes(b64("alice"), "*") == [334, 501]
    assert c.command("AUTH PLAIN " + plain("alice", "wrong")).code == 535


@pytest.mark.parametrize("login", ["no login", "failed logins"])
@pytest.mark.parametrize("way", WAYS)
def test_no_probe_gets_through(doors, way, login):
    with Client(doors.by[way], host=WAYS[way], helo=None) as c:
        if login == "failed logins":
            fail_to_log_in(c)
        for name, (helo, sender, recipient) in PROBES.items():
            try:
                probe(c, helo, sender, recipient)
            except AssertionError as e:
                raise AssertionError(f"{name}: {e}") from e
    assert doors.queue_list() == [] and doors.sink.messages == []


def test_the_probes_find_an_open_relay(doors):
    """What is refused above is so by the rules alone."""
    with Client(doors.by["mapped"], source="127.0.0.5") as c:
        assert c.codes("MAIL FROM:<s@ext.test>", "RCPT TO:<v@ext.test>") == \
            [250, 250]
        with pytest.raises(AssertionError):
            probe(c, *PROBES["F01"])
    with Client(doors.by["IPv6"], host="::1") as c:
        assert c.command("AUTH PLAIN " + plain("alice", USERS["alice"])).code \
            == 235
        with pytest.raises(AssertionError):
            probe(c, *PROBES["F01"])


def test_a_mapped_client_is_known_by_its_ipv4_address(doors):
    with Client(doors.by["mapped"], source="127.0.0.6") as c:
        assert c.codes("MAIL FROM:<s@ext.test>", "RCPT TO:<v@ext.test>") == \
            [250, 554]
    doors.wait_log(r"NOQUEUE: reject: RCPT from \S+\[127.0.0.6\]: 554 5.7.1")
    assert "[::ffff:127" not in doors.log().replace("@[IPv6:", "")
