"""What tests of pools with workers share: clients whose creation runs, pools at rest, systems without threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bufpool import AsyncPool, Pool
from tests.support.clients import Client, Thing, until
from tests.support.factories import AsyncSteps, Steps, soon, until_so

NAME = "bufpool-worker"  # of their threads

fair_or_not = pytest.mark.parametrize("fair", [True, False])


def begun(pool: Pool[Any], steps: Steps, **kwargs: Any) -> Client:
    """A client that waits for an object, and whose creation runs."""
    before = steps.count
    client = Client(pool.acquire, **kwargs)
    until(lambda: steps.count == before + 1, "that its creation runs")
    time.sleep(0.02)  # and it has begun to wait
    return client


def settled(pool: Pool[Any]) -> bool:
    """Come to rest: everything is idle, and nobody waits."""
    until(lambda: (pool.size, pool.in_use, pool.waiting) == (pool.idle, 0, 0), "that all is idle")
    return True


def until_soon(condition: Callable[[], object], what: str, most: float = 5.0) -> None:
    """Return as soon as it is so, which must not take long."""
    end = time.monotonic() + most
    while not condition():
        assert time.monotonic() < end, f"it did not come to that {what}"
        time.sleep(0.001)


def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no worker can start."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == NAME:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


async def begun_task(steps: AsyncSteps | Steps, client: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A client that waits for an object, and whose creation runs."""
    before = steps.count
    task = asyncio.create_task(client)
    await until_so(lambda: steps.count == before + 1, "that its creation runs")
    await asyncio.sleep(0.01)
    return task


async def waiting_task(pool: AsyncPool[Any], client: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A client that waits behind all others."""
    before = pool.waiting
    task = asyncio.create_task(client)
    await until_so(lambda: pool.waiting == before + 1, "that the client waits")
    return task


async def cancelled(task: asyncio.Task[Any]) -> bool:
    """Cancel it, and say whether it ended so, at once."""
    task.cancel()
    with soon():
        await asyncio.wait([task])
    return task.cancelled()


def fails(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def lose_discarded(pool: Pool[Any], thing: Thing) -> None:
    pool.discard(thing)


def lose_drained(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)
    pool.drain()


def lose_resized(pool: Pool[Any], thing: Thing) -> None:
    other = pool.acquire()
    pool.release(thing)
    pool.release(other)
    pool.resize(max_size=1)


def lose_used_up(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)


def lose_expired(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)
    time.sleep(0.1)
    pool.maintain()


def lose_rejected(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)
    assert pool.acquire() is not thing
