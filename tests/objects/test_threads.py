"""Many threads at once, and everything that can go wrong among them: at the end every object is accounted for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import PoolExhaustedError, PoolTimeoutError
from tests.support.clients import Client, Gate, Maker, Thing, balanced, until, usable

THREADS = 8
MOMENTS = ["checkout", "return"]


class Counted(Thing):
    """Says when it is in two hands."""

    def __init__(self) -> None:
        super().__init__()
        self.hands = 0
        self.closed = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.hands += 1
            assert self.hands == 1
            assert self.closed == 0

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.hands -= 1
            assert self.hands == 0

    def close(self) -> None:
        with self.lock:
            self.closed += 1
            assert self.hands == 0
            assert self.closed == 1


class Factory:
    """Makes counted things; fails now and then."""

    def __init__(self, failing: float = 0.0) -> None:
        self.made: list[Counted] = []
        self.failing = failing
        self.generator = random.Random(1)

    def __call__(self) -> Counted:
        if self.generator.random() < self.failing:
            raise OSError("now and then")
        thing = Counted()
        self.made.append(thing)
        return thing

    @property
    def alive(self) -> int:
        return sum(not thing.closed for thing in self.made)


def hammer(pool: Pool[Any], work: Callable[[random.Random], None], rounds: int) -> None:
    """In all threads, from the same moment on."""
    barrier = threading.Barrier(THREADS)

    def run(seed: int) -> None:
        generator = random.Random(seed)
        barrier.wait()
        for _ in range(rounds):
            work(generator)

    for client in [Client(run, seed) for seed in range(THREADS)]:
        client.result()


FLAVOURS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fair": {"fair": True},
    "fifo": {"lifo": False},
    "short-lived": {"max_uses": 3},
    "overflowing": {"overflow": "create"},
    "few may wait": {"max_waiting": 2},
    "treated": {
        "reset": lambda thing: None,
        "check": lambda thing: thing.closed == 0,
        "check_on": MOMENTS,
    },
}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_no_object_is_in_two_hands_and_none_is_lost(flavour: str) -> None:
    """Leases, acquisitions, discards, time-outs, changes of size, drainings, maintenance, at once."""
    factory = Factory()
    pool = Pool(factory, max_size=4, close=Counted.close, **FLAVOURS[flavour])

    def work(generator: random.Random) -> None:
        what = generator.random()
        try:
            if what < 0.45:
                with pool.lease(generator.choice([0, 0.001, 30])) as thing, thing:
                    if what < 0.05:
                        time.sleep(0)
            elif what < 0.9:
                thing = pool.acquire(generator.choice([0, 0.001, 30]))
                with thing:
                    pass
                (pool.discard if what < 0.5 else pool.release)(thing)
            elif what < 0.95:
                pool.resize(max_size=generator.randrange(1, 6))
            elif what < 0.97:
                pool.drain()
            elif what < 0.99:
                pool.maintain()
            elif (thing := pool.try_acquire()) is not None:
                pool.release(thing)
        except (PoolTimeoutError, PoolExhaustedError):
            pass

    hammer(pool, work, 150)
    pool.resize(max_size=4)
    assert balanced(pool)
    assert pool.size == factory.alive <= 4
    assert usable(pool)
    stats = pool.stats()
    assert stats.created == len(factory.made)
    assert sum(stats.discards.values()) == stats.created - factory.alive
    pool.close()
    assert factory.alive == 0


def test_failures_lose_nothing() -> None:
    """A factory, a check, a reset and a close that fail now and then."""
    generator = random.Random(5)

    def flaky(thing: Counted) -> None:
        if generator.random() < 0.1:
            raise ValueError("now and then")

    def close(thing: Counted) -> None:
        thing.close()
        flaky(thing)

    factory = Factory(failing=0.2)
    pool = Pool(
        factory, max_size=3, close=close, check=flaky, reset=flaky, check_on=MOMENTS, backoff=(1e-4, 1e-3)
    )

    def work(generator: random.Random) -> None:
        try:
            with pool.lease(generator.choice([0, 0.002, 30])) as thing, thing:
                pass
        except (PoolTimeoutError, OSError):
            pass

    hammer(pool, work, 60)
    assert balanced(pool)
    assert pool.size == factory.alive <= 3
    assert pool.stats().failures > 0


def test_objects_may_go_from_thread_to_thread() -> None:
    """Taken by one, returned by another."""
    import queue

    factory = Factory()
    pool = Pool(factory, max_size=4, close=Counted.close)
    handed: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take() -> None:
        for _ in range(300):
            handed.put(pool.acquire(30))
        handed.put(None)

    takers = [Client(take) for _ in range(2)]
    ended = 0
    while ended < len(takers):
        thing = handed.get(timeout=30)
        if thing is None:
            ended += 1
        else:
            with thing:
                pass
            pool.release(thing)
    for each in takers:
        each.result()
    assert usable(pool)
    assert len(factory.made) <= 4


@pytest.mark.parametrize("ending", ["close", "drain"])
def test_the_end_comes_while_all_are_at_work(ending: str) -> None:
    """Every object is closed once, whoever has it."""
    from bufpool.errors import ClosedError

    for _ in range(20):
        factory = Factory()
        pool = Pool(factory, max_size=4, close=Counted.close)
        started = threading.Barrier(5)

        def work(pool: Pool[Counted] = pool, started: threading.Barrier = started) -> None:
            started.wait()
            try:
                for _ in range(60):
                    with pool.lease(30) as thing, thing:
                        pass
            except ClosedError:
                pass

        clients = [Client(work) for _ in range(4)]
        started.wait()
        before = list(factory.made)
        getattr(pool, ending)()
        for client in clients:
            client.result()
        if ending == "close":
            pool.close(timeout=10)
            assert (factory.alive, pool.size, pool.idle) == (0, 0, 0)
        else:
            assert all(thing.closed for thing in before)
            assert pool.size == factory.alive
        assert pool.waiting == 0


# --- no callback runs under a lock ---


def test_a_slow_factory_hinders_nobody_else() -> None:
    """A client that can get an existing object gets it at once."""
    maker = Maker()
    pool = Pool(maker, max_size=3)
    held = pool.acquire()
    pool._core.engine.factory = gate = Gate(maker)
    client = Client(pool.acquire)
    gate.reached()
    pool.release(held)
    for _ in range(100):
        with pool.lease(0) as thing:
            assert thing is held
    assert (pool.stats().size, pool.stats().in_use) == (2, 1)
    with pool.lease(0):
        second = Client(pool.acquire)
        until(lambda: pool.size == 3)
        with pytest.raises(PoolTimeoutError):
            pool.acquire(0.01)
    pool.maintain()
    gate.open()
    pool.release(client.result())
    pool.release(second.result())
    assert usable(pool)


def test_behind_a_slow_factory_a_release_is_served() -> None:
    maker = Maker()
    pool = Pool(maker, max_size=2)
    held = pool.acquire()
    pool._core.engine.factory = gate = Gate(maker)
    making = Client(pool.acquire)
    gate.reached()
    waiting = Client(pool.acquire)
    until(lambda: pool.waiting == 1)
    pool.release(held)
    assert waiting.result() is held
    pool.release(held)
    gate.open()
    pool.release(making.result())
    assert usable(pool)


@pytest.mark.parametrize("role", ["check", "reset", "close"])
def test_a_slow_callback_hinders_nobody_else(role: str) -> None:
    gate = Gate(lambda thing: True)
    pool = Pool(Thing, max_size=2, **{role: gate})
    first, second = pool.acquire(), pool.acquire()

    def use() -> None:
        if role == "close":
            pool.discard(first)
        else:
            pool.release(first)
        if role == "check":
            pool.release(pool.acquire())

    client = Client(use)
    gate.reached()
    gate.entered.clear()
    assert pool.stats().in_use == 2
    assert pool.try_acquire() is None
    pool._core.configure(
        debug=False,
        keeps_times=False,
        has_lifetime=False,
        max_idle=0,
        checks_out=False,
        prepares_out=False,
        check_after=0,
        handles_returns=False,
        max_uses=0,
    )
    pool.release(second)
    assert pool.acquire(0) is second
    gate.open()
    client.result()
    pool.release(second)
    assert usable(pool)


def test_several_objects_are_made_at_once() -> None:
    """As many as there is room for, at the same time."""
    barrier = threading.Barrier(4)

    def make() -> Thing:
        barrier.wait(30)
        return Thing()

    pool = Pool(make, max_size=4)
    clients = [Client(pool.acquire) for _ in range(4)]
    for client in clients:
        pool.release(client.result())
    assert pool.idle == 4
