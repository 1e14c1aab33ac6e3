"""Maildirs as next hop: what is in the files, and who has none."""

import email
import re
import stat
import subprocess
import threading

import pytest

from mailboxes import SENDER, Mailboxes, as_kept, without_received
from relay import Closed, find, wait_for

BODY = b"Subject: hello\r\nFrom: <sue@site.test>\r\n\r\n" \
       b"first\r\n.\r\n..two\r\nFrom here\r\n caf\xc3\xa9 \r\n\r\nend\r\n"


@pytest.fixture
def site(tmp_path):
    with Mailboxes(tmp_path) as m:
        yield m


def test_each_recipient_has_a_copy_of_its_own(site):
    with site.relay.client() as c:
        assert c.mail(BODY, SENDER, ("bob@Site.Test", "Ann@site.test")).code \
            == 250
    for user, to in (("bob", "bob@Site.Test"), ("ann", "Ann@site.test")):
        text, = site.wait(user)
        assert without_received(text) == as_kept(BODY, to)
        assert text.count(b"\r") == 0
        file, = site.files(user)
        assert re.fullmatch(r"\d{10}\.M\d{6}P\d+V[0-9a-f]+I[0-9a-f]+\.relay\.test",
                            file.name)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert f"I{file.stat().st_ino:x}." in file.name
        assert sorted(f.name for f in site.box(user).iterdir()) == [
            "cur", "new", "tmp"]
        assert not site.files(user, "tmp")
    site.relay.wait_empty()
    for to in ("bob@Site.Test", "Ann@site.test"):
        assert re.search(rf"to=<{to}>, relay=maildir, delay=.*, dsn=2\.0\.0, "
                         r"status=sent \(delivered to maildir\)",
                         site.relay.log())


def test_swaks(site, tmp_path):
    (tmp_path / "data").write_bytes(BODY.replace(b"\r\n", b"\n"))
    subprocess.run([find("swaks"), "--server", f"127.0.0.1:{site.relay.port}",
                    "--from", "<>", "--to", "bob@site.test", "--data",
                    f"@{tmp_path / 'data'}"], check=True, timeout=60,
                   stdout=subprocess.DEVNULL)
    text, = site.wait("bob")
    assert text.startswith(b"Return-Path: <>\nDelivered-To: bob@site.test\n")
    assert without_received(text).endswith(
        b"\n\nfirst\n.\n..two\nFrom here\n caf\xc3\xa9 \n\nend\n\n")


