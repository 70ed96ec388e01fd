"""Crowds that wait for one object: what each waiter costs, and how soon all know that the pool is closed.

Tasks wait in an event loop, which has room for very many; threads in fewer, for each of them has a stack. The memory
is that of the process, so that what the pool's compiled code takes is in it, and so are the tasks themselves; measure
it in a fresh process. Python's cyclic collector is off meanwhile, as in a race: it looks at every task there is, each
time that so many objects were made.
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
from bufpool.cli.bench.async_peers import psycopg_class
from bufpool.cli.bench.held import queued
from bufpool.cli.bench.probes import KIB, resident

Found = dict[str, float | None]

#: How to take the object, and how to close what it is in.
_Way = tuple[Callable[[], AbstractAsyncContextManager[Any]], Callable[[], Coroutine[Any, Any, None]] | None]

#: Crowds for one reading, of which the quickest counts: what other programs take is only ever added.
CROWDS = 3

#: Enough for a thread that waits; the default is 8 MiB.
_STACK = 256 * KIB


def tasks(how: str, count: int) -> Found:
    """`count` tasks wait for one object, have it one after the other; then as many wait, and it is closed.

    "lease" is ours with the default settings, "asyncio.Queue" a queue with one object, "psycopg_pool, async" the peer.

    Returns
    -------
    dict
        ``time``: seconds a waiter, from its start as a task until it has given the object back. ``bytes``: by how much
        the process grew for each while all waited; None where the platform does not tell. ``closing``: seconds from
        the call until all waiters had their error; None for what cannot be closed.
    """
    with _no_collection():
        return _quickest([asyncio.run(_tasks(how, count)) for _ in range(CROWDS)])


def _quickest(found: list[Found]) -> Found:
    """The least times; the memory of the first crowd, which the others find there."""
    least = {what: [each[what] for each in found] for what in ("time", "closing")}
    return {
        "bytes": found[0]["bytes"],
        **{
            what: min((time for time in times if time is not None), default=None)
            for what, times in least.items()
        },
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
    take, close = await _way(how)

    async def turn() -> None:
        async with take():
            pass

    async def hold(until: asyncio.Event) -> None:
        async with take():
            await until.wait()

    async def crowd() -> tuple[list[asyncio.Task[None]], asyncio.Event]:
        enough = asyncio.Event()
        crew = [asyncio.create_task(hold(enough))]
        crew += [asyncio.create_task(turn()) for _ in range(count)]
        for _ in range(5):  # each of them runs until it waits
            await asyncio.sleep(0)
        assert not any(task.done() for task in crew)
        return crew, enough

    before = resident()
    start = perf_counter()
    crew, enough = await crowd()
    queued = perf_counter() - start
    after = resident()
    start = perf_counter()
    enough.set()
    await asyncio.gather(*crew)
    served = perf_counter() - start
    grown = None if before is None or after is None else (after - before) / count

    closed = None
    if close is not None:
        (holder, *crew), enough = await crowd()
        start = perf_counter()
        closing = asyncio.create_task(close())
        ends = await asyncio.gather(*crew, return_exceptions=True)
        closed = perf_counter() - start
        assert all(isinstance(end, Exception) for end in ends)
        enough.set()
        await asyncio.gather(holder, closing)
    return {"time": (queued + served) / count, "bytes": grown, "closing": closed}


async def _way(how: str) -> _Way:
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
    async def taken() -> AsyncIterator[Any]:
        one = await ready.get()
        try:
            yield one
        finally:
            ready.put_nowait(one)

    return taken, None


def threads(how: str, count: int) -> Found:
    """`tasks` with threads; "lease" is ours, "queue.LifoQueue" a queue with one object.

    The time is counted from when all wait, for a thread takes long to start.
    """
    with _no_collection():
        return _quickest([_threads(how, count) for _ in range(CROWDS)])


def _threads(how: str, count: int) -> Found:
    pool = bufpool.Pool(object, max_size=1, name="bench")
    take = pool.lease if how == "lease" else queued(1)
    started: list[int] = []
    served: list[float] = []
    refused: list[float] = []

    def turn() -> None:
        started.append(1)
        try:
            with take():
                pass
        except bufpool.ClosedError:
            refused.append(perf_counter())
        else:
            served.append(perf_counter())

    def crowd() -> list[threading.Thread]:
        started.clear()
        usual = threading.stack_size(_STACK)
        try:
            crew = [threading.Thread(target=turn) for _ in range(count)]
            for thread in crew:
                thread.start()
        finally:
            threading.stack_size(usual)
        while len(started) < count:
            sleep(1e-3)
        sleep(0.02)  # what the last one needs from there until it waits
        return crew

    with take():
        crew = crowd()
        start = perf_counter()
    for thread in crew:
        thread.join()
    took = max(served) - start

    closed = None
    if how == "lease":
        with take():
            crew = crowd()
            closing = threading.Thread(target=pool.close, args=(None,))
            start = perf_counter()
            closing.start()
            for thread in crew:
                thread.join()
            closed = max(refused) - start
        closing.join()
    return {"time": took / count, "bytes": None, "closing": closed}
