"""Faults that a hostile reading found in pools with workers: none of them comes back."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from bufpool import AsyncPool, Pool
from bufpool.errors import PoolTimeoutError
from bufpool.objects.workers import Worker
from tests.support.accounting import run_python
from tests.support.clients import Client, Thing, until, waiting_client
from tests.support.factories import AsyncSteps, Gates, Steps, soon, until_so

fair_or_not = pytest.mark.parametrize("fair", [True, False])
NAME = "bufpool-worker"


@pytest.fixture
def gates() -> Iterator[Gates]:
    """Gates that the end of the test opens, so that no thread stays behind."""
    mine = Gates()
    yield mine
    mine.open()


@pytest.fixture
def collected_never() -> Iterator[None]:
    """No cycle is collected while the test runs."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


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


# --- a check that finds no object sound ---

BOUNDS = [(1, 1, 1), (1, 1, 2), (2, 2, 2)]
every_bound = pytest.mark.parametrize("bounds", BOUNDS, ids=lambda bounds: "{} workers, {} to {}".format(*bounds))


def unsound(thing: Thing) -> bool:
    time.sleep(0.02)
    return False


def poll(pool: Pool[Any]) -> Any:
    return pool.try_acquire()


def wait_briefly(pool: Pool[Any]) -> Any:
    with suppress(PoolTimeoutError):
        return pool.acquire(timeout=0.2)


@every_bound
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("get", [poll, wait_briefly])
def test_a_client_comes_back_in_time_though_no_object_is_sound(
    get: Callable[[Pool[Any]], Any], used: bool, bounds: tuple[int, int, int]
) -> None:
    """What is replaced at once is not tried for ever; the factory is called a few times."""
    steps = Steps()
    pool = Pool(steps, check=unsound, workers=bounds[0], min_size=bounds[1], max_size=bounds[2])
    pool.wait()
    if used:
        pool.release(pool.acquire(timeout=5))
    client = Client(get, pool)
    until_soon(lambda: not client.busy, "the client came back", 4)
    assert steps.count <= 25  # at most about one per check
    client.result()


@every_bound
@pytest.mark.parametrize("get", ["try_acquire", "acquire"])
async def test_a_task_comes_back_in_time_though_no_object_is_sound(get: str, bounds: tuple[int, int, int]) -> None:
    async def check(thing: Thing) -> bool:
        await asyncio.sleep(0.02)
        return False

    steps = AsyncSteps()
    pool = AsyncPool(steps, check=check, workers=bounds[0], min_size=bounds[1], max_size=bounds[2])
    await pool.wait()
    with soon(4), suppress(PoolTimeoutError):
        async with asyncio.timeout(4):
            await (pool.try_acquire() if get == "try_acquire" else pool.acquire(timeout=0.2))
    assert steps.count <= 8


def test_a_check_that_always_fails_does_not_make_the_factory_run_on() -> None:
    """Nor keep a processor busy."""
    steps = Steps()
    pool = Pool(steps, check=lambda _: False, min_size=1, max_size=2, workers=1)
    pool.wait()
    began = time.process_time()
    client = Client(pool.acquire, timeout=0.5)
    until_soon(lambda: not client.busy, "the client came back")
    assert steps.count <= 8
    assert time.process_time() - began < 0.4
    client.error()


# --- exceptions of signal handlers ---


class Interrupt:
    """Raises a KeyboardInterrupt where it is asked for the first time."""

    def __init__(self) -> None:
        self.over = False

    def __call__(self) -> None:
        if not self.over:
            self.over = True
            raise KeyboardInterrupt


