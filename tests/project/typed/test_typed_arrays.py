"""What type checkers know of arrays: mypy and pyright check each line (`make typecheck`), and each runs as a test.

The other half, what they must refuse, stands in ``mistakes.py``.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, assert_type, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

import bufpool

SHAPE = (2, 3)

Lease: TypeAlias = bufpool.Lease[np.float32]
Scratch: TypeAlias = bufpool.Scratch[np.float32]
PoolLease: TypeAlias = bufpool.PoolLease[int] | bufpool.AsyncPoolLease[int]
Pool: TypeAlias = bufpool.Pool[int] | bufpool.AsyncPool[int]
Holder: TypeAlias = bufpool.Holder[int]


def test_no_dtype_means_float64() -> None:
    pool = bufpool.BufferPool()
    assert_type(pool.empty(3), NDArray[np.float64])
    assert_type(pool.zeros(SHAPE), NDArray[np.float64])
    assert_type(pool.ones([2, 3], None), NDArray[np.float64])
    assert_type(pool.lease(3), bufpool.Lease[np.float64])
    assert_type(pool.scratch(3), bufpool.Scratch[np.float64])


def test_a_scalar_type_tells_the_type() -> None:
    pool = bufpool.BufferPool()
    assert_type(pool.empty(SHAPE, np.float32), NDArray[np.float32])
    assert_type(pool.zeros(SHAPE, np.uint8, "F"), NDArray[np.uint8])
    assert_type(pool.ones(SHAPE, dtype=np.complex64), NDArray[np.complex64])
    assert_type(pool.full(SHAPE, 7, np.int16), NDArray[np.int16])
    assert_type(pool.full(SHAPE, np.float32(7)), NDArray[np.float32])
    assert_type(pool.lease(SHAPE, np.float32), bufpool.Lease[np.float32])
    assert_type(pool.scratch(SHAPE, np.float32, alignment=4096), bufpool.Scratch[np.float32])


def test_so_does_a_dtype() -> None:
    pool = bufpool.BufferPool()
    dtype = np.dtype(np.int32)
    assert_type(pool.empty(SHAPE, dtype), NDArray[np.int32])
    assert_type(pool.zeros(SHAPE, np.dtype("f4")), NDArray[np.float32])
    assert_type(pool.lease(SHAPE, dtype), bufpool.Lease[np.int32])
    assert_type(pool.scratch(SHAPE, dtype), bufpool.Scratch[np.int32])


def test_anything_else_that_numpy_takes_as_a_dtype_gives_any() -> None:
    pool = bufpool.BufferPool()
    assert_type(pool.empty(SHAPE, "f4"), NDArray[Any])
    assert_type(pool.zeros(SHAPE, "bool"), NDArray[Any])
    assert_type(pool.ones(SHAPE, dtype=float), NDArray[Any])
    assert_type(pool.full(SHAPE, 1j, "c16"), NDArray[Any])
    assert_type(pool.full(SHAPE, 7), NDArray[Any])
    assert_type(pool.lease(SHAPE, "f4"), bufpool.Lease[Any])
    assert_type(pool.lease(SHAPE, [("x", "f4"), ("y", "f4")]), bufpool.Lease[Any])
    assert_type(pool.scratch(SHAPE, dtype="i2"), bufpool.Scratch[Any])


def test_with_gives_the_array() -> None:
    pool = bufpool.BufferPool()
    with pool.lease(SHAPE, np.float32) as a:
        assert_type(a, NDArray[np.float32])
    with pool.lease(SHAPE, "f4") as b:
        assert_type(b, NDArray[Any])
    scratch = pool.scratch(SHAPE, np.uint8)
    with scratch as c:
        assert_type(c, NDArray[np.uint8])
    assert_type(scratch.dtype, np.dtype[np.uint8])
    assert_type(scratch.shape, tuple[int, ...])
    taken = scratch.acquire()
    assert_type(taken, NDArray[np.uint8])
    scratch.release(taken)


def test_likenesses_and_copies_keep_the_type() -> None:
    pool = bufpool.BufferPool()
    a = np.ones(SHAPE, np.float32)
    assert_type(pool.empty_like(a, shape=7), NDArray[np.float32])
    assert_type(pool.zeros_like(a, np.int8), NDArray[np.int8])
    assert_type(pool.ones_like(a, shape=7), NDArray[np.float32])
    assert_type(pool.ones_like([1, 2]), NDArray[Any])
    assert_type(pool.full_like(a, 2, dtype=np.float64), NDArray[np.float64])
    assert_type(pool.array(a[:1]), NDArray[np.float32])
    assert_type(pool.array([1, 2], np.uint8), NDArray[np.uint8])
    assert_type(pool.ascontiguousarray(a.T[:1]), NDArray[np.float32])
    assert_type(pool.asfortranarray([[1]], np.int64), NDArray[np.int64])


def test_classes_can_be_subscripted_when_the_program_runs() -> None:
    assert get_args(Lease) == get_args(Scratch) == (np.float32,)
    assert {get_origin(each) for each in get_args(PoolLease)} == {bufpool.PoolLease, bufpool.AsyncPoolLease}
    assert {get_origin(each) for each in get_args(Pool)} == {bufpool.Pool, bufpool.AsyncPool}
    assert get_args(Holder) == (int,)


def test_a_pool_as_decorator_keeps_the_signature() -> None:
    pool = bufpool.BufferPool()

    @pool
    def scale(a: NDArray[np.float32], *, by: float = 2.0) -> NDArray[np.float32]:
        return np.multiply(a, np.float32(by))

    assert_type(scale(np.ones(3, np.float32), by=3.0), NDArray[np.float32])
    assert_type(pool(len)("abc"), int)
    with pool as same:
        assert_type(same, bufpool.BufferPool)


def test_figures_and_buffers() -> None:
    pool = bufpool.BufferPool(limit=1 << 20, timeout=None, upstream="plain")
    stats = pool.stats()
    assert_type(stats, bufpool.PoolStats)
    assert_type(stats - stats, bufpool.PoolStats)
    assert_type(stats.classes, tuple[bufpool.ClassStats, ...])
    assert_type(pool.limit, int | None)
    assert_type(pool.trim(), int)
    assert_type(pool.trim("64 MiB"), int)
    assert_type(bufpool.BufferPool("25%", max_retained="1 GiB", tune_malloc=False).limit, int | None)
    assert_type(bufpool.good_size(1000), int)
    with pool.buffer(8) as b:
        assert_type(b, bufpool.Buffer)
        assert_type(b[0], int)
        assert_type(b[1:], memoryview)
        b[:4] = b"abcd"
    assert_type(bufpool.default_pool(), bufpool.BufferPool)
    assert issubclass(bufpool.errors.LimitError, MemoryError)


def test_tables_and_totals() -> None:
    pool = bufpool.BufferPool()
    found = bufpool.pools()
    assert_type(found, bufpool.PoolsReading)
    assert_type(found[0], bufpool.PoolStats)
    assert_type(found.in_use_bytes, int)
    assert_type(found.as_dict(), dict[str, Any])
    assert_type(pool.stats().as_dict(), dict[str, Any])
    assert_type(pool.stats().limit, int | None)
    assert_type(pool.stats().state, Literal["open", "closed", "deleted", "change"])
