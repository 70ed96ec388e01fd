"""A factory that fails, or returns what cannot be pooled: the error goes to one client, and nothing else changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import FactoryError, PoolExhaustedError, PoolTimeoutError
from tests.support.clients import Client, Failing, Gate, Thing, balanced, until, usable, waiting_client


class BreakError(BaseException):
    """Not an `Exception`."""


ERRORS = [
    ValueError("mine"),
    BreakError("mine"),
    KeyboardInterrupt(),
    SystemExit(1),
    GeneratorExit(),
    StopIteration(),
]
every_error = pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ for error in ERRORS])


@every_error
@pytest.mark.parametrize("ask", ["acquire", "lease", "try_acquire", "wait", "enter"])
def test_what_the_factory_raises_passes_on_and_leaves_no_trace(error: BaseException, ask: str) -> None:
    """FAULTS 67, 74."""
    factory = Failing(error)
    pool = Pool(factory, max_size=2, min_size=1, backoff=(1e-6, 1e-6))
    calls: dict[str, Callable[[], Any]] = {
        "acquire": pool.acquire,
        "lease": pool.lease().__enter__,
        "try_acquire": pool.try_acquire,
        "wait": lambda: pool.wait(1),
        "enter": pool.__enter__,
    }
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    for _ in range(3):
        time.sleep(1e-4)
        with pytest.raises(expected) as caught:
            calls[ask]()
        assert caught.value is error or expected is RuntimeError
        assert (pool.size, pool.idle, pool.in_use, pool.waiting) == (0, 0, 0, 0)
    factory.error = None
    time.sleep(1e-4)
    assert usable(pool)
    assert pool.stats().failures == (3 if isinstance(error, Exception) else 0)


def test_after_a_failure_the_factory_is_left_alone() -> None:
    """FAULTS 67: who comes meanwhile waits, and its time-out has the failure as its cause."""
    factory = Failing(OSError("down"))
    pool = Pool(factory, backoff=(60, 60), name="down")
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    for timeout in (0, 0.02):
        with pytest.raises(
            PoolTimeoutError, match=r"'down': no object within .* the factory fails: OSError\('down'\)"
        ):
            pool.acquire(timeout)
    with pytest.raises(PoolTimeoutError) as caught:
        pool.try_acquire()
    assert caught.value.__cause__ is factory.error
    assert factory.calls == 1
    assert balanced(pool)


@pytest.mark.parametrize("timeout", [None, 30.0])
def test_a_pool_that_does_not_wait_says_why_it_has_none(timeout: float | None) -> None:
    """FAULTS 67: the factory's error, not that it is full, whatever the time-out."""
    factory = Failing(OSError("down"))
    pool = Pool(factory, backoff=(60, 60), overflow="fail", timeout=timeout)
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    with pytest.raises(PoolExhaustedError, match="down") as caught:
        pool.acquire()
    assert caught.value.__cause__ is factory.error
    assert factory.calls == 1


def test_the_pause_after_a_failure_costs_no_time_of_the_processor() -> None:
    """FAULTS 67: who waits sleeps until the factory may be tried again."""
    gate = Gate()
    calls: list[float] = []

    def factory() -> Thing:
        calls.append(time.monotonic())
        if len(calls) == 1:
            gate()
            raise OSError("down")
        return Thing()

    pool = Pool(factory, max_size=1, backoff=(0.4, 0.4))
    first = Client(pool.acquire)
    gate.reached()

    def get() -> float:
        began = time.thread_time()
        pool.release(pool.acquire(30))
        return time.thread_time() - began

    others = [waiting_client(pool, get) for _ in range(3)]
    gate.open()
    assert isinstance(first.error(), OSError)
    assert max(client.result() for client in others) < 0.08
    assert calls[1] - calls[0] > 0.15
    assert usable(pool)


def test_a_factory_that_recovers_serves_all_who_wait() -> None:
    """FAULTS 67: each failure goes to one client; then the others get their objects, though they sleep for longer."""
    factory = Failing(OSError("down"))
    pool = Pool(factory, max_size=3, backoff=(0.2, 0.4), timeout=30)
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    clients = [waiting_client(pool, pool.acquire)]
    clients += [Client(pool.acquire) for _ in range(5)]
    until(lambda: sum(not client.busy for client in clients) >= 2)
    factory.error = None
    failed = 0
    for client in clients:
        until(lambda client=client: not client.busy)
        if client.error() is None:
            pool.release(client.result())
        else:
            failed += 1
    assert 2 <= failed <= 6
    assert pool.stats().failures == 1 + failed == factory.calls - pool.stats().created
    assert usable(pool)


