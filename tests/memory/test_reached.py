"""Other threads that can still reach an array, or reach for it, at the very moment of its return.

On the free-threaded build a reference may come out of none: out of a weak reference, or out of a list that is read
without its lock. What was ever reached for in this way is handed out to nobody, and is emptied for nobody.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, ReleasedError
from tests.support.accounting import all_back, in_use

SECONDS = 1.0  # of each race; without the proof most were lost within one


def racing(work: Callable[[], Any], count: int = 1) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for each in threads:
        each.start()
    return threads


@pytest.mark.skipif(
    getattr(sys, "_is_gil_enabled", lambda: True)(), reason="with the GIL the counts tell all"
)
def test_what_was_weakly_referenced_is_not_handed_out_again(pool: BufferPool) -> None:
    """Not even when the weak reference is gone: another thread may just be making a reference out of it."""
    scratch = pool.scratch(100, "u1")
    a = scratch.acquire()
    number = id(a)
    weakref.ref(a)
    scratch.release(a)
    del a
    others = [scratch.acquire() for _ in range(3)]
    assert number not in [id(each) for each in others]


def test_a_list_read_without_its_lock(pool: BufferPool) -> None:
    """The slot that `pop` leaves behind still points to the array."""
    scratch = pool.scratch(1000, "u1")
    shared: list[Any] = [None]
    handed_out: list[Any] = [None]
    wrong: list[int] = []
    end = time.monotonic() + SECONDS

    def read() -> None:
        while time.monotonic() < end:
            for _ in range(100):
                try:
                    x = shared[1]
                except IndexError:
                    continue
                if x is handed_out[0]:  # which never was in the list since it was handed out
                    wrong.append(id(x))
                    return
                del x

    threads = racing(read, 3)
    while time.monotonic() < end and not wrong:
        for _ in range(100):
            a = scratch.acquire()
            shared.append(a)
            shared.pop()
            scratch.release(a)
            del a
            b = scratch.acquire()
            handed_out[0] = b
            handed_out[0] = None
            scratch.release(b)
            del b
    for each in threads:
        each.join()
    assert wrong == []


def test_a_weak_reference_called_while_a_lease_ends(pool: BufferPool) -> None:
    """What another thread holds by then is not emptied."""
    mail: list[weakref.ref[Any]] = []
    emptied: list[tuple[int, ...]] = []
    end = time.monotonic() + SECONDS

    def hold() -> None:
        while time.monotonic() < end:
            try:
                weak = mail.pop()
            except IndexError:
                continue
            b = weak()
            if b is not None and b.shape != (64,):
                continue  # it came too late, and says so
            for _ in range(50):
                if b is not None and b.shape != (64,):
                    emptied.append(b.shape)
                    return
            del b

    threads = racing(hold)
    while time.monotonic() < end and not emptied:
        lease = pool.lease(64, "u1")
        a = lease.__enter__()
        mail.append(weakref.ref(a))
        lease.__exit__(None, None, None)
        del a
    for each in threads:
        each.join()
    assert emptied == []


def test_threads_that_enter_and_leave_the_same_leases(pool: BufferPool) -> None:
    """Each is entered by one and left by one."""
    for _ in range(15):
        leases = [pool.lease(100, "u1") for _ in range(300)]
        entered: list[int] = []
        left: list[int] = []
        start = threading.Barrier(2)

        def work(
            leases: Any = leases, entered: Any = entered, left: Any = left, start: threading.Barrier = start
        ) -> None:
            for done in (entered, left):
                start.wait()
                for number, each in enumerate(leases):
                    try:
                        if done is entered:
                            each.__enter__()
                        else:
                            each.__exit__(None, None, None)
                        done.append(number)
                    except ReleasedError:
                        pass

        for each in racing(work, 2):
            each.join()
        assert sorted(entered) == sorted(left) == list(range(300))
        del leases, work
    assert in_use(pool) == 0


def test_threads_share_a_scratch_by_with(pool: BufferPool) -> None:
    """Each array has one holder, and in the end all are idle."""
    scratch = pool.scratch(16, "i8")
    start = threading.Barrier(3)
    wrong: list[int] = []

    def work() -> None:
        mine = threading.get_ident()
        start.wait()
        for _ in range(1500):
            with scratch as a:
                a[:] = mine
                if (a != mine).any():
                    wrong.append(mine)
            del a

    for each in racing(work, 3):
        each.join()
    assert wrong == []
    assert ": 0 out, " in repr(scratch)


# --- what NumPy calls while a pool builds an array ---


class Lazy:
    """Does something while it is being converted."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self.do = do

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.do()
        return np.ones(3)


def test_a_generator_enters_a_pool_amid_another(pool: BufferPool) -> None:
    """When it ends, nothing is installed."""
    other = BufferPool(name="other")

    def holding() -> Any:
        with other:
            yield
            yield

    generator = holding()
    pool.array(Lazy(lambda: next(generator)))
    generator.close()
    assert not pool.installed
    assert not other.installed
    assert not pool.owns(np.empty(10))


def test_a_context_copied_while_a_pool_builds() -> None:
    """It holds the pool, so that the next pool is not taken for it."""
    from contextvars import Context, copy_context

    pool = BufferPool(name="first")
    copied: list[Context] = []
    pool.array(Lazy(lambda: copied.append(copy_context())))
    weak = weakref.ref(pool)
    del pool
    assert weak() is not None
    later = BufferPool(1 << 20, name="later")
    assert not later.owns(copied[0].run(np.empty, 10))
    copied.clear()
    assert all_back(later)
