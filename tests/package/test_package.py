"""The Debian packages, from the first installation to the purge: run with tests/package/run.

One system lives through all of it, so the tests build on each other and stand in order.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

import relay
from room import CONFIG, both, bring, is_active, waiting

MESSAGES = int(os.environ.get("WAYPOST_MESSAGES", "10000"))


def listening():
    """Of all the system, as (address, port)."""
    found = set()
    for name in ("tcp", "tcp6"):
        for line in pathlib.Path("/proc/net/" + name).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                address, port = words[1].split(":")
                found.add((address, int(port, 16)))
    return found


def test_it_is_installed_and_runs(room):
    said = room.apt("install", *bring(room, *both()))
    assert "needs a hand" not in said and "did not start" not in said
    assert is_active(room), room.run("journalctl", "-u", "waypost", "--no-pager").stdout
    assert room.run("systemctl", "is-enabled", "waypost").stdout.strip() == "enabled"
    assert room.run("systemctl", "is-enabled", "waypost.socket").stdout.strip() == "disabled"
    assert "waypost" in room.must("id", "waypost")
    modes = room.must("stat", "-c", "%a %U %n", CONFIG, "/var/lib/waypost", "/run/waypost",
                      "/var/log/waypost", "/var/lib/waypost/mail/root/new")
    assert modes.split("\n")[:5] == [
        f"644 root {CONFIG}", "711 waypost /var/lib/waypost", "755 waypost /run/waypost",
        "750 waypost /var/log/waypost", "700 waypost /var/lib/waypost/mail/root/new"]


def test_the_manual_is_there_and_its_links_hold(room):
    papers = room.path("/usr/share/doc/waypost")
    texts = [papers / "README.md", *(papers / "relay/manual").glob("*.md")]
    assert len(texts) > 10
    for text in texts:
        for to in re.findall(r"\]\(([^)#\s]+)", text.read_text()):
            assert to.startswith("http") or (text.parent / to).is_file(), (text.name, to)


def test_it_is_closed_to_the_outside(room):
    assert listening() == {("0100007F", 25)}
    assert "good" in room.must("waypost", "check", "-c", CONFIG, user="waypost")


@pytest.mark.parametrize("name", ["root", "postmaster"])
def test_mail_for_root_is_kept_on_the_machine(room, name):
    room.must("sendmail", name, user="daemon", text="Subject: backup\n\nfailed\n")
    new = room.path("/var/lib/waypost/mail/root/new")
    room.wait(lambda: list(new.iterdir()), 10)
    [letter] = new.iterdir()
    text = letter.read_text()
    assert "Subject: backup\n" in text and text.endswith("\n\nfailed\n")
    letter.unlink()


def test_mail_of_users_leaves_and_the_queue_is_not_theirs_to_see(room, sink):
    text = room.path(CONFIG).read_text()
    assert text.count('route "*"         { via = {"mx"} }') == 1
    room.path(CONFIG).write_text("# of this machine\n" + text.replace(
        'route "*"         { via = {"mx"} }', f'route "*" {{ via = {{"{sink.hop}"}} }}'))
    room.must("systemctl", "reload", "waypost")
    room.must("/usr/lib/sendmail", "-t", "-i", user="www-data",
              text="To: joe@example.net\nSubject: from cron\n\nhello\n")
    [message] = sink.wait(1)
    assert "www-data@" in message.sender and b"Subject: from cron" in message.content
    room.wait(lambda: waiting(room) == 0)
    assert "empty" in room.must("mailq")
    assert room.run("mailq", user="www-data").returncode == 77
    room.must("newaliases")
    sink.messages.clear()


def letter(k):
    lines = [f"X-Number: {k}", "Subject: kept", ""]
    lines += [f"{k} {'abcdefghij' * (1 + (k + n) % 9)}" for n in range(1 + k % 40)]
    return "\r\n".join(lines).encode() + b"\r\n"


def post(numbers):
    with relay.Client(25, timeout=60) as c:
        for k in numbers:
            assert c.mail(letter(k), "a@example.org", [f"b{k}@example.net"]).code == 250


def later(room):
    """The same packages with a higher version, where the default configuration differs."""
    made = []
    for deb in both():
        place = room.root / "root" / deb.stem
        subprocess.run(["dpkg-deb", "-R", deb, place], check=True)
        control = place / "DEBIAN/control"
        control.write_text(re.sub(r"0\.1\.0(\.1~)?", r"0.1.1\1", control.read_text()))
        if (place / "etc/waypost").is_dir():
            with open(place / "etc/waypost/waypost.conf", "a") as f:
                f.write("# of the newer version\n")
        made.append(f"/root/{deb.stem}-later.deb")
        subprocess.run(["dpkg-deb", "-b", "-Znone", place, room.path(made[-1])], check=True,
                       stdout=subprocess.DEVNULL)
        shutil.rmtree(place)
    return made


def test_an_upgrade_keeps_every_message_and_the_administrators_configuration(room, sink):
    room.must("waypost", "dest", "suspend", sink.hop, "--for", "1h", "-c", CONFIG)
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(post, [range(k, MESSAGES, 8) for k in range(8)]))
    stored = time.monotonic() - begun
    assert waiting(room) == MESSAGES
    before = room.must("systemctl", "show", "-p", "MainPID", "waypost")
    ours = room.path(CONFIG).read_text()

    begun = time.monotonic()
    said = room.apt("install", *later(room))
    upgraded = time.monotonic() - begun
    assert "did not start" not in said and is_active(room)
    assert room.must("systemctl", "show", "-p", "MainPID", "waypost") != before
    assert "0.1.1" in room.must("dpkg-query", "-W", "waypost", "waypost-mta")
    assert room.path(CONFIG).read_text() == ours
    assert "# of the newer version" in room.path(CONFIG + ".dpkg-dist").read_text()
    assert waiting(room) == MESSAGES

    begun = time.monotonic()
    room.must("waypost", "dest", "resume", sink.hop, "-c", CONFIG)
    messages = sink.wait(MESSAGES, 120)
    left = time.monotonic() - begun
    got = {}
    for m in messages:
        number = int(re.search(rb"X-Number: (\d+)", m.content).group(1))
        assert number not in got, f"{number} came twice"
        got[number] = m.content
    for k in range(MESSAGES):
        assert got[k].endswith(letter(k)), f"{k} is not what it was"
    # The journal has left none out.
    room.must("journalctl", "--sync")
    lines = room.must("journalctl", "-u", "waypost", "-o", "cat", "--no-pager")
    assert lines.count("status=sent") >= MESSAGES
    print(f"\n{MESSAGES} messages: stored in {stored:.1f} s, upgraded in {upgraded:.1f} s, "
          f"delivered in {left:.1f} s")


def test_removed_it_leaves_the_queue_and_finds_it_again(room, sink):
    room.wait(lambda: waiting(room) == 0)
    room.must("waypost", "dest", "suspend", sink.hop, "--for", "1h", "-c", CONFIG)
    post(range(5))
    said = room.apt("remove", "waypost", "waypost-mta")
    assert "the queue stays in /var/lib/waypost" in said
    assert not listening() & {("0100007F", 25)}
    for name in ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq", "/usr/bin/waypost"):
        assert not os.path.lexists(room.path(name)), name
    room.apt("install", *["/root/" + f.stem + "-later.deb" for f in both()])
    assert is_active(room) and waiting(room) == 5
    assert room.path(CONFIG).read_text().startswith("# of this machine")


def test_a_taken_port_does_not_fail_the_installation(room):
    room.apt("remove", "waypost", "waypost-mta")
    other = relay.Sink(port=25)
    try:
        said = room.apt("install", *["/root/" + f.stem + "-later.deb" for f in both()])
        assert "the relay did not start" in said and "127.0.0.1:25" in said, said
        assert not is_active(room)
        # Mail of this machine is kept until it runs.
        room.must("sendmail", "root", user="daemon", text="Subject: dropped\n\nhello\n")
    finally:
        other.close()
    room.run("systemctl", "reset-failed", "waypost")
    room.must("systemctl", "restart", "waypost")
    new = room.path("/var/lib/waypost/mail/root/new")
    room.wait(lambda: list(new.iterdir()), 10)
    assert "Subject: dropped" in next(new.iterdir()).read_text()


def test_a_configuration_with_faults_does_not_fail_an_upgrade(room):
    ours = room.path(CONFIG).read_text()
    room.path(CONFIG).write_text(ours + "nonsense = 1\n")
    said = room.apt("install", "--reinstall", *["/root/" + f.stem + "-later.deb" for f in both()])
    assert "the configuration needs a hand" in said and "nonsense" in said
    room.path(CONFIG).write_text(ours)


def test_purged_nothing_is_left(room):
    room.apt("purge", "waypost", "waypost-mta")
    found = room.must("find", "/", "-xdev", "-name", "*waypost*", "-not", "-path", "/root/*",
                      "-not", "-path", "/proc/*")
    assert found.split() == []
    assert listening() == {("0100007F", 2600)}  # the sink
    # The account stays, as Debian's accounts do: files elsewhere may be its own.
    assert "waypost" in room.must("id", "waypost")
