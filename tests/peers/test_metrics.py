"""Figures of a running relay: /metrics as promtool reads it, the flow of the last hour, what
the relay stands on; and that the dashboard and the alerts ask for nothing that is not there."""

import json
import pathlib
import re
import shutil
import subprocess
import threading
import time

import pytest

from door import Door
from pki import Authority
from relay import LONG, ROOT, Client, Relay, Sink, wait_for

NOTE = b"Subject: a note\r\n\r\nCount me.\r\n"
PACKAGING = ROOT / "relay/packaging"
RULES = PACKAGING / "prometheus/waypost.rules.yml"
DASHBOARD = PACKAGING / "grafana/waypost.json"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")


def get(r, path):
    return subprocess.run(
        ["curl", "-sS", "--fail-with-body", "--unix-socket", r.folder / "admin.sock",
         f"http://x{path}"], capture_output=True, check=True, timeout=30).stdout.decode()


def samples(text):
    """{'name{label="value"}': number}"""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in text.splitlines() if not line.startswith("#")}


def metrics(r):
    return samples(get(r, "/metrics"))


def families(text):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))


def check(text):
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text.encode(),
                          capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert not done.stdout + done.stderr


def rename(r, names):
    """The names of the metrics, before the start."""
    text = r.config.read_text()
    r.config.write_text(text.replace("admin {", f"admin {{ metric-names = {names} ", 1))


@needs_promtool
def test_promtool_is_content_while_mail_flows(tmp_path):
    def send(r):
        with r.client() as c:
            for _ in range(50):
                assert c.mail(NOTE).code == 250

    with Sink() as s:
        r = Relay(tmp_path / "r", {"*": s.hop})
        rename(r, "postfix-exporter")
        with r:
            senders = [threading.Thread(target=send, args=(r,)) for _ in range(4)]
            for t in senders:
                t.start()
            before = 0
            while any(t.is_alive() for t in senders):
                text = get(r, "/metrics")
                check(text)
                now = samples(text)["waypost_accepted_total"]
                assert now >= before
                before = now
            for t in senders:
                t.join()
            s.wait(200)
            wait_for(lambda: metrics(r)["waypost_removed_total"] == 200)
            m = metrics(r)
            assert m["waypost_accepted_total"] == 200
            assert m['waypost_deliveries_total{status="sent"}'] == 200
            assert m["waypost_delivered_after_seconds_count"] == 200
            assert m['waypost_delivery_seconds_bucket{stage="sending",le="+Inf"}'] == 200
            assert m["waypost_message_bytes_count"] == 200
            assert m["waypost_commit_batch_sum"] >= 400, "a put and a settle each"
            assert m["waypost_commit_batch_count"] == m["waypost_commit_seconds_count"]
            assert m["postfix_cleanup_messages_processed_total"] == 200
            assert m['postfix_smtp_delivery_delay_seconds_count'
                     '{stage="transmission"}'] == 200


def test_buckets_rise_to_their_count(tmp_path):
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}) as r:
        with r.client() as c:
            c.mail(NOTE)
        s.wait(1)
        text = get(r, "/metrics")
        last = {}
        for name, value in samples(text).items():
            if (m := re.match(r'(\w+_bucket\{.*?),?le="([^"]+)"', name)):
                assert value >= last.get(m[1], 0), name
                last[m[1]] = value
                if m[2] == "+Inf":
                    count = m[1].replace("_bucket", "_count").rstrip("{")
                    count += "}" if "{" in count else ""
                    assert samples(text)[count] == value
        assert len(last) >= 8


