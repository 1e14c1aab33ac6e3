"""The relay as a service: root's start, sandbox, log, signals, systemd."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import time

import pytest

from pki import Authority
from relay import (AS_STARTED, ROOT, Client, Relay, Sink, free_port, low_port, program,
                   wait_for, wait_for_port)

UNVERIFIED = ssl._create_unverified_context()
SYSTEMD = ROOT / "relay/packaging/systemd"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another")
has_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"),
                                 reason="there is no systemd-analyze here")


def account():
    return pwd.getpwnam("daemon")


def status(relay):
    text = pathlib.Path(f"/proc/{relay.process.pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines()
                if ":\t" in line)


@pytest.fixture
def folder(tmp_path_factory):
    """A folder that others can get to, as /var is."""
    path = tmp_path_factory.mktemp("service")
    for up in [path, *path.parents]:
        if up.stat().st_uid == os.getuid() and up != pathlib.Path("/"):
            up.chmod(up.stat().st_mode | 0o711)
    path.chmod(0o755)
    return path


class Service(Relay):
    """One that root starts, and that becomes another."""

    def __init__(self, folder, routes, top="", queue="state", **options):
        self.state = pathlib.Path(folder) / queue
        super().__init__(folder, routes, top='user = "daemon"\n' + top, **options)

    def write_config(self):
        self.queue_path = self.state / "queue.db"
        super().write_config()
        text = self.config.read_text().replace(f"{self.folder}/admin.sock",
                                               f"{self.state}/admin.sock")
        self.config.write_text(text)


def mail(relay):
    with Client(relay.port) as c:
        assert c.mail(b"Subject: x\r\n\r\nhello\r\n").code == 250


# --------------------------------------------------------------- root's start ----

@as_root
def test_root_opens_low_ports_and_becomes_another(folder, sink):
    authority = Authority(folder / "pki")
    certificate = authority.issue("relay.test")
    (folder / "pki").chmod(0o711)
    os.chmod(certificate.key, 0o600)
    low = low_port()
    top = (f'tls {{ certificate = "{certificate.path}" '
           f'key = "{certificate.key}" }}\n')
    extra = f'listener "low" {{ address = "127.0.0.1:{low}" tls = optional }}\n'
    with Service(folder, {"*": sink.hop}, top, extra=extra) as r:
        known = status(r)
        assert set(known["Uid"].split()) == {str(account().pw_uid)}
        assert set(known["Gid"].split()) == {str(account().pw_gid)}
        groups = {int(g) for g in known["Groups"].split()}
        assert groups == set(os.getgrouplist("daemon", account().pw_gid))
        assert int(known["CapEff"], 16) == int(known["CapPrm"], 16) == 0
        assert known["NoNewPrivs"] == "1" and known["Seccomp"] == "2"
        for thread in pathlib.Path(f"/proc/{r.process.pid}/task").iterdir():
            own = (thread / "status").read_text()
            assert re.search(rf"^Uid:\t{account().pw_uid}\t", own, re.M)
            assert "\nSeccomp:\t2" in own and "\nCapEff:\t0000000000000000" in own
        # nobody but root looks into it
        assert os.stat(f"/proc/{r.process.pid}/environ").st_uid == 0
        assert (r.state / "queue.db").stat().st_uid == account().pw_uid
        r.wait_log("sandbox: ")
        r.wait_log("cannot read .*key")
        with Client(low) as c:
            assert c.starttls(UNVERIFIED).code == 250
        # a reload does not lose what only root could open
        r.reload()
        r.wait_log("not reloaded|reloaded")
        with Client(low) as c:
            assert c.command("NOOP").code == 250
        mail(r)
        wait_for(lambda: sink.messages, what="the mail")


@as_root
def test_a_low_port_that_a_reload_adds_says_what_to_do(folder, sink):
    with Service(folder, {"*": sink.hop}) as r:
        r.extra = f'listener "low" {{ address = "127.0.0.1:{low_port()}" }}\n'
        r.write_config()
        r.reload()
        r.wait_log("ports under 1024 can be opened at the start alone")
        mail(r)


@as_root
def test_an_account_that_there_is_not_is_a_fault(tmp_path, sink):
    r = Relay(tmp_path, {"*": sink.hop}, top='user = "nobody-of-this-name"')
    for verb in ("check", "run"):
        done = r.verb(verb, check=False)
        assert done.returncode == 78 and b"nobody-of-this-name" in done.stderr


@as_root
def test_a_folder_that_is_not_the_users_is_told_of(folder, sink):
    r = Service(folder, {"*": sink.hop})
    r.state.mkdir(mode=0o700)
    done = r.verb("run", check=False)
    assert done.returncode == 78
    assert f"user daemon cannot write to {r.state}" in done.stderr.decode()


@as_root
def test_check_tells_root_what_the_user_cannot_read(folder, sink):
    secret = folder / "secret"
    secret.write_text("0123456789\n")
    secret.chmod(0o600)
    r = Service(folder, {"*": sink.hop}, top=f'srs-secret-file = "{secret}"\n')
    done = r.verb("check")
    assert f"user daemon cannot read {secret}" in done.stderr.decode()
    os.chown(secret, account().pw_uid, -1)
    assert not r.verb("check").stderr


@as_root
def test_root_that_stays_root_is_told_so(tmp_path, sink):
    try:
        pwd.getpwnam("waypost")
        pytest.skip("there is an account waypost here")
    except KeyError:
        pass
    with Relay(tmp_path, {"*": sink.hop}, top="sandbox = false") as r:
        r.wait_log("running as root: make an account")
        r.wait_log("sandbox = false")
        assert status(r)["Seccomp"] == "0"


# -------------------------------------------------------------------- sandbox ----

@pytest.mark.skipif("sandbox" in AS_STARTED, reason="built to run without the sandbox")
def test_a_reload_that_needs_other_files_needs_a_restart(tmp_path, sink):
    other = tmp_path / "other"
    other.mkdir()
    (other / "table").write_text("a.test\n")
    (other / "secret").write_text("0123456789\n")
    relay = Relay(tmp_path / "relay", {"*": sink.hop})
    with relay as r:
        for top, said in (
                (f'srs-secret-file = "{other}/secret"',
                 f"{other}/secret can be read only after a restart"),
                (f'include = "{other}/secret"', "was not named when the relay"),
                (f'log {{ file = "{other}/log" }}',
                 f"{other}/log can be written only after a restart")):
            r.top = top
            r.write_config()
            before = r.log().count("not reloaded")
            r.reload()
            wait_for(lambda: r.log().count("not reloaded") > before)
            assert said in r.log()
        r.top = ""
        mail(r)
    relay.top = f'srs-secret-file = "{other}/secret"'
    relay.routes = {"*": sink.hop}
    relay.write_config()
    with relay as r:
        mail(r)


# ------------------------------------------------------------------------ log ----

def test_the_log_file_is_opened_again(tmp_path, sink):
    log = tmp_path / "log" / "waypost.log"
    log.parent.mkdir()
    with Relay(tmp_path / "relay", {"*": sink.hop},
               top=f'log {{ file = "{log}" }}') as r:
        wait_for(lambda: "is ready" in log.read_text())
        assert stat.S_IMODE(log.stat().st_mode) == 0o640
        log.rename(log.with_suffix(".1"))
        r.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: log.exists() and "opened again" in log.read_text())
        mail(r)
        wait_for(lambda: "status=sent" in log.read_text())
        assert "status=sent" not in log.with_suffix(".1").read_text()
        # the other way: cut off in place
        os.truncate(log, 0)
        mail(r)
        wait_for(lambda: "status=sent" in log.read_text())
        assert b"\0" not in log.read_bytes()
        # without its folder it goes on
        shutil.rmtree(log.parent)
        r.process.send_signal(signal.SIGUSR1)
        before = len(sink.messages)
        mail(r)
        wait_for(lambda: len(sink.messages) > before)


def test_a_queue_without_room_is_told_of(tmp_path, sink):
    """In the log, in top and in selftest: no mail is taken."""
    with Relay(tmp_path / "r", {"*": sink.hop}, queue={"reserve": '"900TB"'}) as r:
        r.wait_log(r"warning: the disk of the queue is full: \S+ free, under the reserve "
                   r"of 900T; no mail is taken \(452\)")
        with r.client() as c:
            assert c.command("MAIL FROM:<a@b.test>").code == 452
        page = r.verb("top", "--once").stdout.decode().splitlines()
        assert page[2].startswith("! the disk is full: "), page[:4]


def test_a_reload_moves_the_log(tmp_path, sink):
    """From standard error into a file, into another, into none that can be, and back."""
    one, two = tmp_path / "relay" / "one.log", tmp_path / "relay" / "two.log"
    with Relay(tmp_path / "relay", {"*": sink.hop}) as r:
        def log_in(path):
            r.top = f'log {{ file = "{path}" }}' if path else ""
            r.write_config()
            r.reload()
        for path, before in ((one, r.log_path), (two, one)):
            log_in(path)
            wait_for(lambda path=path: path.exists() and "reloaded" in path.read_text())
            sent = before.read_text().count("status=sent")
            mail(r)
            wait_for(lambda path=path: "status=sent" in path.read_text())
            assert before.read_text().count("status=sent") == sent
        log_in("/proc/none/log")
        wait_for(lambda: "after a restart" in two.read_text() or
                 "the log cannot be written to /proc/none/log" in two.read_text())
        log_in(None)
        r.wait_log("configuration reloaded")
        mail(r)
        r.wait_log("status=sent")
        assert two.read_text().count("status=sent") == 1


def test_a_full_disk_costs_lines_and_no_mail(tmp_path, sink):
    with Relay(tmp_path, {"*": sink.hop}, top='log { file = "/dev/full" }') as r:
        mail(r)
        wait_for(lambda: sink.messages)


def test_sigusr2_tells_its_state(tmp_path):
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:%d" % free_port()}) as r:
        mail(r)
        r.wait_log("rests for")
        r.process.send_signal(signal.SIGUSR2)
        r.wait_log("state: end")
        lines = re.findall("state: (.*)", r.log())
        for wanted in ("Waypost .* up for", "sandbox: ", "memory [1-9]",
                       "[1-9][0-9]* descriptors", "main loop: ", "worker 0: ",
                       "listener test: [01] sessions, [1-9]", "queue: ",
                       "destination .*1 waiting.*connection refused"):
            assert any(re.search(wanted, line) for line in lines), (wanted, lines)
        assert len(lines) < 60


# -------------------------------------------------------------------- systemd ----

class Manager:
    """The service manager's end of sd_notify(3)."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o777)

    def wait(self, wanted, seconds=60):
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            if wanted in self.socket.recv(4096).decode():
                return


