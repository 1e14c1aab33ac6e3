"""testssl.sh looks at the STARTTLS and the implicit listener: nothing above "low"."""

import json
import shutil
import subprocess
import threading

import pytest

from pki import Authority
from relay import LONG, Relay, free_port

GRAVE = ("MEDIUM", "HIGH", "CRITICAL", "FATAL")

# What a certificate of the test's own authority cannot have: somebody who answers for it.
NOT_OURS = ("cert_revocation",)


def look(name, words, authority, folder, found):
    out = folder / f"{name}.json"
    done = subprocess.run(
        ["testssl", "--quiet", "--color", "0", "--warnings", "batch",
         "--add-ca", authority.path, "--jsonfile", out,
         *([] if LONG else ["-p", "-s", "-f", "-P", "-S", "-U"]), *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=600)
    found[name] = (json.loads(out.read_text()) if out.exists() else None,
                   done.stdout)


@pytest.mark.skipif(not shutil.which("testssl"), reason="no testssl")
def test_testssl_finds_nothing_grave(tmp_path):
    authority = Authority(tmp_path)
    pairs = [authority.issue("relay.test", "localhost", "127.0.0.1"),
             authority.issue("relay.test", "localhost", "127.0.0.1",
                             kind="rsa:2048")]
    implicit, found = free_port(), {}
    certificates = ", ".join(f'"{c.path}"' for c in pairs)
    keys = ", ".join(f'"{c.key}"' for c in pairs)
    with Relay(tmp_path / "relay", {"*": "smtp://127.0.0.1:9"},
               top=f"tls {{ certificate = {{{certificates}}} "
                   f"key = {{{keys}}} }}\n"
                   f'listener "implicit" {{ address = "127.0.0.1:{implicit}" '
                   "tls = implicit }\n", listener="tls = optional") as relay:
        threads = [
            threading.Thread(target=look, args=(
                "starttls", ["-t", "smtp", f"localhost:{relay.port}"],
                authority, tmp_path, found)),
            threading.Thread(target=look, args=(
                "implicit", [f"localhost:{implicit}"], authority, tmp_path,
                found))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    for name, (findings, text) in found.items():
        assert findings, f"{name}: {text[-2000:]}"
        assert any(f["id"] == "TLS1_3" for f in findings), name
        grave = [f"{f['severity']} {f['id']}: {f['finding']}" for f in findings
                 if f["severity"] in GRAVE and f["id"].split()[0] not in NOT_OURS]
        assert not grave, f"{name}: {grave}"
