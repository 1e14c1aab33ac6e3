"""README and the manual, as tests read them: texts, sections, blocks."""

import re
from dataclasses import dataclass

from relay import ROOT

FOLDER = "relay/manual"
PAPERS = {str(p.relative_to(ROOT)): p.read_text() for p in
          [ROOT / "README.md", *sorted((ROOT / FOLDER).glob("*.md"))]}
README = PAPERS["README.md"]


@dataclass
class Block:
    paper: str
    heading: str
    text: str


def manual(name):
    return PAPERS[f"{FOLDER}/{name}"]


def prose(text):
    """Without its fenced blocks."""
    return re.sub(r"^```\n.*?^```$", "", text, flags=re.S | re.M)


def section(text, heading):
    """What stands below the heading, subsections included."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.M)
    assert found, heading
    return re.split(rf"^#{{1,{len(found[1])}}} ", text[found.end():], flags=re.M)[0]


def blocks():
    for paper, text in PAPERS.items():
        assert len(re.findall("^```", text, re.M)) % 2 == 0, paper
        for b in re.finditer(r"^```\n(.*?)^```$", text, re.S | re.M):
            heading = re.findall("^#+ (.*)", prose(text[:b.start()]), re.M)[-1]
            yield Block(paper, heading, b[1])


BLOCKS = list(blocks())


def block(beginning):
    return next(b.text for b in BLOCKS if b.text.startswith(beginning))
