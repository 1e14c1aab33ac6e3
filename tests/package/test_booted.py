"""The relay under a systemd that runs: its sockets, watchdog and reload, and what its sandbox
leaves of them. Run with tests/package/run; the tests build on each other.
"""

import collections
import re
import socket
import threading

import pytest

import relay
from room import CONFIG, both, bring, is_active, waiting

DEFAULT = """
hostname = "room.example.org"
postmaster = "root@mail.localhost"
aliases = "/etc/aliases"
queue { path = "/var/lib/waypost/queue.db" }
admin { socket = "/run/waypost/waypost.sock" }
listener "mx" { address = "[::]:25" }
listener "submission" { address = "[::]:587" }
rule "this machine" { client = {"127.0.0.0/8", "::1"}  action = relay }
route "kept here" { to = {"mail.localhost"} via = {"maildir:/var/lib/waypost/mail/%u"} }
"""
DROP_INS = "/etc/systemd/system/{}.d"


def drop_in(room, unit, name, text):
    folder = room.path(DROP_INS.format(unit))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    room.must("systemctl", "daemon-reload")


def configure(room, sink, more=""):
    room.path(CONFIG).write_text(
        DEFAULT + f'route "*" {{ via = {{"{sink.hop}"}} }}\n' + more)


def main_pid(room):
    return int(room.must("systemctl", "show", "--value", "-p", "MainPID", "waypost"))


def status_text(room):
    return room.must("systemctl", "show", "--value", "-p", "StatusText", "waypost").strip()


def journal(room, *words):
    room.must("journalctl", "--sync")
    return room.must("journalctl", "-u", "waypost", "-o", "cat", "--no-pager", *words)


def numbers(sink):
    return collections.Counter(
        int(re.search(rb"X-Number: (\d+)", m.content)[1]) for m in sink.messages)


def send(port, number, host="127.0.0.1"):
    """The code of the reply to the message, or the word for how it went wrong."""
    try:
        with relay.Client(port, host, timeout=60) as c:
            return c.mail(f"X-Number: {number}\r\n\r\nhello\r\n".encode()).code
    except ConnectionRefusedError:
        return "refused"
    except (OSError, AssertionError, EOFError):
        return "went away"


@pytest.fixture(scope="module", autouse=True)
def installed(room, sink):
    room.apt("install", *bring(room, *both()))
    configure(room, sink)
    room.must("systemctl", "restart", "waypost")
    yield


@pytest.fixture(autouse=True)
def cleared(sink):
    sink.messages.clear()


def test_the_units_are_good(room):
    units = [f"/lib/systemd/system/waypost.{kind}" for kind in ("service", "socket")]
    said = room.must("systemd-analyze", "verify", "--man=no", *units)
    assert "waypost" not in said
    said = room.must("systemd-analyze", "security", "--threshold=16", "--no-pager", "waypost")
    assert float(re.search(r"exposure level for waypost.service: ([\d.]+)", said)[1]) <= 1.6


# --------------------------------------------------------------------- sockets ----

class Senders:
    """Mail on each port, one after the other, until told to stop."""

    def __init__(self, ports, each=2):
        self.stop, self.said = threading.Event(), []
        self.lock, self.last = threading.Lock(), 0
        self.threads = [threading.Thread(target=self.run, args=(port,))
                        for port in ports for _ in range(each)]
        for t in self.threads:
            t.start()

    def run(self, port):
        while not self.stop.is_set():
            with self.lock:
                self.last += 1
                number = self.last
            said = send(port, number, "::1" if number % 2 else "127.0.0.1")
            with self.lock:
                self.said.append((number, said))

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        return self.said


def test_with_the_socket_unit_a_restart_refuses_nobody_and_loses_nothing(room, sink):
    drop_in(room, "waypost.socket", "submission.conf", "[Socket]\nListenStream=[::]:587\n")
    # with ports that are opened for it, it needs no capability
    drop_in(room, "waypost.service", "bare.conf",
            "[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n")
    room.must("systemctl", "stop", "waypost")
    room.must("systemctl", "enable", "--now", "waypost.socket", "waypost.service")
    assert is_active(room)
    assert "CapEff:\t0000000000000000" in room.must("cat", f"/proc/{main_pid(room)}/status")

    senders = Senders((25, 587))
    pids = {main_pid(room)}
    try:
        for _ in range(3):
            before = len(senders.said)
            room.must("systemctl", "restart", "waypost")
            pids.add(main_pid(room))
            room.wait(lambda: len(senders.said) > before + 20)
    finally:
        said = senders.end()
    assert len(pids) == 4
    assert "refused" not in [s for _, s in said]
    taken = {n for n, s in said if s == 250}
    assert len(taken) > 60
    room.wait(lambda: taken <= set(numbers(sink)))
    assert set(numbers(sink).values()) == {1}