def test_large_content_is_written_as_it_is_read(site):
    line = bytes(range(33, 127)) + b"\r\n"
    content = b"Subject: large\r\n\r\n" + line * (6_000_000 // len(line))
    with site.relay.client() as c:
        assert c.mail(content, SENDER,
                      ("bob@site.test", "nobody@site.test", "ann@site.test"),
                      ).code == 250
    for user in ("bob", "ann"):
        text, = site.wait(user)
        assert without_received(text) == as_kept(content, f"{user}@site.test")
    report, = site.wait("sue")
    assert b"Status: 5.1.1" in report and b"Subject: large" in report
    site.relay.wait_empty()


def test_a_user_without_a_folder_is_reported_and_the_others_have_theirs(site):
    with site.relay.client() as c:
        assert c.mail(BODY, SENDER, ("nobody@site.test", "bob@site.test",
                                     "none@site.test")).code == 250
    site.wait("bob")
    report, = site.wait("sue")
    site.relay.wait_empty()
    assert len(site.files("sue")) == 1, "one report for both"
    assert report.startswith(b"Return-Path: <>\n")
    parts = email.message_from_bytes(report).get_payload()
    fields = parts[1].get_payload()
    assert [str(f["Final-Recipient"]) for f in fields[1:]] == [
        "rfc822; nobody@site.test", "rfc822; none@site.test"]
    for f in fields[1:]:
        assert (f["Action"], f["Status"]) == ("failed", "5.1.1")
        assert f["Remote-MTA"] is None
        assert "No such user here" in f["Diagnostic-Code"]
    assert "status=bounced (550 5.1.1 <nobody@site.test>: No such user here)" \
        in site.relay.log()


def test_a_report_of_success_says_delivered(site):
    with site.relay.client() as c:
        assert c.command(f"MAIL FROM:<{SENDER}> RET=HDRS ENVID=x1").code == 250
        assert c.command("RCPT TO:<bob@site.test> NOTIFY=SUCCESS").code == 250
        assert c.command("DATA").code == 354
        c.send(BODY.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert c.reply().code == 250
    report, = site.wait("sue")
    fields = email.message_from_bytes(report).get_payload()[1].get_payload()
    assert fields[1]["Action"] == "delivered"
    assert fields[1]["Status"] == "2.0.0"
    assert fields[1]["Remote-MTA"] is None


LONG_NAME = "x" * 64

HOSTILE = [
    '"../../etc/x"@site.test', '".."@site.test', '"."@site.test',
    '"../bob"@site.test', "a/b@site.test", "/etc/passwd@site.test",
    '"/etc"@site.test', '".hidden"@site.test', '"\\.\\."@site.test',
    '"bob/new"@site.test', '"bob/../ann"@site.test', '"a b"@site.test',
    f"{LONG_NAME}@site.test", "%u@site.test", "%d@site.test", "~@site.test",
    "$HOME@site.test", "`id`@site.test", "*@site.test", "-rf@site.test",
    "bob@[127.0.0.1]", "x@[x:/../../tmp]", "bob@other.test", "bob@bob.site.test",
]


def test_no_address_leads_out_of_the_folder(site):
    """Each is refused, or reported, or waits (a domain without a folder); nothing is
    written anywhere."""
    outside = site.folder / "etc"
    outside.mkdir()
    (site.root / "site.test" / ".hidden").mkdir()
    before = site.tree()
    with site.relay.client() as c:
        for to in HOSTILE:
            c.command("RSET")
            assert c.command("MAIL FROM:<>").code == 250
            reply = c.command(f"RCPT TO:<{to}>")
            if reply.code == 250:
                assert c.command("DATA").code == 354
                c.send(BODY.replace(b"\r\n.", b"\r\n..") + b".\r\n")
                assert c.reply().code == 250
            else:
                assert reply.code in (501, 550, 553, 554), (to, reply)
        accepted = site.relay.log().count("(queue active)")
    assert accepted > 12
    wait_for(lambda: len(re.findall(r"relay=maildir.*status=(?:bounced|deferred)",
                                    site.relay.log())) >= accepted)
    assert "status=sent" not in site.relay.log()
    assert site.tree() == before
    left = {r["address"] for m in site.relay.queue_list()
            for r in m["recipients"]}
    assert all("site.test" not in a or "bob.site" in a for a in left), left


def test_names_that_only_look_odd_are_kept(site):
    """Spaces, UTF-8 and marks are names like others; a domain has one folder however it
    is written."""
    names = {'"a b"@site.test': "a b", "j\u00f6rg@site.test": "j\u00f6rg",
             "-rf@site.test": "-rf", "a+b=c!d@site.test": "a+b=c!d",
             "~@site.test": "~"}
    idn = site.root / "xn--bcher-kva.test" / "bob"
    idn.mkdir(parents=True)
    for name in names.values():
        site.make(name)
    with site.relay.client() as c:
        for to in [*names, "bob@b\u00fccher.test", "bob@XN--bcher-KVA.test"]:
            assert c.command(f"MAIL FROM:<{SENDER}> SMTPUTF8").code == 250
            assert c.command(f"RCPT TO:<{to}>").code == 250
            assert c.command("DATA").code == 354
            c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
            assert c.reply().code == 250
    for to, name in names.items():
        text, = site.wait(name)
        assert f"Delivered-To: {to}\n".encode() in text
    wait_for(lambda: len(list((idn / "new").glob("*"))) == 2)


@pytest.mark.parametrize("missing", ["root", "domain"])
def test_what_the_site_lacks_is_no_bounce(tmp_path, missing):
    """The disk is not mounted, say: mail waits until it is."""
    with Mailboxes(tmp_path) as site:
        away = site.root if missing == "root" else site.root / "site.test"
        away.rename(tmp_path / "away")
        with site.relay.client() as c:
            assert c.mail(BODY, SENDER, ("bob@site.test",)).code == 250
        site.relay.wait_log(r"dsn=4\.3\.0, status=deferred \(cannot open "
                            rf"{away}: No such file")
        assert not away.exists()
        (tmp_path / "away").rename(away)
        site.wait("bob")
        site.relay.wait_empty()
    assert "bounced" not in site.relay.log()


def test_a_users_own_trouble_is_no_bounce(site):
    site.make("joe")
    for name in ("tmp", "cur"):
        (site.box("joe") / name).mkdir()
    (site.box("joe") / "new").write_text("no folder")
    with site.relay.client() as c:
        assert c.mail(BODY, SENDER, ("joe@site.test", "bob@site.test")).code \
            == 250
    site.relay.wait_log(r"joe@site.test>, relay=maildir.*dsn=4\.2\.0, "
                        r"status=deferred \(cannot open folder new")
    site.wait("bob")
    (site.box("joe") / "new").unlink()
    site.wait("joe")
    site.relay.wait_empty()
    assert len(site.files("bob")) == 1


def test_a_maildir_in_the_home_of_a_user_is_made(tmp_path):
    with Mailboxes(tmp_path, template="%d/%u/Mail/dir") as site:
        with site.relay.client() as c:
            assert c.mail(BODY, SENDER, ("bob@site.test",
                                         "who@site.test")).code == 250
        wait_for(lambda: list(site.box("bob").glob("Mail/dir/new/*")))
        wait_for(lambda: list(site.box("sue").glob("Mail/dir/new/*")))
        assert not site.box("who").exists()
        folder = site.box("bob") / "Mail"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_binary_content_is_kept_in_lines(site):
    binary = bytes(range(256)) * 8
    content = (b"Subject: b\r\nMIME-Version: 1.0\r\n"
               b"Content-Type: application/octet-stream\r\n"
               b"Content-Transfer-Encoding: binary\r\n\r\n") + binary
    with site.relay.client() as c:
        assert c.command(f"MAIL FROM:<{SENDER}> BODY=BINARYMIME").code == 250
        assert c.command("RCPT TO:<bob@site.test>").code == 250
        c.send(b"BDAT %d LAST\r\n" % len(content) + content)
        assert c.reply().code == 250
    text, = site.wait("bob")
    assert email.message_from_bytes(text).get_payload(decode=True) == binary


def test_binary_content_that_may_not_be_converted_is_reported(tmp_path):
    with Mailboxes(tmp_path, convert="never") as site:
        with site.relay.client() as c:
            for _ in range(3):
                assert c.command(
                    f"MAIL FROM:<{SENDER}> BODY=BINARYMIME").code == 250
                assert c.command("RCPT TO:<bob@site.test>").code == 250
                c.send(b"BDAT 20 LAST\r\nSubject: b\r\n\r\na\0b\nc\r")
                assert c.reply().code == 250
        assert b"Status: 5.6.3" in site.wait("sue", 3)[0]
        site.relay.wait_empty()
        assert not site.files("bob")


def test_going_down_finishes_what_is_being_written(site):
    """Each message once, whether it was written before or after the restart."""
    senders, accepted = 4, []

    def load(number):
        try:
            with site.relay.client() as c:
                for i in range(40):
                    lines = 8000 if i % 10 == 0 else 1
                    content = b"Subject: %d.%d\r\n\r\n" % (number, i) + \
                        (b"y" * 70 + b"\r\n") * lines
                    if c.mail(content, SENDER, ("bob@site.test",
                                                "ann@site.test")).code == 250:
                        accepted.append((number, i))
        except (Closed, OSError, AssertionError):
            pass    # the relay went down

    threads = [threading.Thread(target=load, args=(n,)) for n in range(senders)]
    for t in threads:
        t.start()
    wait_for(lambda: len(site.files("bob")) > 10)
    assert site.relay.stop() == 0
    for t in threads:
        t.join()
    assert not site.files("bob", "tmp") and not site.files("ann", "tmp")
    site.relay.start()
    site.relay.wait_empty()
    for user in ("bob", "ann"):
        names = [re.search(rb"Subject: (\d+)\.(\d+)\n", t).groups()
                 for t in site.texts(user)]
        names = [tuple(map(int, n)) for n in names]
        assert len(set(names)) == len(names), "a second copy"
        # one that was committed when the connection was cut had no reply
        assert set(accepted) <= set(names)
        assert len(names) <= len(accepted) + senders
