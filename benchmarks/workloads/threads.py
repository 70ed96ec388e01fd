"""Workloads of the buffer pool in several threads: each for itself, or with hand-offs from each thread to the next.

An iteration is one checkout and one return *by each thread*. If threads do not slow each other down, it takes as long
with many threads as with one.
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
from benchmarks.harness.sampling import Sample, loop, script_loop

#: One thread, and as many as there are cores.
COUNTS = (1, max(2, os.cpu_count() or 2))

#: Objects that pass from thread to thread together: a single one would measure the queue between the threads.
BATCH = 64
#: Batches by which a thread may be ahead of the next.
AHEAD = 4


class Together:
    """A sample run by several threads at once; the threads live as long as the process.

    Each thread builds its own loop from its number and its own copy of the size. If threads shared the objects that
    their loops name, they would contend for the reference counts of these objects.
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
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._spans.put(error)

    def _next(self) -> tuple[float, float]:
        span = self._spans.get()
        if isinstance(span, BaseException):
            raise span
        return span

    def __call__(self, n: int) -> float:
        """Seconds from the first thread's start to the last thread's end, which are more if threads only take turns."""
        for order in self._orders:
            order.put(n)
        began, ended = zip(*(self._next() for _ in self._orders), strict=True)
        seconds: float = max(ended) - min(began)
        return seconds


def same(how: str, size: int, *, count: int) -> Sample:
    """Each thread acquires one array or buffer and releases it at once.

    "buffer", "empty" and "lease" use one pool by a global name, as in the README; "np.empty" uses `numpy` in the same
    way. "scratch" is a scratch of each thread's own, by ``with`` or by its two methods. "expression" adds two arrays
    under the pool's handler, "plain expression" without. "list" is a list of ready arrays with a lock, "queue" a
    `queue.SimpleQueue` of them. "nothing" shows how much the cores slow each other down.
    """
    pool = bufpool.BufferPool(name="bench")
    ready = [np.empty(size, np.uint8) for _ in range(2 * count)]
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for each in ready:
        waiting.put(each)
    lock = threading.Lock()
    # Each thread compiles its own code, with the size as a literal: in 3.13, numbers in code made by `exec` are
    # reference-counted, and threads would contend for them. In a module they are immortal.
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
            "list": lambda: loop("cycle(ready, lock)", cycle=_locked, ready=ready, lock=lock),
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
    """Each thread acquires, and releases what the previous thread acquired: batches of 64 in a ring of queues.

    "list" and "queue" pass ready arrays round, kept in a list with a lock or in another queue.
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
        acquire: dict[str, Callable[[], list[Any]]] = {
            "buffer": lambda: [buffer(n) for _ in range(BATCH)],
            "empty": lambda: [empty(n, np.uint8) for _ in range(BATCH)],
            "np.empty": lambda: [np.empty(n, np.uint8) for _ in range(BATCH)],
            "list": lambda: [locked_pop() for _ in range(BATCH)],
            "queue": lambda: [waiting.get() for _ in range(BATCH)],
        }
        release: dict[str, Callable[[Any], None]] = {"list": locked_append, "queue": waiting.put}
        batch, put_back = acquire[how], release.get(how)
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
