"""What test_matrix.py sends through: servers with every port, and clients with every switch.

A server is given the Ground and the port of the sink. As a next hop it takes mail on
ports[mode] and hands it to the sink; as a client of ours it takes mail on its plain port
and hands it, by the recipient's domain, to the listener of that cell (Ground.cells).
A client is a function: client(ground, cell, content, folder).
"""

import base64
import fcntl
import os
import re
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import termios
import threading
import time

import peers
from peers import Exim, Missing, OpenSmtpd, Peer, Postfix, needs_root, unpacked
from relay import end, find, free_port, stuff

USER, PASSWORD = "us", "tr0ub4dor-3"
SENDER = "s@from.test"
CLEAR, OPTIONAL, REQUIRED = "clear", "STARTTLS optional", "STARTTLS required"
VERIFIED, IMPLICIT, IMPLICIT_VERIFIED = ("STARTTLS verified", "implicit",
                                         "implicit verified")
SOCKET = "unix socket"
MODES = (SOCKET, CLEAR, OPTIONAL, REQUIRED, VERIFIED, IMPLICIT, IMPLICIT_VERIFIED)
NO_LOGIN = "no login"
MECHANISMS = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256",
              "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS", "EXTERNAL")


class Cell:
    """One way in: how to connect, how to log in, where; the domain is the cell's own."""

    def __init__(self, peer, direction, mode, mechanism, port=0):
        self.peer, self.direction = peer, direction
        self.mode, self.mechanism = mode, mechanism
        self.host, self.port = "127.0.0.1", port
        words = f"{peer} {direction} {mode} {mechanism}"
        self.domain = re.sub(r"[^a-z0-9]+", "-", words.lower()) + ".test"
        self.rcpt = f"{USER}@{self.domain}"
        self.extra = {}  # what the client is to ask for besides

    @property
    def is_secure(self):
        return self.mode not in (CLEAR, SOCKET)

    @property
    def id(self):
        return "-".join((self.peer, self.mode, self.mechanism)).replace(" ", "_")

    @property
    def is_implicit(self):
        return self.mode.startswith("implicit")

    @property
    def is_verified(self):
        return self.mode.endswith("verified")

    @property
    def has_login(self):
        return self.mechanism != NO_LOGIN


class Ground:
    """What all stand on: the authority, a server's and a client's certificate, and the
    cells in which a server is the client. Keys are copies that servers can read."""

    def __init__(self, folder, authority):
        self.folder = folder
        self.authority = authority.path
        self.server = authority.issue(
            "relay.test", "localhost", "127.0.0.1",
            *(f"127.0.2.{i}" for i in range(1, 20)))
        self.client = authority.issue(USER)
        self.cells = []
        self.password_file = folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self.password_file.chmod(0o600)

    def cells_of(self, peer):
        return [c for c in self.cells if c.peer == peer]

    def context(self, cell):
        c = ssl.create_default_context(cafile=self.authority)
        if not cell.is_verified:
            c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
        if cell.mechanism == "EXTERNAL":
            c.load_cert_chain(self.client.path, self.client.key)
        return c

    def server_context(self):
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(self.server.path, self.server.key)
        return c


