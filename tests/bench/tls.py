#!/usr/bin/python3
"""tls - how fast is the relay with TLS on both sides, beside Postfix, now?

    tests/bench/tls.py [--runs 3] [--peers postfix,waypost] [--scale 1.0] [WORKLOAD ...]

Generator and sink are tlsload (same folder): STARTTLS on both sides, 4 KB messages. Peers
take turns within one run; the table shows medians. Postfix keeps its connections to the
sink open under TLS too (smtp_tls_connection_reuse), and has session caches.

  reused     10,000 messages over 50 sessions that stay open
  handshake  3,000 messages, a connection and a handshake for each on the way in
  idle       memory of 1,000 idle sessions under TLS

Nothing here is a test.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import run  # noqa: E402
from pki import Authority  # noqa: E402
from relay import Relay, end, free_port, tool, wait_for_port  # noqa: E402


class Postfix(run.TunedPostfix):
    certificate = None

    def setup(self):
        self.extra += f"""
smtpd_tls_security_level = encrypt
smtp_tls_security_level = encrypt
smtpd_tls_chain_files = {self.certificate.key}, {self.certificate.path}
smtp_tls_connection_reuse = yes
smtp_tls_session_cache_database = btree:{self.folder}/data/smtp_scache
smtpd_tls_session_cache_database = btree:{self.folder}/data/smtpd_scache
"""
        super().setup()

    def services(self):
        return ["tlsproxy unix - - n - 0 tlsproxy"]


class Waypost:
    certificate = None

    def __init__(self, folder, next_port):
        c = self.certificate
        self.relay = Relay(
            folder, {}, limits={"sessions-per-client": 5000}, open_files=8000,
            listener="tls = required", top=(
                f'tls {{ certificate = "{c.path}"  key = "{c.key}" }}\n'),
            extra=(f'route "*" {{ via = {{"smtp://127.0.0.1:{next_port}"}}  '
                   'tls = required }'))
        self.relay.start()
        self.port = self.relay.port

    def pid(self):
        return self.relay.process.pid

    def stop(self):
        self.relay.stop()


PEERS = {"postfix": Postfix, "waypost": Waypost}


class Bench:
    def __init__(self, peer):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="waypost-bench-"))
        certificate = Authority(self.folder).issue("relay.test", "127.0.0.1")
        self.sink_port = free_port()
        self.sink = subprocess.Popen(
            [tool("tlsload"), "sink", "--port", str(self.sink_port),
             "--certificate", certificate.path, "--key", certificate.key],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        wait_for_port(self.sink_port, self.sink)
        PEERS[peer].certificate = certificate
        self.peer = PEERS[peer](self.folder / "peer", self.sink_port)

    def sunk(self):
        self.sink.stdin.write("\n")
        self.sink.stdin.flush()
        return json.loads(self.sink.stdout.readline())

    def send(self, count, sessions, **options):
        command = [tool("tlsload"), "send", "--port", str(self.peer.port),
                   "--count", str(count), "--sessions", str(sessions)]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        return json.loads(subprocess.run(command, check=True, text=True,
                                         stdout=subprocess.PIPE).stdout)

    def wait(self, count, patience=30):
        since, last = time.monotonic(), -1
        while (now := self.sunk()["messages"]) < count:
            if now != last:
                since, last = time.monotonic(), now
            if time.monotonic() - since > patience:
                break
            time.sleep(0.01)
        return self.sunk()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.stop()
        end(self.sink)
        shutil.rmtree(self.folder, ignore_errors=True)


def through(peer, count, **options):
    with Bench(peer) as b:
        b.send(20, 2)
        before = b.wait(20)
        cpu = run.cpu_seconds(b.peer.pid())
        said = b.send(count, 50, **options)
        sunk = b.wait(count + 20)
        seconds = (sunk["latest_ns"] - said["begun_ns"]) / 1e9
        cpu = run.cpu_seconds(b.peer.pid()) - cpu
        return {"rate": count / seconds, "cpu_us": cpu / count * 1e6,
                "lost": count + 20 - sunk["messages"],
                "connections_in": said["connections"],
                "connections_out": sunk["connections"] - before["connections"]}


def reused(peer, o):
    return through(peer, int(10000 * o.scale))


def handshake(peer, o):
    return through(peer, int(3000 * o.scale), per_connection=1)


def idle(peer, o):
    count = int(1000 * o.scale)
    with Bench(peer) as b:
        b.send(20, 2)
        before = run.memory_kb(b.peer.pid())
        g = subprocess.Popen([tool("tlsload"), "idle", "--port",
                              str(b.peer.port), "--sessions", str(count),
                              "--seconds", "8"], stdout=subprocess.PIPE,
                             text=True)
        opened = json.loads(g.stdout.readline())["sessions"]
        time.sleep(3)
        kb = run.memory_kb(b.peer.pid()) - before
        g.wait()
        return {"sessions": opened, "kb_per_session": kb / max(opened, 1)}


WORKLOADS = {f.__name__: f for f in (reused, handshake, idle)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("workloads", nargs="*", default=[])
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--peers", default="postfix,waypost")
    p.add_argument("--scale", type=float, default=1.0)
    o = p.parse_args()
    names, results = o.peers.split(","), []
    for workload in o.workloads or WORKLOADS:
        for _ in range(o.runs):
            for name in names:
                row = {"workload": workload, "peer": name,
                       "result": WORKLOADS[workload](name, o)}
                results.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    print(run.table(results, names))


if __name__ == "__main__":
    main()
