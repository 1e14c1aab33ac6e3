"""Customers who do not do as they should, and requests made to do harm: ETRN and ATRN."""

import random
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from pki import Authority
from relay import FIN, Client, Relay, Sink, content_of, wait_for
from test_atrn import Customer, Provider, ROUTES, recipients

CHUNKING = ["CHUNKING", "PIPELINING", "8BITMIME"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def provider(tmp_path):
    with Provider(tmp_path / "p") as p:
        yield p


def ended(p):
    """No turned session is under way."""
    wait_for(lambda: p.log().count("fetches over") == p.log().count("has fetched"),
             15, "an end")


@pytest.mark.parametrize("refusal", [b"500 5.5.2 what?\r\n", b"502 5.5.1 not here\r\n"])
def test_who_offers_CHUNKING_and_does_not_know_it_gets_his_mail(tmp_path, refusal):
    """He loses one session; then it is known of him."""
    extra = ROUTES + 'route "four.test" { via = {"pickup:four"} ' \
        'offline { login = {"branch"} } }\n'
    with Provider(tmp_path / "p", extra=extra, queue={}, retry={
            "first": '"1h"', "most": '"1h"'}) as p:
        sent = ["a@branch.test", "b@branch.test", "c@three.test", "d@four.test"]
        p.put(*sent, content=b"Subject: x\r\n\r\n" + content_of(3000, random.Random(1)))
        got, tries = [], 0

        def script(number, stage, argument):
            return [refusal, FIN] if stage == "dot" and argument.by_bdat else None
        while p.waiting() and tries < 3:
            tries += 1
            with Customer(p, sink=Sink(script, extensions=CHUNKING)) as c:
                if c.ask().code == 250:
                    got += recipients(c.serve())
            ended(p)
            wait_for(lambda: not p.waiting() or tries == 1, 5)
        assert sorted(got) == sent and tries == 2
        p.wait_empty()