def test_the_first_client_starts_it(room, sink):
    room.must("systemctl", "stop", "waypost.service")
    assert not is_active(room)
    assert send(587, 1) == 250
    assert is_active(room)
    sink.wait(1)


def test_without_the_socket_unit_a_restart_refuses(room):
    """That the test above can fail."""
    room.must("systemctl", "disable", "--now", "waypost.socket")
    room.path(DROP_INS.format("waypost.service") + "/bare.conf").unlink()
    room.must("systemctl", "daemon-reload")
    room.must("systemctl", "stop", "waypost")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 25), 5)
    room.must("systemctl", "start", "waypost")


# ------------------------------------------------------------------ away, hung ----

def test_mail_that_comes_while_it_is_stopped_is_sent_once(room, sink):
    room.must("systemctl", "stop", "waypost")
    for k in range(3):
        room.must("sendmail", "-i", "joe@example.net", user="games",
                  text=f"X-Number: {k}\nSubject: dropped\n\nhello\n")
    assert room.run("ls", "/var/lib/waypost/drop", user="games").returncode != 0
    room.must("systemctl", "start", "waypost")
    room.wait(lambda: set(numbers(sink)) == {0, 1, 2})
    room.must("systemctl", "restart", "waypost")
    room.wait(lambda: waiting(room) == 0)
    assert numbers(sink) == {0: 1, 1: 1, 2: 1}
    assert {m.sender for m in sink.messages} == {"games@room.example.org"}
    left = room.must("find", "/var/lib/waypost/drop", "-type", "f", "-not", "-path", "*/refused/*")
    assert left == ""


def test_the_watchdog_ends_one_that_hangs_and_its_mail_is_whole(room, sink):
    drop_in(room, "waypost.service", "watchdog.conf", "[Service]\nWatchdogSec=2s\n")
    room.must("systemctl", "restart", "waypost")
    room.must("waypost", "dest", "suspend", sink.hop, "--for", "1h", "-c", CONFIG)
    assert [send(25, k) for k in range(20)] == [250] * 20
    pid = main_pid(room)
    room.must("sh", "-c", f"kill -STOP {pid}")
    room.wait(lambda: main_pid(room) not in (0, pid) and is_active(room), 60)
    assert "Watchdog timeout" in journal(room)
    assert waiting(room) == 20
    room.must("waypost", "dest", "resume", sink.hop, "-c", CONFIG)
    room.wait(lambda: waiting(room) == 0)
    assert numbers(sink) == {k: 1 for k in range(20)}
    room.path(DROP_INS.format("waypost.service") + "/watchdog.conf").unlink()
    room.must("systemctl", "daemon-reload")
    room.must("systemctl", "restart", "waypost")


# ---------------------------------------------------------------------- reload ----

def test_a_reload_with_faults_fails_and_the_relay_goes_on(room, sink):
    pid = main_pid(room)
    configure(room, sink, "nonsense = 1\n")
    before = journal(room).count("nonsense")
    assert room.run("systemctl", "reload", "waypost").returncode != 0
    assert journal(room).count("nonsense") == before + 1
    assert "nonsense" in room.must("systemctl", "status", "--no-pager", "-l", "waypost")
    assert main_pid(room) == pid and is_active(room) and send(25, 1) == 250
    # the same by the signal
    room.must("systemctl", "kill", "-s", "HUP", "--kill-whom=main", "waypost")
    room.wait(lambda: "nonsense" in status_text(room))
    assert "the old one is in use" in status_text(room)
    assert journal(room).count("nonsense") == before + 2
    assert journal(room, "-p", "warning").count("nonsense") == 1
    assert "nonsense" in journal(room, "--facility=mail")
    assert "is ready" not in journal(room, "-p", "warning") and "<4>" not in journal(room)
    assert main_pid(room) == pid and is_active(room) and send(25, 2) == 250
    configure(room, sink)
    room.must("systemctl", "reload", "waypost")
    room.wait(lambda: status_text(room) == "")
    assert main_pid(room) == pid
    sink.wait(2)


# --------------------------------------------------------------------- sandbox ----

def refused_reload(room, said):
    before = journal(room).count("not reloaded")
    room.must("systemctl", "reload", "waypost")
    room.wait(lambda: journal(room).count("not reloaded") > before)
    room.wait(lambda: said in status_text(room))
    assert journal(room).count(said) == 1


