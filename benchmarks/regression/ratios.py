"""Ratios that a change must not make worse: our time over that of something simple, beside it in one process.

Times differ from machine to machine, and on a shared one from minute to minute; these ratios do so little that a
quarter more means slower code. Chosen for that: all work in the caches or at least in memory that was touched before,
and none waits for another thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from bufpool.cli.bench.worker import Worker

KIB, MIB = 1 << 10, 1 << 20

#: Fresh processes: where code and blocks come to lie differs from one to the next, by more than samples in one do.
GENERATIONS = 8
#: Samples of both in each, in turns, short and many: what other programs take falls on both of a round alike, and the
#: median of the rounds' ratios counts. The least of either, each from a moment of its own, differs far more.
ROUNDS = 16
#: Length of a sample.
SECONDS = 0.002
#: A median that is as near as that to the bound is no verdict yet.
NEAR = 0.12


@dataclass(frozen=True)
class Ratio:
    """`ours` over `theirs`, two ways of one workload of the bench."""

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
    """A figure of each for every generation."""
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


def settled(mosts: Mapping[Ratio, float], again: int = 2) -> dict[Ratio, list[float]]:
    """`measure` for the keys; those whose median is near to what it may be at most, up to `again` times more.

    All that was measured counts, and both sides of the bound are looked at again: the best of several measurements
    would let a regression pass that one in three misses, the worst would find some that there are not.
    """
    found = measure(mosts)
    for _ in range(again):
        near = [ratio for ratio, most in mosts.items() if abs(median(found[ratio]) / most - 1) < NEAR]
        for ratio, more in measure(near).items() if near else ():
            found[ratio] += more
    return found
