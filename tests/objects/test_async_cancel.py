"""One cancellation at a time, and what it leaves; `tests.verify.cancellation` tries every moment."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import AsyncPool, PoolTimeoutError
from tests.support.clients import Thing, turns, whole


class Gate:
    """A callback that says that it was entered, and waits until it may go on."""

    def __init__(self, what: Callable[..., Any] = lambda *_: None) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.what = what

    async def __call__(self, *args: Any) -> Any:
        self.entered.set()
        await self.open.wait()
        return self.what(*args)


async def cancelled(task: asyncio.Task[Any], **more: Any) -> bool:
    """Cancel it, and say whether it ended so."""
    task.cancel(**more)
    await asyncio.wait([task])
    return task.cancelled()


async def takes(pool: AsyncPool[Any]) -> None:
    async with pool.lease():
        pass


async def test_before_it_begins() -> None:
    pool = AsyncPool(Thing)
    for call in (pool.acquire, pool.try_acquire, pool.wait):
        assert await cancelled(asyncio.create_task(call()))
    assert (pool.size, pool.stats().checkouts) == (0, 0)


async def test_while_it_waits() -> None:
    """The next in the queue is served."""
    pool = AsyncPool(Thing, max_size=1, fair=True)
    held = await pool.acquire()
    first, second = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await turns()
    assert await cancelled(first)
    assert pool.waiting == 1
    assert pool.stats().waits == 1
    await pool.release(held)
    assert await second is held
    assert pool.stats().waits == 2


@pytest.mark.parametrize("reset", [None, lambda _: None])
@pytest.mark.parametrize("fair", [True, False])
async def test_at_the_hand_over(fair: bool, reset: Any) -> None:
    """What it was given goes to the next one, as good as it was; with nobody there it is idle."""
    pool = AsyncPool(Thing, max_size=1, fair=fair, reset=reset)
    held = await pool.acquire()
    first, second = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await turns()
    await pool.release(held)
    assert await cancelled(first)
    assert await second is held
    third = asyncio.create_task(pool.acquire())
    await turns()
    await pool.release(held)
    assert await cancelled(third)
    assert (pool.idle, pool.size) == (1, 1)


async def test_at_the_hand_over_of_a_pool_that_is_closed_then() -> None:
    """The object is closed, with its callback, and counted."""
    closed: list[Thing] = []
    pool = AsyncPool(Thing, max_size=1, fair=True, close=closed.append)
    held = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await turns()
    await pool.release(held)
    await pool.close()
    assert await cancelled(waiter)
    assert closed == [held]
    assert pool.stats().discards["closed"] == 1
    assert whole(pool)


async def test_during_the_factory() -> None:
    """Its place goes to the next, and no failure is counted."""
    gate = Gate(Thing)
    pool = AsyncPool(gate, max_size=1)
    maker = asyncio.create_task(takes(pool))
    await gate.entered.wait()
    waiter = asyncio.create_task(pool.acquire())
    await turns()
    assert (pool.size, pool.waiting) == (1, 1)
    assert await cancelled(maker)
    gate.open.set()
    await pool.release(await waiter)
    assert pool.stats().failures == 0
    assert whole(pool)


@pytest.mark.parametrize("what", ["check", "reset"])
async def test_during_a_check_or_a_reset(what: str) -> None:
    """Nobody knows what state the object is in, so it is closed."""
    closed: list[Thing] = []
    gate = Gate()
    pool = AsyncPool(Thing, max_size=1, close=closed.append, **{what: gate})
    await pool.wait(1)
    client = asyncio.create_task(takes(pool))
    await gate.entered.wait()
    waiter = asyncio.create_task(pool.acquire())
    await turns()
    assert await cancelled(client)
    assert len(closed) == 1
    gate.open.set()
    assert await waiter not in closed
    assert pool.stats().discards["broken"] == 1
    assert pool.size == 1


async def test_during_the_end_of_an_object() -> None:
    """Of one that is broken, of all when the pool is drained or closed: the others are still there."""
    for end in (AsyncPool.drain, AsyncPool.close):
        closed: list[Thing] = []
        gate = Gate(closed.append)
        pool = AsyncPool(Thing, max_size=4, close=gate)
        await pool.wait(4)
        task = asyncio.create_task(end(pool))
        await gate.entered.wait()
        assert await cancelled(task)
        assert (pool.size, pool.idle) == (3, 3)
        gate.open.set()
        if end is AsyncPool.drain:
            fresh = await pool.acquire()
            assert fresh not in closed
            await pool.release(fresh)
            assert pool.stats().discards["drained"] == 4
        await pool.close()
        assert whole(pool)
        assert pool.size == 0


async def test_during_a_round_of_maintenance() -> None:
    """The one that was being checked goes, the others stay idle, with a reset too."""
    gate = Gate()
    pool = AsyncPool(
        Thing, check=gate, check_on="idle", check_interval=3600.0, reset=lambda _: None, max_size=4
    )
    await pool.wait(4)
    await asyncio.sleep(0.02)  # the coarse clock moves on
    pool._core.engine.settings = pool._core.engine.settings._replace(check_interval=0.0)
    task = asyncio.create_task(pool.maintain())
    await gate.entered.wait()
    assert await cancelled(task)
    assert (pool.size, pool.idle) == (3, 3)


async def test_twice_while_it_gives_back() -> None:
    """The second cuts the end of the object short; its place is free all the same."""
    reset, close = Gate(), Gate()
    pool = AsyncPool(Thing, max_size=1, reset=reset, close=close)
    task = asyncio.create_task(takes(pool))
    await reset.entered.wait()
    task.cancel()
    await close.entered.wait()
    assert not task.done()
    assert await cancelled(task)
    assert (pool.size, pool.in_use) == (0, 0)


async def test_cancellation_discards_only_if_configured() -> None:
    for spoilt in ((), asyncio.CancelledError):
        pool = AsyncPool(Thing, discard_on=spoilt)

        async def client(pool: AsyncPool[Thing] = pool) -> None:
            async with pool.lease():
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(client())
        await turns()
        assert await cancelled(task)
        assert pool.size == (0 if spoilt else 1)
        assert whole(pool)


async def test_a_callback_that_cancels_itself() -> None:
    """A CancelledError that nobody asked for passes on, after the accounting."""

    async def fails(_: Thing) -> None:
        raise asyncio.CancelledError("mine")

    for what in ("check", "reset", "close"):
        pool = AsyncPool(Thing, max_size=1, **{what: fails})
        thing = await pool.acquire()
        with pytest.raises(asyncio.CancelledError, match="mine"):  # noqa: PT012 - when its callback is called
            await (pool.discard if what == "close" else pool.release)(thing)
            await pool.acquire()
        assert (pool.size, pool.in_use) == (0, 0)


# --- time-outs ---


async def test_nested_time_outs() -> None:
    """Whichever is shorter; the other one's is not mistaken for it."""
    pool = AsyncPool(Thing, max_size=1)
    held = await pool.acquire()
    with pytest.raises(TimeoutError) as outer:
        async with asyncio.timeout(0.005):
            await pool.acquire(timeout=30)
    assert not isinstance(outer.value, PoolTimeoutError)
    with pytest.raises(PoolTimeoutError):
        async with asyncio.timeout(30):
            await pool.acquire(timeout=0.005)
    with pytest.raises(TimeoutError):  # noqa: PT012 - nested
        async with asyncio.timeout(0.005):
            async with asyncio.timeout(30), pool.lease(timeout=20):
                pass
    assert pool.waiting == 0
    await pool.release(held)
    assert whole(pool)


