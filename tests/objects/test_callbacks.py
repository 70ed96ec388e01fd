"""Callbacks that go wrong: what they raise, return, or ask of the pool never costs it an object or a place."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from bufpool import Pool
from bufpool.errors import FactoryError, ReentrantError
from bufpool.objects import runtimes
from tests.support.clients import (
    BreakError,
    Client,
    Maker,
    Thing,
    balanced,
    every_error,
    overdue,
    usable,
    waiting_client,
)


class Once:
    """A callback that raises, or returns, something so many times, and then is content."""

    def __init__(self, what: Any, times: int = 1) -> None:
        self.what = what
        self.left = times

    def __call__(self, thing: Thing) -> Any:
        if self.left == 0:
            return True
        self.left -= 1
        if isinstance(self.what, BaseException):
            raise self.what
        return self.what


@every_error
@pytest.mark.parametrize("role", ["check", "reset", "close"])
def test_an_error_in_a_callback_costs_only_its_object(
    error: BaseException, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An `Exception` is logged; anything else passes on; the accounting is done first."""
    caplog.set_level(logging.INFO, "bufpool")
    maker = Maker()
    callback = Once(error)
    settings: dict[str, Any] = {"close": maker.close} | {role: callback}
    pool = Pool(maker, max_size=2, name="own", **settings)
    first = pool.acquire()
    end = pool.discard if role == "close" else pool.release

    def use() -> None:
        end(first)
        if role == "check":
            pool.release(pool.acquire())

    if isinstance(error, Exception):
        use()
        assert "own" in caplog.text
        assert type(error).__name__ in caplog.text
    else:
        with pytest.raises(type(error)) as caught:
            use()
        assert caught.value is error
        assert caplog.text == ""
    if role != "close":
        assert maker.closed == [first]
    reason = {"check": "broken", "reset": "failed_reset", "close": "discarded"}[role]
    if role == "reset" and not isinstance(error, Exception):
        reason = "broken"
    assert pool.stats().discards[reason] == 1
    assert first not in [pool.acquire(), pool.acquire()]
    for holder in pool.leases():
        pool.release(holder.object)
    assert usable(pool)


@pytest.mark.parametrize("answer", [False, 0, "", ()])
def test_an_object_that_fails_its_check_is_replaced(answer: Any) -> None:
    maker = Maker()
    pool = Pool(maker, max_size=1, close=maker.close, check=Once(answer))
    first = pool.acquire()
    pool.release(first)
    second = pool.acquire()
    assert second is not first
    assert maker.closed == [first]
    pool.release(second)
    assert usable(pool)


@pytest.mark.parametrize("answer", [None, True, 1, "yes", object()])
def test_an_object_that_passes_its_check_is_kept(answer: Any) -> None:
    """None is what a check returns that raises when it finds something."""
    pool = Pool(Thing, check=lambda thing: answer)
    first = pool.acquire()
    pool.release(first)
    assert pool.acquire() is first


def test_an_answer_that_is_neither_true_nor_false_is_no() -> None:

    class Neither:
        def __bool__(self) -> bool:
            raise ValueError

    pool = Pool(Thing, check=Once(Neither()))
    first = pool.acquire()
    pool.release(first)
    assert pool.acquire() is not first


def test_all_idle_objects_may_be_broken() -> None:
    """Each is found out, and a new one is made."""
    maker = Maker()
    pool = Pool(maker, max_size=5, close=maker.close, check=Once(False, times=5))
    pool.wait(5)
    old = list(maker.made)
    thing = pool.acquire()
    assert thing not in old
    assert maker.closed == list(reversed(old))
    pool.release(thing)
    assert usable(pool)


@pytest.mark.parametrize("role", ["check", "reset", "close"])
@pytest.mark.parametrize(
    "error", [ValueError("mine"), BreakError("mine")], ids=["Exception", "BaseException"]
)
def test_who_waits_is_served_whatever_a_callback_does(role: str, error: BaseException) -> None:
    """The place of an object that is lost to a callback goes to who waits."""
    settings: dict[str, Any] = {role: Once(error)}
    if role == "check":
        settings["check_on"] = "return"
    pool = Pool(Thing, max_size=1, **settings)
    thing = pool.acquire()
    client = waiting_client(pool, pool.acquire, None)
    overdue()
    end = pool.discard if role == "close" else pool.release
    try:
        end(thing)
    except BreakError:
        assert isinstance(error, BreakError)
    other = client.result()
    assert other is not thing
    pool.release(other)
    assert usable(pool)


def test_the_blocks_error_passes_on_though_reset_fails() -> None:
    pool = Pool(Thing, reset=Once(ValueError("reset")))
    with pytest.raises(KeyError, match="block"), pool.lease():
        raise KeyError("block")
    assert usable(pool)


