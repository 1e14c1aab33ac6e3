"""ledger_run - what kill.py and turned.py do alike: options, generator, the wait until all has
arrived, the verdict as one JSON line.

A run has a ledger, a generator while it lasts, and the times of its kills.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from relay import tool


def options(name, **usual):
    """usual: what is taken where the call does not say, of each option that has no default
    here."""
    p = argparse.ArgumentParser(prog=name)
    p.add_argument("--kills", type=int)
    p.add_argument("--seconds-between")
    p.add_argument("--sessions", type=int)
    p.add_argument("--size", type=int, default=4096)
    p.add_argument("--large-every", type=int)
    p.add_argument("--ahead", type=int)
    p.add_argument("--rate", type=int)
    p.add_argument("--slots", type=int, default=0)
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--patience", type=float, default=60)
    p.add_argument("--keep", action="store_true")
    p.add_argument("--exe")
    p.add_argument("--expect-loss", action="store_true")
    p.set_defaults(**usual)
    return p


def start_generator(o, ledger, port):
    return subprocess.Popen(
        [tool("ledger_generator"), "--port", str(port), "--ledger", ledger.path,
         "--sessions", str(o.sessions), "--size", str(o.size),
         "--large-every", str(o.large_every), "--ahead", str(o.ahead),
         "--rate", str(o.rate), "--mixed"], stdout=subprocess.PIPE)


def stop_generator(generator):
    """How many messages were acknowledged to it."""
    generator.send_signal(signal.SIGTERM)
    return json.loads(generator.communicate(timeout=120)[0])["acked"]


def drain(ledger, seconds, waiting):
    """Until waiting() is nothing, or nothing moves for so long."""
    still, last = time.monotonic() + seconds, -1
    while time.monotonic() < still:
        copies = ledger.head()["copies"]
        if copies != last:
            last, still = copies, time.monotonic() + seconds
        try:
            if not waiting():
                time.sleep(1)  # in which a second copy would come
                return True
        except (RuntimeError, subprocess.TimeoutExpired):
            pass
        time.sleep(0.2)
    return False


def in_own_folder(o, run, name):
    """run(o, folder) -> the result, which is printed, too."""
    if o.exe:
        os.environ["WAYPOST_EXE"] = o.exe
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"waypost-{name}-", dir="/tmp"))
    try:
        result = run(o, folder)
    finally:
        if o.keep:
            print(f"kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result), flush=True)
    return result


def carry_out(o, run, *at_least_one):
    """The exit code of such a run: all promises hold, and something was acknowledged and counted
    under each of these names."""
    result = in_own_folder(o, run, "kill")
    if o.expect_loss:
        return 0 if result["lost"] > 0 else 1
    is_good = (result["queue_empty"] and
               all(result[k] > 0 for k in ("acknowledged", *at_least_one)) and
               not any(result[k] for k in ("lost", "duplicates", "bad", "strangers")))
    return 0 if is_good else 1
