"""Every row of cases.tsv over real sockets, with the outcome it expects.

A row that needs what is not built yet is skipped with its reason from the list.
WAYPOST_LONG=1 runs the heavy rows in full. Rows share two relays; a row that needs
limits or a next hop of its own starts a relay for itself.
"""

import collections
import contextlib

import pytest

import cases
import cases_admin
import cases_auth
import cases_chunks
import cases_dns
import cases_inbound
import cases_load
import cases_outbound
import cases_policy
import cases_process
import cases_sts
import cases_tls_in
import cases_tls_out
from door import Door
from relay import Relay, Sink

MODULES = (cases_admin, cases_auth, cases_chunks, cases_dns, cases_inbound,
           cases_load, cases_outbound, cases_policy, cases_process, cases_sts, cases_tls_in,
           cases_tls_out)
ROWS = cases.rows()
EDGE = 'rule "ours" { to = {"ok.test"}  action = relay }\n'

Shared = collections.namedtuple("Shared", "plain normal edge door sink")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Four relays with one sink: as usual, with a normalizing listener, one to
    which we are strangers, and one with TLS and logins."""
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(Sink())

        def start(name, **options):
            return stack.enter_context(Relay(tmp_path_factory.mktemp(name),
                                             {"*": sink.hop}, **options))
        yield Shared(start("plain"), start("normal", listener="line-ends = normalize"),
                     start("edge", rules=EDGE, hostname="mx.ok.test"),
                     stack.enter_context(Door(tmp_path_factory.mktemp("door"),
                                              {"*": sink.hop},
                                              limits={"errors": 100000})),
                     sink)


def test_every_row_is_driven_or_says_why_not():
    listed = {r[0]: r[3] for r in ROWS}
    assert len(listed) == len(ROWS)
    assert set(cases.functions) == {i for i, why in listed.items() if not why}


@pytest.mark.parametrize("row", ROWS, ids=[r[0] for r in ROWS])
def test_case(row, shared, tmp_path):
    name, _input, _expected, why_not = row
    if why_not:
        pytest.skip(why_not)
    function, world = cases.functions[name]
    relay = getattr(shared, world)
    w = cases.World(name, relay, shared.sink, shared.normal)
    w.edge = cases.World(name, shared.edge, shared.sink)
    w.folder = tmp_path
    try:
        function(w)
    except Exception:
        print(relay.log()[-4000:])
        raise
    w.is_well()
