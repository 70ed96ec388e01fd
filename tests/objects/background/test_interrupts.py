"""Exceptions of signal handlers at the start of a worker, and what errors leave behind."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from bufpool import AsyncPool, Pool
from bufpool.errors import (
    PoolTimeoutError,
)
from bufpool.objects.workers import Worker
from tests.support.accounting import run_python
from tests.support.background import NAME, until_soon
from tests.support.clients import Thing, until
from tests.support.factories import Gates, Steps, soon, until_so

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