def test_while_the_factory_fails_what_comes_back_serves() -> None:
    """FAULTS 67: a pause is none for objects that are there."""
    factory = Failing()
    pool = Pool(factory, max_size=3, backoff=(60, 60))
    thing = pool.acquire()
    factory.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    client = waiting_client(pool, pool.acquire, 30)
    pool.release(thing)
    assert client.result() is thing
    pool.release(thing)
    assert pool.acquire(0) is thing
    pool.release(thing)
    assert balanced(pool)


def test_who_gives_up_in_the_pause_leaves_the_next_try_to_another() -> None:
    """FAULTS 67, 63: also if it would have been the first to try again."""
    gate = Gate()
    factory = Failing()

    def make() -> Thing:
        if factory.calls == 0:
            gate()
            factory.error = OSError("down")
        try:
            return factory()
        finally:
            factory.error = None

    pool = Pool(make, max_size=1, backoff=(1.0, 1.0))
    first = Client(pool.acquire)
    gate.reached()
    hasty = waiting_client(pool, pool.acquire, 0.5)
    patient = waiting_client(pool, pool.acquire, None)
    gate.open()
    assert isinstance(first.error(), OSError)
    hasty_error = hasty.error()
    assert hasty_error is None or isinstance(hasty_error, PoolTimeoutError)
    if hasty_error is None:
        pool.release(hasty.result())
    pool.release(patient.result())
    assert usable(pool)


def test_pauses_double_up_to_the_longest() -> None:
    """FAULTS 67."""
    factory = Failing(OSError("down"))
    pool = Pool(factory, backoff=(0.02, 0.05), timeout=10)
    pauses = []
    for _ in range(4):
        began = time.monotonic()
        with pytest.raises(OSError, match="down"):
            pool.acquire()
        pauses.append(time.monotonic() - began)
    assert pauses[0] < pauses[2]
    assert max(pauses) < 5
    assert all(pause >= least for pause, least in zip(pauses, (0, 0.01, 0.02, 0.025), strict=True))
    factory.error = None
    assert usable(pool)
    assert pool._core.engine.backoff.pause == 0


@pytest.mark.parametrize("nothing", [None])
def test_a_factory_that_returns_nothing_is_an_error(nothing: None) -> None:
    """FAULTS 71."""
    pool = Pool(lambda: nothing, name="empty", backoff=(1e-6, 1e-6))
    with pytest.raises(FactoryError, match="'empty': the factory returned None"):
        pool.acquire()
    assert (pool.size, pool.in_use) == (0, 0)


def test_a_factory_that_returns_the_same_object_twice_is_an_error() -> None:
    """FAULTS 71: while it is idle, out, or leased; after it was closed it may come again."""
    thing = Thing()
    pool = Pool(lambda: thing, name="same", backoff=(1e-6, 1e-6))
    message = r"'same': the factory returned an object that the pool has already: Thing\(0\)"
    assert pool.acquire() is thing
    with pytest.raises(FactoryError, match=message):
        pool.acquire()
    pool.release(thing)
    time.sleep(1e-4)
    with pool.lease(), pytest.raises(FactoryError, match=message):
        pool.acquire()
    time.sleep(1e-4)
    with pytest.raises(FactoryError, match=message):
        pool.wait(2)
    assert (pool.size, pool.idle) == (1, 1)
    pool.drain()
    time.sleep(1e-4)
    assert pool.acquire() is thing
    pool.release(thing)
    assert balanced(pool)


def test_errors_of_another_pool_inside_the_factory_are_the_factorys() -> None:
    """FAULTS 67: also those that look like this pool's own refusals."""
    inner = Pool(Thing, max_size=1, timeout=0)
    inner_thing = inner.acquire()
    pool = Pool(inner.acquire, backoff=(1e-6, 1e-6))
    for ask in (pool.acquire, pool.try_acquire):
        time.sleep(1e-4)
        with pytest.raises(PoolTimeoutError) as caught:
            ask()
        assert inner.name in str(caught.value)
    inner.release(inner_thing)
