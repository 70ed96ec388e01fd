"""SQLAlchemy engines whose connections a `bufpool.Pool` lends: SQLite and PostgreSQL."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres_server import Server, psycopg_or_skip

sqlalchemy = pytest.importorskip("sqlalchemy")

from sqlalchemy import event, exc, text

from bufpool.resources.sqlalchemy import BufpoolPool


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


def test_a_timeout_is_sqlalchemys_own_error(url: str) -> None:
    engine = make_engine(url, pool_size=1, pool_timeout=0.02)
    with engine.connect(), pytest.raises(exc.TimeoutError), engine.connect():
        pass
    engine.dispose()


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


def test_a_creator_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'missing' / 'app.db'}", pool_settings={"backoff": (0.001, 0.001)})
    with pytest.raises(exc.OperationalError):
        engine.connect()
    (tmp_path / "missing").mkdir()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()


def test_asynchronous_engines_are_refused() -> None:
    psycopg_or_skip()
    with pytest.raises(exc.ArgumentError, match="asyncio"):
        sqlalchemy.create_engine("postgresql+psycopg_async://", poolclass=BufpoolPool)


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