def test_the_manager_is_told(tmp_path, sink):
    manager = Manager(tmp_path)
    with Relay(tmp_path / "relay", {"*": sink.hop},
               env={"NOTIFY_SOCKET": str(manager.path),
                    "WATCHDOG_USEC": "400000"}) as r:
        manager.wait("READY=1")
        manager.wait("WATCHDOG=1")
        manager.wait("WATCHDOG=1")
        r.reload()
        manager.wait("RELOADING=1")
        manager.wait("READY=1")
        r.top = "nonsense = 1"
        r.write_config()
        r.reload()
        manager.wait("STATUS=the configuration was not reloaded, the old one is in use: "
                     f"{r.config}:3:1: ")
        manager.wait("READY=1")
        r.top = ""
        r.write_config()
        r.reload()
        manager.wait("STATUS=\n")
        r.process.terminate()
        manager.wait("STOPPING=1")


def test_the_journal_is_told_what_is_a_warning(tmp_path, sink):
    """Standard error leads to it when it is what JOURNAL_STREAM names."""
    if pathlib.Path("/dev/log").exists():
        pytest.skip("this machine's own journal would get the lines")
    relay = Relay(tmp_path / "relay", {"*": sink.hop}, top="sandbox = false")
    relay.log_path.touch()
    it = relay.log_path.stat()
    relay.env = {"JOURNAL_STREAM": f"{it.st_dev}:{it.st_ino}"}
    with relay as r:
        r.wait_log("is ready")
        lines = r.log().splitlines()
        assert [n for n in lines if re.match(r"<4>waypost/qmgr\[\d+\]: warning: .*sandbox", n)]
        assert [n for n in lines if re.match(r"waypost/qmgr\[\d+\]: .* is ready", n)]


