"""What the tests with real peers share: a relay, a client and a next hop.

Relay   a `waypost run` of its own in a temporary folder, with a generated
        configuration on free loopback ports.
Client  sends exact bytes and reads whole replies.
Sink    an SMTP server that records every message byte for byte and answers any
        stage as it is told, also with silence, a FIN, a RST or a closed window.

Plain Python 3.11; nothing here knows pytest.
"""

import base64
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG = os.environ.get("WAYPOST_LONG") == "1"
# A sanitizer's shadow and quarantine would be measured, not the relay.
SANITIZED = any(os.environ.get(f"{x}SAN_OPTIONS") for x in ("A", "T", "UB"))
# What is waited for takes longer there.
PATIENCE = 4 if SANITIZED else 1


# Whoever runs the tests runs the relay: its folders are his. Sanitizers and coverage write
# files of their own at the end.
AS_STARTED = ('user = "root"\n' if os.geteuid() == 0 else "") + (
    "sandbox = false\n" if SANITIZED or os.environ.get("WAYPOST_UNBOUND") else "")


def program():
    """The relay under test."""
    named = os.environ.get("WAYPOST_EXE")
    if named:
        return pathlib.Path(named).resolve()
    for place in ("build/relay/main/waypost", "build/waypost"):
        if (ROOT / place).exists():
            return ROOT / place
    raise RuntimeError("no waypost program: build it, or set WAYPOST_EXE")


def tool(name):
    """One of the tests' C programs: built by meson, else by cc here."""
    source = {"ledger_generator": "fault/generator.c",
              "ledger_sink": "fault/sink.c", "libfaults.so": "fault/shim.c",
              "libnorandom.so": "peers/norandom.c",
              "tlsload": "bench/tlsload.c"}[name]
    folder = f"tests/{source.partition('/')[0]}"
    try:
        exe = program()
    except RuntimeError:
        exe = None
    if exe:
        for up in exe.parents[:4]:
            if (up / folder / name).exists():
                return up / folder / name
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/tmp"))
    cache = cache / f"waypost-tests-{os.getuid()}"
    cache.mkdir(parents=True, exist_ok=True)
    path, made = ROOT / "tests" / source, cache / name
    newest = max(p.stat().st_mtime for p in path.parent.glob("*.[ch]"))
    if not made.exists() or made.stat().st_mtime < newest:
        shared = ["-shared", "-fPIC"] if name.endswith(".so") else []
        fresh = cache / f"{name}.{os.getpid()}"
        subprocess.run(["cc", "-std=gnu11", "-O2", "-D_GNU_SOURCE", *shared,
                        "-o", fresh, path, "-ldl", "-lpthread",
                        *(["-lssl", "-lcrypto"] if name == "tlsload" else [])],
                       check=True)
        os.replace(fresh, made)
    return made


_given, _giving = set(), threading.Lock()
# Which of two that run side by side.
SIDE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    """A port nobody listens on, and that was not given before. From below the
    range of ports that outgoing connections take, so that it stays free, and for
    each process that runs tests beside others from a range of its own."""
    first, count = 11000 + 10000 * SIDE, 10000
    for n in range(2 * count):
        port = first + (os.getpid() * 7 + n) % count
        with _giving:
            if n == count:
                _given.clear()  # a long run: those of tests that are over
            if port in _given:
                continue
            _given.add(port)
        with socket.socket(family, socket.SOCK_STREAM) as s:
            try:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind((host, port))
            except OSError:
                continue
        return port
    raise RuntimeError("no free port")


def on_terminal(**more):
    """The environment of a usual terminal, whatever the tests were started from."""
    usual = {k: v for k, v in os.environ.items()
             if k not in ("NO_COLOR", "COLUMNS", "LINES")}
    return {**usual, "TERM": "xterm", "LC_ALL": "C.UTF-8", **more}


def low_port():
    """One under 1024 that is free; none that the other side may take as well."""
    for port in range(600 + 200 * SIDE, 800 + 200 * SIDE):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError("no free port")


LEAST = 60.0  # seconds that anything may take; less would only measure the machine


def wait_for(question, seconds=LEAST, what="it"):
    """Asks until the answer is true; answers it."""
    seconds = max(seconds, LEAST) * PATIENCE
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(0.01)


