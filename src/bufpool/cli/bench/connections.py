"""What pools of database connections do for a connection: the same care, each in its own way, one client at a time.

Every pool gets the same connection, which does nothing at once (`peers.Connection`), and promises its clients the same:
what was left open is rolled back before anybody else gets it, and, where "a check" is asked for, a query has shown on
the way out that it is alive. psycopg_pool looks at the state of the connection first and need not roll back where a
client did nothing; SQLAlchemy and we call `rollback`, and leave it to the driver to see that there is nothing to do.
"""

from __future__ import annotations

from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

from bufpool.cli.bench.packages import Package
from bufpool.cli.bench.peers import LIBPQ, Connection, psycopg_pool, psycopg_way
from bufpool.cli.bench.ways import Way
from bufpool.resources import dbapi


def _ours(size: int, check: bool) -> Way:
    settings: dict[str, Any] = {} if check else {"check": None}
    pool = dbapi.connections(Connection, max_size=size, name="bench", **settings)
    return Way("with lease() as x: pass", {"lease": pool.lease}, pool.acquire, pool.release)


def _psycopg(pools: Any, size: int, check: bool) -> Way:
    own = pools.ConnectionPool.check_connection if check else None
    return psycopg_way(psycopg_pool(pools, size, check=own))


def _sqlalchemy(pools: Any, size: int, check: bool) -> Way:
    # A dialect is needed for the check alone, which asks it how to catch an error of the driver's.
    dialect = resolve_name("sqlalchemy.engine.default:DefaultDialect")()
    dialect.dbapi = SimpleNamespace(Error=OSError)
    pool = pools.QueuePool(Connection, pool_size=size, max_overflow=0, pre_ping=check, dialect=dialect)
    return Way(
        "c = connect(); c.close()", {"connect": pool.connect}, pool.connect, lambda proxy: proxy.close()
    )


#: By the name of the race: whether a query is made on the way out.
KINDS = {"no check": False, "a check": True}

RIVALS: dict[str, Package[Way]] = {
    "psycopg_pool": Package("psycopg-pool", "psycopg_pool", _psycopg, LIBPQ),
    "SQLAlchemy": Package("sqlalchemy", "sqlalchemy.pool", _sqlalchemy),
}


def connection(how: str, size: int, check: bool) -> Way:
    """`how` is "lease" for the recipe of `bufpool.resources.dbapi`, or a rival."""
    return RIVALS[how].make(size, check) if how in RIVALS else _ours(size, check)
