"""Markdown as GitHub shows it: the anchors of a page, and where its links lead."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

FENCED = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}).*?^(?P=indent)(?P=fence)[`~]* *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)(?P<ticks>`+)(?!`)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(?P<words>.*?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
UNDERLINED = re.compile(r"^(?P<words>[^\s#>|`:-].*)\n(?:=+|-{2,})[ \t]*$", re.MULTILINE)
OWN = re.compile(r"""<[a-z][^>]*\b(?:id|name)=["'](?P<anchor>[^"']+)""")
INLINE = re.compile(r"\]\(\s*<?(?P<target>[^)\s>]+)")
DEFINED = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(?P<target>[^\s>]+)", re.MULTILINE)
IN_HTML = re.compile(r"""\b(?:href|src|srcset)=["'](?P<target>[^"'\s]+)""")


class Link(NamedTuple):
    """A link to a place in the repository: a path, empty for the page itself, and an anchor, empty for none."""

    path: str
    anchor: str


def anchors(page: str) -> set[str]:
    """What may stand behind ``#``: an anchor for each heading, and those of HTML."""
    text = COMMENT.sub("", FENCED.sub("", page))
    words = sorted((match.start(), match["words"]) for kind in (HEADING, UNDERLINED) for match in kind.finditer(text))
    taken: Counter[str] = Counter()
    found = set()
    for _, heading in words:
        anchor = slug(heading)
        found.add(f"{anchor}-{taken[anchor]}" if taken[anchor] else anchor)
        taken[anchor] += 1
    return found | {match["anchor"] for match in OWN.finditer(text)}


def slug(heading: str) -> str:
    """The anchor of a heading: its text in small letters without punctuation, each space a hyphen.

    Spaces around a mark that goes are not joined: "a / b" is "a--b".
    """
    text = "".join(
        part if number % 3 == 2 else ("" if number % 3 == 1 else plain(part))
        for number, part in enumerate(CODE.split(heading))
    )
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


def plain(text: str) -> str:
    """Inline Markdown without its marks."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", text)
    text = re.sub(r"<[^>]+>|\*+|(?<!\w)_+|_+(?!\w)", "", text)
    return html.unescape(text)


def links(page: str) -> Iterator[Link]:
    """Where a page leads within the repository."""
    text = CODE.sub("", COMMENT.sub("", FENCED.sub("", page)))
    for kind in (INLINE, DEFINED, IN_HTML):
        for match in kind.finditer(text):
            if not re.match(r"[a-z][a-z+.-]*:|//", match["target"]):
                path, _, anchor = match["target"].partition("#")
                yield Link(path, anchor)