def wait_for_port(port, process=None, seconds=LEAST, host="127.0.0.1"):
    def is_there():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"ended with {process.returncode}")
        try:
            socket.create_connection((host, port), 1).close()
            return True
        except OSError:
            return False
    wait_for(is_there, seconds, f"a server on port {port}")


def end(process, seconds=15):
    """SIGTERM, then, if it does not obey, SIGKILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


# ------------------------------------------------------------------ relay ----

def block(name, values):
    """One section of a configuration."""
    if not values:
        return ""
    lines = "".join(f"    {k} = {v}\n" for k, v in values.items())
    return f"{name} {{\n{lines}}}\n"


class Relay:
    """A waypost in a folder of its own.

    routes: {pattern: next hop, or list of them, or {"via": those, key: value as written}};
    rules: text, or None for the one
    that lets loopback relay; limits, retry, queue: {key: value as written};
    admin: further keys of admin { }; extra: further configuration text.
    """

    def __init__(self, folder, routes=None, rules=None, limits=None,
                 retry=None, queue=None, extra="", hostname="relay.test",
                 address="127.0.0.1", env=None, listener="", open_files=None,
                 top="", admin=None, drain="3s"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address, self.port = address, free_port()
        self.config = self.folder / "waypost.conf"
        self.log_path = self.folder / "waypost.log"
        self.queue_path = self.folder / "queue.db"
        self.process, self.env, self.open_files = None, env, open_files
        self.routes = routes or {}
        self.rules = rules if rules is not None else (
            'rule "loopback" { client = {"127.0.0.0/8"}  action = relay }\n')
        # a unit test's patience: nothing here waits for minutes
        self.retry = {"first": '"1s"', "most": '"2s"', **(retry or {})}
        self.limits = {"sessions-per-client": 1000, **(limits or {})}
        self.queue = {"reserve": '"1MB"', **(queue or {})}
        self.extra, self.hostname, self.listener = extra, hostname, listener
        self.top, self.admin, self.drain = top, admin or {}, drain
        self.write_config()

    def write_config(self):
        text = f'hostname = "{self.hostname}"\ndrain = "{self.drain}"\n{self.top}\n'
        if not re.search("^(user|sandbox) =", self.top, re.M):
            text += AS_STARTED
        text += block("queue", {"path": f'"{self.queue_path}"', **self.queue})
        text += (f'listener "test" {{ address = "{self.address}:{self.port}" '
                 f'{self.listener} }}\n')
        text += block("admin", {"socket": f'"{self.folder}/admin.sock"',
                                **self.admin})
        text += block("limits", self.limits) + block("retry", self.retry)
        text += self.rules + "\n"
        for pattern, hops in self.routes.items():
            keys = dict(hops) if isinstance(hops, dict) else {"via": hops}
            via = keys.pop("via")
            via = [via] if isinstance(via, str) else via
            keys["via"] = "{" + ", ".join(f'"{h}"' for h in via) + "}"
            text += block(f'route "{pattern}"', keys)
        self.config.write_text(text + self.extra + "\n")

    def __enter__(self):
        # begun already: another would be orphaned
        if self.process is not None and self.is_alive:
            return self
        return self.start()

    def __exit__(self, kind, *_):
        self.stop()
        if kind is not None:
            print(self.log()[-2500:])

    def start(self, wait=True):
        def more_files():
            if self.open_files:
                hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                resource.setrlimit(resource.RLIMIT_NOFILE,
                                   (min(self.open_files, hard), hard))
        environment = {**os.environ, **(self.env or {})}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(), "run", "-c", self.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=environment, cwd=self.folder,
                preexec_fn=more_files)
        if wait:
            try:
                wait_for_port(self.port, self.process, 30, self.address)
                self.wait_for_admin()
            except (RuntimeError, TimeoutError):
                print(self.log()[-2500:])
                end(self.process)
                raise
        return self

    def wait_for_admin(self):
        """Its listeners are open before it takes questions."""
        path = re.search(r'^admin \{\n(?: .*\n)*? *socket = "(/.*)"',
                         self.config.read_text(), re.M)

        def answers():
            with socket.socket(socket.AF_UNIX) as s:
                return (s.connect_ex(path[1]) == 0
                        or self.process.poll() is not None)
        if path:
            wait_for(answers, 30, "the admin socket")

    def stop(self):
        """Its exit code; with drain="60s", 0 only where it waited for nothing."""
        return end(self.process, 30) if self.process else None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    @property
    def is_alive(self):
        return self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="surrogateescape") \
            if self.log_path.exists() else ""

    def wait_log(self, pattern, seconds=LEAST):
        return wait_for(lambda: re.search(pattern, self.log()), seconds,
                        f"/{pattern}/ in the log")

    def verb(self, *words, check=True):
        """Runs one of the program's verbs against this relay."""
        done = subprocess.run([program(), *words, "-c", self.config],
                              capture_output=True, timeout=60 * PATIENCE)
        if check and done.returncode != 0:
            raise RuntimeError(f"{words}: {done.returncode} "
                               f"{done.stderr.decode(errors='replace')}")
        return done

    def queue_list(self, *filters):
        out = self.verb("queue", "list", "--json", *filters).stdout
        return [json.loads(line) for line in out.splitlines() if line]

    def wait_empty(self, seconds=30):
        wait_for(lambda: not self.queue_list(), seconds, "an empty queue")

    def retry_now(self):
        self.verb("queue", "retry", "--yes")

    def client(self, **kw):
        return Client(self.port, host=self.address, **kw)

    def status(self, key):
        """A number of /proc/PID/status, in its own unit (kB for VmRSS)."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1])

    def uses_less_than(self, kb, since=0):
        """Resident memory, or its growth; not asked of a sanitized build."""
        return SANITIZED or self.status("VmRSS") - since < kb

    def cpu_seconds(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = text.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        """But for the databases', which threads open when they come to it."""
        if os.getuid() != 0:
            return 0  # only root may look into a relay
        folder = f"/proc/{self.process.pid}/fd"
        targets = []
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                targets.append(os.readlink(f"{folder}/{fd}"))
        return sum(not re.search(r"\.db(-wal|-shm)?$", t) for t in targets)

    def descriptors_at_rest(self):
        """Once a start, which goes on behind the open port, is over, and what was before."""
        self.wait_log("is ready")
        seen = []
        while len(seen) < 4 or len(set(seen[-4:])) > 1:
            seen.append(self.descriptors())
            time.sleep(0.2)
        return seen[-1]


