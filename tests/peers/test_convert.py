"""What the converter makes of a message means what the message meant.

Python's email package reads both and must find the same parts with the same bytes. Messages
are made at random, from a seed that a failure names.
"""

import email
import email.policy
import pathlib
import random
import subprocess

import pytest

import relay as relay_module

SEEDS = 400 if relay_module.LONG else 60


@pytest.fixture(scope="module")
def program():
    for folder in relay_module.program().parents[:4]:
        if (folder / "tests/peers/convert").exists():
            return folder / "tests/peers/convert"
    pytest.skip("no program `convert` beside waypost")


def convert(program, content, letters="", piece=0):
    done = subprocess.run([program, letters, str(piece)], input=content,
                          capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


TEXTS = ["plain words", "grüße", "From here", ".", "..", "--", "-- ", "=", "tab\t",
         "space ", "ä" * 60, "x" * 75, "x" * 76, "x" * 77, "", "=C3=A4", "日本語 " * 9]


def text(chance):
    lines = [chance.choice(TEXTS) for _ in range(chance.randrange(8))]
    return "".join(f"{line}\r\n" for line in lines).encode()


def leaf(chance, binary):
    """A part without its header, and its header."""
    kind = chance.choice(["text/plain; charset=utf-8", "text/html", "image/x", None])
    coding = chance.choice(["8bit", "binary", None, "7bit"])
    body = text(chance)
    if kind == "image/x":
        body = bytes(chance.choice(b"\x00\xff\xe4a" if binary else b"\xff\xe4a ")
                     for _ in range(chance.randrange(200))) + b"\r\n"
    elif binary and chance.random() < 0.4:
        body += b"bare\nand\rmore\x00\r\n"
    head = f"Content-Type: {kind}\r\n" if kind else ""
    head += f"Content-Transfer-Encoding: {coding}\r\n" if coding else ""
    return head.encode(), body


def part(chance, binary, depth=0):
    choice = chance.random()
    if depth < 4 and choice < 0.4:
        boundary = f"b{depth}{chance.choice(['', ' x', '=_'])}{chance.randrange(9)}"
        head = (f'Content-Type: multipart/mixed;\r\n\tboundary="{boundary}"\r\n'
                f"Content-Transfer-Encoding: 8bit\r\n").encode()
        body = b"preamble\r\n" if chance.random() < 0.3 else b""
        for _ in range(chance.randrange(1, 4)):
            inner_head, inner = part(chance, binary, depth + 1)
            body += b"--" + boundary.encode() + b"\r\n" + inner_head + b"\r\n"
            body += inner + b"\r\n"
        return head, body + b"--" + boundary.encode() + b"--\r\n"
    if depth < 4 and choice < 0.5:
        inner_head, inner = part(chance, binary, depth + 1)
        return (b"Content-Type: message/rfc822\r\n",
                b"Subject: inner\r\nMIME-Version: 1.0\r\n" + inner_head +
                b"\r\n" + inner)
    return leaf(chance, binary)


def meaning(content):
    """The tree of types, and of each leaf its bytes."""
    def walk(m):
        if m.is_multipart():
            return (m.get_content_type(), m.get("Subject"),
                    [walk(p) for p in m.get_payload()])
        return m.get_content_type(), m.get("Subject"), m.get_payload(decode=True)
    return walk(email.message_from_bytes(content))


@pytest.mark.parametrize("binary", [False, True], ids=["lines", "binary"])
def test_it_means_the_same(program, binary):
    for seed in range(SEEDS):
        chance = random.Random(seed)
        head, body = part(chance, binary)
        content = b"Subject: x\r\nMIME-Version: 1.0\r\n" + head + b"\r\n" + body
        letters = "b" if binary else ""
        got = convert(program, content, letters)
        assert max(got) < 128, seed
        assert got == convert(program, content, letters,
                              chance.randrange(1, 40)), seed
        assert not binary or got.replace(b"\r\n", b"").translate(
            None, b"\r\n\0") == got.replace(b"\r\n", b""), seed
        # Python takes bare line ends in a part for lines, so it is asked only about lines.
        if not binary:
            assert meaning(got) == meaning(content), (seed, content, got)
        assert convert(program, got, letters) == got, seed


def test_it_is_quick(program):
    content = b"A: b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    content += ("grüße " * 12 + "\r\n").encode() * 100000
    assert meaning(convert(program, content))[2] == meaning(content)[2]


def test_a_message_of_delimiters_is_no_trouble(program):
    """As many multiparts as may be open, and lines that could end any of them."""
    head = b"".join(b"Content-Type: multipart/x; boundary=%d\r\n\r\n--%d\r\n" % (i, i)
                    for i in range(99))
    content = head + b"\r\n" + b"--not this\r\n" * 200000 + "ä\r\n".encode()
    assert convert(program, content).endswith(b"=C3=A4\r\n")


def test_folded_lines_are_short(program):
    content = b"Subject: " + b"word " * 300 + b"\r\n\r\n" + b"y" * 3000 + b"\r\n"
    got = convert(program, content, "f")
    assert all(len(line) <= 76 for line in got.split(b"\r\n"))
    assert got.split(b"\r\n\r\n")[0].replace(b"\r\n", b"") == content.split(b"\r\n\r\n")[0]
    assert got.count(b"y") == 3000
