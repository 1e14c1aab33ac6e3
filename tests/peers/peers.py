"""Other people's mail servers, as private instances that touch nothing of the system.

Each takes mail on a port of 127.0.0.1 and hands it to another port, so a test sees
what the server made of it. Postfix is the system's package; Exim and OpenSMTPD, which
conflict with it, are downloaded (never installed) into a cache and run from there, in
a mount namespace in which they find the users and folders that were compiled in.
A peer that cannot be had raises: in CI that is a failure, elsewhere a skip.
"""

import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import threading

from relay import end, find, free_port, wait_for_port

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", "/var/tmp"))
CACHE = CACHE / f"waypost-peers-{os.getuid()}"


fetching = threading.Lock()  # one apt at a time


class Missing(Exception):
    """A peer that cannot be set up here, and why."""


def unpacked(*packages):
    """The folder into which these packages of Debian's are unpacked."""
    with fetching:
        return fetch(packages)


def fetch(packages):
    root = CACHE / packages[0]
    if (root / ".complete").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for attempt in range(2):
        got = subprocess.run(["apt-get", "download", *packages], cwd=root,
                             capture_output=True, text=True, timeout=300)
        if got.returncode == 0:
            break
        if attempt == 0:
            subprocess.run(["apt-get", "update"], capture_output=True,
                           timeout=300)
    else:
        raise Missing(f"apt-get download {packages}: {got.stderr[-500:]}")
    for deb in root.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
        deb.unlink()
    (root / ".complete").touch()
    return root


def with_libraries(root, program, library_packages):
    """Unpacks libraries that the system lacks; the environment to run with."""
    places = [root / "usr/lib" / f"{os.uname().machine}-linux-gnu",
              root / "usr/lib"]
    env = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, places))}

    def lacks():
        told = subprocess.run(["ldd", program], capture_output=True, text=True,
                              env=env).stdout
        return [line.split()[0] for line in told.splitlines()
                if "not found" in line]
    with fetching:
        if not lacks():
            return env
        got = subprocess.run(["apt-get", "download", *library_packages],
                             cwd=root, capture_output=True, text=True)
        if got.returncode != 0:
            raise Missing(f"libraries {lacks()}: {got.stderr[-300:]}")
        for deb in root.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", deb, root], check=True)
            deb.unlink()
        if lacks():
            raise Missing(f"{program} lacks {lacks()}")
    return env


def needs_root():
    if os.getuid() != 0:
        raise Missing("needs root")


class Peer:
    """A server: started in a folder of its own, listening on self.port."""

    def __init__(self, folder, next_port=None):
        self.folder = pathlib.Path(folder).resolve()
        self.folder.mkdir(parents=True)
        # every server drops to its own user below it
        for up in [self.folder, *self.folder.parents]:
            if up.stat().st_uid == os.getuid() and up != pathlib.Path("/"):
                up.chmod(up.stat().st_mode | 0o055)
        self.port, self.next_port = free_port(), next_port
        self.process = None
        self.log_path = self.folder / "log"
        try:
            self.setup()
        except (OSError, RuntimeError, KeyError,
                subprocess.SubprocessError) as e:
            self.stop()
            raise Missing(f"{type(self).__name__}: {e}") from e

    def spawn(self, command, **kw):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, cwd=self.folder, start_new_session=True, **kw)
        try:
            wait_for_port(self.port, self.process)
        except (RuntimeError, TimeoutError) as e:
            raise RuntimeError(f"{e}: {self.log()[-800:]}") from None

    def log(self):
        return self.log_path.read_text(errors="replace") \
            if self.log_path.exists() else ""

    @property
    def hop(self):
        return f"smtp://127.0.0.1:{self.port}"

    def stop(self):
        if self.process:
            end(self.process)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(f"--- {type(self).__name__}\n{self.log()[-3000:]}")
        self.stop()


