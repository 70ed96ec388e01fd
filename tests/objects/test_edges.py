"""What shows only at an edge: a stack that is full, a lease in the hands of several threads, a loop that moves to
another thread, a context that outlives the callback that it was copied in.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from contextlib import suppress
from typing import Any

import pytest

from bufpool import (
    AsyncPool,
    DoubleReleaseError,
    ForeignReleaseError,
    Pool,
    PoolLease,
    PoolTimeoutError,
    ReleasedError,
)
from bufpool.objects.native import _checkout, _held_object
from bufpool.objects.native._checkout import Checkout
from tests.support.clients import Thing, balanced, until, waiting_client
from tests.support.threads import in_threads


@pytest.mark.parametrize("reset", [None, lambda thing: None])
def test_a_lease_dropped_with_a_full_stack_comes_back(reset: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(Thing, max_size=4, reset=reset)
    pool.wait(4)
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)  # the warning has no room either

    def deep(n: int) -> None:
        if n:
            return deep(n - 1)
        lease = pool.lease()
        lease.__enter__()
        del lease
        return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for depth in range(850, 1000):
            with suppress(RecursionError):
                deep(depth)
        gc.collect()
    assert (pool.in_use, pool.leases()) == (0, ())


def test_of_two_threads_that_enter_a_lease_one_does() -> None:
    pool = Pool(Thing, max_size=1)
    held = pool.acquire()
    lease = pool.lease()
    first = waiting_client(pool, lease.__enter__)
    with pytest.raises(ReleasedError, match="a lease serves one 'with' block"):
        lease.__enter__()
    pool.release(held)
    assert first.result() is held
    lease.__exit__(None, None, None)
    assert (pool.idle, pool.in_use) == (1, 0)


def test_a_lease_that_got_nothing_may_be_entered_again() -> None:
    pool = Pool(Thing, max_size=1)
    held = pool.acquire()
    lease = pool.lease(timeout=0)
    for _ in range(2):
        with pytest.raises(PoolTimeoutError):
            lease.__enter__()
    pool.release(held)
    with lease as thing:
        assert thing is held
    with pytest.raises(ReleasedError):
        lease.__enter__()


def test_a_lease_is_read_while_another_thread_ends_it() -> None:
    """Without the GIL the object may go at any moment; and it is never one of somebody else's."""
    pool = Pool(Thing, max_size=1)
    current: list[PoolLease[Thing] | None] = [None]
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            if (lease := current[0]) is not None:
                with suppress(ReleasedError):
                    assert isinstance(lease.object, Thing)
                assert "lease" in repr(lease).lower()

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for each in lookers:
        each.start()
    until_then = time.monotonic() + 0.5
    while time.monotonic() < until_then:
        lease = pool.lease()
        lease.__enter__()
        current[0] = lease
        lease.discard()
    over.set()
    for each in lookers:
        each.join()
    assert balanced(pool)


def test_only_its_lease_releases_an_object() -> None:
    """Between the look for the object and the taking of it, its number may become another's."""
    pool = Pool(Thing, max_size=1)
    current: list[Thing | None] = [None]
    over = threading.Event()
    released: list[Thing] = []

    def release() -> None:
        while not over.is_set():
            if (thing := current[0]) is not None:
                try:
                    pool.release(thing)
                except (DoubleReleaseError, ForeignReleaseError):
                    continue
                released.append(thing)

    releasers = [threading.Thread(target=release) for _ in range(2)]
    for each in releasers:
        each.start()
    until_then = time.monotonic() + 0.5
    while time.monotonic() < until_then and not released:
        lease = pool.lease()
        current[0] = lease.__enter__()
        lease.discard()
        other = pool.acquire()
        current[0] = None
        assert pool.try_acquire() is None
        pool.release(other)
    over.set()
    for each in releasers:
        each.join()
    assert released == []
    assert balanced(pool)


def test_drained_by_several_at_once_it_still_reuses() -> None:
    pool = Pool(Thing, max_size=1)
    start = threading.Barrier(3)

    def drain() -> None:
        start.wait()
        for _ in range(500):
            pool.drain()

    in_threads(drain, 3)
    before = pool.stats().created
    for _ in range(10):
        with pool.lease():
            pass
    assert pool.stats().created - before <= 1


