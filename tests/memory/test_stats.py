"""Statistics: what a snapshot says, and what the difference of two says."""

from __future__ import annotations

import math

import pytest

from bufpool import BufferPool

MIB = 1 << 20
PAGE = 4096


def test_a_snapshot_counts_blocks_and_bytes(pool: BufferPool) -> None:
    a = pool.empty(3 * MIB, "u1")
    b = pool.empty(3 * MIB, "u1")
    del b
    stats = pool.stats()
    assert (stats.in_use_bytes, stats.reserved_bytes) == (3 * MIB, 3 * MIB + stats.idle_bytes)
    assert (
        3 * MIB <= stats.idle_bytes == stats.free_bytes <= 3 * MIB + PAGE
    )  # large blocks begin anywhere in a page
    assert (stats.peak_bytes, stats.hits, stats.misses) == (6 * MIB, 0, 2)
    (only,) = stats.classes
    assert (only.size, only.total, only.idle, only.in_use, only.hits, only.misses) == (3 * MIB, 1, 0, 1, 0, 2)
    del a


def test_purged_memory_is_address_space(pool: BufferPool) -> None:
    """Addresses become usable 2 MiB at a time; an arena that is used again has those of its earlier pools."""
    unused = pool.stats().purged_bytes
    array = pool.ones(8 * MIB, "u1")
    before = pool.stats()
    usable = before.purged_bytes + before.mapped_bytes
    assert usable == unused or unused + 8 * MIB <= usable <= unused + 12 * MIB
    del array
    assert pool.stats().purged_bytes == before.purged_bytes
    assert pool.trim() >= 8 * MIB
    assert (pool.stats().purged_bytes, pool.stats().mapped_bytes) == (usable, 0)
    array = pool.ones(8 * MIB, "u1")
    assert pool.stats().purged_bytes == before.purged_bytes
    pool.close()
    del array
    assert (pool.stats().purged_bytes, pool.stats().mapped_bytes) == (usable, 0)


def test_small_blocks_stay_in_the_list_of_their_class(pool: BufferPool) -> None:
    a, b = pool.empty(3000, "u1"), pool.empty(3000, "u1")
    del b
    (only,) = pool.stats().classes
    assert (only.size, only.total, only.idle, only.in_use) == (3072, 2, 1, 1)
    assert pool.stats().free_bytes == 0
    del a


def test_a_difference_says_what_happened_in_between(pool: BufferPool) -> None:
    pool.empty(3 * MIB, "u1")
    pool.trim()
    before = pool.stats()
    a = pool.empty(3 * MIB, "u1")
    pool.empty(5 * MIB, "u1")
    pool.trim()
    did = pool.stats() - before
    assert dict(did.drops) == {"over_max_retained": 0, "aged_out": 0, "trimmed": 1, "closed": 0}
    assert (did.in_use_bytes, did.reserved_bytes, did.hits, did.misses) == (3 * MIB, 3 * MIB, 0, 2)
    assert [(each.size, each.total, each.misses) for each in did.classes] == [
        (3 * MIB, 1, 1),
        (5 * MIB, 0, 1),
    ]
    del a


def test_the_difference_of_a_snapshot_and_itself_is_nothing(pool: BufferPool) -> None:
    pool.empty(3 * MIB, "u1")
    stats = pool.stats()
    nothing = stats - stats
    assert not any(nothing[:9])
    assert not any(nothing.drops.values())
    assert nothing.classes == ()
    with pytest.raises(TypeError):
        stats - 1  # type: ignore[operator]


def test_drops_are_named_by_their_reason() -> None:
    pool = BufferPool(max_retained=4 * MIB)
    pool.empty(5 * MIB, "u1")
    assert dict(pool.stats().drops) == {"over_max_retained": 1, "aged_out": 0, "trimmed": 0, "closed": 0}
    pool.empty(3 * MIB, "u1")
    pool.trim()
    assert pool.stats().drops["trimmed"] == 1
    pool.empty(3 * MIB, "u1")
    pool.close()
    assert pool.stats().drops["closed"] == 1


def test_the_hit_rate(pool: BufferPool) -> None:
    assert math.isnan(pool.stats().hit_rate)
    for _ in range(4):
        pool.empty(3 * MIB, "u1")
    assert pool.stats().hit_rate == 0.75
