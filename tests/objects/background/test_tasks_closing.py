"""Pools with workers, for tasks: lost objects are closed, and replaced."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bufpool import AsyncPool
from bufpool.errors import (
    ClosedError,
    PoolTimeoutError,
)
from tests.support.background import begun_task
from tests.support.clients import Thing
from tests.support.factories import AsyncGate, AsyncSteps, soon, until_so


async def lose_discarded(pool: AsyncPool[Any], thing: Thing) -> None:
    await pool.discard(thing)


async def lose_drained(pool: AsyncPool[Any], thing: Thing) -> None:
    await pool.release(thing)
    await pool.drain()


async def lose_released(pool: AsyncPool[Any], thing: Thing) -> None:
    await pool.release(thing)


async def lose_expired(pool: AsyncPool[Any], thing: Thing) -> None:
    await pool.release(thing)
    await asyncio.sleep(0.1)
    await pool.maintain()


async def lose_rejected(pool: AsyncPool[Any], thing: Thing) -> None:
    await pool.release(thing)
    assert await pool.acquire() is not thing


LOSSES: dict[str, tuple[Callable[[AsyncPool[Any], Thing], Awaitable[None]], dict[str, Any]]] = {
    "discard": (lose_discarded, {}),
    "drain": (lose_drained, {}),
    "max_uses": (lose_released, {"max_uses": 1}),
    "reset": (lose_released, {"reset": lambda _: 1 / 0}),
    "max_idle": (lose_expired, {"max_idle": 0.05}),
    "check": (lose_rejected, {"check": lambda thing: thing.number != 0}),
}


@pytest.mark.parametrize("how", LOSSES)
async def test_nobody_waits_for_the_close_of_an_object(how: str) -> None:
    """And its slot is free."""
    lose, settings = LOSSES[how]
    gate = AsyncGate()
    pool = AsyncPool(AsyncSteps(), max_size=1, workers=1, close=gate, **settings)
    thing = await pool.acquire()
    with soon():
        await lose(pool, thing)
        await gate.reached()
        if how != "check":
            await pool.acquire(timeout=20)
    assert pool.size == 1
    gate.open()


async def test_so_many_are_in_closing_as_the_pool_may_have_and_no_more() -> None:
    """One more keeps its slot until one is closed."""
    gate = AsyncGate()
    pool = AsyncPool(AsyncSteps(), max_size=1, workers=2, close=gate)
    for _ in range(2):
        await pool.discard(await pool.acquire(timeout=20))
    with soon(), pytest.raises(PoolTimeoutError):
        await pool.acquire(timeout=0.1)
    gate.open()
    assert (await pool.acquire(timeout=20)).number == 2


@pytest.mark.parametrize("how", ["close", "with"])
async def test_the_end_of_a_pool_waits_until_idle_objects_are_closed(how: str) -> None:
    closing = AsyncSteps(rest=lambda: asyncio.sleep(0.05))
    pool = AsyncPool(Thing, max_size=5, workers=2, close=lambda _: closing())
    await pool.wait(5)
    if how == "close":
        await pool.close()
    else:
        async with pool:
            pass
    assert (len(closing.made), pool.size) == (5, 0)


async def test_objects_are_closed_side_by_side() -> None:
    closing = AsyncSteps(rest=lambda: asyncio.sleep(0.02))
    pool = AsyncPool(Thing, max_size=6, workers=2, close=lambda _: closing())
    await pool.wait(6)
    await pool.close(timeout=20)
    assert (closing.count, closing.most) == (6, 6)


async def test_the_end_of_a_pool_keeps_to_its_time_and_says_that_something_is_left() -> None:
    gate = AsyncGate()
    pool = AsyncPool(Thing, workers=1, close=gate)
    await pool.wait(1)
    with soon(), pytest.raises(PoolTimeoutError):
        await pool.close(timeout=0.2)
    assert pool.closed
    gate.open()
    await until_so(lambda: pool.size == 0)


async def test_who_waits_for_a_creation_is_told_at_once_that_the_pool_is_closed() -> None:
    """What comes later is closed."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, workers=1, close=steps.close)
    client = await begun_task(steps, pool.acquire())
    with soon(4):
        await pool.close()
        with pytest.raises(ClosedError):
            await client
    gate.open()
    await until_so(lambda: len(steps.closed) == 1)
    await until_so(lambda: pool.size == 0)


# --- objects kept ready ---


async def test_the_objects_to_keep_ready_are_there_without_a_client() -> None:
    """From the construction in a loop."""
    pool = AsyncPool(AsyncSteps(), min_size=3, workers=2)
    await until_so(lambda: pool.idle == 3)
    assert pool.size == 3


def test_the_objects_to_keep_ready_are_there_from_the_first_client_on() -> None:
    """Where no loop ran when the pool was made."""
    pool = AsyncPool(AsyncSteps(), min_size=3, workers=2)
    assert pool.size == 0

    async def main() -> None:
        await pool.release(await pool.acquire())
        await until_so(lambda: pool.idle == 3)

    asyncio.run(main())


@pytest.mark.parametrize("how", ["discard", "drain", "max_uses", "reset"])
async def test_a_lost_object_is_replaced_at_once(how: str) -> None:
    """Rounds of maintenance would come much later."""
    lose, settings = LOSSES[how]
    pool = AsyncPool(AsyncSteps(), min_size=2, max_size=2, workers=1, **settings)
    await until_so(lambda: pool.idle == 2)
    with soon():
        await lose(pool, await pool.acquire())
        await until_so(lambda: pool.idle == 2)
    assert pool.stats().created == (4 if how == "drain" else 3)


async def test_objects_to_keep_ready_are_tried_again_after_the_pause() -> None:
    steps = AsyncSteps(*[OSError("down")] * 3)
    pool = AsyncPool(steps, min_size=1, workers=1, backoff=(0.05, 0.1))
    began = time.monotonic()
    with soon(5):
        await until_so(lambda: pool.idle == 1)
    assert steps.count == 4
    assert time.monotonic() - began > 0.1  # a pause may be shorter by half, at random
