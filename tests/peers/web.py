"""A relay's HTTP interface over TCP, and requests made by hand.

Web     a Relay with admin { http } and a token of each role.
Answer  status, headers (lower case) and body of one answer.
"""

import json
import re
import socket
import subprocess

from relay import Relay, free_port, program, wait_for_port

JSON = "Content-Type: application/json\r\n"


class Answer:
    def __init__(self, raw):
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1]) if raw.startswith(b"HTTP/1.") else 0
        self.headers = {k.lower(): v for k, _, v in
                        (line.partition(": ") for line in rest)}
        if self.headers.get("transfer-encoding") == "chunked":
            self.body = unchunk(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"

    @property
    def error(self):
        return json.loads(self.body)["error"]


def unchunk(data):
    out = b""
    while m := re.match(rb"([0-9a-fA-F]+)\r\n", data):
        size = int(m[1], 16)
        out += data[m.end():m.end() + size]
        data = data[m.end() + size + 2:]
    return out


def hear(s):
    """All that comes until the end."""
    answer = b""
    try:
        while part := s.recv(65536):
            answer += part
    except ConnectionError:
        pass
    return answer


class Web(Relay):
    def __init__(self, folder, *args, admin=None, **kw):
        self.http = free_port()
        super().__init__(folder, *args, admin={
            "http": f'"127.0.0.1:{self.http}"', **(admin or {})}, **kw)
        self.tokens = {}

    def start(self, wait=True):
        super().start(wait)
        wait_for_port(self.http, self.process)
        for role in ("read", "operator"):
            if role not in self.tokens:
                self.tokens[role] = self.add_token(role, role)
        return self

    def token(self, *words):
        return subprocess.run([program(), "token", *words, "-c", self.config],
                              capture_output=True, text=True, timeout=30)

    def add_token(self, name, role):
        done = self.token("add", name, "--role", role)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def dial(self, timeout=15):
        return socket.create_connection(("127.0.0.1", self.http), timeout)

    def raw(self, data, timeout=15):
        """What is said to exact bytes, until the end."""
        with self.dial(timeout) as s:
            try:
                s.sendall(data)
            except ConnectionError:
                pass
            return hear(s)

    def ask(self, method, path, token=None, body=None, headers="", host="localhost"):
        """token: a role, or the token itself; body: an object, or bytes."""
        data = b"" if body is None else (
            body if isinstance(body, bytes) else json.dumps(body).encode())
        token = self.tokens.get(token, token)
        head = f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}"
        if host:
            head += f"Host: {host}\r\n"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        if body is not None:
            head += f"Content-Length: {len(data)}\r\n"
        return Answer(self.raw(head.encode() + b"\r\n" + data))

    def change(self, path, token="operator", body=None, headers="", **kw):
        return self.ask("POST", path, token, {} if body is None else body,
                        JSON + headers, **kw)
