"""Pools with workers, for tasks: objects are created and closed in its tasks, and no client waits for that."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from bufpool import AsyncPool, Pool
from bufpool.errors import (
    ClosedError,
    FactoryError,
    PoolExhaustedError,
    PoolTimeoutError,
    ReentrantError,
    SettingError,
)
from tests.support.clients import BreakError, Client, Thing, until
from tests.support.factories import AsyncGate, AsyncSteps, Gates, Steps, soon, until_so

fair_or_not = pytest.mark.parametrize("fair", [True, False])


@pytest.fixture
def gates() -> Iterator[Gates]:
    """Gates that the end of the test opens, so that no thread stays behind."""
    mine = Gates()
    yield mine
    mine.open()


async def begun(steps: AsyncSteps | Steps, client: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A client that waits for an object, and whose creation runs."""
    before = steps.count
    task = asyncio.create_task(client)
    await until_so(lambda: steps.count == before + 1, "that its creation runs")
    await asyncio.sleep(0.01)
    return task


async def waiting(pool: AsyncPool[Any], client: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
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
    client = await begun(steps, pool.acquire())
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
    client = await waiting(pool, pool.acquire())
    gate.open()
    assert await client is steps.made[0]
    assert (steps.count, pool.size) == (1, 1)


async def test_one_hung_creation_does_not_stop_who_comes_later() -> None:
    """Nor the client that it was for."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, workers=2)
    client = await begun(steps, pool.acquire())
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
    client = await begun(steps, pool.acquire())
    other = await waiting(pool, pool.acquire())
    assert await cancelled(client)
    gate.open()
    assert await other is steps.made[0]
    assert (steps.count, pool.stats().failures) == (1, 0)


async def test_what_a_client_that_is_cancelled_had_ordered_becomes_idle() -> None:
    """Neither it nor its slot is lost."""
    gate = AsyncGate()
    steps = AsyncSteps(gate)
    pool = AsyncPool(steps, max_size=1, workers=1)
    assert await cancelled(await begun(steps, pool.lease().__aenter__()))
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
    assert await cancelled(await begun(steps, pool.acquire()))
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
    client = await begun(steps, pool.acquire())
    other = await waiting(pool, pool.acquire(timeout=20))
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
    client = await begun(steps, pool.acquire())
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


# --- closing objects ---


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
    client = await begun(steps, pool.acquire())
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


# --- the pool of threads, seen by tasks ---


async def test_for_tasks_a_pool_of_threads_creates_in_its_workers(gates: Gates) -> None:
    """As many as it may have, and none is the loop's own thread."""
    steps = Steps(rest=lambda: time.sleep(0.02))
    pool = Pool(steps, max_size=6, workers=2)
    things = await asyncio.gather(*[pool.as_async().acquire() for _ in range(6)])
    assert len(set(things)) == 6
    assert steps.most == 2
    assert threading.get_ident() not in steps.idents


async def test_the_loop_runs_on_while_the_factory_of_a_pool_of_threads_hangs(gates: Gates) -> None:
    """The time-out holds, the cancellation too, and what arrives late becomes idle."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, max_size=1, workers=1)
    tasks = pool.as_async()
    with soon(), pytest.raises(PoolTimeoutError):
        await tasks.acquire(timeout=0.1)
    client = await waiting(tasks, tasks.acquire())
    assert await cancelled(client)
    gate.open()
    await until_so(lambda: pool.idle == 1)
    assert await tasks.acquire(0) is steps.made[0]


async def test_threads_and_tasks_wait_for_what_comes_first(gates: Gates) -> None:
    """A task has the object that a thread returns, while its own is in creation, and the thread gets that one."""
    gate = gates()
    steps = Steps(None, gate)
    pool = Pool(steps, max_size=2, workers=1, fair=True)
    tasks = pool.as_async()
    held = pool.acquire()
    client = await begun(steps, tasks.acquire())
    thread = Client(pool.acquire)
    await until_so(lambda: thread.busy)
    await asyncio.sleep(0.05)
    pool.release(held)
    assert await client is held
    gate.open()
    assert await asyncio.to_thread(thread.result) is steps.made[1]


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1)], ids=repr)
async def test_a_task_gets_the_error_of_its_creation_in_a_thread(error: BaseException) -> None:
    pool = Pool(Steps(error), max_size=1, workers=1, backoff=None)
    with pytest.raises(type(error)) as caught:
        await pool.as_async().acquire(timeout=20)
    assert caught.value is error
    assert (await pool.as_async().acquire(timeout=20)).number == 1


async def test_who_does_not_wait_starts_a_creation_in_a_thread(gates: Gates) -> None:
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, workers=2)
    with soon():
        assert await pool.as_async().try_acquire() is None
        await until_so(gate.entered.is_set)
        with pytest.raises(PoolTimeoutError):
            await pool.as_async().acquire(timeout=0)
    assert steps.count == 1
    gate.open()
    await until_so(lambda: pool.idle == 1)


async def test_tasks_do_not_wait_for_the_close_in_a_thread(gates: Gates) -> None:
    """Nor is it called in the loop."""
    gate = gates()
    pool = Pool(Steps(), max_size=1, workers=1, close=gate)
    tasks = pool.as_async()
    with soon():
        await tasks.discard(await tasks.acquire())
        await until_so(gate.entered.is_set)
        assert (await tasks.acquire(timeout=20)).number == 1
        with pytest.raises(PoolTimeoutError):
            await tasks.close(timeout=0.1)


def test_what_a_task_ordered_from_a_thread_outlives_the_loop(gates: Gates) -> None:
    """It becomes idle, or goes to a thread."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, max_size=1, workers=1)

    async def main() -> None:
        with pytest.raises(PoolTimeoutError):
            await pool.as_async().acquire(timeout=0.05)

    with soon():
        asyncio.run(main())
    gate.open()
    until(lambda: pool.idle == 1)
    assert pool.acquire(0) is steps.made[0]


# --- all at once ---

STRESS: list[dict[str, Any]] = [
    {},
    {"fair": True, "workers": 1},
    {"on_failure": "wait", "min_size": 2},
    {"overflow": "create", "max_uses": 3},
    {"check": lambda thing: thing.number % 5},
]


@pytest.mark.parametrize("kind", ["AsyncPool", "as_async"])
@pytest.mark.parametrize("settings", STRESS, ids=lambda settings: "-".join(settings) or "plain")
async def test_nothing_is_lost_under_stress(settings: dict[str, Any], kind: str) -> None:
    """Short time-outs, cancellations, failures, discards: all is idle at the end, or closed once."""
    chance = random.Random(7)
    held: set[Thing] = set()
    in_threads = kind == "as_async"

    async def step() -> None:
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.003]))
        if chance.random() < 0.2:
            raise OSError("now and then")

    def step_in_thread() -> None:
        time.sleep(chance.choice([0, 0, 0.001, 0.003]))
        if chance.random() < 0.2:
            raise OSError("now and then")

    steps: Any = Steps(rest=step_in_thread) if in_threads else AsyncSteps(rest=step)
    settings = {"max_size": 4, "workers": 2, "backoff": (0.001, 0.005)} | settings
    made: Any = Pool(steps, close=steps.close, **settings) if in_threads else None
    pool: AsyncPool[Any] = made.as_async() if in_threads else AsyncPool(steps, close=steps.close, **settings)
    end = time.monotonic() + 0.4

    async def use(own: random.Random) -> None:
        try:
            thing = await pool.acquire(own.choice([0, 0.001, 0.003, 0.01]))
        except (PoolTimeoutError, OSError):
            return
        assert thing not in held, "in two hands"
        held.add(thing)
        try:
            await asyncio.sleep(own.choice([0, 0, 0.001]))
        finally:
            held.remove(thing)
            await (pool.discard if own.random() < 0.2 else pool.release)(thing)

    async def work(seed: int) -> None:
        own = random.Random(seed)
        while time.monotonic() < end:
            task = asyncio.create_task(use(own))
            if own.random() < 0.3:
                await asyncio.sleep(own.choice([0, 0, 0.001, 0.002]))
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            await asyncio.sleep(0)

    await asyncio.gather(*[work(seed) for seed in range(6)])
    await until_so(lambda: (pool.in_use, pool.waiting) == (0, 0) and pool.size == pool.idle, "that all is idle")
    await until_so(lambda: len(steps.alive) == pool.idle, "that each is idle or closed")
    await pool.close(timeout=20)
    assert (pool.size, steps.alive, steps.running) == (0, [], 0)
    if settings.get("overflow") != "create":  # what its own client makes is lost with the client
        assert pool.stats().created == len(steps.made)
        assert steps.most <= settings["workers"]
