"""A pool in contexts, generators, tasks and threads: ``with pool:`` and ``@pool`` wherever code is suspended."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar, copy_context

import numpy as np
import pytest

from bufpool import BufferPool

SIZES = (1, 7, 64, 100, 1000, 4096, 10_000, 100_000)  # bytes


def handler() -> str:
    """The name of the allocator that NumPy uses in this context."""
    return np._core.multiarray.get_handler_name()


@pytest.fixture(autouse=True)
def _nothing_stays_installed():
    assert handler() == "default_allocator"
    yield
    assert handler() == "default_allocator"


@pytest.fixture
def pool():
    """A pool that has everything back when the test is over."""
    pool = BufferPool()
    yield pool
    gc.collect()
    assert pool.stats().in_use_bytes == 0


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


def test_a_generator_closed_in_another_context_changes_nothing_there(pool):
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

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
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


def in_thread(function):
    result = []
    thread = threading.Thread(target=lambda: result.append(function()))
    thread.start()
    thread.join()
    return result[0]


@pytest.mark.skipif(
    getattr(sys.flags, "thread_inherit_context", 0), reason="this Python gives new threads their starter's context"
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
    with pool.thread_pool(3, initializer=began.append, initargs=("begun",), thread_name_prefix="pooled") as workers:
        arrays = list(workers.map(np.ones, range(1, 200)))
        names = set(workers.map(lambda _: threading.current_thread().name, range(20)))
    assert all(pool.owns(a) and a.sum() == n for n, a in enumerate(arrays, 1))
    assert set(began) == {"begun"}
    assert all(name.startswith("pooled") for name in names)
    assert not pool.installed


def test_a_decorated_function_carries_the_pool_into_a_foreign_executor(pool):
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
            if handler() != "default_allocator" or not (pool.owns(b) and (a == seed).all() and (b == seed + 1).all()):
                wrong.append((seed, i))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
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


def test_a_task_inherits_and_cannot_take_out_what_its_parent_has(pool):
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


# --- @pool ---------------------------------------------------------------------------------------------------------


def test_a_decorated_function(pool):
    @pool
    def add(a, /, b, *more, scale=1):
        """Says what it does."""
        assert pool.installed
        return (np.add(a, b) + sum(more)) * scale

    result = add(np.ones(3), 2, 3, scale=10)
    assert pool.owns(result)
    assert (result == 60).all()
    assert (add.__name__, add.__doc__) == ("add", "Says what it does.")
    assert list(inspect.signature(add).parameters) == ["a", "b", "more", "scale"]


def test_a_decorated_function_raises_and_recurses(pool):
    @pool
    def down(n):
        assert pool.installed
        if n == 0:
            raise LookupError("bottom")
        down(n - 1)

    with pytest.raises(LookupError, match="bottom"):
        down(20)


def test_decorated_methods(pool):
    class Thing:
        @pool
        def method(self):
            return self, np.ones(2)

        @classmethod
        @pool
        def of_class(cls):
            return cls, np.ones(2)

        @staticmethod
        @pool
        def static():
            return None, np.ones(2)

        @property
        @pool
        def value(self):
            return self, np.ones(2)

    thing = Thing()
    results = [thing.method(), Thing.of_class(), thing.static(), thing.value, Thing.method(thing)]
    assert [who for who, _ in results] == [thing, Thing, None, thing, thing]
    assert all(pool.owns(a) for _, a in results)


class _Callable:
    def __call__(self, n):
        return np.ones(n)


@pytest.mark.parametrize(
    "function", [np.ones, lambda n: np.ones(n), functools.partial(np.full, fill_value=1.0), _Callable(), np.zeros]
)
def test_anything_that_can_be_called(pool, function):
    assert pool.owns(pool(function)(5))


@pytest.mark.parametrize("thing", [None, 3, "name", np.ones(2)])
def test_what_cannot_be_called_is_refused(pool, thing):
    with pytest.raises(TypeError, match="expected a function"):
        pool(thing)


def test_two_pools_on_one_function(pool):
    inner = BufferPool()

    @pool
    @inner
    def make():
        return np.ones(3)

    assert inner.owns(make())


def test_kinds_are_kept(pool):
    def plain(): ...

    def generator():
        yield

    async def coroutine(): ...

    async def asynchronous_generator():
        yield

    for function in (plain, generator, coroutine, asynchronous_generator):
        for kind in ("isgeneratorfunction", "iscoroutinefunction", "isasyncgenfunction"):
            assert getattr(inspect, kind)(pool(function)) is getattr(inspect, kind)(function), (function, kind)


def test_a_decorated_generator_runs_under_the_pool_and_not_between(pool):
    @pool
    def echo(first):
        received = []
        given = first
        try:
            while given is not None:
                assert pool.installed
                try:
                    given = yield np.full(3, given)
                except KeyError as error:
                    given = error.args[0]
                received.append(given)
        finally:
            assert pool.installed
            received.append("closed")
        return received

    def delegate():
        return (yield from echo(1))

    for generator in (echo(1), delegate()):
        assert handler() == "default_allocator"
        out = [next(generator)]
        assert handler() == "default_allocator"
        out += [generator.send(2), generator.throw(KeyError(3)), generator.send(4)]
        assert handler() == "default_allocator"
        assert [int(a[0]) for a in out] == [1, 2, 3, 4]
        assert all(pool.owns(a) for a in out)
        with pytest.raises(StopIteration) as stop:
            generator.send(None)
        assert stop.value.value == [2, 3, 4, None, "closed"]


@pytest.mark.parametrize("end", ["close", "del", "throw", "exhaust"])
def test_a_decorated_generator_ends_under_the_pool(pool, end):
    ended = []

    @pool
    def generate():
        try:
            yield 1
        finally:
            ended.append((handler(), pool.owns(np.ones(3))))

    generator = generate()
    assert next(generator) == 1
    if end == "close":
        generator.close()
    elif end == "del":
        del generator
        gc.collect()
    elif end == "throw":
        with pytest.raises(LookupError):
            generator.throw(LookupError)
    else:
        assert list(generator) == []
    assert ended == [("bufpool", True)]


def test_a_decorated_generator_that_was_never_started(pool):
    @pool
    def generate():
        yield 1

    generator = generate()
    generator.close()
    assert list(generator) == []


def test_a_decorated_generator_that_does_not_want_to_end(pool):
    @pool
    def generate():
        try:
            yield 1
        except GeneratorExit:
            yield 2

    generator = generate()
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()


def test_decorated_generators_interleave_and_move_between_contexts(pool):
    other = BufferPool()
    pools = [pool, other]

    def generate(mine):
        for _ in range(5):
            assert mine.installed
            yield np.ones(3)

    generators = [each(generate)(each) for each in pools]
    for step in range(5):
        for mine, generator in zip(pools, generators, strict=True):
            run = copy_context().run if step % 2 else (lambda function, *args: function(*args))
            a = run(next, generator)
            assert mine.owns(a)
            del a
            assert handler() == "default_allocator"
    in_other_thread = threading.Thread(target=generators[0].close)
    in_other_thread.start()
    in_other_thread.join()
    generators[1].close()


def test_a_decorated_generator_keeps_the_contexts_other_variables(pool):
    variable = ContextVar("variable", default="none")

    @pool
    def generate():
        variable.set("set inside")
        yield

    def inside():
        list(generate())
        return variable.get()

    assert copy_context().run(inside) == "set inside"


def test_a_decorated_coroutine(pool):
    between = []

    @pool
    async def work(n):
        await asyncio.sleep(0)
        assert pool.installed
        a = np.ones(n)
        await asyncio.sleep(0.001)
        assert pool.installed
        return a

    async def watch():
        for _ in range(5):
            between.append(handler())
            await asyncio.sleep(0)

    async def main():
        a = await work(3)
        assert handler() == "default_allocator"
        b, c, _ = await asyncio.gather(work(4), asyncio.create_task(work(5)), watch())
        assert [pool.owns(each) for each in (a, b, c)] == [True] * 3

    asyncio.run(main())
    assert set(between) == {"default_allocator"}


def test_a_decorated_coroutine_fails_and_is_cancelled(pool):
    seen = []

    @pool
    async def work(wait):
        try:
            await asyncio.sleep(wait)
            raise LookupError("done")
        except asyncio.CancelledError:
            seen.append(pool.owns(np.ones(3)))
            raise

    async def main():
        with pytest.raises(LookupError, match="done"):
            await work(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work(60), 0.01)
        task = asyncio.create_task(work(60))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == [True, True]


def test_a_decorated_asynchronous_generator(pool):
    @pool
    async def echo(given):
        try:
            while given is not None:
                await asyncio.sleep(0)
                assert pool.installed
                try:
                    given = yield np.full(3, given)
                except KeyError as error:
                    given = error.args[0]
        finally:
            await asyncio.sleep(0)
            assert pool.installed
            ended.append(given)

    ended = []

    async def main():
        generator = echo(1)
        out = [await anext(generator), await generator.asend(2), await generator.athrow(KeyError(3))]
        assert handler() == "default_allocator"
        assert [int(a[0]) for a in out] == [1, 2, 3]
        assert all(pool.owns(a) for a in out)
        with pytest.raises(StopAsyncIteration):
            await generator.asend(None)
        generator = echo(7)
        await anext(generator)
        await generator.aclose()
        async for a in echo(8):
            assert pool.owns(a)
            break
        with pytest.raises(LookupError):
            generator = echo(9)
            await anext(generator)
            await generator.athrow(LookupError)
        del generator, a

    asyncio.run(main())
    gc.collect()
    assert sorted(ended, key=str) == [7, 8, 9, None]
