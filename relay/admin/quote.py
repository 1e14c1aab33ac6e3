"""A JSON file as a C string: quote.py OUTPUT INPUT NAME. Fails where it is no JSON."""

import json
import sys

output, source, name = sys.argv[1:]
with open(source, encoding="utf-8") as f:
    text = json.dumps(json.load(f), separators=(",", ":"))
lines = [json.dumps(text[i:i + 80]) for i in range(0, len(text), 80)]
with open(output, "w", encoding="ascii") as f:
    f.write(f"extern const char {name}[];\n\nconst char {name}[] =\n    ")
    f.write("\n    ".join(lines) + ";\n")
