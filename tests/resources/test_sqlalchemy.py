"""SQLAlchemy engines whose connections a `bufpool.Pool` lends: SQLite and PostgreSQL."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres_server import Server, psycopg_or_skip

sqlalchemy = pytest.importorskip("sqlalchemy")

from sqlalchemy import event, exc, text

from bufpool.errors import PoolExhaustedError, PoolTimeoutError, TooManyWaitersError
from bufpool.resources.sqlalchemy import BufpoolPool
from tests.support.clients import Client


def make_engine(url: str, **options: Any) -> Any:
    return sqlalchemy.create_engine(url, poolclass=BufpoolPool, **options)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty table in each of the two."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'app.db'}"
    else:
        psycopg_or_skip()
        url = request.getfixturevalue("postgres").url
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS event"))
        connection.execute(text("CREATE TABLE event (what INTEGER)"))
    yield url
    engine.dispose()


def count(connection: Any) -> int:
    return connection.execute(text("SELECT count(*) FROM event")).scalar_one()


INSERT = text("INSERT INTO event VALUES (:what)")


def test_an_engine_reuses_and_rolls_back(url: str) -> None:
    engine = make_engine(url, pool_size=2)
    with engine.begin() as connection:
        connection.execute(INSERT, {"what": 1})
    with engine.connect() as connection:
        connection.execute(INSERT, {"what": 2})  # nobody commits
    with engine.connect() as connection:
        assert count(connection) == 1
    assert engine.pool.connections.stats().created == 1
    assert engine.pool.status() == "1 of 2 connections: 1 idle, 0 in use"
    engine.dispose()


def test_many_threads_share_the_connections_of_an_engine(url: str) -> None:
    engine = make_engine(url, pool_size=3)

    def insert(i: int) -> None:
        with engine.begin() as connection:
            connection.execute(INSERT, {"what": i})

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(insert, range(60)))
    with engine.connect() as connection:
        assert count(connection) == 60
    stats = engine.pool.connections.stats()
    assert stats.created <= 3
    assert (stats.in_use, stats.waiting) == (0, 0)
    engine.dispose()


@pytest.mark.parametrize(
    ("settings", "cause"),
    [({}, PoolTimeoutError), ({"max_waiting": 0}, TooManyWaitersError), ({"overflow": "fail"}, PoolExhaustedError)],
)
def test_a_full_pool_raises_sqlalchemys_timeout(url: str, settings: Any, cause: type[Exception]) -> None:
    engine = make_engine(url, pool_size=1, pool_timeout=0.02, pool_settings=settings)
    with engine.connect(), pytest.raises(exc.TimeoutError) as caught:
        engine.connect()
    assert type(caught.value.__cause__) is cause
    assert str(caught.value) == str(caught.value.__cause__)
    engine.dispose()


def test_a_closed_pool_raises_sqlalchemys_error() -> None:
    engine = make_engine("sqlite://")
    engine.pool.connections.close()
    with pytest.raises(exc.InvalidRequestError, match="is closed"):
        engine.connect()


def test_a_listener_that_connects_gets_sqlalchemys_error() -> None:
    """It is called while a connection is made, and asks the same pool for another one."""
    engine = make_engine("sqlite://")
    event.listen(engine, "connect", lambda *_: engine.connect())
    with pytest.raises(exc.InvalidRequestError, match="a callback of the pool asked it"):
        engine.connect()
    assert engine.pool.connections.size == 0


def test_settings_of_the_pool_reach_it(url: str) -> None:
    engine = make_engine(
        url,
        pool_size=2,
        pool_use_lifo=False,
        pool_logging_name="app",
        pool_settings={"fair": True, "overflow": "create"},
    )
    pool = engine.pool.connections
    assert (pool.max_size, pool.lifo, pool.fair, pool.name) == (2, False, True, "app")
    open_connections = [engine.connect() for _ in range(4)]
    for connection in open_connections:
        assert count(connection) == 0
        connection.close()
    assert pool.size == 2
    assert pool.stats().discards["overflow"] == 2
    engine.dispose()


def test_dispose_closes_all_and_the_engine_goes_on(url: str) -> None:
    engine = make_engine(url, pool_size=2, pool_timeout=1.0)
    closed = []
    event.listen(engine, "close", lambda connection, record: closed.append(connection))
    with engine.connect() as out:
        with engine.connect():
            pass
        before = engine.pool
        engine.dispose()
        assert len(closed) == 1  # the idle one
        with engine.connect() as connection:
            assert count(connection) == 0
        assert engine.pool is not before
        assert engine.pool.connections.timeout == 1.0
        assert count(out) == 0  # serves its borrower to the end
    assert len(closed) == 2
    assert before.connections.size == 0
    engine.dispose()
    assert len(closed) == 3


def test_a_connection_that_was_dropped_comes_back(url: str) -> None:
    """SQLAlchemy returns it from the garbage collector, at any moment and in any thread."""
    engine = make_engine(url, pool_size=1, pool_timeout=5.0)
    pool = engine.pool
    for _ in range(3):
        dropped = pool.connect()
        del dropped
        gc.collect()
        assert pool.connections.in_use == 0
    engine.dispose()


def test_an_invalidated_and_a_detached_connection_make_room(url: str) -> None:
    engine = make_engine(url, pool_size=1, pool_timeout=1.0)
    with engine.connect() as connection:
        connection.invalidate()
    with engine.connect() as connection:
        connection.detach()
        with engine.connect() as another:
            assert count(another) == 0
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def down(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that cannot be reached until the folder `missing` exists."""
    missing = tmp_path / "missing"
    if request.param == "sqlite":
        return f"sqlite:///{missing / 'app.db'}"
    psycopg_or_skip()
    return f"postgresql+psycopg://tester@/postgres?host={missing}"


