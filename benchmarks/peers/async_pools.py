"""Other packages' pools for tasks, each set up for its fastest checkout."""

from __future__ import annotations

import asyncio
import atexit
from types import SimpleNamespace
from typing import Any, Self

from benchmarks.harness.packages import Package
from benchmarks.harness.sampling import Sample, async_loop, fastest
from benchmarks.peers.connection_pools import LIBPQ, Connection, idle_state


def runner() -> asyncio.Runner:
    """An event loop for one contender, closed at the end of the process together with the contender's own tasks."""
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
        return _AsyncConnection(idle_state())

    return SimpleNamespace(connect=connect)


def _object_pool_async(pool_class: Any) -> Sample:
    tasks, pool = runner(), pool_class()
    tasks.run(pool.add_async(object()))
    return async_loop("async with await borrow() as x: pass", tasks.run, borrow=pool.borrow_async)


def _anopool(anopool: Any) -> Sample:
    tasks, pool = runner(), anopool.AsyncPool(anopool.AsyncManager(), 1)
    tasks.run(pool.open())
    # The first checkout of anopool 0.1.0b0 fails: it expects asyncio.QueueEmpty from a `queue.SimpleQueue`, which
    # raises queue.Empty. With an object put where a return would put one, checkouts work.
    pool._state.count.acquire()
    pool._state.idle.put(object())
    return async_loop("async with acquire() as x: pass", tasks.run, acquire=pool.acquire)


def _psycopg(pools: Any) -> Sample:
    async def make() -> Any:
        pool = pools.AsyncConnectionPool(min_size=1, connection_class=psycopg_class(), open=False)
        await pool.open(wait=True)
        return pool

    tasks = runner()
    pool = tasks.run(make())
    names = {"connection": pool.connection, "acquire": pool.getconn, "release": pool.putconn}
    forms = ("async with connection() as x: pass", "await release(await acquire())")
    return fastest([async_loop(form, tasks.run, **names) for form in forms])


ASYNC_POOLS: dict[str, Package[Sample]] = {
    "object-pool-async": Package("object-pool-async", "object_pool.pool:Pool", _object_pool_async),
    "anopool, async": Package("anopool", "anopool", _anopool),
    "psycopg_pool, async": Package("psycopg-pool", "psycopg_pool", _psycopg, LIBPQ),
}
