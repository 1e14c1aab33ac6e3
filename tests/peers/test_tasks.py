"""Tasks of an administrator, at night, on a relay where much goes wrong at once.

The commands are those of README's table, run by a shell as they stand there: at most two for
each. What they did is then looked for in the store, at the next hops, and in what was said.
"""

import json
import os
import re
import shlex
import sqlite3
import ssl
import subprocess
import threading
import time

import pytest

from papers import README, section
from pki import Authority
from relay import SANITIZED, Relay, Sink, free_port, program, wait_for

MANY = 2000 if SANITIZED else 10000
DAY_MS = 86400 * 1000
TUESDAY = time.mktime((2026, 11, 17, 8, 30, 0, 0, 0, -1)) * 1000


def commands_of_the_readme():
    """[(task, [commands])] of the table, as written."""
    text = section(README, "Tasks of a night")
    rows = re.findall(r"^\| (.+?) \| (`.+`) \|$", text, re.M)
    return [(task, [c.replace("\\|", "|") for c in re.findall("`([^`]+)`", cell)])
            for task, cell in rows]


RULES = '''
rule "bad neighbours" { from = {"spam.example"}  action = reject
                        reply = "554 5.7.1 We do not take mail of %{sender}" }
rule "look at these"  { from = {'/^invoice[0-9]+@/'}  action = hold }
rule "who logged in"  { login = {"*"}  action = relay }
rule "our machines"   { client = {"127.0.0.1"}  action = relay }
'''
NEW_RULE = 'rule "no more" { from = {"newsletter.example"}  action = reject }\n'


