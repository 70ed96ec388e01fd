"""A pool of threads with workers, seen by tasks."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from bufpool import Pool
from bufpool.errors import (
    PoolTimeoutError,
)
from tests.support.background import begun_task, cancelled, waiting_task
from tests.support.clients import Client, until
from tests.support.factories import Gates, Steps, soon, until_so


async def test_for_tasks_a_pool_of_threads_creates_in_its_workers(gates: Gates) -> None:
    """As many as it may have, and none is the loop's own thread."""
    steps = Steps(rest=lambda: time.sleep(0.02))
    pool = Pool(steps, max_size=6, workers=2)
    things = await asyncio.gather(*[pool.as_async().acquire() for _ in range(6)])
    assert len(set(things)) == 6
    assert steps.most == 2
    assert threading.get_ident() not in steps.idents


async def test_the_loop_runs_on_while_the_factory_of_a_pool_of_threads_hangs(gates: Gates) -> None:
    """The time-out holds, the cancellation too, and what arrives late becomes idle."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, max_size=1, workers=1)
    tasks = pool.as_async()
    with soon(), pytest.raises(PoolTimeoutError):
        await tasks.acquire(timeout=0.1)
    client = await waiting_task(tasks, tasks.acquire())
    assert await cancelled(client)
    gate.open()
    await until_so(lambda: pool.idle == 1)
    assert await tasks.acquire(0) is steps.made[0]


async def test_threads_and_tasks_wait_for_what_comes_first(gates: Gates) -> None:
    """A task has the object that a thread returns, while its own is in creation, and the thread gets that one."""
    gate = gates()
    steps = Steps(None, gate)
    pool = Pool(steps, max_size=2, workers=1, fair=True)
    tasks = pool.as_async()
    held = pool.acquire()
    client = await begun_task(steps, tasks.acquire())
    thread = Client(pool.acquire)
    await until_so(lambda: thread.busy)
    await asyncio.sleep(0.05)
    pool.release(held)
    assert await client is held
    gate.open()
    assert await asyncio.to_thread(thread.result) is steps.made[1]


@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(1)], ids=repr)
async def test_a_task_gets_the_error_of_its_creation_in_a_thread(error: BaseException) -> None:
    pool = Pool(Steps(error), max_size=1, workers=1, backoff=None)
    with pytest.raises(type(error)) as caught:
        await pool.as_async().acquire(timeout=20)
    assert caught.value is error
    assert (await pool.as_async().acquire(timeout=20)).number == 1


async def test_who_does_not_wait_starts_a_creation_in_a_thread(gates: Gates) -> None:
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, workers=2)
    with soon():
        assert await pool.as_async().try_acquire() is None
        await until_so(gate.entered.is_set)
        with pytest.raises(PoolTimeoutError):
            await pool.as_async().acquire(timeout=0)
    assert steps.count == 1
    gate.open()
    await until_so(lambda: pool.idle == 1)


async def test_tasks_do_not_wait_for_the_close_in_a_thread(gates: Gates) -> None:
    """Nor is it called in the loop."""
    gate = gates()
    pool = Pool(Steps(), max_size=1, workers=1, close=gate)
    tasks = pool.as_async()
    with soon():
        await tasks.discard(await tasks.acquire())
        await until_so(gate.entered.is_set)
        assert (await tasks.acquire(timeout=20)).number == 1
        with pytest.raises(PoolTimeoutError):
            await tasks.close(timeout=0.1)


def test_what_a_task_ordered_from_a_thread_outlives_the_loop(gates: Gates) -> None:
    """It becomes idle, or goes to a thread."""
    gate = gates()
    steps = Steps(gate)
    pool = Pool(steps, max_size=1, workers=1)

    async def main() -> None:
        with pytest.raises(PoolTimeoutError):
            await pool.as_async().acquire(timeout=0.05)

    with soon():
        asyncio.run(main())
    gate.open()
    until(lambda: pool.idle == 1)
    assert pool.acquire(0) is steps.made[0]
