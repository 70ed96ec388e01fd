"""The limit: what counts, what makes room, who waits and for how long, and what a refusal says."""

from __future__ import annotations

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import bufpool
from bufpool import (
    BufferPool,
    LimitError,
    LimitTimeoutError,
    SizeError,
)
from tests.support.accounting import conserved
from tests.support.refusals import BY_SIZE, LIMIT, MAX_BLOCK, PROTOTYPE, Ask, asking, refused
from tests.support.threads import in_threads

MIB = 1 << 20

MORE_THAN_THE_LIMIT = "requested 1.0 MiB (a block of 1.1 MiB); the pool's limit is 1 MiB (0 in use, 0 idle)"


pytestmark = pytest.mark.pool(limit=LIMIT)


@asking(BY_SIZE)
def test_more_than_the_limit(pool: BufferPool, ask: Ask) -> None:
    refused(pool, LimitError, MemoryError, lambda: ask(pool, LIMIT + 1), MORE_THAN_THE_LIMIT)
    assert pool.stats().reserved_bytes == 0


@asking(BY_SIZE)
def test_limit_reached(pool: BufferPool, ask: Ask) -> None:
    """The message tells what is in use, and the room is there again afterwards."""
    size = LIMIT // 4
    taken = [pool.empty(size, "u1") for _ in range(4)]
    with pytest.raises(
        LimitError, match=r"'tested': requested 256 KiB; the pool's limit is 1 MiB \(1 MiB in use, 0 idle\)$"
    ):
        ask(pool, size)
    assert pool.stats().in_use_bytes == LIMIT
    assert conserved(pool)
    taken.pop()
    ask(pool, size)
    assert conserved(pool)


@asking(BY_SIZE)
def test_limit_reached_with_a_timeout(ask: Ask) -> None:
    pool = BufferPool(LIMIT, timeout=0.01, name="tested")
    taken = pool.empty(LIMIT, "u1")
    with pytest.raises(
        TimeoutError, match=r"'tested': requested 1000 bytes \(a block of 1 KiB\); .*1 MiB in use.*waited"
    ) as caught:
        ask(pool, 1000)
    assert type(caught.value) is LimitTimeoutError
    assert isinstance(caught.value, MemoryError)
    assert (pool.stats().in_use_bytes, taken.size) == (LIMIT, LIMIT)


def test_sizes_that_look_the_same_rounded_are_exact() -> None:
    pool = BufferPool(1_150_000, name="tested")
    with pytest.raises(LimitError) as caught:
        pool.empty(1_110_000, "u1")
    assert str(caught.value) == (
        "pool 'tested': requested 1,110,000 bytes (a block of 1,179,648 bytes); the pool's limit is 1,150,000 bytes "
        "(0 in use, 0 idle)"
    )


@asking(BY_SIZE)
def test_what_can_never_come_is_not_waited_for(ask: Ask) -> None:
    """A request above the limit, where the timeout is none."""
    pool = BufferPool(LIMIT, timeout=None, name="tested")
    outcome = []

    def work() -> None:
        with pytest.raises(LimitError, match="tested"):
            ask(pool, 2 * LIMIT)
        outcome.append("refused")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert outcome == ["refused"]


def test_idle_memory_of_other_sizes_makes_room(pool: BufferPool) -> None:
    small = [pool.empty(1000, "u1") for _ in range(1000)]
    small.clear()
    assert pool.empty(LIMIT, "u1").size == LIMIT


def test_garbage_makes_room_for_what_numpy_builds(pool: BufferPool) -> None:
    """NumPy is refused, the garbage goes, and NumPy tries again."""
    cycle: list[Any] = [pool.empty(LIMIT, "u1")]
    cycle.append(cycle)
    del cycle
    assert pool.empty_like(np.empty(LIMIT, "u1")).size == LIMIT


