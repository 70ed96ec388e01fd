"""What becomes of a database connection that comes back: its transaction, and a query that is not over."""

from __future__ import annotations

import asyncio
import functools
import logging
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import SettingError
from bufpool.resources import dbapi
from tests.support.clients import Client, until
from tests.support.postgres_server import Server

INSERT = "INSERT INTO event VALUES ('new')"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE event (what TEXT)")
    connection.close()
    return path


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT count(*) FROM event").fetchone()
    connection.close()
    return found


@pytest.fixture
def told() -> Iterator[list[warnings.WarningMessage]]:
    """The warnings of a test, all of them."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


def counts(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of transactions that were left open."""
    return [each.message for each in caplog.records if "left open" in each.message]


# A rollback that loses work -------------------------------------------------------------------------------------------


def test_lost_work_is_reported_once_for_each_place(
    database: Path, told: list[warnings.WarningMessage], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bufpool")
    with dbapi.sqlite(database, max_size=1) as pool:
        for _ in range(3):
            with pool.lease() as connection:
                connection.execute(INSERT)
        connection = pool.acquire()
        connection.execute(INSERT)
        pool.release(connection)
        assert pool.stats().created == 1
    assert [(each.category, each.filename) for each in told] == 2 * [(ResourceWarning, __file__)]
    assert "in an open transaction, which is rolled back" in str(told[0].message)
    assert told[0].lineno < told[1].lineno
    where = [f"{__file__}:{each.lineno}" for each in (told[0], told[0], told[0], told[1])]
    assert counts(caplog) == [
        f"{place}: a transaction left open was rolled back, {number} so far" for number, place in enumerate(where, 1)
    ]
    assert count(database) == 0


def test_a_warning_made_an_error_costs_no_connection(database: Path, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(), dbapi.sqlite(database, max_size=1) as pool:
        warnings.simplefilter("error")
        with pool.lease() as connection:
            connection.execute(INSERT)
        assert pool.idle == 1
    assert [each.levelname for each in caplog.records if "in an open transaction" in each.message] == ["WARNING"]


def test_each_pool_reports_for_itself(database: Path, told: list[warnings.WarningMessage]) -> None:
    for _ in range(2):
        with dbapi.sqlite(database) as pool, pool.lease() as connection:
            connection.execute(INSERT)
    assert len(told) == 2


def test_nothing_is_reported_where_nothing_is_lost(database: Path, told: list[warnings.WarningMessage]) -> None:
    """Neither after a commit, nor for a query, nor for a client that failed and expects the rollback."""

    def fail(pool: Pool[sqlite3.Connection]) -> None:
        with pool.lease() as connection:
            connection.execute(INSERT)
            raise LookupError

    with dbapi.sqlite(database, max_size=1) as pool:
        with pool.lease() as connection, connection:
            connection.execute(INSERT)
        with pool.lease() as connection:
            connection.execute("SELECT * FROM event").fetchall()
        with pytest.raises(LookupError):
            fail(pool)
        assert pool.stats().created == 1
    assert count(database) == 1
    assert told == []


def test_a_transaction_that_is_always_open_is_not_reported(told: list[warnings.WarningMessage]) -> None:
    """With `autocommit=False` sqlite3 begins one as soon as another one ends."""
    driver: Any = SimpleNamespace(
        total_changes=0, in_transaction=True, autocommit=-1, rollback=lambda: None, close=lambda: None
    )
    with dbapi.connections(lambda: driver, check=None) as pool:
        pool.release(pool.acquire())
        assert len(told) == 1
        driver.autocommit = False
        pool.release(pool.acquire())
        assert len(told) == 1


# Other ends -----------------------------------------------------------------------------------------------------------


def test_a_commit_on_return_keeps_what_was_done(database: Path, told: list[warnings.WarningMessage]) -> None:
    with dbapi.sqlite(database, max_size=1, on_return="commit") as pool:
        for _ in range(2):
            with pool.lease() as connection:
                connection.execute(INSERT)
        assert pool.stats().created == 1
    assert count(database) == 2
    assert told == []


def test_a_commit_on_return_keeps_nothing_of_a_failure(database: Path) -> None:
    def fail(error: BaseException) -> None:
        with pool.lease() as connection:
            connection.execute(INSERT)
            raise error

    with dbapi.sqlite(database, max_size=1, on_return="commit") as pool:
        for number, error in enumerate((LookupError(), KeyboardInterrupt()), 1):
            with pytest.raises(type(error)):
                fail(error)
            assert pool.stats().discards["discarded"] == number
    assert count(database) == 0


def test_a_function_ends_the_transaction(database: Path, told: list[warnings.WarningMessage]) -> None:
    had: list[sqlite3.Connection] = []
    with dbapi.sqlite(database, max_size=1, on_return=had.append) as pool:
        with pool.lease() as connection:
            connection.execute(INSERT)
        assert had == [connection]
        assert connection.in_transaction
    assert told == []


@pytest.mark.parametrize("on_return", ["", "ROLLBACK", None, True])
def test_an_unknown_end_is_refused(on_return: Any) -> None:
    with pytest.raises(SettingError, match="on_return must be 'rollback', 'commit' or a function, not"):
        dbapi.connections(print, on_return=on_return)
    with pytest.raises(SettingError, match="on_return must be"):
        dbapi.async_connections(print, on_return=on_return)


def test_a_reset_replaces_the_end(database: Path, told: list[warnings.WarningMessage]) -> None:
    with dbapi.sqlite(database, max_size=1, reset=sqlite3.Connection.rollback) as pool:
        with pool.lease() as connection:
            connection.execute(INSERT)
        assert not connection.in_transaction
    assert told == []


# asyncio --------------------------------------------------------------------------------------------------------------


def test_aiosqlite(database: Path, told: list[warnings.WarningMessage]) -> None:
    aiosqlite = pytest.importorskip("aiosqlite")
    connect = functools.partial(aiosqlite.connect, database)

    async def insert(pool: Any, fails: bool = False) -> None:
        async with pool.lease() as connection:
            await connection.execute(INSERT)
            if fails:
                raise LookupError

    async def follow() -> None:
        async with dbapi.async_connections(connect, max_size=1) as pool:
            for _ in range(2):
                await insert(pool)
            with pytest.raises(LookupError):
                await insert(pool, fails=True)
            assert pool.stats().created == 1
        async with dbapi.async_connections(connect, max_size=1, on_return="commit") as pool:
            await insert(pool)
            with pytest.raises(LookupError):
                await insert(pool, fails=True)

    asyncio.run(follow())
    assert [(each.category, each.filename) for each in told] == [(ResourceWarning, __file__)]
    assert count(database) == 1


# PostgreSQL -----------------------------------------------------------------------------------------------------------


ENDS: list[Any] = ["rollback", "commit", lambda connection: connection.rollback()]
ends = pytest.mark.parametrize("on_return", ENDS, ids=["rollback", "commit", "function"])


def begin_stream(connection: Any) -> Any:
    rows = connection.cursor().stream("SELECT generate_series(1, 100000)")
    next(rows)
    return rows


def begin_copy(connection: Any) -> Any:
    copy = connection.cursor().copy("COPY (SELECT generate_series(1, 100000)) TO STDOUT")
    copy.__enter__().read()
    return copy


def begin_copy_in(connection: Any) -> Any:
    copy = connection.cursor().copy("COPY event FROM STDIN")
    copy.__enter__().write_row(["half"])
    return copy


@ends
@pytest.mark.parametrize("begin", [begin_stream, begin_copy, begin_copy_in])
def test_a_connection_in_a_query_is_closed_at_once(
    psycopg: Any,
    postgres: Server,
    admin: Any,
    begin: Callable[[Any], Any],
    on_return: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=1, on_return=on_return) as pool:
        connection = pool.acquire()
        unfinished = begin(connection)
        Client(pool.release, connection).result()
        assert connection.closed
        assert pool.stats().discards["failed_reset"] == 1
        assert "in the middle of a query" in caplog.text
        with pool.lease() as another:
            assert another.execute("SELECT 1").fetchone() == (1,)
            another.rollback()
        assert pool.stats().created == 2
    del unfinished
    assert admin.execute("SELECT count(*) FROM event").fetchone() == (0,)


@ends
def test_a_task_returns_a_connection_in_a_query_at_once(psycopg: Any, postgres: Server, on_return: Any) -> None:
    connect = functools.partial(psycopg.AsyncConnection.connect, postgres.dsn)

    async def follow() -> None:
        async with dbapi.async_connections(connect, max_size=1, on_return=on_return) as pool:
            async with asyncio.timeout(20):
                async with pool.lease() as connection:
                    rows = connection.cursor().stream("SELECT generate_series(1, 100000)")
                    await anext(rows)
            assert connection.closed
            assert pool.stats().discards["failed_reset"] == 1
            await rows.aclose()

    asyncio.run(follow())


def test_postgres_reports_a_transaction_that_was_open(
    psycopg: Any, postgres: Server, admin: Any, told: list[warnings.WarningMessage]
) -> None:
    """And none that failed, or that ended."""
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=1) as pool:
        with pool.lease() as connection, connection.transaction():
            connection.execute(INSERT)
        with pytest.raises(psycopg.errors.UndefinedTable), pool.lease() as connection:
            connection.execute("SELECT FROM no_such_table")
        connection = pool.acquire()
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT FROM no_such_table")
        pool.release(connection)
        assert told == []
        with pool.lease() as connection:
            connection.execute(INSERT)
        assert [(each.category, each.filename) for each in told] == [(ResourceWarning, __file__)]
        assert pool.stats().created == 1
    assert admin.execute("SELECT count(*) FROM event").fetchone() == (1,)


def test_a_commit_on_return_keeps_rows_of_postgres(psycopg: Any, postgres: Server, admin: Any) -> None:
    connect = functools.partial(psycopg.AsyncConnection.connect, postgres.dsn)

    async def insert(pool: Any, fails: bool) -> None:
        async with pool.lease() as connection:
            await connection.execute(INSERT)
            if fails:
                raise LookupError

    async def follow() -> None:
        async with dbapi.async_connections(connect, max_size=1, on_return="commit") as pool:
            await insert(pool, fails=False)
            with pytest.raises(LookupError):
                await insert(pool, fails=True)

    pool = dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=1, on_return="commit")
    with pool, pool.lease() as connection:
        connection.execute(INSERT)
    asyncio.run(follow())
    assert admin.execute("SELECT count(*) FROM event").fetchone() == (2,)


