"""Interleaved timing: contenders are sampled in turns, and their ratios are taken round by round.

Every contender runs in a worker process. The workers are asked for one sample at a time, forwards through the group
and then backwards (A B C, C B A, ...), so that noise of the machine falls on all contenders alike. A group is timed by
several *generations* of fresh workers: memory layout differs from process to process, and one process alone would
measure its own luck (differences of 20 % were seen at 25 MiB).

The figure is the median of the rounds' ratios, not the ratio of two medians: on a shared machine whole rounds are
slow, for all contenders alike, and two medians may come from different rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.harness import allocators
from benchmarks.harness.packages import Package
from benchmarks.harness.targets import Check, Result
from benchmarks.harness.units import plural
from benchmarks.harness.worker import Worker, WorkerError

#: Above this size samples are longer, because one iteration takes long.
LARGE = 16 << 20

#: Up to this size there are three times as many samples: they are cheap, and more sensitive to noise.
SMALL = 256 << 10

#: Receives one line about what is being measured.
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Parameters
    ----------
    rounds : int
        Samples of each contender, spread over the generations; three times as many up to 256 KiB.
    generations : int
        Sets of fresh workers.
    seconds : float
        Length of a sample, rounded to whole iterations; twice as long above 16 MiB.
    largest : int or None
        Sizes above this many bytes are left out.
    """

    rounds: int = 12
    generations: int = 3
    seconds: float = 0.02
    largest: int | None = None

    def shape(self, size: int) -> tuple[int, int, float]:
        """Generations, rounds in each, and seconds a sample, at `size` bytes."""
        generations = min(self.generations, self.rounds)
        seconds = 2 * self.seconds if size > LARGE else self.seconds
        rounds = 3 * self.rounds if size <= SMALL else self.rounds
        return generations, -(-rounds // generations), seconds

    def includes(self, size: int) -> bool:
        """Whether this plan measures at `size` bytes."""
        return self.largest is None or size <= self.largest


QUICK = Plan(rounds=3, generations=1, seconds=0.01, largest=16 << 20)


@dataclass(frozen=True)
class Contender:
    """What is timed, and in which process.

    Contenders with the same `process` share a worker; without one, each has its own.
    """

    name: str
    workload: str
    how: str
    size: int
    allocator: str = "default"
    process: str = ""
    package: Package[Any] | None = None  #: the package that it needs, if any

    def missing(self) -> str:
        """Why it cannot run here, and what to install; empty if it can."""
        return allocators.missing(self.allocator) or ("" if self.package is None else self.package.missing())


Samples = dict[str, list[float]]


def measure(contenders: Sequence[Contender], plan: Plan, progress: Progress = lambda _: None) -> Samples:
    """Time the contenders in turns; seconds per iteration, by name, one for each round."""
    generations, rounds, seconds = plan.shape(max(contender.size for contender in contenders))
    samples: Samples = {contender.name: [] for contender in contenders}
    for generation in range(generations):
        with ExitStack() as stack:
            workers = _start(contenders, stack)
            loops = {}
            for contender in contenders:
                progress(f"{contender.name}, calibrating")
                loops[contender] = workers[contender].calibrate(contender.name, seconds)
            for turn in range(rounds):
                progress(f"round {generation * rounds + turn + 1} of {generations * rounds}")
                for contender in contenders if turn % 2 == 0 else reversed(contenders):
                    took = workers[contender].sample(contender.name, loops[contender])
                    samples[contender.name].append(took / loops[contender])
    return samples


def _start(contenders: Sequence[Contender], stack: ExitStack) -> dict[Contender, Worker]:
    """Start the workers and build the workloads, all at once, because nothing is timed yet."""
    processes: dict[str, Worker] = {}
    for contender in contenders:
        process = contender.process or contender.name
        if process not in processes:
            processes[process] = stack.enter_context(Worker(contender.allocator))
    for worker in processes.values():
        worker.ready()
    workers = {contender: processes[contender.process or contender.name] for contender in contenders}
    for contender, worker in workers.items():
        worker.send_build(contender.name, contender.workload, contender.how, contender.size)
    for contender, worker in workers.items():
        try:
            worker.receive()
        except WorkerError as error:
            size = f"{contender.size} {plural(contender.size, 'byte')}"
            raise WorkerError(f"{contender.workload} as {contender.how!r} at {size}: {error}") from error
    return workers


def compare(check: Check, ours: Sequence[float], theirs: Sequence[float]) -> Result:
    """The median and the extremes of the rounds' ratios, and the medians of both contenders' times."""
    ratios = [check.target.ratio(one, other) for one, other in zip(ours, theirs, strict=True)]
    return Result(check, median(ours), median(theirs), median(ratios), low=min(ratios), high=max(ratios))
