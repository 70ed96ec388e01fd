"""How contenders are timed: calibrated samples, in turns, and the statistics over them.

Every contender runs in a worker process and is asked for one sample at a time, first forwards through the crew, then
backwards (A B C, C B A, ...), so that whatever the machine does meanwhile falls on all alike.  A race is run by
several *generations* of fresh workers: where blocks and code come to lie differs from process to process, and one
process would measure its own luck (two tenths at 25 MiB, measured).

The figure is the median of the rounds' ratios and not the ratio of two medians: on a shared machine whole rounds are
slow, for all contenders alike, and two medians may come from different ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any

from bufpool._words import plural
from bufpool.cli.bench import allocators
from bufpool.cli.bench.checks import Bound, Check, Result
from bufpool.cli.bench.packages import Package
from bufpool.cli.bench.worker import Worker, WorkerError

#: Above this size samples are longer: a few iterations are none too many for one reading.
LARGE = 16 << 20

#: Up to this size there are three times as many: they are cheap, and where an iteration takes a microsecond another
#: program on the same core shows most.
SMALL = 256 << 10


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Parameters
    ----------
    rounds : int
        Samples of each contender of a race, spread over the generations; three times as many up to 256 KiB.
    generations : int
        Sets of fresh workers.
    seconds : float
        Length of a sample, as near as a whole number of iterations comes to it; twice as long above 16 MiB.
    largest : int or None
        Sizes above this many bytes are left out.
    """

    rounds: int = 12
    generations: int = 3
    seconds: float = 0.02
    largest: int | None = None

    def shape(self, size: int) -> tuple[int, int, float]:
        """Generations, rounds in each, and seconds a sample, for a race at `size` bytes."""
        generations = min(self.generations, self.rounds)
        seconds = 2 * self.seconds if size > LARGE else self.seconds
        rounds = 3 * self.rounds if size <= SMALL else self.rounds
        return generations, -(-rounds // generations), seconds

    def includes(self, size: int) -> bool:
        """Whether this plan measures at `size` bytes."""
        return self.largest is None or size <= self.largest


QUICK = Plan(rounds=3, generations=1, seconds=0.01, largest=16 << 20)


@dataclass(frozen=True)
class Entrant:
    """One contender in a race: what it runs, and in which process.

    Entrants with the same `seat` share a worker; without one, each has its own.
    """

    name: str
    workload: str
    how: str
    size: int
    allocator: str = "default"
    seat: str = ""
    peer: Package[Any] | None = None  #: the package that it is, if it is one

    def lacks(self) -> str:
        """Why it cannot run here, with what to do about it; empty if it can."""
        return allocators.missing(self.allocator) or ("" if self.peer is None else self.peer.missing())


Samples = dict[str, list[float]]


def race(entrants: Sequence[Entrant], plan: Plan, say: Callable[[str], None] = lambda _: None) -> Samples:
    """Time the entrants in turns; seconds an iteration, by name, one for each round."""
    generations, rounds, seconds = plan.shape(max(entrant.size for entrant in entrants))
    samples: Samples = {entrant.name: [] for entrant in entrants}
    for generation in range(generations):
        with ExitStack() as stack:
            workers = _seat(entrants, stack)
            loops = {}
            for entrant in entrants:
                say(f"{entrant.name}, getting ready")
                loops[entrant] = workers[entrant].calibrate(entrant.name, seconds)
            for turn in range(rounds):
                say(f"round {generation * rounds + turn + 1} of {generations * rounds}")
                for entrant in entrants if turn % 2 == 0 else reversed(entrants):
                    took = workers[entrant].sample(entrant.name, loops[entrant])
                    samples[entrant.name].append(took / loops[entrant])
    return samples


def _seat(entrants: Sequence[Entrant], stack: ExitStack) -> dict[Entrant, Worker]:
    """Start the workers and build the workloads; all workers do so at once, for nothing is timed yet."""
    seats: dict[str, Worker] = {}
    for entrant in entrants:
        seat = entrant.seat or entrant.name
        if seat not in seats:
            seats[seat] = stack.enter_context(Worker(entrant.allocator))
    for worker in seats.values():
        worker.ready()
    workers = {entrant: seats[entrant.seat or entrant.name] for entrant in entrants}
    for entrant, worker in workers.items():
        worker.send_build(entrant.name, entrant.workload, entrant.how, entrant.size)
    for entrant, worker in workers.items():
        try:
            worker.receive()
        except WorkerError as error:
            raise WorkerError(
                f"{entrant.workload} as {entrant.how!r} at {entrant.size} {plural(entrant.size, 'byte')}: {error}"
            ) from error
    return workers


def compare(check: Check, ours: Sequence[float], theirs: Sequence[float]) -> Result:
    """The median and the extremes of the single rounds' ratios, beside the medians of both contenders' times."""
    bound: Bound = check.bound
    ratios = [bound.ratio(one, other) for one, other in zip(ours, theirs, strict=True)]
    return Result(check, median(ours), median(theirs), median(ratios), low=min(ratios), high=max(ratios))