def test_a_coroutine_function_ends_the_transaction_of_a_task(psycopg: Any, postgres: Server, admin: Any) -> None:
    connect = functools.partial(psycopg.AsyncConnection.connect, postgres.dsn)

    async def end(connection: Any) -> None:
        await connection.execute(INSERT)
        await connection.commit()

    async def follow() -> None:
        async with dbapi.async_connections(connect, max_size=1, on_return=end) as pool:
            async with pool.lease():
                pass
            assert pool.idle == 1

    asyncio.run(follow())
    assert admin.execute("SELECT count(*) FROM event").fetchone() == (1,)


# asyncpg --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def asyncpg_connect(postgres: Server) -> Any:
    asyncpg = pytest.importorskip("asyncpg")
    return functools.partial(asyncpg.connect, host=str(postgres.folder), user="tester", database="postgres")


def test_asyncpg_connections_are_pooled(asyncpg_connect: Any, admin: Any) -> None:
    """They are reused, reset as by asyncpg's own pool, and replaced when their server process is gone."""

    async def follow() -> None:
        async with dbapi.async_connections(asyncpg_connect, max_size=1) as pool:
            for _ in range(3):
                async with pool.lease() as connection, connection.transaction():
                    await connection.execute(INSERT)
                    await connection.execute("SET statement_timeout = 12345")
                async with pool.lease() as connection:
                    assert await connection.fetchval("SHOW statement_timeout") == "0"
                    pid = connection.get_server_pid()
            assert pool.stats().created == 1
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            gone = "SELECT FROM pg_stat_activity WHERE pid = %s"
            until(lambda: admin.execute(gone, (pid,)).fetchone() is None)
            async with pool.lease() as connection:
                assert await connection.fetchval("SELECT count(*) FROM event") == 3
            assert pool.stats().discards["broken"] == 1

    asyncio.run(follow())