# ----------------------------------------------------------------- client ----

class Reply:
    def __init__(self, code, lines):
        self.code, self.lines = code, lines
        self.text = b"\n".join(lines).decode("utf-8", "surrogateescape")

    def __repr__(self):
        return f"<{self.code} {self.text!r}>"


class Closed(Exception):
    """The server closed, or reset, the connection instead of replying."""


class Client:
    """Exact bytes out, whole replies in. tls: an ssl.SSLContext, for a port that begins
    with the handshake."""

    def __init__(self, port, host="127.0.0.1", timeout=LEAST, greet=True,
                 helo="client.test", source=None, tls=None, name="relay.test"):
        self.socket = socket.create_connection(
            (host, port), timeout * PATIENCE,
            source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        if tls:
            self.secure(tls, name)
        if greet:
            assert self.reply().code == 220
            if helo:
                assert self.command(f"EHLO {helo}").code == 250

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def secure(self, tls, name="relay.test"):
        """The handshake; what was not read before it is lost."""
        self.rest = b""
        self.socket = tls.wrap_socket(self.socket, server_hostname=name)

    def starttls(self, tls, name="relay.test", helo="client.test"):
        """STARTTLS, the handshake, and EHLO again; answers EHLO's reply."""
        assert self.command("STARTTLS").code == 220
        self.secure(tls, name)
        return self.command(f"EHLO {helo}")

    def login(self, user, password):
        """AUTH PLAIN; answers the reply."""
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f"AUTH PLAIN {secret}")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        while b"\n" not in self.rest:
            try:
                more = self.socket.recv(65536)
            except ConnectionError as e:
                raise Closed(str(e)) from None
            if not more:
                raise Closed("end of stream")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line + b"\n"

    def reply(self, timeout=None):
        if timeout is not None:
            self.socket.settimeout(timeout)
        lines = []
        while True:
            line = self.line()
            assert re.fullmatch(rb"[2-5]\d\d[ -][^\r\n]*\r\n", line), line
            lines.append(line[4:-2])
            if line[3:4] == b" ":
                return Reply(int(line[:3]), lines)

    def command(self, text):
        data = text.encode("utf-8", "surrogateescape") \
            if isinstance(text, str) else text
        self.send(data + b"\r\n")
        return self.reply()

    def codes(self, *commands):
        return [self.command(c).code for c in commands]

    def envelope(self, sender="s@from.test", to=("r@to.test",)):
        assert self.command(f"MAIL FROM:<{sender}>").code == 250
        for r in to:
            assert self.command(f"RCPT TO:<{r}>").code == 250
        assert self.command("DATA").code == 354

    def mail(self, content, sender="s@from.test", to=("r@to.test",)):
        """A whole message, content unstuffed; answers the reply to the dot."""
        self.envelope(sender, to)
        self.send(stuff(content) + b".\r\n")
        return self.reply()

    def is_closed(self, timeout=LEAST):
        """Has the server closed, or does it within the time? Drops the rest."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def all_replies(self, timeout=LEAST):
        """All replies until the server closes or is silent for so long."""
        got = []
        self.socket.settimeout(timeout)
        try:
            while True:
                got.append(self.reply())
        except (Closed, TimeoutError):
            return got

    def shut(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        reset(self.socket)


def stuff(content):
    """Content as it is sent after DATA, without the final dot."""
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content


_NO_LINE_ENDS = bytes(b if b not in b"\r\n" else 0x2e for b in range(256))


def content_of(size, chance, line=900, eight_bit=True):
    """Random content of exactly so many bytes, whole lines of at most `line`,
    some of which begin with dots. No single byte can be a line: 1 becomes 2."""
    if size == 0:
        return b""
    size = max(size, 2)
    data = bytearray(chance.randbytes(size).translate(_NO_LINE_ENDS))
    if not eight_bit:
        data = bytearray(bytes(data).translate(bytes(
            b if 32 <= b < 127 else 97 + b % 26 for b in range(256))))
    at = 0
    while size - at > line:
        at += chance.randrange(2, line) + 2
        if size - at < 2:
            at = size - 2
        data[at - 2:at] = b"\r\n"
        if chance.random() < 0.3:
            data[at:at + 1] = b"."
    data[-2:] = b"\r\n"
    if size > 2 and data[-3:-2] == b"\r":
        data[-3:-2] = b"x"
    return bytes(data)


def reset(s):
    """Closes with RST instead of FIN."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


