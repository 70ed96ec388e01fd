"""Database connections: SQLite, and PostgreSQL with psycopg against a server of the tests' own."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bufpool.resources import dbapi
from tests.support.postgres_server import Server

# SQLite --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE event (what TEXT)")
    connection.close()
    return path


def events(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [what for (what,) in connection.execute("SELECT what FROM event ORDER BY what")]
    connection.close()
    return found


def test_sqlite_keeps_what_is_committed_and_nothing_else(database: Path) -> None:
    with dbapi.sqlite(database, max_size=1) as pool:
        with pool.lease() as connection, connection:
            connection.execute("INSERT INTO event VALUES ('committed')")
        with pool.lease() as connection:
            connection.execute("INSERT INTO event VALUES ('left open')")

        def break_off() -> None:
            with pool.lease() as connection:
                connection.execute("INSERT INTO event VALUES ('broken off')")
                raise LookupError

        with pytest.raises(LookupError):
            break_off()
        with pool.lease() as connection:
            assert not connection.in_transaction
        assert pool.stats().created == 1
    assert events(database) == ["committed"]


def test_a_sqlite_connection_serves_other_threads(database: Path) -> None:
    def insert(i: int) -> int:
        with pool.lease() as connection, connection:
            connection.execute("INSERT INTO event VALUES (?)", (f"{i:02}",))
        return threading.get_ident()

    with dbapi.sqlite(database, max_size=1) as pool:
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(insert, range(20)))
        insert(20)
        stats = pool.stats()
    assert events(database) == [f"{i:02}" for i in range(21)]
    assert stats.created == 1
    assert not any(stats.discards.values())


def test_a_connection_that_its_borrower_closed_is_replaced(database: Path) -> None:
    with dbapi.sqlite(database, max_size=1) as pool:
        with pool.lease() as connection:
            connection.close()
        with pool.lease() as another:
            assert another is not connection
        assert pool.stats().discards["failed_reset"] == 1


def test_options_of_sqlite_are_no_settings_of_the_pool(database: Path) -> None:
    with dbapi.sqlite(database, options={"timeout": 0.0, "isolation_level": None}, timeout=0.5) as pool:
        assert pool.timeout == 0.5
        with pool.lease() as connection:
            assert connection.isolation_level is None
            assert connection.execute("PRAGMA busy_timeout").fetchone() == (0,)


def test_what_a_recipe_sets_can_be_set_otherwise(database: Path) -> None:
    closed = []

    def close(connection: sqlite3.Connection) -> None:
        closed.append(connection)
        connection.close()

    with dbapi.sqlite(database, test="no query at all", check=None, reset=None, close=close) as pool:
        with pool.lease() as connection:
            connection.execute("INSERT INTO event VALUES ('open')")
        with pool.lease() as same:
            assert same is connection
            assert same.in_transaction
    assert closed == [connection]


def test_tasks_and_threads_share_connections(database: Path) -> None:
    async def insert(i: int) -> None:
        async with pool.as_async().lease() as connection:
            await asyncio.to_thread(connection.execute, "INSERT INTO event VALUES (?)", (str(i),))
            await asyncio.to_thread(connection.commit)

    async def follow() -> None:
        await asyncio.gather(*map(insert, range(10)))

    with dbapi.sqlite(database, max_size=2) as pool:
        asyncio.run(follow())
        with pool.lease() as connection:
            assert connection.execute("SELECT count(*) FROM event").fetchone() == (10,)
        assert pool.stats().created <= 2


def test_a_query_that_fails_shows_a_broken_connection(database: Path) -> None:
    with dbapi.sqlite(database, test="SELECT 1 FROM no_such_table") as pool:
        for _ in range(2):
            with pool.lease():
                pass
        assert pool.stats().discards["broken"] == 1


class Recorder:
    """A driver that writes down what it is asked; with `status`, one that tells its state, as psycopg does."""

    def __init__(self, status: int | None = None, autocommit: bool = False) -> None:
        self.asked: list[str] = []
        self._autocommit = autocommit
        if status is not None:
            self.info = SimpleNamespace(transaction_status=status)

    @property
    def autocommit(self) -> bool:
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.asked.append(f"autocommit {value}")
        self._autocommit = value

    def cursor(self) -> Recorder:
        return self

    def execute(self, query: str) -> None:
        self.asked.append(query)

    def fetchall(self) -> None:
        """There is nothing."""

    def close(self) -> None:
        """There is nothing: for the cursor too."""

    def rollback(self) -> None:
        self.asked.append("rollback")


class Beginner(Recorder):
    """It begins a transaction though `autocommit` was set: what was set is an attribute of a wrapper, say."""

    def execute(self, query: str) -> None:
        super().execute(query)
        self.info.transaction_status = 2

    def rollback(self) -> None:
        super().rollback()
        self.info.transaction_status = 0


class Interrupted(Recorder):
    """Its first query never comes back; interrupted, it is closed, as psycopg's, and refuses whatever is asked then."""

    closed = False

    @property
    def autocommit(self) -> bool:
        return False

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        if self.closed:
            raise sqlite3.ProgrammingError("the connection is closed")

    def execute(self, query: str) -> None:
        self.closed = True
        raise KeyboardInterrupt


