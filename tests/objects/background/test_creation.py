"""Workers create objects, and a client waits for whichever comes first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import (
    PoolExhaustedError,
    PoolTimeoutError,
    SettingError,
    TooManyWaitersError,
)
from tests.support.background import begun, fair_or_not
from tests.support.clients import Client, Thing, until, waiting_client
from tests.support.factories import Gates, Steps, soon

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


def test_a_client_has_one_creation_at_a_time(gates: Gates) -> None:
    """However long it waits, and however often it is woken."""
    steps = Steps(gates(), gates())
    pool = Pool(steps, max_size=3, workers=3)
    with pytest.raises(PoolTimeoutError):
        pool.acquire(timeout=0.3)
    assert steps.count == 1


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