# ------------------------------------------------------------------- sink ----

class Message:
    """wire: as it came; by_bdat: in chunks, without dot-stuffing. tls: the protocol's
    version, or None; login: who had logged in."""

    def __init__(self, mail, recipients, wire, connection, by_bdat=False,
                 tls=None, login=None):
        self.mail, self.rcpts, self.wire = mail, recipients, wire
        self.connection, self.time = connection, time.monotonic()
        self.by_bdat, self.tls, self.login = by_bdat, tls, login

    @property
    def sender(self):
        return re.match(rb"[^<]*<(.*)>", self.mail)[1].decode(
            "utf-8", "surrogateescape")

    @property
    def parameters(self):
        return self.mail.rsplit(b">", 1)[1].decode()

    @property
    def recipients(self):
        return [re.match(rb"[^<]*<(.*)>", r)[1].decode(
            "utf-8", "surrogateescape") for r in self.rcpts]

    @property
    def content(self):
        """Unstuffed."""
        if self.by_bdat:
            return self.wire
        wire = self.wire[1:] if self.wire.startswith(b".") else self.wire
        return wire.replace(b"\r\n.", b"\r\n")

    @property
    def body_as_sent(self):
        """What the client sent: content without our own Received: line."""
        return without_received(self.content)

    @property
    def has_stray_line_end(self):
        return re.search(rb"\r(?!\n)|(?<!\r)\n", self.wire) is not None


def without_received(content):
    """Content without its first field, which must be a Received: line."""
    assert content.lower().startswith(b"received:"), content[:200]
    end = re.compile(rb"\r\n(?![ \t])").search(content).end()
    return content[end:]


