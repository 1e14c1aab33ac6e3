#!/usr/bin/python3
"""prove - do the crash tests catch a relay that breaks its promises?

    tests/fault/prove.py [ack-before-commit] [no-sync] [bare-dot] [doubt-is-delivered]
                         [fetch-ack-before-commit]

For each break: a copy of the tree is changed in one place, built, and given to the
test that should catch it. That test must fail, or notice. Run by hand; takes about two
minutes for each. Exit code 0 when all were caught.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
PYTEST = ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-x", "-p",
          "no:cacheprovider"]

ACK_BEFORE_COMMIT = (
    "relay/inbound/intake_pump.c",
    "        v->body = NULL;\n        return;\n",
    "        v->body = NULL;\n"
    "        on_stored(i->worker, v->token, 0, d->id);\n        return;\n")

# name: (file, what stands there, what is put in its place, the test, its exit code
# when it catches the break)
BREAKS = {
    "ack-before-commit": (
        *ACK_BEFORE_COMMIT,
        ["/usr/bin/python3", "-B", "tests/fault/kill.py", "--kills", "10",
         "--expect-loss"], 0),
    "fetch-ack-before-commit": (
        *ACK_BEFORE_COMMIT,
        ["/usr/bin/python3", "-B", "tests/fault/turned.py", "--side", "customer",
         "--kills", "10", "--expect-loss"], 0),
    "doubt-is-delivered": (
        "relay/outbound/settlement.c",
        "    case DIAGNOSIS_IN_DOUBT:\n        defer(s, i);\n",
        "        defer(s, i);\n        return;\n    case DIAGNOSIS_IN_DOUBT:\n"
        "        r->outcome = OUTCOME_DELIVERED;\n",
        ["/usr/bin/python3", "-B", "tests/fault/turned.py", "--side", "customer",
         "--kills", "30", "--expect-loss"], 0),
    "no-sync": (
        "queue/database.c", "PRAGMA synchronous=FULL;",
        "PRAGMA synchronous=OFF;", [*PYTEST, "tests/fault/test_power.py"], 1),
    "bare-dot": (
        "relay/inbound/content.c",
        "        { DOT_CR, 0 },\n        { LOOSE, ONE_DOT | LINE_END | BARE },\n",
        "        { DOT_CR, 0 },\n        { END, 0 },\n",
        [*PYTEST, "tests/peers/test_cases.py", "-k", "A0"], 1),
}


def copy_of_tree(folder):
    tree = pathlib.Path(folder) / "tree"
    shutil.copytree(TREE, tree,
                    ignore=shutil.ignore_patterns("build*", ".git"))
    return tree


def change(tree, name):
    path, old, new = BREAKS[name][:3]
    text = (tree / path).read_text()
    assert text.count(old) == 1, f"{path} has changed: {name} must follow it"
    (tree / path).write_text(text.replace(old, new))


def build(tree):
    subprocess.run(["meson", "setup", "build"], cwd=tree, check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", "build"], cwd=tree, check=True,
                   stdout=subprocess.DEVNULL)


def is_caught(name):
    with tempfile.TemporaryDirectory(prefix="waypost-prove-") as folder:
        tree = copy_of_tree(folder)
        change(tree, name)
        build(tree)
        where = dict(os.environ, WAYPOST_BUILD=str(tree / "build"),
                     WAYPOST_EXE=str(tree / "build/relay/main/waypost"))
        done = subprocess.run(BREAKS[name][3], cwd=tree, env=where,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        print("\n".join(done.stdout.splitlines()[-3:]))
        return done.returncode == BREAKS[name][4]


def main():
    names = sys.argv[1:] or list(BREAKS)
    missed = [n for n in names if not is_caught(n)]
    for n in names:
        print(f"{n}: {'NOT CAUGHT' if n in missed else 'caught'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
