"""Memory that is not there: each allocation and system call failed once; `make prove` fails all of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool
from tests.memory.test_lifetime import SIZES, making
from tests.support.accounting import conserved
from tests.verify import faults
from tests.verify.cpp_programs import LACKS_COMPILER
from tests.verify.stress import LACKS_SOURCES


@pytest.mark.skipif(bool(faults.LACKS_TESTCAPI), reason=faults.LACKS_TESTCAPI)
def test_an_allocation_of_pythons_fails() -> None:
    """A `MemoryError` or success; nothing lost, no reference left, nothing installed, and again it works."""
    found = faults.python_allocations(every=2)
    assert found.violations == ()
    assert int(found.size.split()[0].replace(",", "")) > 800


@pytest.mark.skipif(
    bool(faults.LACKS_FORK or faults.LACKS_SHIM), reason=faults.LACKS_FORK or faults.LACKS_SHIM
)
def test_a_system_call_fails() -> None:
    """Malloc, mmap, mlock and so on, from a process's first pool on; a fork then finds no lock shut."""
    found = faults.system_calls(every=20)
    assert found.violations == ()
    assert int(found.size.split()[0].replace(",", "")) > 40


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKS_COMPILER or LACKS_SOURCES), reason=LACKS_COMPILER or LACKS_SOURCES)
def test_a_system_call_of_the_core_fails() -> None:
    """Also releases beside a thread that holds the lock, and from threads that end inside C."""
    assert faults.core_alone().violations == ()


@pytest.fixture
def nothing_left() -> Any:
    """Fails every allocation of Python's until it is told to stop."""
    testcapi = pytest.importorskip("_testcapi", reason="Python has no _testcapi")
    yield testcapi
    testcapi.remove_mem_hooks()  # whatever the test did


@making
@pytest.mark.parametrize("n", SIZES)
def test_a_release_needs_no_memory(
    pool: BufferPool, nothing_left: Any, make: Callable[[BufferPool, int], Any], n: int
) -> None:
    """What is dropped comes back though Python has no memory at all."""
    things = [make(pool, n) for _ in range(5)]
    nothing_left.set_nomemory(0)
    things.clear()
    nothing_left.remove_mem_hooks()
    assert pool.stats().in_use_bytes == 0
    assert conserved(pool)


@making
def test_the_collector_needs_no_memory_for_a_release(
    pool: BufferPool, nothing_left: Any, make: Callable[[BufferPool, int], Any]
) -> None:
    """The same from the middle of a garbage collection."""

    class Node:
        pass

    class Ends(Node):
        def __del__(self) -> None:  # run by the collector, before it drops anything
            begun.append(self.thing is not None)
            nothing_left.set_nomemory(0)

    begun: list[bool] = []

    gc.collect()
    for n in SIZES:
        node: Any = Ends() if n == SIZES[0] else Node()
        node.thing, node.itself = make(pool, n), node
    del node
    try:
        gc.collect()
    finally:
        nothing_left.remove_mem_hooks()
    assert begun == [True]
    assert pool.stats().in_use_bytes == 0
    assert conserved(pool)


def test_a_lease_ends_without_memory(pool: BufferPool, nothing_left: Any) -> None:
    """It cannot look for names, leaves the array to them, and raises nothing that would mask another."""
    lease = pool.lease(1000)
    leave = lease.__exit__
    # So many names that Python has no used tuple ready for the list of them.
    a = b = c = d = e = f = g = h = i = j = k = m = n = o = p = q = r = s = t = u = v = lease.__enter__()
    a[:] = 1
    nothing_left.set_nomemory(0)
    leave(None, None, None)
    nothing_left.remove_mem_hooks()
    assert a.size in (0, 1000)
    del a, b, c, d, e, f, g, h, i, j, k, m, n, o, p, q, r, s, t, u, v
    assert pool.stats().in_use_bytes == 0


def test_pool_stays_usable_when_it_was_never_set_up(nothing_left: Any) -> None:
    """A pool for whose records there was no memory is refused by name, and the next one is made."""
    for number in range(60):
        nothing_left.set_nomemory(number, number + 1)
        try:
            pool = BufferPool(1 << 20, name="made")
        except MemoryError:
            continue
        finally:
            nothing_left.remove_mem_hooks()
        assert isinstance(pool.empty(10), np.ndarray)
        assert conserved(pool)
