"""Pools for tasks: every name, plain callbacks and those to await, who waits and who is served."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

import bufpool
from bufpool import AsyncPool
from bufpool.errors import (
    ClosedError,
    DoubleReleaseError,
    FactoryError,
    ForeignReleaseError,
    PoolExhaustedError,
    PoolTimeoutError,
    ReentrantError,
    ReleasedError,
    TooManyWaitersError,
)
from tests.support.clients import Thing, turns, whole
from tests.support.programs import beside_places


async def test_every_name() -> None:
    async with AsyncPool(Thing, min_size=1, max_size=3, name="all") as pool:
        assert (pool.name, pool.size, pool.idle, pool.min_size, pool.max_size) == ("all", 1, 1, 1, 3)
        assert (pool.timeout, pool.fair, pool.lifo, pool.closed, pool.waiting) == (
            30.0,
            False,
            True,
            False,
            0,
        )
        async with pool.lease() as one:
            assert pool.in_use == 1
            other = await pool.acquire()
            third = await pool.try_acquire()
            assert len({one, other, third}) == 3
            assert await pool.try_acquire() is None
            assert len(pool.leases()) == 3
        assert third is not None
        await pool.release(other)
        await pool.discard(third)
        assert (pool.size, pool.idle) == (2, 2)
        await pool.resize(max_size=1)
        assert (pool.size, pool.max_size) == (1, 1)
        await pool.drain()
        assert pool.size == 0
        await pool.wait(1)
        await pool.maintain()
        assert pool.idle == 1
        stats = pool.stats()
        assert (stats.checkouts, stats.created) == (3, 4)
        assert {why: count for why, count in stats.discards.items() if count} == {
            "discarded": 1,
            "resized": 1,
            "drained": 1,
        }
        assert "1 idle" in repr(pool)
    assert pool.closed
    with pytest.raises(ClosedError, match="'all' is closed"):
        await pool.acquire()
    assert whole(pool)


def plain(record: Callable[..., Any]) -> Callable[..., Any]:
    return record


def awaited(record: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def callback(*args: Any) -> Any:
        await asyncio.sleep(0)
        return record(*args)

    return callback


@pytest.mark.parametrize("kind", [plain, awaited])
def test_callbacks_may_be_plain_or_coroutines(kind: Callable[..., Any]) -> None:
    async def main() -> list[str]:
        did: list[str] = []
        pool = AsyncPool(
            kind(lambda: did.append("factory") or Thing()),
            check=kind(lambda _: did.append("check")),
            reset=kind(lambda _: did.append("reset")),
            close=kind(lambda _: did.append("close")),
        )
        for _ in range(2):
            async with pool.lease():
                pass
        await pool.close()
        assert whole(pool)
        return did

    assert asyncio.run(main()) == ["factory", "reset", "check", "reset", "close"]


@pytest.mark.parametrize("kind", [plain, awaited])
def test_what_callbacks_raise(kind: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """The factory's goes to the client; a check's, a reset's and a close's into the log, and the object goes."""

    def fails(*_: object) -> None:
        raise OSError("broken")

    async def main() -> None:
        pool = AsyncPool(kind(fails), max_size=1)
        with pytest.raises(OSError, match="broken"):
            await pool.acquire()
        assert whole(pool)
        for what in ("check", "reset"):
            pool = AsyncPool(Thing, max_size=1, close=kind(fails), **{what: kind(fails)})
            first = await pool.acquire()
            await pool.release(first)
            assert await pool.acquire() is not first
            reason = {"check": "broken", "reset": "failed_reset"}[what]
            assert pool.stats().discards[reason] == 1

    asyncio.run(main())
    assert len([each for each in caplog.records if each.name == "bufpool"]) >= 2


@pytest.mark.parametrize("kind", [plain, awaited])
async def test_an_object_that_the_check_refuses_is_replaced(kind: Callable[..., Any]) -> None:
    pool = AsyncPool(Thing, max_size=1, check=kind(lambda thing: thing is not first))
    first = await pool.acquire()
    await pool.release(first)
    assert await pool.acquire() is not first
    assert (pool.size, pool.stats().discards["broken"]) == (1, 1)


async def test_a_call_that_is_not_awaited_takes_nothing() -> None:
    pool = AsyncPool(Thing)
    await pool.wait(1)
    for call in (pool.acquire, pool.try_acquire):
        left = call()
        left.close()
    lease = pool.lease()
    entering = lease.__aenter__()
    entering.close()
    assert (pool.idle, pool.stats().checkouts) == (1, 0)


async def test_errors_of_the_user() -> None:
    pool, other = AsyncPool(Thing), AsyncPool(Thing)
    thing = await pool.acquire()
    with pytest.raises(ForeignReleaseError):
        await other.release(thing)
    await pool.release(thing)
    for again in (pool.release, pool.discard):
        with pytest.raises(DoubleReleaseError):
            await again(thing)
    lease = pool.lease()
    for end in (lease.release, lease.discard):
        with pytest.raises(ReleasedError):
            await end()
    async with lease as leased:
        with pytest.raises(DoubleReleaseError, match="a lease has this object"):
            await pool.release(leased)
        await lease.release()
        assert lease.released
    with pytest.raises(ReleasedError, match="one 'with' block"):
        await lease.__aenter__()
    assert whole(pool)


async def test_a_lease_is_entered_by_one_task_alone() -> None:
    pool = AsyncPool(Thing, max_size=1)
    held = await pool.acquire()
    lease = pool.lease()
    first = asyncio.create_task(lease.__aenter__())
    await turns()
    with pytest.raises(ReleasedError, match="one 'with' block"):
        await lease.__aenter__()
    await pool.release(held)
    assert await first is held
    await lease.release()
    assert whole(pool)


async def test_factories_that_return_nothing_or_the_same_again() -> None:
    one = Thing()
    for made, said in ((lambda: None, "returned None"), (lambda: one, "has already")):
        pool: AsyncPool[Any] = AsyncPool(awaited(made))
        with pytest.raises(FactoryError, match=said):  # noqa: PT012 - the second at the latest
            for _ in range(2):
                await pool.acquire()
        assert pool.size == pool.in_use == len(pool.leases())


async def test_a_factory_that_asks_its_own_pool() -> None:
    """After an await too; a task that it starts may ask, since it does not wait for itself."""

    async def factory() -> object:
        await asyncio.sleep(0)
        return await pool.acquire()

    pool: AsyncPool[object] = AsyncPool(factory, max_size=1)
    with pytest.raises(ReentrantError):
        await pool.acquire()
    assert whole(pool)


# --- waiting ---


@pytest.mark.parametrize("fair", [True, False])
def test_first_come_first_served(fair: bool) -> None:

    async def main() -> list[int]:
        pool = AsyncPool(Thing, max_size=1, fair=fair)
        held = await pool.acquire()
        served: list[int] = []

        async def client(number: int) -> None:
            async with pool.lease():
                served.append(number)

        tasks = [asyncio.create_task(client(number)) for number in range(100)]
        await turns()
        assert pool.waiting == 100
        await asyncio.sleep(0.002)  # from then on it is so without `fair` too
        await pool.release(held)
        await asyncio.gather(*tasks)
        assert whole(pool)
        return served

    assert asyncio.run(main()) == list(range(100))


async def test_nobody_passes_who_waits_in_a_fair_pool() -> None:
    pool = AsyncPool(Thing, max_size=1, fair=True)
    held = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await turns()
    await pool.release(held)
    assert await pool.try_acquire() is None
    assert await waiter is held


async def test_a_newcomer_amid_wakeups_lets_the_loop_go_on() -> None:
    """Two places come free at once, the first is on its way, and the one that came asks in vain: once."""
    pool = AsyncPool(Thing, max_size=2, fair=True)
    held = [await pool.acquire(), await pool.acquire()]
    first = asyncio.create_task(pool.acquire())
    await turns()
    for each in held:
        await pool.discard(each)
    mine = await asyncio.wait_for(pool.acquire(), 10)
    assert await first is not mine


async def test_bounds_of_waiting() -> None:
    """Not at all, too many, and beyond the size."""
    pool = AsyncPool(Thing, max_size=1, max_waiting=1)
    await pool.acquire()
    with pytest.raises(PoolTimeoutError, match="no object within 0 s: 1 of 1 object in use"):
        await pool.acquire(timeout=0)
    waiter = asyncio.create_task(pool.acquire(timeout=None))
    await turns()
    with pytest.raises(TooManyWaitersError):
        await pool.acquire()
    waiter.cancel()
    await asyncio.wait([waiter])
    with pytest.raises(TimeoutError):
        await pool.acquire(timeout=0.001)
    refusing = AsyncPool(Thing, max_size=1, overflow="fail")
    await refusing.acquire()
    with pytest.raises(PoolExhaustedError):
        await refusing.acquire()
    creating = AsyncPool(Thing, max_size=1, overflow="create")
    things = [await creating.acquire() for _ in range(3)]
    assert (creating.size, creating.in_use) == (1, 3)
    for thing in things:
        await creating.release(thing)
    assert whole(creating)
    assert creating.stats().discards["overflow"] == 2


async def test_close_is_told_to_every_waiter_at_once() -> None:
    """Close may wait for what is out."""
    pool = AsyncPool(Thing, max_size=1)
    held = await pool.acquire()
    waiters = [asyncio.create_task(pool.acquire()) for _ in range(50)]
    await turns()
    with pytest.raises(PoolTimeoutError, match="not all objects came back"):
        await pool.close(timeout=0.001)
    done, _ = await asyncio.wait(waiters, timeout=0)
    assert Counter(type(each.exception()) for each in done) == {ClosedError: 50}
    closing = asyncio.create_task(pool.close(timeout=None))
    await turns()
    assert not closing.done()
    await pool.release(held)
    await closing
    assert whole(pool)


async def test_ten_thousand_waiters() -> None:
    """Each is served, in order."""
    many = 10_000
    pool = AsyncPool(Thing, max_size=2, timeout=None, fair=True)
    order: list[int] = []

    async def client(number: int) -> None:
        async with pool.lease():
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*map(client, range(many)))
    assert order == list(range(many))
    assert pool.stats().waits == many - 2
    assert whole(pool)


async def test_waiting_for_objects_retries_a_failed_creation() -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def factory() -> Thing:
        if not started.is_set():
            started.set()
            await gate.wait()
        return Thing()

    pool = AsyncPool(factory, max_size=1)
    maker = asyncio.create_task(pool.acquire())
    await started.wait()
    waiting = asyncio.create_task(pool.wait(1))
    await turns()
    maker.cancel()
    await asyncio.wait_for(waiting, 10)
    assert pool.idle == 1


async def test_the_loop_goes_on_in_the_pause_of_a_factory() -> None:
    failing = True

    def factory() -> Thing:
        if failing:
            raise OSError("down")
        return Thing()

    pool = AsyncPool(factory, max_size=1, backoff=(0.05, 0.05))
    with pytest.raises(OSError, match="down"):
        await pool.acquire()
    waiters = [asyncio.create_task(pool.acquire()) for _ in range(2)]
    await turns()
    assert pool.waiting == 2
    failing = False
    done, _ = await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    (first,) = done
    await pool.release(first.result())
    await asyncio.gather(*waiters)


# --- whose it is ---


async def test_callbacks_see_the_context_of_their_client() -> None:
    who: ContextVar[str] = ContextVar("who")

    async def factory() -> list[str]:
        await asyncio.sleep(0)
        return [who.get()]

    pool = AsyncPool(factory)

    async def client(name: str) -> None:
        who.set(name)
        async with pool.lease() as thing:
            assert thing == [name]
            assert who.get() == name
            await turns()

    await asyncio.gather(client("one"), client("other"))


async def test_a_trace_names_the_task_and_the_place() -> None:
    pool = AsyncPool(Thing, debug=True)

    async def takes() -> Thing:
        return await pool.acquire()

    thing = await asyncio.create_task(takes(), name="the taker")
    (holder,) = pool.leases()
    assert (holder.object, holder.task, holder.thread) == (thing, "the taker", "MainThread")
    assert holder.stack is not None
    assert "in takes" in holder.stack
    assert "bufpool" not in beside_places(holder.stack)


def test_a_pool_is_made_outside_a_loop_and_used_in_one() -> None:
    pool = bufpool.AsyncPool(Thing)

    async def main() -> None:
        async with pool.lease():
            pass

    asyncio.run(main())
    asyncio.run(main())
    assert whole(pool)


async def test_who_waited_in_vain_is_told_which_task_has_the_object() -> None:
    pool = AsyncPool(Thing, max_size=1, debug=True, name="one")
    held = asyncio.Event()

    async def hold() -> None:
        async with pool.lease():
            held.set()
            await asyncio.sleep(30)

    task = asyncio.create_task(hold(), name="x\ny")
    await held.wait()
    with pytest.raises(PoolTimeoutError, match=r"held longest: 'MainThread', task 'x\\ny', for \d.*\n1\. 'MainThread'"):
        await pool.acquire(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert pool.stats().waits == 1
