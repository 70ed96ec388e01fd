"""Pools with workers: objects are created and closed in its threads, and no client waits for that alone."""

from __future__ import annotations

import gc
import logging
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import (
    ClosedError,
    FactoryError,
    PoolExhaustedError,
    PoolTimeoutError,
    ReentrantError,
    SettingError,
    TooManyWaitersError,
)
from tests.support.accounting import run_python
from tests.support.clients import Client, Thing, every_error, overdue, until, waiting_client
from tests.support.factories import Gates, Steps, soon

fair_or_not = pytest.mark.parametrize("fair", [True, False])


@pytest.fixture
def gates() -> Iterator[Gates]:
    """Gates that the end of the test opens, so that no thread stays behind."""
    mine = Gates()
    yield mine
    mine.open()


def begun(pool: Pool[Any], steps: Steps, **kwargs: Any) -> Client:
    """A client that waits for an object, and whose creation runs."""
    before = steps.count
    client = Client(pool.acquire, **kwargs)
    until(lambda: steps.count == before + 1, "that its creation runs")
    time.sleep(0.02)  # and it has begun to wait
    return client


def settled(pool: Pool[Any]) -> bool:
    """Come to rest: everything is idle, and nobody waits."""
    until(lambda: (pool.size, pool.in_use, pool.waiting) == (pool.idle, 0, 0), "that all is idle")
    return True


# --- settings ---


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": -1},
        {"workers": 1, "on_failure": "never"},
        {"on_failure": "wait"},
        {"workers": 0, "on_failure": "wait"},
        {"workers": 2, "on_failure": "wait", "backoff": None},
    ],
    ids=str,
)
def test_settings_out_of_range_or_that_need_others_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"pool 'odd': (workers|on_failure)"):
        Pool(Thing, name="odd", **settings)


def test_without_workers_the_client_creates() -> None:
    """As ever."""
    steps = Steps()
    Pool(steps).acquire()
    assert steps.idents == {threading.get_ident()}


# --- creation ---


def test_what_makes_an_object_never_runs_in_the_thread_of_the_client() -> None:
    """The factory and `configure`; in whatever way the client asks."""
    steps, configuring = Steps(), []
    pool = Pool(steps, max_size=4, workers=2, configure=lambda _: configuring.append(threading.get_ident()))
    pool.wait(1)
    pool.acquire()
    with pool.lease():
        assert pool.try_acquire() is None
        until(lambda: pool.idle)
    assert len(configuring) == steps.count == 3
    assert threading.get_ident() not in steps.idents | set(configuring)


def test_objects_are_created_side_by_side() -> None:
    """Each client that finds no object starts a creation, up to as many as there are workers."""
    together = threading.Barrier(3)
    pool = Pool(Steps(rest=lambda: together.wait(20)), max_size=3, workers=3)
    things = [each.result() for each in [Client(pool.acquire) for _ in range(3)]]
    assert len(set(things)) == 3


def test_there_are_never_more_calls_of_the_factory_than_workers() -> None:
    """Whoever waits without one of its own gets its object when a worker is free."""
    steps = Steps(rest=lambda: time.sleep(0.02))
    pool = Pool(steps, max_size=8, workers=2)
    clients = [Client(pool.acquire) for _ in range(8)]
    assert len({each.result() for each in clients}) == 8
    assert steps.most == 2


def test_who_finds_an_idle_object_starts_no_creation() -> None:
    steps = Steps()
    pool = Pool(steps, workers=2)
    for _ in range(5):
        pool.release(pool.acquire())
    assert (steps.count, pool.size) == (1, 1)


@fair_or_not
def test_a_returned_object_serves_who_waits_for_a_creation(gates: Gates, fair: bool) -> None:
    """Whichever comes first."""
    steps = Steps(None, gates())
    pool = Pool(steps, max_size=2, workers=1, fair=fair)
    held = pool.acquire()
    client = begun(pool, steps)
    pool.release(held)
    with soon():
        assert client.result() is held
    assert steps.running == 1


