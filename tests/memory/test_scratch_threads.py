"""One scratch, several threads: each array has one holder, and each release counts once."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from bufpool import (
    BufferPool,
    BufpoolError,
    DoubleReleaseError,
)
from tests.support.threads import in_thread, in_threads

N = 24 << 10  # bytes


def test_concurrent_double_release(pool: BufferPool) -> None:
    """One of the threads succeeds, the others get an error."""
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    start = threading.Barrier(4)
    outcomes = []

    def release() -> None:
        start.wait()
        try:
            scratch.release(a)
            outcomes.append("released")
        except DoubleReleaseError:
            outcomes.append("refused")

    in_threads(release, 4)
    assert sorted(outcomes) == ["refused"] * 3 + ["released"]


def test_concurrent_double_release_of_many(pool: BufferPool) -> None:
    """Threads release the same arrays in the same order, and run into each other at many of them."""
    for _ in range(20):
        scratch = pool.scratch(16, "u1")
        arrays = [scratch.acquire() for _ in range(300)]
        start = threading.Barrier(3)
        released = []

        def release(
            scratch: Any = scratch,
            arrays: list[np.ndarray] = arrays,
            start: threading.Barrier = start,
            released: list[int] = released,
        ) -> None:
            start.wait()
            for number in reversed(range(300)):
                try:
                    scratch.release(arrays[number])
                    released.append(number)
                except DoubleReleaseError:
                    pass

        in_threads(release, 3)
        assert sorted(released) == list(range(300))
        assert repr(scratch).endswith(": 0 out, 300 idle>")
        arrays.clear()


def test_threads_share_a_scratch(pool: BufferPool) -> None:
    """Each array has one holder, and all are found again."""
    scratch = pool.scratch(16, "i8")
    start = threading.Barrier(3)
    wrong: list[object] = []

    def work(number: int) -> None:
        start.wait()
        try:
            for step in range(1500):
                a, b = scratch.acquire(), scratch.acquire()
                a[:], b[:] = number, -step
                if (a != number).any() or (b != -step).any():
                    wrong.append((number, step))
                scratch.release(a)
                scratch.release(b)
                del a, b
        except BufpoolError as error:
            wrong.append(error)

    in_threads(work, range(1, 4))
    assert wrong == []
    assert ": 0 out, " in repr(scratch)


def test_released_on_another_thread(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    in_thread(scratch.release, a)
    with pytest.raises(DoubleReleaseError):
        scratch.release(a)


def test_overlapping_blocks_leave_arrays_in_use_alone():
    n = 1 << 16
    scratch = BufferPool(limit=100 * n).scratch(n, "u1")
    entered, leave, left, end = (threading.Event() for _ in range(4))

    def other():
        with scratch as b:
            b[:] = 1
            entered.set()
            leave.wait(10)
        left.set()
        end.wait(10)  # the name b is still there

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    with scratch as a:
        a[:] = 2
        leave.set()
        left.wait(10)  # the other thread's end has marked our array as idle
        c = scratch.acquire()
        assert a.size == n
        assert (a == 2).all()
    end.set()
    thread.join()
    assert c.size == n
