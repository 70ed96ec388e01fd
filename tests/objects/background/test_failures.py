"""Factories that fail in a worker, and checks that find no object sound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from bufpool import AsyncPool, Pool
from bufpool.errors import (
    FactoryError,
    PoolTimeoutError,
    ReentrantError,
)
from tests.support.background import begun, until_soon
from tests.support.clients import Client, Thing, every_error, until, waiting_client
from tests.support.factories import AsyncSteps, Gates, Steps, soon

# --- failures of the factory ---


@every_error
def test_an_error_passes_to_the_client_whose_creation_it_was(error: BaseException) -> None:
    """Of whatever class, as without workers; the worker goes on."""
    pool = Pool(Steps(error), max_size=1, workers=1, backoff=None)
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    with pytest.raises(expected) as caught:
        pool.acquire(timeout=20)
    assert caught.value is error or expected is RuntimeError
    assert (pool.size, pool.in_use, pool.waiting) == (0, 0, 0)
    assert pool.stats().failures == isinstance(error, Exception)
    assert pool.acquire(timeout=20).number == 1


def test_a_failure_does_not_reach_who_has_another_creation(gates: Gates) -> None:
    error = ValueError("mine")

    def fail() -> None:
        raise error

    first, second = gates(fail), gates()
    steps = Steps(first, second)
    pool = Pool(steps, max_size=2, workers=2)
    fails = begun(pool, steps)
    waits = begun(pool, steps)
    first.open()
    assert fails.error() is error
    time.sleep(0.05)
    assert waits.busy
    second.open()
    assert waits.result() is steps.made[0]


@pytest.mark.parametrize("bounds", [(1, 5), (5, 1)], ids=["no room", "no worker"])
def test_a_failure_does_not_reach_who_waits_without_a_creation(gates: Gates, bounds: tuple[int, int]) -> None:
    """After the pause it gets a creation of its own."""

    def fail() -> None:
        raise ValueError("not yours")

    gate = gates(fail)
    steps = Steps(gate)
    pool = Pool(steps, max_size=bounds[0], workers=bounds[1], backoff=(0.02, 0.05))
    fails = begun(pool, steps)
    waits = waiting_client(pool, pool.acquire, timeout=20)
    gate.open()
    assert isinstance(fails.error(), ValueError)
    assert waits.result().number == 1


def test_the_failure_of_a_creation_whose_client_has_gone_goes_to_nobody(gates: Gates) -> None:
    """Neither to those that wait."""

    def fail() -> None:
        raise ValueError("not yours")

    gate = gates(fail)
    pool = Pool(Steps(gate), max_size=1, workers=1, backoff=(0.02, 0.05))
    with pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.05)
    waits = waiting_client(pool, pool.acquire, timeout=20)
    gate.open()
    assert waits.result().number == 1
    assert pool.stats().failures == 1


def test_a_factory_that_returns_none_is_an_error_of_the_client() -> None:
    pool: Pool[Any] = Pool(lambda: None, workers=1)
    with pytest.raises(FactoryError):
        pool.acquire(timeout=20)
    assert (pool.size, pool.in_use) == (0, 0)


def test_an_object_that_cannot_be_configured_is_closed() -> None:
    """The error passes to the client."""
    steps = Steps()

    def configure(thing: Thing) -> None:
        if thing.number == 0:
            raise ValueError("unfit")

    pool = Pool(steps, workers=1, configure=configure, close=steps.close, backoff=None)
    with pytest.raises(ValueError, match="unfit"):
        pool.acquire(timeout=20)
    until(lambda: steps.closed == steps.made[:1])
    assert pool.acquire(timeout=20).number == 1
    assert pool.size == 1


def test_a_factory_that_asks_its_own_pool_is_told_so() -> None:
    """It would wait for itself; the client gets the error."""

    def again() -> Any:
        return pool.acquire(timeout=5)

    pool: Pool[Any] = Pool(again, max_size=1, workers=1)
    with soon(), pytest.raises(ReentrantError):
        pool.acquire(timeout=20)
    assert (pool.size, pool.in_use, pool.waiting) == (0, 0, 0)


def test_an_error_comes_at_once() -> None:
    """Not only when the time of the client is over."""
    began = time.monotonic()
    with pytest.raises(OSError, match="down"):
        Pool(Steps(OSError("down")), max_size=1, workers=1).acquire(timeout=30)
    assert time.monotonic() - began < 15


def test_a_creation_that_hangs_is_not_the_one_that_tries_again(gates: Gates) -> None:
    """The factory fails beside it, and recovers."""
    steps = Steps(gates(), OSError("down"))
    pool = Pool(steps, max_size=3, workers=3, on_failure="wait", backoff=(0.05, 0.1))
    with pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.1)
    assert pool.acquire(timeout=10) is not None
    assert steps.count == 3


# --- clients that wait while the factory fails ---


def test_who_may_wait_gets_an_object_after_failures() -> None:
    steps = Steps(*[OSError("down")] * 3)
    pool = Pool(steps, workers=1, on_failure="wait", backoff=(0.01, 0.02))
    assert pool.acquire(timeout=20).number == 3
    assert (pool.stats().failures, pool.size) == (3, 1)


def test_at_the_time_out_the_last_failure_is_the_cause() -> None:
    error = OSError("down")
    pool = Pool(Steps(OSError("first"), rest=error), workers=1, on_failure="wait", backoff=(0.01, 0.02))
    began = time.monotonic()
    with soon(), pytest.raises(PoolTimeoutError) as caught:
        pool.acquire(timeout=0.3)
    assert time.monotonic() - began > 0.29
    assert caught.value.__cause__ is error
    assert (pool.size, pool.in_use, pool.waiting) == (0, 0, 0)


def test_a_factory_that_fails_is_left_alone_for_the_pauses() -> None:
    """However many clients wait."""
    steps = Steps(rest=OSError("down"))
    pool = Pool(steps, workers=4, on_failure="wait", backoff=(0.1, 10.0))
    for each in [Client(pool.acquire, timeout=0.5) for _ in range(4)]:
        assert isinstance(each.error(), PoolTimeoutError)
    assert 2 <= steps.count <= 4 + 4  # all at once, then one by one after 0.1, 0.2 and 0.4 s


def test_a_returned_object_ends_the_wait_for_a_factory_that_fails() -> None:
    """Within the pause."""
    pool = Pool(Steps(None, rest=OSError("down")), workers=1, on_failure="wait", backoff=(20.0, 20.0))
    held = pool.acquire()
    client = Client(pool.acquire, timeout=20)
    until(lambda: pool.stats().failures == 1)
    time.sleep(0.05)
    assert client.busy
    pool.release(held)
    with soon():
        assert client.result() is held


def test_a_failure_long_past_is_not_the_cause() -> None:
    """The factory works again; the objects are in use."""
    pool = Pool(Steps(OSError("past")), max_size=1, workers=1, on_failure="wait", backoff=(0.01, 0.01))
    pool.acquire(timeout=20)
    with pytest.raises(PoolTimeoutError) as caught:
        pool.acquire(timeout=0.05)
    assert caught.value.__cause__ is None


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
