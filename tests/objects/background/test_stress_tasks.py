"""All at once, in tasks: nothing is lost."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from bufpool import AsyncPool, Pool
from bufpool.errors import (
    PoolTimeoutError,
)
from tests.support.clients import Thing
from tests.support.factories import AsyncSteps, Steps, until_so

STRESS: list[dict[str, Any]] = [
    {},
    {"fair": True, "workers": 1},
    {"on_failure": "wait", "min_size": 2},
    {"overflow": "create", "max_uses": 3},
    {"check": lambda thing: thing.number % 5},
]


@pytest.mark.parametrize("kind", ["AsyncPool", "as_async"])
@pytest.mark.parametrize("settings", STRESS, ids=lambda settings: "-".join(settings) or "plain")
async def test_nothing_is_lost_under_stress(settings: dict[str, Any], kind: str) -> None:
    """Short time-outs, cancellations, failures, discards: all is idle at the end, or closed once."""
    chance = random.Random(7)
    held: set[Thing] = set()
    in_threads = kind == "as_async"

    async def step() -> None:
        await asyncio.sleep(chance.choice([0, 0, 0.001, 0.003]))
        if chance.random() < 0.2:
            raise OSError("now and then")

    def step_in_thread() -> None:
        time.sleep(chance.choice([0, 0, 0.001, 0.003]))
        if chance.random() < 0.2:
            raise OSError("now and then")

    steps: Any = Steps(rest=step_in_thread) if in_threads else AsyncSteps(rest=step)
    settings = {"max_size": 4, "workers": 2, "backoff": (0.001, 0.005)} | settings
    made: Any = Pool(steps, close=steps.close, **settings) if in_threads else None
    pool: AsyncPool[Any] = made.as_async() if in_threads else AsyncPool(steps, close=steps.close, **settings)
    end = time.monotonic() + 0.4

    async def use(own: random.Random) -> None:
        try:
            thing = await pool.acquire(own.choice([0, 0.001, 0.003, 0.01]))
        except (PoolTimeoutError, OSError):
            return
        assert thing not in held, "in two hands"
        held.add(thing)
        try:
            await asyncio.sleep(own.choice([0, 0, 0.001]))
        finally:
            held.remove(thing)
            await (pool.discard if own.random() < 0.2 else pool.release)(thing)

    async def work(seed: int) -> None:
        own = random.Random(seed)
        while time.monotonic() < end:
            task = asyncio.create_task(use(own))
            if own.random() < 0.3:
                await asyncio.sleep(own.choice([0, 0, 0.001, 0.002]))
                task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            await asyncio.sleep(0)

    await asyncio.gather(*[work(seed) for seed in range(6)])
    await until_so(lambda: (pool.in_use, pool.waiting) == (0, 0) and pool.size == pool.idle, "that all is idle")
    await until_so(lambda: len(steps.alive) == pool.idle, "that each is idle or closed")
    await pool.close(timeout=20)
    assert (pool.size, steps.alive, steps.running) == (0, [], 0)
    if settings.get("overflow") != "create":  # what its own client makes is lost with the client
        assert pool.stats().created == len(steps.made)
        assert steps.most <= settings["workers"]
