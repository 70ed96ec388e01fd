"""Other packages' pools of objects: which there are, how each is asked for an object, and how to get it.

Each is set up for the quickest checkout that it has: one object, ready, no check, no reset, nothing measured, and no
thread of its own where it lets one choose. What a pool of connections wants a connection to be is a class here whose
methods do nothing: no server answers, and what is timed is the pool's own work. A peer with a `with` is timed by it,
one without by its two calls.

No peer is imported before it is asked for: a package that is missing, or that fails on this interpreter, costs the
others nothing.
"""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any, Self

from bufpool.cli.bench.sampling import Sample, async_loop, loop

_INSTALL = "pip install bufpool[bench]"


@dataclass(frozen=True)
class Peer:
    """One way of one package.

    Parameters
    ----------
    entry : str
        What tells that the package is there: a module, or ``module:name``.
    build : callable
        Makes the sample from what `entry` names.
    install : str
        What to tell a user who lacks it.
    """

    entry: str
    build: Callable[[Any], Sample]
    install: str = _INSTALL


def missing(name: str) -> str:
    """Why the peer `name` cannot be had here, with what to do about it; empty where it can be had."""
    peer = PEERS[name]
    module, _, attribute = peer.entry.partition(":")
    try:
        found = import_module(module)
    except ImportError:
        return f"not installed: {peer.install}"
    except Exception as error:  # noqa: BLE001 - whatever ails it, the others run
        return f"cannot be imported here: {error!r}"
    return "" if hasattr(found, attribute or "__name__") else f"not installed: {peer.install}"


def sample(name: str) -> Sample:
    """The checkout of the peer `name`."""
    peer = PEERS[name]
    return peer.build(resolve_name(peer.entry))


def runner() -> asyncio.Runner:
    """An event loop for one contender, which is closed when the process ends, tasks of a peer's own with it."""
    made = asyncio.Runner()
    atexit.register(made.close)
    return made


# Connections without a server ----------------------------------------------------------------------------------------


class _Connection:
    """What SQLAlchemy and psycopg_pool do with a connection, all of it for nothing."""

    def __init__(self, pgconn: object = None) -> None:
        self.pgconn = pgconn

    def close(self) -> None: ...
    def rollback(self) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


class _AsyncConnection(_Connection):
    async def close(self) -> None: ...  # type: ignore[override]
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def _idle() -> SimpleNamespace:
    """What psycopg_pool reads on return; the real one asks libpq."""
    return SimpleNamespace(transaction_status=resolve_name("psycopg.pq:TransactionStatus").IDLE)


def psycopg_class() -> Any:
    """The connection class for a `psycopg_pool.ConnectionPool`."""
    return SimpleNamespace(connect=lambda *_, **__: _Connection(_idle()))


def psycopg_async_class() -> Any:
    """The connection class for a `psycopg_pool.AsyncConnectionPool`."""

    async def connect(*_: object, **__: object) -> _AsyncConnection:
        return _AsyncConnection(_idle())

    return SimpleNamespace(connect=connect)


# With threads --------------------------------------------------------------------------------------------------------


def _psycopg(pools: Any) -> Sample:
    pool = pools.ConnectionPool(min_size=1, connection_class=psycopg_class(), open=True)
    atexit.register(pool.close)  # left open, it complains of threads that are gone by then
    pool.wait()
    return loop("with connection() as x: pass", connection=pool.connection)


def _sqlalchemy(pools: Any) -> Sample:
    pool = pools.QueuePool(_Connection, pool_size=1, max_overflow=0, reset_on_return=None)
    return loop("c = connect(); c.close()", connect=pool.connect)


def _fastalloc(kind: str) -> Callable[[Any], Sample]:
    def build(fastalloc: Any) -> Sample:
        pool = getattr(fastalloc, kind)(object, 1, pre_initialize=True)
        return loop("with allocate() as x: pass", allocate=pool.allocate)

    return build


