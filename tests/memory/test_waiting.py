"""Waiting at the limit: who waits is woken, and served first come, first served; large requests do not starve."""

from __future__ import annotations

import gc
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from bufpool import BufferPool, LimitTimeoutError
from tests.support.accounting import all_back

MIB = 1 << 20
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
alarms = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer here")


def waits(pool: BufferPool, count: int) -> None:
    """Return when so many requests wait."""
    until = time.monotonic() + 20
    while pool._waiting != count:
        assert time.monotonic() < until
        time.sleep(0.0005)


def client(work: Callable[..., None], *args: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=args)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_return_wakes_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiter looks every 5 ms by itself. The block comes back at any moment between two looks, so that waiters which
    are not woken sleep for more than 2 ms in the median."""
    monkeypatch.setattr(gc, "collect", lambda: 0)  # it takes longer than that, and then the waiter looks, too
    pool = BufferPool(limit=MIB, timeout=30)
    generator = random.Random(1)
    slept = []
    for _ in range(81):
        held = [pool.empty(MIB, "u1")]
        served: list[float] = []

        def wait(served: list[float] = served) -> None:
            block = pool.empty(MIB, "u1")
            served.append(time.perf_counter())
            del block

        waiter = client(wait)
        waits(pool, 1)
        time.sleep(0.01 + generator.uniform(0, 0.005))
        returned = time.perf_counter()
        held.clear()
        waiter.join()
        slept.append(served[0] - returned)
    assert statistics.median(slept) < 0.0012


def test_first_come_first_served() -> None:
    """Also where all would fit at once when room comes."""
    pool = BufferPool(limit=8 * MIB, timeout=60)
    held = [pool.empty(8 * MIB, "u1")]
    served: list[int] = []
    lock = threading.Lock()

    def get(number: int, size: int) -> None:
        block = pool.empty(size, "u1")
        with lock:
            served.append(number)
        del block

    clients = []
    for number, size in enumerate((8 * MIB, MIB, 8 * MIB, 64, 4 * MIB, 8 * MIB)):
        clients.append(client(get, number, size))
        waits(pool, number + 1)
    time.sleep(0.05)  # the last one is no newcomer any more
    held.clear()
    for each in clients:
        each.join()
    # Two neighbours that fit together are served at once, and may write in either order.
    assert [sorted(served[i:j]) for i, j in ((0, 1), (1, 2), (2, 3), (3, 5), (5, 6))] == [
        [0],
        [1],
        [2],
        [3, 4],
        [5],
    ]
    assert all_back(pool)


@pytest.mark.slow
def test_equal_threads_get_equal_shares() -> None:
    """A thread that has just returned its block does not take it again before those who wait."""
    pool = BufferPool(limit=64 * MIB, timeout=10)
    served = [0, 0, 0]
    stop = time.monotonic() + 2

    def work(number: int) -> None:
        while time.monotonic() < stop:
            frame = pool.empty(40 * MIB, "u1")  # one fits at a time
            time.sleep(0.002)
            del frame
            served[number] += 1

    clients = [client(work, number) for number in range(3)]
    for each in clients:
        each.join()
    assert min(served) >= 0.7 * max(served)
    assert sum(served) >= 100  # about 900 on a quiet machine
    assert pool.stats().refused == 0


def test_small_requests_do_not_starve_a_large_one() -> None:
    """Room accumulates for it, though at any moment some small ones are out."""
    pool = BufferPool(limit=64 * MIB, timeout=30)
    done = threading.Event()

    def work(wait: float) -> None:
        while not done.is_set():
            block = pool.empty(20 * MIB, "u1")
            time.sleep(wait)
            del block

    clients = [client(work, 0.003 + 0.001 * number) for number in range(3)]
    try:
        for _ in range(20):
            assert pool.empty(64 * MIB, "u1").nbytes == 64 * MIB
    finally:
        done.set()
        for each in clients:
            each.join()
    assert pool.stats().refused == 0


def test_a_holder_passes_a_large_waiting_request() -> None:
    """All would wait for ever: the large one for memory of this one, and this one for its turn."""
    pool = BufferPool(limit=64 * MIB, timeout=None)
    held = [pool.empty(20 * MIB, "u1")]
    large = client(lambda: pool.empty(60 * MIB, "u1") is None)
    waits(pool, 1)
    time.sleep(0.005)
    held += [pool.empty(MIB, "u1") for _ in range(4)]
    assert pool._waiting == 1
    held.clear()
    large.join()
    assert all_back(pool)


def test_a_time_out_lets_the_next_one_in() -> None:
    """The small request fits all the time; it came later, and outlives the one before it."""
    pool = BufferPool(limit=8 * MIB, timeout=2)
    held = [pool.empty(4 * MIB, "u1")]
    late: list[str] = []

    def get() -> None:
        with pytest.raises(LimitTimeoutError):
            pool.empty(8 * MIB, "u1")
        late.append("large")

    large = client(get)
    waits(pool, 1)
    time.sleep(0.5)
    assert pool.empty(MIB, "u1").nbytes == MIB
    large.join()
    assert (late, pool._waiting, pool.stats().refused) == (["large"], 0, 1)
    del held
    assert all_back(pool)


def test_a_request_served_after_waiting_is_no_refusal() -> None:
    pool = BufferPool(limit=MIB, timeout=30)
    for _ in range(3):
        held = [pool.empty(MIB, "u1")]
        waiter = client(lambda: pool.empty(MIB, "u1") is None)
        waits(pool, 1)
        assert pool.stats().refused == 0
        held.clear()
        waiter.join()
    assert pool.stats().refused == 0


class StopError(Exception):
    """What a handler raises."""


@alarms
def test_who_is_interrupted_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next one is served."""
    # The collector's callbacks, which other packages install, would lose the exception.
    monkeypatch.setattr(gc, "collect", lambda: 0)
    pool = BufferPool(limit=4 * MIB, timeout=60)
    held = [pool.empty(4 * MIB, "u1")]
    second: list[threading.Thread] = []

    def handler(*_: object) -> None:
        second.append(client(lambda: pool.empty(4 * MIB, "u1") is None))
        waits(pool, 2)
        raise StopError

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        with pytest.raises(StopError):
            pool.empty(4 * MIB, "u1")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert pool._waiting == 1
    held.clear()
    second[0].join()
    assert all_back(pool)


