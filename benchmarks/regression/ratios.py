"""Ratios that a change must not make worse: our time divided by that of something simple, in one process.

Times differ from machine to machine, and on a shared machine from minute to minute. These ratios vary so little that a
quarter more means slower code: all work stays in caches or in memory touched before, and none waits for another thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.harness.units import KIB, MIB
from benchmarks.harness.worker import Worker

#: Fresh processes: memory layout differs from process to process by more than samples within one process.
GENERATIONS = 8
#: Samples of both in each process, in turns, short and many: noise falls on both samples of a round alike, and the
#: median of the rounds' ratios counts. Ratios of two minima, each from its own moment, would vary far more.
ROUNDS = 16
#: Length of a sample.
SECONDS = 0.002
#: A median that is closer to the limit than this share is measured again.
NEAR = 0.12


@dataclass(frozen=True)
class Ratio:
    """The time of `ours` divided by that of `theirs`, for one workload."""

    name: str
    workload: str
    ours: str
    theirs: str
    size: int = 0


RATIOS = (
    Ratio("scratch, calls", "scratch", "calls", "list", 64 * KIB),
    Ratio("scratch, with", "scratch", "with", "list", 64 * KIB),
    Ratio("empty 64 B", "empty", "pool", "plain", 64),
    Ratio("empty 64 KiB", "empty", "pool", "plain", 64 * KIB),
    Ratio("empty 1 MiB", "empty", "pool", "plain", MIB),
    Ratio("zeros 4 KiB", "zeros", "pool", "plain", 4 * KIB),
    Ratio("lease of an array", "lease of an array", "pool", "plain", 64 * KIB),
    Ratio("buffer", "bytes", "pool", "bytearray", 4 * KIB),
    Ratio("four 64 KiB", "four", "pool", "list", 64 * KIB),
    Ratio("four 1 MiB", "four", "pool", "list", MIB),
    Ratio("expression 64 B", "expression", "pool", "plain", 64),
    Ratio("expression 256 KiB", "expression", "pool", "out", 256 * KIB),
    Ratio("lease", "lease", "lease", "list + Lock"),
    Ratio("acquire, release", "lease", "acquire", "list + Lock"),
    Ratio("async lease", "async lease", "lease", "asyncio.Queue"),
)


def measure(ratios: Iterable[Ratio], generations: int = GENERATIONS) -> dict[Ratio, list[float]]:
    """One figure for each generation, by ratio."""
    wanted = tuple(ratios)
    found: dict[Ratio, list[float]] = {ratio: [] for ratio in wanted}
    for _ in range(generations):
        with Worker() as worker:
            worker.ready()
            for ratio in wanted:
                found[ratio].append(_once(worker, ratio))
    return found


def _once(worker: Worker, ratio: Ratio) -> float:
    ways = (ratio.ours, ratio.theirs)
    loops = {}
    for how in ways:
        worker.send_build(how, ratio.workload, how, ratio.size)
        worker.receive()
        loops[how] = worker.calibrate(how, SECONDS)
    took: dict[str, list[float]] = {how: [] for how in ways}
    for turn in range(ROUNDS):
        for how in ways if turn % 2 == 0 else reversed(ways):
            took[how].append(worker.sample(how, loops[how]) / loops[how])
    return median(ours / theirs for ours, theirs in zip(took[ratio.ours], took[ratio.theirs], strict=True))


def settled(limits: Mapping[Ratio, float], again: int = 2) -> dict[Ratio, list[float]]:
    """Measure each ratio, and those whose median is close to its limit up to `again` times more.

    All measurements count, and ratios on both sides of the limit are measured again: taking the best of several
    measurements would let a regression pass that one in three misses, and the worst would report false ones.
    """
    found = measure(limits)
    for _ in range(again):
        near = [ratio for ratio, limit in limits.items() if abs(median(found[ratio]) / limit - 1) < NEAR]
        for ratio, more in measure(near).items() if near else ():
            found[ratio] += more
    return found
