"""Every public operation of a pool, each in a form that can be tried again and again with something failing in it.

`OPERATIONS` maps a name to a function that prepares the operation for a pool and returns what does it. What that holds
is given up when it returns or raises.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

import bufpool
from bufpool import BufferPool, LimitError

#: An element type of our own: nobody else refers to it, so its references can be counted.
DTYPE = np.dtype([("a", "u1"), ("b", "u1")])
#: Made here: a free-threaded CPython 3.13 without memory for a list's items cannot take the list down again.
NESTED = [[1.5, 2], [3, 4]]
SMALL, LARGE = 500, 2_000_000  # elements: cached or from a slab; with an extent of its own

#: Settings of a pool under which each is tried.
KINDS: dict[str, dict[str, Any]] = {
    "free": {},
    "bounded": {"limit": 64 << 20},
    "careful": {"limit": 64 << 20, "wipe": True, "alignment": 4096, "prefault": True, "upstream": "hugetlb"},
}

Prepare = Callable[[BufferPool], Callable[[], object]]


def with_lease(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        with pool.lease(SMALL, DTYPE) as a:
            a[:] = 1

    return run


def with_lease_of_a_view(pool: BufferPool) -> Callable[[], object]:
    def run() -> object:
        with pool.lease(SMALL, DTYPE) as a:
            return a[1:]

    return run


def with_scratch(pool: BufferPool) -> Callable[[], object]:
    scratch = pool.scratch(SMALL, DTYPE)

    def run() -> None:
        for _ in range(3):  # the second finds the first one's name
            with scratch as a:
                a[:] = 1

    return run


def with_scratch_held(pool: BufferPool) -> Callable[[], object]:
    scratch = pool.scratch(SMALL, DTYPE)

    def run() -> None:
        views = []
        for _ in range(6):  # more than a scratch has slots for at first
            with scratch as a:
                views.append(a[1:])

    return run


def scratch_acquired(pool: BufferPool) -> Callable[[], object]:
    scratch = pool.scratch(SMALL, DTYPE)

    def run() -> None:
        a, b = scratch.acquire(), scratch.acquire()
        scratch.release(a)
        scratch.release(b)

    return run


def buffer_and_views(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        b = pool.buffer(SMALL)
        b[:3] = b"abc"
        view, array, part = memoryview(b), np.frombuffer(b, "u1"), b[1:3]
        assert bytes(view[:3]) == b"abc"
        assert array[1] == part[0] == b[1] == 98
        assert len(bytes(b)) == len(b) == SMALL
        pickle.PickleBuffer(b).release()
        del view, array, part
        b.release()

    return run


def buffer_as_dlpack(pool: BufferPool) -> Callable[[], object]:
    def run() -> object:
        return np.from_dlpack(pool.buffer(SMALL))

    return run


def with_buffer(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        with pool.buffer(SMALL) as b:
            b[0] = 1

    return run


def with_pool(pool: BufferPool) -> Callable[[], object]:
    a, b = np.ones((2, 5000))

    def run() -> None:
        with pool:
            c = np.sqrt(a * a + b) * b
        assert c[0] == np.sqrt(2)

    return run


def decorated(pool: BufferPool) -> Callable[[], object]:
    a = np.ones(5000)

    @pool
    def work() -> np.ndarray:
        return a + a

    return lambda: work()


def install_and_uninstall(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        try:
            pool.install()
        except MemoryError:
            assert not pool.installed
            assert not pool.uninstall()
            raise
        assert pool.installed
        try:
            assert pool.uninstall()
        except MemoryError:  # once more brings it to its end
            assert pool.uninstall()
            assert not pool.installed
            raise

    return run


def nested(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        try:
            with other:
                with pool:
                    np.ones(5000)
                assert other.installed
        finally:
            assert not other.installed
            assert not other.uninstall()
            assert not pool.uninstall()

    other = BufferPool(name="other")
    return run


def make_a_pool(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        made = BufferPool(1 << 20, timeout=1, name="made")
        made.empty(10)
        made.close()

    return run


def closing(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        made = BufferPool(name="closed")
        a = made.empty(LARGE, DTYPE)
        made.close()
        made.close()
        del a
        assert made.stats().reserved_bytes == 0

    return run


def trimming(pool: BufferPool) -> Callable[[], object]:
    def run() -> None:
        pool.empty(LARGE, DTYPE)
        assert pool.trim() > 0 or pool.stats().idle_bytes > 0  # the system may refuse to take it back

    return run


def refused_at_the_limit(pool: BufferPool) -> Callable[[], object]:
    bounded = BufferPool(1 << 20, timeout=0.001, name="bounded")
    scratch = bounded.scratch(1 << 20, "u1")

    def run() -> None:
        with scratch as a:
            a[0] = 1
            for refused in (bounded.empty, bounded.buffer, bounded.zeros):
                try:
                    refused(1 << 20)
                except LimitError:
                    continue
                raise AssertionError("not refused")
        with scratch as b:  # takes it from the name that is left
            b[0] = 1
        assert a.size == 0

    return run


def making_room(pool: BufferPool) -> Callable[[], object]:
    bounded = BufferPool(1 << 20, name="bounded")

    def run() -> None:
        for n in (1 << 19, 1 << 20, 1 << 18):  # each takes the memory that the one before it left idle
            bounded.empty(n, "u1")
            bounded.array(bytes(n))

    return run


def cycle_with_garbage(pool: BufferPool) -> Callable[[], object]:
    bounded = BufferPool(1 << 20, name="bounded")

    def run() -> None:
        box: list[Any] = [bounded.empty(1 << 20, "u1")]
        box.append(box)
        del box
        bounded.empty(1 << 20, "u1")  # at the limit garbage is collected

    return run


OPERATIONS: dict[str, Prepare] = {
    "empty": lambda pool: lambda: pool.empty(SMALL, DTYPE),
    "empty, large": lambda pool: lambda: pool.empty((2, LARGE // 2), DTYPE, "F"),
    "empty, aligned": lambda pool: lambda: pool.empty(SMALL, DTYPE, alignment=1 << 16),
    "zeros": lambda pool: lambda: pool.zeros(SMALL, DTYPE),
    "zeros, large": lambda pool: lambda: pool.zeros(LARGE, DTYPE),
    "ones": lambda pool: lambda: pool.ones((3, SMALL), "f4"),
    "full": lambda pool: lambda: pool.full((SMALL, 2), 7),
    "array": lambda pool: lambda: pool.array(NESTED),
    "array, large": lambda pool: lambda: pool.array(bytes(LARGE)),
    "empty_like": lambda pool: lambda: pool.empty_like(np.zeros(SMALL, DTYPE)),
    "zeros_like": lambda pool: lambda: pool.zeros_like(NESTED),
    "ones_like": lambda pool: lambda: pool.ones_like(NESTED),
    "full_like": lambda pool: lambda: pool.full_like(np.zeros(SMALL), 3),
    "ascontiguousarray": lambda pool: lambda: pool.ascontiguousarray(np.eye(30)[:, ::2]),
    "asfortranarray": lambda pool: lambda: pool.asfortranarray(np.eye(30)),
    "owns": lambda pool: lambda: pool.owns(np.zeros(3)),
    "lease": with_lease,
    "lease, a view kept": with_lease_of_a_view,
    "making a scratch": lambda pool: lambda: pool.scratch(SMALL, DTYPE),
    "scratch": with_scratch,
    "scratch, views kept": with_scratch_held,
    "scratch, acquire": scratch_acquired,
    "buffer": buffer_and_views,
    "buffer, DLPack": buffer_as_dlpack,
    "buffer, with": with_buffer,
    "with pool": with_pool,
    "decorator": decorated,
    "install, uninstall": install_and_uninstall,
    "with, nested": nested,
    "prewarm": lambda pool: lambda: pool.prewarm(3, 3000, DTYPE),
    "stats": lambda pool: lambda: pool.stats() - pool.stats(),
    "repr": lambda pool: lambda: repr(pool),
    "trim": trimming,
    "close": closing,
    "making a pool": make_a_pool,
    "default pool": lambda pool: lambda: bufpool.default_pool().empty(SMALL, DTYPE),
    "at the limit": refused_at_the_limit,
    "making room": making_room,
    "collecting garbage": cycle_with_garbage,
}