def test_garbage_makes_more_room_than_numpy_needs(pool: BufferPool) -> None:
    """Memory that was freed for NumPy's second attempt, and not needed, is purged."""
    cycle: list[Any] = [pool.empty(LIMIT // 2, "u1"), pool.empty(LIMIT // 2, "u1")]
    cycle.append(cycle)
    del cycle
    array = pool.empty_like(np.empty(LIMIT // 2, "u1"))
    assert conserved(pool).in_use_bytes == array.nbytes == LIMIT // 2


@pytest.mark.parametrize("limit", [0, 1, 63])
def test_limit_below_one_block(limit: int) -> None:
    pool = BufferPool(limit, name="tested")
    refused(pool, LimitError, MemoryError, lambda: pool.empty(1, "u1"), limit)


def test_without_a_limit_the_message_names_none() -> None:
    """The system, or the block's size, is what stands in the way."""
    pool = BufferPool(name="tested")
    refused(pool, SizeError, ValueError, lambda: pool.zeros_like(PROTOTYPE, shape=MAX_BLOCK + 1), "64 TiB")
    refused(pool, SizeError, ValueError, lambda: pool.empty_like(PROTOTYPE, shape=-1), -1)


def test_memory_error_of_the_callers_own_code(pool: BufferPool) -> None:
    """What the pool did not refuse, it does not explain."""

    class Fails:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise MemoryError("mine")

    with pytest.raises(MemoryError, match="mine") as caught:
        pool.array(Fails())
    assert type(caught.value) is MemoryError


# --- what counts ---


@pytest.mark.parametrize("nbytes", [64, 4096, 1 * MIB, 5 * MIB])
def test_a_pool_of_one_block(nbytes: int) -> None:
    pool = bufpool.BufferPool(bufpool.good_size(nbytes))
    for _ in range(3):
        a = pool.empty(nbytes, "u1")
        with pytest.raises(bufpool.LimitError):
            pool.empty(nbytes, "u1")
        del a
    assert conserved(pool).in_use_bytes == 0


def test_the_limit_purges_idle_memory_first() -> None:
    pool = bufpool.BufferPool(8 * MIB)
    small = [pool.empty(MIB, "u1") for _ in range(8)]
    del small
    a = pool.empty(8 * MIB, "u1")
    stats = conserved(pool)
    assert stats.reserved_bytes == 8 * MIB
    assert stats.misses == 8  # their memory is the large block's now
    del a


def test_at_the_limit_an_idle_block_among_others_goes() -> None:
    pool = bufpool.BufferPool(MIB)
    four = [pool.empty(MIB // 4, "u1") for _ in range(4)]
    del four[1]
    assert pool.empty(1000, "u1").nbytes == 1000
    assert conserved(pool).reserved_bytes <= MIB


def test_at_the_limit_garbage_is_collected() -> None:
    pool = bufpool.BufferPool(4 * MIB)

    class Knot:
        pass

    knot: Any = Knot()
    knot.self, knot.array = knot, pool.empty(4 * MIB, "u1")
    del knot
    assert pool.empty(4 * MIB, "u1").nbytes == 4 * MIB


def test_a_waiter_gets_what_comes_back() -> None:
    pool = bufpool.BufferPool(4 * MIB, timeout=30)
    held = [pool.empty(4 * MIB, "u1")]
    timer = threading.Timer(0.05, held.clear)
    timer.start()
    a = pool.empty(4 * MIB, "u1")
    timer.join()
    assert a.nbytes == conserved(pool).in_use_bytes


def test_a_waiter_gives_up_in_time() -> None:
    pool = bufpool.BufferPool(4 * MIB, timeout=0.05, name="tight")
    a = pool.empty(4 * MIB, "u1")
    started = time.monotonic()
    with pytest.raises(
        bufpool.LimitTimeoutError, match=r"'tight': requested 1 byte .*limit is 4 MiB .*waited [\d.]+ s"
    ) as caught:
        pool.empty(1, "u1")
    assert time.monotonic() - started >= 0.05
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, TimeoutError)
    del a


def test_many_waiters_with_stale_names_lose_nothing() -> None:
    """Each thread still has its last array's name when it asks for the next: a lease's name must not hold memory."""
    pool = bufpool.BufferPool(2 * MIB, timeout=60)
    served = []

    def client(number: int) -> None:
        for _ in range(20):
            with pool.lease(MIB, "u1") as a:
                a[::4096] = number
                time.sleep(0)
                assert (a[::4096] == number).all()
            served.append(number)

    in_threads(client, range(6))
    assert len(served) == 120
    assert conserved(pool).in_use_bytes == 0
    assert pool.stats().reserved_bytes <= 2 * MIB


def test_requests_that_fit_together_are_never_refused() -> None:
    """Four threads, each with one block of at most a quarter of the limit: idle memory of other sizes makes room."""
    pool = bufpool.BufferPool(limit=4 * MIB)
    sizes = [64 << 10, 300 << 10, 700 << 10, MIB]

    def work(seed: int) -> None:
        generator = random.Random(seed)
        for _ in range(400):
            pool.empty(generator.choice(sizes), "u1")[-1] = 1

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as workers:
            list(workers.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert conserved(pool).refused == 0
    assert pool.stats().peak_bytes <= 4 * MIB


def test_two_blocks_that_do_not_both_fit_are_refused() -> None:
    pool = bufpool.BufferPool(12_000, timeout=None)

    class Made:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
            return np.ones(2000, "f4")[::2]

    with pytest.raises(bufpool.LimitError):
        pool.array(Made(), dtype="f8")
    assert conserved(pool).in_use_bytes == 0


def test_a_waiting_request_is_counted_once() -> None:
    pool = bufpool.BufferPool(MIB, timeout=0.05)
    a = pool.empty(MIB, "u1")
    with pytest.raises(bufpool.LimitTimeoutError):
        pool.empty(MIB, "u1")
    stats = pool.stats()
    assert (stats.misses, stats.refused) == (1, 1)
    del a


def test_a_request_waiting_at_close_is_refused_once() -> None:
    pool = bufpool.BufferPool(limit=MIB, timeout=None)
    a = pool.empty(MIB, "u1")
    seen: list[type] = []

    def wait() -> None:
        try:
            pool.empty(MIB, "u1")
        except bufpool.BufpoolError as error:
            seen.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    until = time.monotonic() + 20
    while pool._waiting == 0 and time.monotonic() < until:
        time.sleep(0.001)
    assert pool.stats().refused == 0
    pool.close()
    thread.join()
    assert seen == [bufpool.ClosedError]
    assert pool.stats().refused == 1
    del a
