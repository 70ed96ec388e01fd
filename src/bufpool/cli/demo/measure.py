"""One run of the demo, in a process of its own: frame times, page faults, peak RSS and a hash of every result.

``python -m bufpool.cli.demo.measure PHOTOGRAPH.npy --scenario one-thread --memory pool --frames 10 --warm-up 4``
writes one JSON object a line to its standard output: ``{"frame": n}`` after each frame, and at the end
``{"result": ...}`` with the fields of `Run`.

The process is fresh so that its peak RSS is this run's own, and no heap state comes from another run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import numpy as np

from bufpool.cli.demo.frames import Frame, decode
from bufpool.cli.demo.pipeline import process

if TYPE_CHECKING:
    from bufpool import BufferPool

MEMORIES = ("plain", "pool")
QUEUE_FRAMES = 2
"""Frames that may wait between the decoder and the worker."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured.

    Attributes
    ----------
    scenario, memory : str
        Of `SCENARIOS` and `MEMORIES`.
    frame_seconds : list of float
        Of each timed frame, in order: from the end of the frame before it to its own end.
    page_faults : int or None
        Minor faults of the whole process during the timed frames; None where the platform does not tell.
    peak_rss : int or None
        In bytes, of the whole process; None where the platform does not tell.
    digests : list of str
        BLAKE2b of every result, in order, the warm-up frames included.
    pool_hits, pool_misses : int
        Allocations that the pool served from idle blocks, and from new memory, during the timed frames.
    """

    scenario: str
    memory: str
    frame_seconds: list[float]
    page_faults: int | None
    peak_rss: int | None
    digests: list[str]
    pool_hits: int
    pool_misses: int


class Meter:
    """Times frames after the first `warm_up`, and hashes and announces each one while its clock is stopped."""

    def __init__(
        self, warm_up: int, frames: int, pool: BufferPool | None, announce: Callable[[int], None]
    ) -> None:
        self.warm_up = warm_up
        self.total: int = warm_up + frames
        self.pool = pool
        self.announce = announce
        self.seconds: list[float] = []
        self.digests: list[str] = []
        self._marks: list[tuple[int | None, int, int]] = []
        if warm_up == 0:
            self._marks.append(self._counters())
        self._started = time.perf_counter()

    def frame_done(self, result: Frame) -> None:
        """Take the time of a frame, then its hash, and start the clock again."""
        elapsed = time.perf_counter() - self._started
        if len(self.digests) >= self.warm_up:
            self.seconds.append(elapsed)
        self.digests.append(blake2b(result.data, digest_size=16).hexdigest())
        done = len(self.digests)
        self.announce(done)
        if done in (self.warm_up, self.total):
            self._marks.append(self._counters())
        self._started = time.perf_counter()

    def run(self, scenario: str) -> Run:
        """Return what was measured, after the last frame."""
        (faults_before, hits_before, misses_before), (faults, hits, misses) = self._marks
        return Run(
            scenario=scenario,
            memory="plain" if self.pool is None else "pool",
            frame_seconds=self.seconds,
            page_faults=None if faults is None or faults_before is None else faults - faults_before,
            peak_rss=peak_rss(),
            digests=self.digests,
            pool_hits=hits - hits_before,
            pool_misses=misses - misses_before,
        )

    def _counters(self) -> tuple[int | None, int, int]:
        if self.pool is None:
            return page_faults(), 0, 0
        stats = self.pool.stats()
        return page_faults(), stats.hits, stats.misses


def one_thread(photographs: Frame, meter: Meter) -> None:
    """Decode and process each frame in this thread."""
    context: AbstractContextManager[Any] = nullcontext() if meter.pool is None else meter.pool
    with context:
        for number in range(meter.total):
            meter.frame_done(process(decode(photographs, number)))


def two_threads(photographs: Frame, meter: Meter) -> None:
    """Decode in one thread and process in another, with a bounded queue between them."""
    queue: Queue[tuple[int, Frame] | None] = Queue(maxsize=QUEUE_FRAMES)

    def decoder() -> None:
        # A few frames more than are timed: else the worker would have both cores to itself for the last ones.
        try:
            for number in range(meter.total + QUEUE_FRAMES + 1):
                queue.put((number, decode(photographs, number)))
        finally:
            queue.put(None)

    def worker() -> None:
        incoming: Iterable[tuple[int, Frame]] = iter(queue.get, None)
        try:
            for number, frame in incoming:
                if number < meter.total:
                    meter.frame_done(process(frame))
        finally:
            for _ in incoming:  # after an error: lets a decoder that waits in put() come to its end
                pass

    functions = [decoder, worker] if meter.pool is None else [meter.pool(decoder), meter.pool(worker)]
    with ThreadPoolExecutor(max_workers=2) as threads:
        for future in [threads.submit(function) for function in functions]:
            future.result()


SCENARIOS: dict[str, Callable[[Frame, Meter], None]] = {"one-thread": one_thread, "two-threads": two_threads}


def page_faults() -> int | None:
    """Return the minor page faults of this process so far, all threads together; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def peak_rss() -> int | None:
    """Return the greatest resident set of this process so far, in bytes; None where the platform does not tell."""
    if sys.platform == "linux":
        # Not ru_maxrss: Linux hands that down through fork and exec, so a child would start at its parent's peak.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes there, elsewhere in KiB
    return None


def measure(
    photographs: Frame, scenario: str, memory: str, warm_up: int, frames: int, announce: Callable[[int], None]
) -> Run:
    """Run one scenario in this process and return what it measured."""
    pool: BufferPool | None = None
    if memory == "pool":
        from bufpool import BufferPool

        pool = BufferPool(name="demo")
    meter = Meter(warm_up, frames, pool, announce)
    SCENARIOS[scenario](photographs, meter)
    return meter.run(scenario)


def main(argv: list[str] | None = None) -> None:
    """Run from the command line: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m bufpool.cli.demo.measure")
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--scenario", choices=SCENARIOS, required=True)
    parser.add_argument("--memory", choices=MEMORIES, required=True)
    parser.add_argument("--warm-up", type=int, required=True)
    parser.add_argument("--frames", type=int, required=True)
    args = parser.parse_args(argv)

    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    def announce(done: int) -> None:
        say({"frame": done})

    run = measure(np.load(args.photographs), args.scenario, args.memory, args.warm_up, args.frames, announce)
    say({"result": asdict(run)})


if __name__ == "__main__":
    main()