@fair_or_not
def test_what_arrives_late_becomes_idle(gates: Gates, fair: bool) -> None:
    """The client has got another object."""
    gate = gates()
    steps = Steps(None, gate)
    pool = Pool(steps, max_size=2, workers=1, fair=fair)
    held = pool.acquire()
    client = begun(pool, steps)
    pool.release(held)
    client.result()
    assert (pool.idle, pool.size) == (0, 2)
    gate.open()
    until(lambda: pool.idle == 1)
    assert pool.acquire(0) is steps.made[1]
    assert pool.size == 2


@fair_or_not
def test_what_arrives_late_goes_to_the_next_waiter(gates: Gates, fair: bool) -> None:
    """Its own client has gone."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, max_size=1, workers=2, fair=fair)
    with pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.05)
    client = waiting_client(pool, pool.acquire)
    gate.open()
    assert client.result() is steps.made[0]
    assert steps.count == 1


def test_a_client_without_a_worker_gets_what_comes_first(gates: Gates) -> None:
    """The first in the queue takes what is returned, the second what the creation of the first makes."""
    gate = gates()
    steps = Steps(None, gate)
    pool = Pool(steps, max_size=3, workers=1, fair=True)
    held = pool.acquire()
    first = begun(pool, steps)
    second = waiting_client(pool, pool.acquire)
    pool.release(held)
    assert first.result() is held
    assert second.busy
    gate.open()
    assert second.result() is steps.made[1]


@pytest.mark.parametrize("how", ["acquire", "lease", "pool"])
def test_a_time_out_holds_however_long_the_factory_takes(gates: Gates, how: str) -> None:
    steps = Steps(rest=gates())
    pool = Pool(steps, workers=1, timeout=0.1 if how == "pool" else 30)
    calls: dict[str, Callable[[], Any]] = {
        "acquire": lambda: pool.acquire(timeout=0.1),
        "lease": lambda: pool.lease(timeout=0.1).__enter__(),
        "pool": pool.acquire,
    }
    began = time.monotonic()
    with soon(), pytest.raises(PoolTimeoutError):
        calls[how]()
    assert time.monotonic() - began > 0.09
    assert steps.running == 1
    assert pool.stats().timeouts == 1


def test_one_hung_creation_does_not_stop_who_comes_later(gates: Gates) -> None:
    """While workers are left; nor the client that it was for, which gets what comes first."""
    steps = Steps(gates())
    pool = Pool(steps, workers=2)
    client = begun(pool, steps)
    with soon():
        assert {pool.acquire().number, client.result().number} == {1, 2}
    assert steps.running == 1


def test_clients_in_a_hurry_leave_no_more_creations_than_workers(gates: Gates) -> None:
    """What hangs does not take up the whole pool."""
    steps = Steps(rest=gates())
    pool = Pool(steps, max_size=10, workers=3)
    for _ in range(10):
        with pytest.raises(PoolTimeoutError):
            pool.acquire(timeout=0.01)
    until(lambda: steps.count == 3)
    assert (pool.size, pool.idle) == (3, 0)


def test_what_is_in_creation_counts_as_in_use(gates: Gates) -> None:
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, workers=1)
    client = begun(pool, steps)
    assert (pool.size, pool.in_use, pool.idle) == (1, 1, 0)
    gate.open()
    pool.release(client.result())
    assert (pool.size, pool.in_use, pool.idle) == (1, 0, 1)


def test_a_creation_for_nobody_is_no_checkout(gates: Gates) -> None:
    """Those are counted that hand an object to a client; nothing else."""
    gate = gates()
    pool = Pool(Steps(gate), max_size=1, workers=1)
    assert pool.try_acquire() is None
    gate.open()
    until(lambda: pool.idle)
    assert (pool.stats().created, pool.stats().checkouts) == (1, 0)
    for _ in range(20):
        with pool.lease():
            pass
    stats = pool.stats()
    assert (stats.created, stats.checkouts, stats.reuse_rate) == (1, 20, 0.95)


def test_checkouts_of_clients_that_wait_are_counted_once() -> None:
    """A new object and a returned one, each handed to a waiter."""
    pool = Pool(Steps(rest=lambda: time.sleep(0.01)), max_size=1, workers=1)

    def use() -> None:
        with pool.lease():
            time.sleep(0.001)

    for each in [Client(use) for _ in range(12)]:
        each.result()
    stats = pool.stats()
    assert (stats.created, stats.checkouts, stats.in_use, stats.size, stats.idle) == (1, 12, 0, 1, 1)


def test_an_interrupted_client_loses_neither_object_nor_slot(gates: Gates, ctrl_c: Callable[[], None]) -> None:
    """What its creation makes becomes idle."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, max_size=1, workers=1)

    def interrupt() -> None:
        gate.reached()
        time.sleep(0.05)
        ctrl_c()

    other = Client(interrupt)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - wherever it comes
        pool.acquire(timeout=20)
        time.sleep(1)
    other.result()
    gate.open()
    until(lambda: pool.idle == 1)
    assert pool.acquire(0) is steps.made[0]
    assert pool.size == 1


