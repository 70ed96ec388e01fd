"""All at once, in threads: nothing is lost."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import (
    PoolExhaustedError,
    PoolTimeoutError,
)
from tests.support.background import fair_or_not, settled
from tests.support.clients import Client, Thing, overdue, until
from tests.support.factories import Steps


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
