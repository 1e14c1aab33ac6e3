#!/usr/bin/python3
"""Turns the page's files into a C table: embed.py OUT.c FILE ...

index.html is served at "/", all others at "/NAME". A file of a kind that has no media type
here is a fault of the build.
"""

import pathlib
import sys

MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def main(out, *names):
    arrays, rows = [], []
    for i, name in enumerate(names):
        path = pathlib.Path(name)
        data = path.read_bytes()
        data.decode("utf-8")
        place = "/" if path.name == "index.html" else "/" + path.name
        lines = [", ".join(str(b) for b in data[n:n + 24]) for n in range(0, len(data), 24)]
        arrays.append(f"static const unsigned char file{i}[] = {{\n" +
                      ",\n".join(lines) + "\n};\n")
        rows.append(f'    {{ "{place}", {{ .bytes = {{ .at = (const char *)file{i}, '
                    f'.len = sizeof(file{i}) }},\n'
                    f'      .media = "{MEDIA[path.suffix]}", .policy = PAGE_POLICY }} }},\n')
    pathlib.Path(out).write_text(
        '/* Made from the files in relay/page by embed.py. */\n'
        '#include "relay/admin/page.h"\n\n' + "\n".join(arrays) +
        "\nconst struct page_file page_files[] = {\n" + "".join(rows) +
        "    { NULL, { .media = NULL } },\n};\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
