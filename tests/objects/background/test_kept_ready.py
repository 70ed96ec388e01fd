"""Workers keep `min_size` objects ready, and fill a pool."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from bufpool import AsyncPool, Pool
from bufpool.errors import (
    PoolTimeoutError,
)
from tests.support.background import (
    lose_discarded,
    lose_drained,
    lose_used_up,
    until_soon,
)
from tests.support.clients import Client, Thing, until
from tests.support.factories import AsyncSteps, Gates, Steps, soon, until_so

# --- objects kept ready ---


def test_the_objects_to_keep_ready_are_there_without_a_client() -> None:
    pool = Pool(Thing, min_size=3, workers=2)
    until(lambda: pool.idle == 3)
    assert pool.size == 3


def test_construction_does_not_wait_for_the_objects_to_keep_ready(gates: Gates) -> None:
    with soon():
        pool = Pool(Steps(rest=gates()), min_size=2, workers=2)
    assert pool.idle == 0


REPLACED: dict[str, tuple[Callable[[Pool[Any], Thing], None], dict[str, Any]]] = {
    "discarded": (lose_discarded, {}),
    "drained": (lose_drained, {}),
    "used up": (lose_used_up, {"max_uses": 1}),
    "not reset": (lose_used_up, {"reset": lambda thing: 1 / (thing.number > 1)}),
    "broken": (lose_used_up, {"check": lambda thing: thing.number > 1, "check_on": "return"}),
}


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("how", REPLACED)
def test_a_lost_object_is_replaced_at_once(how: str) -> None:
    """Not by the maintenance thread, which comes from time to time."""
    lose, settings = REPLACED[how]
    pool = Pool(Steps(), min_size=2, max_size=2, workers=1, **settings)
    until(lambda: pool.idle == 2)
    thing = pool.acquire()
    lose(pool, thing)
    until(lambda: pool.idle == 2)
    assert (pool.size, pool.stats().created) == (2, 4 if how == "drained" else 3)


@pytest.mark.usefixtures("alone")
def test_an_object_that_expired_is_replaced_at_once() -> None:
    """Found at a checkout. The client gets a new one; the other expired one, if it is found, is replaced too."""
    pool = Pool(Steps(), min_size=2, max_size=3, workers=1, max_lifetime=0.1)
    until(lambda: pool.idle == 2)
    time.sleep(0.2)
    assert pool.acquire(timeout=20).number >= 2
    until(lambda: pool.stats().created >= 4 or (pool.stats().created, pool.idle) == (3, 1))


@pytest.mark.usefixtures("alone")
def test_a_higher_minimum_holds_at_once() -> None:
    pool = Pool(Thing, workers=1)
    pool.resize(min_size=2)
    until(lambda: pool.idle == 2)


def test_objects_to_keep_ready_are_tried_again_after_the_pause() -> None:
    """Not before."""
    times: list[float] = []

    def make() -> Thing:
        times.append(time.monotonic())
        if len(times) < 3:
            raise OSError("down")
        return Thing()

    pool = Pool(make, min_size=1, workers=1, backoff=(0.2, 10.0))
    until(lambda: pool.idle == 1)
    assert len(times) == 3
    assert times[1] - times[0] > 0.09  # a pause may be shorter by half, at random
    assert times[2] - times[1] > 0.19


# --- filling a pool ---


def test_a_pool_is_filled_side_by_side() -> None:
    together = threading.Barrier(3)
    pool = Pool(Steps(rest=lambda: together.wait(20)), workers=3)
    pool.wait(3, timeout=20)
    assert (pool.idle, pool.size) == (3, 3)


def test_what_was_waited_for_is_idle_then() -> None:
    """Not only created."""
    for _ in range(30):
        pool = Pool(Steps(rest=lambda: time.sleep(0.001)), workers=2)
        pool.wait(4, timeout=20)
        assert pool.idle == 4


def test_filling_a_pool_goes_on_after_failures() -> None:
    pool = Pool(Steps(*[OSError("down")] * 3), workers=2, backoff=(0.01, 0.02))
    pool.wait(3, timeout=20)
    assert pool.idle == 3


def test_filling_a_pool_ends_with_the_time_and_the_last_error() -> None:
    error = OSError("last")
    pool = Pool(Steps(OSError("first"), rest=error), workers=1, backoff=(0.01, 0.02))
    with soon(), pytest.raises(PoolTimeoutError) as caught:
        pool.wait(1, timeout=0.3)
    assert caught.value.__cause__ is error
    until(lambda: pool.size == 0)


def test_filling_a_pool_keeps_to_its_time_while_the_factory_hangs(gates: Gates) -> None:
    pool = Pool(Steps(None, rest=gates()), workers=2)
    with soon(), pytest.raises(PoolTimeoutError):
        pool.wait(2, timeout=0.2)


def test_a_pool_that_cannot_be_filled_is_closed_at_the_head_of_its_block() -> None:
    pool = Pool(Steps(rest=OSError("down")), min_size=1, workers=1, timeout=0.2, backoff=(0.01, 0.02))
    with soon(), pytest.raises(PoolTimeoutError) as caught, pool:
        raise AssertionError("it was entered")
    assert isinstance(caught.value.__cause__, OSError)
    assert pool.closed


# --- lost, and the factory fails ---


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
