"""Workloads in several threads at once: checkouts by each for itself, and hand-offs from each to the next.

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
from bufpool.cli.bench.sampling import Sample, loop, script_loop

#: One thread, and as many as there are cores.
COUNTS = (1, max(2, os.cpu_count() or 2))

#: Objects that pass from thread to thread at once: one alone would measure the queue between the threads.
BATCH = 64
#: Batches that each thread may be ahead of the next.
AHEAD = 4


class Together:
    """A sample run by several threads at once, which live as long as the process.

    Each thread builds its own from its number and its own copy of the size, so that what its loop names, and the
    context that it runs in, are its own: if many threads use one object, CPython itself counts the references to it
    in a word that they fight over.
    """

    def __init__(self, build: Callable[[int, int], Sample], size: int, count: int) -> None:
        self._start = threading.Barrier(count)
        self._orders = [queue.SimpleQueue[int]() for _ in range(count)]
        self._spans = queue.SimpleQueue[tuple[float, float] | BaseException]()
        for number in range(count):
            threading.Thread(target=self._serve, args=(build, number, size), daemon=True).start()
        for _ in range(count):
            self._next()

    def _serve(self, build: Callable[[int, int], Sample], number: int, size: int) -> None:
        try:
            sample = build(number, int(str(size)))
            self._spans.put((0.0, 0.0))
            while True:
                n = self._orders[number].get()
                self._start.wait()
                began = perf_counter()
                sample(n)
                self._spans.put((began, perf_counter()))
        except BaseException as error:  # noqa: BLE001 - passed on to the one who waits
            self._spans.put(error)

    def _next(self) -> tuple[float, float]:
        span = self._spans.get()
        if isinstance(span, BaseException):
            raise span
        return span

    def __call__(self, n: int) -> float:
        """Seconds from the first thread's start to the last one's end: threads that take turns are not linear."""
        for order in self._orders:
            order.put(n)
        began, ended = zip(*(self._next() for _ in self._orders), strict=True)
        seconds: float = max(ended) - min(began)
        return seconds


def same(how: str, size: int, *, count: int) -> Sample:
    """Each thread takes one and gives it back at once.

    "buffer", "empty" and "lease" are the pool's, written as in the README: one pool, which all threads find by a
    global name, as they find `numpy` for "np.empty". "scratch" is a scratch of each thread's own, by ``with`` or by
    its two methods. "expression" adds two arrays under the pool's handler, "plain expression" without; "list" is a
    list of ready buffers behind a lock, "queue" a `queue.SimpleQueue` of them; "nothing" tells what the machine's own
    cores take from each other.
    """
    pool = bufpool.BufferPool(name="bench")
    ready = [np.empty(size, np.uint8) for _ in range(2 * count)]
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for each in ready:
        waiting.put(each)
    lock = threading.Lock()
    # The size stands in the code, and each thread compiles its own: in 3.13 a number in code is counted if `exec` made
    # the code, and threads would fight over it. In a module it is immortal.
    scripts = {
        "buffer": f"pool.buffer({size})",
        "empty": f"pool.empty({size}, np.uint8)",
        "np.empty": f"np.empty({size}, np.uint8)",
        "lease": f"with pool.lease({size}, np.uint8) as a: pass",
    }
    if how in scripts:
        return Together(lambda *_: script_loop(scripts[how], pool=pool, np=np), size, count)

    def build(_: int, n: int) -> Sample:
        if how == "expression":
            pool.install()
        ours = pool.scratch(n, np.uint8)
        loops: dict[str, Callable[[], Sample]] = {
            "scratch": lambda: loop("with scratch as a: pass", scratch=ours),
            "scratch methods": lambda: loop("scratch.release(scratch.acquire())", scratch=ours),
            "expression": lambda: loop("a + a", a=np.ones(n // 8)),
            "plain expression": lambda: loop("a + a", a=np.ones(n // 8)),
            "list": lambda: loop("turn(ready, lock)", turn=_locked, ready=ready, lock=lock),
            "queue": lambda: loop("put(get())", get=waiting.get, put=waiting.put),
            "nothing": lambda: loop("x = n", n=n),
        }
        return loops[how]()

    return Together(build, size, count)


def _locked(ready: list[Any], lock: threading.Lock) -> None:
    with lock:
        one = ready.pop()
    with lock:
        ready.append(one)


def handoff(how: str, size: int, *, count: int) -> Sample:
    """Each thread takes, and gives back what the thread before it took: batches of 64 go round in a ring of queues.

    With one thread the ring is short. "list" and "queue" hand ready arrays round, kept in a list behind a lock or in
    another queue.
    """
    pool = bufpool.BufferPool(name="bench")
    ready = [np.empty(size, np.uint8) for _ in range(count * (AHEAD + 1) * BATCH)]
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for each in ready:
        waiting.put(each)
    lock = threading.Lock()
    ring = [queue.SimpleQueue[list[Any]]() for _ in range(count)]

    def locked_pop() -> Any:
        with lock:
            return ready.pop()

    def locked_append(one: Any) -> None:
        with lock:
            ready.append(one)

    def build(number: int, n: int) -> Sample:
        buffer, empty = pool.buffer, pool.empty
        take: dict[str, Callable[[], list[Any]]] = {
            "buffer": lambda: [buffer(n) for _ in range(BATCH)],
            "empty": lambda: [empty(n, np.uint8) for _ in range(BATCH)],
            "np.empty": lambda: [np.empty(n, np.uint8) for _ in range(BATCH)],
            "list": lambda: [locked_pop() for _ in range(BATCH)],
            "queue": lambda: [waiting.get() for _ in range(BATCH)],
        }
        give: dict[str, Callable[[Any], None]] = {"list": locked_append, "queue": waiting.put}
        batch, put_back = take[how], give.get(how)
        mine, next_ones = ring[number], ring[(number + 1) % count]
        for _ in range(AHEAD):
            next_ones.put(batch())

        def sample(n: int) -> float:
            start = perf_counter()
            for _ in range(max(1, n // BATCH)):
                next_ones.put(batch())
                theirs = mine.get()
                if put_back is not None:
                    for each in theirs:
                        put_back(each)
                del theirs[:]
            return perf_counter() - start

        return sample

    return Together(build, size, count)
