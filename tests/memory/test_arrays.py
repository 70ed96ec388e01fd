"""The constructors of `BufferPool`: NumPy's own arrays, in every respect but where their memory comes from."""

from __future__ import annotations

import inspect
import tracemalloc
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, good_size
from tests.support.accounting import all_back, conserved, in_use
from tests.support.arrays import described, dirty

MIB = 1 << 20


# --- as NumPy's ---

DTYPES = [
    "?",
    "i1",
    "u8",
    "f2",
    "f8",
    "c16",
    "g",
    ">i4",
    "<U3",
    ">U3",
    "S5",
    "U",
    "S",
    "V",
    "V7",
    "M8",
    "M8[ns]",
    "m8[D]",
    ("i4", 3),
    ("f4", (2, 2)),
    [("a", "i1"), ("b", "f8")],
    [("a", ">i2"), ("b", [("c", "U4"), ("d", "c8", (2,))])],
    [],
    {"names": ["x", "y"], "formats": ["i4", "u1"], "offsets": [8, 1], "itemsize": 40},
    np.dtype([("a", "i1"), ("b", "f8")], align=True),
    np.dtype("f8", metadata={"unit": "m"}),
]
SHAPES = [
    (),
    0,
    1,
    5,
    (5,),
    [2, 3],
    (2, 0, 3),
    (0, 1 << 50),
    (3, 1, 4),
    np.int64(4),
    np.array([2, 2]),
    (1,) * 64,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("make", ["empty", "zeros", "ones"])
def test_dtypes(pool: BufferPool, make: str, dtype: Any) -> None:
    """The pool accepts and refuses the same dtypes as NumPy, with the same results."""
    try:
        expected = getattr(np, make)((2, 3), dtype)
    except Exception as error:
        with pytest.raises(type(error)):
            getattr(pool, make)((2, 3), dtype)
        assert pool.stats().in_use_bytes == 0
        return
    a = getattr(pool, make)((2, 3), dtype)
    assert described(a) == described(expected)
    assert pool.owns(a)
    assert make == "empty" or np.array_equal(a, expected)
    assert make != "zeros" or not any(a.tobytes())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", ["C", "F", "c", "f", None])
def test_shapes_and_orders(pool: BufferPool, shape: Any, order: Any) -> None:
    assert described(pool.empty(shape, "i4", order)) == described(np.empty(shape, "i4", order))


@pytest.mark.parametrize("dtype", [("f4", (2, 2)), ("f4", (3,)), [("a", "f4", (2, 2))]], ids=str)
def test_sub_arrays_in_fortran_order(pool: BufferPool, dtype: Any) -> None:
    assert described(pool.zeros((2, 3), dtype, "F")) == described(np.zeros((2, 3), dtype, "F"))


def test_default_dtype(pool: BufferPool) -> None:
    assert pool.empty(1).dtype == pool.empty(1, None).dtype == pool.zeros(1).dtype == np.float64


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_unsized_strings_hold_one_character(pool: BufferPool, dtype: str) -> None:
    a = pool.zeros(2, dtype)
    a[:] = "xyz"
    assert a.tolist() == np.array(["x", "x"], dtype).tolist()


LIKE = ["empty_like", "zeros_like", "ones_like", "full_like"]
SAME = ["empty", "zeros", "ones", "full", "array", "ascontiguousarray", "asfortranarray", *LIKE]


@pytest.mark.parametrize("name", SAME)
def test_argument_names_of_numpy(name: str) -> None:
    """The parameters are NumPy's, in NumPy's order."""
    parameters = inspect.signature(getattr(BufferPool, name)).parameters
    ours = [each for each in parameters if each not in ("self", "alignment")]
    try:
        theirs = list(inspect.signature(getattr(np, name)).parameters)
    except ValueError:
        pytest.skip("this NumPy does not tell the signature of its C functions")
    theirs = [each for each in theirs if each in ours or each not in ("device", "like", "copy", "ndmax")]
    assert ours == theirs


PROTOTYPES = {
    "C": np.arange(24.0).reshape(2, 3, 4),
    "F": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
    "strided": np.arange(40)[::3],
    "reversed": np.arange(5)[::-1],
    "broadcast": np.broadcast_to(np.arange(3), (4, 3)),
    "scalar": np.array(5, "i2"),
    "list": [[1, 2], [3, 4]],
    "number": 3.5,
    "matrix subclass": np.ma.masked_array([1, 2, 3], [0, 1, 0]),
    "structured": np.zeros(3, [("a", "i1"), ("b", "f8", (2,))]),
    "byte-swapped": np.arange(3, dtype=">i4"),
    "datetime": np.array(["2024-01-01", "NaT"], "M8[s]"),
}


@pytest.mark.parametrize("name", LIKE)
@pytest.mark.parametrize("prototype", PROTOTYPES.values(), ids=PROTOTYPES)
def test_like(pool: BufferPool, name: str, prototype: Any) -> None:
    extra = (1,) if name == "full_like" else ()
    a, expected = getattr(pool, name)(prototype, *extra), getattr(np, name)(prototype, *extra)
    assert described(a)[:5] == described(expected)[:5]
    assert pool.owns(a)


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
def test_like_with_options(pool: BufferPool, order: str) -> None:
    options = {"dtype": "i2", "order": order, "shape": (4, 2)}
    prototype = np.zeros((3, 5), order="F")
    assert described(pool.zeros_like(prototype, **options)) == described(np.zeros_like(prototype, **options))


@pytest.mark.parametrize("prototype", PROTOTYPES.values(), ids=PROTOTYPES)
def test_array_copies(pool: BufferPool, prototype: Any) -> None:
    a = pool.array(prototype)
    assert described(a) == described(np.array(prototype))
    assert a.tobytes() == np.array(prototype).tobytes()
    assert pool.owns(a)
    assert not np.shares_memory(a, np.asarray(prototype))


def test_array_with_options(pool: BufferPool) -> None:
    options: dict[str, Any] = {"dtype": "f4", "order": "F", "ndmin": 3}
    a, expected = pool.array([[1, 2]], **options), np.array([[1, 2]], **options)
    assert described(a)[:5] == described(expected)[:5]
    assert pool.owns(a)


@pytest.mark.parametrize("name", ["ascontiguousarray", "asfortranarray"])
def test_contiguous(pool: BufferPool, name: str) -> None:
    """A copy only where one is needed."""
    strided = np.arange(24).reshape(4, 6)[::2, ::2]
    a = getattr(pool, name)(strided)
    assert (a == strided).all()
    assert pool.owns(a)
    assert described(a) == described(getattr(np, name)(strided))
    assert getattr(pool, name)(a) is a


@pytest.mark.parametrize(
    "value", [7, 2.5, 1j, True, "abc", b"ab", [1, 2, 3], np.datetime64("2024-01-01")], ids=str
)
def test_full(pool: BufferPool, value: Any) -> None:
    a, expected = pool.full((2, 3), value), np.full((2, 3), value)
    assert described(a) == described(expected)
    assert (a == expected).all()


def test_full_converts(pool: BufferPool) -> None:
    assert pool.full(2, 300.7, "i2").tolist() == np.full(2, 300.7, "i2").tolist()


@pytest.mark.parametrize(("value", "dtype"), [("x", "f8"), ([1, 2], None)])
def test_full_that_fails_loses_nothing(pool: BufferPool, value: Any, dtype: Any) -> None:
    with pytest.raises(Exception, match="could not") as expected:
        np.full(3, value, dtype)
    with pytest.raises(expected.type):
        pool.full(3, value, dtype)
    assert in_use(pool) == 0


# --- memory ---


@pytest.mark.parametrize("exponent", range(6, 22))
@pytest.mark.parametrize("make", ["empty", "zeros", "ones"])
def test_alignment(pool: BufferPool, make: str, exponent: int) -> None:
    """64 bytes to 2 MiB, and a write to all of it."""
    for n in (1, 1000, 300_000):
        a = getattr(pool, make)(n, alignment=1 << exponent)
        assert a.ctypes.data % (1 << exponent) == 0
        a[:] = 1
    assert conserved(pool)


def test_a_block_moved_for_alignment_is_whole_again(pool: BufferPool) -> None:
    """The next borrower needs all of the block, and must not run into its neighbour."""
    moved = [pool.empty(1000, "u1", alignment=4096) for _ in range(20)]
    whole = good_size(1000 + 4096 - 64)
    moved.clear()
    arrays = [pool.full(whole, number, "u1") for number in range(20)]
    assert [set(each.tolist()) for each in arrays] == [{number} for number in range(20)]


@pytest.mark.parametrize("alignment", [1, 2, 8, 32, 64])
def test_alignment_is_a_cache_line_at_least(pool: BufferPool, alignment: int) -> None:
    assert pool.empty(3, "u1", alignment=alignment).ctypes.data % 64 == 0


@pytest.mark.parametrize("alignment", [128, 4096, 2 * MIB])
def test_alignment_of_the_pool(alignment: int) -> None:
    """For every array, NumPy's own under ``with pool:`` too."""
    pool = BufferPool(alignment=alignment)
    assert pool.alignment == alignment
    with pool:
        arrays = [
            pool.empty(5),
            pool.zeros(5, alignment=64),
            pool.array([1, 2]),
            np.ones(3),
            np.arange(3) + 1,
        ]
    assert [each.ctypes.data % alignment for each in arrays] == [0] * 5
    arrays.clear()
    assert all_back(pool)


@pytest.mark.parametrize("nbytes", [1, 64, 1000, 64 << 10, MIB, 3 * MIB, 20 * MIB])
@pytest.mark.parametrize("make", ["zeros", "zeros_like", "numpy"])
def test_zeros_on_dirty_memory(pool: BufferPool, nbytes: int, make: str) -> None:
    dirty(pool, nbytes)
    with pool:
        arrays = [
            pool.zeros(nbytes, "u1")
            if make == "zeros"
            else pool.zeros_like(b"", "u1", shape=nbytes)
            if make == "zeros_like"
            else np.zeros(nbytes, "u1")
            for _ in range(6)
        ]
    assert not any(each.any() for each in arrays)
    assert all(pool.owns(each) for each in arrays)


def test_zeros_after_trim(pool: BufferPool) -> None:
    """Also in memory that was purged and committed again."""
    for _ in range(3):
        dirty(pool, 3 * MIB)
        dirty(pool, 1000)
        pool.trim()
        assert not pool.zeros(3 * MIB, "u1").any()
        assert not pool.zeros(1000, "u1").any()


@pytest.mark.parametrize("nbytes", [64, 5000, MIB, 3 * MIB])
def test_wipe(nbytes: int) -> None:
    """No byte of the last user, to the end of the block."""
    pool = BufferPool(wipe=True)
    dirty(pool, good_size(nbytes))
    assert not any(pool.empty(good_size(nbytes), "u1").any() for _ in range(6))
    assert not any(np.frombuffer(pool.buffer(good_size(nbytes)), "u1").any() for _ in range(6))


@pytest.mark.parametrize("n", [0, 1, 7, 1000, 100_001])
def test_block_holds_the_whole_array(pool: BufferPool, n: int) -> None:
    """Arrays written to their last byte do not overlap."""
    arrays = [pool.empty(n, "u1") for _ in range(20)]
    for number, each in enumerate(arrays):
        each[:] = number
    assert [set(each.tolist()) for each in arrays] == [{number} if n else set() for number in range(20)]


def test_memory_is_reused(pool: BufferPool) -> None:
    for _ in range(10):
        pool.empty(MIB, "u1")
    stats = pool.stats()
    assert (stats.misses, stats.hits) == (1, 9)


def test_owns(pool: BufferPool) -> None:
    a = pool.empty(9)
    assert [pool.owns(each) for each in (a, a[1:], a.reshape(3, 3).T, a[::-1])] == [True] * 4
    assert [pool.owns(each) for each in (np.empty(9), a.copy(), BufferPool().empty(9))] == [False] * 3


def test_tracemalloc_sees_pooled_arrays(pool: BufferPool) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        a = pool.empty(MIB, "u1")
        grown = tracemalloc.get_traced_memory()[0] - before
        del a
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert MIB <= grown < MIB + 20_000
    assert left < 20_000
