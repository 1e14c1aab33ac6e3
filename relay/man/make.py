#!/usr/bin/python3
"""Makes a man page: make.py PAGE.scd OUTPUT ROOT SCDOC PROGRAM.

PAGE.scd is scdoc(5) text with lines that are replaced, so that nothing is written twice:

    @VERBS@            what `waypost help --man` prints
    @KEYS@           the manual's table of every key, with the types of the program's tables
    @FILE HEADING@   that section of FILE (README.md, or of the manual), without its subsections
    @FILE HEADING+@  ... and with them
"""

import pathlib
import re
import subprocess
import sys

# ------------------------------------------------- Markdown as scdoc's ----


def escaped(text):
    text = re.sub(r"([\\*_])", r"\\\1", text)
    return re.sub(r"^([#\[\]|<\"+.'-])", r"\\\1", text)


def inline(text):
    """`code` and **strong** are bold, *this* is underlined, links are their text."""
    text = re.sub(r"\[([^][]+)\]\([^)]*\)", r"\1", " ".join(text.split()))
    out = ""
    marks = r"(\*\*.+?\*\*|``? ?[^`]+ ?``?|(?<![\w*])\*\w[^*`]*\w\*(?![\w*]))"
    for i, part in enumerate(re.split(marks, text)):
        if not i % 2:
            part = re.sub(r"([\\*_])", r"\\\1", part)
            out += part if out else re.sub(r"^([#\[\]|<\"+.'-])", r"\\\1", part)
        elif part.startswith("`"):
            out += f"*{escaped(part.strip('`').strip())}*"
        elif part.startswith("**"):
            out += f"*{escaped(part[2:-2].replace('`', ''))}*"
        else:
            out += f"_{escaped(part[1:-1])}_"
    return out