class AsyncInterrupted:
    """The same for tasks."""

    def __init__(self) -> None:
        self.info = SimpleNamespace(transaction_status=0)
        self.autocommit = self.closed = False

    async def set_autocommit(self, value: bool) -> None:
        if self.closed:
            raise sqlite3.ProgrammingError("the connection is closed")

    async def execute(self, query: str) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            self.closed = True

    async def rollback(self) -> None:
        """There is nothing."""

    async def close(self) -> None:
        """There is nothing."""


@pytest.mark.parametrize(
    ("driver", "asked"),
    [
        (Recorder(), ["SELECT 1", "rollback"]),
        (Beginner(status=0), ["autocommit True", "SELECT 1", "rollback", "autocommit False"]),
        (Recorder(status=0), ["autocommit True", "SELECT 1", "autocommit False"]),
        (Recorder(status=2), ["SELECT 1", "rollback"]),  # its client, or its maker, has left a transaction open
        (Recorder(status=0, autocommit=True), ["SELECT 1", "rollback"]),  # as its maker wants it
    ],
)
def test_a_check_begins_no_needless_transaction(driver: Recorder, asked: list[str]) -> None:
    with dbapi.connections(lambda: driver, reset=None, min_size=1) as pool:
        pool.wait()
        with pool.lease() as connection:
            assert connection.asked == asked


def test_an_interrupted_check_interrupts_its_client() -> None:
    with dbapi.connections(lambda: Interrupted(status=0), reset=None, min_size=1) as pool:
        pool.wait()
        with pytest.raises(KeyboardInterrupt), pool.lease():
            raise AssertionError("a connection came all the same")
        assert pool.in_use == 0


def test_a_cancelled_check_cancels_its_client() -> None:
    async def make() -> AsyncInterrupted:
        return AsyncInterrupted()

    async def ask() -> None:
        async with dbapi.async_connections(make, reset=None, min_size=1) as pool:
            await pool.wait()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05), pool.lease():
                    raise AssertionError("a connection came all the same")
            assert pool.in_use == 0

    asyncio.run(asyncio.wait_for(ask(), 20))


# PostgreSQL ----------------------------------------------------------------------------------------------------------


def terminate(admin: Any, pid: int) -> None:
    """Kill a client's server process, and wait until it is gone."""
    assert admin.execute("SELECT pg_terminate_backend(%s)", (pid,)).fetchone() == (True,)
    until = time.monotonic() + 20
    while admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone() is not None:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_the_end_of_all_connections_costs_one_client_an_error(psycopg: Any, postgres: Server, admin: Any) -> None:
    """Although all were used a moment ago, so that none is due to be checked."""
    errors = 0
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=5, check_after=3600) as pool:
        held = [pool.acquire() for _ in range(5)]
        pids = [each.info.backend_pid for each in held]
        for each in held:
            pool.release(each)
        time.sleep(0.05)  # the clock by which objects age moves in steps of some milliseconds
        for pid in pids:
            terminate(admin, pid)
        for _ in range(10):
            try:
                with pool.lease() as connection:
                    connection.execute("SELECT 1")
            except psycopg.OperationalError:
                errors += 1
        assert errors == 1


def pid_of(connection: Any) -> int:
    return connection.info.backend_pid