@alarms
def test_a_signal_handler_passes_the_waiting_request() -> None:
    """Room is kept for that one, which cannot go on before the handler is done."""
    pool = BufferPool(limit=4 * MIB, timeout=60)
    held = [pool.empty(2 * MIB, "u1")]
    took: list[float] = []

    def handler(*_: object) -> None:
        began = time.monotonic()
        assert pool.empty(MIB, "u1").nbytes == MIB
        took.append(time.monotonic() - began)
        held.clear()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.03)
        assert pool.empty(4 * MIB, "u1").nbytes == 4 * MIB
    finally:
        signal.signal(signal.SIGALRM, before)
    assert took[0] < 0.8  # a stranger would be let pass after a second
    assert all_back(pool)


@forks
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_queue_begins_anew_in_a_forks_child() -> None:
    """Nothing is kept there for a thread that is not there."""
    pool = BufferPool(limit=4 * MIB, timeout=20)
    held = [pool.empty(2 * MIB, "u1")]
    waiter = client(lambda: pool.empty(4 * MIB, "u1") is None)
    waits(pool, 1)
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        signal.alarm(15)
        right = pool._waiting == 0
        began = time.monotonic()
        block = pool.empty(2 * MIB, "u1")
        right = right and time.monotonic() - began < 5 and block.nbytes == 2 * MIB
        os._exit(0 if right else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pool._waiting == 1
    held.clear()
    waiter.join()
    assert all_back(pool)


def test_a_waiter_collects_for_a_small_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a large program a collection takes long, and stops all threads."""
    took: list[float] = []

    def collect() -> int:
        took.append(0.05)
        time.sleep(0.05)
        return 0

    monkeypatch.setattr(gc, "collect", collect)
    pool = BufferPool(limit=MIB, timeout=0.9)
    held = pool.empty(MIB, "u1")
    with pytest.raises(LimitTimeoutError):
        pool.empty(MIB, "u1")
    assert len(took) == 1  # the next one would come after 20 times as long
    del held