def test_what_arrives_when_the_pool_has_become_smaller_is_closed(gates: Gates) -> None:
    """What is beyond the new maximum."""
    gate = gates()
    steps = Steps(rest=gate)
    pool = Pool(steps, max_size=2, workers=2, close=steps.close)
    for _ in range(2):
        with pytest.raises(PoolTimeoutError):
            pool.acquire(timeout=0.05)
    until(lambda: steps.count == 2)
    pool.resize(max_size=1)
    gate.open()
    until(lambda: len(steps.made) == 2)
    until(lambda: (pool.size, pool.idle, len(steps.closed)) == (1, 1, 1))


# --- no time to wait ---


def leased(pool: Pool[Any]) -> Any:
    with pool.lease(timeout=0) as thing:
        return thing


POLLS: dict[str, Callable[[Pool[Any]], Any]] = {
    "try_acquire": lambda pool: pool.try_acquire(),
    "acquire": lambda pool: pool.acquire(timeout=0),
    "lease": leased,
}
every_poll = pytest.mark.parametrize("poll", POLLS)


def missed(poll: str, pool: Pool[Any]) -> bool:
    """Whether a client that does not wait gets nothing."""
    if poll == "try_acquire":
        return pool.try_acquire() is None
    with pytest.raises(PoolTimeoutError):
        POLLS[poll](pool)
    return True


@every_poll
def test_who_does_not_wait_starts_one_creation(gates: Gates, poll: str) -> None:
    """It never waits for the factory, and another one does not start a second creation."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, workers=3)
    with soon():
        assert all(missed(poll, pool) for _ in range(5))
        gate.reached()
        assert all(missed(poll, pool) for _ in range(5))
    assert (steps.count, pool.size) == (1, 1)
    gate.open()
    until(lambda: pool.idle == 1)
    assert POLLS[poll](pool) is steps.made[0]


@every_poll
def test_who_does_not_wait_starts_nothing_where_there_is_no_room(poll: str) -> None:
    steps = Steps()
    pool = Pool(steps, max_size=1, workers=2)
    held = pool.acquire()
    assert missed(poll, pool)
    time.sleep(0.05)
    assert (steps.count, pool.size) == (1, 1)
    pool.release(held)
    assert POLLS[poll](pool) is held


def test_the_failure_of_a_creation_that_nobody_waits_for_goes_to_nobody(gates: Gates) -> None:
    """The next client has a creation of its own."""

    def fail() -> None:
        raise ValueError("nobody's")

    gate = gates(fail)
    pool = Pool(Steps(gate), workers=1, backoff=None)
    assert pool.try_acquire() is None
    gate.open()
    until(lambda: pool.stats().failures == 1)
    assert pool.acquire().number == 1
    assert pool.size == 1


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


# --- what to do while all objects are in use ---


def test_fail_waits_for_the_creation_of_its_own(gates: Gates) -> None:
    """Whoever finds no room is told at once."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, max_size=1, workers=2, overflow="fail")
    client = begun(pool, steps, timeout=20)
    with soon(), pytest.raises(PoolExhaustedError):
        pool.acquire(timeout=20)
    assert client.busy
    gate.open()
    assert client.result() is steps.made[0]


