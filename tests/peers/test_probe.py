"""Why is it stuck? A destination is walked to, and each stage told, without any mail."""

import http.client
import json
import signal
import socket
import ssl
import subprocess
import time

import pytest

from nsd import NameServer
from pki import Authority
from relay import (FIN, HANG, Relay, Sink, free_port, program,
                   wait_for)

NOTE = b"Subject: a note\r\n\r\nIt can wait.\r\n"
TEMPFAIL = 75


def probe(r, name, *words):
    """The stages, and the exit code."""
    wait_for((r.folder / "admin.sock").exists)
    done = r.verb("dest", "probe", name, "--json", *words, check=False)
    stages = [json.loads(line) for line in done.stdout.splitlines()]
    assert stages and stages[-1]["stage"] == "end", done
    assert [s["stage"] for s in stages].count("end") == 1
    for s in stages:
        assert s["state"] in ("ok", "warning", "bad", "info") and s["ms"] >= 0
        assert s["text"] and "\n" not in s["text"]
    return stages, done.returncode


def stage(stages, name):
    found = [s for s in stages if s["stage"] == name]
    assert found, (name, [s["stage"] for s in stages])
    return found[-1]


def fails(r, name, *texts, words=()):
    """It does not work; the verdict has these texts."""
    stages, code = probe(r, name, *words)
    last = stages[-1]
    assert code == TEMPFAIL and last["state"] == "bad", last
    for text in texts:
        assert text in last["text"], last
    return stages


def serve(leaf):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(leaf.path, leaf.key)
    return context