def test_what_is_refused_and_what_becomes_of_mail_is_counted(tmp_path):

    rules = ('rule "not you" { to = {"bad.test"}  action = reject  '
             'reply = "554 5.7.1 no" }\n'
             'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n')
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}, rules=rules,
                            limits={"sessions-per-client": 3}) as r:
        r.wait_log("disconnect from")  # who looked whether it is there
        with r.client() as c:
            assert c.command("RCPT TO:<a@b.test>").code == 503
            assert c.mail(NOTE).code == 250
            c.codes("RSET", "MAIL FROM:<s@from.test>", "RCPT TO:<a@bad.test>")
            assert metrics(r)['waypost_sessions{listener="test"}'] == 1
            with r.client(), r.client():
                with pytest.raises(Exception):
                    with r.client() as crowd:
                        crowd.command("NOOP")
                        raise RuntimeError("was let in")
        s.wait(1)
        s.close()
        # Those who have left are let go of a moment later.
        wait_for(lambda: metrics(r)['waypost_sessions{listener="test"}'] == 0)
        with r.client() as c:
            c.mail(NOTE, to=("late@to.test",))
        wait_for(lambda: metrics(r)["waypost_connects_failed_total"] > 0)
        wait_for(lambda: metrics(r)['waypost_sessions{listener="test"}'] == 0)
        m = metrics(r)
        assert m['waypost_rejected_total{rule="not you",code="554"}'] == 1
        assert m['waypost_rejected_total{rule="",code="503"}'] == 1
        assert m['waypost_refusals_total{listener="test",stage="command"}'] == 1
        assert m['waypost_refusals_total{listener="test",stage="rcpt"}'] == 1
        assert m['waypost_refusals_total{listener="test",stage="connect"}'] == 1
        assert m['waypost_connections_refused_total'
                 '{reason="sessions-per-client"}'] == 1
        assert m['waypost_received_total{listener="test"}'] == 2
        assert 'waypost_rejected_total{rule="loopback",code="250"}' not in m
        hop = next(k for k in m if k.startswith("waypost_destination_queued"))
        wait_for(lambda: metrics(r)[hop] == 1)
        down = hop.replace("queued", "state")
        wait_for(lambda: metrics(r)[down] == 1)
        wait_for(lambda: metrics(r)['waypost_destinations{state="backing-off"}'] == 1)
        wait_for(lambda: sum(v for k, v in metrics(r).items()
                             if k.startswith("waypost_queue_recipients")) == 1, 20)
        assert 0 < metrics(r)["waypost_queue_oldest_seconds"] < 60


def test_logins_and_those_asked_to_come_again_are_counted(tmp_path):
    rules = ('rule "staff" { login = {"*"}  action = relay }\n'
             'rule "grey" { to = {"grey.test"}  action = greylist }\n')
    with Sink() as s, Door(tmp_path / "r", {"*": s.hop}, rules=rules) as r:
        with Client(r.ports["clear"]) as c:
            assert c.login("alice", "wrong").code == 535
            assert c.login("alice", "correct horse").code == 235
            assert metrics(r)['waypost_sessions{listener="clear"}'] == 1
        with r.client() as c:
            assert c.codes("MAIL FROM:<s@from.test>", "RCPT TO:<a@grey.test>",
                           "RCPT TO:<b@grey.test>", "RCPT TO:<c@else.test>") == \
                [250, 450, 450, 554]
        m = metrics(r)
        assert m['waypost_logins_total{result="ok"}'] == 1
        assert m['waypost_logins_total{result="failed"}'] == 1
        assert m["waypost_greylisted_total"] == 2
        assert m['waypost_rejected_total{rule="grey",code="450"}'] == 2
        assert m['waypost_rejected_total{rule="",code="554"}'] == 1


def test_handshakes_and_certificates_are_told(tmp_path):
    pki = Authority(tmp_path)
    ours = pki.issue("relay.test", "mx.test", ends=20)
    tls = (f'tls {{ certificate = "{ours.path}"  key = "{ours.key}"  '
           f'authorities = "{pki.path}" }}\n')
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}, extra=tls,
                            listener="tls = optional") as r:
        import ssl
        trust = ssl.create_default_context(cafile=pki.path)
        with r.client() as c:
            c.starttls(trust)
            assert c.mail(NOTE).code == 250
        m = metrics(r)
        assert m['waypost_tls_total{direction="in",protocol="TLSv1.3",'
                 'trust="anonymous"}'] == 1
        ends = next(v for k, v in m.items() if k.startswith("waypost_certificate_end"))
        assert 19 * 86400 < ends - time.time() < 21 * 86400
        system = json.loads(get(r, "/api/v1/system"))
        found, = system["certificates"]
        assert found["file"] == str(ours.path) and found["days"] in (19, 20)
        assert found["names"] == ["relay.test", "mx.test"]
        assert found["not_after"] == ends