class Postfix(Peer):
    extra = ""

    def setup(self):
        needs_root()
        self.master = find("postfix")
        config = self.folder / "etc"
        for name in ("etc", "queue", "data"):
            (self.folder / name).mkdir()
        shutil.chown(self.folder / "data", "postfix")
        maillog = "/var/log/"  # Postfix writes its log only below here
        self.log_path = pathlib.Path(maillog, f"waypost-test-{self.port}.log")
        # each key once: what Postfix says of a second one, from each of its
        # processes, can fill the socket of its log before anyone reads it,
        # and then all of them wait for good, the reader too
        settings = dict(re.findall(r"^(\w+) *= *(.*)$", f"""
compatibility_level = 3.6
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
maillog_file = {self.log_path}
myhostname = postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{self.next_port}
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_dns_support_level = disabled
smtpd_tls_security_level = none
smtp_tls_security_level = none
local_header_rewrite_clients =
message_size_limit = 60000000
mailbox_size_limit = 0
alias_maps =
local_recipient_maps =
minimal_backoff_time = 5s
maximal_backoff_time = 5s
queue_run_delay = 5s
{self.extra}
""", re.M))
        (config / "main.cf").write_text("".join(
            f"{key} = {value}\n" for key, value in settings.items()))
        service = pathlib.Path("/etc/postfix/master.cf.proto")
        text = service.read_text() if service.exists() else \
            pathlib.Path("/etc/postfix/master.cf").read_text()
        lines = []
        for line in text.splitlines():
            words = line.split()
            if line[:1].isspace() or line.startswith("#") or len(words) < 8:
                if not line.startswith("#") and line.strip() and lines and \
                        not lines[-1].startswith("127.0.0.1"):
                    lines.append(line)
                continue
            if words[0] == "smtp" and words[1] == "inet":
                words[0] = f"127.0.0.1:{self.port}"
            elif words[1] == "inet":
                continue
            words[4] = "n"  # no chroot: nothing to copy into it
            lines.append("  ".join(words))
        lines += self.services()
        (config / "master.cf").write_text("\n".join(lines) + "\n")
        self.command = [self.master, "-c", config]
        done = subprocess.run([*self.command, "start"], capture_output=True,
                              text=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(done.stderr + self.log()[-500:])
        self.is_up = True
        wait_for_port(self.port)

    def services(self):
        """Further lines of master.cf."""
        return []

    def inject(self, sender, recipients, content):
        subprocess.run([find("sendmail"), "-C", self.folder / "etc", "-i",
                        "-f", sender, "--", *recipients], input=content,
                       check=True, timeout=60)

    def stop(self):
        if getattr(self, "is_up", False):
            subprocess.run([*self.command, "stop"], capture_output=True,
                           timeout=60)
        if self.log_path.parent == pathlib.Path("/var/log"):
            self.log_path.unlink(missing_ok=True)

    def __exit__(self, kind, *_):
        if kind:
            print(f"--- Postfix\n{self.log()[-3000:]}")
        self.stop()


class SmtpSink(Peer):
    """Postfix's smtp-sink; it keeps nothing but dumps, LF for CRLF."""

    def setup(self):
        user = pwd.getpwuid(os.getuid()).pw_name
        as_user = ["-u", user] if os.getuid() == 0 else []
        self.spawn([find("smtp-sink"), *as_user, "-d", "dump.%M.",
                    f"127.0.0.1:{self.port}", "1000"])

    def contents(self):
        """Each dump without the lines that smtp-sink puts in front."""
        for path in self.folder.glob("dump.*"):
            text = path.read_bytes()
            # its envelope, then its own Received: of three lines
            while text.startswith(b"X-"):
                text = text.split(b"\n", 1)[1]
            yield text.split(b"\n", 3)[3]


class Exim(Peer):
    packages = ("exim4-daemon-light", "exim4-base")
    libraries = ("libgnutls-dane0", "libidn12", "libnsl2", "libunbound8",
                 "libgnutls30", "libdb5.3")

    def setup(self):
        needs_root()
        root = unpacked(*self.packages)
        self.exe = root / "usr/sbin/exim4"
        env = with_libraries(root, self.exe, self.libraries)
        config = self.folder / "exim.conf"
        for name in ("spool", "logs"):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(0o777)
        config.write_text(self.configuration())
        config.chmod(0o644)
        self.spawn([sys.executable, __file__, "exim", self.folder, self.exe,
                    "-C", config, "-bdf", "-q5s"], env=env)

    def main(self):
        """What stands above the sections."""
        return f"""
primary_hostname = exim.test
exim_path = {self.exe}
deliver_drop_privilege = true
keep_environment = LD_LIBRARY_PATH
spool_directory = {self.folder}/spool
log_file_path = {self.folder}/logs/%slog
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_query_timeout = 0s
never_users =
queue_run_max = 2
smtp_accept_max = 100
smtp_accept_max_per_host = 100
smtp_accept_queue_per_connection = 0
smtp_accept_reserve = 0
message_size_limit = 60M
acl_smtp_rcpt = accept
acl_smtp_data = accept
chunking_advertise_hosts = *
"""

    def configuration(self):
        return self.main() + f"""
daemon_smtp_ports = {self.port}
tls_advertise_hosts =
begin routers
all:
  driver = manualroute
  domains = *
  route_list = * 127.0.0.1
  self = send
  transport = out
begin transports
out:
  driver = smtp
  port = {self.next_port}
  allow_localhost
  hosts_try_fastopen =
begin retry
* * F,1h,5s
"""

    def log(self):
        logs = [p.read_text(errors="replace")
                for p in self.folder.glob("logs/*")]
        return super().log() + "\n".join(logs)


class OpenSmtpd(Peer):
    authorities = None  # a file that it finds in the system's place

    def setup(self):
        needs_root()
        root = unpacked("opensmtpd")
        exe = root / "usr/sbin/smtpd"
        env = with_libraries(root, exe, ["libevent-2.1-7", "libdb5.3",
                                         "libssl3"])
        config = self.folder / "smtpd.conf"
        config.write_text(self.configuration())
        config.chmod(0o644)
        if self.authorities:
            shutil.copy(self.authorities, self.folder / "authorities")
        self.spawn([sys.executable, __file__, "opensmtpd", self.folder, exe,
                    "-d", "-f", config], env=env)

    def configuration(self):
        return f"""
listen on 127.0.0.1 port {self.port} hostname opensmtpd.test
smtp max-message-size "60M"
action "out" relay host smtp://127.0.0.1:{self.next_port}
match from any for any action "out"
"""

    def stop(self):
        # its parts die with their parent's namespace
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, 15)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, 9)
                self.process.wait()