def test_a_host_that_works_is_told_stage_by_stage(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", {"example.test": s.hop}) as r:
        stages, code = probe(r, "example.test")
        assert code == 0 and stages[-1]["state"] == "ok"
        assert [x["stage"] for x in stages] == [
            "route", "queue", "policy", "connect", "greeting", "ehlo", "end"]
        route = stage(stages, "route")["detail"]
        assert route["route"] == "example.test" and route["via"] == [s.hop]
        assert route["file"] == str(r.config) and route["to"] == ["example.test"]
        line = r.config.read_text().splitlines()[route["line"] - 1]
        assert line.startswith('route "example.test"')
        assert stage(stages, "ehlo")["detail"]["lines"][0] == "> EHLO relay.test"
        assert "PIPELINING" in stage(stages, "ehlo")["detail"]["capabilities"]
        assert not s.count("mail") and not s.messages

        by_name, code = probe(r, s.hop)
        assert code == 0 and by_name[-1]["detail"]["destination"] == s.hop
        stages, code = probe(r, "bob@example.test")
        assert code == 0 and s.count("rcpt") == 1 and not s.count("data")
        assert stage(stages, "mail")["detail"]["lines"][:2] == [
            "> MAIL FROM:<>", "> RCPT TO:<bob@example.test>"]
        wait_for(lambda: s.count("quit") == 3)
        probe(r, "bob@example.test", "--from", "me@from.test")
        assert [a for _, x, _, a, _ in s.stages if x == "mail"][-1].startswith(
            b"MAIL FROM:<me@from.test>")


def test_for_people_it_is_a_line_a_stage_and_a_verdict(tmp_path):
    with Sink({"banner": b"554 go \x1b[31maway\r\n"}) as s, \
            Relay(tmp_path / "r", {"*": s.hop}) as r:
        wait_for((r.folder / "admin.sock").exists)
        done = r.verb("dest", "probe", "example.test", check=False)
        text = done.stdout.decode()
        assert done.returncode == TEMPFAIL and "\x1b" not in text
        lines = text.splitlines()
        assert lines[0].startswith('ok  route ') and "BAD greeting" in text
        assert "< 554 go \\x1B[31maway" in text
        assert lines[-1].startswith("It does not work: ")
        assert "refuses this host as a client" in lines[-1]


def test_a_dead_port(tmp_path):
    with Relay(tmp_path / "r", {"*": f"smtp://127.0.0.1:{free_port()}"}) as r:
        stages = fails(r, "example.test", "connection refused",
                       "nothing listens on this port")
        assert stage(stages, "connect")["state"] == "bad"


def test_a_port_from_which_nothing_comes_back(tmp_path):
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port, fill = hole.getsockname()[1], []
        for _ in range(4):
            fill.append(socket.socket())
            fill[-1].setblocking(False)
            fill[-1].connect_ex(("127.0.0.1", port))
        with Relay(tmp_path / "r", {"*": f"smtp://127.0.0.1:{port}"}) as r:
            began = time.monotonic()
            fails(r, "example.test", "timed out", "Nothing answers at all")
            assert time.monotonic() - began < 20
        for s in fill:
            s.close()


@pytest.mark.parametrize("script, texts", [
    ({"banner": b"554 5.7.1 not you\r\n"},
     ("554 5.7.1 not you", "refuses this host as a client")),
    ({"banner": b"421 too busy\r\n"}, ("421 too busy", "no mail just now")),
    ({"banner": b"SSH-2.0-Open\r\n"}, ("does not speak SMTP",)),
    ({"banner": FIN}, ("hangs up at once",)),
    ({"ehlo": b"550 who?\r\n", "helo": b"550 who?\r\n"}, ("introduces itself",)),
    ({"rcpt": b"550 5.1.1 nobody\r\n"}, ("550 5.1.1 nobody", "is the address right")),
    ({"rcpt": b"451 4.7.1 greylisted\r\n"}, ("greylisted", "again later")),
    ({"mail": b"550 5.7.1 not from you\r\n"}, ("not from you", "from this sender")),
])
def test_what_a_host_says_is_told_and_what_to_do(tmp_path, script, texts):
    with Sink(script) as s, Relay(tmp_path / "r", {"*": s.hop}) as r:
        fails(r, "bob@example.test", *texts)


def test_who_goes_away_leaves_his_place_to_others(tmp_path):
    """Four may ask at once; each of these would be told "no answer" after half a minute."""
    with Sink({"banner": HANG}) as mute, Sink() as s, \
            Relay(tmp_path / "r", {"mute.test": mute.hop, "*": s.hop}) as r:
        wait_for((r.folder / "admin.sock").exists)
        asked = [subprocess.Popen([program(), "dest", "probe", "mute.test", "--json",
                                   "-c", r.config], stdout=subprocess.PIPE)
                 for _ in range(4)]
        for a in asked:
            assert b'"route"' in a.stdout.readline()
        assert b"no more can be probed" in r.verb("dest", "probe", "a.test",
                                                  check=False).stderr
        for a in asked:
            a.kill()
            a.communicate()
        wait_for(lambda: r.verb("dest", "probe", "a.test", check=False).returncode == 0, 20,
                 "a place")


def test_certificates(tmp_path):
    authority = Authority(tmp_path / "pki")
    other = Authority(tmp_path / "other", "other")
    top = f'tls {{ authorities = "{authority.path}" }}'
    leaves = {"ended": authority.issue("127.0.0.1", begins=-9, ends=-2),
              "name": authority.issue("elsewhere.test"),
              "stranger": other.issue("127.0.0.1"),
              "good": authority.issue("127.0.0.1")}
    texts = {"ended": ("expired", "Its time is over"),
             "name": ("elsewhere.test", "set tls-name"),
             "stranger": ("not trusted", "add its authority")}
    sinks = {k: Sink(tls=serve(v)) for k, v in leaves.items()}
    routes = {f"{k}.test": {"via": s.hop, "tls": "verify"}
              for k, s in sinks.items()}
    routes["loose.test"] = {"via": sinks["ended"].hop, "tls": "required"}
    routes["clear.test"] = {"via": Sink().hop, "tls": "required"}
    with Relay(tmp_path / "r", routes, top=top) as r:
        for k, wanted in texts.items():
            stages = fails(r, f"{k}.test", *wanted)
            found = stage(stages, "certificate")
            assert found["state"] == "bad"
            names = "elsewhere.test" if k == "name" else "127.0.0.1"
            assert names in found["detail"]["names"]
        ended = stage(probe(r, "ended.test")[0], "certificate")["detail"]
        assert ended["days"] == -2 and ended["trouble"] == "certificate has expired"
        assert ended["subject"] == "CN=127.0.0.1" and ended["not_after"] < time.time()
        stages, code = probe(r, "good.test")
        assert code == 0 and stage(stages, "certificate")["state"] == "ok"
        assert stage(stages, "tls")["detail"]["protocol"] == "TLSv1.3"
        stages, code = probe(r, "loose.test")
        assert code == 0 and "expired" in stage(stages, "certificate")["text"]
        fails(r, "clear.test", "TLS is required", "offers none")
    for s in sinks.values():
        s.close()


def test_a_login_is_told_but_never_its_secret(tmp_path):
    authority = Authority(tmp_path / "pki")
    leaf = authority.issue("127.0.0.1")
    (tmp_path / "pw").write_text("wrong-secret\n")
    (tmp_path / "good").write_text("right-secret\n")
    keys = {"user": '"us"', "tls": "verify"}
    top = f'tls {{ authorities = "{authority.path}" }}'
    logins = {"us": "right-secret"}
    with Sink(tls=serve(leaf), logins=logins) as s, \
            Sink(tls=serve(leaf), logins=logins, auth="LOGIN") as old, \
            Sink(logins=logins) as clear, Relay(tmp_path / "r", {
                "bad.test": {"via": s.hop, "password-file": f'"{tmp_path}/pw"', **keys},
                "good.test": {"via": s.hop, "password-file": f'"{tmp_path}/good"',
                              **keys},
                "old.test": {"via": old.hop, "password-file": f'"{tmp_path}/good"',
                             **keys},
                "clear.test": {"via": clear.hop, "user": '"us"', "tls": "optional",
                               "password-file": f'"{tmp_path}/good"'}},
                top=top) as r:
        said = []
        said.append(fails(r, "bad.test", "535", "password-file"))
        fails(r, "clear.test", "login needs TLS", "No password goes out")
        stages, code = probe(r, "good.test")
        assert code == 0 and "logged in as us with PLAIN" == stage(
            stages, "login")["text"]
        assert "> AUTH PLAIN [secret]" in stage(stages, "login")["detail"]["lines"]
        said.append(stages)
        stages, code = probe(r, "old.test")
        assert code == 0
        assert stage(stages, "login")["detail"]["lines"].count("> [secret]") == 2
        said.append(stages)
        for word in ("right-secret", "wrong-secret", "AHVzA", "cmlnaHQ", "d3Jvbmc"):
            assert word not in json.dumps(said)


def test_names(tmp_path):
    with NameServer(tmp_path / "dns", {
            "zone.example": "null IN MX 0 .\nown IN MX 0 relay\nrelay IN A 192.0.2.9\n"
                    "bare IN TXT nothing\nlocal IN MX 5 loop\nloop IN A 127.0.0.1\n"
                    "good IN MX 5 loop\nhost IN A 127.0.0.1\n",
            "broken.example": None}) as dns, Sink() as s, \
            Relay(tmp_path / "r", {
                "*": "mx", "byname.test": f"smtp://host.zone.example:{s.port}",
                "gone.test": f"smtp://nothere.zone.example:{s.port}"},
                extra=dns.resolver, hostname="relay.zone.example") as r:
        for name, texts in {
                "null.zone.example": ("null MX", "wants no mail"),
                "nothere.zone.example": ("no such domain", "spelled rightly"),
                "own.zone.example": ("loop back", "add a route"),
                "bare.zone.example": ("neither mail exchanger nor address", "route can name"),
                "x.broken.example": ("cannot be looked up", "Does the resolver work"),
                "gone.test": ("nothere.zone.example cannot be looked up",),
                "local.zone.example": ("no address that mail may go to",)}.items():
            fails(r, name, *texts)
        stages, code = probe(r, "byname.test")
        assert code == 0
        assert stage(stages, "address")["detail"] == {
            "host": "host.zone.example", "addresses": ["127.0.0.1"]}
        fails(r, "a@@b", "no domain, address or destination")


def test_a_name_without_a_route(tmp_path):
    with Relay(tmp_path / "r", {"one.test": "smtp://127.0.0.1:1"}) as r:
        fails(r, "other.test", "no route leads to other.test", "Add a route")


def test_each_member_of_a_group_is_visited(tmp_path):
    dead = f"smtp://127.0.0.1:{free_port()}"
    with Sink() as one, Sink() as two, Relay(tmp_path / "r", {
            "good.test": [one.hop, two.hop],
            "half.test": [dead, two.hop]}) as r:
        stages, code = probe(r, "good.test")
        assert code == 0 and stages[-1]["state"] == "ok"
        assert one.connections == 1 and two.connections == 1
        stages, code = probe(r, "half.test")
        assert code == 0 and stages[-1]["state"] == "warning"
        assert "It works" in stages[-1]["text"]
        assert "refused" in stages[-1]["text"]


def test_a_host_that_puts_all_mail_off_does_not_work(tmp_path):
    """It lets us in, and that alone says nothing."""
    with Sink({"rcpt": b"451 4.3.0 not today\r\n"}) as s, Relay(
            tmp_path / "r", {"to.test": s.hop},
            retry={"first": '"1h"', "most": '"1h"'}) as r:
        with r.client() as c:
            assert c.mail(NOTE, to=("joe@to.test",)).code == 250
        row = wait_for(lambda: [x.split() for x in r.verb("dest", "list").stdout.decode()
                                .splitlines() if "not today" in x], 30)[0]
        assert row[1] == "up" and row[3] == "-", row
        stages, code = probe(r, "to.test")
        assert "takes mail" not in stages[-1]["text"], stages[-1]
        assert "put off the last mail: 451 4.3.0 not today" in stages[-1]["text"]
        assert stages[-1]["state"] == "warning" and code == 0
        fails(r, "joe@to.test", "451 4.3.0 not today")


def test_mail_that_rests_goes_when_a_probe_succeeds(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop},
                            retry={"first": '"1h"', "most": '"1h"'}) as r:
        s.refuse()
        with r.client() as c:
            for i in range(3):
                assert c.mail(NOTE, to=(f"r{i}@to.test",)).code == 250
        r.wait_log("connect to .*refused")
        wait_for(lambda: b"backing-off" in r.verb("dest", "list").stdout)
        stages = fails(r, "to.test")
        assert "connection refused" in stage(stages, "queue")["text"]
        assert stage(stages, "queue")["detail"]["waiting"] == 3
        s.listen()
        stages, code = probe(r, "to.test")
        assert code == 0 and "(3 recipients) goes now" in stages[-1]["text"]
        s.wait(3)