def may_mount():
    done = subprocess.run(["unshare", "-m", "mount", "--bind", "/dev/null", "/dev/zero"],
                          capture_output=True)
    return done.returncode == 0


def test_the_journal_names_each_line_once(tmp_path, sink):
    """It listens to syslog(3), and would put its name for us in front of standard error's."""
    if os.geteuid() != 0 or not may_mount():
        pytest.skip("a /dev/log of its own needs root")
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(tmp_path / "log"))
    dev = tmp_path / "dev"
    dev.mkdir()
    for name in ("null", "zero", "full", "random", "urandom", "log"):
        (dev / name).touch()
    relay = Relay(tmp_path / "relay", {"*": sink.hop})
    with relay as r:
        r.stop()
        relay.log_path.touch()
        it = relay.log_path.stat()
        script = (f"for d in null zero full random urandom; do mount --bind /dev/$d {dev}/$d; done;"
                  f" mount --bind {tmp_path}/log {dev}/log; mount --rbind {dev} /dev;"
                  f' exec "$@" 2>>{relay.log_path}')
        with subprocess.Popen(
                ["unshare", "-m", "sh", "-ec", script, "sh", program(), "run", "-c", r.config],
                env={**os.environ, "JOURNAL_STREAM": f"{it.st_dev}:{it.st_ino}"}) as p:
            size = it.st_size
            log.settimeout(30)
            line = b""
            try:
                while b"is ready" not in line:
                    line = log.recv(65536)
                assert re.match(rb"<22>\w+ +\d+ [0-9:]+ waypost/qmgr\[\d+\]: started, ", line)
                assert relay.log_path.stat().st_size == size
            finally:
                log.close()
                p.terminate()


