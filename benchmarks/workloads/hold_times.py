"""Threads that hold objects for a millisecond: how long others wait for them, and how many checkouts there are.

A millisecond must be one, or the table shows the clock of the machine and not the pool. A thread that sleeps wakes
late: by Linux's timer slack of 50 us, which is set to nothing here, and by the microseconds of the wake-up itself,
which are measured first and slept less. It does not spin for the rest: a thread that spins keeps the GIL from the one
that has just been handed an object. What the pool adds (a sleeper that wakes late because the pool's own code runs)
stays in the figure. What the machine adds is shown by "own objects", measured beside it: as many threads as objects,
each with one of its own and no pool at all; and by "handed over", the fair hand-over as one writes it by hand, which
wakes as many threads as a fair pool must. The mean of the time that objects were really held is told too.
"""

from __future__ import annotations

import ctypes
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import ceil
from statistics import fmean, median
from time import perf_counter, sleep
from typing import Any

import bufpool

THREADS = 8
OBJECTS = 2
#: Seconds that each object is held.
HOLD = 1e-3
#: Checkouts a second if no object ever lies idle.
IDEAL = OBJECTS / HOLD

#: Share of a run that is not counted: threads start one after the other, and the first do not wait.
_WARM_UP = 0.1

_PR_SET_TIMERSLACK = 29


def held(how: str, seconds: float) -> dict[str, float]:
    """Run for `seconds`: waits, checkouts a second, and how long an object was held, all in seconds.

    "lease" is ours, "queue.LifoQueue" a queue of objects, "handed over" gives an object to whoever waits longest; each
    serves eight threads. "own objects" is the ideal.
    """
    _wake_in_time()
    nap = HOLD - _overshoot()
    take = _way(how)
    begin = perf_counter() + 0.02
    first, last = begin + _WARM_UP * seconds, begin + seconds
    seen: list[tuple[float, float, float]] = []  # when each was asked for, had, and given back

    def work() -> None:
        mine = []
        sleep(max(0.0, begin - perf_counter()))
        got = begin
        while got < last:
            asked = perf_counter()
            with take():
                got = perf_counter()
                sleep(nap)
                back = perf_counter()
            mine.append((asked, got, back))
        seen.extend(mine)

    crew = [threading.Thread(target=work) for _ in range(OBJECTS if how == "own objects" else THREADS)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    counted = [turn for turn in seen if first <= turn[1] < last]
    # Of those who wait to the very end, too: they are the ones who starve.
    waits = sorted(got - asked for asked, got, _ in seen if got >= first and asked < last)
    return {
        "wait": fmean(waits),
        "p99.9": waits[ceil(0.999 * len(waits)) - 1],
        "each": (last - first) / len(counted),
        "held": fmean(back - got for _, got, back in counted),
    }


def _way(how: str) -> Callable[[], AbstractContextManager[Any]]:
    if how == "own objects":
        return nullcontext
    if how == "handed over":
        return _handed_over(OBJECTS)
    return bufpool.Pool(object, max_size=OBJECTS, name="bench").lease if how == "lease" else queued(OBJECTS)


def queued(count: int) -> Callable[[], AbstractContextManager[Any]]:
    """Leases from a `queue.LifoQueue` of `count` objects, as one writes them by hand."""
    ready: queue.LifoQueue[Any] = queue.LifoQueue()
    for _ in range(count):
        ready.put(object())

    @contextmanager
    def taken() -> Iterator[Any]:
        one = ready.get()
        try:
            yield one
        finally:
            ready.put(one)

    return taken


def _handed_over(count: int) -> Callable[[], AbstractContextManager[Any]]:
    lock = threading.Lock()
    ready = [object() for _ in range(count)]
    waiting: deque[queue.SimpleQueue[object]] = deque()

    @contextmanager
    def taken() -> Iterator[Any]:
        mine: queue.SimpleQueue[object] = queue.SimpleQueue()
        with lock:
            if ready:
                mine.put(ready.pop())
            else:
                waiting.append(mine)
        one = mine.get()
        try:
            yield one
        finally:
            with lock:
                if waiting:
                    waiting.popleft().put(one)
                else:
                    ready.append(one)

    return taken


def _wake_in_time() -> None:
    """Take this thread's timer slack away; threads that it starts inherit that."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def _overshoot() -> float:
    """By how much a sleep of a millisecond is usually too long here."""
    late = []
    for _ in range(50):
        start = perf_counter()
        sleep(HOLD)
        late.append(perf_counter() - start - HOLD)
    return min(median(late), HOLD / 2)