def test_a_webhook_that_nobody_answers_is_seen(tmp_path):
    (tmp_path / "secret").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "secret").chmod(0o600)
    hook = (f'webhook "desk" {{ url = "https://127.0.0.1:1/x"  '
            f'secret-file = "{tmp_path}/secret" }}\n')
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}, extra=hook) as r:
        with r.client() as c:
            c.mail(NOTE)
        s.wait(1)
        wait_for(lambda: metrics(r)['waypost_webhook_failures{webhook="desk"}'] > 0)
        assert metrics(r)['waypost_webhook_behind{webhook="desk"}'] >= 1
        found, = json.loads(get(r, "/api/v1/system"))["webhooks"]
        assert found["name"] == "desk" and found["behind"] >= 1


def test_the_system_tells_disk_listeners_and_commits(tmp_path):
    with Relay(tmp_path / "r", {"*": "smtp://127.0.0.1:1"}) as r, r.client() as c:
        c.command("NOOP")
        system = json.loads(get(r, "/api/v1/system"))
        assert system["disk"]["reserve_bytes"] == 1 << 20
        assert system["disk"]["free_bytes"] > 1 << 20
        listener, = system["listeners"]
        assert listener["name"] == "test" and listener["sessions"] == 1
        assert listener["address"] == f"127.0.0.1:{r.port}"
        assert system["webhooks"] == [] and not system["history_paused"]
        assert {"wal_bytes", "commit_us_last", "commit_us_max",
                "history_behind", "refusals_dropped"} <= system.keys()


def test_the_flow_is_told_by_the_second_and_in_points(tmp_path):
    names = {"accepted", "refused", "delivered", "deferred", "returned", "ready",
             "waiting", "held"}
    with Sink() as s, Relay(tmp_path / "r", {"*": s.hop}) as r:
        flow = json.loads(get(r, "/api/v1/flow"))
        assert flow["step_s"] == 10 and flow["points"] == 360
        assert flow["series"].keys() == flow["now"].keys() == names
        assert all(len(v) == 360 for v in flow["series"].values())
        assert flow["series"]["accepted"][-1] is None, "nothing was before the start"
        with r.client() as c:
            for _ in range(20):
                c.mail(NOTE)
            c.command("NONSENSE")
        s.wait(20)
        wait_for(lambda: json.loads(get(r, "/api/v1/flow"))["now"]["delivered"] > 0)

        def told(name):
            """By points of ten seconds, of which a busy machine may need two."""
            points = json.loads(get(r, "/api/v1/flow"))["series"][name]
            return 10 * sum(p for p in points if p is not None)
        for name, count in (("accepted", 20), ("delivered", 20), ("refused", 1)):
            wait_for(lambda: told(name) > 0.7 * count, what=f"the points of {name}")
            assert told(name) < 1.3 * count or told(name) <= 2, name
        assert json.loads(get(r, "/api/v1/flow"))["series"]["held"][-1] == 0


def test_strangers_make_nothing_grow(tmp_path):
    """Domains by the thousand wait, and clients say what they like to be called."""
    domains = 100_000 if LONG else 3000
    rules = ('rule "wait" { client = {"127.0.0.0/8"}  action = hold }\n'
             'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n')
    with Relay(tmp_path / "r", {"*": "mx"}, rules=rules,
               limits={"recipients": 1000, "errors": 100000}) as r:
        with r.client() as c:
            for i in range(300):
                assert c.command(f"EHLO h{i}.test").code == 250
            lines = len(get(r, "/metrics").splitlines())
            for first in range(0, domains, 1000):
                to = [f"x@d{i}.test" for i in range(first, first + 1000)]
                assert c.mail(NOTE, to=to).code == 250
        def busiest():
            return get(r, "/metrics").count("waypost_destination_queued{")
        wait_for(lambda: busiest() == 100, 60, "a round of all destinations")
        text = get(r, "/metrics")
        assert len(text.splitlines()) <= lines + 5 * 100 + 20
        assert ".test" not in re.sub(r'destination="[^"]*"', "", text)
        if PROMTOOL:
            check(text)


