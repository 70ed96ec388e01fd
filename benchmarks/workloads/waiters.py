"""Many waiters for one object: what each waiter costs, and how soon all of them notice that the pool is closed.

There are more tasks than threads, because each thread has a stack. Memory is the growth of the whole process, which
includes the pool's compiled code and the tasks themselves; measure it in a fresh process. The cyclic garbage collector
is off, because it would visit every task again and again.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pkgutil import resolve_name
from time import perf_counter, sleep
from typing import Any

import bufpool
from benchmarks.harness.units import KIB
from benchmarks.peers.async_pools import psycopg_class
from benchmarks.workloads.footprint import resident
from benchmarks.workloads.hold_times import queued

Found = dict[str, float | None]

#: How to lease the object, and how to close the pool.
_Pool = tuple[Callable[[], AbstractAsyncContextManager[Any]], Callable[[], Coroutine[Any, Any, None]] | None]

#: Repetitions for one reading; the fastest counts, because other programs only ever add time.
REPETITIONS = 3

#: Enough for a waiting thread; the default is 8 MiB.
_STACK = 256 * KIB


def tasks(how: str, count: int) -> Found:
    """`count` tasks wait for one object and get it one after the other; then as many wait, and the pool is closed.

    "lease" is ours with default settings, "asyncio.Queue" a queue with one object.

    Returns
    -------
    dict
        ``time``: seconds for each waiter, from its start as a task until it has released the object. ``bytes``: by how
        much the process grew for each waiter; None if the platform does not report it. ``closing``: seconds from the
        call until all waiters had their error; None for a queue, which cannot be closed.
    """
    with _no_collection():
        return _fastest([asyncio.run(_tasks(how, count)) for _ in range(REPETITIONS)])


def _fastest(found: list[Found]) -> Found:
    """The shortest times; the memory of the first repetition, because later ones reuse it."""
    all_times = {what: [each[what] for each in found] for what in ("time", "closing")}
    return {
        "bytes": found[0]["bytes"],
        **{what: min((time for time in times if time is not None), default=None) for what, times in all_times.items()},
    }


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def _tasks(how: str, count: int) -> Found:
    lease, close = await _pool(how)

    async def turn() -> None:
        async with lease():
            pass

    async def hold(until: asyncio.Event) -> None:
        async with lease():
            await until.wait()

    async def start_waiting() -> tuple[list[asyncio.Task[None]], asyncio.Event]:
        enough = asyncio.Event()
        waiting = [asyncio.create_task(hold(enough))]
        waiting += [asyncio.create_task(turn()) for _ in range(count)]
        for _ in range(5):  # each task runs until it waits
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        return waiting, enough

    before = resident()
    start = perf_counter()
    waiting, enough = await start_waiting()
    queued = perf_counter() - start
    after = resident()
    start = perf_counter()
    enough.set()
    await asyncio.gather(*waiting)
    served = perf_counter() - start
    grown = None if before is None or after is None else (after - before) / count

    closed = None
    if close is not None:
        (holder, *waiting), enough = await start_waiting()
        start = perf_counter()
        closing = asyncio.create_task(close())
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        closed = perf_counter() - start
        assert all(isinstance(end, Exception) for end in ends)
        enough.set()
        await asyncio.gather(holder, closing)
    return {"time": (queued + served) / count, "bytes": grown, "closing": closed}


async def _pool(how: str) -> _Pool:
    if how == "lease":
        pool = bufpool.AsyncPool(object, max_size=1, name="bench")
        return pool.lease, lambda: pool.close(None)
    if how == "psycopg_pool, async":
        peer = resolve_name("psycopg_pool:AsyncConnectionPool")(
            min_size=1, connection_class=psycopg_class(), open=False
        )
        await peer.open(wait=True)
        return peer.connection, peer.close
    ready: asyncio.Queue[Any] = asyncio.Queue()
    ready.put_nowait(object())

    @asynccontextmanager
    async def lease() -> AsyncIterator[Any]:
        one = await ready.get()
        try:
            yield one
        finally:
            ready.put_nowait(one)

    return lease, None


def threads(how: str, count: int) -> Found:
    """`tasks` with threads; "lease" is ours, "queue.LifoQueue" a queue with one object.

    The time starts when all threads wait, because starting a thread takes long.
    """
    with _no_collection():
        return _fastest([_threads(how, count) for _ in range(REPETITIONS)])


def _threads(how: str, count: int) -> Found:
    pool = bufpool.Pool(object, max_size=1, name="bench")
    lease = pool.lease if how == "lease" else queued(1)
    started: list[int] = []
    served: list[float] = []
    refused: list[float] = []

    def turn() -> None:
        started.append(1)
        try:
            with lease():
                pass
        except bufpool.ClosedError:
            refused.append(perf_counter())
        else:
            served.append(perf_counter())

    def start_waiting() -> list[threading.Thread]:
        started.clear()
        usual = threading.stack_size(_STACK)
        try:
            waiting = [threading.Thread(target=turn) for _ in range(count)]
            for thread in waiting:
                thread.start()
        finally:
            threading.stack_size(usual)
        while len(started) < count:
            sleep(1e-3)
        sleep(0.02)  # until the last one waits
        return waiting

    with lease():
        waiting = start_waiting()
        start = perf_counter()
    for thread in waiting:
        thread.join()
    took = max(served) - start

    closed = None
    if how == "lease":
        with lease():
            waiting = start_waiting()
            closing = threading.Thread(target=pool.close, args=(None,))
            start = perf_counter()
            closing.start()
            for thread in waiting:
                thread.join()
            closed = max(refused) - start
        closing.join()
    return {"time": took / count, "bytes": None, "closing": closed}
