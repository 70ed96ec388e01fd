"""Pools with workers in several loops, and their tasks when a loop ends."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from bufpool import AsyncPool
from bufpool.errors import (
    PoolTimeoutError,
)
from tests.support.clients import Thing
from tests.support.factories import AsyncGate, AsyncSteps, soon, until_so

# --- other pools, other loops ---


@pytest.mark.parametrize("where", ["check", "close"])
async def test_a_callback_that_hangs_does_not_stop_the_maintenance_of_other_pools(where: str) -> None:
    gate = AsyncGate()
    if where == "check":
        hung = AsyncPool(Thing, workers=1, check=gate, check_on="idle", check_interval=0.01)
    else:
        hung = AsyncPool(Thing, workers=1, close=gate, max_idle=0.01)
    await hung.release(await hung.acquire())
    await gate.reached()
    steps = AsyncSteps()
    other = AsyncPool(steps, workers=1, max_idle=0.05, close=steps.close)
    await other.release(await other.acquire())
    with soon(5):
        await until_so(lambda: steps.closed)
    gate.open()


def test_the_end_of_a_loop_frees_the_slot_of_what_was_in_creation() -> None:
    """The next loop can have an object; what the first loop's end says is nothing."""
    steps = AsyncSteps(lambda: asyncio.sleep(60))
    pool = AsyncPool(steps, max_size=1, workers=1)

    async def first() -> None:
        with pytest.raises(PoolTimeoutError):
            await pool.acquire(timeout=0.05)
        assert steps.running == 1

    async def second() -> None:
        thing = await pool.acquire(timeout=5)
        assert thing.number == 1
        await pool.release(thing)

    with soon(4):
        asyncio.run(first())
        asyncio.run(second())
    assert (pool.size, pool.idle) == (1, 1)


def test_a_loop_that_ends_during_a_close_keeps_no_slot() -> None:
    """Another loop goes on with the pool."""
    closing = AsyncSteps(rest=lambda: asyncio.sleep(60))
    pool = AsyncPool(AsyncSteps(), max_size=1, workers=2, close=lambda _: closing())

    async def lose() -> None:
        await pool.discard(await pool.acquire(timeout=5))
        await until_so(lambda: closing.running == 1)

    with soon(8):
        for _ in range(4):
            asyncio.run(lose())


# --- loops that end ---


def test_a_closed_loop_leaves_no_creation_to_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody cancelled the task of the creation, and it never runs again."""
    steps = AsyncSteps(lambda: asyncio.sleep(60))
    pool = AsyncPool(steps, max_size=1, workers=1)

    async def first() -> None:
        with pytest.raises(PoolTimeoutError):
            await pool.acquire(timeout=0.05)
        assert steps.running == 1

    async def second() -> None:
        with soon(4):
            thing = await pool.acquire(timeout=5)
        assert thing.number == 1
        await pool.release(thing)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    loop.close()
    del loop
    asyncio.run(second())
    assert (pool.size, pool.idle, pool.waiting, steps.running) == (1, 1, 0, 0)
    gc.collect()
    assert "destroyed" not in caplog.text


async def test_a_client_orders_anew_when_its_order_was_cancelled_before_it_began() -> None:
    """By whoever cancels all tasks of the loop, say."""
    steps = AsyncSteps()
    pool = AsyncPool(steps, max_size=1, workers=1)
    client = asyncio.create_task(pool.acquire(timeout=20))
    spared = {asyncio.current_task(), client}
    cancelled: list[asyncio.Task[Any]] = []

    def cancel_others() -> None:
        cancelled.extend(each for each in asyncio.all_tasks() if each not in spared)
        for each in cancelled:
            each.cancel()

    asyncio.get_running_loop().call_soon(cancel_others)  # after the first step of the client
    with soon():
        assert await client is steps.made[0]
    assert cancelled
    assert (steps.count, pool.size) == (1, 1)