def test_asyncpg_transactions_left_open_are_rolled_back(
    asyncpg_connect: Any, admin: Any, told: list[warnings.WarningMessage]
) -> None:
    said: list[str] = []

    async def follow() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        async with dbapi.async_connections(asyncpg_connect, max_size=1) as pool:
            async with pool.lease() as connection:
                await connection.transaction().start()
                await connection.execute(INSERT)
            async with pool.lease() as connection, connection.transaction():
                await connection.execute(INSERT)
            assert pool.stats().created == 1

    asyncio.run(follow())
    assert admin.execute("SELECT count(*) FROM event").fetchone() == (1,)
    assert [(each.category, each.filename) for each in told] == [(ResourceWarning, __file__)]
    assert len(said) == 1  # asyncpg's own report


def test_asyncpg_connections_in_a_query_are_closed_at_once(asyncpg_connect: Any) -> None:
    asyncpg = pytest.importorskip("asyncpg")

    async def follow() -> None:
        async with dbapi.async_connections(asyncpg_connect, max_size=1) as pool:
            async with asyncio.timeout(20):
                async with pool.lease() as connection:
                    query = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
                    await asyncio.sleep(0.05)
                with pytest.raises(asyncpg.PostgresError):
                    await query
            assert connection.is_closed()
            assert pool.stats().discards["failed_reset"] == 1

    asyncio.run(follow())