# What a script may answer besides bytes.
HANG, FIN, RST, ZERO_WINDOW = "hang", "fin", "rst", "zero window"
STAGES = ("banner", "ehlo", "helo", "starttls", "handshake", "secured", "challenge",
          "auth", "mail", "rcpt", "data", "body", "bdat", "dot", "rset", "noop", "quit")


class Sink:
    """A scriptable SMTP server, a thread for each connection.

    script(connection, stage, argument) answers None (as usual), bytes, one of
    HANG FIN RST ZERO_WINDOW, or a list of these with numbers (seconds to wait) and
    functions (called with the session).
    A dictionary {stage: answer} does as well. Stage "body" is asked when the 354
    is out, "connect" as soon as a connection is made, "handshake" before one is shaken.

    tls: an ssl.SSLContext; STARTTLS is offered then, or with implicit=True every
    connection begins with the handshake. logins: {user: password}: AUTH PLAIN and LOGIN are
    offered (or what auth names), and MAIL needs one. lmtp: LHLO, and a reply for each recipient
    after the content (asked for as stage "dot", with (message, recipient)). path: a unix
    socket instead of a port.
    """

    extensions = ("PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8",
                  "ENHANCEDSTATUSCODES")

    def __init__(self, script=None, port=0, host="127.0.0.1", extensions=None,
                 name="sink.test", tls=None, implicit=False, logins=None,
                 auth="PLAIN LOGIN", lmtp=False, path=None):
        self.tls, self.implicit, self.logins = tls, implicit, logins
        self.auth, self.lmtp, self.path = auth, lmtp, path
        self.script, self.name, self.host = script, name, host
        if extensions is not None:
            self.extensions = extensions
        self.messages, self.connections, self.stages = [], 0, []
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self.open = set()
        self.port = port or free_port(
            socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        self.listener = self.kept = None
        self.listen()

    @property
    def hop(self):
        if self.path:
            return f"lmtp:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = ("lmtp" if self.lmtp else
                  "smtps" if self.tls and self.implicit else "smtp")
        return f"{scheme}://{host}:{self.port}"

    def listen(self):
        """Begins to accept (again)."""
        if self.path:
            pathlib.Path(self.path).unlink(missing_ok=True)
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.bind(str(self.path))
            s.listen(1024)
            self.listener = s
            threading.Thread(target=self._accept, args=(s,),
                             daemon=True).start()
            return
        s, self.kept = self.kept or self._bound(), None
        s.listen(1024)
        self.listener = s
        threading.Thread(target=self._accept, args=(s,), daemon=True).start()

    def _bound(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((self.host, self.port))
        return s

    def refuse(self):
        """From now on connections are refused."""
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        if listener and not self.path:
            self.kept = self._bound()  # so that nobody else is there

    def drop(self):
        """Cuts the connections there are."""
        with self.lock:
            for s in list(self.open):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.stopped.set()
        self.refuse()
        if self.kept:
            self.kept.close()
        self.drop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def wait(self, count, seconds=LEAST):
        """Until so many messages have arrived; answers them. One that does not come may
        be lost, which is no question of time: it has plenty."""
        seconds = max(seconds, 3 * LEAST)
        try:
            wait_for(lambda: len(self.messages) >= count, seconds)
        except TimeoutError:
            raise AssertionError(f"{len(self.messages)} messages of {count} "
                                 f"arrived in {seconds} s") from None
        return list(self.messages)

    def count(self, stage):
        with self.lock:
            return sum(1 for s in self.stages if s[1] == stage)

    def _accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            if not self.path:
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                number = self.connections
                self.open.add(s)
            threading.Thread(target=self._serve, args=(s, number),
                             daemon=True).start()

    def session(self, s, number):
        return _SinkSession(self, s, number)

    def _serve(self, s, number):
        session = self.session(s, number)
        try:
            session.run()
        except (OSError, _Over):
            pass
        finally:
            with self.lock:
                self.open -= {s, session.socket}
            try:
                session.socket.close()
            except OSError:
                pass


class _Over(Exception):
    pass


class _SinkSession:
    def __init__(self, sink, s, number):
        self.sink, self.socket, self.number = sink, s, number
        self.data, self.said = bytearray(), b""
        self.mail, self.rcpts = b"", []
        self.chunks, self.tls, self.login = None, None, None

    def ask(self, stage, argument=b""):
        sink = self.sink
        with sink.lock:
            sink.stages.append((time.monotonic(), stage, self.number, argument,
                                self.tls))
        script = sink.script
        if script is None:
            return None
        if callable(script):
            return script(self.number, stage, argument)
        return script.get(stage)

    def act(self, answer, usual, on_said=None):
        """Carries an answer out; the code that was said. on_said is called before the
        last byte of a line goes out: who reads it may be asked what came of it at once."""
        answer = usual if answer is None else answer
        self.said = b""
        for step in answer if isinstance(answer, list) else [answer]:
            if isinstance(step, bytes):
                self.said += step
                if on_said:
                    on_said()
                if step:
                    self.socket.sendall(step)
            elif isinstance(step, (int, float)):
                time.sleep(step)
            elif callable(step):
                step(self)
            elif step == HANG:
                self.sink.stopped.wait(600)
                raise _Over
            elif step == ZERO_WINDOW:
                # nobody reads any more: the window closes by itself
                self.sink.stopped.wait(600)
                raise _Over
            elif step == RST:
                reset(self.socket)
                raise _Over
            elif step == FIN:
                raise _Over
        return self.code

    @property
    def code(self):
        """Of the last whole line that was said."""
        lines = self.said.split(b"\r\n")
        return lines[-2][:3] if len(lines) > 1 else b""

    def read_more(self):
        more = self.socket.recv(1 << 18)
        if not more:
            raise _Over
        self.data += more

    def read_line(self):
        while (at := self.data.find(b"\n")) < 0:
            self.read_more()
        line = bytes(self.data[:at]).rstrip(b"\r")
        del self.data[:at + 1]
        return line

    def read_content(self):
        """Up to the final CRLF.CRLF, dots still stuffed."""
        start = 0
        while True:
            if self.data.startswith(b".\r\n"):
                del self.data[:3]
                return b""
            at = self.data.find(b"\r\n.\r\n", start)
            if at >= 0:
                content = bytes(self.data[:at + 2])
                del self.data[:at + 5]
                return content
            start = max(0, len(self.data) - 4)
            self.read_more()

    def run(self):
        name = self.sink.name.encode()
        self.act(self.ask("connect"), b"")
        if self.sink.implicit:
            self.shake_hands()
        self.act(self.ask("banner"), b"220 " + name + b" ESMTP\r\n")
        while True:
            line = self.read_line()
            verb = line.split(b" ")[0].split(b":")[0].lower().decode(
                "ascii", "replace")
            handler = getattr(self, "do_" + verb, None)
            if handler is None:
                self.act(self.ask(verb, line), b"500 5.5.2 what?\r\n")
            else:
                handler(line)

    def shake_hands(self):
        self.act(self.ask("handshake"), b"")
        with self.sink.lock:
            self.sink.open.discard(self.socket)
        self.socket = self.sink.tls.wrap_socket(self.socket, server_side=True)
        with self.sink.lock:
            self.sink.open.add(self.socket)
        self.tls = self.socket.version()
        self.data, self.mail, self.rcpts = bytearray(), b"", []
        self.act(self.ask("secured"), b"")

    def do_starttls(self, line):
        if not self.sink.tls or self.tls:
            self.act(self.ask("starttls", line), b"502 5.5.1 no\r\n")
        elif self.act(self.ask("starttls", line), b"220 go on\r\n") == b"220":
            self.shake_hands()

    def challenge(self, text):
        self.act(self.ask("challenge", text),
                 b"334 " + base64.b64encode(text) + b"\r\n")
        return base64.b64decode(self.read_line())

    def do_auth(self, line):
        words = line.split(b" ")
        first = base64.b64decode(words[2]) if len(words) > 2 else None
        user = password = b""
        if words[1].upper() == b"PLAIN":
            said = first if first is not None else self.challenge(b"")
            _, user, password = said.split(b"\0")
        elif words[1].upper() == b"LOGIN":
            user = first if first is not None else self.challenge(b"Username:")
            password = self.challenge(b"Password:")
        user = user.decode()
        good = (self.sink.logins or {}).get(user) == password.decode()
        code = self.act(self.ask("auth", line), b"235 2.7.0 welcome\r\n" if good
                        else b"535 5.7.8 no\r\n")
        self.login = user if code == b"235" else None

    def do_lhlo(self, line):
        self.do_ehlo(line)

    def do_ehlo(self, line):
        words = [self.sink.name, *self.sink.extensions]
        if self.sink.tls and not self.tls:
            words.append("STARTTLS")
        if self.sink.logins is not None:
            words.append("AUTH " + self.sink.auth)
        usual = "".join(f"250{'-' if i < len(words) - 1 else ' '}{w}\r\n"
                        for i, w in enumerate(words)).encode()
        self.act(self.ask("ehlo", line), usual)

    def do_helo(self, line):
        self.act(self.ask("helo", line), b"250 sink.test\r\n")

    def do_mail(self, line):
        usual = b"250 2.1.0 Ok\r\n"
        if self.sink.logins is not None and not self.login:
            usual = b"530 5.7.0 log in first\r\n"
        code = self.act(self.ask("mail", line), usual)
        self.mail, self.rcpts = line if code == b"250" else b"", []

    def do_rcpt(self, line):
        usual = b"250 2.1.5 Ok\r\n" if self.mail else b"503 5.5.1 no MAIL\r\n"
        if self.act(self.ask("rcpt", line), usual) == b"250":
            self.rcpts.append(line)

    def do_data(self, line):
        usual = b"354 go on\r\n" if self.rcpts else b"554 5.5.1 nobody\r\n"
        if self.act(self.ask("data", line), usual) != b"354":
            return
        self.act(self.ask("body"), b"")
        self.take(Message(self.mail, self.rcpts, self.read_content(),
                          self.number, tls=self.tls, login=self.login))

    def do_bdat(self, line):
        words = line.split()
        count, last = int(words[1]), words[2:] == [b"LAST"]
        while len(self.data) < count:
            self.read_more()
        chunk = bytes(self.data[:count])
        del self.data[:count]
        if not self.rcpts:
            self.act(self.ask("bdat", line), b"503 5.5.1 nobody\r\n")
            return
        self.chunks = (self.chunks or b"") + chunk
        if not last:
            if self.act(self.ask("bdat", line), b"250 2.0.0 Ok\r\n") != b"250":
                self.chunks, self.mail, self.rcpts = None, b"", []
            return
        content, self.chunks = self.chunks, None
        self.take(Message(self.mail, self.rcpts, content, self.number,
                          by_bdat=True, tls=self.tls, login=self.login))

    def take(self, message):
        """All of it is there: the answer, or for LMTP the answers. What is taken is kept
        before its 250 is out, and whatever comes after it, a 250 is a 250."""
        taken, everybody, is_kept = [], self.rcpts if self.sink.lmtp else [None], False

        def on_said():
            nonlocal is_kept
            if self.code == b"250" and rcpt not in taken:
                taken.append(rcpt)
            if self.code and is_last and taken and not is_kept:
                is_kept = True
                if self.sink.lmtp:
                    message.rcpts = taken
                self.keep(message)
        for n, rcpt in enumerate(everybody, 1):
            argument = (message, rcpt) if self.sink.lmtp else message
            self.said, is_last = b"", n == len(everybody)
            self.act(self.ask("dot", argument), b"250 2.0.0 taken\r\n", on_said)
        self.mail, self.rcpts = b"", []

    def keep(self, message):
        with self.sink.lock:
            self.sink.messages.append(message)

    def do_rset(self, line):
        self.mail, self.rcpts, self.chunks = b"", [], None
        self.act(self.ask("rset", line), b"250 2.0.0 Ok\r\n")

    def do_noop(self, line):
        self.act(self.ask("noop", line), b"250 2.0.0 Ok\r\n")

    def do_quit(self, line):
        self.act(self.ask("quit", line), b"221 2.0.0 Bye\r\n")
        raise _Over


def find(name):
    """A program in PATH or in the places of a server's programs."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
    found = shutil.which(name, path=path)
    if not found:
        raise RuntimeError(f"{name} is not installed")
    return found
