"""`waypost user`: who may log in, without a running relay."""

import base64
import os
import pathlib
import pty
import subprocess
import termios
import threading

import pytest

from relay import Relay, program

CONFIG = """
hostname = "relay.example"
queue {{ path = "{folder}/queue.db" }}
{users}
listener "a" {{ address = "127.0.0.1:2525" }}
rule "all" {{ client = {{"127.0.0.0/8"}}  action = relay }}
route "*" {{ via = {{"mx"}} }}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "waypost.conf"
    path.write_text(CONFIG.format(folder=tmp_path, users=(
        f'users {{ file = "{tmp_path}/users"  cram = "{tmp_path}/cram" }}')))
    return path


def b64(text):
    return base64.b64encode(text.encode()).decode()


def user(config, *words, stdin=""):
    """Exit code, standard output, standard error."""
    p = subprocess.run([program(), "user", "-c", config, *words],
                       input=stdin, capture_output=True, text=True, timeout=30)
    return p.returncode, p.stdout, p.stderr


def test_users_are_added_listed_changed_and_deleted(config, tmp_path):
    assert user(config, "list") == (0, "", "")
    assert user(config, "add", "alice", stdin="pencil\n") == (0, "alice: added\n", "")
    assert user(config, "add", "bob@example.org", stdin="grün\r\n")[0] == 0
    assert user(config, "add", "--cram", "alice", stdin="pencil")[0] == 0
    lines = {line.split()[0]: line.split()[1:]
             for line in user(config, "list")[1].splitlines()}
    assert lines == {
        "alice": ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"],
        "bob@example.org": ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "LOGIN"],
    }
    text = (tmp_path / "users").read_text()
    assert "pencil" not in text and "$y$" in text
    assert (tmp_path / "cram").read_text() == "alice:pencil\n"
    for name in ("users", "cram"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert user(config, "add", "alice", stdin="new\n")[1] == "alice: has a new password\n"
    assert (tmp_path / "users").read_text().count("alice:") == 1
    assert (tmp_path / "users").read_text() != text
    assert user(config, "delete", "alice")[0] == 0
    assert (tmp_path / "cram").read_text() == ""
    assert user(config, "delete", "alice") == (
        67, "", 'waypost: there is no user "alice"\n')


@pytest.mark.parametrize("words, stdin, code", [
    ((), "", 64),
    (("frob",), "", 64),
    (("add",), "x\n", 64),
    (("add", "a", "b"), "x\n", 64),
    (("add", "--frob", "a"), "x\n", 64),
    (("add", "a:b"), "x\n", 64),
    (("add", "a b"), "x\n", 64),
    (("list", "a"), "", 64),
    (("add", "a"), "", 65),
    (("add", "a"), "\n", 65),
    (("add", "a"), "x" * 1025 + "\n", 65),
    (("add", "a"), "x\x01y\n", 65),
    (("add", "a"), "x\0y\n", 65),
    (("add", "a"), "x" * 1024 + "\n", 0),
    (("add", "a"), "x\nnot this\n", 0),
])
def test_exit_codes_say_what_was_wrong(config, tmp_path, words, stdin, code):
    got = user(config, *words, stdin=stdin)
    assert got[0] == code, got
    assert (tmp_path / "users").exists() == (code == 0)
    assert code == 0 or got[2].startswith("waypost: ")


def test_without_a_file_to_change_it_is_a_matter_of_configuration(tmp_path):
    path = tmp_path / "waypost.conf"
    path.write_text(CONFIG.format(folder=tmp_path, users=""))
    for words in (("list",), ("add", "a"), ("delete", "a"), ("add", "--cram", "a")):
        code, out, err = user(path, *words, stdin="x\n")
        assert (code, out) == (78, "")
        assert err.count("\n") == 1 and "users { }" in err


def test_a_file_with_a_fault_is_left_as_it_is(config, tmp_path):
    (tmp_path / "users").write_text("alice:secret\n")
    code, _, err = user(config, "add", "bob", stdin="x\n")
    assert code == 78 and f"{tmp_path}/users:1: " in err
    assert (tmp_path / "users").read_text() == "alice:secret\n"


def test_ten_at_once_all_get_in(config):
    threads = [threading.Thread(target=user, args=(config, "add", f"u{i}"),
                                kwargs={"stdin": "x\n"}) for i in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(user(config, "list")[1].splitlines()) == 10


@pytest.mark.parametrize("again, code", [("geheim", 0), ("other", 65)])
def test_a_terminal_is_asked_twice_and_shows_nothing(config, tmp_path, again, code):
    ours, theirs = pty.openpty()
    p = subprocess.Popen([program(), "user", "-c", config, "add", "alice"],
                         stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    for prompt, answer in ((b"Password: ", "geheim"), (b"Again: ", again)):
        while not seen.endswith(prompt):
            seen += os.read(ours, 100)
        while echoes(ours):
            pass
        os.write(ours, answer.encode() + b"\n")
    try:
        while True:
            piece = os.read(ours, 100)
            if not piece:
                break
            seen += piece
    except OSError:     # the other end is closed
        pass
    os.close(ours)
    assert p.wait(30) == code
    assert b"geheim" not in seen and b"other" not in seen
    assert (tmp_path / "users").exists() == (code == 0)


def echoes(fd):
    return termios.tcgetattr(fd)[3] & termios.ECHO


def test_a_running_relay_goes_by_a_change_when_the_verb_ends(tmp_path):
    """No waiting: each answer is asked for at once, and often."""
    users = f'users {{ file = "{tmp_path}/users" }}\n'
    (tmp_path / "users").touch(0o600)
    with Relay(tmp_path, {"*": "smtp://127.0.0.1:1"}, extra=users,
               listener="auth = optional  auth-without-tls = true") as r:
        def logs_in(password):
            with r.client() as c:
                c.send(b"EHLO me\r\n")
                c.reply()
                secret = base64.b64encode(b"\0joe\0" + password.encode())
                c.send(b"AUTH PLAIN " + secret + b"\r\n")
                return c.reply().code

        for n in range(4):
            assert user(r.config, "add", "joe", stdin=f"old{n}\n")[0] == 0
            assert logs_in(f"old{n}") == 235
            assert user(r.config, "add", "joe", stdin=f"new{n}\n")[0] == 0
            assert logs_in(f"old{n}") == 535 and logs_in(f"new{n}") == 235
            assert user(r.config, "delete", "joe")[0] == 0
            assert logs_in(f"new{n}") == 535


@pytest.fixture
def pam_of_the_system():
    """A service that asks nobody but /etc/shadow."""
    if os.geteuid() != 0 or not pathlib.Path("/etc/pam.d").is_dir() or \
            pathlib.Path("/etc/shadow").stat().st_mode & 0o4:
        pytest.skip("a PAM service is made in /etc/pam.d, by root")
    path = pathlib.Path("/etc/pam.d", f"waypost-test-{os.getpid()}")
    try:
        path.write_text("auth required pam_unix.so\naccount required pam_permit.so\n")
        yield path.name
    finally:
        path.unlink(missing_ok=True)


def test_who_cannot_read_the_passwords_says_so(tmp_path, pam_of_the_system):
    for up in [tmp_path, *tmp_path.parents][:-1]:
        if up.stat().st_uid == 0:
            up.chmod(up.stat().st_mode & 0o7777 | 0o711)
    (tmp_path / "relay").mkdir()
    (tmp_path / "relay").chmod(0o777)
    users = f'users {{ pam = "{pam_of_the_system}" }}\n'
    sentence = "PAM cannot read /etc/shadow"
    with Relay(tmp_path / "relay", {"*": "smtp://127.0.0.1:9"},
               top='user = "daemon"\nsandbox = false\n' + users,
               listener="auth = optional  auth-without-tls = true") as r:
        r.wait_log("warning: logins: " + sentence)
        with r.client() as c:
            c.command("EHLO me.test")
            assert c.login("joe", "pencil").code == 454
        r.wait_log(r": PAM cannot read /etc/shadow")
        said = subprocess.run([program(), "selftest", "--no-network", "-c", r.config],
                              capture_output=True, text=True, timeout=60).stdout
        assert "daemon, as whom the relay runs, cannot read /etc/shadow" in said, said
    with Relay(tmp_path / "root", {"*": "smtp://127.0.0.1:9"},
               top=users, listener="auth = optional  auth-without-tls = true") as r:
        with r.client() as c:
            c.command("EHLO me.test")
            assert c.login("joe", "pencil").code == 535
        assert sentence not in r.log()
        said = subprocess.run([program(), "selftest", "--no-network", "-c", r.config],
                              capture_output=True, text=True, timeout=60).stdout
        assert "PAM judges them" in said, said


def test_open_sessions_of_a_stolen_login_end(tmp_path):
    """When it is deleted, or has another password; those of others go on."""
    (tmp_path / "users").touch(0o600)
    with Relay(tmp_path / "r", {"*": "smtp://127.0.0.1:9"},
               top=f'users {{ file = "{tmp_path}/users" }}',
               listener="auth = required  auth-without-tls = true",
               rules='rule "staff" { login = {"*"}  action = relay }') as r:
        for login in ("joe", "ann", "zoe"):
            assert user(r.config, "add", login, stdin="pencil\n")[0] == 0
        with r.client() as joe, r.client() as ann, r.client() as zoe:
            for c, login in ((joe, "joe"), (ann, "ann"), (zoe, "zoe")):
                assert c.login(login, "pencil").code == 235
                assert c.command("MAIL FROM:<x@y.test>").code == 250
            assert user(r.config, "delete", "joe")[0] == 0
            assert user(r.config, "add", "ann", stdin="pen\n")[0] == 0
            for c in (joe, ann):
                said = c.reply()
                assert said.code == 421 and said.text.startswith("4.7.0 ") and c.is_closed()
            assert zoe.command("RCPT TO:<a@b.test>").code == 250
        r.wait_log("a session of joe ends: the login was deleted")
        with r.client() as c:
            assert c.login("ann", "pen").code == 235
            # who writes the same file again ends nobody's session
            (tmp_path / "users").write_text((tmp_path / "users").read_text() + "# again\n")
            assert user(r.config, "add", "eve", stdin="pencil\n")[0] == 0
            with r.client() as zoe:  # in the middle of a login, which goes by the former file
                assert zoe.codes("AUTH LOGIN", b64("zoe")) == [334, 334]
                assert user(r.config, "delete", "zoe")[0] == 0
                assert zoe.command(b64("pencil")).code == 235
                assert zoe.reply().code == 421 and zoe.is_closed()
            assert c.command("MAIL FROM:<x@y.test>").code == 250
