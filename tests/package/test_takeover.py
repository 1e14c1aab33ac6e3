"""In the place of a Postfix that is installed and has mail, and back: what README's "Replace
Postfix" says, in its order. Run with tests/package/run; the tests build on each other.
"""

import re

import pytest

from room import CONFIG, both, bring, is_active, waiting

SPOOL = "/var/spool/postfix/deferred"
HAND_OVER = "127.0.0.1:2525"
# What fills main.cf where nobody asks questions.
ANSWERS = """postfix postfix/main_mailer_type select Internet Site
postfix postfix/mailname string room.example.org
"""


def subjects(sink):
    return sorted(re.search(rb"Subject: (.*?)\r", m.content)[1].decode() for m in sink.messages)


def post(room, subject, to="joe@example.net", user="games"):
    room.must("sendmail", "-i", to, user=user, text=f"Subject: {subject}\n\nhello\n")


def in_spool(room):
    return sorted(room.must("find", SPOOL, "-type", "f", "-printf", "%f %s %T@\n").splitlines())


def is_installed(room, name):
    return room.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name).stdout[:2] == "ii"


def configure(room, old, new):
    text = room.path(CONFIG).read_text()
    assert text.count(old) == 1, old
    room.path(CONFIG).write_text(text.replace(old, new))


def answers_at(room, port):
    return f":{port:04X} " in room.must("cat", "/proc/net/tcp").replace("00000000:0000", "")


@pytest.fixture(scope="module", autouse=True)
def postfix(room, sink):
    """A machine of the kind there are many of: Postfix sends all mail to a smarthost."""
    room.must("debconf-set-selections", text=ANSWERS)
    [deb] = room.path("/root").glob("postfix_*.deb")
    room.apt("install", f"/root/{deb.name}")
    room.must("postconf", "-e", "relayhost=[127.0.0.1]:2600", "myhostname=room.example.org")
    with open(room.path("/etc/aliases"), "a") as f:
        f.write("root: ops@example.net\nwww-data: root\n")
    room.must("newaliases")
    room.must("systemctl", "restart", "postfix")
    post(room, "by Postfix")
    sink.wait(1)
    sink.messages.clear()
    room.must("postconf", "-e", "relayhost=[127.0.0.1]:2599")  # where nobody is
    room.must("systemctl", "reload", "postfix")
    for k in range(3):
        post(room, f"waits {k}")
    room.wait(lambda: len(in_spool(room)) == 3)


def test_beside_postfix_it_is_installed_and_changes_nothing(room):
    before = in_spool(room)
    said = room.apt("install", *bring(room, both()[0]))
    assert "another mailer has the port" in said
    assert is_installed(room, "postfix") and is_installed(room, "waypost")
    assert "Postfix" in room.must("postconf", "mail_name") and in_spool(room) == before
    assert "3 Requests" in room.must("mailq")


def test_dpkg_alone_refuses_and_postfix_stays(room):
    [deb] = bring(room, both()[1])
    said = room.run("dpkg", "-i", deb)
    assert said.returncode != 0 and "conflicts with mail-transport-agent" in said.stdout
    assert is_installed(room, "postfix") and "3 Requests" in room.must("mailq")
    room.must("dpkg", "--purge", "waypost-mta")


def test_apt_puts_it_in_postfixs_place_and_leaves_postfixs_mail(room, sink):
    before = in_spool(room)
    main_cf = room.path("/etc/postfix/main.cf").read_text()
    said = room.apt("install", "/root/" + both()[1].name)
    assert "Removing postfix" in said
    assert f"Postfix has left {len(before)} messages in /var/spool/postfix" in said
    assert is_active(room) and not is_installed(room, "postfix")
    for name in ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq",
                 "/usr/bin/newaliases"):
        assert room.must("readlink", "-f", name).strip() == "/usr/bin/waypost"
    assert in_spool(room) == before
    assert room.path("/etc/postfix/main.cf").read_text() == main_cf
    assert "empty" in room.must("mailq")
    room.must("newaliases")
    room.must("systemctl", "--quiet", "is-enabled", "waypost")
    assert room.run("systemctl", "is-failed", "waypost", "postfix").returncode != 0


def test_crons_mail_goes_where_the_aliases_of_postfix_say(room, sink):
    configure(room, 'route "*"         { via = {"mx"} }',
              f'route "*" {{ via = {{"{sink.hop}"}} }}')
    room.must("systemctl", "reload", "waypost")
    # What cron calls, and as whom: the line is cron(8)'s own
    tab = room.path("/etc/cron.d/told")
    tab.write_text("* * * * * www-data echo it was told\n")
    try:
        [message] = sink.wait(1, 100)
    finally:
        tab.unlink()
    assert b"it was told" in message.content and b"Cron" in message.content
    assert message.recipients == ["ops@example.net"]
    assert message.sender.startswith("www-data@")
    sink.messages.clear()


def test_postfix_comes_back_with_its_mail(room, sink):
    room.must("systemctl", "disable", "--now", "waypost")
    room.run("systemctl", "disable", "postfix")
    [deb] = room.path("/root").glob("postfix_*.deb")
    room.apt("install", f"/root/{deb.name}")
    assert is_installed(room, "postfix") and not is_installed(room, "waypost-mta")
    assert is_installed(room, "waypost") and not is_active(room)
    assert "[127.0.0.1]:2599" in room.must("postconf", "relayhost")
    assert "3 Requests" in room.must("mailq")
    room.must("systemctl", "--quiet", "is-active", "postfix@-")


def test_postfix_hands_its_queue_over_before_it_goes(room, sink):
    """The recipe of the README."""
    configure(room, 'address = "127.0.0.1:25"', f'address = "{HAND_OVER}"')
    room.must("systemctl", "enable", "--now", "waypost")
    room.must("waypost", "dest", "suspend", sink.hop, "--for", "1h", "-c", CONFIG)
    host, port = HAND_OVER.split(":")
    room.must("postconf", "-e", f"relayhost=[{host}]:{port}")
    room.must("postfix", "reload")
    room.must("postqueue", "-f")
    room.wait(lambda: in_spool(room) == [] and waiting(room) == 3)
    assert "empty" in room.must("mailq")
    configure(room, f'address = "{HAND_OVER}"', 'address = "127.0.0.1:25"')
    said = room.apt("install", "/root/" + both()[1].name)
    assert "Postfix has left" not in said and not is_installed(room, "postfix")
    room.must("systemctl", "reload", "waypost")
    post(room, "by Waypost")
    room.must("waypost", "dest", "resume", sink.hop, "-c", CONFIG)
    room.wait(lambda: waiting(room) == 0)
    assert subjects(sink) == ["by Waypost", "waits 0", "waits 1", "waits 2"]
    room.wait(lambda: answers_at(room, 25))


def test_postfix_purged_leaves_ours(room):
    room.apt("purge", "postfix")
    assert is_active(room) and is_installed(room, "waypost-mta")
    assert room.path("/etc/aliases").exists() and not room.path("/var/spool/postfix").exists()
    post(room, "kept", "root@mail.localhost")
    new = room.path("/var/lib/waypost/mail/root/new")
    room.wait(lambda: list(new.iterdir()))
