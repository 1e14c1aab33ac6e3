"""Text files as C strings: quote_text.py OUTPUT NAME.KIND ... makes completion_KIND of each."""

import json
import pathlib
import sys

output, *names = sys.argv[1:]
text = '#include "relay/main/completion_text.h"\n'
for path in map(pathlib.Path, names):
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    text += f"\nconst char completion_{path.suffix[1:]}[] =\n    "
    text += "\n    ".join(map(json.dumps, lines)) + ";\n"
pathlib.Path(output).write_text(text, encoding="ascii")
