"""One pool for threads and tasks: the same objects, one bound; callbacks block, so for tasks they run in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from bufpool import ClosedError, Pool
from bufpool.errors import FactoryError, PoolTimeoutError, ReentrantError
from tests.support.clients import Thing, maintenance_timers, turns, whole


class Gate:
    """A callback that says that a thread is in it, and waits until it may go on."""

    def __init__(self, what: Callable[..., Any] = lambda *_: None) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.what = what

    def __call__(self, *args: Any) -> Any:
        self.entered.set()
        assert self.open.wait(20)
        return self.what(*args)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 20)


async def takes(pool: Pool[Any]) -> None:
    async with pool.as_async().lease():
        pass


def test_they_are_the_same_objects() -> None:
    pool = Pool(Thing, max_size=2, name="shared")

    async def main() -> None:
        tasks = pool.as_async()
        assert (tasks.name, tasks.max_size) == ("shared", 2)
        thing = await tasks.acquire()
        pool.release(thing)
        assert pool.acquire() is thing
        await tasks.release(thing)
        async with tasks.lease() as leased, pool.as_async().lease() as other:
            assert leased is thing
            assert pool.in_use == 2
            with pytest.raises(PoolTimeoutError):
                pool.acquire(timeout=0)
            await tasks.discard(other)
        await tasks.resize(max_size=1)
        await tasks.drain()
        await tasks.wait(1)
        await tasks.maintain()
        assert tasks.stats().created == pool.stats().created == 3
        await tasks.close()

    asyncio.run(main())
    assert pool.closed
    with pytest.raises(ClosedError):
        pool.acquire()
    assert whole(pool)


def test_callbacks_run_in_a_thread_with_the_context() -> None:
    who: ContextVar[str] = ContextVar("who")
    seen: list[tuple[str, str, bool]] = []

    def note(what: str) -> Callable[..., Any]:
        def callback(*_: Any) -> Any:
            seen.append((what, who.get(), threading.current_thread() is threading.main_thread()))
            who.set("nobody")
            return Thing() if what == "factory" else None

        return callback

    async def main() -> None:
        names = ("check", "reset", "close")
        pool = Pool(note("factory"), **{name: note(name) for name in names})
        who.set("client")
        await takes(pool)
        await takes(pool)
        await pool.as_async().close()
        assert who.get() == "client"

    asyncio.run(main())
    assert seen == [(what, "client", False) for what in ("factory", "reset", "check", "reset", "close")]


async def test_the_loop_goes_on_while_a_thread_makes_an_object() -> None:
    gate = Gate(Thing)
    pool = Pool(gate)
    making = asyncio.create_task(takes(pool))
    await gate.reached()
    await turns()
    assert not making.done()
    gate.open.set()
    await making
    assert whole(pool)


@pytest.mark.parametrize("what", ["factory", "check", "reset", "close"])
async def test_a_coroutine_function_is_refused_as_in_a_thread(what: str) -> None:
    """The coroutine would never run, so every check would pass."""

    async def coroutine() -> None:
        raise AssertionError

    def callback(*_: object) -> Any:
        return coroutine()

    pool: Pool[Any] = Pool(callback) if what == "factory" else Pool(Thing, **{what: callback})
    tasks = pool.as_async()
    if what == "factory":
        with pytest.raises(FactoryError, match="returned a coroutine"):
            await tasks.acquire()
    else:
        first = await tasks.acquire()
        await tasks.release(first)
        if what != "close":
            assert await tasks.acquire() is not first
        await tasks.close()
    assert pool.idle == 0


async def test_a_factory_that_asks_its_own_pool() -> None:
    pool: Pool[Any] = Pool(lambda: pool.acquire(), max_size=1)
    with pytest.raises(ReentrantError):
        await pool.as_async().acquire()
    assert whole(pool)


async def test_threads_and_tasks_wake_each_other() -> None:
    pool = Pool(Thing, max_size=1, fair=True)
    held = pool.acquire()
    waiter = asyncio.create_task(pool.as_async().acquire(timeout=20))
    await turns()
    await asyncio.to_thread(pool.release, held)
    assert await waiter is held
    thread = asyncio.create_task(asyncio.to_thread(pool.acquire, 20))
    while not pool.waiting:
        await asyncio.sleep(0)
    await pool.as_async().release(held)
    assert await thread is held


def test_threads_and_tasks_at_once() -> None:
    """No object in two hands, all of it comes back, nobody starves."""
    made: list[Thing] = []
    closed: list[Thing] = []
    hands: dict[Thing, object] = {}
    wrong: list[str] = []

    def factory() -> Thing:
        made.append(Thing())
        return made[-1]

    pool = Pool(factory, max_size=3, max_uses=20, close=closed.append, timeout=60)

    def take(thing: Thing, who: object) -> None:
        if hands.setdefault(thing, who) is not who:
            wrong.append("two hands")

    def worker() -> None:
        for _ in range(150):
            with pool.lease() as thing:
                take(thing, worker)
                del hands[thing]

    async def client(tasks: Any) -> None:
        me = object()
        for _ in range(40):
            async with tasks.lease() as thing:
                take(thing, me)
                await asyncio.sleep(0)
                del hands[thing]

    async def main() -> None:
        tasks = pool.as_async()
        await asyncio.gather(
            *[asyncio.to_thread(worker) for _ in range(2)], *[client(tasks) for _ in range(5)]
        )

    asyncio.run(main())
    assert wrong == []
    assert whole(pool)
    assert pool.stats().checkouts == 500
    assert len(made) == len(closed) + pool.idle


# --- cancelled while a thread is at work for the task ---


async def cancel(task: asyncio.Task[Any], gate: Gate) -> None:
    """The task waits for the thread, however often it is asked, and ends as cancelled."""
    await gate.reached()
    for _ in range(3):
        task.cancel()
        await turns()
        assert not task.done()
    gate.open.set()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_cancelled_while_a_thread_makes_its_object() -> None:
    """The orphan is closed."""
    closed: list[Thing] = []
    gate = Gate(Thing)
    pool = Pool(gate, max_size=1, close=closed.append)
    await cancel(asyncio.create_task(takes(pool)), gate)
    assert len(closed) == 1
    assert (pool.size, pool.in_use) == (0, 0)
    await takes(pool)
    assert (pool.idle, len(closed)) == (1, 1)


async def test_cancelled_while_a_thread_fails_to_make_its_object() -> None:

    def fails() -> Thing:
        raise OSError

    gate = Gate(fails)
    pool = Pool(gate, max_size=1)
    await cancel(asyncio.create_task(takes(pool)), gate)
    assert (pool.size, pool.in_use) == (0, 0)


@pytest.mark.parametrize("what", ["check", "reset", "close"])
async def test_cancelled_while_a_thread_has_its_object(what: str) -> None:
    """It is closed when the thread is done with it, once."""
    closed: list[Thing] = []
    gate = Gate(closed.append if what == "close" else lambda _: None)
    callbacks: dict[str, Any] = {"close": closed.append} | {what: gate}
    pool = Pool(Thing, max_size=1, max_uses=1 if what == "close" else None, **callbacks)
    pool.wait(1)
    await cancel(asyncio.create_task(takes(pool)), gate)
    assert len(closed) == 1
    assert (pool.size, pool.in_use) == (0, 0)


# --- leases that are dropped ---


@pytest.mark.parametrize("within", [True, False])
def test_a_dropped_lease_comes_back_and_is_reset(within: bool) -> None:
    """Without a loop too: the callbacks need none."""
    did: list[Thing] = []
    pool = Pool(Thing, reset=did.append)
    leases: list[Any] = []

    async def main() -> None:
        leases.append(pool.as_async().lease())
        thing = await leases[0].__aenter__()
        if within:
            leases.clear()
            while not pool.idle:
                await asyncio.sleep(0.001)
            assert did == [thing]

    with pytest.warns(ResourceWarning, match="dropped without its end"):  # noqa: PT031 - it is dropped there
        asyncio.run(main())
        leases.clear()
    assert len(did) == 1
    assert whole(pool)


async def test_maintenance_is_the_maintenance_threads() -> None:
    """However often `as_async` is called, the pool is maintained once, and the loop has no timer for it."""
    pool = Pool(Thing, max_idle=3600.0)
    for _ in range(5):
        await pool.as_async().acquire()
    assert maintenance_timers(asyncio.get_running_loop()) == 0


def test_async_with_on_a_plain_lease_names_async_pool() -> None:
    """Python's own error says only that it is no asynchronous context manager."""
    pool = Pool(Thing, name="shared")

    async def main() -> None:
        lease: Any = pool.lease()
        with pytest.raises(TypeError, match=r"pool 'shared': .* 'async with pool\.as_async\(\)\.lease\(\)'"):
            async with lease:
                pass
        with lease:  # nothing happened to it
            pass

    asyncio.run(main())
    assert whole(pool)


def test_tasks_return_objects_while_the_executor_of_the_loop_is_full() -> None:
    """Of threads that wait for just those objects, say."""
    pool = Pool(object, max_size=1, reset=lambda _: None, check=lambda _: True)

    async def main() -> object:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        shared = pool.as_async()
        for _ in range(2):  # the second checks what the first left
            async with shared.lease():
                waiting = loop.run_in_executor(None, pool.acquire, 20.0)
                while not pool.waiting:
                    await asyncio.sleep(0.001)
            pool.release(await waiting)
        return pool.idle

    assert asyncio.run(main()) == 1