def test_while_a_server_is_down_all_hear_so_at_once(down: str) -> None:
    """Nobody waits for the attempt of another client, nor until his time is over."""
    engine = make_engine(down, pool_size=2, pool_timeout=20)
    began = time.monotonic()
    for _ in range(2):  # also those who come later
        clients = [Client(engine.connect) for _ in range(12)]
        assert {type(client.error()) for client in clients} == {exc.OperationalError}
    assert time.monotonic() - began < 10
    assert engine.pool.connections.stats().failures == 24
    assert engine.pool.connections.size == 0


def test_a_connection_is_made_as_soon_as_that_is_possible(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'missing' / 'app.db'}", pool_timeout=0)
    with pytest.raises(exc.OperationalError):
        engine.connect()
    (tmp_path / "missing").mkdir()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()


def test_a_backoff_can_be_set(down: str) -> None:
    engine = make_engine(down, pool_timeout=0.02, pool_settings={"backoff": (60, 60)})
    with pytest.raises(exc.OperationalError):
        engine.connect()
    with pytest.raises(exc.TimeoutError, match="the factory fails: Operational"):
        engine.connect()


def messages(caplog: pytest.LogCaptureFixture, engine: Any) -> list[str]:
    """What the life of a connection writes into the log, without its address."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "sqlalchemy.pool"):
        with engine.connect() as connection:
            connection.invalidate()
        engine.connect().close()
        engine.dispose()
    return [record.msg for record in caplog.records if record.name == engine.pool.logger.name]


def test_logs_are_those_of_a_queue_pool(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'app.db'}"
    engine = make_engine(url, pool_logging_name="app")
    assert engine.pool.logger.name == "sqlalchemy.pool.BufpoolPool.app"
    seen = messages(caplog, engine)
    assert "Connection %r checked out from pool" in seen
    queue_pool = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.QueuePool)
    assert seen == messages(caplog, queue_pool)


def test_echo_pool_prints_checkouts(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = "sqlalchemy.pool.BufpoolPool.echoed"
    try:
        engine = make_engine(f"sqlite:///{tmp_path / 'app.db'}", echo_pool="debug", pool_logging_name="echoed")
        engine.connect().close()
        engine.dispose()
    finally:
        logging.getLogger(name).handlers.clear()  # it writes to what is the standard output during this test
    lines = capsys.readouterr().out.splitlines()
    assert all(f" {name} " in line for line in lines)
    for said in ("checked out from pool", "being returned to pool", "Pool disposed. 0 of 10 connections"):
        assert sum(said in line for line in lines) == 1


def test_asynchronous_engines_are_refused() -> None:
    psycopg_or_skip()
    with pytest.raises(exc.ArgumentError, match="leave out poolclass .*AsyncAdaptedQueuePool"):
        sqlalchemy.create_engine("postgresql+psycopg_async://", poolclass=BufpoolPool)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql+psycopg://server/app", "psycopg"),
        ("postgresql+asyncpg://server/app", "asyncpg"),
        ("sqlite+aiosqlite:///app.db", "aiosqlite"),
    ],
)
def test_create_async_engine_says_what_to_use(url: str, driver: str) -> None:
    pytest.importorskip("greenlet")
    pytest.importorskip(driver, exc_type=ImportError)
    from sqlalchemy.ext.asyncio import create_async_engine

    # The advice works, and it is given although an argument is wrong too.
    for settings in ({}, {"pool_size": 3, "max_overflow": 2}):
        with pytest.raises(exc.ArgumentError, match="create_async_engine, .*AsyncAdaptedQueuePool"):
            create_async_engine(url, poolclass=BufpoolPool, **settings)
        create_async_engine(url, poolclass=sqlalchemy.pool.AsyncAdaptedQueuePool, **settings)
    create_async_engine(url)


def test_pre_ping_replaces_killed_backends(postgres: Server) -> None:
    psycopg = psycopg_or_skip()
    engine = make_engine(postgres.url, pool_size=2, pool_pre_ping=True)
    pid = text("SELECT pg_backend_pid()")
    with engine.connect() as one, engine.connect() as other:
        before = {each.execute(pid).scalar_one() for each in (one, other)}
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        for each in before:
            admin.execute("SELECT pg_terminate_backend(%s)", (each,))
        until = time.monotonic() + 20
        while admin.execute("SELECT FROM pg_stat_activity WHERE pid = ANY(%s)", (list(before),)).fetchone():
            assert time.monotonic() < until
            time.sleep(0.005)
    with engine.connect() as one, engine.connect() as other:
        after = {each.execute(pid).scalar_one() for each in (one, other)}
    assert len(after) == 2
    assert not after & before
    engine.dispose()
