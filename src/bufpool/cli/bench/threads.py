"""Workloads in several threads at once: checkouts by each for itself, and hand-offs between pairs of them.

An iteration is one checkout and one return *by each thread*. If threads do not hinder each other it takes as long with
many as with one.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

import bufpool
from bufpool.cli.bench.sampling import Sample, loop

#: One thread, and as many as there are cores.
COUNTS = (1, max(2, os.cpu_count() or 2))

#: Objects that pass from thread to thread at once: one alone would measure the queue between the threads.
BATCH = 64
#: Batches that a pair of threads has under way.
AHEAD = 8


class Together:
    """A sample run by several threads at once, which live as long as the process.

    Each thread builds its own, so that its loop's names, and the context that it runs in, are its own: of a name that
    many threads share, CPython itself counts the references in a word that they fight over.
    """

    def __init__(self, build: Callable[[int], Sample], count: int) -> None:
        self._start = threading.Barrier(count)
        self._orders = [queue.SimpleQueue[int]() for _ in range(count)]
        self._took = queue.SimpleQueue[float | BaseException]()
        for number in range(count):
            threading.Thread(target=self._serve, args=(build, number), daemon=True).start()
        for _ in range(count):
            self._next()

    def _serve(self, build: Callable[[int], Sample], number: int) -> None:
        try:
            sample = build(number)
            self._took.put(0.0)
            while True:
                n = self._orders[number].get()
                self._start.wait()
                self._took.put(sample(n))
        except BaseException as error:  # noqa: BLE001 - passed on to the one who waits
            self._took.put(error)

    def _next(self) -> float:
        took = self._took.get()
        if isinstance(took, BaseException):
            raise took
        return took

    def __call__(self, n: int) -> float:
        """Seconds that the slowest took."""
        for order in self._orders:
            order.put(n)
        return max(self._next() for _ in self._orders)


def same(how: str, size: int, *, count: int) -> Sample:
    """Each thread takes one and gives it back at once.

    "buffer", "empty" and "scratch" are the pool's, one pool for all threads; "expression" adds two arrays under the
    pool's handler, "plain expression" without; "list" is a list of ready buffers behind a lock, "queue" a
    `queue.SimpleQueue` of them.
    """
    pool = bufpool.BufferPool(name="bench")
    ready = [np.empty(size, np.uint8) for _ in range(2 * count)]
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for each in ready:
        waiting.put(each)
    lock = threading.Lock()

    def scratch() -> Sample:
        ours = pool.scratch(size, np.uint8)
        return loop("release(acquire())", acquire=ours.acquire, release=ours.release)

    def expression() -> Sample:
        pool.install()
        return loop("a + a", a=np.ones(size // 8))

    loops: dict[str, Callable[[], Sample]] = {
        "buffer": lambda: loop("buffer(n)", buffer=pool.buffer, n=size),
        "empty": lambda: loop("empty(n, u1)", empty=pool.empty, n=size, u1=np.uint8),
        "np.empty": lambda: loop("empty(n, u1)", empty=np.empty, n=size, u1=np.uint8),
        "scratch": scratch,
        "expression": expression,
        "plain expression": lambda: loop("a + a", a=np.ones(size // 8)),
        "list": lambda: loop("turn(ready, lock)", turn=_locked, ready=ready, lock=lock),
        "queue": lambda: loop("put(get())", get=waiting.get, put=waiting.put),
    }
    return Together(lambda _: loops[how](), count)


def _locked(ready: list[Any], lock: threading.Lock) -> None:
    with lock:
        one = ready.pop()
    with lock:
        ready.append(one)


def handoff(how: str, size: int, *, count: int) -> Sample:
    """Every second thread takes, its neighbour gives back: batches of 64 through a `queue.SimpleQueue`.

    With one thread, it does both. "list" and "queue" hand ready arrays round, through a list behind a lock or another
    queue.
    """
    pool = bufpool.BufferPool(name="bench")
    pairs = max(1, count // 2)
    ready = [np.empty(size, np.uint8) for _ in range(pairs * (AHEAD + 2) * BATCH)]
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for each in ready:
        waiting.put(each)
    lock = threading.Lock()
    full = [queue.SimpleQueue[list[Any]]() for _ in range(pairs)]
    room = [queue.SimpleQueue[None]() for _ in range(pairs)]
    for credits in room:
        for _ in range(AHEAD):
            credits.put(None)
    def locked_pop() -> Any:
        with lock:
            return ready.pop()

    def locked_append(one: Any) -> None:
        with lock:
            ready.append(one)

    makers: dict[str, Callable[[], list[Any]]] = {
        "buffer": lambda: [pool.buffer(size) for _ in range(BATCH)],
        "empty": lambda: [pool.empty(size, np.uint8) for _ in range(BATCH)],
        "np.empty": lambda: [np.empty(size, np.uint8) for _ in range(BATCH)],
        "list": lambda: [locked_pop() for _ in range(BATCH)],
        "queue": lambda: [waiting.get() for _ in range(BATCH)],
    }
    batch = makers[how]
    returns: dict[str, Callable[[Any], None]] = {"list": locked_append, "queue": waiting.put}
    put_back = returns.get(how)

    def drop(batch: list[Any]) -> None:
        if put_back is not None:
            for each in batch:
                put_back(each)
        batch.clear()

    def build(number: int) -> Sample:
        pair = number // 2

        def take(n: int) -> float:
            start = perf_counter()
            for _ in range(max(1, 2 * n // BATCH)):
                room[pair].get()
                full[pair].put(batch())
            return perf_counter() - start

        def give(n: int) -> float:
            start = perf_counter()
            for _ in range(max(1, 2 * n // BATCH)):
                drop(full[pair].get())
                room[pair].put(None)
            return perf_counter() - start

        def both(n: int) -> float:
            start = perf_counter()
            for _ in range(max(1, n // BATCH)):
                room[pair].get()
                full[pair].put(batch())
                drop(full[pair].get())
                room[pair].put(None)
            return perf_counter() - start

        return both if count == 1 else give if number % 2 else take

    return Together(build, count if count == 1 else 2 * pairs)
