"""resolver { mode = recurse }: from a root of one's own down, in a network of one's own.

Run by test_dns.py, since a network can only be entered by a process as a whole.
recursion.py FOLDER: anchor.key of some other zone must lie in it.
"""

import pathlib
import sys

import island

SERVER = "192.0.2.53"

ROOT = f"""$ORIGIN .
$TTL 300
@ IN SOA a.root. hostmaster.root. 1 3600 600 86400 1
@ IN NS a.root.
a.root. IN A {SERVER}
plain.example. IN NS ns.plain.example.
ns.plain.example. IN A {SERVER}
dead.example. IN NS ns.dead.example.
ns.dead.example. IN A 192.0.2.54
"""


def main(folder):
    island.enter([SERVER])
    import test_dns
    from nsd import NameServer
    from relay import LONG

    (folder / "..zone").write_text(ROOT)
    (folder / "hints").write_text(f". 300 IN NS a.root.\n"
                                  f"a.root. 300 IN A {SERVER}\n")
    with NameServer(folder, {".": None, "plain.example":
                             test_dns.plain_zone()}) as s:
        s.stop()
        conf = (folder / "nsd.conf").read_text().replace(
            "server:", f"server:\n  ip-address: {SERVER}@53", 1)
        (folder / "nsd.conf").write_text(conf)
        s.start()
        with test_dns.Lookup("recurse", f"hints={folder}/hints",
                             f"anchor={folder}/anchor.key") as r:
            a = r.mx("order.plain.example")
            assert (a.kind, len(a.hosts)) == ("ok", 4), a
            kinds = {n: a.kind for n, a in r.ask(
                "mx", "nothere.plain.example", "nothere",
                "text.plain.example").items()}
            assert kinds == {"nothere.plain.example": "no-domain",
                             "nothere": "no-domain",
                             "text.plain.example": "no-data"}, kinds
            if LONG:  # 30 s
                assert r.mx("x.dead.example").kind == "failed"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