@pytest.fixture
def unit(tmp_path):
    """The units as they are installed, for a program that there is."""
    text = (SYSTEMD / "waypost.service.in").read_text()
    text = text.replace("@bindir@/waypost", str(program()))
    (tmp_path / "waypost.service").write_text(text.replace("@sysconfdir@", "/etc"))
    shutil.copy(SYSTEMD / "waypost.socket", tmp_path)
    return tmp_path / "waypost.service"


@has_systemd
def test_the_units_are_good(unit):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit,
                           unit.with_suffix(".socket")],
                          capture_output=True, text=True)
    assert done.returncode == 0 and "waypost" not in done.stderr, done.stderr


@has_systemd
def test_the_unit_shuts_the_relay_in(unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true",
                           "--threshold=16", unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@has_systemd
@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace here")
def test_the_unit_lets_all_calls_through_that_the_relay_makes(unit, tmp_path, sink):
    groups, allowed = {}, set()
    listing = subprocess.run(["systemd-analyze", "syscall-filter"],
                             capture_output=True, text=True).stdout
    for line in listing.splitlines():
        if line.startswith("@"):
            name = line.strip()
            groups[name] = set()
        elif line.strip() and not line.strip().startswith("#") and groups:
            groups[name].add(line.strip())

    def calls(word):
        if not word.startswith("@"):
            return {word}
        return set().union(*map(calls, groups[word]))
    for words in re.findall("^SystemCallFilter=(.*)", unit.read_text(), re.M):
        named = set().union(*map(calls, words.lstrip("~").split()))
        allowed = allowed - named if words.startswith("~") else allowed | named
    trace = tmp_path / "trace"
    r = Relay(tmp_path / "relay", {"*": sink.hop})
    # who is traced cannot look for leaks
    asan = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    p = subprocess.Popen(["strace", "-f", "-qq", "-o", trace, program(), "run",
                          "-c", r.config], stderr=subprocess.DEVNULL,
                         env={**os.environ, "ASAN_OPTIONS": asan})
    r.process = p
    try:
        wait_for_port(r.port, p, 30)
        mail(r)
        wait_for(lambda: sink.messages)
    finally:
        children = pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children")
        os.kill(int(children.read_text().split()[0]), signal.SIGTERM)
        p.wait(30)
    made = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.M))
    # who starts it does these, or it does without: files that root gives away, threads that
    # would rather be slow
    done_without = {"execve", "arch_prctl", "rseq", "set_robust_list", "fchown",
                    "setpriority"}
    assert len(made) > 40
    assert not made - allowed - done_without, made - allowed
