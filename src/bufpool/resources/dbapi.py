"""Database connections, of any driver that follows PEP 249: a round trip as check, a rollback as reset."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, Unpack

from bufpool.errors import SettingError
from bufpool.objects.async_pool import AsyncPool
from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings
from bufpool.resources._transactions import LeftOpen, is_idle, is_left_open

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
    """What a pool needs of an asynchronous connection; those of psycopg, aiosqlite and asyncpg have it.

    To end a transaction it also needs ``rollback()`` or, as in asyncpg, ``reset()``.
    """

    async def execute(self, query: Any, /) -> Any:
        """Run a query. The result, if it is a cursor, is closed."""

    async def close(self) -> Any:
        """End the connection."""


C = TypeVar("C", bound=Connection)
A = TypeVar("A", bound=AsyncConnection)


def connections(
    connect: Callable[[], C],
    *,
    test: str = "SELECT 1",
    on_return: Literal["rollback", "commit"] | Callable[[C], object] = "rollback",
    **settings: Unpack[Settings[C]],
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
    on_return : {'rollback', 'commit'} or callable
        What to do with a connection that comes back. ``'commit'``: commit; but if an exception leaves the block of the
        lease, close the connection, which undoes its work. A callable is called with the connection, and must end the
        transaction.
    **settings
        Settings of `bufpool.Pool`. They replace those that this function makes. ``check_after=5`` spares the query for
        a connection that was used within the last five seconds.

    Notes
    -----
    With psycopg the query needs no transaction and is one round trip. With other drivers a rollback follows.

    The pool reports each rollback of an open transaction, unless an exception leaves the block: with a
    `ResourceWarning`, once for each place in the code where such a connection was returned, and in the log (logger
    ``bufpool``, level INFO), with the number so far. psycopg, psycopg2, sqlite3, aiosqlite and asyncpg tell whether a
    transaction is open. In psycopg one that only read is open too.

    With psycopg, a connection that comes back in the middle of a stream or a COPY is closed at once. With other drivers
    the rollback reads the rest, waits or fails.

    Commit what must stay. ``with connection:`` differs by driver: sqlite3 commits at its end, psycopg closes the
    connection. With psycopg use ``with connection.transaction():``.

    A rollback does not undo the state of a session: its settings, temporary tables and locks. If your clients change
    it, pass an `on_return` that rolls back and clears it. A `reset` of yours replaces all of this.

    If a commit on return fails, that is logged, and the connection is closed. The client does not hear of it.

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
        if not is_idle(connection):
            connection.rollback()  # the query began a transaction all the same
        switch.autocommit = False

    left_open = LeftOpen()

    def roll_back(connection: C) -> None:
        is_open = is_left_open(connection)
        connection.rollback()
        if is_open:
            left_open.report()

    own: Settings[C] = {
        "check": check,
        "reset": roll_back if on_return == "rollback" else _ends(on_return),
        "close": methodcaller("close"),
        "discard_on": _discarded_on(on_return),
    }
    return Pool(connect, **own | settings)


def sqlite(
    database: str | os.PathLike[str],
    *,
    options: Mapping[str, Any] | None = None,
    on_return: Literal["rollback", "commit"] | Callable[[sqlite3.Connection], object] = "rollback",
    **settings: Unpack[Settings[sqlite3.Connection]],
) -> Pool[sqlite3.Connection]:
    """Pool of connections to one SQLite database.

    Parameters
    ----------
    database
        The file. With ``":memory:"`` each connection has a database of its own.
    options
        More arguments of `sqlite3.connect`. ``{"timeout": 20}`` waits 20 seconds for another writer.
    on_return, **settings
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
    return connections(connect, on_return=on_return, **settings)


def async_connections(
    connect: Callable[[], Awaitable[A]],
    *,
    test: str = "SELECT 1",
    on_return: Literal["rollback", "commit"] | Callable[[A], object] = "rollback",
    **settings: Unpack[Settings[A]],
) -> AsyncPool[A]:
    """Pool of database connections for tasks.

    Parameters
    ----------
    connect
        A function whose result is awaited: ``functools.partial(psycopg.AsyncConnection.connect, "dbname=app")``.
    test, on_return, **settings
        As for `connections`. `on_return` may be a coroutine function.

    Notes
    -----
    Connections of asyncpg have no ``rollback()``. ``'rollback'`` calls their ``reset()``, as asyncpg's own pool does.
    It ends the transaction, resets the session, and costs a round trip. ``'commit'`` is not for asyncpg, whose clients
    begin and end their transactions themselves.

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
        if hasattr(cursor, "close"):
            await cursor.close()

    async def check(connection: A) -> None:
        driver: Any = connection
        if not _switches(connection):
            await ask(connection)
            if hasattr(driver, "rollback"):  # with asyncpg the query has begun no transaction
                await driver.rollback()
            return
        await driver.set_autocommit(True)
        await ask(connection)
        if not is_idle(connection):
            await driver.rollback()
        await driver.set_autocommit(False)

    left_open = LeftOpen()

    async def roll_back(connection: A) -> None:
        driver: Any = connection
        is_open = is_left_open(connection)
        await (driver.rollback() if hasattr(driver, "rollback") else driver.reset())
        if is_open:
            left_open.report()

    async def close(connection: A) -> None:
        await connection.close()

    own: Settings[A] = {
        "check": check,
        "reset": roll_back if on_return == "rollback" else _ends(on_return),
        "close": close,
        "discard_on": _discarded_on(on_return),
    }
    return AsyncPool(connect, **own | settings)


def _discarded_on(on_return: object) -> type[BaseException] | tuple[type[BaseException], ...]:
    """Return which exceptions close the connection of a lease: a commit would keep half of what its client wanted."""
    return BaseException if on_return == "commit" else ()


def _ends(on_return: Any) -> Callable[[Any], Any]:
    """Return a reset that calls `on_return`, unless the connection is in the middle of a query."""
    if not callable(on_return) and on_return != "commit":
        raise SettingError(f"on_return must be 'rollback', 'commit' or a function, not {on_return!r}")
    end: Callable[[Any], Any] = on_return if callable(on_return) else methodcaller("commit")

    def reset(connection: Any) -> Any:
        is_left_open(connection)  # raises if the connection is in the middle of a query
        return end(connection)  # in a pool for tasks this may be a coroutine, which the pool awaits

    return reset


def _switches(connection: Any) -> bool:
    """Whether the query can do without a transaction, whose begin and end are two more round trips.

    psycopg tells the state of a connection without one, and changes `autocommit` without one. With other drivers that
    may be a query too.
    """
    return is_idle(connection) and connection.autocommit is False