def test_fail_keeps_to_the_time_out_of_a_client_with_a_creation(gates: Gates) -> None:
    pool = Pool(Steps(gates()), max_size=1, workers=1, overflow="fail")
    with soon(), pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.1)


def test_objects_beyond_the_maximum_are_created_by_the_client() -> None:
    steps = Steps()
    pool = Pool(steps, max_size=1, workers=1, overflow="create")
    pool.acquire()
    assert steps.threads[0] is not threading.current_thread()
    pool.acquire()
    assert steps.threads[1] is threading.current_thread()


def test_clients_with_a_creation_do_not_count_as_waiting_ones(gates: Gates) -> None:
    """Two have one, one waits without, and the next is refused."""
    gate = gates()
    steps = Steps(rest=gate)
    pool = Pool(steps, max_size=2, workers=2, max_waiting=1)
    clients = [begun(pool, steps), begun(pool, steps), Client(pool.acquire)]
    time.sleep(0.1)
    assert all(each.busy for each in clients)
    with soon(), pytest.raises(TooManyWaitersError):
        pool.acquire(timeout=20)
    gate.open()
    pool.release(clients[0].result())
    for each in clients[1:]:
        pool.release(each.result())


# --- closing objects ---


def lose_discarded(pool: Pool[Any], thing: Thing) -> None:
    pool.discard(thing)


def lose_drained(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)
    pool.drain()


def lose_resized(pool: Pool[Any], thing: Thing) -> None:
    other = pool.acquire()
    pool.release(thing)
    pool.release(other)
    pool.resize(max_size=1)


def lose_used_up(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)


def lose_expired(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)
    time.sleep(0.1)
    pool.maintain()


def lose_rejected(pool: Pool[Any], thing: Thing) -> None:
    pool.release(thing)
    assert pool.acquire() is not thing


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


# --- other pools, threads, processes ---


@pytest.mark.parametrize("where", ["check", "close"])
def test_a_callback_that_hangs_does_not_stop_the_maintenance_of_other_pools(gates: Gates, where: str) -> None:
    gate = gates()
    if where == "check":
        hung = Pool(Thing, workers=1, check=gate, check_on="idle", check_interval=0.01)
    else:
        hung = Pool(Thing, workers=1, close=gate, max_idle=0.01)
    hung.release(hung.acquire())
    gate.reached()
    steps = Steps()
    other = Pool(steps, workers=1, max_idle=0.05, close=steps.close)
    other.release(other.acquire())
    with soon(5):
        until(lambda: steps.closed)
    assert other.size == 0


def test_workers_end_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some seconds, here less, though the pool is there."""
    monkeypatch.setattr("bufpool.objects.workers.LINGER", 0.3)
    steps = Steps()
    pool = Pool(steps, workers=1, close=lambda _: steps.threads.append(threading.current_thread()))
    pool.discard(pool.acquire())
    until(lambda: len(steps.threads) == 2)
    assert any(each.is_alive() for each in steps.threads)
    until(lambda: not any(each.is_alive() for each in steps.threads))
    assert pool.acquire(timeout=20).number == 1


def test_idle_workers_do_not_keep_a_dropped_pool() -> None:
    """Its objects are freed at once."""
    pool = Pool(Thing, workers=1)
    thing = pool.acquire()
    seen = weakref.ref(thing)
    pool.release(thing)
    del thing, pool
    with soon():
        until(lambda: gc.collect() >= 0 and seen() is None)


def test_without_threads_the_client_creates_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system has no more of them."""
    closing: list[int] = []
    steps = Steps()
    pool = Pool(steps, max_size=1, workers=2, close=lambda _: closing.append(threading.get_ident()))

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(3):
        pool.discard(pool.acquire(timeout=5))
    pool.wait(1, timeout=5)
    pool.close()
    assert steps.idents == {threading.get_ident()}
    assert closing == [threading.get_ident()] * 4


