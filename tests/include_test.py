#!/usr/bin/python3
"""The architecture rests on the direction of includes, so this reads every one.

policy/vocabulary < policy; queue stands on policy/vocabulary; relay uses queue/queue.h and
all of policy; inside relay: net < inbound, outbound, admin < main. Each unit test includes
and links its own floor and those below. Base names are unique, and the top level holds
exactly what it should.

Prints a line for each fault; exit 1 when there was one.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLOORS = ("policy", "queue", "relay")
TOP = {"relay", "queue", "policy", "tests", "meson.build", "README.md", "LICENSE",
       ".ci", ".clang-format", ".clang-tidy", ".gitignore"}

# Folder of the includer -> what it may include; the longest folder that fits counts.
ALLOWED = {
    "policy/vocabulary": ("policy/vocabulary/",),
    "policy": ("policy/",),
    "queue": ("queue/", "policy/vocabulary/"),
    "relay/net": ("relay/net/", "queue/queue.h", "policy/"),
    "relay/inbound": ("relay/inbound/", "relay/net/", "queue/queue.h", "policy/"),
    "relay/outbound": ("relay/outbound/", "relay/net/", "queue/queue.h", "policy/"),
    "relay/admin": ("relay/admin/", "relay/net/", "queue/queue.h", "policy/"),
    "relay/main": ("relay/", "queue/queue.h", "policy/"),
}

# Headers of the system that a floor must not see: policy does no I/O and has no
# clock, queue knows no sockets and no loop, SQLite ends at queue.
NETWORK = ("uv.h", "sys/socket.h", "netinet/", "sys/un.h", "netdb.h", "openssl/",
           "curl/", "microhttpd.h", "unbound.h")
FORBIDDEN = {
    "policy": NETWORK + ("sqlite3.h", "pthread.h", "threads.h", "time.h",
                         "sys/time.h", "fcntl.h", "unistd.h", "poll.h"),
    "queue": NETWORK,
    "relay": ("sqlite3.h",),
}

# A file that somebody else keeps in SQLite is no store; its header says why it may.
EXEMPT = {("relay/main/sqltable.c", "<sqlite3.h>")}

# What the rules say of made-up lines, so that a rule that says yes to all is seen.
EXAMPLES = [
    ("policy/a.c", '"policy/judge.h"', True),
    ("policy/a.c", '"queue/queue.h"', False),
    ("policy/a.c", '"relay/net/log.h"', False),
    ("policy/a.c", "<uv.h>", False),
    ("policy/a.c", "<time.h>", False),
    ("policy/vocabulary/a.c", '"policy/judge.h"', False),
    ("queue/a.c", '"policy/vocabulary/span.h"', True),
    ("queue/a.c", '"policy/judge.h"', False),
    ("queue/a.c", "<sqlite3.h>", True),
    ("queue/a.c", "<sys/socket.h>", False),
    ("relay/net/a.c", '"relay/inbound/session.h"', False),
    ("relay/inbound/a.c", '"relay/outbound/client.h"', False),
    ("relay/outbound/a.c", '"relay/inbound/session.h"', False),
    ("relay/admin/a.c", '"relay/main/verbs.h"', False),
    ("relay/admin/a.c", '"queue/store.h"', False),
    ("relay/main/a.c", '"relay/inbound/session.h"', True),
    ("relay/main/a.c", "<sqlite3.h>", False),
    ("tests/unit/test_a.c", '"policy/judge.h"', True),
]

faults = []


def fault(text):
    faults.append(text)
    print(text)


def rule_of(path, rules):
    """The rule for the longest folder of `path` that has one."""
    folder = str(pathlib.PurePosixPath(path).parent)
    while folder not in rules:
        if "/" not in folder:
            return None
        folder = folder.rsplit("/", 1)[0]
    return rules[folder]


def is_allowed(path, name):
    """May the file include `name`, as written with "" or <>?"""
    if name.startswith('"'):
        rule = rule_of(path, ALLOWED)
        return rule is None or name.strip('"').startswith(rule)
    rule = rule_of(path, FORBIDDEN)
    return rule is None or not name.strip("<>").startswith(rule)


def check_examples():
    for path, name, expected in EXAMPLES:
        if is_allowed(path, name) != expected:
            fault(f"include_test.py is wrong itself about {name} in {path}")


def includes(path):
    """(line number, name with its quotes) of a file."""
    text = (ROOT / path).read_text(errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+("[^"]*"|<[^>]*>)', line)
        if m:
            yield number, m.group(1)


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            yield path.relative_to(ROOT).as_posix()


def check_includes():
    for path in sources(*FLOORS):
        for number, name in includes(path):
            if not is_allowed(path, name) and (path, name) not in EXEMPT:
                fault(f"{path}:{number}: must not include {name}")
            elif name.startswith('"') and not (ROOT / name.strip('"')).is_file():
                fault(f"{path}:{number}: {name} is not a path from the root")


def check_names():
    seen = {}
    for path in sources(*FLOORS):
        stem = path.rsplit(".", 1)[0]
        base = stem.rsplit("/", 1)[1]
        other = seen.setdefault(base, stem)
        if other != stem:
            fault(f"{path}: the base name is that of {other} too")


def check_unit_tests():
    """Each is in one list; its includes and its libraries are those of its floor."""
    text = (ROOT / "tests/unit/meson.build").read_text()
    listed = {}
    for floor in FLOORS:
        m = re.search(rf"^{floor}_tests\s*=\s*\[(.*?)\]", text, re.M | re.S)
        if not m:
            fault(f"tests/unit/meson.build: no list {floor}_tests")
            continue
        for name in re.findall(r"'(\w+)'", m.group(1)):
            if name in listed:
                fault(f"tests/unit/meson.build: {name} is listed twice")
            listed[name] = floor
        m = re.search(rf"foreach name : {floor}_tests.*?dependencies: \[(.*?)\]",
                      text, re.S)
        linked = set(re.findall(r"\w+", m.group(1))) if m else set()
        above = set(FLOORS[FLOORS.index(floor) + 1:]) & linked
        if not m or floor not in linked or above:
            fault(f"tests/unit/meson.build: {floor}_tests link {sorted(linked)}")
    # Those with a row of their own: the highest floor that they link counts.
    for name, names in re.findall(
            r"executable\('test_(\w+)',.*?dependencies: \[(.*?)\]", text, re.S):
        linked = [f for f in FLOORS if f in re.findall(r"\w+", names)]
        if linked:
            listed.setdefault(name, linked[-1])
    for path in sorted((ROOT / "tests/unit").glob("test_*.c")):
        name = path.stem[len("test_"):]
        floor = listed.get(name)
        if not floor:
            fault(f"tests/unit/{path.name}: in no list of meson.build")
            continue
        above = tuple(f + "/" for f in FLOORS[FLOORS.index(floor) + 1:])
        for number, include in includes(f"tests/unit/{path.name}"):
            if above and include.strip('"').startswith(above):
                fault(f"tests/unit/{path.name}:{number}: a {floor} test must not "
                      f"include {include}")


def check_top():
    out, names = None, set()
    if (ROOT / ".git").exists() and shutil.which("git"):
        out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others",
                              "--exclude-standard"], cwd=ROOT,
                             capture_output=True, text=True)
        names = {n.split("/")[0] for n in out.stdout.split("\0") if n}
    if out is None or out.returncode:
        names = {n for n in os.listdir(ROOT)
                 if not n.startswith("build") and n not in (".git", ".cache")}
    for name in sorted(names - TOP):
        fault(f"{name}: does not belong on the top level")
    for name in sorted(TOP - names):
        fault(f"{name}: is missing on the top level")


check_examples()
check_includes()
check_names()
check_unit_tests()
check_top()
print(f"{len(faults)} fault{'' if len(faults) == 1 else 's'}")
sys.exit(1 if faults else 0)
