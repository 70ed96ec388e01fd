"""What type checkers know of pools of objects and of the recipes, checked and run as ``test_typed_arrays.py`` is."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import IO, BinaryIO, Literal, Unpack, assert_type

import bufpool
from bufpool.resources import Settings, dbapi, files, http, sockets, workers


def connect() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


def test_a_pool_is_of_what_its_factory_makes() -> None:
    pool = bufpool.Pool(connect, close=sqlite3.Connection.close)
    assert_type(pool, bufpool.Pool[sqlite3.Connection])
    assert_type(pool.lease(), bufpool.PoolLease[sqlite3.Connection])
    with pool, pool.lease(timeout=1) as connection:
        assert_type(connection, sqlite3.Connection)
        connection.execute("select 1")


def test_a_factory_may_be_written_in_place() -> None:
    assert_type(bufpool.Pool(lambda: bytearray(8)), bufpool.Pool[bytearray])
    assert_type(
        bufpool.Pool(lambda: connect(), check=lambda c: c.total_changes), bufpool.Pool[sqlite3.Connection]
    )
    assert_type(bufpool.AsyncPool(lambda: bytearray(8), max_size=3), bufpool.AsyncPool[bytearray])


def test_what_a_pool_gives_and_takes() -> None:
    pool = bufpool.Pool(list[int], reset=list[int].clear)
    x = pool.acquire()
    assert_type(x, list[int])
    pool.release(x)
    assert_type(pool.try_acquire(), list[int] | None)
    assert_type(pool.leases(), tuple[bufpool.Holder[list[int]], ...])
    assert_type(pool.leases()[0].object, list[int])
    lease = pool.lease()
    with lease:
        assert_type(lease.object, list[int])
        assert_type(lease.released, bool)
    assert_type(pool.as_async(), bufpool.AsyncPool[list[int]])
    with pool as same:
        assert_type(same, bufpool.Pool[list[int]])


def test_figures() -> None:
    pool = bufpool.Pool(dict[str, int])
    stats = pool.stats()
    assert_type(stats, bufpool.ObjectStats)
    assert_type(stats - stats, bufpool.ObjectStats)
    assert_type(stats.discards, Mapping[str, int])
    assert_type(pool.advice().pays, bool | None)
    assert_type(pool.advice().size, Literal["right", "too small", "too large", "unknown"])
    assert_type(pool.timeout, float | None)
    assert_type(pool.max_size, int)


def test_a_pool_for_tasks_takes_both_kinds_of_factories() -> None:
    async def make() -> bytearray:
        return bytearray(8)

    async def main() -> None:
        pool = bufpool.AsyncPool(make)
        assert_type(pool, bufpool.AsyncPool[bytearray])
        assert_type(pool.lease(), bufpool.AsyncPoolLease[bytearray])
        async with pool.lease() as b:
            assert_type(b, bytearray)
        x = await pool.acquire()
        assert_type(x, bytearray)
        await pool.release(x)
        assert_type(await pool.try_acquire(), bytearray | None)
        async with bufpool.AsyncPool(bytearray, timeout=1) as plain:
            assert_type(plain, bufpool.AsyncPool[bytearray])

    asyncio.run(main())


def test_recipes_say_what_they_pool(tmp_path: Path) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(b"bytes")
    assert_type(dbapi.sqlite(path, max_size=2, check_after=5.0), bufpool.Pool[sqlite3.Connection])
    assert_type(dbapi.connections(connect), bufpool.Pool[sqlite3.Connection])
    assert_type(dbapi.connections(connect, on_return="commit"), bufpool.Pool[sqlite3.Connection])
    assert_type(dbapi.sqlite(path, on_return=lambda c: c.commit()), bufpool.Pool[sqlite3.Connection])
    assert_type(files.readers(os.fspath(path)), bufpool.Pool[BinaryIO])
    assert_type(files.scratch(folder=tmp_path), bufpool.Pool[IO[bytes]])
    assert_type(http.connections("http://127.0.0.1:1"), bufpool.Pool[http.Connection])
    assert_type(sockets.connections(("127.0.0.1", 1)), bufpool.Pool[socket.socket])
    assert_type(sockets.streams(("127.0.0.1", 1)), bufpool.AsyncPool[sockets.Stream])
    assert_type(workers.threads(), bufpool.Pool[ThreadPoolExecutor])
    assert_type(workers.threads(unfinished="wait"), bufpool.Pool[ThreadPoolExecutor])
    assert_type(workers.processes(max_size=1), bufpool.Pool[ProcessPoolExecutor])


def texts(**settings: Unpack[Settings[io.StringIO]]) -> bufpool.Pool[io.StringIO]:
    """A recipe of a user's own."""
    own: Settings[io.StringIO] = {"close": io.StringIO.close, "max_size": 3}
    return bufpool.Pool(io.StringIO, **own | settings)


def test_settings_pass_through_a_recipe() -> None:
    assert_type(texts(max_size=2, name="texts"), bufpool.Pool[io.StringIO])
    assert texts(min_size=1).max_size == 3