def test_without_threads_an_error_of_the_factory_reaches_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the pool goes on."""
    error = OSError("down")
    pool = Pool(Steps(error), max_size=1, workers=2, backoff=None)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - compared below
        pool.acquire(timeout=5)
    assert caught.value is error
    assert pool.acquire(timeout=5).number == 1


ENDING = {
    "factory": "pool = Pool(hang, workers=1); client(pool.acquire)",
    "to keep ready": "pool = Pool(hang, workers=1, min_size=1)",
    "close": "pool = Pool(list, workers=1, close=hang); pool.discard(pool.acquire())",
    "maintenance": """
pool = Pool(list, workers=1, check=hang, check_on="idle", check_interval=0.01)
pool.release(pool.acquire())
""",
}


@pytest.mark.parametrize("what", ENDING)
def test_a_program_ends_while_a_callback_hangs(what: str) -> None:
    """With its own status, soon after the end of the main thread."""
    head = """
import sys, threading, time
from bufpool import Pool
hangs, never = threading.Event(), threading.Lock()
never.acquire()
def hang(*_):
    hangs.set()
    never.acquire()
def client(function):
    threading.Thread(target=function, daemon=True).start()
"""
    tail = """
assert hangs.wait(20)
print(time.time(), flush=True)
sys.exit(3)
"""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + ENDING[what] + tail],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert (result.returncode, result.stderr) == (3, "")
    assert time.time() - float(result.stdout) < 5


FORK = """
import os, threading, time, warnings
from bufpool import Pool
warnings.simplefilter("ignore", DeprecationWarning)       # 3.12: fork in a program with threads
parent, hung, never = os.getpid(), threading.Event(), threading.Lock()
never.acquire()
hanging = False
makers = []
closed = []
class Thing:
    def __init__(self):
        makers.append((os.getpid(), threading.get_ident()))
        if hanging and os.getpid() == parent:
            hung.set()
            never.acquire()
def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            function()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
def child():
    makers.clear()
    assert (pool.size, pool.idle, pool.in_use) == (0, 0, 0)
    one, two = pool.acquire(timeout=20), pool.acquire(timeout=20)
    assert all(process == os.getpid() and ident != threading.get_ident() for process, ident in makers)
    pool.discard(one)
    until(lambda: closed == [one])
    pool.release(two)
    pool.close(20)
    assert closed == [one, two]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("busy", [False, True], ids=["idle workers", "busy workers"])
def test_in_the_child_of_a_fork_the_pool_works_anew(busy: bool) -> None:
    """Creation and closing, whatever the workers of the parent were doing."""
    program = """
        pool = Pool(Thing, max_size=2, workers=1, close=closed.append)
        pool.release(pool.acquire())
        if BUSY:
            hanging = True
            pool.acquire()
            assert pool.try_acquire() is None
            assert hung.wait(20)
        in_child(child)
        print("well", pool.size)
        never.release()
    """
    out = run_python(FORK + textwrap.dedent(program).replace("BUSY", str(busy)))
    assert out == f"well {1 + busy}\n"


# --- all at once ---


