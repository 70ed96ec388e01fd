"""Threads that hold objects for a millisecond: how long others wait, and how many checkouts there are.

The millisecond must be exact, or the figures show the machine's timer and not the pool. A sleeping thread wakes up
late: by Linux's timer slack of 50 us, which is switched off here, and by the wake-up itself, which is measured first
and subtracted from the sleep. It does not spin for the rest, because a spinning thread would keep the GIL from the
thread that has just received an object. Delays that the pool's own code causes stay in the figures.

Two contenders beside ours show what the machine adds. "own objects" has as many threads as objects, each with its own
object and no pool. "handed over" is a hand-written fair hand-over, which wakes as many threads as a fair pool must.
The mean time that objects were really held is reported too.
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
#: Checkouts a second if no object is ever idle.
IDEAL = OBJECTS / HOLD

#: Share of a run that is not counted: threads start one after the other, and the first do not wait.
_WARM_UP = 0.1

_PR_SET_TIMERSLACK = 29


def measure(how: str, seconds: float) -> dict[str, float]:
    """Run for `seconds`; the waiting times, the time for each checkout, and the hold time, all in seconds.

    "lease" is ours, "queue.LifoQueue" a queue of objects, "handed over" gives an object to the thread that has waited
    longest; each serves eight threads. "own objects" is the ideal.
    """
    _switch_off_timer_slack()
    nap = HOLD - _overshoot()
    lease = _leases(how)
    begin = perf_counter() + 0.02
    first, last = begin + _WARM_UP * seconds, begin + seconds
    seen: list[tuple[float, float, float]] = []  # when each was requested, acquired and released

    def work() -> None:
        mine = []
        sleep(max(0.0, begin - perf_counter()))
        acquired = begin
        while acquired < last:
            requested = perf_counter()
            with lease():
                acquired = perf_counter()
                sleep(nap)
                back = perf_counter()
            mine.append((requested, acquired, back))
        seen.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(OBJECTS if how == "own objects" else THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = [turn for turn in seen if first <= turn[1] < last]
    # Including threads that wait to the very end: those are the starved ones.
    waits = sorted(acquired - requested for requested, acquired, _ in seen if acquired >= first and requested < last)
    return {
        "wait": fmean(waits),
        "p99.9": waits[ceil(0.999 * len(waits)) - 1],
        "each": (last - first) / len(counted),
        "held": fmean(back - acquired for _, acquired, back in counted),
    }


def _leases(how: str) -> Callable[[], AbstractContextManager[Any]]:
    if how == "own objects":
        return nullcontext
    if how == "handed over":
        return _handed_over(OBJECTS)
    return bufpool.Pool(object, max_size=OBJECTS, name="bench").lease if how == "lease" else queued(OBJECTS)


def queued(count: int) -> Callable[[], AbstractContextManager[Any]]:
    """Hand-written leases from a `queue.LifoQueue` of `count` objects."""
    ready: queue.LifoQueue[Any] = queue.LifoQueue()
    for _ in range(count):
        ready.put(object())

    @contextmanager
    def lease() -> Iterator[Any]:
        one = ready.get()
        try:
            yield one
        finally:
            ready.put(one)

    return lease


def _handed_over(count: int) -> Callable[[], AbstractContextManager[Any]]:
    lock = threading.Lock()
    ready = [object() for _ in range(count)]
    waiting: deque[queue.SimpleQueue[object]] = deque()

    @contextmanager
    def lease() -> Iterator[Any]:
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

    return lease


def _switch_off_timer_slack() -> None:
    """Switch off the timer slack of this thread, and of the threads that it starts."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


def _overshoot() -> float:
    """By how much a sleep of a millisecond is usually too long."""
    late = []
    for _ in range(50):
        start = perf_counter()
        sleep(HOLD)
        late.append(perf_counter() - start - HOLD)
    return min(median(late), HOLD / 2)
