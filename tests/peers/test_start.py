"""A start that fails says in one sentence what is wrong, by its name, and what to do, and
ends with the code that tells a service manager whether it helps to start again.

Each row breaks one thing on a machine that is otherwise well.
"""

import ctypes
import os
import pathlib
import shutil
import socket
import subprocess

import pytest

from relay import AS_STARTED, free_port, low_port, program

NOBODY = 65534
TEMPFAIL, NOPERM, CONFIG = 75, 77, 78
CLONE_NEWNS, MS_REC_PRIVATE = 0x20000, 0x4000 | 0x40000


class Machine:
    """A folder, and what its configuration says until a row changes it."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.queue, self.socket = folder / "state/queue.db", folder / "state/admin.sock"
        self.top, self.mounts, self.is_nobody, self.kept = AS_STARTED, [], False, []
        (folder / "state").mkdir()

    def nobody(self):
        """Not root, who may everything, if it is root who runs the tests."""
        self.is_nobody = os.geteuid() == 0
        if self.is_nobody:
            os.chown(self.folder / "state", NOBODY, NOBODY)

    def secret(self, name):
        """A file that only root can read; nobody at all, where we are not root."""
        path = self.folder / name
        path.write_text("")
        path.chmod(0)
        return path

    def shut(self, name):
        path = self.folder / name
        path.mkdir()
        path.chmod(0o555)
        return path

    def as_the_relay(self):
        libc = ctypes.CDLL(None, use_errno=True)
        for place in self.mounts:
            if (libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None)
                    or libc.mount(b"none", str(place).encode(), b"tmpfs", 0, b"size=48k")):
                raise OSError(ctypes.get_errno(), "mount")
        if self.is_nobody:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)

    def popen(self):
        config = self.folder / "waypost.conf"
        config.write_text(f'hostname = "relay.test"\n{self.top}\n'
                          f'queue {{ path = "{self.queue}" reserve = "1MB" }}\n'
                          f'admin {{ socket = "{self.socket}" }}\n'
                          f'listener "in" {{ address = "{self.address}" }}\n')
        exe = program()
        if self.is_nobody:  # the build may be in a folder of root's
            exe = shutil.copy(exe, self.folder / "waypost")
        return subprocess.Popen([exe, "run", "-c", config], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                cwd="/", preexec_fn=self.as_the_relay)

    def until(self, word):
        """A relay that runs: what it has said until it said this word."""
        process = self.popen()
        self.kept.append(process)
        said = []
        for line in process.stderr:
            said.append(line)
            if word in line:
                return process, "".join(said)
        raise AssertionError("".join(said))


# ---------------------------------------------------------- what is broken ----

def not_ours(m):
    m.address = "192.0.2.7:2525"


def in_use(m):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    m.kept.append(s)
    m.address = f"127.0.0.1:{s.getsockname()[1]}"


def low(m):
    m.nobody()
    m.address = "127.0.0.1:1"


def low_in_use(m):
    """Root opens it, or tries to, before it becomes another."""
    s, port = socket.socket(), low_port()
    s.bind(("127.0.0.1", port))
    s.listen()
    m.kept.append(s)
    m.top = m.top.replace('"root"', '"nobody"')
    os.chown(m.folder / "state", NOBODY, -1)
    m.address = f"127.0.0.1:{port}"


def no_socket_folder(m):
    m.nobody()
    m.socket = m.folder / "none/admin.sock"


def socket_is_a_file(m):
    m.socket = m.folder / "state/file"
    m.socket.write_text("")


def shut_socket_folder(m):
    m.nobody()
    m.socket = m.shut("shut") / "admin.sock"


def queue_folder_is_a_file(m):
    (m.folder / "file").write_text("")
    m.queue = m.folder / "file/queue.db"


def no_queue_folder(m):
    m.nobody()
    m.queue = m.shut("shut") / "new/queue.db"


def shut_queue_folder(m):
    m.nobody()
    m.queue = m.shut("shut") / "queue.db"


def queue_of_another(m):
    m.nobody()
    m.queue = m.folder / "state/other.db"
    m.secret("state/other.db")


def queue_is_a_folder(m):
    m.queue = m.folder / "state/queue"
    m.queue.mkdir()


def queue_is_another_file(m):
    m.queue.write_text("a letter to mother")


def full_disk(m):
    (m.folder / "full").mkdir()
    m.mounts = [m.folder / "full"]
    m.queue = m.folder / "full/queue.db"


def another_relay(m):
    first, _ = m.until("is ready")
    m.pid = first.pid
    m.address = f"127.0.0.1:{free_port()}"


def no_certificate(m):
    m.top += f'\ntls {{ certificate = "{m.folder}/tls.pem" key = "{m.folder}/tls.key" }}'


def unreadable_certificate(m):
    m.nobody()
    path = m.secret("tls.pem")
    m.top += f'\ntls {{ certificate = "{path}" key = "{path}" }}'


def syslog_has_it(m):
    """Who has started it by hand is told as well."""
    m.top += '\nlog { syslog = true }'
    socket_is_a_file(m)


def unknown_account(m):
    m.top = 'user = "nobody-of-this-name"'


# what is broken: exit code, what it is called, what to do
ROWS = [
    (not_ours, TEMPFAIL, "waypost.conf:{line}:1: cannot listen on 192.0.2.7:2525: ",
     "give it to one, or name another"),
    (in_use, TEMPFAIL, "cannot listen on 127.0.0.1:", "stop it, or name another port"),
    (low, NOPERM, "cannot listen on 127.0.0.1:1: ", "start it so, or name a higher port"),
    (low_in_use, TEMPFAIL, "Address already in use", "stop it, or name another port"),
    (no_socket_folder, CONFIG, "{folder}/none/admin.sock: ", "make it, or name another path"),
    (socket_is_a_file, CONFIG, "{folder}/state/file: ", "move it away, or name another path"),
    (shut_socket_folder, NOPERM, "{folder}/shut/admin.sock: ", "write there (chown, chmod)"),
    (queue_folder_is_a_file, CONFIG, "{folder}/file/queue.db", "move that away"),
    (no_queue_folder, NOPERM, "{folder}/shut/new/queue.db", "write there (chown, chmod)"),
    (shut_queue_folder, NOPERM, "{folder}/shut/queue.db", "write there (chown, chmod)"),
    (queue_of_another, NOPERM, "{folder}/state/other.db", "write there (chown, chmod)"),
    (queue_is_a_folder, CONFIG, "{folder}/state/queue is", "name another path"),
    (queue_is_another_file, CONFIG, "{folder}/state/queue.db is", "name another file"),
    (full_disk, TEMPFAIL, "{folder}/full/queue.db", "make room"),
    (another_relay, TEMPFAIL, "(pid {pid}) is using this queue, {folder}/state/queue.db: ",
     "stop it, or name another path"),
    (no_certificate, CONFIG, "{folder}/tls.pem: ", "put it there, or name another path"),
    (unreadable_certificate, CONFIG, "{folder}/tls.pem: ", "read it (chown, chmod)"),
    (syslog_has_it, CONFIG, "{folder}/state/file: ", "move it away, or name another path"),
    (unknown_account, CONFIG, "nobody-of-this-name", ""),
]
ONLY_ROOT = {low_in_use, full_disk, unknown_account}


@pytest.fixture
def machine(tmp_path_factory):
    path = tmp_path_factory.mktemp("start")
    for up in [path, *path.parents]:  # others can get to it, as to /var
        if up.stat().st_uid == os.getuid() and up != pathlib.Path("/"):
            up.chmod(up.stat().st_mode | 0o711)
    path.chmod(0o755)
    m = Machine(path)
    yield m
    for one in m.kept:
        if isinstance(one, subprocess.Popen):
            one.terminate()
            one.communicate(timeout=30)
        else:
            one.close()


@pytest.mark.parametrize("broken, code, name, to_do", ROWS, ids=lambda x: getattr(
    x, "__name__", ""))
def test_what_is_broken_is_named_with_what_to_do(machine, broken, code, name, to_do):
    if broken in ONLY_ROOT and os.geteuid() != 0:
        pytest.skip("only root can break it")
    broken(machine)
    try:
        process = machine.popen()
    except subprocess.SubprocessError:
        if machine.mounts:
            pytest.skip("nothing can be mounted here")
        raise
    _, said = process.communicate(timeout=60)
    wrong = [x for x in said.splitlines() if "fatal: " in x]
    assert process.returncode == code, said
    # the certificate's file and its key's: a line each
    assert 1 <= len(wrong) <= (2 if "certificate" in broken.__name__ else 1), said
    name = name.format(folder=machine.folder, pid=getattr(machine, "pid", 0),
                       line=5 + machine.top.count("\n"))
    assert name in wrong[0] and to_do in wrong[0], said
    assert "(null)" not in said and "SQLite" not in wrong[0]


@pytest.mark.parametrize("path, to_do", [
    ("none/x.log", "make it"), ("state", "it is a folder"), ("shut/x.log", "chown, chmod")])
def test_mail_goes_on_without_a_log_and_says_so_where_it_was_started(machine, path, to_do):
    """Its lines go where this one went."""
    machine.nobody()
    machine.shut("shut")
    machine.top += f'\nlog {{ file = "{machine.folder}/{path}" }}'
    process, said = machine.until("is ready")
    wrong = [x for x in said.splitlines() if "the log cannot be written" in x]
    assert len(wrong) == 1 and "warning: " in wrong[0], said
    assert f"{machine.folder}/{path}: " in wrong[0] and to_do in wrong[0], said
    assert process.poll() is None
