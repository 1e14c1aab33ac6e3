"""Other people's programs as clients: what they hand in arrives."""

import os
import smtplib
import subprocess

import pytest

from peers import Missing, Postfix
from relay import find, free_port, program, wait_for

BODY = "Subject: hello\r\nFrom: <s@from.test>\r\nTo: <r@to.test>\r\n" \
       "Message-ID: <1@from.test>\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000" \
       "\r\n\r\nfirst\r\n.\r\n..two\r\nend\r\n"


def run(*command, **kw):
    done = subprocess.run(list(map(str, command)), capture_output=True,
                          timeout=60, **kw)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout.decode()


def test_swaks(relay, sink, tmp_path):
    data = tmp_path / "data"
    data.write_bytes(BODY.replace("\r\n", "\n").encode())
    out = run(find("swaks"), "--server", f"127.0.0.1:{relay.port}", "--from",
              "s@from.test", "--to", "r@to.test,q@to.test", "--pipeline",
              "--data", f"@{data}")
    assert "250 2.0.0 Ok: queued as" in out
    m = sink.wait(1)[0]
    assert (m.sender, sorted(m.recipients)) == (
        "s@from.test", ["q@to.test", "r@to.test"])
    assert b"\r\n.\r\n..two\r\nend\r\n" in m.body_as_sent


def test_swaks_is_told_of_refusals(relay):
    done = subprocess.run([find("swaks"), "--server", f"127.0.0.1:{relay.port}",
                           "--from", "s@from.test", "--to", "r@bad..test"],
                          capture_output=True, timeout=60)
    assert done.returncode == 24 and b"501 5.1.3" in done.stdout


def test_smtplib(relay, sink):
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=20) as c:
        assert c.ehlo()[0] == 250
        assert c.has_extn("8bitmime") and c.has_extn("pipelining")
        assert int(c.esmtp_features["size"]) == 52428800
        for i in range(5):
            assert c.sendmail("s@from.test", [f"r{i}@to.test"],
                              BODY.encode()) == {}
        # a recipient that is refused does not keep the others from theirs
        refused = c.sendmail("s@from.test", ["ok@to.test", "bad@b..test"],
                             BODY.encode())
        assert list(refused) == ["bad@b..test"]
        assert refused["bad@b..test"][0] == 501
        assert c.verify("someone@to.test")[0] == 252
    messages = sink.wait(6)
    assert all(m.body_as_sent == BODY.encode() for m in messages)


def test_smtplib_with_utf8_addresses(relay, sink):
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=20) as c:
        c.ehlo()
        assert c.has_extn("smtputf8")
        c.sendmail("sé@from.test", ["rü@tö.test"], BODY.encode(),
                   mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    m = sink.wait(1)[0]
    assert m.sender == "sé@from.test" and m.recipients == ["rü@tö.test"]
    assert "SMTPUTF8" in m.parameters.upper()


@pytest.mark.parametrize("options", [
    (), ("-d",), ("-l", "20000"), ("-d", "-r", "3"), ("-d", "-N")],
    ids=["connection-per-message", "reused", "20-KB", "three-recipients",
         "numbered"])
def test_smtp_source(relay, sink, options):
    run(find("smtp-source"), "-m", 200, "-s", 20, "-f", "s@from.test", "-t",
        "r@to.test", *options, f"127.0.0.1:{relay.port}")
    messages = sink.wait(200)
    relay.wait_empty()
    assert len(sink.messages) == 200
    if "-r" in options:
        assert {len(m.recipients) for m in messages} == {3}


def test_msmtp(relay, sink, tmp_path):
    config = tmp_path / "msmtprc"
    config.write_text(f"account default\nhost 127.0.0.1\nport {relay.port}\n"
                      "from s@from.test\ntls off\nauth off\n")
    config.chmod(0o600)
    run(find("msmtp"), "-C", config, "r@to.test", "q@other.test",
        input=BODY.replace("\r\n", "\n").encode())
    wait_for(lambda: {r for m in sink.messages for r in m.recipients} ==
             {"r@to.test", "q@other.test"}, 15)
    for m in sink.messages:
        assert m.body_as_sent == BODY.encode()


def test_postfix_with_the_relay_as_its_smarthost(relay, sink, tmp_path):
    try:
        postfix = Postfix(tmp_path / "postfix", relay.port)
    except Missing as e:
        if os.environ.get("CI"):
            pytest.fail(str(e))
        pytest.skip(str(e))
    with postfix:
        content = BODY.replace("\r\n", "\n").encode()
        for i in range(30):
            postfix.inject("s@from.test", [f"r{i}@to{i % 3}.test"], content)
        messages = sink.wait(30, 40)
        relay.wait_empty()
        assert sorted(m.recipients[0] for m in messages) == sorted(
            f"r{i}@to{i % 3}.test" for i in range(30))
        for m in messages:
            # ours, then the two lines that Postfix put in front
            assert m.body_as_sent.endswith(BODY.encode().split(b"\r\n", 1)[1])
            assert m.content.count(b"Received: ") >= 2


def test_a_client_that_shuts_its_side_after_the_dot_gets_its_250(relay, sink):
    with relay.client() as c:
        c.envelope()
        c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        c.shut()
        assert [r.code for r in c.all_replies()] == [250]
        assert c.is_closed()
    sink.wait(1)
    relay.wait_empty()
    assert len(sink.messages) == 1


def test_a_second_relay_on_the_same_queue_is_refused(relay):
    config = relay.folder / "second.conf"
    config.write_text(relay.config.read_text().replace(
        f":{relay.port}", f":{free_port()}").replace("admin.sock", "b.sock"))
    done = subprocess.run([program(), "run", "-c", config], timeout=30,
                          capture_output=True)
    assert done.returncode != 0
    assert relay.is_alive
