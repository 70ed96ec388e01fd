"""What a result says about a rival: how many times as fast bufpool is, and whether that is a win, a tie or a loss."""

from __future__ import annotations

from dataclasses import dataclass

from run_file import Run

from bufpool.cli.bench.checks import Check, Result

#: Contenders within a twentieth of each other are a tie: on a shared machine one run cannot tell them apart.
TIE = 1.05

#: What stands on the other side of some checks is no rival but an ideal, or the pool itself.
_NO_RIVALS = ("own objects", "pool at 64 KiB", "import numpy", "1 thread", "stack alone")

#: Figures of which more is better; of all others with a unit less is.
_MORE_IS_BETTER = ("%",)


@dataclass(frozen=True)
class Duel:
    """bufpool and a rival at one thing."""

    row: str
    check: Check
    ratio: float  #: theirs by ours: so many times as fast is bufpool; below 1 the rival is ahead
    low: float | None  #: the least of the rounds
    high: float | None
    ours: float | None  #: in the unit
    theirs: float | None
    unit: str

    @property
    def verdict(self) -> str:
        """ "ahead", "tie" or "behind"."""
        if self.ratio > TIE:
            return "ahead"
        return "behind" if self.ratio < 1 / TIE else "tie"


def duel(row: str, result: Result) -> Duel | None:
    """The result as a duel; None where it was not measured, or where there is no rival."""
    check, bound = result.check, result.check.bound
    if (
        result.figure is None
        or check.theirs in ("", *_NO_RIVALS)
        or check.theirs.endswith(("waiters", " x 1"))
    ):
        return None
    if not bound.own:
        figures = [result.figure, result.low, result.high]
        if bound.kind == "cost":
            figures = [value and 1 / value for value in (result.figure, result.high, result.low)]
        ratio, low, high = figures
        assert ratio is not None
        return Duel(row, check, ratio, low, high, result.ours, result.theirs, bound.of)
    if not result.ours or not result.theirs:
        return None
    ratio = result.ours / result.theirs if bound.unit in _MORE_IS_BETTER else result.theirs / result.ours
    return Duel(row, check, ratio, None, None, result.ours, result.theirs, bound.unit)


def duels(run: Run, *rows: str) -> list[Duel]:
    """Every duel of these rows, or of all."""
    found = (duel(row, result) for row, result in run.results() if not rows or row in rows)
    return [each for each in found if each is not None]


def bounds(run: Run) -> tuple[int, list[tuple[str, Result]]]:
    """How many bounds were measured, and those that did not hold."""
    judged = [(row, result) for row, result in run.results() if result.holds is not None]
    return len(judged), [(row, result) for row, result in judged if not result.holds]
