"""What pages say of speed in words, held against the run: a comment beside the sentence names the figure and its range.

``<!-- run: row | what | ours | against | below 0.5 -->``, in the words of the performance page's table of everything;
``above 2`` and ``0.9 to 1.1`` are the other two ranges.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from run_file import Run

_COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)
_RANGE = re.compile(r"(?:(?P<word>below|above) (?P<limit>[\d.]+)|(?P<low>[\d.]+) to (?P<high>[\d.]+))")


class ClaimError(ValueError):
    """A comment is not of that form."""


@dataclass(frozen=True)
class Claim:
    """One figure of a run, and between what it lies if the sentence is true."""

    row: str
    label: str
    ours: str
    theirs: str
    low: float
    high: float

    def judge(self, run: Run) -> str:
        """Why the run does not bear it out; empty if it does."""
        found = [
            result.figure
            for result in run.rows.get(self.row, ())
            if (result.check.label, result.check.ours, result.check.theirs)
            == (self.label, self.ours, self.theirs)
        ]
        where = f"{self.row} | {self.label} | {self.ours} | {self.theirs}"
        if not found:
            return f"{where}: the run has no such figure"
        if found[0] is None:
            return f"{where}: was not measured in the run"
        if not self.low <= found[0] <= self.high:
            return f"{where}: {found[0]:.3f} in the run, and not {self.low:g} to {self.high:g}"
        return ""


def claims(page: str) -> list[Claim]:
    """Those of a page, in its order.

    Raises
    ------
    ClaimError
        A comment is neither one, nor the place of a table: one that is misspelt would claim nothing.
    """
    texts = [" ".join(found[1].split()) for found in _COMMENT.finditer(page)]
    return [_claim(text) for text in texts if not re.fullmatch(r"figures: [\w-]+|/figures", text)]


def _claim(comment: str) -> Claim:
    is_run, _, text = comment.partition("run: ")
    parts = text.split(" | ")
    found = _RANGE.fullmatch(parts[-1])
    if is_run or len(parts) != 5 or found is None:
        raise ClaimError(
            f"{comment!r} is not 'run: row | what | ours | against | below 0.5', 'above 2' or '1 to 2'"
        )
    if found["word"] is None:
        low, high = float(found["low"]), float(found["high"])
    else:
        limit = float(found["limit"])
        low, high = (-math.inf, limit) if found["word"] == "below" else (limit, math.inf)
    row, label, ours, theirs, _ = parts
    return Claim(row, label, ours, theirs, low, high)
