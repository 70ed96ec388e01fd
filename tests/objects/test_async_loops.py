"""Loops that end, several with one pool, threads that release, dropped leases, maintenance by the loop's timer."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

from bufpool import AsyncPool, ClosedError
from tests.support.clients import Thing, maintenance_timers, turns, whole


def left_behind(loop: asyncio.AbstractEventLoop, pool: AsyncPool[Any], count: int) -> list[asyncio.Task[Any]]:
    """Tasks that wait in a loop that does not run any more."""

    async def begin() -> list[asyncio.Task[Any]]:
        tasks = [asyncio.ensure_future(pool.acquire(timeout=None)) for _ in range(count)]
        await turns()
        return tasks

    return loop.run_until_complete(begin())


def forget(tasks: list[asyncio.Task[Any]]) -> None:
    """Let tasks go of which their loop has said goodbye; asyncio logs that they were pending."""
    while tasks:
        tasks.pop()._log_destroy_pending = False  # type: ignore[attr-defined]
    gc.collect()


# --- loops that end ---


@pytest.mark.parametrize("count", [1, 30_000])
def test_a_loop_that_is_closed_while_its_tasks_wait(count: int) -> None:
    """The others are served, however many there were; what it was given is not lost."""
    pool = AsyncPool(Thing, max_size=1, fair=True)
    over = asyncio.new_event_loop()
    held = over.run_until_complete(pool.acquire())
    tasks = left_behind(over, pool, count)
    over.close()
    assert pool.waiting == count

    async def main() -> None:
        mine = asyncio.create_task(pool.acquire(timeout=20))
        await turns()
        await pool.release(held)
        assert await mine is held
        await pool.release(held)

    asyncio.run(main())
    assert whole(pool)
    forget(tasks)
    assert (pool.idle, pool.size) == (1, 1)


def test_a_loop_closed_after_its_task_got_an_object() -> None:
    """Until the task is gone, nobody knows that it will not come; then the next one has the object."""
    pool = AsyncPool(Thing, max_size=1, fair=True)
    over = asyncio.new_event_loop()
    held = over.run_until_complete(pool.acquire())
    tasks = left_behind(over, pool, 1)
    asyncio.run(pool.release(held))
    assert (pool.idle, pool.in_use, pool.waiting) == (0, 1, 0)
    over.close()
    forget(tasks)
    assert (pool.idle, pool.in_use) == (1, 0)


def test_a_loop_closed_while_its_task_is_in_a_callback() -> None:
    """The task is destroyed; its place is free, no failure is counted."""
    for what in ("factory", "check", "reset"):

        async def never(*_: object) -> None:
            await asyncio.get_running_loop().create_future()

        async def begin(pool: AsyncPool[Any]) -> asyncio.Task[Any]:
            async def takes() -> None:
                async with pool.lease():
                    pass

            task = asyncio.ensure_future(takes())
            await turns()
            return task

        over = asyncio.new_event_loop()
        pool: AsyncPool[Any] = AsyncPool(never) if what == "factory" else AsyncPool(Thing, **{what: never})
        if what == "check":
            over.run_until_complete(pool.wait(1))
        tasks = [over.run_until_complete(begin(pool))]
        assert pool.in_use == 1
        over.close()
        forget(tasks)
        assert (pool.size, pool.in_use, pool.stats().failures) == (0, 0, 0)


def test_run_ends_its_tasks_and_the_pool_goes_on() -> None:
    """As `asyncio.run` does it, by cancelling."""
    pool = AsyncPool(Thing, max_size=1)

    async def main() -> None:
        async def holds() -> None:
            async with pool.lease():
                await asyncio.get_running_loop().create_future()

        tasks = [asyncio.ensure_future(holds()) for _ in range(3)]
        await turns()
        assert (pool.in_use, pool.waiting, len(tasks)) == (1, 2, 3)

    for _ in range(2):
        asyncio.run(main())
        assert whole(pool)


# --- several at once ---


def test_two_loops_one_pool() -> None:
    """First come, first served across them, and no object in two hands."""
    pool = AsyncPool(Thing, max_size=2, timeout=30)
    hands: dict[Thing, int] = {}
    wrong: list[str] = []

    async def client() -> None:
        for _ in range(50):
            async with pool.lease() as thing:
                if hands.setdefault(thing, threading.get_ident()) != threading.get_ident():
                    wrong.append("two hands")
                await asyncio.sleep(0)
                del hands[thing]

    async def main() -> None:
        await asyncio.gather(*[client() for _ in range(10)])

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert whole(pool)
    assert pool.stats().checkouts == 1000


async def test_a_release_from_a_thread_wakes_the_task() -> None:
    """Of another loop, while this one sleeps."""
    pool = AsyncPool(Thing, max_size=1)
    held = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire(timeout=None))
    await turns()
    thread = threading.Thread(target=asyncio.run, args=(pool.release(held),))
    thread.start()
    assert await asyncio.wait_for(waiter, 20) is held
    thread.join()


async def test_a_close_from_a_thread_is_told_to_the_task() -> None:
    pool = AsyncPool(Thing, max_size=1)
    await pool.acquire()
    waiter = asyncio.create_task(pool.acquire(timeout=None))
    await turns()
    thread = threading.Thread(target=asyncio.run, args=(pool.close(),))
    thread.start()
    with pytest.raises(ClosedError):
        await asyncio.wait_for(waiter, 20)
    thread.join()


# --- leases that are dropped ---


@pytest.mark.parametrize("slow", [False, True])
async def test_a_dropped_lease_comes_back_within_the_loop(slow: bool) -> None:
    did: list[Thing] = []

    async def reset(thing: Thing) -> None:
        await asyncio.sleep(0)
        did.append(thing)

    pool = AsyncPool(Thing, reset=reset if slow else None)
    for _ in range(40):  # none of those that ended well takes the finaliser of the next with it
        async with pool.lease():
            pass
    did.clear()
    lease = pool.lease()
    await lease.__aenter__()
    with pytest.warns(ResourceWarning, match="dropped without its end"):  # noqa: PT031 - it is dropped there
        del lease
        gc.collect()
    await turns()
    assert (pool.idle, pool.size, len(did)) == (1, 1, slow)


async def test_a_lease_dropped_by_a_shrunk_pool_is_resized() -> None:
    pool = AsyncPool(Thing, max_size=2)
    kept = await pool.acquire()
    lease = pool.lease()
    await lease.__aenter__()
    await pool.resize(max_size=1)
    with pytest.warns(ResourceWarning, match="dropped without its end"):
        del lease
    await turns()
    discards = pool.stats().discards
    assert (discards["resized"], discards["overflow"], pool.size) == (1, 0, 1)
    await pool.release(kept)


@pytest.mark.parametrize(
    "when", ["after the loop is closed", "before the loop is closed", "as the loop ends"]
)
@pytest.mark.parametrize("reset", [None, lambda _: None])
def test_a_dropped_lease_comes_back_without_the_loop(when: str, reset: Any) -> None:
    """With a reset that nobody can call any more the object goes, and its place is free."""
    pool = AsyncPool(Thing, max_size=1, reset=reset)
    leases: list[Any] = []

    async def main() -> None:
        leases.append(pool.lease())
        await leases[0].__aenter__()
        if when == "as the loop ends":
            leases.clear()

    loop = asyncio.new_event_loop()
    with pytest.warns(ResourceWarning, match="dropped without its end"):  # noqa: PT031 - it is dropped there
        loop.run_until_complete(main())
        if when == "after the loop is closed":
            loop.close()
        leases.clear()
        gc.collect()
    if not loop.is_closed():
        loop.close()
    gc.collect()
    assert whole(pool)
    thing = asyncio.run(pool.acquire(timeout=0))
    assert isinstance(thing, Thing)


# --- maintenance ---


def test_maintenance_is_the_timers() -> None:
    """What is idle too long goes, in a task of the loop, and no thread is started for it."""

    async def main() -> None:
        closed = asyncio.Event()

        async def close(_: Thing) -> None:
            await asyncio.sleep(0)
            closed.set()

        pool = AsyncPool(Thing, max_idle=0.01, close=close)
        await pool.wait(1)
        await asyncio.wait_for(closed.wait(), 20)
        await turns()
        assert (pool.size, pool.stats().discards["max_idle"]) == (0, 1)

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() == before


async def test_maintenance_is_on_behalf_of_nobody() -> None:
    """It neither sees nor keeps what the first client had in its context."""
    who: ContextVar[Any] = ContextVar("who", default=None)
    seen: list[Any] = []
    checked = asyncio.Event()

    async def check(_: Thing) -> None:
        seen.append(who.get())
        checked.set()

    pool = AsyncPool(Thing, check=check, check_on="idle", check_interval=0.0)
    secret = Thing()
    known = weakref.ref(secret)

    async def client(secret: Thing) -> None:
        who.set(secret)
        async with pool.lease():
            pass

    await asyncio.create_task(client(secret))
    del secret
    await asyncio.wait_for(checked.wait(), 20)
    await turns()
    gc.collect()
    assert seen[0] is None
    assert known() is None


def test_maintenance_does_not_multiply_with_the_loops() -> None:
    """Each loop that makes objects has one timer, however often they take turns."""
    pool = AsyncPool(Thing, max_idle=3600.0, max_size=100)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    for _ in range(10):
        for loop in loops:
            loop.run_until_complete(pool.acquire())
    assert [maintenance_timers(loop) for loop in loops] == [1, 1]
    for loop in loops:
        loop.close()


def test_a_pool_that_is_dropped_is_not_kept_by_its_timer() -> None:
    async def main() -> None:
        pool = AsyncPool(Thing, max_idle=0.01)
        await pool.wait(1)
        thing = weakref.ref(await pool.acquire())
        del pool
        gc.collect()
        assert thing() is None
        await asyncio.sleep(0.03)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())


async def test_a_leak_is_told_with_the_name_of_the_task() -> None:
    pool = AsyncPool(Thing, leak_threshold=0.01, debug=True, name="leaky")

    async def takes() -> Thing:
        return await pool.acquire()

    thing = await asyncio.create_task(takes(), name="leaker")
    time.sleep(0.03)  # the coarse clock moves on
    with pytest.warns(ResourceWarning, match="'leaky'.* has been out for .*task leaker.*\n(.*\n)*.*in takes"):
        await pool.maintain()
    await pool.release(thing)
