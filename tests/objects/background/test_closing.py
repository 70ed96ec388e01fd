"""Workers close objects, and the end of a pool waits for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import (
    ClosedError,
    PoolTimeoutError,
)
from tests.support.background import (
    begun,
    lose_discarded,
    lose_drained,
    lose_expired,
    lose_rejected,
    lose_resized,
    lose_used_up,
)
from tests.support.clients import Client, Thing, until, waiting_client
from tests.support.factories import Gates, Steps, soon

# --- closing objects ---


LOSSES: dict[str, tuple[Callable[[Pool[Any], Thing], None], dict[str, Any]]] = {
    "discard": (lose_discarded, {}),
    "drain": (lose_drained, {}),
    "resize": (lose_resized, {}),
    "max_uses": (lose_used_up, {"max_uses": 1}),
    "max_idle": (lose_expired, {"max_idle": 0.05}),
    "max_lifetime": (lose_expired, {"max_lifetime": 0.05}),
    "reset": (lose_used_up, {"reset": lambda _: 1 / 0}),
    "check": (lose_rejected, {"check": lambda thing: thing.number != 0}),
}


@pytest.mark.parametrize("how", LOSSES)
def test_nobody_waits_for_the_close_of_an_object(gates: Gates, how: str) -> None:
    """In whatever way the pool loses it."""
    lose, settings = LOSSES[how]
    gate = gates()
    pool = Pool(Steps(), max_size=2, workers=1, close=gate, **settings)
    thing = pool.acquire()
    with soon():
        lose(pool, thing)
        gate.reached()


def test_close_is_not_called_by_the_client() -> None:
    threads: list[int] = []
    pool = Pool(Thing, workers=1, close=lambda _: threads.append(threading.get_ident()))
    pool.discard(pool.acquire())
    until(lambda: threads)
    assert threads != [threading.get_ident()]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_slot_of_what_is_being_closed_is_free_at_once(gates: Gates, workers: int) -> None:
    """Though its close hangs."""
    gate = gates()
    pool = Pool(Steps(), max_size=1, workers=workers, close=gate)
    pool.discard(pool.acquire())
    gate.reached()
    with soon():
        assert pool.acquire(timeout=20).number == 1
    assert pool.size == 1


def test_so_many_are_in_closing_as_the_pool_may_have_and_no_more(gates: Gates) -> None:
    """One more keeps its slot until one is closed."""
    gate = gates()
    pool = Pool(Steps(), max_size=2, workers=4, close=gate)
    for _ in range(2):
        pool.discard(pool.acquire(timeout=20))
    kept = pool.acquire(timeout=20)
    pool.discard(pool.acquire(timeout=20))
    with soon(), pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.1)
    gate.open()
    assert pool.acquire(timeout=20).number == 4
    pool.release(kept)


def test_a_client_waits_for_the_slot_of_what_is_closed_at_last(gates: Gates) -> None:
    """It is told when there is room."""
    gate = gates()
    pool = Pool(Steps(), max_size=1, workers=2, close=gate)
    for _ in range(2):
        pool.discard(pool.acquire(timeout=20))
    client = waiting_client(pool, pool.acquire, timeout=20)
    gate.open()
    assert client.result().number == 2


def test_an_error_of_close_is_logged_and_frees_the_slot(caplog: pytest.LogCaptureFixture) -> None:

    def close(thing: Thing) -> None:
        raise ValueError("stuck")

    pool = Pool(Steps(), max_size=1, workers=1, close=close, name="shut")
    with caplog.at_level(logging.DEBUG, logger="bufpool"):
        for _ in range(3):
            pool.discard(pool.acquire(timeout=20))
        until(lambda: len(caplog.records) == 3)
    assert pool.acquire(timeout=20).number == 3


# --- the end of a pool ---


@pytest.mark.parametrize("how", ["close", "with"])
def test_the_end_of_a_pool_waits_until_idle_objects_are_closed(how: str) -> None:
    """Also where no time is given."""
    steps = Steps()

    def close(thing: Thing) -> None:
        time.sleep(0.2)
        steps.close(thing)

    pool = Pool(steps, max_size=3, workers=2, close=close)
    pool.wait(3)
    if how == "close":
        pool.close()
    else:
        with pool:
            pass
    assert len(steps.closed) == 3
    assert pool.size == 0


def test_the_end_of_a_pool_waits_five_seconds_for_a_close_that_hangs(gates: Gates) -> None:
    """It raises nothing then."""
    pool = Pool(Thing, workers=1, close=gates())
    pool.wait(1)
    began = time.monotonic()
    pool.close()
    assert 4 < time.monotonic() - began < 9


@pytest.mark.parametrize("left", ["closing", "in use", "discarded"])
def test_the_end_of_a_pool_keeps_to_its_time_and_says_that_something_is_left(gates: Gates, left: str) -> None:
    pool = Pool(Thing, workers=1, close=gates())
    held = pool.acquire()
    if left == "closing":
        pool.release(held)
    elif left == "discarded":
        pool.discard(held)
    with soon(), pytest.raises(PoolTimeoutError):
        pool.close(timeout=0.2)
    assert pool.closed


def test_the_end_of_a_pool_with_time_waits_for_what_is_closed_already(gates: Gates) -> None:
    """For what a client discarded before, too."""
    gate = gates()
    pool = Pool(Thing, workers=1, close=gate)
    pool.discard(pool.acquire())
    gate.reached()
    client = Client(pool.close, 20)
    time.sleep(0.1)
    assert client.busy
    gate.open()
    client.result()


def test_objects_are_closed_side_by_side() -> None:
    together = threading.Barrier(3)
    pool = Pool(Thing, max_size=3, workers=3, close=lambda _: together.wait(3))
    pool.wait(3)
    pool.close(timeout=20)
    assert not together.broken


def test_there_are_never_more_calls_of_close_than_workers() -> None:
    """One close of a pool with many objects."""
    steps, closing = Steps(), Steps(rest=lambda: time.sleep(0.02))
    pool = Pool(steps, max_size=8, workers=2, close=lambda _: closing())
    pool.wait(8)
    pool.close(timeout=20)
    assert (closing.count, closing.most) == (8, 2)


def test_who_waits_for_a_creation_is_told_at_once_that_the_pool_is_closed(gates: Gates) -> None:
    """Nothing idle is left, so closing takes no time either; what comes later is closed."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, workers=1, close=steps.close)
    client = begun(pool, steps, timeout=20)
    with soon(4):
        pool.close()
        assert isinstance(client.error(), ClosedError)
    gate.open()
    until(lambda: len(steps.closed) == 1)
    until(lambda: pool.size == 0)
