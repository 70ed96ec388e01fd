"""A factory that fails, or returns what cannot be pooled: the error goes to one client, and nothing else changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import FactoryError, PoolExhaustedError, PoolTimeoutError
from tests.support.clients import (
    PATIENCE,
    Client,
    Failing,
    Gate,
    Maker,
    Thing,
    balanced,
    every_error,
    until,
    usable,
    waiting_client,
)


@every_error
@pytest.mark.parametrize("ask", ["acquire", "lease", "try_acquire", "wait"])
def test_an_error_of_the_factory_passes_on(error: BaseException, ask: str) -> None:
    factory = Failing(error)
    pool = Pool(factory, max_size=2, min_size=1, backoff=(1e-6, 1e-6))
    calls: dict[str, Callable[[], Any]] = {
        "acquire": pool.acquire,
        "lease": pool.lease().__enter__,
        "try_acquire": pool.try_acquire,
        "wait": lambda: pool.wait(1),
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


@every_error
def test_a_pool_that_cannot_be_entered_is_closed(error: BaseException, maker: Maker) -> None:
    """And what it has created already."""

    def factory() -> Thing:
        if maker.made:
            raise error
        return maker()

    pool = Pool(factory, min_size=2, close=maker.close)
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    with pytest.raises(expected), pool:
        raise AssertionError("the block does not begin")
    assert pool.closed
    assert maker.alive == []


def test_after_a_failure_the_factory_is_left_alone() -> None:
    """Clients that come meanwhile wait; the cause of their timeout is the failure."""
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
    """The factory's error, not that it is full, whatever the time-out."""
    factory = Failing(OSError("down"))
    pool = Pool(factory, backoff=(60, 60), overflow="fail", timeout=timeout)
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    with pytest.raises(PoolExhaustedError, match="down") as caught:
        pool.acquire()
    assert caught.value.__cause__ is factory.error
    assert factory.calls == 1


def test_the_pause_after_a_failure_costs_no_cpu() -> None:
    """Waiters sleep until the factory may be called again."""
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
    """Each failure goes to one client; then the others get their objects, though they sleep for longer."""
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
    """The pause holds for the factory alone, not for returned objects."""
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


def test_a_timeout_in_the_pause_leaves_the_next_try() -> None:
    """Also if the client that gave up would have made the next attempt."""
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


def test_without_a_backoff_each_client_calls_the_factory() -> None:
    factory = Failing(OSError("down"))
    pool = Pool(factory, max_size=2, backoff=None)
    for ask in (pool.acquire, pool.try_acquire, lambda: pool.acquire(0), pool.lease().__enter__):
        with pytest.raises(OSError, match="down"):
            ask()
    assert factory.calls == pool.stats().failures == 4
    factory.error = None
    assert usable(pool)


def test_without_a_backoff_clients_fail_side_by_side() -> None:
    """As many at once as there is room for. Others wait for a slot, and no longer."""
    pair = threading.Barrier(2)

    def factory() -> Thing:
        pair.wait(PATIENCE / 3)
        raise OSError("down")

    pool = Pool(factory, max_size=2, backoff=None)
    clients = [Client(pool.acquire) for _ in range(6)]
    assert [type(client.error()) for client in clients] == [OSError] * 6
    assert balanced(pool)


def test_a_factory_that_returns_nothing_is_an_error() -> None:
    pool = Pool(lambda: None, name="empty", backoff=(1e-6, 1e-6))
    with pytest.raises(FactoryError, match="'empty': the factory returned None"):
        pool.acquire()
    assert (pool.size, pool.in_use) == (0, 0)


def test_a_factory_must_return_new_objects() -> None:
    """Returning an object that is idle, in use or leased is an error; after it was closed, it may be returned again."""
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


def test_errors_of_a_pool_inside_a_factory() -> None:
    """Also errors of the kinds that this pool raises itself."""
    inner = Pool(Thing, max_size=1, timeout=0)
    inner_thing = inner.acquire()
    pool = Pool(inner.acquire, backoff=(1e-6, 1e-6))
    for ask in (pool.acquire, pool.try_acquire):
        time.sleep(1e-4)
        with pytest.raises(PoolTimeoutError) as caught:
            ask()
        assert inner.name in str(caught.value)
    inner.release(inner_thing)