def test_a_suspended_one_stays_so(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}) as r:
        wait_for((r.folder / "admin.sock").exists)
        r.verb("dest", "suspend", s.hop, "--reason", "a new disk")
        with r.client() as c:
            assert c.mail(NOTE).code == 250
        stages, code = probe(r, "to.test")
        assert code == 0 and stages[-1]["state"] == "warning"
        assert "suspended" in stages[-1]["text"]
        assert "a new disk" in stage(stages, "queue")["text"]
        time.sleep(0.5)
        assert not s.messages


def test_folders_and_mail_that_is_fetched(tmp_path):
    (tmp_path / "mail" / "box.test" / "ann").mkdir(parents=True)
    hop = f"maildir:{tmp_path}/mail/%d/%u"
    with Relay(tmp_path / "r", {
            "box.test": hop, "none.test": f"maildir:{tmp_path}/nothing/%u"},
            extra='route "away.test" { via = {"pickup:branch"}\n'
                  '    offline { login = {"branch"} } }\n') as r:
        assert probe(r, "box.test")[1] == 0
        stages, code = probe(r, "ann@box.test")
        assert code == 0 and "can be written" in stage(stages, "connect")["text"]
        assert not list(tmp_path.glob("mail/*/ann/*/*"))
        fails(r, "bob@box.test", "no folder for <bob@box.test>", "is returned")
        fails(r, "none.test", "nothing", "whose it is")
        stages, code = probe(r, "away.test")
        assert code == 0 and stages[-1]["state"] == "warning"
        assert "until it is fetched" in stages[-1]["text"]
        assert stage(stages, "connect")["detail"]["logins"] == ["branch"]


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("waypost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))


def ask(r, body):
    wait_for((r.folder / "admin.sock").exists)
    c = Unix(f"{r.folder}/admin.sock")
    c.request("POST", "/api/v1/probe", json.dumps(body),
              {"Content-Type": "application/json"})
    return c, c.getresponse()


def test_stages_come_as_they_happen_and_a_few_probes_at_once(tmp_path):
    with Sink({"banner": HANG}) as s, Relay(tmp_path / "r", {"*": s.hop}) as r:
        open_ones = [ask(r, {"name": "to.test"}) for _ in range(4)]
        for _, answer in open_ones:
            assert answer.status == 200
            stages = [json.loads(answer.readline())["stage"] for _ in range(4)]
            assert stages == ["route", "queue", "policy", "connect"]
        busy = ask(r, {"name": "to.test"})[1]
        assert busy.status == 503 and b"no more" in busy.read()
        wait_for(lambda: len(s.open) == 4)
        s.drop()
        for c, answer in open_ones:
            rest = [json.loads(x) for x in answer.read().splitlines()]
            assert rest[-1]["stage"] == "end" and rest[-1]["state"] == "bad"
            c.close()
        for body, path in (({}, "$.name"), ({"name": 1}, "$.name"),
                           ({"name": "a", "x": 1}, "$.x"), ([], "$"),
                           ({"name": "a", "from": 2}, "$.from"),
                           ({"name": "a" * 2000}, "$.name")):
            c, answer = ask(r, body)
            assert answer.status == 400
            assert json.loads(answer.read())["error"].startswith(path + ":")
            c.close()


def test_a_probe_ends_with_who_asked_and_with_the_relay(tmp_path):
    with Sink({"banner": HANG}) as s, Relay(tmp_path / "r", {"*": s.hop},
                                            drain="60s") as r:
        walks = [subprocess.Popen([program(), "dest", "probe", "to.test", "-c",
                                   r.config], stdout=subprocess.PIPE)
                 for _ in range(2)]
        wait_for(lambda: s.connections == 2)
        walks[0].send_signal(signal.SIGKILL)
        walks[0].wait()
        assert r.stop() == 0
        assert walks[1].wait(5) in (TEMPFAIL, 69)
        for w in walks:
            w.stdout.close()


def test_what_deliveries_came_to_stands_beside_a_destination(tmp_path):
    authority = Authority(tmp_path / "pki")
    leaf = authority.issue("127.0.0.1")
    rcpt = {"later": b"451 4.2.1 not now\r\n", "never": b"550 5.1.1 nobody\r\n"}

    def script(number, stage, argument):
        return next((rcpt[k] for k in rcpt
                     if stage == "rcpt" and k.encode() in argument), None)
    with Sink(script, tls=serve(leaf)) as s, Relay(
            tmp_path / "r", {"*": {"via": s.hop, "tls": "verify"}},
            top=f'tls {{ authorities = "{authority.path}" }}',
            retry={"first": '"1h"', "most": '"1h"'}) as r:
        with r.client() as c:
            assert c.mail(NOTE, sender="", to=("a@to.test", "later@to.test",
                                    "never@to.test", "b@to.test")).code == 250
        s.wait(1)

        def row():
            lines = r.verb("dest", "list", "--json").stdout.splitlines()
            return next((d for d in map(json.loads, lines)
                         if d["name"].startswith(s.hop) and d["sent"]), None)
        found = wait_for(row)
        assert (found["sent"], found["deferred"], found["bounced"]) == (2, 1, 1)
        assert found["tls"] == "Verified TLSv1.3"
        assert 0 <= found["delivery_ms"] < 5000
        assert abs(found["last_at"] - time.time()) < 20
        assert found["last_reply"].startswith("250")
        shown = r.verb("dest", "show", found["name"]).stdout.decode()
        assert "2 sent, 1 deferred, 1 bounced" in shown
        assert "Verified TLSv1.3" in shown
