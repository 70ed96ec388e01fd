"""The targets of jobs and patterns, and whether a run keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import geometric_mean, median

from benchmarks.programs.catalogue import JOBS
from benchmarks.programs.contenders import JEMALLOC, JEMALLOC_KEEPS, MIMALLOC, PLAIN, POOLED, TUNED
from benchmarks.programs.figures import Outcome, Run

FASTEST = "fastest"  #: in place of a rival's name: of those below, the one that makes the ratio worst
RIVALS = (PLAIN.name, TUNED.name, JEMALLOC.name, JEMALLOC_KEEPS.name, MIMALLOC.name)


@dataclass(frozen=True)
class Target:
    """A figure of bufpool's is at most `limit` times a rival's, plus `allowance`; without a `limit`, the sum alone."""

    what: str
    figure: str
    limit: float | None
    rival: str = PLAIN.name
    of: str = ""  #: the rival's figure, where that is another one
    allowance: float = 0.0
    unit: str = "MiB"

    def __str__(self) -> str:
        allowance = f" + {self.allowance:g} {self.unit}" if self.allowance else ""
        return f"{self.limit:g}x{allowance}" if self.limit else allowance.strip()


TARGETS = {
    "job": (
        Target("time", "seconds", 1.03, unit="s"),
        Target("time", "seconds", 1.05, TUNED.name, unit="s"),
        Target("peak", "peak", 1.15),
        Target("idle at end", "idle", None, allowance=64),
    ),
    "pattern": (
        Target("time", "seconds", 1.05, FASTEST, unit="s"),
        Target("mean, of peak", "work mean", 1.3, of="work peak", allowance=8),
        Target("peak", "work peak", 1.5, allowance=8),
    ),
    "large array": (
        Target("time", "seconds", 1.2, unit="s"),
        Target("mean", "work mean", 1.2),
        Target("peak", "work peak", 1.2),
    ),
}
MEAN_OF_JOBS = 0.95  #: the geometric mean of all jobs' times, relative to plain NumPy's


@dataclass(frozen=True)
class Verdict:
    """Whether one target holds; `holds` is None if it could not be judged, and `note` says why."""

    what: str
    against: str
    limit: str
    ours: float | None = None
    theirs: float | None = None
    unit: str = ""
    figure: str = ""  #: what the limit bounds, as printed
    holds: bool | None = None
    note: str = ""


def judge(run: Run, name: str) -> Iterator[Verdict]:
    """Judge every target of one program whose rival takes part in the run."""
    outcome = run.programs[name]
    for target in TARGETS[outcome.kind]:
        if target.rival == FASTEST or target.rival in run.contenders:
            yield _judge(run, outcome, target)
    yield _same_results(run, outcome)


def judge_mean(run: Run) -> Verdict:
    """Judge the geometric mean of the jobs' times, which needs all jobs."""
    time, limit = TARGETS["job"][0], f"{MEAN_OF_JOBS:g}x"
    there = {name: run.programs[name] for name in JOBS if name in run.programs}
    ratios = {
        name: ratio(outcome, time, PLAIN.name)
        for name, outcome in there.items()
        if {PLAIN.name, POOLED.name} <= outcome.series.keys()
    }
    if len(ratios) < len(JOBS):
        lacking = ", ".join(name for name in JOBS if name not in ratios)
        return Verdict("mean of jobs", PLAIN.name, limit, note=f"needs all jobs; not measured: {lacking}")
    mean = round(geometric_mean(ratios.values()), 3)
    return Verdict("mean of jobs", PLAIN.name, limit, figure=f"{mean:.3f}x", holds=mean <= MEAN_OF_JOBS)


def ratio(outcome: Outcome, target: Target, rival: str) -> float:
    """The median of the rounds' ratios to the rival, after the allowance."""
    ours = outcome.series[POOLED.name].rounds(target.figure)
    theirs = outcome.series[rival].rounds(target.of or target.figure)
    return median((our - target.allowance) / their for our, their in zip(ours, theirs, strict=True))


def _judge(run: Run, outcome: Outcome, target: Target) -> Verdict:
    wanted = [name for name in RIVALS if name in run.contenders] if target.rival == FASTEST else [target.rival]
    there = [name for name in wanted if name in outcome.series]
    if POOLED.name not in outcome.series or not there:
        note = _why(run, outcome, [POOLED.name, *wanted])
        return Verdict(target.what, target.rival, str(target), note=note)
    against = max(there, key=lambda name: ratio(outcome, target, name)) if len(there) > 1 else there[0]
    ours = outcome.series[POOLED.name].typical(target.figure)
    theirs = outcome.series[against].typical(target.of or target.figure)
    if target.limit is None:
        figure = round(ours - theirs, 1)
        text, holds = f"{figure:+.1f} {target.unit}", figure <= target.allowance
    else:
        figure = round(ratio(outcome, target, against), 3)
        text, holds = f"{figure:.3f}x", figure <= target.limit
    lacking = [name for name in wanted if name not in there]
    note = f"without {', '.join(lacking)}" if lacking else ""
    return Verdict(target.what, against, str(target), ours, theirs, target.unit, text, holds, note)


def _same_results(run: Run, outcome: Outcome) -> Verdict:
    if PLAIN.name not in outcome.series:
        return Verdict("results", PLAIN.name, "identical", note=_why(run, outcome, [PLAIN.name]))
    expected = outcome.series[PLAIN.name].sha[0]
    different = [name for name, series in outcome.series.items() if set(series.sha) != {expected}]
    note = f"of {', '.join(different)}" if different else ""
    figure = "different" if different else "identical"
    return Verdict("results", PLAIN.name, "identical", figure=figure, holds=not different, note=note)


def _why(run: Run, outcome: Outcome, names: Iterable[str]) -> str:
    """Why there are no figures of these contenders."""
    reasons = {**run.absent, **outcome.failures}
    failed = "; ".join(f"{name}: {reasons[name]}" for name in names if name in reasons)
    return outcome.missing or failed or f"{PLAIN.name}: {reasons[PLAIN.name]}"
