"""Results as speed-ups: how many times as fast bufpool is as another contender, and whether that is a win or a loss."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.harness.targets import Check, Result
from benchmarks.page.run_file import Run

#: Contenders within 5 % of each other are a tie: on a shared machine one run cannot tell them apart.
TIE = 1.05

#: Some checks compare with an ideal, or with the pool itself. These are no alternatives to bufpool.
_NO_ALTERNATIVES = ("own objects", "pool at 64 KiB", "import numpy", "1 thread", "stack alone")

#: Units of which more is better; of all others less is better.
_MORE_IS_BETTER = ("%",)


@dataclass(frozen=True)
class Speedup:
    """bufpool compared with an alternative."""

    row: str
    check: Check
    ratio: float  #: their time divided by ours; below 1 the alternative is faster
    low: float | None  #: the minimum of the rounds
    high: float | None
    ours: float | None  #: in `unit`
    theirs: float | None
    unit: str

    @property
    def verdict(self) -> str:
        """ "ahead", "tie" or "behind"."""
        if self.ratio > TIE:
            return "ahead"
        return "behind" if self.ratio < 1 / TIE else "tie"


def speedup(row: str, result: Result) -> Speedup | None:
    """The result as a speed-up; None if it was not measured, or is not compared with an alternative."""
    check, target = result.check, result.check.target
    if result.figure is None or check.theirs in ("", *_NO_ALTERNATIVES) or check.theirs.endswith(("waiters", " x 1")):
        return None
    if not target.absolute:
        figures = [result.figure, result.low, result.high]
        if target.kind == "cost":
            figures = [value and 1 / value for value in (result.figure, result.high, result.low)]
        ratio, low, high = figures
        assert ratio is not None
        return Speedup(row, check, ratio, low, high, result.ours, result.theirs, target.of)
    if not result.ours or not result.theirs:
        return None
    ratio = result.ours / result.theirs if target.unit in _MORE_IS_BETTER else result.theirs / result.ours
    return Speedup(row, check, ratio, None, None, result.ours, result.theirs, target.unit)


def speedups(run: Run, *rows: str) -> list[Speedup]:
    """Every speed-up of these benchmarks, or of all."""
    found = (speedup(row, result) for row, result in run.results() if not rows or row in rows)
    return [each for each in found if each is not None]


def missed_targets(run: Run) -> tuple[int, list[tuple[str, Result]]]:
    """How many targets were measured, and those that were missed."""
    measured = [(row, result) for row, result in run.results() if result.met is not None]
    return len(measured), [(row, result) for row, result in measured if not result.met]