def test_callbacks_run_outside_every_lock() -> None:
    """A callback may look at its pool, and change it."""

    def look(*_: object) -> None:
        pool.stats(), pool.leases(), pool.advice(), repr(pool)
        pool.maintain()
        pool.resize(max_size=3)

    pool = Pool(Thing, max_size=2, check=look, reset=look, close=look, check_on=["checkout", "return"])
    for _ in range(3):
        with pool.lease():
            pass
    pool.drain()
    assert usable(pool)


@pytest.mark.parametrize("role", ["factory", "check", "reset", "close"])
def test_a_coroutine_function_is_no_callback_of_threads(role: str, caplog: pytest.LogCaptureFixture) -> None:

    async def coroutine(*_: object) -> None:
        raise AssertionError

    need = r"such callbacks need a bufpool\.AsyncPool"
    with pytest.raises(FactoryError, match=f"pool 'p': {role} is a coroutine function: {need}"):
        Pool(coroutine, name="p") if role == "factory" else Pool(Thing, name="p", **{role: coroutine})

    # Some are seen for what they are only when they are called.
    def never(*_: object) -> Any:
        return coroutine()

    settings: dict[str, Any] = {"backoff": (1e-6, 1e-6)}
    if role == "factory":
        with pytest.raises(FactoryError, match=f"returned a coroutine: {need}"):
            Pool(never, **settings).acquire()
        return
    pool = Pool(Thing, **{role: never}, **settings)
    caplog.set_level(logging.INFO, "bufpool")
    for _ in range(2):
        pool.release(pool.acquire())
    pool.close()
    assert "such callbacks need a bufpool.AsyncPool" in caplog.text
    assert pool.size == 0


# --- the factory, asking its own pool ---


@pytest.mark.parametrize("role", ["factory", "check", "reset", "close"])
@pytest.mark.parametrize("ask", ["acquire", "lease", "try_acquire"])
def test_a_callback_never_waits_for_its_own_pool(role: str, ask: str) -> None:
    """It is told so, in whatever callback, and nothing is lost."""
    told: list[BaseException] = []

    def again(*_: object) -> Thing:
        try:
            {"acquire": pool.acquire, "lease": pool.lease().__enter__, "try_acquire": pool.try_acquire}[ask]()
        except BaseException as error:
            told.append(error)
        return Thing()

    made: Any = again if role == "factory" else Thing
    settings: dict[str, Any] = {} if role == "factory" else {role: again}
    pool = Pool(made, max_size=1, name="own", timeout=1, **settings)
    with pool.lease():
        pass
    with pool.lease():
        pass
    pool.close()
    assert told
    assert all(isinstance(each, ReentrantError) for each in told)
    assert "'own': a callback of the pool asked it for an object, and would wait for itself" in str(told[0])
    assert (pool.size, pool.in_use, pool.waiting) == (0, 0, 0)


def test_a_callback_that_a_task_runs_into_is_told_so_too() -> None:
    """For a pool for threads that is used in a task: the callback blocks the task's thread."""

    def again() -> Thing:
        with pool.lease(timeout=1):
            return Thing()

    async def follow() -> None:
        with pytest.raises(ReentrantError):
            pool.acquire()

    pool = Pool(again, max_size=1)
    asyncio.run(follow())


def test_a_callback_may_acquire_idle_objects() -> None:
    inner = Pool(Thing, max_size=1)

    def make() -> Thing:
        with inner.lease():
            idle = pool.try_acquire() if pool.idle else None
        if idle is not None:
            pool.release(idle)
        return Thing()

    pool = Pool(make, max_size=2)
    pool.wait(1)
    pool.wait(2)
    assert usable(pool)
    assert usable(inner)


def test_a_thread_started_by_a_callback_is_a_client() -> None:
    """It may wait; only the callback's own thread may not."""

    def make() -> Thing:
        if len(pool.leases()) == 0 and pool.size == 1:
            Client(lambda: pool.release(pool.acquire(5))).result()
        return Thing()

    pool = Pool(make, max_size=2)
    pool.release(pool.acquire())
    assert usable(pool)