def test_postgres_rolls_back_on_return(psycopg: Any, postgres: Server, admin: Any) -> None:
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=1) as pool:
        with pool.lease() as connection, connection.transaction():
            connection.execute("INSERT INTO event VALUES ('committed')")
        with pool.lease() as connection:
            connection.execute("INSERT INTO event VALUES ('left open')")
        state = admin.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", (pid_of(connection),))
        assert state.fetchone() == ("idle",)  # and not "idle in transaction"
        with pytest.raises(psycopg.errors.UndefinedTable), pool.lease() as connection:
            connection.execute("SELECT FROM no_such_table")
        with pool.lease() as connection:  # does not stand in the failed transaction
            assert connection.execute("SELECT what FROM event").fetchall() == [("committed",)]
        assert pool.stats().created == 1


def test_a_check_leaves_no_transaction_open(psycopg: Any, postgres: Server, admin: Any) -> None:
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=1) as pool:
        for _ in range(2):
            with pool.lease() as connection:
                assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
                assert not connection.autocommit
        pid = pid_of(connection)
        (last,) = admin.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
        assert last == "SELECT 1"  # one round trip: neither BEGIN nor ROLLBACK


def test_an_open_transaction_fails_no_check(psycopg: Any, postgres: Server, admin: Any) -> None:
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=1, reset=None) as pool:
        with pool.lease() as connection:
            connection.execute("INSERT INTO event VALUES ('left open')")
        with pool.lease() as connection:
            assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert pool.stats().created == 1


def test_killed_backends_are_noticed_and_replaced(psycopg: Any, postgres: Server, admin: Any) -> None:
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), min_size=3, max_size=3) as pool:
        pool.wait()
        with pool.lease() as one, pool.lease() as two, pool.lease() as three:
            before = {pid_of(each) for each in (one, two, three)}
        for pid in before:
            terminate(admin, pid)
        with pool.lease() as one, pool.lease() as two, pool.lease() as three:
            after = {each.execute("SELECT pg_backend_pid()").fetchone()[0] for each in (one, two, three)}
        assert len(after) == 3
        assert not after & before
        assert pool.stats().discards["broken"] == 3


def test_a_backend_killed_in_use_is_replaced(psycopg: Any, postgres: Server, admin: Any) -> None:
    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=1) as pool:
        with pool.lease() as connection:
            terminate(admin, pid_of(connection))
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pool.lease() as another:
            assert another.execute("SELECT 1").fetchone() == (1,)
        assert pool.stats().created == 2


def test_many_threads_share_three_backends(psycopg: Any, postgres: Server, admin: Any) -> None:
    def insert(i: int) -> int:
        with pool.lease() as connection, connection.transaction():
            connection.execute("INSERT INTO event VALUES (%s)", (str(i),))
            return pid_of(connection)

    with dbapi.connections(lambda: psycopg.connect(postgres.dsn), max_size=3) as pool:
        with ThreadPoolExecutor(12) as executor:
            pids = list(executor.map(insert, range(120)))
        assert pool.stats().created <= 3
    assert len(set(pids)) <= 3
    assert admin.execute("SELECT count(DISTINCT what) FROM event").fetchone() == (120,)


def test_tasks_share_asynchronous_connections(psycopg: Any, postgres: Server, admin: Any) -> None:
    """All of it again with psycopg's asynchronous connections: reuse, rollback, a backend killed while idle."""

    async def insert(pool: Any, i: int) -> int:
        async with pool.lease() as connection, connection.transaction():
            await connection.execute("INSERT INTO event VALUES (%s)", (str(i),))
            return pid_of(connection)

    async def follow() -> None:
        connect = functools.partial(psycopg.AsyncConnection.connect, postgres.dsn)
        async with dbapi.async_connections(connect, max_size=3) as pool:
            pids = set(await asyncio.gather(*(insert(pool, i) for i in range(60))))
            assert len(pids) <= 3
            async with pool.lease() as connection:
                await connection.execute("DELETE FROM event")
            async with pool.lease() as connection:
                assert not connection.autocommit
                (last,) = admin.execute(
                    "SELECT query FROM pg_stat_activity WHERE pid = %s", (pid_of(connection),)
                ).fetchone()
                assert last == "SELECT 1"
                cursor = await connection.execute("SELECT count(*) FROM event")
                assert await cursor.fetchone() == (60,)
            for pid in pids:
                terminate(admin, pid)
            assert await insert(pool, 60) not in pids
            assert pool.stats().discards["broken"] >= 1

    asyncio.run(follow())
    assert admin.execute("SELECT count(*) FROM event").fetchone() == (61,)
