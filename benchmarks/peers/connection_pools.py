"""Pools of database connections: psycopg_pool and SQLAlchemy, and ours from `bufpool.resources.dbapi`.

The connection is a class whose methods do nothing, so what is timed is the pool's own work. Each pool is timed in two
settings:

- `bare`: its fastest checkout, without a check or a reset if it allows that.
- `with_care`: what is left open is rolled back before the next client gets the connection and, if asked for, a query
  on checkout shows that it is alive. psycopg_pool looks at the connection's state first and skips the rollback of a
  connection that was not used; SQLAlchemy and ours always call `rollback` and leave it to the driver to do nothing.

A pool that has a ``with`` and two calls is timed by the faster of the two.
"""

from __future__ import annotations

import atexit
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any, Self

from benchmarks.harness.packages import INSTALL, Package
from benchmarks.peers.adapter import Adapter
from bufpool.resources import dbapi


class Cursor:
    """A cursor whose queries do nothing."""

    def execute(self, _query: object) -> Self:
        return self

    def fetchall(self) -> list[object]:
        return []

    def close(self) -> None: ...


class Connection:
    """A connection that does nothing, with the names that drivers and pools use."""

    autocommit = False

    def __init__(self, pgconn: object = None) -> None:
        self.pgconn = pgconn

    def cursor(self) -> Cursor:
        return Cursor()

    def execute(self, query: object) -> Cursor:
        return self.cursor().execute(query)

    def close(self) -> None: ...

    def rollback(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def idle_state() -> SimpleNamespace:
    """The state that psycopg_pool reads when a connection is returned; a real connection asks libpq."""
    return SimpleNamespace(transaction_status=resolve_name("psycopg.pq:TransactionStatus").IDLE)


def _psycopg(pools: Any, size: int, **settings: Any) -> Adapter:
    connections = SimpleNamespace(connect=lambda *_, **__: Connection(idle_state()))
    pool = pools.ConnectionPool(min_size=size, connection_class=connections, open=True, **settings)
    atexit.register(pool.close)  # an open pool complains at exit that its threads are gone
    pool.wait()
    names = {"connection": pool.connection, "acquire": pool.getconn, "release": pool.putconn}
    statement = "with connection() as x: pass"
    return Adapter(statement, names, pool.getconn, pool.putconn, calls="release(acquire())")


def _psycopg_with_care(pools: Any, size: int, check: bool) -> Adapter:
    return _psycopg(pools, size, check=pools.ConnectionPool.check_connection if check else None)


def _sqlalchemy(pools: Any, size: int, **settings: Any) -> Adapter:
    pool = pools.QueuePool(Connection, pool_size=size, max_overflow=0, **settings)
    kept: dict[int, tuple[Any, Any]] = {}  # a proxy forgets its connection when it is closed

    def acquire() -> Any:
        proxy = pool.connect()
        kept[id(proxy)] = (proxy, proxy.dbapi_connection)
        return proxy

    return Adapter(
        "c = connect(); c.close()",
        {"connect": pool.connect},
        acquire,
        lambda proxy: proxy.close(),
        lambda proxy: kept[id(proxy)][1],
    )


def _sqlalchemy_bare(pools: Any, size: int) -> Adapter:
    return _sqlalchemy(pools, size, reset_on_return=None)


def _sqlalchemy_with_care(pools: Any, size: int, check: bool) -> Adapter:
    # The check needs a dialect, which knows the errors of the driver.
    dialect = resolve_name("sqlalchemy.engine.default:DefaultDialect")()
    dialect.dbapi = SimpleNamespace(Error=OSError)
    return _sqlalchemy(pools, size, pre_ping=check, dialect=dialect)


LIBPQ = f"{INSTALL}, and libpq (apt-get install libpq5, or pip install psycopg[binary])"

BARE: dict[str, Package[Adapter]] = {
    "psycopg_pool": Package("psycopg-pool", "psycopg_pool", _psycopg, LIBPQ),
    "SQLAlchemy": Package("sqlalchemy", "sqlalchemy.pool", _sqlalchemy_bare),
}
WITH_CARE: dict[str, Package[Adapter]] = {
    "psycopg_pool": Package("psycopg-pool", "psycopg_pool", _psycopg_with_care, LIBPQ),
    "SQLAlchemy": Package("sqlalchemy", "sqlalchemy.pool", _sqlalchemy_with_care),
}

#: Whether a query is made at each checkout, by the label of the comparison.
CARE = {"no check": False, "a check": True}


def with_care(how: str, size: int, check: bool) -> Adapter:
    """The pool called `how`, which is "lease" for ours."""
    if how in WITH_CARE:
        return WITH_CARE[how].make(size, check)
    settings: dict[str, Any] = {} if check else {"check": None}
    pool = dbapi.connections(Connection, max_size=size, name="bench", **settings)
    return Adapter("with lease() as x: pass", {"lease": pool.lease}, pool.acquire, pool.release)
