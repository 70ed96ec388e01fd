"""What tests of object pools have in common: things to pool, clients in threads, and the count of what there is."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import AsyncPool, Pool
from bufpool.objects.runtimes import TaskRuntime

A_WHILE = 0.06  # seconds; the clock by which objects age moves in steps of some milliseconds
PATIENCE = 30.0  # seconds after which a test says that something never came


class BreakError(BaseException):
    """Not an `Exception`."""


ERRORS = (ValueError("mine"), BreakError("mine"), KeyboardInterrupt(), SystemExit(1), GeneratorExit(), StopIteration())
every_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)


class Thing:
    """Something to pool."""

    def __init__(self, number: int = 0) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"Thing({self.number})"


class Maker:
    """A factory, and a way to close, that remember everything that they had."""

    def __init__(self) -> None:
        self.made: list[Thing] = []
        self.closed: list[Thing] = []

    def __call__(self) -> Thing:
        thing = Thing(len(self.made))
        self.made.append(thing)
        return thing

    def close(self, thing: Thing) -> None:
        assert thing not in self.closed
        self.closed.append(thing)

    @property
    def alive(self) -> list[Thing]:
        return [each for each in self.made if each not in self.closed]


class Failing:
    """A factory that does what it is told: raises what stands in `error`, or makes a thing."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.calls = 0

    def __call__(self) -> Thing:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return Thing(self.calls)


class Gate:
    """A callback that says that it is there, and stays until it is let go."""

    def __init__(self, answer: Callable[..., Any] = lambda *_: None) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.answer = answer

    def __call__(self, *args: Any) -> Any:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        return self.answer(*args)

    def reached(self) -> None:
        assert self.entered.wait(PATIENCE)

    def open(self) -> None:
        self.opened.set()


def maintenance_timers(loop: asyncio.AbstractEventLoop) -> int:
    """How many timers for the maintenance of pools a loop has."""
    name = TaskRuntime._start_round.__qualname__
    return sum(name in repr(each) for each in loop._scheduled)  # type: ignore[attr-defined]


class Client:
    """A thread that calls a function, and what came of it."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._call = (function, args, kwargs)
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        function, args, kwargs = self._call
        try:
            self._value = function(*args, **kwargs)
        except BaseException as error:
            self._error = error

    @property
    def busy(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> Any:
        """What the function returned; raises what it raised."""
        self._thread.join(PATIENCE)
        assert not self.busy, "the client never came back"
        if self._error is not None:
            raise self._error
        return self._value

    def error(self) -> BaseException | None:
        self._thread.join(PATIENCE)
        assert not self.busy, "the client never came back"
        return self._error


def filled(maker: Maker, count: int, **settings: Any) -> Pool[Thing]:
    """A pool of so many idle objects; number 0 has been idle longest."""
    pool = Pool(maker, close=maker.close, **({"max_size": count} | settings))
    things = [pool.acquire() for _ in range(count)]
    for thing in things:
        pool.release(thing)
    return pool


def until(condition: Callable[[], object], what: str = "") -> None:
    """Return as soon as it is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"it never came to that {what}"
        time.sleep(0.0005)


def waiting_client(pool: Pool[Any], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Client:
    """A client that waits now, behind all others."""
    before = pool.waiting
    client = Client(function, *args, **kwargs)
    until(lambda: pool.waiting == before + 1, "that the client waits")
    return client


def overdue() -> None:
    """Let pass the time from which on who waits is served in turn."""
    time.sleep(0.003)


def balanced(pool: Pool[Any], out: int = 0) -> bool:
    """Every object is idle or out, and so many are out; nobody waits."""
    if pool.in_use != out:
        gc.collect()  # a lease that nobody ended may lie in a cycle
    stats = pool.stats()
    assert (stats.in_use, stats.idle, stats.waiting) == (out, stats.size - out, 0)
    assert len(pool.leases()) == out
    return True


def usable(pool: Pool[Any]) -> bool:
    """All of its objects can be had at once, each is in one hand, and one more is refused."""
    assert balanced(pool)
    held = [pool.acquire(timeout=5) for _ in range(pool.max_size)]
    assert len({id(each) for each in held}) == len(held)
    if pool._core.engine.settings.overflow != "create":
        assert pool.try_acquire() is None
    for each in held:
        pool.release(each)
    return balanced(pool)


def whole(pool: Pool[Any] | AsyncPool[Any]) -> bool:
    """Nothing is out, nobody waits."""
    return (pool.in_use, pool.waiting, pool.size) == (0, 0, pool.idle)


async def turns(count: int = 3) -> None:
    """Let the other tasks run until they wait."""
    for _ in range(count):
        await asyncio.sleep(0)
