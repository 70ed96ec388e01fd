"""What is asked for by mistake, beyond sizes and dtypes, is refused by name before anything is done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, ClosedError, LimitError, SizeError
from bufpool.memory import buffer_pool

LIMIT = 1 << 20  # bytes


pytestmark = pytest.mark.pool(limit=LIMIT)


def test_prewarm_beyond_max_retained_is_refused_early() -> None:
    pool = BufferPool(max_retained=16 << 20, name="kept")
    with pytest.raises(
        SizeError, match=r"'kept': requested 64 blocks of 1 MiB; .* at most 16 MiB idle \(max_retained\)"
    ):
        pool.prewarm(64, 1 << 20, "u1")
    with pytest.raises(SizeError, match="max_retained"):
        BufferPool().prewarm(1 << 40, 1 << 20, "u1")  # by default, a quarter of the machine's memory
    assert pool.stats().reserved_bytes <= 1 << 20
    pool.prewarm(16, 1 << 20, "u1")
    assert (16 << 20) - 65_536 <= pool.stats().idle_bytes <= 16 << 20


def test_prewarm_beyond_the_limit_is_refused_early(pool: BufferPool) -> None:
    with pytest.raises(LimitError, match="requested 33 blocks of 32 KiB; .*limit is 1 MiB"):
        pool.prewarm(33, 32 << 10, "u1")
    assert pool.stats().reserved_bytes <= 32 << 10


def test_a_closed_pool_makes_no_executor(pool: BufferPool) -> None:
    pool.close()
    with pytest.raises(ClosedError, match="tested"):
        pool.thread_pool()


@pytest.mark.parametrize("ask", [lambda p: p.install(), lambda p: p.array([1])], ids=["install", "array"])
def test_a_closed_pools_error_names_no_other_size(ask: Any) -> None:
    pool = BufferPool()
    pool.close()
    with pytest.raises(ClosedError) as caught:
        ask(pool)
    assert "asked for" not in str(caught.value)


@pytest.mark.parametrize("flag", ["mlock", "prefault", "wipe"])
def test_a_flag_is_true_or_false_and_not_a_word(flag: str) -> None:
    with pytest.raises(TypeError, match=f"{flag} must be True or False, not 'no'"):
        BufferPool(**{flag: "no"})
    with pytest.raises(TypeError, match=f"{flag} must be True or False"):
        BufferPool(**{flag: np.zeros(2)})
    assert not BufferPool(**{flag: np.False_}).closed


@pytest.mark.parametrize("order", ["X", "A", "K"])
def test_an_order_of_new_memory_is_c_or_f(pool: BufferPool, order: Any) -> None:
    with pytest.raises(ValueError, match=f"order must be 'C' or 'F', not '{order}'"):
        pool.empty(3, order=order)


def test_a_class_is_not_decorated(pool: BufferPool) -> None:
    with pytest.raises(TypeError, match="expected a function"):
        pool(int)


def test_prewarm_counts_what_a_wider_alignment_takes() -> None:
    pool = BufferPool(max_retained=4 << 20, alignment=2 << 20)
    with pytest.raises(SizeError, match="max_retained"):
        pool.prewarm(4, 1 << 20, "u1")
    pool = BufferPool(64 << 20, alignment=4096)
    pool.prewarm(8, 1 << 20, "u1")
    before = pool.stats()
    arrays = [pool.empty(1 << 20, "u1") for _ in range(8)]
    assert (pool.stats() - before).misses == 0
    del arrays


def test_an_initializer_is_a_function(pool: BufferPool) -> None:
    with pytest.raises(TypeError, match="initializer must be a callable"):
        pool.thread_pool(initializer=5)


def test_two_threads_make_one_default_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    first = BufferPool(name="first")

    def make(name: str) -> BufferPool:
        buffer_pool.make_default(first)
        return BufferPool(name=name)

    monkeypatch.setattr(buffer_pool, "_default", {})
    monkeypatch.setattr(buffer_pool, "BufferPool", make)
    assert buffer_pool.default_pool() is first
    assert buffer_pool.default_pool() is first
