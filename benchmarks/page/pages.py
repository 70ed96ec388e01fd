"""Hand-written pages: places that tables go into, and claims in words that are compared with the run.

A table goes between ``<!-- figures: name -->`` and ``<!-- /figures -->``. A claim has a comment beside its sentence
that names a figure of ``docs/figures/run.json`` and its range::

    <!-- run: row | label | ours | theirs | below 0.5 -->

``above 2`` and ``0.9 to 1.1`` are the other two kinds of ranges.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.page.run_file import Run

_PLACE = re.compile(r"(<!-- figures: ([a-z-]+) -->\n)(.*?)(<!-- /figures -->)", re.DOTALL)
_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_RANGE = re.compile(r"(?:(?P<word>below|above) (?P<limit>[\d.]+)|(?P<low>[\d.]+) to (?P<high>[\d.]+))")


def fill(page: str, tables: Mapping[str, str]) -> str:
    """The page with a table in every place.

    Raises
    ------
    KeyError
        There is no table of that name.
    """
    return _PLACE.sub(lambda place: f"{place[1]}\n{tables[place[2]].rstrip()}\n\n{place[4]}", page)


def places(page: str) -> list[str]:
    """The names of the tables that the page wants."""
    return [place[2] for place in _PLACE.finditer(page)]


def prose(page: str) -> str:
    """The hand-written part of a page."""
    return _PLACE.sub("", page)


class ClaimError(ValueError):
    """A comment does not have the form of a claim."""


@dataclass(frozen=True)
class Claim:
    """A figure of the run, and the range that makes the sentence true."""

    row: str
    label: str
    ours: str
    theirs: str
    low: float
    high: float

    def contradiction(self, run: Run) -> str:
        """How the run contradicts the claim; empty if it does not."""
        wanted = (self.label, self.ours, self.theirs)
        found = [
            result.figure
            for result in run.rows.get(self.row, ())
            if (result.check.label, result.check.ours, result.check.theirs) == wanted
        ]
        where = " | ".join((self.row, *wanted))
        if not found:
            return f"{where}: the run has no such figure"
        if found[0] is None:
            return f"{where}: was not measured in the run"
        if not self.low <= found[0] <= self.high:
            return f"{where}: {found[0]:.3f} in the run, not {self.low:g} to {self.high:g}"
        return ""


def claims(page: str) -> list[Claim]:
    """The claims of a page, in order.

    Raises
    ------
    ClaimError
        A comment is neither a claim nor the place of a table; a misspelt claim would otherwise claim nothing.
    """
    texts = [" ".join(found[1].split()) for found in _COMMENT.finditer(page)]
    return [_claim(text) for text in texts if not re.fullmatch(r"figures: [\w-]+|/figures", text)]


def _claim(comment: str) -> Claim:
    before, _, text = comment.partition("run: ")
    parts = text.split(" | ")
    found = _RANGE.fullmatch(parts[-1])
    if before or len(parts) != 5 or found is None:
        raise ClaimError(f"{comment!r} is not 'run: row | label | ours | theirs | below 0.5', 'above 2' or '1 to 2'")
    if found["word"] is None:
        low, high = float(found["low"]), float(found["high"])
    else:
        limit = float(found["limit"])
        low, high = (-math.inf, limit) if found["word"] == "below" else (limit, math.inf)
    row, label, ours, theirs, _ = parts
    return Claim(row, label, ours, theirs, low, high)
