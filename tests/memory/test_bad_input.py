"""What cannot be asked for is refused by name, and nothing is lost: `bufpool.errors` from the outside."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

import bufpool
from bufpool import (
    AlignmentError,
    BufferPool,
    BufpoolError,
    ObjectDtypeError,
    OutOfMemoryError,
    SizeError,
)
from tests.support.accounting import conserved
from tests.support.refusals import BY_SHAPE, BY_SIZE, LIMIT, MAX_BLOCK, Ask, asking, refused

pytestmark = pytest.mark.pool(limit=LIMIT)


# --- the tree ---


@pytest.mark.parametrize("name", [each for each in bufpool.errors.__all__ if each != "BufpoolError"])
def test_every_error_is_a_built_in_error_too(name: str) -> None:
    kind = getattr(bufpool, name)
    assert issubclass(kind, BufpoolError)
    builtin = [each for each in kind.__mro__ if each.__module__ == "builtins"]
    assert [each for each in builtin if each not in (Exception, BaseException, object)]
    assert kind.__doc__


# --- sizes ---


@asking(BY_SIZE)
@pytest.mark.parametrize("size", [-1, -(1 << 40), -sys.maxsize - 1], ids=hex)
def test_negative_size(pool: BufferPool, ask: Ask, size: int) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool, size), size)


@asking(BY_SHAPE)
@pytest.mark.parametrize("shape", [(3, -1), (0, -1), (-2, -2)], ids=str)
def test_negative_dimension(pool: BufferPool, ask: Ask, shape: Any) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool, shape), shape)


@asking(BY_SIZE)
@pytest.mark.parametrize(
    "size",
    [sys.maxsize + 1, -sys.maxsize - 2, 1 << 64, 1 << 1000],
    ids=lambda n: f"2**{math.log2(abs(n)):.0f}",
)
def test_size_beyond_the_index_type(pool: BufferPool, ask: Ask, size: int) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool, size))


@asking(BY_SHAPE)
def test_dimension_beyond_the_index_type(pool: BufferPool, ask: Ask) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool, (2, sys.maxsize + 1)))


@asking(BY_SIZE)
@pytest.mark.parametrize("size", [MAX_BLOCK + 1, sys.maxsize], ids=hex)
def test_size_beyond_a_block(pool: BufferPool, ask: Ask, size: int) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool, size), size, "64 TiB")


OVERFLOWING = [(1 << 32, 1 << 32), (1 << 31,) * 3, (3, 1 << 62), (1 << 40, 1 << 20, 5), (0, 1 << 62, 1 << 62)]


@asking(BY_SHAPE)
@pytest.mark.parametrize("shape", OVERFLOWING, ids=str)
def test_product_overflows(pool: BufferPool, ask: Ask, shape: Any) -> None:
    """NumPy refuses the last shape too, although it has no element."""
    refused(pool, SizeError, ValueError, lambda: ask(pool, shape))


def test_item_size_overflows(pool: BufferPool) -> None:
    huge = np.dtype(("u1", ((1 << 30),)))
    refused(pool, SizeError, ValueError, lambda: pool.empty(1 << 34, huge), 1 << 34)
    refused(pool, SizeError, ValueError, lambda: pool.zeros((1 << 31, 1 << 3), huge), 1 << 31)


@asking(BY_SHAPE)
def test_too_many_dimensions(pool: BufferPool, ask: Ask) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool, (1,) * 65), 64)


def test_too_many_dimensions_with_those_of_the_dtype(pool: BufferPool) -> None:
    """The error comes after the block was acquired."""
    with pytest.raises(ValueError, match="64|dimensions"):
        pool.empty((1,) * 64, ("f4", (2,)))
    assert pool.stats().in_use_bytes == 0


@asking(BY_SIZE)
def test_zero_is_a_size(pool: BufferPool, ask: Ask) -> None:
    ask(pool, 0)
    assert conserved(pool)


@asking(BY_SIZE)
@pytest.mark.parametrize(
    "size", [2.0, math.nan, math.inf, "3", None, 1j, {}, [[1]], (1, 2.5), object()], ids=repr
)
def test_no_integer(pool: BufferPool, ask: Ask, size: Any) -> None:
    if size is None and ask in (BY_SHAPE["empty_like"], BY_SHAPE["zeros_like"]):
        pytest.skip("None asks for the prototype's shape")
    with pytest.raises(TypeError):
        ask(pool, size)
    assert conserved(pool)
    assert pool.stats().in_use_bytes == 0


@asking(BY_SHAPE)
def test_bool_as_a_shape(pool: BufferPool, ask: Ask) -> None:
    """As NumPy does."""
    try:
        expected = np.empty(True).shape
    except TypeError:
        with pytest.raises(TypeError):
            ask(pool, True)
        return
    assert np.shape(ask(pool, True)) in (expected, ())


class Raises:
    def __index__(self) -> int:
        raise KeyError("mine")


@asking(BY_SIZE)
def test_index_that_raises(pool: BufferPool, ask: Ask) -> None:
    """The error is the caller's own."""
    with pytest.raises(KeyError, match="mine"):
        ask(pool, Raises())
    assert pool.stats().in_use_bytes == 0


