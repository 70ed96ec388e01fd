"""What holds for every recipe: its settings can be set otherwise, and nothing is imported before it is needed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import AsyncPool, Pool
from bufpool.resources import dbapi, files, http, sockets, workers
from tests.support.programs import python


async def make() -> Any:
    return object()


FOR_THREADS: dict[str, Callable[..., Pool[Any]]] = {
    "connections": lambda **settings: dbapi.sqlite(":memory:", **settings),
    "sockets": lambda **settings: sockets.connections(socket.socket, **settings),
    "http": lambda **settings: http.connections("http://localhost", **settings),
    "processes": lambda **settings: workers.processes(**settings),
    "threads": lambda **settings: workers.threads(**settings),
    "readers": lambda **settings: files.readers(__file__, **settings),
    "scratch": lambda **settings: files.scratch(**settings),
}
FOR_TASKS: dict[str, Callable[..., AsyncPool[Any]]] = {
    "connections": lambda **settings: dbapi.async_connections(make, **settings),
    "streams": lambda **settings: sockets.streams(make, **settings),
}


@pytest.mark.parametrize("kind", FOR_THREADS)
def test_every_setting_can_be_given(kind: str) -> None:
    told: list[str] = []

    def check(thing: Any) -> bool:
        told.append("check")
        return True

    def close(thing: Any) -> None:
        told.append("close")
        getattr(thing, "shutdown" if kind in ("processes", "threads") else "close")()

    settings = {"check": check, "reset": lambda thing: told.append("reset"), "close": close}
    with FOR_THREADS[kind](name="mine", max_size=2, timeout=1.5, discard_on=(), **settings) as pool:
        assert (pool.name, pool.max_size, pool.timeout) == ("mine", 2, 1.5)
        for _ in range(2):
            thing = pool.acquire()
            pool.release(thing)
    assert told == ["reset", "check", "reset", "close"]


@pytest.mark.parametrize("kind", FOR_TASKS)
def test_every_setting_of_a_pool_for_tasks_can_be_given(kind: str) -> None:
    told: list[str] = []

    async def follow() -> None:
        settings = {each: lambda thing, each=each: told.append(each) for each in ("check", "reset", "close")}
        async with FOR_TASKS[kind](name="mine", max_size=2, timeout=1.5, **settings) as pool:
            assert (pool.name, pool.max_size, pool.timeout) == ("mine", 2, 1.5)
            for _ in range(2):
                thing = await pool.acquire()
                await pool.release(thing)

    asyncio.run(follow())
    assert told == ["reset", "check", "reset", "close"]


def test_nothing_is_imported_before_it_is_needed() -> None:
    program = """
import sys, bufpool
assert not [name for name in sys.modules if name.startswith("bufpool.resources")]
import bufpool.resources.dbapi
assert not {"sqlite3", "psycopg", "sqlalchemy"} & set(sys.modules)
"""
    done = python("-c", program)
    assert done.returncode == 0, done.stderr
