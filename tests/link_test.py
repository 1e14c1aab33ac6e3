"""What judges does no I/O: the tests of policy/ run with neither libuv nor SQLite nor
libssl in the process."""

import subprocess
import sys

ABOVE = ("libuv.", "libsqlite3.", "libssl.", "libunbound.", "libcurl.")
faults = 0
for program in sys.argv[1:]:
    needed = subprocess.run(["ldd", program], capture_output=True, text=True,
                            check=True).stdout
    for name in needed.split():
        if name.startswith(ABOVE):
            print(f"{program}: is linked with {name}")
            faults += 1
print(f"{len(sys.argv) - 1} programs, {faults} faults")
sys.exit(1 if faults or len(sys.argv) < 2 else 0)
