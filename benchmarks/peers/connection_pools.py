"""Other packages' pools of objects: which there are, and how each is asked for an object.

Each is set up for the quickest checkout that it has: its objects ready, no check, no reset, nothing measured, and no
thread of its own where it lets one choose. What a pool of connections wants a connection to be is a class whose methods
do nothing: no server answers, and what is timed is the pool's own work. A peer that has a `with` and two calls is timed
by the quicker of the two. What pools of connections do for a connection is another row's: see `connections`.
"""

from __future__ import annotations

import atexit
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import count
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any, Self

from bufpool.cli.bench.packages import INSTALL, Package
from bufpool.cli.bench.ways import Way, of_managers


def _both(name: str, manage: Any, take: Any, give: Any) -> Way:
    """A ``with`` over what `manage` gives, and two calls."""
    names = {name: manage, "take": take, "give": give}
    return Way(f"with {name}() as x: pass", names, take, give, calls="give(take())")


# Connections without a server ----------------------------------------------------------------------------------------


class Cursor:
    """What asks a query, for nothing."""

    def execute(self, _query: object) -> Self:
        """Ask nothing."""
        return self

    def fetchall(self) -> list[object]:
        """There is no answer."""
        return []

    def close(self) -> None:
        """Do nothing."""


class Connection:
    """What pools do with a connection, all of it for nothing."""

    autocommit = False

    def __init__(self, pgconn: object = None) -> None:
        self.pgconn = pgconn

    def cursor(self) -> Cursor:
        """Make one, as drivers do."""
        return Cursor()

    def execute(self, query: object) -> Cursor:
        """As psycopg has it."""
        return self.cursor().execute(query)

    def close(self) -> None:
        """Do nothing."""

    def rollback(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def idle() -> SimpleNamespace:
    """What psycopg_pool reads on return; the real one asks libpq."""
    return SimpleNamespace(transaction_status=resolve_name("psycopg.pq:TransactionStatus").IDLE)


def psycopg_pool(pools: Any, size: int, **settings: Any) -> Any:
    """A `psycopg_pool.ConnectionPool` of connections that do nothing."""
    connections = SimpleNamespace(connect=lambda *_, **__: Connection(idle()))
    pool = pools.ConnectionPool(min_size=size, connection_class=connections, open=True, **settings)
    atexit.register(pool.close)  # left open, it complains of threads that are gone by then
    pool.wait()
    return pool


def psycopg_way(pool: Any) -> Way:
    """How a `psycopg_pool.ConnectionPool` is asked."""
    return _both("connection", pool.connection, pool.getconn, pool.putconn)


def _psycopg(pools: Any, size: int) -> Way:
    return psycopg_way(psycopg_pool(pools, size))


def _sqlalchemy(pools: Any, size: int) -> Way:
    pool = pools.QueuePool(Connection, pool_size=size, max_overflow=0, reset_on_return=None)
    kept: dict[int, tuple[Any, Any]] = {}  # a proxy that is closed forgets its connection

    def take() -> Any:
        proxy = pool.connect()
        kept[id(proxy)] = (proxy, proxy.dbapi_connection)
        return proxy

    return Way(
        "c = connect(); c.close()",
        {"connect": pool.connect},
        take,
        lambda proxy: proxy.close(),
        lambda proxy: kept[id(proxy)][1],
    )


# Pools of objects ----------------------------------------------------------------------------------------------------


def _fastalloc(kind: str) -> Callable[[Any, int], Way]:
    def build(fastalloc: Any, size: int) -> Way:
        pool = getattr(fastalloc, kind)(object, size, pre_initialize=True)
        return _both("allocate", pool.allocate, pool.get, pool.release)

    return build


def _anopool(anopool: Any, size: int) -> Way:
    pool = anopool.Pool(type("Manager", (anopool.Manager,), {"create": lambda _: object()})(), size)
    pool.open()
    return Way("with acquire() as x: pass", {"acquire": pool.acquire}, *of_managers(pool.acquire))


def _connpool(connpool: Any, size: int) -> Way:
    settings = connpool.PoolConfig(
        max_size=size,
        max_lifetime=None,
        max_idle_time=None,
        validate_after_idle=None,
        maintenance_interval=None,
    )
    pool = connpool.ConnectionPool(connpool.CallableFactory(object), settings)
    atexit.register(pool.close)
    return _both("connection", pool.connection, pool.acquire, pool.release)


def _object_pool(pool_class: Any, size: int) -> Way:
    pool = pool_class(object, max_size=size)
    return _both("item", pool.item, pool.get, pool.put)


_names = count()


def _py_object_pool(pool_class: Any, size: int) -> Way:
    # One pool for each name of a class in the whole process, and it tells the standard output about each.
    made_here = type(f"Made{next(_names)}", (), {"clean_up": lambda *_, **__: None})
    with redirect_stdout(io.StringIO()):
        pool = pool_class(
            made_here, max_capacity=size, min_init=size, max_reusable=0, expires=0, post_check=False
        )
    take, give, _ = of_managers(pool.get)
    return Way("with get() as x: pass", {"get": pool.get}, take, give, lambda manager: manager.resource)


def _resource_pool(resource_pool: Any, size: int) -> Way:
    pool = resource_pool.LazyPool(object, pool_size=size)
    return _both("reserve", pool.reserve, pool.get, pool.put)


def _pypool(pypool: Any, size: int) -> Way:
    pool = pypool.Pool(object, max_size=size)
    return _both("reserve", pool.reserve, pool.get, pool.put_nowait)


def _pyresourcepool(pool_class: Any, size: int) -> Way:
    pool = pool_class([object() for _ in range(size)])
    return _both("get_resource", pool.get_resource, pool.get_resource_unmanaged, pool.return_resource)


def _generic_pool(generic_pool: Any, size: int) -> Way:
    factory = type("Objects", (generic_pool.Factory,), {"create": lambda _: object()})()
    pool = generic_pool.Pool(factory, maxsize=size)
    return _both("item", pool.item, pool.acquire, pool.release)


def _syncpool(pool_class: Any, size: int) -> Way:
    pool = pool_class(max_len=size, obj=object)
    for _ in range(size):
        pool.put(object())
    return Way("put(get())", {"get": pool.get, "put": pool.put}, pool.get, pool.put)


def _objpool(objpool: Any, size: int) -> Way:
    pool = objpool.ObjectPool(size, create=object)
    return Way("put(get())", {"get": pool.pool_get, "put": pool.pool_put}, pool.pool_get, pool.pool_put)


def _pondpond(pond: Any, size: int) -> Way:
    methods = {
        "createInstance": lambda _: pond.PooledObject(object()),
        "destroy": lambda *_: None,
        "reset": lambda _, one: one,
        "validate": lambda *_: True,
    }
    pool = pond.Pond(time_between_eviction_runs=-1)  # no thread, no counting of clients
    pool.register(type("Objects", (pond.PooledObjectFactory,), methods)(pooled_maxsize=size), name="objects")
    return Way(
        "x = borrow(name='objects'); recycle(x, name='objects')",
        {"borrow": pool.borrow, "recycle": pool.recycle},
        lambda: pool.borrow(name="objects"),
        lambda one: pool.recycle(one, name="objects"),
    )


def _cuttlepool(cuttlepool: Any, size: int) -> Way:
    # Without these two it warns at each checkout.
    methods = {"normalize_resource": lambda *_: None, "ping": lambda *_: True}
    pool = type("Objects", (cuttlepool.CuttlePool,), methods)(object, size, timeout=None)
    kept: dict[int, tuple[Any, Any]] = {}  # a wrapper that is closed forgets its object

    def take() -> Any:
        wrapper = pool.get_resource()
        kept[id(wrapper)] = (wrapper, wrapper._resource)
        return wrapper

    return Way(
        "with get() as x: pass",
        {"get": pool.get_resource},
        take,
        lambda wrapper: wrapper.close(),
        lambda wrapper: kept[id(wrapper)][1],
        "get().close()",
    )


def _queuepool(queuepool: Any, size: int) -> Way:
    pool = queuepool.Pool("bench", size, maxIdleTime=None, maxOpenTime=None, maxUsageCount=None)
    for number in range(size):
        pool.put(queuepool.ResourceManager(f"object {number}"))
    return _both("take", pool.take, pool.take, pool.put)


def _distributed(pool_class: Any, size: int) -> Way:
    # It keeps pickled copies under names, and a copy taken out leaves the original in.
    pool = pool_class(max_size=size)
    pool.put("x", object())
    names = {"get": pool.get, "put": pool.put}
    return Way("put('x', get('x'))", names, lambda: pool.get("x"), lambda one: pool.put("x", one))


LIBPQ = f"{INSTALL}, and libpq (apt-get install libpq5, or pip install psycopg[binary])"

PEERS: dict[str, Package[Way]] = {
    "psycopg_pool": Package("psycopg-pool", "psycopg_pool", _psycopg, LIBPQ),
    "SQLAlchemy": Package("sqlalchemy", "sqlalchemy.pool", _sqlalchemy),
    "fastalloc": Package("fastalloc", "fastalloc", _fastalloc("ThreadSafePool")),
    "fastalloc, no lock": Package("fastalloc", "fastalloc", _fastalloc("FixedPool")),
    "anopool": Package("anopool", "anopool", _anopool),
    "connpool": Package("connpool", "connpool", _connpool),
    "object-pool": Package("object-pool", "object_pool:ObjectPool", _object_pool),
    "py-object-pool": Package("py-object-pool", "object_pool:ObjectPool", _py_object_pool),
    "resource-pool": Package("resource-pool", "resource_pool", _resource_pool),
    "pypool3": Package("pypool3", "pypool", _pypool),
    "PyResourcePool": Package(
        "PyResourcePool", "pyresourcepool.pyresourcepool:ResourcePool", _pyresourcepool
    ),
    "generic-pool": Package("generic-pool", "generic_pool", _generic_pool),
    "syncpool-py": Package("syncpool-py", "syncpool_py.pools.syncpool:SyncObjectPool", _syncpool),
    "objpool": Package("objpool", "objpool", _objpool),
    "pondpond": Package("pondpond", "pond", _pondpond),
    "cuttlepool": Package("cuttlepool", "cuttlepool", _cuttlepool),
    "queuepool": Package("queuepool", "queuepool", _queuepool),
    "distributed-memory-pool": Package("distributed-memory-pool", "memory_obj_pool.pool:Pool", _distributed),
}
