"""Other packages' pools for tasks, each set up for the quickest checkout that it has, timed as `peers` are."""

from __future__ import annotations

import asyncio
import atexit
from types import SimpleNamespace
from typing import Any, Self

from bufpool.cli.bench.packages import Package
from bufpool.cli.bench.peers import LIBPQ, Connection, idle
from bufpool.cli.bench.sampling import Sample, async_loop, quickest


def runner() -> asyncio.Runner:
    """An event loop for one contender, which is closed when the process ends, tasks of a peer's own with it."""
    made = asyncio.Runner()
    atexit.register(made.close)
    return made


class _AsyncConnection(Connection):
    async def close(self) -> None: ...  # type: ignore[override]
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def psycopg_class() -> Any:
    """The connection class for a `psycopg_pool.AsyncConnectionPool`."""

    async def connect(*_: object, **__: object) -> _AsyncConnection:
        return _AsyncConnection(idle())

    return SimpleNamespace(connect=connect)


def _object_pool_async(pool_class: Any) -> Sample:
    tasks, pool = runner(), pool_class()
    tasks.run(pool.add_async(object()))
    return async_loop("async with await borrow() as x: pass", tasks.run, borrow=pool.borrow_async)


def _anopool_async(anopool: Any) -> Sample:
    tasks, pool = runner(), anopool.AsyncPool(anopool.AsyncManager(), 1)
    tasks.run(pool.open())
    # anopool 0.1.0b0 fails at the first checkout of all: it awaits asyncio.QueueEmpty from a `queue.SimpleQueue`, which
    # raises another. With an object where its own return would put one, the rest of it works.
    pool._state.count.acquire()
    pool._state.idle.put(object())
    return async_loop("async with acquire() as x: pass", tasks.run, acquire=pool.acquire)


def _psycopg_async(pools: Any) -> Sample:
    async def make() -> Any:
        pool = pools.AsyncConnectionPool(min_size=1, connection_class=psycopg_class(), open=False)
        await pool.open(wait=True)
        return pool

    tasks = runner()
    pool = tasks.run(make())
    names = {"connection": pool.connection, "take": pool.getconn, "give": pool.putconn}
    forms = ("async with connection() as x: pass", "await give(await take())")
    return quickest([async_loop(form, tasks.run, **names) for form in forms])


ASYNC_PEERS: dict[str, Package[Sample]] = {
    "object-pool-async": Package("object-pool-async", "object_pool.pool:Pool", _object_pool_async),
    "anopool, async": Package("anopool", "anopool", _anopool_async),
    "psycopg_pool, async": Package("psycopg-pool", "psycopg_pool", _psycopg_async, LIBPQ),
}