def cells(line):
    return [c.strip().replace("\\|", "|")
            for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def entry(term, text):
    return f"{term}\n\t{text or '-'}\n\n"


# Columns that need no name.
PLAIN = ("means", "does", "what has happened")


def table(rows):
    """The first column is the term; what the others are is said where it must be."""
    head, out = cells(rows[0]), ""
    for row in rows[2:]:
        first, *middle, last = cells(row)
        if head[-1] == "commands":
            commands = "".join(f"\t$ {c}\n" for c in re.findall(r"`([^`]+)`", last))
            out += f"{inline(first)}\n\n\t```\n{commands}\t```\n\n"
            continue
        said = [inline(c) if h in PLAIN or len(head) == 2 else f"{h}: {inline(c)}"
                for h, c in zip(head[1:], middle + [last]) if c]
        out += entry(inline(first), "++\n".join(said))
    return out


def scdoc(markdown):
    out = ""
    for fence, text in re.findall(r"^```\n(.*?)^```$|(.+?)(?=^```\n|\Z)", markdown, re.S | re.M):
        if fence:
            out += "\n\t```\n" + re.sub("^", "\t", fence, flags=re.M).rstrip("\t") + \
                "\t```\n\n"
            continue
        for part in re.split(r"\n\n+", text.strip()):
            if part.startswith("#"):
                out += f"## {part.lstrip('# ')}\n\n"
            elif part.startswith("|"):
                out += table(part.splitlines())
            elif part.startswith("- "):
                out += "".join(f"- {inline(i)}\n" for i in re.split(r"^- ", part, flags=re.M)[1:])
                out += "\n"
            else:
                out += inline(part) + "\n\n"
    return out


def section(root, name, heading):
    """What stands below the heading."""
    path = root / name if name == "README.md" else root / "relay/manual" / name
    text = path.read_text(encoding="utf-8")
    whole = heading.endswith("+")
    found = re.search(rf"^(##+) {re.escape(heading.rstrip('+'))}\n(.*?)(?=^##+ |\Z)",
                      text, re.S | re.M)
    if not found:
        sys.exit(f"make.py: {name} has no section {heading}")
    if not whole:
        return found[2]
    level = len(found[1])
    return re.match(rf".*?(?=^#{{2,{level}}} |\Z)", text[found.start(2):], re.S | re.M)[0]


# ------------------------------------------------------------------- keys ----

KINDS = {"KEY_DURATION": "duration", "KEY_SIZE": "size", "KEY_NUMBER": "number",
         "KEY_BOOLEAN": "true or false", "KEY_WORD": "word", "KEY_EARLY_WORD": "word",
         "KEY_LIST": "list", "KEY_TEXT": "text", "KEY_SECTION": "section"}
# Rows with a function of their own, which says what it makes of the value.
OWN = {"lists_networks": "list of networks", "lists_mechanisms": "list",
       "read_logins": "list", "read_certificates": "list", "read_deliver_to": "next hop",
       "read_windows": "list of times", "read_address": "address and port",
       "read_users": "list", "read_to": "list", "read_via": "list of next hops",
       "read_account": "title", "read_verify": "text", "read_condition": "condition",
       "read_threshold": "number", "read_http": "address and port", "read_events": "list",
       "read_login": "title", "rule_actions_mode": "word", "rule_texts_reply": "text",
       "rule_actions_rates": "list of rates", "read_rate": "list of rates",
       "rule_texts_tags": "list",
       "rule_texts_add_header": "list", "rule_texts_remove_header": "list",
       "rule_actions_rewrite": "list", "rule_actions_copy": "list of addresses",
       "rule_actions_route": "title", "rule_actions_server": "address and port, or socket"}


def types(root):
    """{section: {key: type}}, from the tables that the program reads by."""
    found = {}
    for path in sorted((root / "policy/config").glob("*.c")):
        for name, rows in re.findall(r"struct key (\w+)_keys\[\] = \{\n(.*?)^\};",
                                     path.read_text(), re.S | re.M):
            keys = found.setdefault("" if name == "top" else name, {})
            for row in re.split(r"^    \{ ", rows, flags=re.M)[1:]:
                kind = re.search(r"KEY_[A-Z_]+", row)[0]
                reader = re.search(r"\.read = (\w+)", row)
                key = row.split('"')[1]
                if kind == "KEY_OWN":
                    # a provider is one next hop, named as in a route
                    keys[key] = "next hop" if (name, key) == ("fetch", "from") else \
                        OWN.get(reader and reader[1])
                else:
                    keys[key] = KINDS[kind]
                if "sections_check_path" in row and kind in ("KEY_TEXT", "KEY_LIST"):
                    keys[key] = "file" if kind == "KEY_TEXT" else "list of files"
                if key == "pam":
                    keys[key] = "text"
            if "SECTIONS_RETRY_KEYS" in rows:
                keys.update((k, "duration") for k in
                            ("first", "most", "expire", "expire-reports", "warn"))
    return found


def keys(root):
    kinds, here, out = types(root), "", ""
    text = section(root, "configuration.md", "Every key")
    out += scdoc(text.split("\n|")[0])
    out += "## At the top\n\n"
    for row in re.findall(r"^\|.*", text, re.M)[2:]:
        first, default, meaning = cells(row)
        heading = re.match(r"\*\*(\w+)(.*?)\*\*(.*)", first)
        if heading:
            here = heading[1]
            more = " ".join(t for t in (heading[3].strip(), meaning) if t)
            out += f"## {escaped(here + heading[2])} {{ ... }}\n\n"
            out += f"{inline(more)}\n\n" if more else ""
            continue
        names = re.findall(r"`([a-z-]+)`", first)
        said = list(dict.fromkeys(kinds.get(here, {}).get(n) or "text or list" for n in names))
        default = f"; default: {inline(default)}" if default else ""
        out += entry(f"{inline(first)} ({', '.join(said)}{default})", inline(meaning))
    return out


# ------------------------------------------------------------------- page ----

def main(page, output, root, scdoc_program, program):
    root = pathlib.Path(root)
    text = ""
    for line in pathlib.Path(page).read_text(encoding="utf-8").splitlines(keepends=True):
        if line == "@VERBS@\n":
            text += subprocess.run([program, "help", "--man"], check=True, text=True,
                                   stdout=subprocess.PIPE).stdout
        elif line == "@KEYS@\n":
            text += keys(root)
        elif line.startswith("@"):
            name, heading = line.strip()[1:-1].split(" ", 1)
            text += scdoc(section(root, name, heading))
        else:
            text += line
    text = re.sub(r"\n{3,}", "\n\n", text)
    with open(output, "wb") as f:
        done = subprocess.run([scdoc_program], input=text.encode(), stdout=f, check=False)
    if done.returncode:
        pathlib.Path(output + ".scd").write_text(text, encoding="utf-8")
        sys.exit(f"make.py: scdoc refused {output}.scd")


if __name__ == "__main__":
    main(*sys.argv[1:])
