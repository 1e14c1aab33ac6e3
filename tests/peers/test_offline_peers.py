"""Real programs and hosts that are often offline: fetchmail as a customer of ATRN by every
door, a shell that says ETRN, and Postfix's ETRN beside ours."""

import os
import random
import re
import shutil
import subprocess

import pytest

from peers import Missing, Postfix
from pki import Authority
from relay import Client, Relay, Sink, content_of, free_port
from test_atrn import Provider, recipients

fetchmail = pytest.mark.skipif(not shutil.which("fetchmail"), reason="no fetchmail")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


def run_fetchmail(folder, port, home, keys, patience=60, server=""):
    folder.mkdir(exist_ok=True)
    rc = folder / "fetchmailrc"
    rc.write_text(f"""poll localhost via 127.0.0.1 service {port} protocol ODMR {server}
  user "branch" password "pencil" smtphost 127.0.0.1/{home.port}
  fetchdomains branch.test,three.test {keys}
""")
    rc.chmod(0o600)
    return subprocess.run(
        ["fetchmail", "-f", rc, "--nosyslog", "--nodetach", "-vv", "--pidfile",
         folder / "pid"], capture_output=True, timeout=patience, text=True,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C"})


@fetchmail
@pytest.mark.parametrize("door", ["clear", "tunnel"])
def test_fetchmail_fetches_by_every_door(tmp_path, authority, door):
    """It knows no STARTTLS in ODMR, and under its own TLS it reads one line of a record
    after each select, and so hangs in front of the second (6.4.37); a tunnel does not."""
    keys, server = 'sslproto ""', ""
    if door == "tunnel":
        server = ('plugin "openssl s_client -quiet -verify_quiet -verify_return_error'
                 f' -verify_hostname relay.test -CAfile {authority.path} -connect %h:%p"')
    chance = random.Random(door)
    with Provider(tmp_path / "p", authority) as p, Sink() as home:
        port = p.odmrs if door == "tunnel" else p.odmr
        bodies = {}
        for i, size in enumerate((2, 5000, 400000)):
            bodies[f"u{i}@branch.test"] = content_of(size, chance, eight_bit=False)
        for to, body in bodies.items():
            p.put(to, content=b"Subject: x\r\n\r\n" + body)
        p.put("w@three.test")
        done = run_fetchmail(tmp_path / "f", port, home, keys, 20, server)
        said = done.stdout + done.stderr
        assert recipients(home) == sorted([*bodies, "w@three.test"]), said + p.log()
        for to, body in bodies.items():
            m = next(m for m in home.messages if m.recipients == [to])
            assert m.content.endswith(body)
        p.wait_empty()
        assert ("TLS connection established from" in p.log()) == (door == "tunnel")
        assert "453" in run_fetchmail(tmp_path / "f", port, home, keys, 20, server).stdout


@fetchmail
def test_fetchmail_that_hangs_under_TLS_loses_nothing(tmp_path, authority):
    with Provider(tmp_path / "p", authority) as p, Sink() as home:
        sent = ["u@branch.test", "w@three.test"]
        p.put(*sent)
        with pytest.raises(subprocess.TimeoutExpired):
            run_fetchmail(tmp_path / "f", p.odmrs, home, "ssl "
                          f'sslcertfile {authority.path} sslcommonname "relay.test"', 2)
        p.wait_log("branch has fetched 0 messages")
        run_fetchmail(tmp_path / "f", p.odmr, home, 'sslproto ""', 20)
        assert recipients(home) == sent
        p.wait_empty()


# --------------------------------------------------------------------------- ETRN ----

def away(hop):
    return f"""
route "branch.test" {{ via = {{"pickup:branch"}}
    offline {{ client = {{"127.0.0.1"}}  deliver-to = "{hop}" }} }}
"""


def test_a_shell_says_ETRN(tmp_path):
    """As from telnet: a line at a time, nothing but a socket."""
    with Sink() as home, Relay(tmp_path / "p", extra=away(home.hop)) as p:
        with Client(p.port) as c:
            assert c.mail(b"Subject: x\r\n\r\ny\r\n", to=("u@branch.test",)).code == 250
        lines = ["HELO shell", "etrn  Branch.Test", "EHLO shell", "ETRN branch.test",
                 "QUIT"]
        script = f"exec 3<>/dev/tcp/127.0.0.1/{p.port}; read -r l <&3; echo \"$l\"; "
        for line in lines:
            script += f"printf '{line}\\r\\n' >&3; "
            script += "while read -r l <&3; do echo \"$l\"; " \
                "[[ $l == ???-* ]] || break; done; "
            if line == "etrn  Branch.Test":
                script += f"until [ -e {tmp_path}/gone ]; do sleep 0.05; done; "
        shell = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)
        home.wait(1)
        p.wait_empty()
        (tmp_path / "gone").touch()
        out = shell.communicate(timeout=60)[0]
        codes = re.findall(r"^(\d\d\d)[ \r]", out, re.M)
        assert codes == ["220", "250", "250", "250", "251", "221"], out


class Etrn(Postfix):
    extra = ("relay_domains = branch.test\nfast_flush_domains = $relay_domains\n"
             "smtpd_etrn_restrictions = permit_mynetworks, reject\n"
             "smtpd_error_sleep_time = 0\nsmtpd_hard_error_limit = 100\n")


def test_replies_stand_beside_those_of_Postfix(tmp_path):
    """The first digit is the same wherever both know the case; where a code differs the
    row says why."""
    rows = [  # command, ours, Postfix's
        ("ETRN", 501, 500),             # RFC 1985 5.3 has both
        ("ETRN a b", 501, 500),
        ("ETRN branch.test", 251, 250), # it does not know whether there is mail
        ("ETRN BRANCH.test", 251, 250),
        ("ETRN other.test", 459, 459),
        ("ETRN a..b", 501, 501),
        ("ETRN [127.0.0.1]", 501, 459), # an address literal is well formed to it
        ("ETRN -", 501, 501),
        ("ETRN #branch", 251, 459),     # it has no queue with a name
        ("ETRN @branch.test", 251, 250),
        ("ETRN @other.test", 459, 459),
        ("MAIL FROM:<s@x.test>", 250, 250),
        ("ETRN branch.test", 503, 503),
    ]
    try:
        postfix = Etrn(tmp_path / "postfix", free_port())
        postfix.__enter__()
    except (Missing, RuntimeError) as e:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(e))
    try:
        with Relay(tmp_path / "p", extra=away("smtp://127.0.0.1:9"),
                   limits={"errors": 100}) as p:
            for port, at in ((p.port, 1), (postfix.port, 2)):
                with Client(port) as c:
                    got = [(row[0], c.command(row[0]).code) for row in rows]
                    assert got == [(row[0], row[at]) for row in rows]
                with Client(port, helo=None) as c:  # it wants no greeting
                    assert c.command("ETRN branch.test").code == (503, 250)[at - 1]
    finally:
        postfix.__exit__(None)