@pytest.mark.parametrize("way", ["call", "with"])
def test_garbage_collected_as_a_callback_ends(way: str) -> None:
    """CPython 3.11 collects in the middle of `ContextVar.reset`: a finalizer that asks who is in a callback was there.

    The next one to ask read freed memory: a crash, or any error, a `MemoryError` too.
    """

    class Cycle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            asked.append(runtimes.in_callback_of(owner))

    def callback() -> None:
        Cycle()
        gc.set_threshold(gc.get_count()[0] + moment, 1000, 1000)
        gc.enable()

    def run() -> None:
        if way == "call":
            runtimes._call(owner, callback, ())
        else:
            with runtimes.RunningCallback(owner, threading.get_ident()):
                callback()
        gc.disable()

    def at_every_moment() -> None:
        nonlocal moment
        for variable in [ContextVar[int](f"variable {number}") for number in range(40)]:
            variable.set(1)  # so that there is something to take apart
        while moment < 50:
            moment += 1
            gc.collect()
            gc.disable()
            run()
            assert runtimes._callbacks.get() == ()

    owner, moment = object(), 0
    asked: list[bool] = []
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what the suite has made so far would be looked through each time
    try:
        copy_context().run(at_every_moment)
    finally:
        gc.set_threshold(*thresholds)
        gc.enable()
        gc.unfreeze()
    assert asked


# --- what is told ---


def test_a_mistake_in_a_check_is_loud_once(caplog: pytest.LogCaptureFixture) -> None:
    """Every object then fails its check, and the pool reuses nothing."""
    caplog.set_level(logging.INFO, "bufpool")
    pool = Pool(Thing, check=lambda thing: thing.pinng(), name="mistaken")  # type: ignore[attr-defined]
    for _ in range(5):
        with pool.lease():
            pass
    failed = [each for each in caplog.records if "a check failed" in each.message]
    assert [each.levelname for each in failed] == ["WARNING", "INFO", "INFO", "INFO"]
    assert failed[0].exc_info is not None
    assert failed[0].exc_info[0] is AttributeError
    assert "'mistaken'" in failed[0].message
    assert "the next AttributeError is logged at level INFO" in failed[0].message


def test_a_check_that_rejects_everything_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    sound = False
    pool = Pool(Thing, check=lambda thing: sound)
    for _ in range(2):
        for _ in range(25):
            with pool.lease():
                pass
        assert caplog.messages == [f"pool {pool.name!r}: the check rejected 10 objects in a row"]
        sound = True
        with pool.lease():
            pass
        sound = False
        caplog.clear()


def test_any_error_of_a_check_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Also one that is false, and types made at run time, which would fill the log and the memory."""

    def check(thing: Thing) -> None:
        raise type(f"Odd{thing.number}", (ValueError,), {"__len__": lambda self: 0})

    maker = Maker()
    pool = Pool(maker, check=check)
    for _ in range(50):
        with pool.lease():
            pass
    failed = [each for each in caplog.records if "a check failed" in each.message]
    assert len(failed) == 20
    assert all(each.exc_info is not None and each.exc_info[0] is not None for each in failed)


# --- configure and on_acquire ---


def test_each_new_object_is_configured_and_each_checkout_prepared(maker: Maker) -> None:
    told: list[tuple[str, Thing, int]] = []

    def note(what: str) -> Callable[[Thing], None]:
        return lambda thing: told.append((what, thing, threading.get_ident()))

    pool = Pool(maker, max_size=1, configure=note("configure"), on_acquire=note("on_acquire"))
    me = threading.get_ident()
    for get in (pool.acquire, pool.try_acquire):
        thing = get()
        assert thing is not None
        pool.release(thing)
    with pool.lease() as thing:
        assert [what for what, *_ in told] == ["configure", "on_acquire", "on_acquire", "on_acquire"]
    assert {(thing, thread) for _, thing, thread in told} == {(maker.made[0], me)}
    assert balanced(pool)


@every_error
@pytest.mark.parametrize("which", ["configure", "on_acquire"])
def test_an_error_in_configure_or_on_acquire_goes_to_the_client_and_costs_the_object(
    error: BaseException, which: str, maker: Maker
) -> None:
    fails = True

    def callback(_: Thing) -> None:
        if fails:
            raise error

    pool = Pool(maker, max_size=1, close=maker.close, backoff=(1e-6, 1e-6), **{which: callback})
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    for ask in (pool.acquire, pool.try_acquire, pool.lease().__enter__):
        time.sleep(1e-4)
        with pytest.raises(expected):
            ask()
    assert len(maker.made) == 3
    assert maker.alive == []
    fails = False
    time.sleep(1e-4)
    assert usable(pool)


def test_an_idle_object_whose_preparation_fails_is_replaced(maker: Maker) -> None:
    bad: list[Thing] = []

    def prepare(thing: Thing) -> None:
        if thing in bad:
            raise ValueError("mine")

    pool = Pool(maker, max_size=1, close=maker.close, on_acquire=prepare)
    bad.append(pool.acquire())
    pool.release(bad[0])
    with pytest.raises(ValueError, match="mine"):
        pool.acquire()
    assert maker.closed == bad
    assert pool.acquire() not in bad
