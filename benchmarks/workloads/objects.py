"""Workloads of the object pool: one client at a time, with threads and with tasks; then threads that compete.

Threads that compete acquire one of two objects and release it at once. Their checkouts are counted within a fixed
time: with a fixed number of checkouts, a starved thread would go on alone when the others are done. The time is a
multiple of CPython's switch interval of 5 ms, so that threads also meet on an interpreter with a GIL.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import bufpool
from benchmarks.harness.sampling import Sample, async_loop, loop
from benchmarks.peers import connection_pools
from benchmarks.peers.async_pools import ASYNC_POOLS, runner
from benchmarks.peers.connection_pools import BARE
from benchmarks.peers.stdlib import STDLIB
from benchmarks.workloads import misuse

#: Numbers of threads that compete for `OBJECTS` objects.
COUNTS = (2, 4)
OBJECTS = 2

#: Checkouts that one iteration of `turns` stands for.
MANY = 1_000_000
#: Seconds that a sample of `turns` runs, whatever number of iterations it is asked for.
SECONDS = 0.1

#: Checkouts between two readings of the clock.
BATCH = 100


def lease(how: str, _size: int) -> Sample:
    """Check out the only object and return it at once; there is no other client.

    "lease" and "acquire" are ours, with default settings: no check, no reset.
    """
    if how in BARE:
        return BARE[how].make(1).sample()
    if how in STDLIB:
        return STDLIB[how](1).sample()
    if how == "lease":
        return misuse.our_pool(1).sample()
    pool = bufpool.Pool(object, max_size=1, name="bench")
    return loop("release(acquire())", acquire=pool.acquire, release=pool.release)


def connection(how: str, _size: int, check: bool) -> Sample:
    """Check out the only connection and return it, with a rollback and perhaps a check."""
    return connection_pools.with_care(how, 1, check).sample()


def async_lease(how: str, _size: int) -> Sample:
    """`lease` with a single task. What is timed is the pool, not the event loop."""
    if how in ASYNC_POOLS:
        return ASYNC_POOLS[how].make()
    tasks = runner()
    if how == "asyncio.Queue":
        ready: asyncio.Queue[Any] = asyncio.Queue()
        ready.put_nowait(object())
        return async_loop("put(await get())", tasks.run, get=ready.get, put=ready.put_nowait)
    pool = bufpool.AsyncPool(object, max_size=1, name="bench")
    return async_loop("async with lease() as x: pass", tasks.run, lease=pool.lease)


def turns(how: str, _size: int, *, count: int) -> Sample:
    """A million checkouts by all threads together, extrapolated from those within 0.1 s."""
    build = _shared(how)

    def sample(n: int) -> float:
        return n * MANY * SECONDS / sum(_count(build, count, SECONDS))

    return sample


def checkouts_by_thread(how: str, count: int, seconds: float) -> list[int]:
    """Checkouts of each of `count` threads within `seconds`."""
    return _count(_shared(how), count, seconds)


def _shared(how: str) -> Callable[[], Sample]:
    """Builds a thread's loop over the shared pool or queue, with bound methods of its own: see `threads.Together`."""
    if how == "lease":
        pool = bufpool.Pool(object, max_size=OBJECTS, name="bench")
        return lambda: loop("with lease() as x: pass", lease=pool.lease)
    waiting: queue.SimpleQueue[Any] | queue.LifoQueue[Any]
    waiting = queue.SimpleQueue() if how == "queue.SimpleQueue" else queue.LifoQueue()
    for _ in range(OBJECTS):
        waiting.put(object())
    return lambda: loop("put(get())", get=waiting.get, put=waiting.put)


def _count(build: Callable[[], Sample], count: int, seconds: float) -> list[int]:
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

    clients = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return done
