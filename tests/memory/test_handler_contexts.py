"""``with pool:`` in contexts, generators, tasks and threads: wherever code is suspended or starts afresh."""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context

import numpy as np
import pytest

from bufpool import BufferPool
from tests.support.accounting import handler
from tests.support.threads import in_thread, in_threads

SIZES = (1, 7, 64, 100, 1000, 4096, 10_000, 100_000)  # bytes


# --- contexts ------------------------------------------------------------------------------------------------------


def test_contexts(pool):
    with pool:
        assert copy_context().run(handler) == "bufpool"
        assert Context().run(handler) == "default_allocator"
    inner = copy_context()
    inner.run(pool.install)
    assert not pool.installed
    assert inner.run(lambda: pool.owns(np.ones(3)))
    assert inner.run(pool.uninstall) is True


def test_a_generator_closed_in_another_context(pool):
    other = BufferPool()

    def generate():
        with pool:
            yield pool.owns(np.ones(3))

    generator = generate()
    elsewhere = copy_context()
    assert elsewhere.run(next, generator) is True
    with other:
        generator.close()
        assert other.installed
    assert elsewhere.run(handler) == "bufpool"  # its own context is left as it was
    assert elsewhere.run(pool.uninstall) is True


def test_a_generator_closed_on_another_thread(pool):
    def generate():
        with pool:
            yield

    generator = generate()
    seen = []

    def start():
        next(generator)
        seen.append(pool.installed)

    in_thread(start)
    generator.close()
    assert seen == [True]


def test_interleaved_generators_each_take_out_their_own(pool):
    """A block in a generator leaks into its caller at each yield: known of all context managers (PEP 568)."""
    pools = [BufferPool() for _ in range(3)]

    def generate(mine):
        with mine:
            yield
            yield mine.owns(np.ones(3))

    for order in itertools.permutations(range(3)):
        generators = [generate(each) for each in pools]
        for each in generators:
            next(each)
        assert pools[2].installed
        left = [0, 1, 2]
        for i in order:
            generators[i].close()
            left.remove(i)
            assert [each.installed for each in pools] == [left[-1:] == [k] for k in range(3)]
    assert handler() == "default_allocator"


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    getattr(sys.flags, "thread_inherit_context", 0),
    reason="this Python gives new threads their starter's context",
)
def test_a_new_thread_sees_numpys_default(pool):
    with pool:
        assert in_thread(handler) == "default_allocator"


def test_each_thread_installs_for_itself(pool):
    def work():
        with pool:
            return pool.owns(np.ones(3)), handler()

    assert in_thread(work) == (True, "bufpool")
    assert not pool.installed


def test_thread_pool(pool):
    began = []
    with pool.thread_pool(
        3, initializer=began.append, initargs=("begun",), thread_name_prefix="pooled"
    ) as workers:
        arrays = list(workers.map(np.ones, range(1, 200)))
        names = set(workers.map(lambda _: threading.current_thread().name, range(20)))
    assert all(pool.owns(a) and a.sum() == n for n, a in enumerate(arrays, 1))
    assert set(began) == {"begun"}
    assert all(name.startswith("pooled") for name in names)
    assert not pool.installed


def test_a_decorated_function_in_a_foreign_executor(pool):
    with ThreadPoolExecutor(2) as workers:
        assert all(pool.owns(a) for a in workers.map(pool(np.ones), range(1, 50)))
        assert not any(pool.owns(a) for a in workers.map(np.ones, range(1, 50)))


def test_many_threads_come_and_go(pool):
    wrong = []

    def work(seed: int):
        for i in range(200):
            with pool:
                a = np.full(SIZES[(seed + i) % len(SIZES)], seed, "u1")
                with pool:
                    b = a + 1
            if handler() != "default_allocator" or not (
                pool.owns(b) and (a == seed).all() and (b == seed + 1).all()
            ):
                wrong.append((seed, i))

    in_threads(work, range(8))
    assert wrong == []


# --- asyncio -------------------------------------------------------------------------------------------------------


def test_tasks_see_each_their_own_pool():
    pools = [BufferPool() for _ in range(4)]

    async def work(mine):
        for _ in range(20):
            with mine:
                await asyncio.sleep(0)
                a = np.ones(100)
                await asyncio.sleep(0)
                assert mine.installed
                assert mine.owns(a)
            assert handler() == "default_allocator"
            await asyncio.sleep(0)

    async def everything():
        await asyncio.gather(*(work(each) for each in pools for _ in range(3)))
        assert handler() == "default_allocator"

    asyncio.run(everything())
    assert all(each.stats().in_use_bytes == 0 for each in pools)


def test_a_task_inherits_but_cannot_remove_a_pool(pool):
    async def child():
        assert pool.installed
        assert pool.uninstall() is True
        assert not pool.installed

    async def parent():
        with pool:
            await asyncio.create_task(child())
            assert pool.installed
            assert await asyncio.to_thread(handler) == "bufpool"

    asyncio.run(parent())


def test_a_cancelled_task_leaves_its_block(pool):
    seen = []

    async def work():
        try:
            with pool:
                await asyncio.sleep(60)
        finally:
            seen.append(handler())

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["default_allocator"]


def test_an_asynchronous_generator_closed_by_its_loop(pool):
    async def generate():
        with pool:
            yield np.ones(3)

    async def main():
        async for a in generate():
            assert pool.owns(a)
            break

    asyncio.run(main())
