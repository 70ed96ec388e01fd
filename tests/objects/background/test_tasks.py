"""Pools with workers, for tasks: a client waits for whichever comes first."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from bufpool import AsyncPool
from bufpool.errors import (
    FactoryError,
    PoolExhaustedError,
    PoolTimeoutError,
    ReentrantError,
    SettingError,
)
from tests.support.background import begun_task, cancelled, fair_or_not, waiting_task
from tests.support.clients import BreakError, Thing
from tests.support.factories import AsyncGate, AsyncSteps, Steps, soon, until_so

# --- creation ---


def test_waiting_for_a_factory_that_fails_needs_workers() -> None:
    with pytest.raises(SettingError, match="on_failure"):
        AsyncPool(Thing, on_failure="wait")


async def test_what_makes_an_object_never_runs_in_the_task_of_the_client() -> None:
    """The factory and `configure`."""
    steps, configuring = AsyncSteps(), []
    pool = AsyncPool(steps, workers=2, configure=lambda _: configuring.append(asyncio.current_task()))
    await pool.wait(1)
    await pool.acquire()
    async with pool.lease():
        assert (steps.count, len(configuring)) == (2, 2)
    assert asyncio.current_task() not in steps.tasks + configuring


async def test_objects_are_created_side_by_side_by_as_many_tasks_as_workers() -> None:
    """Who finds none free gets its object later."""
    steps = AsyncSteps(rest=lambda: asyncio.sleep(0.01))
    pool = AsyncPool(steps, max_size=9, workers=3)
    things = await asyncio.gather(*[pool.acquire() for _ in range(9)])
    assert len(set(things)) == 9
    assert steps.most == 3


async def test_a_factory_that_is_no_coroutine_function_will_do() -> None:
    """It runs in the loop."""
    steps = Steps()
    pool = AsyncPool(steps, max_size=2, workers=1)
    assert len(set(await asyncio.gather(pool.acquire(), pool.acquire()))) == 2
    assert steps.idents == {threading.get_ident()}


@fair_or_not
async def test_a_returned_object_serves_who_waits_for_a_creation(fair: bool) -> None:
    """What is created becomes idle."""
    gate = AsyncGate()
    steps = AsyncSteps(None, gate)
    pool = AsyncPool(steps, max_size=2, workers=1, fair=fair)
    held = await pool.acquire()
    client = await begun_task(steps, pool.acquire())
    await pool.release(held)
    with soon():
        assert await client is held
    assert steps.running == 1
    gate.open()
    await until_so(lambda: pool.idle == 1)
    assert await pool.acquire(0) is steps.made[1]
    assert pool.size == 2


async def test_a_time_out_holds_however_long_the_factory_takes() -> None:
    """What arrives late goes to the next waiter."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, max_size=1, workers=1)
    with soon(), pytest.raises(PoolTimeoutError):
        await pool.acquire(timeout=0.1)
    client = await waiting_task(pool, pool.acquire())
    gate.open()
    assert await client is steps.made[0]
    assert (steps.count, pool.size) == (1, 1)


async def test_one_hung_creation_does_not_stop_who_comes_later() -> None:
    """Nor the client that it was for."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, workers=2)
    client = await begun_task(steps, pool.acquire())
    with soon():
        things = await asyncio.gather(client, pool.acquire())
    assert {each.number for each in things} == {1, 2}
    gate.open()
    await until_so(lambda: pool.idle == 1)


@pytest.mark.parametrize("poll", ["try_acquire", "acquire"])
async def test_who_does_not_wait_starts_one_creation(poll: str) -> None:
    """It never waits for the factory."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, workers=3)

    async def miss() -> None:
        if poll == "try_acquire":
            assert await pool.try_acquire() is None
        else:
            with pytest.raises(PoolTimeoutError):
                await pool.acquire(timeout=0)

    with soon():
        await miss()
        await gate.reached()
        for _ in range(5):
            await miss()
    assert (steps.count, pool.size) == (1, 1)
    gate.open()
    await until_so(lambda: pool.idle == 1)
    assert await (pool.try_acquire() if poll == "try_acquire" else pool.acquire(0)) is steps.made[0]


