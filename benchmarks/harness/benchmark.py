"""A benchmark of the table and its parts: comparisons of contenders, measurements of our own, and a mean over both.

The checks of a part are known before anything runs, and a run gives one result for each. A contender that cannot run
on this machine gives a result that says how to install it; it is never left out silently.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import geometric_mean

from benchmarks.harness import interleaved
from benchmarks.harness.interleaved import Contender, Plan, Progress
from benchmarks.harness.packages import INSTALL
from benchmarks.harness.targets import Check, Result
from benchmarks.harness.units import plural

#: Contenders that are timed interleaved.
Group = tuple[Contender, ...]

#: The bytes that all workers of one group may hold together.
BUDGET = 6 << 30


@dataclass(frozen=True)
class Comparison:
    """Contenders timed against each other at one size.

    Parameters
    ----------
    label : str
        The size as text, or the name of the piece of code.
    size : int
        In bytes.
    groups : tuple of tuple of Contender
        Each group runs interleaved. Ours is the first contender of each group, so that it is also timed beside those
        that do not fit into memory together.
    checks : tuple of Check
    needs : tuple of str
        Modules that all contenders need.
    free_threaded : bool
        Whether it is measured on free-threaded interpreters only.
    """

    label: str
    size: int
    groups: tuple[Group, ...]
    checks: tuple[Check, ...]
    needs: tuple[str, ...] = ()
    free_threaded: bool = False

    def missing(self) -> str:
        """Why it cannot run here; empty if it can."""
        absent = [module for module in self.needs if find_spec(module) is None]
        if absent:
            return f"not installed: {', '.join(absent)} ({INSTALL})"
        if self.free_threaded and getattr(sys, "_is_gil_enabled", lambda: True)():
            return "needs a free-threaded interpreter"
        return ""

    def run(self, plan: Plan, progress: Progress) -> list[Result]:
        """Time every group; one result for each check, in the order of the checks."""
        note = self.missing()
        if note:
            return [Result(check, note=note) for check in self.checks]
        results = {}
        for group in self.groups:
            missing = {contender.name: contender.missing() for contender in group}
            checks = [check for check in self.checks if check.theirs in missing and check not in results]
            present = [contender for contender in group if not missing[contender.name]]
            samples = interleaved.measure(present, plan, progress)
            for check in checks:
                if check.theirs in samples:
                    results[check] = interleaved.compare(check, samples[check.ours], samples[check.theirs])
                else:
                    results[check] = Result(check, note=missing[check.theirs])
        return [results[check] for check in self.checks]


@dataclass(frozen=True)
class Measurement:
    """Figures that do not come from timing contenders; `measure` gives one result for each check."""

    label: str
    size: int
    checks: tuple[Check, ...]
    measure: Callable[[tuple[Check, ...], Plan], list[Result]]

    def run(self, plan: Plan, progress: Progress) -> list[Result]:
        """Measure."""
        progress("measuring")
        return self.measure(self.checks, plan)


@dataclass(frozen=True)
class Benchmark:
    """One row of the table.

    Parameters
    ----------
    id : str
        A stable name: an option of the command line, a group of pytest-benchmark.
    summary : str
        What is measured, in a sentence.
    parts : tuple
    mean : Check or None
        A target for the geometric mean of the parts' figures.
    """

    id: str
    summary: str
    parts: tuple[Comparison | Measurement, ...]
    mean: Check | None = None

    @property
    def checks(self) -> tuple[Check, ...]:
        """Every check, in the order of the table."""
        own = tuple(check for part in self.parts for check in part.checks)
        return own if self.mean is None else (*own, self.mean)

    def mean_of(self, results: Sequence[Result]) -> list[Result]:
        """The mean over the results of the parts, if there is a target for it."""
        if self.mean is None:
            return []
        figures = [result.figure for result in results if result.figure is not None]
        if len(figures) < len(results) or not figures:
            pieces = f"{len(results)} {plural(len(results), 'piece')}"
            return [Result(self.mean, note=f"only {len(figures)} of {pieces} measured")]
        return [Result(self.mean, figure=geometric_mean(figures), low=min(figures), high=max(figures))]


def groups_within_budget(ours: Contender, others: Sequence[Contender], each: int) -> tuple[Group, ...]:
    """Split `others` into groups that fit into `BUDGET`, at `each` bytes a contender, with `ours` in all of them."""
    room = max(1, BUDGET // max(each, 1) - 1)
    return tuple((ours, *others[start : start + room]) for start in range(0, len(others), room))