class AioSmtpd(Peer):
    """aiosmtpd in a thread; keeps what it got in self.messages."""

    def setup(self):
        from aiosmtpd.controller import Controller
        peer = self

        class Handler:
            async def handle_DATA(self, _server, _session, envelope):
                with peer.lock:
                    peer.messages.append(envelope)
                return "250 2.0.0 taken"
        self.messages, self.lock = [], threading.Lock()
        self.controller = Controller(
            Handler(), hostname="127.0.0.1", port=self.port,
            data_size_limit=60_000_000, enable_SMTPUTF8=True)
        self.controller.start()

    def stop(self):
        if getattr(self, "controller", None):
            self.controller.stop()


# ------------------------------------------------------ the other side -------

USERS = ("Debian-exim", "opensmtpd", "opensmtpq")


def enter_namespace(name, folder):
    """In the process that becomes the server: its own view of /etc and /var/spool,
    with the users and folders that were compiled into it."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result, what):
        if result != 0:
            raise OSError(ctypes.get_errno(), what)

    def bind(source, target):
        check(libc.mount(str(source).encode(), str(target).encode(), None,
                         0x1000, None), f"mount {target}")
    check(libc.unshare(0x00020000), "unshare")
    check(libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None), "private")
    for what in ("passwd", "group"):
        text = pathlib.Path("/etc", what).read_text()
        for i, user in enumerate(USERS):
            if f"\n{user}:" not in text:
                number = 64600 + i
                text += (f"{user}:x:{number}:{number}::/var/lib/opensmtpd/empty:"
                         "/bin/false\n" if what == "passwd"
                         else f"{user}:x:{number}:\n")
        (folder / what).write_text(text)
        (folder / what).chmod(0o644)
        bind(folder / what, pathlib.Path("/etc", what))
    if name == "dovecot":
        # that one place cannot be set: its own, among links to all the others
        modules = CACHE / "dovecot-core/usr/lib/dovecot"
        place, real = pathlib.Path("/usr/lib"), folder / "usr-lib"
        real.mkdir()
        bind(place, real)
        check(libc.mount(b"none", str(place).encode(), b"tmpfs", 0, b"mode=755"),
              "mount tmpfs")
        for one in os.listdir(real):
            if one != "dovecot":
                os.symlink(real / one, place / one)
        os.symlink(modules, place / "dovecot")
        return
    if (folder / "authorities").exists():
        place = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
        bind(folder / "authorities", place)
    # empty folders of its own where it wants to write
    for place in ("/var/spool", "/var/lib", "/var/run"):
        own = folder / ("own" + place.replace("/", "-"))
        own.mkdir(exist_ok=True)
        own.chmod(0o755)
        bind(own, os.path.realpath(place))
    if name == "opensmtpd":
        empty = pathlib.Path("/var/lib/opensmtpd/empty")
        empty.mkdir(parents=True)
        empty.chmod(0o755)
        spool = pathlib.Path("/var/spool/smtpd")
        spool.mkdir()
        spool.chmod(0o711)
    else:
        shutil.chown(folder / "spool", "Debian-exim", "Debian-exim")
        shutil.chown(folder / "logs", "Debian-exim", "Debian-exim")


def become(name, folder, *command):
    enter_namespace(name, pathlib.Path(folder))
    os.execv(command[0], command)


if __name__ == "__main__":
    become(*sys.argv[1:])