def test_a_certificate_in_a_new_folder_needs_a_restart(room, sink):
    place = room.path("/srv/tls")
    place.mkdir()
    room.must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
              "-nodes", "-keyout", "/srv/tls/key.pem", "-out", "/srv/tls/cert.pem",
              "-subj", "/CN=room.example.org")
    room.must("chown", "waypost", "/srv/tls/key.pem")
    configure(room, sink, 'tls { certificate = "/srv/tls/cert.pem" key = "/srv/tls/key.pem" }\n')
    refused_reload(room, "/srv/tls/cert.pem can be read only after a restart")
    room.must("systemctl", "restart", "waypost")
    with relay.Client(25) as c:
        assert c.command("STARTTLS").code == 220
    configure(room, sink)
    room.must("systemctl", "restart", "waypost")


def test_the_log_is_rotated(room, sink):
    log = room.path("/var/log/waypost/waypost.log")
    configure(room, sink, 'log { file = "/var/log/waypost/waypost.log" }\n')
    refused_reload(room, f"{log.name} can be written only after a restart")
    room.must("systemctl", "restart", "waypost")
    room.wait(lambda: "is ready" in log.read_text())
    room.must("logrotate", "-f", "/etc/logrotate.d/waypost")
    room.wait(lambda: "opened again" in log.read_text())
    assert send(25, 1) == 250
    room.wait(lambda: "status=sent" in log.read_text())
    assert "status=sent" not in log.with_name("waypost.log.1").read_text()
    assert room.must("stat", "-c", "%a %U:%G", "/var/log/waypost/waypost.log").strip() \
        == "640 waypost:waypost"
    configure(room, sink)
    room.must("systemctl", "reload", "waypost")


def test_a_queue_elsewhere_is_let_in_by_the_unit(room, sink):
    room.must("install", "-d", "-o", "waypost", "-g", "waypost", "-m", "711", "/srv/queue")
    text = room.path(CONFIG).read_text()
    room.path(CONFIG).write_text(text.replace("/var/lib/waypost/queue.db", "/srv/queue/queue.db"))
    refused_reload(room, "/srv/queue/queue.db can be written only after a restart")
    room.run("systemctl", "restart", "waypost")
    assert "ReadWritePaths= names: systemctl edit waypost" in journal(room)
    drop_in(room, "waypost.service", "queue.conf", "[Service]\nReadWritePaths=/srv/queue\n")
    room.run("systemctl", "reset-failed", "waypost")
    room.must("systemctl", "restart", "waypost")
    assert send(25, 1) == 250
    room.wait(lambda: waiting(room) == 0)
    sink.wait(1)
    room.path(DROP_INS.format("waypost.service") + "/queue.conf").unlink()
    room.must("systemctl", "daemon-reload")
    configure(room, sink)
    room.must("systemctl", "restart", "waypost")


def test_a_token_command_runs_in_the_unit(room, sink):
    program = room.path("/usr/local/bin/token")
    program.write_text("#!/bin/sh\necho it was asked >&2\nexec cat /etc/waypost/token\n")
    program.chmod(0o755)
    room.path("/etc/waypost/token").write_text("0123456789abcdef\n")
    configure(room, sink)
    text = room.path(CONFIG).read_text().replace(
        f'route "*" {{ via = {{"{sink.hop}"}}',
        'account "provider" { user = "me"  token-command = {"/usr/local/bin/token"} }\n'
        'route "*" { via = {"smtps://127.0.0.1:2601"}  account = "provider"')
    room.path(CONFIG).write_text(text)
    refused_reload(room, "token-command needs a restart")
    room.must("systemctl", "restart", "waypost")
    assert "programs, because of token-command" in journal(room)
    assert send(25, 1) == 250
    room.wait(lambda: "token-command: it was asked" in journal(room, "-p", "warning"))
    room.wait(lambda: "127.0.0.1[127.0.0.1]:2601: connection refused" in journal(room))


def test_logins_of_the_machines_people_by_pam(room, sink):
    """Who may not read /etc/shadow cannot tell, and says so; who may judges."""
    room.must("useradd", "joe")
    room.must("chpasswd", text="joe:secret\n")
    room.path("/etc/pam.d/waypost").write_text("@include common-auth\n@include common-account\n")
    configure(room, sink, 'users { pam = "waypost" }\n')
    text = room.path(CONFIG).read_text()
    room.path(CONFIG).write_text(text.replace(
        '"[::]:587"', '"[::]:587" auth = optional auth-without-tls = true'))
    for good, wrong in ((454, 454), (235, 535)):
        room.must("systemctl", "restart", "waypost")
        with relay.Client(587) as c:
            assert c.login("joe", "wrong").code == wrong
            assert c.login("joe", "secret").code == good
        room.must("usermod", "-a", "-G", "shadow", "waypost")
    assert "PAM cannot read /etc/shadow" in journal(room, "-p", "warning")
