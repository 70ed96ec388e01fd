"""Database connections, of any driver that follows PEP 249: a round trip as check, a rollback as reset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

from bufpool.objects.async_pool import AsyncPool
from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings

if TYPE_CHECKING:
    import os
    import sqlite3

__all__ = ["AsyncConnection", "Connection", "async_connections", "connections", "sqlite"]


class Connection(Protocol):
    """What a pool needs of a connection."""

    def cursor(self) -> Any:
        """Something with `execute`, `fetchall` and `close`."""

    def rollback(self) -> Any:
        """End the transaction, if there is one."""

    def close(self) -> Any:
        """End the connection."""


class AsyncConnection(Protocol):
    """What a pool needs of an asynchronous connection; those of psycopg and aiosqlite have it."""

    async def execute(self, query: Any, /) -> Any:
        """Give a cursor that can be closed."""

    async def rollback(self) -> Any:
        """End the transaction, if there is one."""

    async def close(self) -> Any:
        """End the connection."""


#: What libpq calls a connection without a transaction.
_IDLE = 0

C = TypeVar("C", bound=Connection)
A = TypeVar("A", bound=AsyncConnection)


def connections(
    connect: Callable[[], C], *, test: str = "SELECT 1", **settings: Unpack[Settings[C]]
) -> Pool[C]:
    """Pool of database connections for threads.

    Each checkout tests the connection with a query. Each return rolls back what was not committed. If either fails, the
    connection is replaced.

    Parameters
    ----------
    connect
        Makes a connection that any thread may use, one at a time.
    test
        The query: a cheap one that this database knows.
    **settings
        Settings of `bufpool.Pool`. They replace those that this function makes. ``check_after=5`` spares the query for
        a connection that was used within the last five seconds.

    Notes
    -----
    With psycopg the query needs no transaction and is one round trip. With other drivers a rollback follows.

    Commit what must stay. ``with connection:`` differs by driver: sqlite3 commits at its end, psycopg closes the
    connection. With psycopg use ``with connection.transaction():``.

    A rollback does not undo the state of a session: its settings, temporary tables and locks. If your clients change
    it, pass a `reset` that rolls back and clears it.

    Examples
    --------
    >>> import sqlite3
    >>> from bufpool.resources import dbapi
    >>> def connect():
    ...     return sqlite3.connect(":memory:", check_same_thread=False)
    >>> with dbapi.connections(connect, max_size=3) as pool, pool.lease() as connection:
    ...     connection.execute("SELECT 1 + 1").fetchone()
    (2,)
    """

    def ask(connection: C) -> None:
        cursor = connection.cursor()
        cursor.execute(test)
        cursor.fetchall()
        cursor.close()

    def check(connection: C) -> None:
        if not _switches(connection):
            ask(connection)
            # With many drivers the query has begun a transaction.
            connection.rollback()
            return
        switch: Any = connection
        switch.autocommit = True
        # If it raises, nobody gets the connection: setting it back would hide the error, which may be an interrupt.
        ask(connection)
        if not _is_idle(connection):
            connection.rollback()  # the query began a transaction all the same
        switch.autocommit = False

    own: Settings[C] = {"check": check, "reset": methodcaller("rollback"), "close": methodcaller("close")}
    return Pool(connect, **own | settings)


def sqlite(
    database: str | os.PathLike[str],
    *,
    options: Mapping[str, Any] | None = None,
    **settings: Unpack[Settings[sqlite3.Connection]],
) -> Pool[sqlite3.Connection]:
    """Pool of connections to one SQLite database.

    Parameters
    ----------
    database
        The file. With ``":memory:"`` each connection has a database of its own.
    options
        More arguments of `sqlite3.connect`. ``{"timeout": 20}`` waits 20 seconds for another writer.
    **settings
        As for `connections`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from bufpool.resources import dbapi
    >>> folder = tempfile.TemporaryDirectory()
    >>> with dbapi.sqlite(pathlib.Path(folder.name, "app.db")) as pool:
    ...     with pool.lease() as connection, connection:    # `connection` commits
    ...         _ = connection.execute("CREATE TABLE event (what TEXT)")
    ...         _ = connection.execute("INSERT INTO event VALUES ('kept')")
    ...     with pool.lease() as connection:                # nobody commits: rolled back
    ...         _ = connection.execute("INSERT INTO event VALUES ('lost')")
    ...     with pool.lease() as connection:
    ...         connection.execute("SELECT what FROM event").fetchall()
    [('kept',)]
    >>> folder.cleanup()
    """
    import sqlite3

    # A connection belongs to one thread at a time, but not always to the thread that made it.
    connect = partial(sqlite3.connect, database, **{**(options or {}), "check_same_thread": False})
    return connections(connect, **settings)


def async_connections(
    connect: Callable[[], Awaitable[A]], *, test: str = "SELECT 1", **settings: Unpack[Settings[A]]
) -> AsyncPool[A]:
    """Pool of database connections for tasks.

    Parameters
    ----------
    connect
        A function whose result is awaited: ``functools.partial(psycopg.AsyncConnection.connect, "dbname=app")``.
    test, **settings
        As for `connections`.

    Examples
    --------
    >>> import asyncio
    >>> from bufpool.resources import dbapi
    >>> async def main(connect):                            # psycopg's or aiosqlite's, say
    ...     async with dbapi.async_connections(connect, max_size=3) as pool:
    ...         async with pool.lease() as connection:
    ...             cursor = await connection.execute("SELECT 1 + 1")
    ...             return await cursor.fetchone()
    """

    async def ask(connection: A) -> None:
        cursor = await connection.execute(test)
        await cursor.close()

    async def check(connection: A) -> None:
        if not _switches(connection):
            await ask(connection)
            await connection.rollback()
            return
        switch: Any = connection
        await switch.set_autocommit(True)
        await ask(connection)
        if not _is_idle(connection):
            await connection.rollback()
        await switch.set_autocommit(False)

    async def reset(connection: A) -> None:
        await connection.rollback()

    async def close(connection: A) -> None:
        await connection.close()

    own: Settings[A] = {"check": check, "reset": reset, "close": close}
    return AsyncPool(connect, **own | settings)


def _switches(connection: Any) -> bool:
    """Whether the query can do without a transaction, whose begin and end are two more round trips.

    psycopg tells the state of a connection without one, and changes `autocommit` without one. With other drivers that
    may be a query too.
    """
    return _is_idle(connection) and connection.autocommit is False


def _is_idle(connection: Any) -> bool:
    """Whether the driver says that the connection is in no transaction; asks no server."""
    info = getattr(connection, "info", None)
    return getattr(info, "transaction_status", None) == _IDLE
