"""Threads that want the same few objects and hold them for no time: how many checkouts in all, and who gets them.

Counted within a fixed time, and not timed for a fixed number: a thread that is starved would else go on alone when the
others are done, and be served quickly at last. The time is a multiple of CPython's switch interval of 5 ms, so that
threads meet on an interpreter with a GIL too, where one that holds an object is now and then made to stop.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import bufpool
from bufpool.cli.bench.sampling import Sample, loop

#: Threads on `OBJECTS` objects.
COUNTS = (2, 4)
OBJECTS = 2

#: An iteration of `turns`, in checkouts.
MANY = 1_000_000
#: Seconds that a sample of `turns` runs, whatever it is asked for.
SECONDS = 0.1

#: Checkouts between two looks at the clock.
BATCH = 100

_Build = Callable[[], Sample]


def counts(how: str, count: int, seconds: float) -> list[int]:
    """Checkouts of each of `count` threads within `seconds`."""
    return _count(_shared(how), count, seconds)


def turns(how: str, _size: int, *, count: int) -> Sample:
    """A million checkouts by all threads together; from those within 0.1 s, however many that are."""
    build = _shared(how)

    def sample(n: int) -> float:
        return n * MANY * SECONDS / sum(_count(build, count, SECONDS))

    return sample


def _shared(how: str) -> _Build:
    """What builds each thread's loop over one pool or queue: bound methods of its own, see `threads.Together`."""
    if how == "lease":
        pool = bufpool.Pool(object, max_size=OBJECTS, name="bench")
        return lambda: loop("with lease() as x: pass", lease=pool.lease)
    waiting: queue.SimpleQueue[Any] | queue.LifoQueue[Any]
    waiting = queue.SimpleQueue() if how == "queue.SimpleQueue" else queue.LifoQueue()
    for _ in range(OBJECTS):
        waiting.put(object())
    return lambda: loop("put(get())", get=waiting.get, put=waiting.put)


def _count(build: _Build, count: int, seconds: float) -> list[int]:
    done = [0] * count
    until = 0.0

    def begin() -> None:
        nonlocal until
        until = perf_counter() + seconds

    start = threading.Barrier(count, begin)

    def work(number: int) -> None:
        sample = build()
        start.wait()
        made = 0
        while perf_counter() < until:
            sample(BATCH)
            made += BATCH
        done[number] = made

    crew = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    return done