@pytest.mark.parametrize("order", ["K", "A", "X", "CF", "", 5, object()], ids=repr)
def test_order(pool: BufferPool, order: Any) -> None:
    """As NumPy's own."""
    with pytest.raises((TypeError, ValueError)) as expected:
        np.empty((2, 3), order=order)
    for make in (pool.empty, pool.zeros, pool.lease, pool.scratch):
        with pytest.raises(expected.type):
            make((2, 3), order=order)
    assert pool.stats().in_use_bytes == 0


@pytest.mark.parametrize("dtype", ["nonsense", 5, object(), [("a",)], {"a": 1}], ids=repr)
def test_no_dtype(pool: BufferPool, dtype: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as expected:
        np.dtype(dtype)
    for make in (pool.empty, pool.zeros, pool.lease, pool.scratch):
        with pytest.raises(expected.type):
            make(3, dtype)
    assert pool.stats().in_use_bytes == 0


# --- alignment ---


@pytest.mark.parametrize("alignment", [0, 3, -64, 48, 65, (1 << 21) + 1, 1 << 22, 1 << 40, 1 << 70])
def test_alignment(pool: BufferPool, alignment: int) -> None:
    for ask in (
        lambda: pool.empty(3, alignment=alignment),
        lambda: pool.zeros(3, alignment=alignment),
        lambda: pool.full(3, 1, alignment=alignment),
        lambda: pool.ones(3, alignment=alignment),
        lambda: pool.lease(3, alignment=alignment),
        lambda: pool.scratch(3, alignment=alignment),
        lambda: pool.buffer(3, alignment=alignment),
        lambda: BufferPool(alignment=alignment, name="tested"),
    ):
        refused(pool, AlignmentError, ValueError, ask, alignment, "2 MiB")


@pytest.mark.parametrize("alignment", [64.0, math.nan, "64", Raises()], ids=repr)
def test_alignment_is_an_integer(pool: BufferPool, alignment: Any) -> None:
    for make in (pool.empty, pool.lease, pool.scratch, pool.buffer):
        with pytest.raises((TypeError, KeyError)):
            make(3, alignment=alignment)
    assert pool.stats().in_use_bytes == 0


# --- dtypes that hold references ---

OBJECTS = {
    "object": object,
    "O": "O",
    "structure": [("a", "i4"), ("b", "O")],
    "nested structure": [("a", [("b", "f8"), ("c", "O")])],
    "sub-array": ("O", (2,)),
    "structure with a sub-array": [("a", "O", (2, 2))],
    "StringDType": np.dtypes.StringDType(),
}


@pytest.mark.parametrize("dtype", OBJECTS.values(), ids=OBJECTS)
def test_dtypes_that_hold_references(pool: BufferPool, dtype: Any) -> None:
    for ask in (
        lambda: pool.empty(3, dtype),
        lambda: pool.zeros(3, dtype),
        lambda: pool.ones(3, dtype),
        lambda: pool.full(3, 0, dtype),
        lambda: pool.empty_like([1, 2], dtype),
        lambda: pool.zeros_like([1, 2], dtype),
        lambda: pool.empty_like(np.zeros(2, dtype)),
        lambda: pool.array(np.zeros(2, dtype)),
        lambda: pool.ascontiguousarray(np.zeros(4, dtype)[::2]),
        lambda: pool.lease(3, dtype),
        lambda: pool.scratch(3, dtype),
        lambda: pool.prewarm(1, 3, dtype),
    ):
        refused(pool, ObjectDtypeError, TypeError, ask, "references")


@pytest.mark.parametrize("value", [None, object(), {}], ids=["None", "object", "dict"])
def test_values_that_are_objects(pool: BufferPool, value: Any) -> None:
    refused(pool, ObjectDtypeError, TypeError, lambda: pool.full(3, value))
    refused(pool, ObjectDtypeError, TypeError, lambda: pool.array(value))
    refused(pool, ObjectDtypeError, TypeError, lambda: pool.full_like([1], value, object))


@pytest.mark.parametrize("dtype", OBJECTS.values(), ids=OBJECTS)
def test_numpy_may_have_objects_under_the_pool(pool: BufferPool, dtype: Any) -> None:
    """NumPy zeroes what holds references, on dirty memory too."""
    ones = [pool.full(n, 255, "u1") for n in (32, 64, 128, 512)]
    ones.clear()
    with pool:
        a = np.zeros(3, dtype)
        b = np.empty(12, dtype)
        b[:] = a.repeat(4, axis=0)
        c = np.concatenate([a, b])[::-1].copy()
        assert repr(c.tolist()) == repr(np.zeros(15, dtype).tolist())


@pytest.mark.parametrize("make", [BufferPool.scratch, BufferPool.lease], ids=["scratch", "lease"])
def test_what_is_no_pool_is_refused(make: Any) -> None:
    with pytest.raises(TypeError):
        make(None, 3)


def test_the_largest_block_that_there_can_be() -> None:
    """The system refuses the largest size of a block, and the pool refuses one byte more."""
    pool = BufferPool()
    with pytest.raises(OutOfMemoryError):
        pool.empty(1 << 46, "u1")
    with pytest.raises(SizeError, match="64 TiB"):
        pool.empty((1 << 46) + 1, "u1")
