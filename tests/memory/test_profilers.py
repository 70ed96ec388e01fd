"""What tools for "who has my memory" see of pooled memory: `sys.getsizeof`, `tracemalloc`, those that watch maps."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bufpool import Buffer, BufferPool
from tests.support.threads import in_threads

N = 8 << 20
MIB = 1 << 20

MAKERS: dict[str, Callable[[BufferPool], Any]] = {
    "bytearray": lambda pool: bytearray(N),
    "array": lambda pool: pool.empty(N, "u1"),
    "buffer": lambda pool: pool.buffer(N),
}
ENDS: dict[str, Callable[[Buffer], object]] = {
    "dropped": lambda buffer: None,
    "released": lambda buffer: buffer.release(),
    "with": lambda buffer: buffer.__enter__() and buffer.__exit__(None, None, None),
}


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """MiB that tracemalloc knows of beyond those at the beginning; pytest itself takes some KiB."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: round((tracemalloc.get_traced_memory()[0] - before) / MIB)
    tracemalloc.stop()


@pytest.mark.parametrize("kind", MAKERS)
def test_all_kinds_of_bytes_have_the_requested_size(kind: str, pool: BufferPool) -> None:
    assert N <= sys.getsizeof(MAKERS[kind](pool)) < N + 200


@pytest.mark.parametrize("kind", MAKERS)
def test_tracemalloc_sees_all_kinds_of_bytes(kind: str, pool: BufferPool, traced: Callable[[], int]) -> None:
    thing = MAKERS[kind](pool)
    assert traced() == 8
    del thing
    assert traced() == 0


@pytest.mark.parametrize("nbytes", [0, 1, 1000, 65_000])
def test_buffers_count_what_was_asked_for_and_not_the_block(nbytes: int, pool: BufferPool) -> None:
    empty = sys.getsizeof(Buffer.__new__(Buffer))
    assert sys.getsizeof(pool.buffer(nbytes)) == empty + nbytes


@pytest.mark.parametrize("end", ENDS)
def test_a_buffer_that_is_over_has_its_own_size_alone(
    end: str, pool: BufferPool, traced: Callable[[], int]
) -> None:
    buffer = pool.buffer(N)
    assert traced() == 8
    ENDS[end](buffer)
    if end != "dropped":
        assert sys.getsizeof(buffer) == sys.getsizeof(Buffer.__new__(Buffer)) < 200
        assert traced() == 0
    del buffer
    assert traced() == 0
    assert pool.stats().in_use_bytes == 0


def test_a_block_waiting_for_exports_is_still_counted(pool: BufferPool, traced: Callable[[], int]) -> None:
    with pool.buffer(N) as buffer:
        view = memoryview(buffer)
    assert buffer.released
    assert sys.getsizeof(buffer) >= N
    assert traced() == 8
    del view, buffer
    assert traced() == 0


def test_a_block_is_traced_at_the_line_that_has_it_now(pool: BufferPool, traced: Callable[[], int]) -> None:
    def passes_by() -> None:
        pool.buffer(N)
        pool.empty(N, "u1")

    def keeps() -> tuple[object, object]:
        return (
            pool.buffer(N),
            pool.empty(N, "u1"),
        )

    passes_by()
    kept = keeps()
    domain = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    found = tracemalloc.take_snapshot().filter_traces([domain]).statistics("lineno")
    first = keeps.__code__.co_firstlineno
    assert sorted((each.traceback[0].lineno - first, each.size) for each in found) == [(2, N), (3, N)]
    del kept


def test_a_buffer_from_before_the_tracing_is_released(pool: BufferPool) -> None:
    buffer, other = pool.buffer(N), pool.buffer(N)
    tracemalloc.start()
    try:
        buffer.release()
        del other
        assert tracemalloc.get_traced_memory()[0] < N
    finally:
        tracemalloc.stop()


def test_buffers_that_threads_hand_on_leave_no_trace(pool: BufferPool, traced: Callable[[], int]) -> None:
    """The trace goes before the block does: the next owner, in another thread, gets the same address."""

    def work() -> None:
        for i in range(3000):
            buffer = pool.buffer(100_000)
            if i % 2:
                buffer.release()

    in_threads(work, 4)
    kept = [pool.buffer(100_000) for _ in range(4)]
    domain = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)

    def seen() -> int:
        snapshot = tracemalloc.take_snapshot().filter_traces([domain])
        return sum(each.size for each in snapshot.traces)

    assert seen() == 400_000
    del kept
    assert seen() == 0