class Mess:
    """relay: the relay; hops: {name in README: what it is here}."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = Authority(folder / "pki")
        self.old = self.authority.issue("old.relay.test", "127.0.0.1")
        self.expired = self.authority.issue("mx.example.org", "127.0.0.1",
                                            begins=-90, ends=-1)
        self.install(self.old)
        (folder / "users").touch(mode=0o600)
        self.good = Sink(self.refuses_gone)
        self.busy = Sink({"rcpt": b"450 4.2.0 Mailbox busy\r\n"})
        self.branch, self.backup = Sink(), Sink()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.expired.path, self.expired.key)
        self.stuck = Sink(tls=context)
        self.dead = f"smtp://127.0.0.1:{free_port()}"
        self.http = free_port()
        self.names = {
            "smtp://smarthost.example:25": self.dead,
            "smtp://mx.bank.example:25": self.busy.hop,
            "127.0.0.1:8025": f"127.0.0.1:{self.http}",
        }
        self.relay = self.make_relay()

    def install(self, certificate):
        """As certbot's deploy hook does it."""
        for source, name in ((certificate.key, "key"), (certificate.path, "pem")):
            path = self.folder / f"cert.{name}"
            path.touch(mode=0o600)
            path.write_bytes(source.read_bytes())

    @staticmethod
    def refuses_gone(_, stage, argument):
        if stage == "rcpt" and b"gone" in argument:
            return b"550 5.1.1 no such user\r\n"
        return None

    def make_relay(self):
        f = self.folder
        return Relay(
            f / "relay",
            {"*": {"via": self.dead},
             "example.net": {"via": self.good.hop},
             "bad.example": {"via": self.busy.hop},
             "bank.example": {"via": self.busy.hop},
             "example.org": {"via": self.stuck.hop, "tls": "verify"},
             "backup": {"to": '{"only.backup.example"}', "via": self.backup.hop}},
            rules=RULES, retry={"first": '"10min"', "most": '"1h"'},
            queue={"history": '"3650d"'},
            admin={"http": f'"127.0.0.1:{self.http}"'},
            extra='route "branch.example" { via = {"pickup:branch"}\n'
                  f'    offline {{ deliver-to = "{self.branch.hop}" }} }}\n',
            listener="tls = optional  auth = optional  auth-without-tls = true",
            top=f'users {{ file = "{f}/users" }}\n'
                f'tls {{ certificate = "{f}/cert.pem"  key = "{f}/cert.key"'
                f'  authorities = "{self.authority.path}" }}\n')

    # ---------------------------------------------------------- the mess ----

    def send(self, sender, *to, login=None, subject="Hello"):
        with self.relay.client() as c:
            if login:
                assert c.login(login, "secret").code == 235
            return c.mail(f"Subject: {subject}\r\n\r\nWhat is said.\r\n".encode(), sender, to)

    def refused(self, sender, to):
        with self.relay.client() as c:
            return c.codes(f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>")

    def send_many(self, count):
        """BDAT, many in one flight."""
        body = b"Subject: many\r\n\r\nOne of many.\r\n"

        def some(first, last):
            with self.relay.client(timeout=60) as c:
                for at in range(first, last, 100):
                    flight = range(at, min(at + 100, last))
                    c.send(b"".join(
                        b"MAIL FROM:<shop%d@shop.example>\r\nRCPT TO:<c%d@customer%d.example>\r\n"
                        b"BDAT %d LAST\r\n%s" % (i % 7, i, i % 50, len(body), body)
                        for i in flight))
                    for _ in flight:
                        assert [c.reply().code for _ in range(3)] == [250] * 3
        threads = [threading.Thread(target=some, args=(count * i // 4, count * (i + 1) // 4))
                   for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def make(self):
        r = self.relay
        for login in ("joe", "printer-3"):
            subprocess.run([program(), "user", "add", login, "-c", r.config],
                           input=b"secret\n", check=True, capture_output=True)
        r.start()
        # last Tuesday, as it will be when history and queue are older
        self.send("ann@example.com", "bob@example.net")
        self.send("ann@example.com", "gone@example.net")
        for i in range(4):
            self.send("news@newsletter.example", f"old{i}@bad.example")
        wait_for(lambda: self.count("v_history", "what IN ('delivered', 'failed')",
                                    "history.db") == 2, 20, "what was")
        wait_for(lambda: len(r.queue_list("--state", "deferred")) >= 4, 20, "deferrals")
        r.stop()
        self.age()
        r.start()
        self.dead_ones = threading.Thread(target=self.send_many, args=(MANY,))
        self.dead_ones.start()
        for i in range(12):
            self.send(f"joe{i}@example.com", f"u{i}@victim.example" if i % 3 else
                      f"u{i}@bank.example", login="joe", subject="Cheap watches")
        self.send("scan@example.com", "ann@bank.example", login="printer-3")
        self.send("new@example.com", "new@bad.example")
        self.send("ann@example.com", "joe@example.org", subject="To the stuck one")
        self.send("ann@example.com", "shop@branch.example")
        self.send("boss@example.com", "till@branch.example")
        self.send("invoice7@elsewhere.example", "bob@example.net")
        for i in range(3):
            assert self.refused(f"x{i}@spam.example", "bob@example.net")[0] == 554
        self.dead_ones.join()
        wait_for(lambda: self.count("v_history", "what = 'refused'", "history.db") >= 3, 20,
                 "refusals")
        (r.folder / "new.conf").write_text(r.config.read_text().replace(
            'rule "bad', NEW_RULE + 'rule "bad'))
        return self

    def age(self):
        """What was is a few days old; the queue's part too."""
        with sqlite3.connect(self.relay.folder / "history.db") as db:
            db.execute("UPDATE history SET at_ms=?, received_ms=?", (TUESDAY, TUESDAY))
        with sqlite3.connect(self.relay.queue_path) as db:
            db.execute("UPDATE message SET received_ms=received_ms-?", (3 * DAY_MS,))

    # ------------------------------------------------------ what is looked at

    def count(self, table, where="1", file="queue.db"):
        path = self.relay.folder / file
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return db.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]

    def states(self, *filters):
        return sorted({m["state"] for m in self.relay.queue_list(*filters)})

    def shell(self, command):
        """A line of README, as a person types it."""
        for name, here in self.names.items():
            command = command.replace(name, here)
        bin_ = self.folder / "bin"
        bin_.mkdir(exist_ok=True)
        if not (bin_ / "waypost").exists():
            (bin_ / "waypost").symlink_to(program())
        return subprocess.run(
            ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=120,
            cwd=self.relay.folder,
            env={**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}",
                 "WAYPOST_CONFIG": str(self.relay.config), "NO_COLOR": "1"})

    def close(self):
        self.relay.stop()
        for s in (self.good, self.busy, self.branch, self.backup, self.stuck):
            s.close()


@pytest.fixture(scope="module")
def mess(tmp_path_factory):
    m = Mess(tmp_path_factory.mktemp("tasks"))
    try:
        yield m.make()
    finally:
        m.close()


TASKS = commands_of_the_readme()


def task(beginning):
    found = [c for t, c in TASKS if t.startswith(beginning)]
    assert len(found) == 1, beginning
    return found[0]


def run(mess, commands, **names):
    """Runs them; what each said. All must go well."""
    said = []
    for c in commands:
        for name, here in names.items():
            c = c.replace(name, here)
        out = mess.shell(c)
        assert out.returncode == 0 and not out.stderr, (c, out)
        said.append(out.stdout)
    return said


def test_each_task_takes_at_most_two_commands():
    assert len(TASKS) >= 15
    assert all(1 <= len(commands) <= 2 for _, commands in TASKS)


def test_mail_of_a_stolen_account_is_found_and_held(mess):
    found, held = run(mess, task("Joe's password"))
    assert re.search(r"^ +8 +8 .* victim\.example$", found, re.M)
    assert re.search(r"^ +4 +4 .* bank\.example$", found, re.M)
    assert held.startswith("12 messages")
    assert mess.states("--login", "joe") == ["held"]
    assert mess.states("--login", "printer-3") == ["deferred"]


def test_a_part_of_it_is_deleted_and_brought_back(mess):
    delete, undelete = task("Delete his mail")
    assert run(mess, [delete])[0].startswith("8 messages")
    assert len(mess.relay.queue_list("--login", "joe")) == 4
    assert run(mess, [undelete])[0].startswith("8 messages")
    assert len(mess.relay.queue_list("--login", "joe")) == 12
    assert mess.states("--login", "joe") == ["held"], "it is not let go by that"


def test_a_dead_smarthost_is_left(mess):
    preview, change = task("The smarthost")
    dead = mess.count("recipient r JOIN lane l ON l.id=r.lane", "l.key NOT LIKE '%example.org%'")
    assert dead > MANY
    said = run(mess, [preview])[0]
    assert f"{MANY} messages" in said or re.search(rf"^{MANY + 9}|^{MANY + 1}", said, re.M)
    assert "Nothing was changed" in said
    run(mess, [change])
    mess.backup.wait(MANY, 60)
    wait_for(lambda: mess.count("message", "sender LIKE '%@shop.example'") == 0, 10,
             "their removal")
    wait_for(lambda: mess.count(
        "v_history", "what='delivered' AND sender LIKE '%@shop.example'",
        "history.db") == MANY, 20, "their history")
    assert mess.states("--login", "joe") == ["held"], "what is held stays so"


def test_what_became_of_mail_last_tuesday(mess):
    said, = run(mess, task("What became"))
    assert len(said.splitlines()) == 1
    assert "2026-11-17 08:30:00  delivered" in said and "250 2.0.0 taken" in said


def test_why_a_domain_is_stuck(mess):
    command, = task("Why is mail to")
    out = mess.shell(command)
    assert out.returncode == 75
    assert "certificate has expired" in out.stdout.splitlines()[-1]
    assert "the other side has to renew it" in out.stdout


def test_what_new_rules_would_have_done(mess):
    said, = run(mess, task("What would the new rules"))
    assert re.search(r'^ +4  rule "no more" \(new\.conf:\d+\)', said, re.M)
    assert "<news@newsletter.example> to <old0@bad.example>" in said


def test_why_a_client_was_refused(mess):
    was, would_be = run(mess, task("Why was this client"))
    assert len(re.findall(r'x\d@spam\.example  from 127\.0\.0\.1  rule "bad neighbours" '
                          r"waypost\.conf:\d+", was)) == 3
    assert 'REJECTED at MAIL by rule "bad neighbours"' in would_be


def test_what_fills_the_queue(mess):
    who, where = run(mess, task("What fills"))
    assert who.splitlines()[0].split() == ["MESSAGES", "RECIPIENTS", "BYTES", "FROM"]
    assert re.search(r"^ +4 +4 .* news@newsletter\.example$", who, re.M)
    assert re.search(r"^ +victim\.example +8 ", where, re.M)
    assert re.search(r"^ +TOTAL +\d+ ", where, re.M)


def test_old_mail_is_given_up_with_a_reason(mess):
    said, = run(mess, task("Give up mail"))
    assert said.startswith("4 messages")
    wait_for(lambda: [m["sender"] for m in mess.relay.queue_list("--domain", "bad.example")]
             == ["new@example.com"], 10, "the return of old mail only")
    reports = mess.relay.queue_list("--to", "news@newsletter.example")
    assert len(reports) == 4
    content = mess.shell(f"waypost queue cat {reports[0]['queue_id']}").stdout
    assert "bad.example has closed its mailboxes" in content


def test_a_destination_is_suspended_and_resumed(mess):
    suspend, resume = task("Send nothing")
    before = len(mess.busy.stages)
    run(mess, [suspend])
    said = mess.shell(f"waypost dest list {shlex.quote(mess.busy.hop)}").stdout
    assert "suspended" in said and "they move, ticket 4711" in said
    assert re.search(r"\b(60min|1h|59min)\b", said)
    mess.shell("waypost queue retry --domain bank.example --yes")
    time.sleep(0.3)
    assert len(mess.busy.stages) == before
    run(mess, [resume])
    wait_for(lambda: len(mess.busy.stages) > before, 10, "an attempt")


def test_mail_of_a_branch_is_let_go(mess):
    seen, _ = run(mess, task("When was the branch"))
    assert re.search(r"^pickup:branch +offline +never .* 2 ", seen, re.M)
    mess.branch.wait(2)
    wait_for(lambda: mess.count("message", "sender='boss@example.com'") == 0, 10,
             "an empty lane")


def test_is_the_relay_well(mess):
    selftest, top = task("Is the relay well")
    said = mess.shell(selftest)
    assert said.stdout.strip(), said
    assert re.search("destinations? down", run(mess, [top])[0])


def test_a_backup_is_made_and_found_good(mess):
    waiting = json.loads(mess.shell("waypost queue count --json").stdout)["messages"]
    _, good = run(mess, task("Back the queue up"))
    assert re.search(rf"^queue\.backup: {waiting} messages for \d+ recipients could be restored$",
                     good, re.M), good
    assert mess.relay.is_alive
    assert not list(mess.relay.folder.glob("queue.db.check*"))
    path = mess.relay.folder / "queue.backup"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    out = mess.shell("waypost restore --check queue.backup")
    assert out.returncode == 65 and out.stderr


def test_a_message_is_read_with_its_story(mess):
    name = mess.relay.queue_list("--login", "printer-3")[0]["queue_id"]
    story, content = run(mess, task("What does this message"), **{"0CR6TYHDAYER0": name})
    assert "login     printer-3" in story and "450 4.2.0 Mailbox busy" in story
    assert "\\x09" not in story
    assert content.startswith("Received:") and "What is said." in content


def test_a_certificate_and_a_password_are_renewed(mess):
    new = mess.authority.issue("new.relay.test", "127.0.0.1")
    for source, name in ((new.key, "key"), (new.path, "pem")):
        (mess.folder / f"new.{name}").write_bytes(source.read_bytes())
    renew, password = task("A new certificate")
    pid = mess.relay.process.pid
    renew = renew.replace("/etc/waypost", str(mess.folder))
    assert subprocess.run(["/bin/sh", "-c", renew.replace("systemctl reload waypost",
                                                          f"kill -HUP {pid}")],
                          cwd=mess.folder).returncode == 0
    run(mess, [password])

    def shown():
        context = ssl.create_default_context(cafile=mess.authority.path)
        context.check_hostname = False
        with mess.relay.client() as c:
            c.starttls(context, "new.relay.test")
            names = c.socket.getpeercert()["subjectAltName"]
            return ("DNS", "new.relay.test") in names
    wait_for(shown, 10, "the new certificate")
    with mess.relay.client() as c:
        assert c.login("printer-3", "secret").code == 535
    with mess.relay.client() as c:
        assert c.login("printer-3", "new-secret").code == 235
    assert mess.relay.is_alive and mess.relay.process.pid == pid


def test_monitoring_gets_a_token_that_reads(mess):
    said = run(mess, task("Let Prometheus"))[-1]
    assert re.search(r'^waypost_deliveries_total\{status="sent"\} \d+$', said, re.M)
    token = (mess.relay.folder / "token").read_text().strip()
    out = mess.shell(f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Authorization: Bearer {token}'"
                     " -H 'Content-Type: application/json' -d '{\"yes\": true}'"
                     " http://127.0.0.1:8025/api/v1/queue/hold")
    assert out.stdout == "403"
