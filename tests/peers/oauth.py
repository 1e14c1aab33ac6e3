"""An OAuth 2 token server with knobs, and a next hop that takes its tokens.

TokenServer  answers the client credentials and refresh token grants (RFC 6749 4.4, 6) on a
             port of 127.0.0.1, with TLS when it is given an ssl.SSLContext.
BearerSink   a Sink whose only logins are XOAUTH2 and OAUTHBEARER with a token that such a
             server holds for good at that moment.

Plain Python 3.11; nothing here knows pytest.
"""

import base64
import http.server
import json
import re
import secrets
import socketserver
import threading
import time
import urllib.parse

from relay import Sink, _SinkSession


class _HttpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    tls = None

    def finish_request(self, request, client_address):
        if self.tls:  # in the connection's thread, so that nobody waits for it
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # a client that does not trust us is a test's wish


class TokenServer:
    """Knobs, to be turned at any time:

    life       seconds that a token is good, told as expires_in (None: not told)
    clients    {client id: secret, or None for a public client}
    methods    how a client may show its secret: of "basic", "form"
    refusal    (status, JSON object or text) that is answered to everybody, or None
    outage     503 to everybody; stop() and start() refuse the connection instead
    rotate     each refresh token serves once, and the next one comes with the token
    delay      seconds before each answer

    requests has a dictionary for each one answered or refused; secrets is all that must
    not be seen anywhere else.
    """

    def __init__(self, tls=None, life=3600, clients=None, port=0):
        self.tls, self.life, self.port = tls, life, port
        self.clients = clients if clients is not None else {}
        self.methods = {"basic", "form"}
        self.refusal, self.outage, self.rotate, self.delay = None, False, False, 0
        self.lock, self.requests = threading.Lock(), []
        self.tokens, self.refresh_tokens, self.secrets = {}, set(), set()
        self.secrets |= {s for s in self.clients.values() if s}
        self.http = None
        self.start()

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/token"

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer._answer(self)

            def log_message(self, *_):
                pass
        self.http = _HttpServer(("127.0.0.1", self.port), Handler)
        self.http.tls = self.tls
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, args=(0.02,),
                         daemon=True).start()

    def stop(self):
        server, self.http = self.http, None
        if server:
            server.shutdown()
            server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    # ---------------------------------------------------------- its tokens ----

    def issue(self):
        token = "tok-" + secrets.token_urlsafe(24)
        with self.lock:
            self.tokens[token] = time.monotonic() + (self.life or 300)
            self.secrets.add(token)
        return token

    def issue_refresh(self):
        token = "ref-" + secrets.token_urlsafe(24)
        with self.lock:
            self.refresh_tokens.add(token)
            self.secrets.add(token)
        return token

    def is_good(self, token):
        with self.lock:
            return self.tokens.get(token, 0) > time.monotonic()

    def revoke(self):
        """All tokens given so far."""
        with self.lock:
            self.tokens.clear()

    @property
    def granted(self):
        """How many requests got a token."""
        return sum(1 for r in self.requests if r["status"] == 200)

    # --------------------------------------------------------- its answers ----

    def _answer(self, handler):
        size = int(handler.headers.get("Content-Length", 0))
        body = handler.rfile.read(size).decode()
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        time.sleep(self.delay)
        status, said = self._judge(handler, form)
        with self.lock:
            self.requests.append({"status": status, "form": form,
                                  "path": handler.path,
                                  "basic": "Authorization" in handler.headers,
                                  "proxied": "Via" in handler.headers})
        out = (said if isinstance(said, str) else json.dumps(said)).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Cache-Control", "no-store")
        handler.send_header("Content-Length", str(len(out)))
        handler.end_headers()
        handler.wfile.write(out)

    def _judge(self, handler, form):
        if self.outage:
            return 503, "busy"
        if self.refusal:
            return self.refusal
        kind = handler.headers.get("Content-Type", "")
        if kind != "application/x-www-form-urlencoded":
            return 415, {"error": "invalid_request"}
        if not self._knows(handler.headers.get("Authorization"), form):
            return 401, {"error": "invalid_client"}
        answer = {"token_type": "Bearer"}
        if form.get("grant_type") == "refresh_token":
            if not self._take_refresh(form.get("refresh_token"), answer):
                return 400, {"error": "invalid_grant",
                             "error_description": "expired or revoked"}
        elif form.get("grant_type") != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        answer["access_token"] = self.issue()
        if self.life is not None:
            answer["expires_in"] = self.life
        return 200, answer

    def _knows(self, authorization, form):
        if authorization:
            if "client_secret" in form or "basic" not in self.methods:
                return False
            kind, _, text = authorization.partition(" ")
            name, _, secret = base64.b64decode(text).decode().partition(":")
            name, secret = map(urllib.parse.unquote_plus, (name, secret))
            return kind == "Basic" and self.clients.get(name) == secret
        name, secret = form.get("client_id"), form.get("client_secret")
        if name not in self.clients or \
                (secret is not None and "form" not in self.methods):
            return False
        return self.clients[name] == secret

    def _take_refresh(self, token, answer):
        with self.lock:
            if token not in self.refresh_tokens:
                return False
            if self.rotate:
                self.refresh_tokens.discard(token)
        if self.rotate:
            answer["refresh_token"] = self.issue_refresh()
        return True


# -------------------------------------------------------------- next hop ----

class _BearerSession(_SinkSession):
    # RFC 7628 3.1; XOAUTH2 is Google's and Microsoft's form of the same
    FORMS = {b"XOAUTH2": rb"user=([^\x01]*)\x01auth=Bearer ([^\x01]*)\x01\x01",
             b"OAUTHBEARER": rb"n,a=([^,\x01]*),\x01(?:[a-z]+=[^\x01]*\x01)*?"
                             rb"auth=Bearer ([^\x01]*)\x01\x01"}

    def do_auth(self, line):
        words = line.split(b" ")
        form = self.FORMS.get(words[1].upper())
        if not form or words[1].decode().upper() not in self.sink.auth.split():
            self.act(self.ask("auth", line), b"504 5.5.4 not that one\r\n")
            return
        said = base64.b64decode(words[2]) if len(words) > 2 \
            else self.challenge(b"")
        got = re.fullmatch(form, said)
        user, token = (g.decode() for g in got.groups()) if got else ("", "")
        good = user == self.sink.user and self.sink.tokens.is_good(token)
        if not good:  # the error, which the client answers before it hears 535
            self.challenge(b'{"status":"401","schemes":"bearer"}')
        usual = b"235 2.7.0 welcome\r\n" if good else \
            b"535 5.7.8 Username and token not accepted\r\n"
        self.login = None
        if self.act(self.ask("auth", words[1]), usual) == b"235":
            self.login = user


class BearerSink(Sink):
    """MAIL needs a login of `user` with a token that `tokens`, a TokenServer, finds
    good when it is shown."""

    def __init__(self, tokens, user="us@big.test", auth="OAUTHBEARER XOAUTH2",
                 **kw):
        self.tokens, self.user = tokens, user
        super().__init__(logins={}, auth=auth, **kw)

    def session(self, s, number):
        return _BearerSession(self, s, number)