def test_a_task_is_woken_in_its_loops_present_thread() -> None:
    loop = asyncio.new_event_loop()
    pool = AsyncPool(Thing, max_size=1)
    shared = pool._core

    async def begin() -> tuple[Thing, asyncio.Task[Thing]]:
        held = await pool.acquire()
        waiter = asyncio.create_task(pool.acquire(timeout=None))
        while not pool.waiting:
            await asyncio.sleep(0)
        return held, waiter

    held, waiter = loop.run_until_complete(begin())
    moved = threading.Thread(target=loop.run_forever)
    moved.start()
    until(loop.is_running)
    asyncio.run(pool.release(held))
    until(waiter.done)
    loop.call_soon_threadsafe(loop.stop)
    moved.join()
    assert waiter.result() is held
    assert shared.in_use == 1
    loop.close()


def test_a_broken_object_costs_no_place_in_the_queue() -> None:
    """The factory is left alone, so no other can be made in its place."""
    broken: set[Thing] = set()
    fails = False

    def factory() -> Thing:
        if fails:
            raise OSError("down")
        return Thing()

    pool = Pool(factory, max_size=2, fair=True, check=lambda thing: thing not in broken, backoff=(60, 60))
    one, two = pool.acquire(), pool.acquire()
    order: list[str] = []

    def client(name: str) -> Thing:
        thing = pool.acquire()
        order.append(name)
        return thing

    pool.resize(max_size=3)
    fails = True
    with pytest.raises(OSError, match="down"):
        pool.acquire()
    first = waiting_client(pool, client, "first")
    second = waiting_client(pool, client, "second")
    broken.add(one)
    pool.release(one)
    until(lambda: pool.stats().discards["broken"] == 1 and pool.waiting == 2)
    pool.release(two)
    assert first.result() is two
    assert order == ["first"]
    pool.release(two)
    assert second.result() is two


async def test_a_task_outlives_the_callback_that_started_it() -> None:
    done = asyncio.Event()

    def later() -> None:
        pool.release(pool.acquire())
        done.set()

    def factory() -> Thing:
        if not pool.size - 1:
            asyncio.get_running_loop().call_later(0.001, later)
        return Thing()

    pool = Pool(factory, max_size=2)
    held: list[Thing] = []
    asyncio.get_running_loop().call_soon(lambda: held.append(pool.acquire()))
    await asyncio.wait_for(done.wait(), 10)
    pool.release(held[0])
    assert pool.size == 2


def test_waiting_for_objects_sees_a_smaller_pool() -> None:
    pool = Pool(Thing, max_size=5)
    held = [pool.acquire() for _ in range(2)]
    pool.resize(max_size=2)
    pool.resize(max_size=5)
    gate = threading.Event()
    pool._core.engine.factory = lambda: gate.wait(10) and Thing()
    maker = threading.Thread(target=pool.acquire)
    maker.start()
    until(lambda: pool.size == 3)
    waiter = threading.Thread(target=pool.wait, args=(3,))
    waiter.start()
    pool.resize(max_size=2)
    waiter.join(10)
    assert not waiter.is_alive()
    gate.set()
    maker.join()
    for thing in held:
        pool.release(thing)


ON_CHECKOUTS: dict[Any, tuple[Any, ...]] = {
    _checkout.request: (True, 1),
    _checkout.request_slot: (1, 1),
    _checkout.split_slot: (),
    _checkout.add_extra_slot: (),
    _checkout.wait_for: (1,),
    _checkout.block: (0.0,),
    _held_object.install: (object(), 0, 0),
    _held_object.begin_callback: (),
    _held_object.end_callback: (),
    _held_object.overdue: (),
    _held_object.needs_check: (),
    _held_object.end_of_life: (),
    _held_object.release: (),
    _held_object.release_unused: (),
    _held_object.remove: (),
}


@pytest.mark.parametrize("function", ON_CHECKOUTS, ids=lambda function: function.__name__)
def test_a_checkout_that_was_never_set_up_or_owns_nothing_is_refused(function: Any) -> None:
    """It raises instead of reading memory that is not there."""
    with pytest.raises(RuntimeError, match="the checkout"):
        function(Checkout.__new__(Checkout), *ON_CHECKOUTS[function])
    if function.__module__ == _held_object.__name__:
        with pytest.raises(RuntimeError, match="the checkout has no"):
            function(Checkout(Pool(list)._core), *ON_CHECKOUTS[function])


def test_a_checkout_begins_once() -> None:
    pool = Pool(list)
    lease = pool.lease()
    with lease, pytest.raises(RuntimeError, match="has begun already"):
        Checkout.__init__(lease, pool._core)
    assert pool.idle == 1


def test_idle_objects_are_collected_for_checkouts_of_one_pool() -> None:
    for checkouts in ([Checkout.__new__(Checkout)], [Checkout(Pool(list)._core) for _ in range(2)]):
        with pytest.raises(ValueError, match="not of one pool"):
            _held_object.collect_idle(checkouts)