async def test_clients_one_after_another_on_one_object_are_counted() -> None:
    pool = AsyncPool(AsyncSteps(rest=lambda: asyncio.sleep(0.01)), max_size=1, workers=1)

    async def use() -> None:
        async with pool.lease():
            await asyncio.sleep(0)

    await asyncio.gather(*[use() for _ in range(20)])
    stats = pool.stats()
    assert (stats.created, stats.checkouts, stats.reuse_rate, stats.size, stats.idle) == (1, 20, 0.95, 1, 1)


# --- cancellation ---


@fair_or_not
async def test_a_client_that_is_cancelled_leaves_its_creation_to_the_next(fair: bool) -> None:
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, max_size=1, workers=1, fair=fair)
    client = await begun_task(steps, pool.acquire())
    other = await waiting_task(pool, pool.acquire())
    assert await cancelled(client)
    gate.open()
    assert await other is steps.made[0]
    assert (steps.count, pool.stats().failures) == (1, 0)


async def test_what_a_client_that_is_cancelled_had_ordered_becomes_idle() -> None:
    """Neither it nor its slot is lost."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, max_size=1, workers=1)
    assert await cancelled(await begun_task(steps, pool.lease().__aenter__()))
    assert (pool.size, pool.waiting) == (1, 0)
    gate.open()
    await until_so(lambda: pool.idle == 1)
    assert await pool.acquire(0) is steps.made[0]


async def test_a_client_that_is_cancelled_while_an_object_is_closed_loses_neither() -> None:
    """The close goes on."""
    gate = AsyncGate()
    closed: list[Thing] = []

    async def close(thing: Thing) -> None:
        await gate()
        closed.append(thing)

    steps = AsyncSteps()
    pool = AsyncPool(steps, max_size=1, workers=1, close=close)
    await pool.discard(await pool.acquire())
    task = asyncio.create_task(pool.close(timeout=20))
    await gate.reached()
    assert await cancelled(task)
    gate.open()
    await until_so(lambda: closed == steps.made)
    await until_so(lambda: pool.size == 0)


async def test_the_failure_of_a_creation_that_nobody_waits_for_goes_to_nobody() -> None:
    """Asyncio does not hear of it either."""
    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    gate = AsyncGate()

    async def step() -> None:
        await gate()
        raise OSError("nobody's")

    steps = AsyncSteps(step)
    pool = AsyncPool(steps, max_size=1, workers=1, backoff=None)
    assert await cancelled(await begun_task(steps, pool.acquire()))
    gate.open()
    await until_so(lambda: pool.stats().failures == 1)
    assert (await pool.acquire()).number == 1
    gc.collect()
    await asyncio.sleep(0)
    assert heard == []


# --- failures of the factory ---


@pytest.mark.parametrize(
    "error",
    [ValueError("mine"), BreakError("mine"), SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_passes_to_the_client_whose_creation_it_was(error: BaseException) -> None:
    """The loop goes on."""
    pool = AsyncPool(AsyncSteps(error), max_size=1, workers=1, backoff=None)
    with pytest.raises(type(error)):
        await pool.acquire(timeout=20)
    assert (pool.size, pool.in_use, pool.waiting) == (0, 0, 0)
    assert (await pool.acquire(timeout=20)).number == 1


async def test_a_failure_does_not_reach_who_waits_without_a_creation() -> None:
    """After the pause it gets a creation of its own."""
    gate = AsyncGate()

    async def step() -> None:
        await gate()
        raise ValueError("not yours")

    steps = AsyncSteps(step)
    pool = AsyncPool(steps, max_size=1, workers=1, backoff=(0.02, 0.05))
    client = await begun_task(steps, pool.acquire())
    other = await waiting_task(pool, pool.acquire(timeout=20))
    gate.open()
    with pytest.raises(ValueError, match="not yours"):
        await client
    assert (await other).number == 1


async def test_a_factory_that_returns_none_is_an_error_of_the_client() -> None:
    pool: AsyncPool[Any] = AsyncPool(lambda: None, workers=1)
    with pytest.raises(FactoryError):
        await pool.acquire(timeout=20)
    assert pool.size == 0


async def test_a_factory_that_asks_its_own_pool_is_told_so() -> None:
    """It would wait for itself; the client gets the error."""

    async def again() -> Any:
        return await pool.acquire(timeout=5)

    pool: AsyncPool[Any] = AsyncPool(again, max_size=1, workers=1)
    with soon(), pytest.raises(ReentrantError):
        await pool.acquire(timeout=20)
    assert (pool.size, pool.waiting) == (0, 0)


async def test_who_may_wait_gets_an_object_after_failures() -> None:
    pool = AsyncPool(AsyncSteps(*[OSError("down")] * 3), workers=1, on_failure="wait", backoff=(0.01, 0.02))
    assert (await pool.acquire(timeout=20)).number == 3


async def test_at_the_time_out_the_last_failure_is_the_cause() -> None:
    error = OSError("down")
    pool = AsyncPool(AsyncSteps(rest=error), workers=1, on_failure="wait", backoff=(0.01, 0.02))
    with soon(), pytest.raises(PoolTimeoutError) as caught:
        await pool.acquire(timeout=0.2)
    assert caught.value.__cause__ is error
    await until_so(lambda: pool.size == 0)


# --- what to do while all objects are in use ---


async def test_fail_waits_for_the_creation_of_its_own() -> None:
    """Whoever finds no room is told at once."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, max_size=1, workers=2, overflow="fail")
    client = await begun_task(steps, pool.acquire())
    with soon(), pytest.raises(PoolExhaustedError):
        await pool.acquire(timeout=20)
    gate.open()
    assert await client is steps.made[0]


