"""Waiting at the limit: who waits is woken by the return, and does not come upon it at the next look."""

from __future__ import annotations

import statistics
import threading
import time

import pytest

from bufpool import BufferPool

MIB = 1 << 20


@pytest.mark.slow
def test_a_return_wakes_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiter looks every 5 ms by itself. Here the block comes back just after a look, so that one who is not woken
    sleeps for nearly all of them."""
    clock = time.monotonic
    looks = threading.Semaphore(0)
    waiters: list[threading.Thread] = []

    def looked() -> float:
        if threading.current_thread() in waiters:
            looks.release()
        return clock()

    monkeypatch.setattr(time, "monotonic", looked)
    pools, slept = [], []
    for _ in range(21):
        pool = BufferPool(limit=MIB, timeout=30)  # one that nobody ever waited for
        pools.append(pool)
        held = [pool.empty(MIB, "u1")]
        served: list[float] = []

        def wait(pool: BufferPool = pool, served: list[float] = served) -> None:
            pool.empty(MIB, "u1")
            served.append(time.perf_counter())

        waiters[:] = [threading.Thread(target=wait)]
        waiters[0].start()
        for _ in range(3):  # when it asks, and before two looks
            assert looks.acquire(timeout=20)
        time.sleep(0.0005)  # the look itself
        returned = time.perf_counter()
        held.clear()
        waiters[0].join()
        slept.append(served[0] - returned)
        while looks.acquire(blocking=False):
            pass
    assert statistics.median(slept) < 0.0025
