"""Who is served when several wait: first come, first served, for whoever has waited a millisecond; nobody starves."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import PoolTimeoutError
from bufpool.objects.native._checkout import OBJECT, QUEUED, Checkout, release_all, request
from bufpool.objects.native._pool_state import MOST
from tests.support.clients import Client, Thing, balanced, overdue, until, usable, waiting_client


def queue_up(pool: Pool[Any]) -> Checkout:
    """A client that waits without a thread, so that what comes next comes at once."""
    checkout = Checkout(pool._core)
    assert request(checkout, True, MOST) == QUEUED
    return checkout


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("lifo", [False, True])
def test_first_come_first_served(fair: bool, lifo: bool) -> None:
    """Twelve clients that come one after the other are served in that order, though their threads start as they
    like."""
    pool = Pool(Thing, max_size=2, fair=fair, lifo=lifo)
    held = [pool.acquire(), pool.acquire()]
    served: list[int] = []
    lock = threading.Lock()

    def get(number: int) -> None:
        thing = pool.acquire(60)
        with lock:
            served.append(number)
        pool.release(thing)

    pool.release(held.pop())
    assert pool.idle == 1
    held.append(pool.acquire())
    clients = [waiting_client(pool, get, number) for number in range(12)]
    overdue()
    pool.release(held.pop())
    for client in clients:
        client.result()
    assert served == sorted(served)
    pool.release(held.pop())
    assert usable(pool)


def test_after_a_millisecond_a_waiter_is_handed_one() -> None:
    """A running client cannot take it."""
    pool = Pool(Thing, max_size=1)
    thing = pool.acquire()
    checkout = queue_up(pool)
    overdue()
    pool.release(thing)
    assert pool.try_acquire() is None
    with pytest.raises(PoolTimeoutError):
        pool.acquire(0)
    assert (pool.idle, pool.in_use, pool.waiting) == (0, 1, 0)
    assert request(checkout, True, MOST) == OBJECT
    release_all(checkout)
    assert usable(pool)


def test_before_that_a_running_client_is_quicker() -> None:
    """It costs no switch of threads; who waited is then the first in the queue, and is given the object."""
    pool = Pool(Thing, max_size=1)
    thing = pool.acquire()
    for _ in range(1000):  # one of them within a millisecond, whatever else this machine does
        checkout = queue_up(pool)
        pool.release(thing)
        quick = pool.try_acquire()
        if quick is not None:
            break
        release_all(checkout)
        assert pool.acquire(0) is thing
    assert quick is thing
    assert request(checkout, True, MOST) == QUEUED
    later = queue_up(pool)
    overdue()
    pool.release(thing)
    assert request(later, True, MOST) == QUEUED
    assert request(checkout, True, MOST) == OBJECT
    release_all(checkout)
    assert request(later, True, MOST) == OBJECT
    release_all(later)
    assert usable(pool)


def test_a_fair_pool_is_strict() -> None:
    """A fair pool hands over within the first millisecond, too."""
    pool = Pool(Thing, max_size=1, fair=True)
    for _ in range(100):
        thing = pool.acquire()
        checkout = queue_up(pool)
        pool.release(thing)
        assert pool.try_acquire() is None
        assert request(checkout, True, MOST) == OBJECT
        release_all(checkout)
    assert usable(pool)


@pytest.mark.parametrize("fair", [False, True])
def test_nobody_takes_a_place_before_who_waits_for_one(fair: bool) -> None:
    """Room for a new object is handed out in turn, too."""
    pool = Pool(Thing, max_size=1, fair=fair)
    thing = pool.acquire()
    checkout = queue_up(pool)
    overdue()
    pool.discard(thing)
    assert pool.try_acquire() is None
    release_all(checkout)
    assert usable(pool)


def test_a_busy_client_starves_no_waiters() -> None:
    """The busy client acquires the object again as soon as it has returned it."""
    pool = Pool(Thing, max_size=1, timeout=60)
    thing = pool.acquire()

    def get() -> None:
        with pool.lease():
            pass

    clients = [Client(get) for _ in range(100)]
    until(lambda: pool.waiting == 100)
    overdue()
    rounds = 0
    pool.release(thing)
    while any(client.busy for client in clients):
        with pool.lease():
            rounds += 1
    for client in clients:
        client.result()
    assert pool.stats().waits >= 100
    assert usable(pool)


@pytest.mark.parametrize("fair", [False, True])
def test_no_wake_up_is_lost(fair: bool) -> None:
    """With two objects for six threads, most checkouts wait; a lost wake-up would be a time-out."""
    pool = Pool(Thing, max_size=2, fair=fair, timeout=30)
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        for _ in range(150):
            thing = pool.acquire()
            time.sleep(0)
            pool.release(thing)

    clients = [Client(work) for _ in range(6)]
    for client in clients:
        client.result()
    assert pool.stats().timeouts == 0
    assert usable(pool)


def test_a_time_out_that_meets_a_hand_over_loses_nothing() -> None:
    """A client that was given an object as its time ran out keeps it; otherwise the next waiter or the pool has it."""
    pool = Pool(Thing, max_size=1, fair=True)
    generator = random.Random(7)
    outcomes = {"served": 0, "timed out": 0}

    def wait(timeout: float) -> str:
        try:
            thing = pool.acquire(timeout)
        except PoolTimeoutError:
            return "timed out"
        pool.release(thing)
        return "served"

    for _ in range(150):
        thing = pool.acquire()
        timeout = 0.002 * generator.random() + 0.0005
        clients = [Client(wait, timeout), Client(wait, timeout)]
        time.sleep(timeout)
        pool.release(thing)
        for client in clients:
            outcomes[client.result()] += 1
        assert balanced(pool)
        assert pool.size == 1
    assert outcomes["served"] + outcomes["timed out"] == 300
    assert usable(pool)


def test_a_waiter_that_leaves_hands_its_object_on() -> None:
    """From thread to thread, without a thread: each step is one call."""
    pool = Pool(Thing, max_size=1, fair=True)
    thing = pool.acquire()
    first, second, third = queue_up(pool), queue_up(pool), queue_up(pool)
    pool.release(thing)  # the first one's
    release_all(second)
    release_all(first)  # the third one's
    assert pool.idle == 0
    assert request(third, True, MOST) == OBJECT
    release_all(third)
    assert usable(pool)


def test_a_checkout_that_is_dropped_gives_back_what_it_had() -> None:
    """A checkout that waits cannot be dropped; one that has an object returns it."""
    pool = Pool(Thing, max_size=1, fair=True)
    thing = pool.acquire()
    checkout = queue_up(pool)
    pool.release(thing)
    assert request(checkout, True, MOST) == OBJECT
    del checkout
    assert usable(pool)