def _anopool(anopool: Any) -> Sample:
    pool = anopool.Pool(type("Manager", (anopool.Manager,), {"create": lambda _: object()})(), 1)
    pool.open()
    return loop("with acquire() as x: pass", acquire=pool.acquire)


def _connpool(connpool: Any) -> Sample:
    settings = connpool.PoolConfig(
        max_size=1, max_lifetime=None, max_idle_time=None, validate_after_idle=None, maintenance_interval=None
    )
    pool = connpool.ConnectionPool(connpool.CallableFactory(object), settings)
    return loop("with connection() as x: pass", connection=pool.connection)


def _object_pool(pool_class: Any) -> Sample:
    return loop("with item() as x: pass", item=pool_class(object, max_size=1).item)


def _generic_pool(generic_pool: Any) -> Sample:
    factory = type("Objects", (generic_pool.Factory,), {"create": lambda _: object()})()
    return loop("with item() as x: pass", item=generic_pool.Pool(factory, maxsize=1).item)


def _pondpond(pond: Any) -> Sample:
    methods = {
        "createInstance": lambda _: pond.PooledObject(object()),
        "destroy": lambda *_: None,
        "reset": lambda _, one: one,
        "validate": lambda *_: True,
    }
    pool = pond.Pond(time_between_eviction_runs=-1)  # no thread, no counting of clients
    pool.register(type("Objects", (pond.PooledObjectFactory,), methods)(pooled_maxsize=1), name="objects")
    statement = "x = borrow(name='objects'); recycle(x, name='objects')"
    return loop(statement, borrow=pool.borrow, recycle=pool.recycle)


def _cuttlepool(cuttlepool: Any) -> Sample:
    # Without these two it warns at each checkout.
    methods = {"normalize_resource": lambda *_: None, "ping": lambda *_: True}
    pool = type("Objects", (cuttlepool.CuttlePool,), methods)(object, 1)
    return loop("with get() as x: pass", get=pool.get_resource)


def _queuepool(queuepool: Any) -> Sample:
    pool = queuepool.Pool("bench", 1, maxIdleTime=None, maxOpenTime=None, maxUsageCount=None)
    pool.put(queuepool.ResourceManager("object"))
    return loop("with take() as x: pass", take=pool.take)


# With tasks ----------------------------------------------------------------------------------------------------------


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
        pool = pools.AsyncConnectionPool(min_size=1, connection_class=psycopg_async_class(), open=False)
        await pool.open(wait=True)
        return pool

    tasks = runner()
    pool = tasks.run(make())
    return async_loop("async with connection() as x: pass", tasks.run, connection=pool.connection)


_LIBPQ = f"{_INSTALL}, and libpq (apt-get install libpq5, or pip install psycopg[binary])"

PEERS = {
    "psycopg_pool": Peer("psycopg_pool", _psycopg, _LIBPQ),
    "SQLAlchemy": Peer("sqlalchemy.pool", _sqlalchemy),
    "fastalloc": Peer("fastalloc", _fastalloc("ThreadSafePool")),
    "fastalloc, no lock": Peer("fastalloc", _fastalloc("FixedPool")),
    "anopool": Peer("anopool", _anopool),
    "connpool": Peer("connpool", _connpool),
    # Two packages call their module object_pool, so that an environment holds one of them. The asynchronous one has a
    # bound here, and is the one that the extra brings.
    "object-pool": Peer(
        "object_pool:ObjectPool", _object_pool, "pip install object-pool, without object-pool-async"
    ),
    "generic-pool": Peer("generic_pool", _generic_pool),
    "pondpond": Peer("pond", _pondpond),
    "cuttlepool": Peer("cuttlepool", _cuttlepool),
    # Not in the extra: it requires psycopg2, which is compiled against libpq, for a module that is not used here.
    "queuepool": Peer("queuepool", _queuepool, "pip install --no-deps queuepool"),
    "object-pool-async": Peer("object_pool.pool:Pool", _object_pool_async),
    "anopool, async": Peer("anopool", _anopool_async),
    "psycopg_pool, async": Peer("psycopg_pool", _psycopg_async, _LIBPQ),
}
