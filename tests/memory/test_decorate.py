"""``@pool`` on every kind of function: under the pool while its code runs, and not between."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from contextvars import ContextVar, copy_context

import numpy as np
import pytest

from bufpool import BufferPool
from tests.support.accounting import handler
from tests.support.threads import in_thread


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
    "function",
    [np.ones, lambda n: np.ones(n), functools.partial(np.full, fill_value=1.0), _Callable(), np.zeros],
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
            is_kind = getattr(inspect, kind)
            assert is_kind(pool(function)) is is_kind(function), (function, kind)


def test_a_decorated_generator_pools_its_own_steps(pool):
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


def test_decorated_generators_interleave(pool):
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
    in_thread(generators[0].close)
    generators[1].close()


def test_a_decorated_generator_keeps_other_variables(pool):
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


def test_a_decorated_coroutine_driven_by_hand(pool):
    class Pause:
        def __await__(self):
            return (yield "paused")

    @pool
    async def work():
        try:
            assert pool.installed
            a = np.full(3, await Pause())
            assert pool.installed
            await Pause()
            return a
        finally:
            ended.append(handler())

    ended = []
    coroutine = work()
    assert coroutine.send(None) == "paused"
    assert handler() == "default_allocator"
    assert copy_context().run(coroutine.send, 5) == "paused"
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert pool.owns(stop.value.value)
    assert stop.value.value.tolist() == [5, 5, 5]
    coroutine = work()
    coroutine.send(None)
    coroutine.close()
    assert ended == ["bufpool", "bufpool"]


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
        await asyncio.sleep(0.05)  # its loop closes it
        generator = echo(9)
        await anext(generator)
        with pytest.raises(LookupError):
            await generator.athrow(LookupError)
        del generator, a

    asyncio.run(main())
    gc.collect()
    assert sorted(ended, key=str) == [7, 8, 9, None]