async def test_objects_beyond_the_maximum_are_created_by_the_client() -> None:
    steps = AsyncSteps()
    pool = AsyncPool(steps, max_size=1, workers=1, overflow="create")
    for _ in range(2):
        await pool.acquire()
    assert steps.tasks[0] is not asyncio.current_task()
    assert steps.tasks[1] is asyncio.current_task()


# --- filling a pool ---


async def test_a_pool_is_filled_side_by_side() -> None:
    """When that is over, the objects are idle."""
    steps = AsyncSteps(rest=lambda: asyncio.sleep(0.02))
    pool = AsyncPool(steps, workers=3)
    await pool.wait(6, timeout=20)
    assert pool.idle == 6
    assert steps.most == 3


async def test_filling_a_pool_goes_on_after_failures() -> None:
    pool = AsyncPool(AsyncSteps(*[OSError("down")] * 3), workers=2, backoff=(0.01, 0.02))
    await pool.wait(3, timeout=20)
    assert pool.idle == 3


async def test_filling_a_pool_ends_with_the_time_and_the_last_error() -> None:
    error = OSError("down")
    pool = AsyncPool(AsyncSteps(rest=error), workers=1, backoff=(0.01, 0.02))
    with soon(), pytest.raises(PoolTimeoutError) as caught:
        await pool.wait(1, timeout=0.2)
    assert caught.value.__cause__ is error
    await until_so(lambda: pool.size == 0)


async def test_filling_a_pool_keeps_to_its_time_while_the_factory_hangs() -> None:
    gate = AsyncGate()
    pool = AsyncPool(AsyncSteps(gate), workers=1)
    with soon(), pytest.raises(PoolTimeoutError):
        await pool.wait(1, timeout=0.1)
    gate.open()
    await until_so(lambda: pool.idle == 1)
