"""Docstrings in NumPy's layout, read: which sections there are, what they list, whom they refer to."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

import bufpool
from bufpool import errors

# A title, a line of dashes, and all up to the next title.
SECTION = re.compile(r"^(?P<title>[A-Z][a-z ]+)\n-{3,}\n(?P<text>.*?)(?=^[A-Z][A-Za-z ]+\n-{3,}\n|\Z)", re.M | re.S)

# "Arguments and errors as of `empty`", "As for `connections`", "as `numpy.zeros_like`".
REFERENCE = re.compile(r"\b[Aa]s (?:(?:of|for) )?``?([\w.]+)(?:`|\()")


def text_of(thing: Any) -> str:
    """The docstring, its indentation removed; not that of a base class."""
    return inspect.cleandoc(thing.__doc__ or "")


def sections(doc: str) -> dict[str, str]:
    return {match["title"]: match["text"] for match in SECTION.finditer(doc)}


def entries(doc: str, section: str) -> list[str]:
    """What a section lists: ``a, b : int`` names both; stars of ``*args`` stay away."""
    heads = re.findall(r"^(\S[^\n:]*?)(?: ?:[^\n]*)?$", sections(doc).get(section, ""), re.M)
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def referred(doc: str, owner: Any, module: Any) -> Iterator[Any]:
    """The things to which a docstring sends its reader."""
    for name in REFERENCE.findall(doc):
        if found := find(name, owner, module):
            yield found


def find(name: str, *places: Any) -> Any:
    """What a name in a docstring means there; None if it means nothing."""
    if name.startswith("numpy."):
        places, name = (np,), name.removeprefix("numpy.")
    for place in (*places, bufpool, errors):
        thing = place
        for part in name.removeprefix("bufpool.").split("."):
            thing = getattr(thing, part, None)
        if thing is not None:
            return thing
    return None


def described(doc: str, owner: Any, module: Any) -> set[str]:
    """Parameters that a docstring, or one that it refers to, describes."""
    found = set(entries(doc, "Parameters"))
    for other in referred(doc, owner, module):
        found |= set(entries(text_of(other), "Parameters"))
    return found
