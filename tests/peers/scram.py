"""An SMTP server that speaks SCRAM-SHA-256 (RFC 5802, 7677), honestly or not."""

import base64
import hashlib
import hmac
import os
import re

from relay import Sink, _SinkSession


def _mac(key, text):
    return hmac.new(key, text, "sha256").digest()


class _ScramSession(_SinkSession):
    def do_auth(self, line):
        words = line.split(b" ")
        if words[1].upper() != b"SCRAM-SHA-256":
            super().do_auth(line)
            return
        sink = self.sink
        bare = base64.b64decode(words[2]).split(b",", 2)[2]
        user, nonce = re.fullmatch(rb"n=([^,]*),r=(.*)", bare).groups()
        salt = base64.b64encode(b"sixteen bytes ..").decode()
        first = (f"r={nonce.decode()}{os.urandom(9).hex()},s={salt},"
                 f"i={sink.iterations}").encode()
        last = self.challenge(first)
        if last == b"*":
            return      # it has cancelled
        bound, proof = last.rsplit(b",p=", 1)
        text = b",".join([bare, first, bound])
        password = sink.logins.get(user.decode(), "").encode()
        salted = hashlib.pbkdf2_hmac("sha256", password, base64.b64decode(salt),
                                     min(sink.iterations, 1000000))
        key = _mac(salted, b"Client Key")
        sign = _mac(hashlib.sha256(key).digest(), text)
        good = bytes(a ^ b for a, b in zip(key, sign)) == base64.b64decode(proof)
        if sink.is_impostor == "hasty":
            self.act(self.ask("auth", line), b"235 2.7.0 welcome\r\n")
            return
        if sink.is_impostor:
            salted = b"it has never seen the password .."
            good = True
        if good:
            signature = _mac(_mac(salted, b"Server Key"), text)
            self.challenge(b"v=" + base64.b64encode(signature))
        code = self.act(self.ask("auth", line), b"235 2.7.0 welcome\r\n" if good
                        else b"535 5.7.8 no\r\n")
        self.login = user.decode() if code == b"235" else None

    def challenge(self, text):
        self.act(self.ask("challenge", text),
                 b"334 " + base64.b64encode(text) + b"\r\n")
        line = self.read_line()
        return line if line == b"*" else base64.b64decode(line)


class ScramSink(Sink):
    """is_impostor: signs with a key of its own; "hasty": is content before it has."""

    def __init__(self, *a, iterations=4096, is_impostor=False, **kw):
        self.iterations, self.is_impostor = iterations, is_impostor
        super().__init__(*a, auth="SCRAM-SHA-256", **kw)

    def session(self, s, number):
        return _ScramSession(self, s, number)