OLD_NAMES = """postfix_up postfix_cleanup_messages_processed_total
postfix_cleanup_messages_rejected_total postfix_qmgr_messages_inserted_receipients
postfix_qmgr_messages_inserted_size_bytes postfix_qmgr_messages_removed_total
postfix_smtp_delivery_delay_seconds postfix_smtp_tls_connections_total
postfix_smtp_deferred_messages_total postfix_smtp_connection_timed_out_total
postfix_smtp_status_deferred postfix_smtpd_connects_total postfix_smtpd_disconnects_total
postfix_smtpd_connections_lost_total postfix_smtpd_messages_processed_total
postfix_smtpd_messages_rejected_total postfix_smtpd_sasl_authentication_failures_total
postfix_smtpd_tls_connections_total postfix_showq_message_size_bytes
postfix_showq_message_age_seconds""".split()


def test_names_of_the_exporter_are_there_when_they_are_wanted(tmp_path):
    r = Relay(tmp_path / "r", {"*": "smtp://127.0.0.1:1"})
    with r:
        assert "postfix_" not in get(r, "/metrics")
        rename(r, "postfix-exporter")
        r.reload()
        r.wait_log("configuration reloaded")
        with r.client() as c:
            c.mail(NOTE)
            c.command("NONSENSE")
        found = families(get(r, "/metrics"))
        assert set(OLD_NAMES) <= found.keys()
        assert "waypost_accepted_total" in found, "besides, not instead"
        m = metrics(r)
        assert m["postfix_smtpd_connects_total"] >= 1
        assert m['postfix_smtpd_messages_rejected_total{code="500"}'] == 1
        wait_for(lambda: sum(
            v for k, v in metrics(r).items()
            if k.startswith("postfix_showq_message_size_bytes_count")) == 1, 20)


def names_in(text):
    return set(re.findall(r"\b(?:waypost|process)_[a-z_]+\b", text)) - {"waypost_build"}


def expressions():
    """Of the dashboard, with Grafana's own words filled in."""
    board = json.loads(DASHBOARD.read_text())
    found = [t["expr"] for p in board["panels"] for t in p.get("targets", ())]
    found += [a["expr"] for a in board["annotations"]["list"]]
    return [e.replace("$__rate_interval", "5m").replace("$instance", ".*")
            .replace("$job", ".*") for e in found]


def test_dashboard_and_alerts_ask_for_what_is_there(tmp_path):
    with Relay(tmp_path / "r", {"*": "smtp://127.0.0.1:1"}) as r:
        there = set()
        for name, kind in families(get(r, "/metrics")).items():
            there |= {name} if kind != "histogram" else \
                {name + "_bucket", name + "_sum", name + "_count"}
        rules = re.sub(r"(?m)^.*(#|job_name|summary:|description:).*$", "",
                       RULES.read_text())
        asked = names_in("\n".join(expressions())) | names_in(rules)
        assert len(asked) > 30 and not asked - there
        board = json.loads(DASHBOARD.read_text())
        ids = [p["id"] for p in board["panels"]]
        assert len(set(ids)) == len(ids)


@needs_promtool
def test_alerts_go_off_when_they_should(tmp_path):
    for words in (["check", "rules", RULES],
                  ["test", "rules",
                   pathlib.Path(__file__).with_name("waypost.rules.test.yml")]):
        done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r"alertname: (\w+)", (pathlib.Path(
        __file__).with_name("waypost.rules.test.yml")).read_text()))
    assert tested == set(re.findall(r"alert: (\w+)", RULES.read_text()))


@needs_promtool
def test_the_dashboards_expressions_can_be_read(tmp_path):
    rules = tmp_path / "dashboard.yml"
    rules.write_text("groups:\n- name: panels\n  rules:\n" + "".join(
        f"  - record: panel:number{n}\n    expr: {json.dumps(e)}\n"
        for n, e in enumerate(expressions())))
    done = subprocess.run([PROMTOOL, "check", "rules", rules], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr
