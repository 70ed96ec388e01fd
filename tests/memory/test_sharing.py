"""Pools that several threads call at full speed, on the free-threaded builds: not counted, and given back all the same.

`bufpool.memory.native._sharing` says what happens to them: deferred references from Python 3.14 on, immortal on 3.13.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from bufpool import BufferPool
from tests.support.accounting import threads_ended
from tests.support.threads import in_threads

MIB = 1 << 20

if getattr(sys, "_is_gil_enabled", lambda: True)():
    pytest.skip("with the GIL threads do not fight over a count", allow_module_level=True)

IMMORTAL = sys.version_info < (3, 14)


def called_by(count: int, call: Callable[[], object], times: int, pause: float = 0.0) -> None:
    def work() -> None:
        start.wait()
        for _ in range(times):
            call()
            if pause:
                time.sleep(pause)

    start = threading.Barrier(count)
    in_threads(work, count)


def uncounted(pool: BufferPool) -> bool:
    """Whether another reference no longer shows in the count."""
    before = sys.getrefcount(pool)
    others = [pool] * 1000
    return sys.getrefcount(pool) == before and len(others) == 1000


def shared(**settings: float | None) -> BufferPool:
    """A pool that two threads called until it was counted no longer."""
    pool = BufferPool(name="shared", **settings)
    end = time.monotonic() + 60  # on a busy machine two threads rarely run at once
    while not pool._shared and time.monotonic() < end:
        called_by(2, lambda: pool.empty(100, "u1"), 20_000)
    assert pool._shared
    return pool


@pytest.fixture(autouse=True)
def at_each_look() -> Iterator[None]:
    """Looks of the collector's own would come between."""
    gc.disable()
    yield
    gc.enable()


def test_called_by_several_threads_at_full_speed() -> None:
    pool = shared()
    if IMMORTAL:
        assert uncounted(pool)
    a = pool.ones(10)
    assert a.sum() == 10
    assert pool.owns(a)


def by_one_thread(pool: BufferPool) -> None:
    called_by(1, lambda: pool.empty(100, "u1"), 100_000)


def by_threads_in_turns(pool: BufferPool) -> None:
    for _ in range(20):
        called_by(1, lambda: pool.empty(100, "u1"), 5000)


def by_slow_threads(pool: BufferPool) -> None:
    called_by(2, lambda: pool.empty(100, "u1"), 600, 0.0005)


@pytest.mark.parametrize("call", [by_one_thread, by_threads_in_turns, by_slow_threads])
def test_any_other_pool_is_freed_by_its_last_reference(call: Callable[[BufferPool], None]) -> None:
    pool = BufferPool()
    call(pool)
    assert not pool._shared
    weak = weakref.ref(pool)
    del pool
    threads_ended(lambda: weak() is None)  # a thread's last reference goes when the system has ended it
    assert weak() is None


def test_a_collection_returns_a_dropped_ones_memory() -> None:
    """The pool too, where the collector can see it."""
    pool = shared()
    for n in (1000, 300_000, 8 * MIB):
        pool.full(n, 1, "u1")
    reading = pool._read
    weak = weakref.ref(pool)
    assert reading()["reserved_bytes"] > 8 * MIB
    if IMMORTAL:
        del reading, pool
        gc.collect()
        left = weak()
        assert left is not None
        assert threads_ended(lambda: gc.collect() < 0 or left._read()["reserved_bytes"] == 0)
    else:
        del reading, pool
        gc.collect()
        assert weak() is None


@pytest.mark.skipif(not IMMORTAL, reason="the collector frees it")
def test_memory_of_one_that_is_referred_to_stays() -> None:
    holder = [shared()]
    holder[0].full(8 * MIB, 1, "u1")
    gc.collect()
    assert holder[0].stats().idle_bytes >= 8 * MIB


@pytest.mark.skipif(not IMMORTAL, reason="the collector frees it")
def test_the_collectors_own_runs_look_too_but_not_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from bufpool.memory.native import _sharing

    pool = shared()
    pool.full(8 * MIB, 1, "u1")
    weak = weakref.ref(pool)
    del pool
    left = weak()
    assert left is not None
    _sharing.give_back_memory(
        "stop", {"generation": 2}
    )  # as `gc.collect()` does; the next second is free of looks
    assert left.stats().idle_bytes < 8 * MIB
    left.full(8 * MIB, 1, "u1")
    _sharing.give_back_memory("start", {"generation": 2})
    _sharing.give_back_memory("stop", {"generation": 0})
    assert left.stats().idle_bytes >= 8 * MIB
    end = time.monotonic() + 30
    while left.stats().idle_bytes >= 8 * MIB and time.monotonic() < end:
        time.sleep(0.1)
        _sharing.give_back_memory("stop", {"generation": 0})
    assert left.stats().idle_bytes < 8 * MIB


@pytest.mark.skipif(not IMMORTAL, reason="the collector frees it")
def test_many_that_are_dropped_keep_little() -> None:
    """An object and an arena's own records each; no blocks."""
    import psutil

    process = psutil.Process()
    shared().full(MIB, 1, "u1")
    gc.collect()
    before = process.memory_info().rss
    for _ in range(10):
        shared().full(4 * MIB, 1, "u1")
        gc.collect()
    assert process.memory_info().rss - before < 10 * MIB
