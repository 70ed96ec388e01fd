"""Puts generated blocks into hand-written pages, between a pair of comments that name the block."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACE = re.compile(r"(<!-- figures: ([a-z-]+) -->\n)(.*?)(<!-- /figures -->)", re.DOTALL)


def fill(page: str, blocks: Mapping[str, str]) -> str:
    """The page with every place filled.

    Raises
    ------
    KeyError
        A place names a block that there is not.
    """
    return _PLACE.sub(lambda place: f"{place[1]}\n{blocks[place[2]].rstrip()}\n\n{place[4]}", page)


def places(page: str) -> list[str]:
    """The names of the blocks that the page wants."""
    return [place[2] for place in _PLACE.finditer(page)]


def prose(page: str) -> str:
    """What is written by hand."""
    return _PLACE.sub("", page)