class Tap:
    """Between a client and a server in clear text; keeps what was said, in order."""

    def __init__(self, target):
        self.target, self.lock, self.connections = target, threading.Lock(), []
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 10)
            except OSError:
                client.close()
                continue
            said = []
            with self.lock:
                self.connections.append(said)
            for a, b, who in ((client, server, "C"), (server, client, "S")):
                threading.Thread(target=self._pump, args=(a, b, who, said),
                                 daemon=True).start()

    def _pump(self, source, target, who, said):
        try:
            while data := source.recv(1 << 16):
                with self.lock:
                    said.append((who, data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def of(self, word):
        """What the client said on the connections that have this word, and in which
        pieces; what the server said."""
        word = word.encode()
        with self.lock:
            for said in self.connections:
                client = b"".join(d for who, d in said if who == "C")
                if word in client:
                    return (client, [d for who, d in said if who == "C"],
                            b"".join(d for who, d in said if who == "S"))
        raise AssertionError(f"nobody said {word} on this wire")

    def all_of(self, word):
        """What the client said on all connections that have this word."""
        with self.lock:
            clients = [b"".join(d for who, d in said if who == "C")
                       for said in self.connections]
        return b"".join(c for c in clients if word.encode() in c)

    def close(self):
        self.listener.close()


# ------------------------------------------------------------- servers -------

class MatrixPostfix(Postfix):
    name = "Postfix"

    def __init__(self, folder, ground, sink_port, auth_socket):
        self.ground, self.auth_socket = ground, auth_socket
        self.ports = {m: free_port() for m in (CLEAR, REQUIRED, IMPLICIT)}
        super().__init__(folder, sink_port)

    @property
    def extra(self):
        g = self.ground
        return f"""
smtpd_tls_cert_file = {g.server.path}
smtpd_tls_key_file = {g.server.key}
smtpd_sasl_type = dovecot
smtpd_sasl_path = {self.auth_socket}
smtpd_sasl_security_options = noanonymous
smtp_tls_CAfile = {g.authority}
smtp_tls_loglevel = 1
smtp_tls_secure_cert_match = relay.test
smtp_sasl_password_maps = static:{USER}:{PASSWORD}
smtp_sasl_security_options = noanonymous
smtp_send_xforward_command = yes
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtputf8_enable = yes
transport_maps = texthash:{self.folder}/transport
"""

    def services(self):
        lines = [f"127.0.0.1:{port} inet n - n - - smtpd"
                 f"\n  -o smtpd_sasl_auth_enable=yes"
                 f"\n  -o smtpd_tls_wrappermode={'yes' if mode == IMPLICIT else 'no'}"
                 f"\n  -o smtpd_tls_security_level={'none' if mode == CLEAR else 'may'}"
                 for mode, port in self.ports.items()]
        levels = {CLEAR: "none", OPTIONAL: "may", REQUIRED: "encrypt",
                  VERIFIED: "secure", IMPLICIT: "encrypt",
                  IMPLICIT_VERIFIED: "secure"}
        transports = []
        for i, c in enumerate(self.ground.cells_of(self.name)):
            def yes(is_so):
                return "yes" if is_so else "no"
            lines.append(f"out{i} unix - - n - - smtp"
                         f"\n  -o smtp_tls_security_level={levels[c.mode]}"
                         f"\n  -o smtp_tls_wrappermode={yes(c.is_implicit)}"
                         f"\n  -o smtp_sasl_auth_enable={yes(c.has_login)}")
            transports.append(f"{c.domain} out{i}:[127.0.0.1]:{c.port}\n")
        (self.folder / "transport").write_text("".join(transports))
        return lines

    @staticmethod
    def login_line(mechanism):
        return rf"sasl_method={mechanism}, sasl_username={USER}\b"


class MatrixExim(Exim):
    name = "Exim"
    packages = ("exim4-daemon-heavy", "exim4-base")
    libraries = ("libgnutls-dane0", "libidn12", "libnsl2", "libunbound8",
                 "libgnutls30", "libdb5.3", "libmariadb3", "libspf2-2",
                 "libldap-2.5-0", "libpq5", "libperl5.36", "libsasl2-2",
                 "libpam0g", "libpcre2-8-0", "libsqlite3-0")

    def __init__(self, folder, ground, sink_port, auth_socket):
        self.ground, self.auth_socket = ground, auth_socket
        self.ports = {m: free_port() for m in (CLEAR, REQUIRED, IMPLICIT)}
        super().__init__(folder, sink_port)

    def configuration(self):
        g, ports = self.ground, [self.port, *self.ports.values()]
        # it reads them as its own user
        for what in ("path", "key"):
            for pair in ("server", "client"):
                own = self.folder / f"{pair}-{what}.pem"
                shutil.copy(getattr(getattr(g, pair), what), own)
                own.chmod(0o644)
        shutil.copy(g.authority, self.folder / "ca.pem")
        clear = f"{self.port}:{self.ports[CLEAR]}"
        return self.main() + f"""
daemon_smtp_ports = {' : '.join(map(str, ports))}
tls_on_connect_ports = {self.ports[IMPLICIT]}
tls_advertise_hosts = ${{if inlist{{$received_port}}{{{clear}}}{{}}{{*}}}}
tls_certificate = {self.folder}/server-path.pem
tls_privatekey = {self.folder}/server-key.pem
tls_verify_certificates = {self.folder}/ca.pem
tls_try_verify_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
begin routers
{self.routers()}
to_sink:
  driver = manualroute
  domains = *
  route_list = * 127.0.0.1::{self.next_port}
  self = send
  transport = sink
begin transports
sink:
  driver = smtp
  allow_localhost
  hosts_avoid_tls = *
{self.transports()}
begin retry
* * F,1h,5s
begin authenticators
{self.authenticators()}
"""

    def routers(self):
        return "".join(f"""
r{i}:
  driver = manualroute
  domains = {c.domain}
  route_list = * 127.0.0.1::{c.port}
  self = send
  transport = t{i}
""" for i, c in enumerate(self.ground.cells_of(self.name)))

    def transports(self):
        text = ""
        for i, c in enumerate(self.ground.cells_of(self.name)):
            text += f"\nt{i}:\n  driver = smtp\n  allow_localhost\n"
            text += "  hosts_try_fastopen =\n"
            if c.mode == CLEAR:
                text += "  hosts_avoid_tls = *\n"
            elif c.mode != OPTIONAL:
                text += "  hosts_require_tls = *\n"
            if c.is_implicit:
                text += "  protocol = smtps\n"
            if c.is_verified:
                text += (f"  tls_verify_certificates = {self.folder}/ca.pem\n"
                         "  tls_verify_hosts = *\n")
            else:
                text += "  tls_verify_hosts =\n  tls_try_verify_hosts =\n"
            if c.has_login:
                text += "  hosts_require_auth = *\n"
            if c.mechanism == "EXTERNAL":
                text += (f"  tls_certificate = {self.folder}/client-path.pem\n"
                         f"  tls_privatekey = {self.folder}/client-key.pem\n")
        return text

    def authenticators(self):
        def fits(a, b):
            return f"${{if and{{{{eq{{${a}}}{{{USER}}}}}{{eq{{${b}}}{{{PASSWORD}}}}}}}}}"
        text = f"""
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = {fits('auth2', 'auth3')}
  server_set_id = $auth2
  client_send = ^{USER}^{PASSWORD}
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = {fits('auth1', 'auth2')}
  server_set_id = $auth1
  client_send = : {USER} : {PASSWORD}
cram_md5:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{USER}}}{{{PASSWORD}}}fail}}
  server_set_id = $auth1
  client_name = {USER}
  client_secret = {PASSWORD}
external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = $tls_in_certificate_verified
  server_param2 = ${{certextract {{subject,CN}}{{$tls_in_peercert}}}}
  server_condition = ${{if eq{{$auth2}}{{{USER}}}}}
  server_set_id = $auth2
  client_send = {USER}
"""
        for name in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
            text += (f"{name.lower().replace('-', '_')}:\n  driver = dovecot\n"
                     f"  public_name = {name}\n  server_set_id = $auth1\n"
                     f"  server_socket = {self.auth_socket}\n")
        return text

    @staticmethod
    def login_line(mechanism):
        return rf" A={mechanism.lower().replace('-', '_')}:{USER}\b"


class MatrixOpenSmtpd(OpenSmtpd):
    name = "OpenSMTPD"

    def __init__(self, folder, ground, sink_port):
        self.ground, self.authorities = ground, ground.authority
        self.ports = {m: free_port() for m in (CLEAR, REQUIRED, IMPLICIT)}
        super().__init__(folder, sink_port)

    def configuration(self):
        g = self.ground
        hashed = subprocess.run(["openssl", "passwd", "-6", PASSWORD], check=True,
                                capture_output=True, text=True).stdout.strip()
        text = f"""
pki here cert "{g.server.path}"
pki here key "{g.server.key}"
table secrets {{ {USER} = "{USER}:{PASSWORD}" }}
table users {{ {USER} = "{hashed}" }}
listen on 127.0.0.1 port {self.port} hostname opensmtpd.test
listen on 127.0.0.1 port {self.ports[CLEAR]} hostname opensmtpd.test
listen on 127.0.0.1 port {self.ports[REQUIRED]} tls pki here hostname opensmtpd.test \
 auth-optional <users>
listen on 127.0.0.1 port {self.ports[IMPLICIT]} smtps pki here hostname opensmtpd.test \
 auth-optional <users>
action "sink" relay host smtp+notls://127.0.0.1:{self.next_port}
"""
        schemes = {CLEAR: "smtp+notls", OPTIONAL: "smtp", REQUIRED: "smtp+tls",
                   VERIFIED: "smtp+tls", IMPLICIT: "smtps",
                   IMPLICIT_VERIFIED: "smtps"}
        matches = ""
        for c in g.cells_of(self.name):
            label = f"{USER}@" if c.has_login else ""
            text += (f'action "{c.domain}" relay host "{schemes[c.mode]}://{label}'
                     f'{c.host}:{c.port}"')
            text += " auth <secrets>" if c.has_login else ""
            if c.mode in (REQUIRED, IMPLICIT):
                text += " tls no-verify"
            text += "\n"
            matches += (f'match from any for domain "{c.domain}" '
                        f'action "{c.domain}"\n')
        return text + matches + 'match from any for any action "sink"\n'

    @staticmethod
    def login_line(_mechanism):
        return rf"authentication user={USER} .*result=ok"


class Dovecot(Peer):
    """A submission server that relays (by its own address: each of 127.0.0.* relays in
    another mode), LMTP by tcp and socket, and an auth socket. Almost all its paths are
    settings."""

    name = "Dovecot submission"

    def __init__(self, folder, ground, sink_port):
        self.ground = ground
        self.hosts = {c.domain: f"127.0.1.{i + 1}" for i, c in
                      enumerate(ground.cells_of(self.name))}
        self.ports = {m: free_port() for m in (REQUIRED, IMPLICIT)}
        self.lmtp_port = free_port()
        super().__init__(folder, sink_port)
        self.ports[CLEAR] = self.port

    @property
    def auth_socket(self):
        return self.folder / "base/auth-client"

    @property
    def lmtp_socket(self):
        return self.folder / "base/lmtp"

    def setup(self):
        needs_root()
        root = unpacked("dovecot-core", "dovecot-lmtpd", "dovecot-submissiond")
        places = [root / "usr/lib/dovecot"]
        env = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, places))}
        for name in ("base", "state", "mail"):
            (self.folder / name).mkdir()
            (self.folder / name).chmod(0o755)
        shutil.chown(self.folder / "mail", "mail", "mail")
        (self.folder / "users").write_text(
            f"{USER}:{{PLAIN}}{PASSWORD}::::::\n")
        (self.folder / "users").chmod(0o644)
        self.log_path = self.folder / "dovecot.log"
        config = self.folder / "dovecot.conf"
        config.write_text(self.configuration(root))
        self.spawn([sys.executable, peers.__file__, "dovecot", self.folder,
                    root / "usr/bin/doveconf", "-f", "service=master", "-c",
                    config, "-e", root / "usr/sbin/dovecot", "-F", "-c", config],
                   env=env)

    def configuration(self, root):
        g = self.ground
        text = f"""
base_dir = {self.folder}/base
state_dir = {self.folder}/state
libexec_dir = {root}/usr/lib/dovecot
import_environment = TZ LD_LIBRARY_PATH
default_internal_user = mail
default_internal_group = mail
default_login_user = nobody
protocols = submission lmtp
hostname = dovecot.test
log_path = {self.log_path}
auth_verbose = yes
auth_mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256 external
auth_username_format = %Ln
auth_ssl_username_from_cert = yes
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{g.server.path}
ssl_key = <{g.server.key}
ssl_ca = <{g.authority}
ssl_client_ca_file = {g.authority}
ssl_verify_client_cert = yes
ssl_require_crl = no
mail_location = maildir:{self.folder}/mail/%n
first_valid_uid = 1
mail_max_userip_connections = 1000
submission_max_mail_size = 50M
submission_relay_host = 127.0.0.1
submission_relay_port = {self.next_port}
submission_relay_ssl = no
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
passdb {{
  driver = passwd-file
  args = {self.folder}/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={self.folder}/mail/%n allow_all_users=yes
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    address = 127.0.0.1 {' '.join(self.hosts.values())}
    port = {self.port}
  }}
  inet_listener starttls {{
    address = 127.0.0.1
    port = {self.ports[REQUIRED]}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {self.ports[IMPLICIT]}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {self.lmtp_port}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""
        for c in g.cells_of(self.name):
            kind = ("no" if not c.is_secure else
                    "smtps" if c.is_implicit else "starttls")
            text += f"local {self.hosts[c.domain]} {{\n"
            text += f"  submission_relay_port = {c.port}\n"
            text += f"  submission_relay_ssl = {kind}\n"
            text += ("  submission_relay_ssl_verify = "
                     f"{'yes' if c.is_verified else 'no'}\n")
            if c.has_login:
                text += (f"  submission_relay_user = {USER}\n"
                         f"  submission_relay_password = {PASSWORD}\n")
            if "tap" in c.extra:
                text += "  submission_relay_trusted = yes\n"
            text += "}\n"
        return text

    def delivered(self):
        """The contents in all mailboxes, with CRLF."""
        return [p.read_bytes().replace(b"\n", b"\r\n")
                for p in (self.folder / "mail").glob("*/*/*")
                if p.is_file() and p.parent.name in ("new", "cur")]

    @staticmethod
    def login_line(mechanism):
        return rf"submission-login: Info: Login: user=<{USER}>, method={mechanism},"


class MatrixAioSmtpd(Peer):
    """aiosmtpd on three ports; what it got is in self.got, as (content, session)."""

    name = "aiosmtpd"

    def __init__(self, folder, ground):
        self.ground = ground
        self.ports = {m: free_port() for m in (CLEAR, REQUIRED, IMPLICIT)}
        self.got, self.lock, self.lines = [], threading.Lock(), ""
        super().__init__(folder)

    def setup(self):
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult
        peer = self

        class Handler:
            async def handle_DATA(self, _server, _session, envelope):
                with peer.lock:
                    peer.got.append(envelope)
                return "250 2.0.0 taken"

        def authenticator(_server, _session, _envelope, mechanism, data):
            good = (data.login, data.password) == (USER.encode(),
                                                   PASSWORD.encode())
            peer.lines += f"{mechanism} {data.login.decode()} {good}\n"
            return AuthResult(success=good)
        self.controllers = []
        for mode, port in self.ports.items():
            context = self.ground.server_context()
            how = {CLEAR: {}, REQUIRED: {"tls_context": context},
                   IMPLICIT: {"ssl_context": context}}[mode]
            c = Controller(Handler(), hostname="127.0.0.1", port=port,
                           enable_SMTPUTF8=True, authenticator=authenticator,
                           auth_require_tls=False, **how)
            # it tries whether it is there, with the server's side of TLS
            if mode == IMPLICIT:
                c._trigger_server = self.knock
            c.start()
            self.controllers.append(c)

    def knock(self):
        context = self.ground.context(Cell("", "", IMPLICIT, NO_LOGIN))
        with socket.create_connection(("127.0.0.1", self.ports[IMPLICIT]), 5) as s:
            with context.wrap_socket(s) as secured:
                secured.recv(1024)

    def log(self):
        return self.lines

    @staticmethod
    def login_line(mechanism):
        return rf"^{mechanism} {USER} True"

    def stop(self):
        for c in getattr(self, "controllers", []):
            c.stop()


# ------------------------------------------------------------- clients -------

def run(command, **kw):
    done = subprocess.run(list(map(str, command)), capture_output=True,
                          timeout=60, **kw)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return done


def swaks(g, cell, content, folder):
    data = folder / "data"  # it adds the last line end
    data.write_bytes(content.removesuffix(b"\r\n").replace(b"\r\n", b"\n"))
    words = ["--server", f"127.0.0.1:{cell.port}", "--from", SENDER, "--to",
             cell.rcpt, "--ehlo", "client.test", "--data", f"@{data}"]
    if cell.is_secure:
        words.append({OPTIONAL: "--tls-optional", REQUIRED: "--tls",
                      VERIFIED: "--tls"}.get(cell.mode, "--tls-on-connect"))
    if cell.is_verified:
        words += ["--tls-verify", "--tls-ca-path", g.authority]
    if cell.has_login:
        words += ["--auth", cell.mechanism, "--auth-user", USER,
                  "--auth-password", PASSWORD]
    if "pipelining" in cell.extra:
        words.append("--pipeline")
    run([find("swaks"), *words])


def msmtp(g, cell, content, folder):
    def on(is_so):
        return "on" if is_so else "off"
    lines = ["account default", "host 127.0.0.1", f"port {cell.port}",
             f"from {SENDER}", "domain client.test",
             f"tls {on(cell.is_secure)}", f"tls_starttls {on(not cell.is_implicit)}"]
    if cell.is_verified:
        lines += [f"tls_trust_file {g.authority}"]
    elif cell.is_secure:
        lines += ["tls_certcheck off"]
    if cell.has_login:
        lines += [f"auth {cell.mechanism.lower()}", f"user {USER}",
                  f"password {PASSWORD}"]
    if cell.mechanism == "EXTERNAL":
        lines += [f"tls_cert_file {g.client.path}",
                  f"tls_key_file {g.client.key}"]
    if "dsn" in cell.extra:
        lines += ["dsn_notify success,failure", "dsn_return headers"]
    config = folder / "msmtprc"
    config.write_text("\n".join(lines) + "\n")
    config.chmod(0o600)
    sender = cell.extra.get("sender", SENDER)
    run([find("msmtp"), "-C", config, "-f", sender, cell.rcpt],
        input=content.replace(b"\r\n", b"\n"))


def curl(g, cell, content, folder):
    data = folder / "data"
    data.write_bytes(content)
    scheme = "smtps" if cell.is_implicit else "smtp"
    words = ["-sS", f"{scheme}://127.0.0.1:{cell.port}/client.test",
             "--mail-from", cell.extra.get("sender", SENDER), "--mail-rcpt",
             cell.rcpt, "-T", data]
    if cell.is_secure and not cell.is_implicit:
        words.append("--ssl" if cell.mode == OPTIONAL else "--ssl-reqd")
    if cell.is_secure:
        words += ["--cacert", g.authority] if cell.is_verified else ["-k"]
    if cell.mechanism == "EXTERNAL":
        words += ["-u", f"{USER}:", "--cert", g.client.path, "--key",
                  g.client.key]
    elif cell.has_login:
        words += ["-u", f"{USER}:{PASSWORD}"]
    if cell.has_login:
        words += ["--login-options", f"AUTH={cell.mechanism}"]
    run([find("curl"), *words], env={**os.environ, "LC_ALL": "C.UTF-8"})


def python_smtplib(g, cell, content, _folder):
    context = g.context(cell)
    if cell.is_implicit:
        c = smtplib.SMTP_SSL("127.0.0.1", cell.port, "client.test", timeout=20,
                             context=context)
    else:
        c = smtplib.SMTP("127.0.0.1", cell.port, "client.test", timeout=20)
    with c:
        if cell.is_secure and not cell.is_implicit:
            c.starttls(context=context)
        c.ehlo()
        if cell.mechanism == "EXTERNAL":
            c.auth("EXTERNAL", lambda challenge=None: "",
                   initial_response_ok=False)
        elif cell.has_login:
            assert c.esmtp_features["auth"].split() == [cell.mechanism]
            c.login(USER, PASSWORD)
        assert c.sendmail(cell.extra.get("sender", SENDER), [cell.rcpt], content,
                          cell.extra.get("mail", ["BODY=8BITMIME"]),
                          cell.extra.get("rcpt", [])) == {}


class Piped:
    """A dialogue through a program that carries lines, in its own words."""

    def __init__(self, command, by_line=False):
        self.by_line = by_line  # it loses sight of what it has read beyond a line
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.errors = b""
        threading.Thread(target=self._errors, daemon=True).start()
        self.patience = threading.Timer(20, self.process.kill)
        self.patience.start()

    def _errors(self):
        while more := self.process.stderr.read(4096):
            self.errors += more

    def is_read(self):
        if self.process.poll() is not None:
            return True
        left = fcntl.ioctl(self.process.stdin, termios.FIONREAD, b"\0" * 4)
        return left == b"\0" * 4

    def reply(self):
        while True:
            line = self.process.stdout.readline()
            assert line, self.errors[-2000:]
            if re.match(rb"[2-5]\d\d ", line):
                return int(line[:3])

    def say(self, *lines, code=250):
        for line in lines:
            self.process.stdin.write(line if isinstance(line, bytes)
                                     else line.encode() + b"\r\n")
            got = self.reply()
            assert got == code, (line, got, self.errors[-2000:])

    def mail(self, cell, content):
        self.say(f"MAIL FROM:<{SENDER}> BODY=8BITMIME", f"RCPT TO:<{cell.rcpt}>")
        self.say("DATA", code=354)
        for line in (stuff(content) + b".\r").split(b"\n"):
            self.process.stdin.write(line + b"\n")
            while self.by_line and not self.is_read():
                time.sleep(0.0005)
        assert self.reply() == 250

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.patience.cancel()
        end(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()


def s_client(g, cell, content, _folder):
    words = ["openssl", "s_client", "-quiet", "-connect",
             f"127.0.0.1:{cell.port}", "-CAfile", g.authority]
    if not cell.is_implicit:
        words += ["-starttls", "smtp", "-name", "client.test"]
    if cell.is_verified:
        words += ["-verify_return_error", "-verify_ip", "127.0.0.1"]
    if cell.mechanism == "EXTERNAL":
        words += ["-cert", g.client.path, "-key", g.client.key]

    def encoded(text):
        return base64.b64encode(text.encode()).decode()
    with Piped(words) as p:
        if cell.is_implicit:
            assert p.reply() == 220
        p.say("EHLO client.test")
        if cell.mechanism == "PLAIN":
            p.say("AUTH PLAIN " + encoded(f"\0{USER}\0{PASSWORD}"), code=235)
        elif cell.mechanism == "LOGIN":
            p.say("AUTH LOGIN", encoded(USER), code=334)
            p.say(encoded(PASSWORD), code=235)
        elif cell.mechanism == "EXTERNAL":
            p.say("AUTH EXTERNAL =", code=235)
        p.mail(cell, content)


def gsasl_program():
    root = unpacked("gsasl")
    exe = root / "usr/bin/gsasl"
    if b"not found" in run(["ldd", exe]).stdout:
        raise Missing("gsasl lacks a library")
    return exe


def gsasl(g, cell, content, _folder):
    words = ["stdbuf", "-o0", gsasl_program(), "--smtp", f"--connect=127.0.0.1:{cell.port}",
             f"--mechanism={cell.mechanism}", f"--authentication-id={USER}",
             f"--password={PASSWORD}",
             "--starttls" if cell.is_secure else "--no-starttls"]
    if cell.is_verified:
        words.append(f"--x509-ca-file={g.authority}")
    else:
        words.append("--x509-ca-file=")
    if not cell.mechanism.endswith("-PLUS"):
        words.append("--no-cb")
    if cell.mechanism == "EXTERNAL":
        words += [f"--x509-cert-file={g.client.path}",
                  f"--x509-key-file={g.client.key}", "--authorization-id="]
    with Piped(words, by_line=True) as p:
        while p.reply() != 235:
            pass
        p.mail(cell, content)


CLIENTS = {"swaks": swaks, "msmtp": msmtp, "curl": curl,
           "smtplib": python_smtplib, "s_client": s_client, "gsasl": gsasl}