def when_queued(pool: Pool[Any], interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    class Queue(deque[Callable[[], None]]):
        def append(self, work: Callable[[], None], /) -> None:
            super().append(work)
            interrupt()

    pool._core.engine.background.creating.work = Queue()


def when_counted(pool: Pool[Any], interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    class Workers(set[Worker]):
        def add(self, worker: Worker, /) -> None:
            super().add(worker)
            interrupt()

    pool._core.engine.background.creating.workers = Workers()


def at_start(pool: Pool[Any], interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == NAME:
            interrupt()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)


def when_started(pool: Pool[Any], interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == NAME:
            interrupt()

    monkeypatch.setattr(threading.Thread, "start", interrupted)


def hidden(pool: Pool[Any], interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch) -> None:
    """It left a lock of `threading` open, which is an error at the end of a `with`."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == NAME:
            try:
                interrupt()
            except KeyboardInterrupt:
                raise RuntimeError("release unlocked lock")  # noqa: B904 - the context matters
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)


@pytest.mark.parametrize("place", [when_queued, when_counted, at_start, when_started, hidden])
def test_an_interrupted_order_loses_neither_slot_nor_worker(
    place: Callable[[Pool[Any], Interrupt, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt passes to the client; the next one gets an object of a worker."""
    steps, interrupt = Steps(), Interrupt()
    pool = Pool(steps, max_size=1, workers=1)
    place(pool, interrupt, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        pool.acquire(timeout=5)
    assert interrupt.over
    pool.discard(pool.acquire(timeout=5))
    pool.release(pool.acquire(timeout=5))
    assert (pool.size, pool.idle, pool.waiting) == (1, 1, 0)
    assert threading.get_ident() not in steps.idents
    workers = pool._core.engine.background.creating.workers
    until_soon(lambda: len(workers) == 1 and all(each.thread.is_alive() for each in workers), "one worker is there")


# --- objects beyond the maximum ---


def hangs_for_workers(gates: Gates) -> Steps:
    """A factory that comes back only in the thread of the test."""
    gate, me = gates(), threading.get_ident()
    return Steps(rest=lambda: None if threading.get_ident() == me else gate())


def test_who_does_not_wait_never_calls_the_factory_of_a_pool_that_may_overflow(gates: Gates) -> None:
    """Its own order takes up the last slot."""
    steps = hangs_for_workers(gates)
    pool = Pool(steps, max_size=1, workers=1, overflow="create")
    with soon():
        assert [pool.try_acquire() for _ in range(3)] == [None] * 3
    until(lambda: steps.count)
    assert (steps.count, pool.size) == (1, 1)
    assert threading.get_ident() not in steps.idents


def test_a_time_out_of_a_pool_that_may_overflow_covers_the_creation(gates: Gates) -> None:
    """The client does not begin a second one when its time is over."""
    steps = hangs_for_workers(gates)
    pool = Pool(steps, max_size=1, workers=1, overflow="create")
    with soon(), pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.1)
    until(lambda: steps.count)
    assert (steps.count, pool.size) == (1, 1)


def test_a_pool_that_overflows_waits_while_the_factory_fails() -> None:
    """Where clients are to wait for it."""
    steps = Steps(None, *[OSError("down")] * 2)
    pool = Pool(steps, max_size=1, workers=1, overflow="create", on_failure="wait", backoff=(0.01, 0.02))
    pool.acquire(timeout=5)
    assert pool.acquire(timeout=4).number == 3
    assert pool.stats().failures == 2


def test_a_pool_that_overflows_says_at_the_time_out_why_the_factory_fails() -> None:
    """The client has waited for all of its time."""
    error = ValueError("down")
    pool = Pool(
        Steps(None, rest=error), max_size=1, workers=1, overflow="create", on_failure="wait", backoff=(0.01, 0.02)
    )
    held = pool.acquire(timeout=5)
    began = time.monotonic()
    with soon(), pytest.raises(PoolTimeoutError) as caught:
        pool.acquire(timeout=0.2)
    assert time.monotonic() - began > 0.19
    assert caught.value.__cause__ is error
    pool.release(held)
    assert (pool.size, pool.idle, pool.waiting) == (1, 1, 0)


# --- threads ---


def worker_threads() -> int:
    return sum(each.name == NAME for each in threading.enumerate())


async def test_tasks_that_ask_for_their_own_view_of_a_pool_share_its_threads() -> None:
    """One view per request, as of a web server."""
    pool = Pool(Thing, max_size=1, check=lambda _: True)
    before = worker_threads()
    for _ in range(30):
        async with pool.as_async().lease():
            pass
    assert worker_threads() <= before + 3


@pytest.mark.parametrize("how", ["close", "with", "drop"])
def test_the_workers_of_a_pool_that_is_over_end_at_once(how: str) -> None:
    """They do not wait some seconds for more work."""
    steps, closing = Steps(), Steps()
    pool = Pool(steps, max_size=2, workers=2, close=lambda _: closing())
    if how == "with":
        with pool, pool.lease(timeout=5) as thing:
            pool.discard(thing)
    else:
        pool.discard(pool.acquire(timeout=5))
        until(lambda: closing.count == 1)
        if how == "close":
            pool.close()
    threads = [steps.threads[0], closing.threads[0]]
    del pool
    gc.collect()
    until_soon(lambda: not any(each.is_alive() for each in threads), "the threads have ended", 3)


def test_without_threads_a_client_in_the_factory_takes_nothing_from_those_behind_it(
    gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes back goes to one that waits, or comes."""
    no_threads(monkeypatch)
    gate = gates()
    steps = Steps(None, gate)
    pool = Pool(steps, max_size=2, workers=2, fair=True)
    held = pool.acquire(timeout=5)
    creates = Client(pool.acquire, timeout=20)
    gate.reached()
    waits = waiting_client(pool, pool.acquire, timeout=20)
    pool.release(held)
    with soon():
        assert waits.result() is held
        pool.release(held)
        assert pool.acquire(timeout=5) is held
    gate.open()
    assert creates.result() is steps.made[1]


# --- loops ---


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


# --- objects kept ready ---


def test_objects_to_keep_ready_are_created_after_the_order_of_a_client_failed(gates: Gates) -> None:
    """The slot of that order stood for an object that was lost meanwhile."""

    def fail() -> None:
        raise ValueError("down")

    gate = gates(fail)
    steps = Steps(None, gate)
    pool = Pool(steps, min_size=1, max_size=2, workers=2, backoff=(0.05, 0.05))
    pool.wait()
    held = pool.acquire(timeout=5)
    client = Client(pool.acquire, timeout=20)
    gate.reached()
    pool.discard(held)
    gate.open()
    assert isinstance(client.error(), ValueError)
    until_soon(lambda: pool.idle == 1, "an object is ready")


def test_objects_to_keep_ready_are_created_in_the_loop_after_that_of_the_failure() -> None:
    """The timer for the end of the pause has gone with the first loop."""
    steps = AsyncSteps(ValueError("down"))

    async def first() -> AsyncPool[Thing]:
        pool = AsyncPool(steps, min_size=1, max_size=1, workers=1, backoff=(0.3, 0.3))
        await until_so(lambda: pool.stats().failures == 1)
        await asyncio.sleep(0.01)
        return pool

    async def second() -> None:
        with suppress(PoolTimeoutError):  # during the pause
            await pool.try_acquire()
        with soon(5):
            async with asyncio.timeout(5):
                await until_so(lambda: pool.idle == 1, "an object is ready")

    pool = asyncio.run(first())
    assert (pool.size, steps.count) == (0, 1)
    asyncio.run(second())


def test_a_client_learns_why_the_objects_to_keep_ready_cannot_be_created() -> None:
    """It gets a turn with the factory, and its error; maintenance does not take all of them."""
    error = ValueError("down")
    pool = Pool(Steps(rest=error), min_size=1, workers=1, backoff=(0.1, 0.1))
    until(lambda: pool.stats().failures)
    clients = [Client(pool.acquire, timeout=3) for _ in range(2)]
    assert [each.error() for each in clients] == [error] * 2
    pool.close()


def test_objects_to_keep_ready_are_tried_again_after_an_exit_of_the_factory() -> None:
    """No program ends because of it."""
    steps = Steps(SystemExit(3))
    pool = Pool(steps, min_size=1, workers=1, backoff=(0.05, 0.05))
    until_soon(lambda: pool.idle == 1, "an object is ready")
    assert steps.count == 2


async def test_objects_to_keep_ready_are_tried_again_after_a_cancellation_by_the_factory() -> None:
    """It cancelled something of its own, and nobody the creation."""
    steps = AsyncSteps(asyncio.CancelledError())
    pool = AsyncPool(steps, min_size=1, workers=1, backoff=(0.05, 0.05))
    with soon(5):
        async with asyncio.timeout(5):
            await until_so(lambda: pool.idle == 1, "an object is ready")
    assert steps.count == 2


# --- what is left ---


class DownError(Exception):
    """Remembers, for the test, each that there is."""

    seen: ClassVar[list[weakref.ref[DownError]]] = []

    def __init__(self) -> None:
        self.seen.append(weakref.ref(self))


def recover(pool: Pool[Thing], polls: bool) -> None:
    """Use the pool as soon as the factory works."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(DownError, PoolTimeoutError):
            if not polls:
                with pool.lease(timeout=5):
                    return
            elif (thing := pool.try_acquire()) is not None:
                pool.release(thing)
                return
            time.sleep(0.005)
    raise AssertionError("the factory works, and there is no object")


@pytest.mark.usefixtures("collected_never")
@pytest.mark.parametrize("polls", [False, True], ids=["lease", "poll"])
@pytest.mark.parametrize("on_failure", ["raise", "wait"])
def test_errors_of_orders_leave_no_cycles(on_failure: Any, polls: bool) -> None:
    """No error, and not the pool, once it is dropped, waits for the collector."""
    DownError.seen.clear()

    def fail() -> None:
        raise DownError

    pool = Pool(Steps(fail, fail, fail), max_size=1, workers=1, on_failure=on_failure, backoff=(0.01, 0.01))
    recover(pool, polls)
    assert len(DownError.seen) == 3
    until_soon(lambda: not any(each() for each in DownError.seen), "no error is left", 2)
    core = weakref.ref(pool._core)
    pool.close()
    del pool
    until_soon(lambda: core() is None, "the pool has gone", 2)


def test_objects_whose_close_hangs_do_not_count_as_creations(gates: Gates) -> None:
    """Six are in closing, the last of them with its slot; one worker can create another one."""
    pool = Pool(Steps(), max_size=5, workers=1, close=gates())
    for _ in range(6):
        pool.discard(pool.acquire(timeout=5))
    assert pool.size == 1
    with soon():
        assert pool.acquire(timeout=5).number == 6
    assert pool.size == 2


def test_a_pool_that_its_own_close_callback_closes_does_not_wait_for_that(gates: Gates) -> None:
    """It would wait for itself, for some seconds."""
    took: list[float] = []

    def close(thing: Thing) -> None:
        began = time.monotonic()
        pool.close()
        took.append(time.monotonic() - began)

    pool: Pool[Thing] = Pool(Thing, workers=1, close=close)
    pool.discard(pool.acquire(timeout=5))
    until(lambda: took)
    assert took[0] < 2


async def test_a_pool_of_tasks_that_its_own_close_callback_closes_does_not_wait_for_that() -> None:
    took: list[float] = []

    async def close(thing: Thing) -> None:
        began = time.monotonic()
        await pool.close()
        took.append(time.monotonic() - began)

    pool: AsyncPool[Thing] = AsyncPool(Thing, workers=1, close=close)
    await pool.discard(await pool.acquire(timeout=5))
    await until_so(lambda: took)
    assert took[0] < 2


def test_what_was_queued_to_be_closed_is_closed_when_the_program_ends() -> None:
    """One worker has three objects to close, and begins when the interpreter ends."""
    out = run_python("""
        import time
        from bufpool import Pool
        from bufpool.objects import workers
        def close(number):
            while not workers._ended:
                time.sleep(0.001)
            print(number, flush=True)
        numbers = iter([1, 2, 3])
        pool = Pool(lambda: next(numbers), max_size=4, workers=1, close=close)
        for each in [pool.acquire(timeout=20) for _ in range(3)]:
            pool.discard(each)
    """)
    assert sorted(out.split()) == ["1", "2", "3"]
