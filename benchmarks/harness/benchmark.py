"""What a row of the table is made of: races between contenders, figures of our own, a mean over both.

A part knows its checks before anything runs, and turns measurements into one result for each check.  A peer that is
not on this machine gives a result that says how to get it; it is never left out in silence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import geometric_mean

from bufpool._words import plural
from bufpool.cli.bench import timing
from bufpool.cli.bench.checks import Check, Result
from bufpool.cli.bench.timing import Entrant, Plan

Say = Callable[[str], None]
Crew = tuple[Entrant, ...]

#: All workers of one crew together may hold this many bytes.
BUDGET = 6 << 30


@dataclass(frozen=True)
class Race:
    """Contenders timed against each other on one size.

    Parameters
    ----------
    label : str
        The size as a person reads it, or the name of the piece of code.
    size : int
        In bytes.
    crews : tuple of tuple of Entrant
        Contenders that run interleaved.  Ours is the first of each crew, so that it is timed beside all the others
        also where they do not fit into memory together.
    checks : tuple of Check
    needs : tuple of str
        Modules without which nothing here can run.
    free_threaded : bool
        It means nothing on an interpreter with a GIL.
    """

    label: str
    size: int
    crews: tuple[Crew, ...]
    checks: tuple[Check, ...]
    needs: tuple[str, ...] = ()
    free_threaded: bool = False

    def lacks(self) -> str:
        """Why it cannot run here; empty if it can."""
        absent = [module for module in self.needs if find_spec(module) is None]
        if absent:
            return f"not installed: {', '.join(absent)} (pip install bufpool[bench])"
        if self.free_threaded and getattr(sys, "_is_gil_enabled", lambda: True)():
            return "needs a free-threaded interpreter"
        return ""

    def run(self, plan: Plan, say: Say) -> list[Result]:
        """Race every crew; one result for each check, in their order."""
        note = self.lacks()
        if note:
            return [Result(check, note=note) for check in self.checks]
        results = {}
        for crew in self.crews:
            lacks = {entrant.name: entrant.lacks() for entrant in crew}
            checks = [check for check in self.checks if check.theirs in lacks and check not in results]
            samples = timing.race([entrant for entrant in crew if not lacks[entrant.name]], plan, say)
            for check in checks:
                if check.theirs in samples:
                    results[check] = timing.compare(check, samples[check.ours], samples[check.theirs])
                else:
                    results[check] = Result(check, note=lacks[check.theirs])
        return [results[check] for check in self.checks]


@dataclass(frozen=True)
class Figures:
    """Figures that no contender is compared with; `measure` gives one result for each check."""

    label: str
    size: int
    checks: tuple[Check, ...]
    measure: Callable[[tuple[Check, ...], Plan], list[Result]]

    def run(self, plan: Plan, say: Say) -> list[Result]:
        """Measure."""
        say("measuring")
        return self.measure(self.checks, plan)


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Parameters
    ----------
    id : str
        A stable name: an option of the command line, a group of the benchmarks.
    words : str
        What is measured, in a sentence.
    parts : tuple
    mean : Check or None
        A bound on the geometric mean of the parts' figures.
    """

    id: str
    words: str
    parts: tuple[Race | Figures, ...]
    mean: Check | None = None

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check of the row, in the order of the table."""
        own = tuple(check for part in self.parts for check in part.checks)
        return own if self.mean is None else (*own, self.mean)

    def summary(self, results: Sequence[Result]) -> list[Result]:
        """The mean over the results of the parts, where the row has a bound on it."""
        if self.mean is None:
            return []
        figures = [result.figure for result in results if result.figure is not None]
        if len(figures) < len(results) or not figures:
            pieces = f"{len(results)} {plural(len(results), 'piece')}"
            return [Result(self.mean, note=f"only {len(figures)} of {pieces} measured")]
        return [Result(self.mean, figure=geometric_mean(figures), low=min(figures), high=max(figures))]


def crews(ours: Entrant, others: Sequence[Entrant], each: int) -> tuple[Crew, ...]:
    """Split `others` into crews that fit into `BUDGET`, at `each` bytes a contender, with `ours` in all of them."""
    room = max(1, BUDGET // max(each, 1) - 1)
    return tuple((ours, *others[start : start + room]) for start in range(0, len(others), room))