async def test_wait_for() -> None:
    pool = AsyncPool(Thing, max_size=1)
    held = await asyncio.wait_for(pool.acquire(), 10)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pool.acquire(), 0.002)
    assert pool.waiting == 0
    waiter = asyncio.create_task(asyncio.wait_for(pool.acquire(), 10))
    await turns()
    await pool.release(held)
    assert await waiter is held


# --- groups ---


async def test_a_group_that_aborts() -> None:
    """Its tasks wait, hold, make and reset; all of it comes back."""
    gate = Gate(Thing)
    pool = AsyncPool(Thing, max_size=2, reset=lambda _: None, fair=True)
    slow = AsyncPool(gate)

    async def holds() -> None:
        async with pool.lease():
            await asyncio.get_running_loop().create_future()

    async def fails() -> None:
        await gate.entered.wait()
        await turns()
        assert (pool.waiting, pool.in_use, slow.in_use) == (3, 2, 1)
        raise OSError("abort")

    with pytest.raises(ExceptionGroup) as group:  # noqa: PT012 - what a group is
        async with asyncio.TaskGroup() as tasks:
            for _ in range(5):
                tasks.create_task(holds())
            tasks.create_task(takes(slow))
            tasks.create_task(fails())
    assert [str(each) for each in group.value.exceptions] == ["abort"]
    assert whole(pool)
    assert whole(slow)
    assert (pool.idle, slow.size) == (2, 0)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has no eager tasks before 3.12")
async def test_eager_tasks() -> None:
    """They run as far as they can where they are made, and may be done at once."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    pool = AsyncPool(Thing, max_size=1, fair=True)
    first = asyncio.create_task(pool.acquire())
    assert first.done()
    second, third = asyncio.create_task(pool.acquire()), asyncio.create_task(takes(pool))
    assert pool.waiting == 2
    await pool.release(first.result())
    assert await cancelled(second)
    await third
    assert whole(pool)