class Held:
    """Things that are in somebody's hands: each in one at a time, and none that was closed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.things: set[Thing] = set()

    def take(self, thing: Thing) -> None:
        with self.lock:
            assert thing not in self.things, "in two hands"
            self.things.add(thing)

    def give(self, thing: Thing) -> None:
        with self.lock:
            self.things.remove(thing)


STRESS: list[dict[str, Any]] = [
    {},
    {"fair": True, "workers": 1},
    {"on_failure": "wait", "min_size": 2},
    {"overflow": "fail", "max_uses": 3},
    {"overflow": "create", "max_lifetime": 0.02},
    {"check": lambda thing: thing.number % 5, "max_idle": 0.005, "min_size": 1},
]


@pytest.mark.parametrize("settings", STRESS, ids=lambda settings: "-".join(settings) or "plain")
def test_nothing_is_lost_under_stress(settings: dict[str, Any]) -> None:
    """Slow factories that fail, short time-outs, discards, drains, bounds: all is idle at the end, or closed."""
    chance = random.Random(5)
    held = Held()

    def make() -> None:
        time.sleep(chance.choice([0, 0, 0.001, 0.004]))
        if chance.random() < 0.2:
            raise OSError("now and then")

    def close(thing: Thing) -> None:
        time.sleep(chance.choice([0, 0, 0.002]))
        assert thing not in held.things
        steps.close(thing)

    steps = Steps(rest=make)
    settings = {"max_size": 4, "workers": 2, "backoff": (0.001, 0.005)} | settings
    pool = Pool(steps, close=close, **settings)
    end = time.monotonic() + 0.4

    def work(seed: int) -> None:
        own = random.Random(seed)
        while time.monotonic() < end:
            try:
                timeout = own.choice([0, 0.001, 0.003, 0.01])
                thing = pool.acquire(timeout) if own.random() < 0.8 else pool.try_acquire()
            except (PoolTimeoutError, PoolExhaustedError, OSError):
                continue
            if thing is None:
                continue
            held.take(thing)
            if own.random() < 0.3:
                time.sleep(own.choice([0, 0.001]))
            held.give(thing)
            if own.random() < 0.2:
                pool.discard(thing)
            else:
                pool.release(thing)
            chosen = own.random()
            if chosen < 0.01:
                pool.drain()
            elif chosen < 0.02:
                pool.resize(max_size=own.choice([2, 4, 6]))

    for each in [Client(work, seed) for seed in range(6)]:
        each.result()
    if not pool.min_size and "max_idle" not in settings:
        settled(pool)
        until(lambda: len(steps.alive) == pool.idle, "that each is idle or closed")
    until(lambda: pool.waiting == 0)
    pool.close(timeout=20)
    until(lambda: (pool.size, pool.in_use) == (0, 0))
    until(lambda: not steps.alive, "that everything is closed")
    assert steps.running == 0
    if settings.get("overflow") != "create":
        assert steps.most <= settings["workers"]
    assert pool.stats().created == len(steps.made)


@fair_or_not
def test_the_pool_has_all_its_objects_after_stress(fair: bool) -> None:
    """No slot is lost either: as many objects as ever can be had at once."""
    chance = random.Random(6)
    steps = Steps(rest=lambda: time.sleep(chance.choice([0, 0.002])))
    pool = Pool(steps, max_size=3, workers=2, fair=fair, close=steps.close)
    end = time.monotonic() + 0.5

    def work(seed: int) -> None:
        own = random.Random(seed)
        while time.monotonic() < end:
            try:
                thing = pool.acquire(own.choice([0, 0.001, 0.003]))
            except PoolTimeoutError:
                continue
            (pool.discard if own.random() < 0.5 else pool.release)(thing)

    for each in [Client(work, seed) for seed in range(6)]:
        each.result()
    settled(pool)
    things = [pool.acquire(timeout=5) for _ in range(3)]
    assert len(set(things)) == 3
    with pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.05)
    overdue()
    assert set(things) == set(steps.alive)


def test_a_client_has_one_creation_at_a_time(gates: Gates) -> None:
    """However long it waits, and however often it is woken."""
    steps = Steps(gates(), gates())
    pool = Pool(steps, max_size=3, workers=3)
    with pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.3)
    assert steps.count == 1


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
