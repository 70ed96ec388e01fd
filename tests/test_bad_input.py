"""What cannot be asked for is refused by name, and nothing is lost: `bufpool.errors` from the outside."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conserving import all_back, conserved

import bufpool
from bufpool import (
    AlignmentError,
    BufferPool,
    BufpoolError,
    ClosedError,
    LimitError,
    LimitTimeoutError,
    ObjectDtypeError,
    OutOfMemoryError,
    SettingError,
    SizeError,
)
from bufpool.native._lease import make_lease
from bufpool.native._scratch import make_scratch

LIMIT = 1 << 20  # bytes
MAX_BLOCK = 1 << 46  # bytes
PROTOTYPE = np.zeros(3, "u1")


@pytest.fixture
def pool() -> Iterator[BufferPool]:
    pool = BufferPool(LIMIT, name="tested")
    yield pool
    assert all_back(pool)


Ask = Callable[[BufferPool, Any], Any]
BY_SHAPE: dict[str, Ask] = {
    "empty": lambda pool, shape: pool.empty(shape, "u1"),
    "zeros": lambda pool, shape: pool.zeros(shape, "u1"),
    "ones": lambda pool, shape: pool.ones(shape, "u1"),
    "full": lambda pool, shape: pool.full(shape, 5, "u1"),
    "empty_like": lambda pool, shape: pool.empty_like(PROTOTYPE, shape=shape),
    "zeros_like": lambda pool, shape: pool.zeros_like(PROTOTYPE, shape=shape),
    "lease": lambda pool, shape: pool.lease(shape, "u1").__enter__(),
    "scratch": lambda pool, shape: pool.scratch(shape, "u1").acquire(),
    "prewarm": lambda pool, shape: pool.prewarm(1, shape, "u1"),
}
BY_SIZE: dict[str, Ask] = BY_SHAPE | {"buffer": lambda pool, nbytes: pool.buffer(nbytes)}


def asking(ways: dict[str, Ask]) -> Any:
    return pytest.mark.parametrize("ask", ways.values(), ids=ways)


def refused(
    pool: BufferPool, kind: type[Exception], base: type[Exception], ask: Callable[[], Any], *says: object
) -> None:
    """It raises exactly `kind`, which is a `base` too; the message names the pool and `says`; nothing is lost."""
    with pytest.raises(base) as caught:
        ask()
    assert type(caught.value) is kind
    assert isinstance(caught.value, BufpoolError)
    message = str(caught.value)
    assert [each for each in ("'tested'", *map(str, says)) if each not in message] == []
    caught.value.__traceback__ = caught.value.__context__ = caught.value.__cause__ = None
    del caught
    assert conserved(pool)
    assert pool.stats().in_use_bytes == 0


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
    """FAULTS 41."""
    refused(pool, SizeError, ValueError, lambda: ask(pool, size), size)


@asking(BY_SHAPE)
@pytest.mark.parametrize("shape", [(3, -1), (0, -1), (-2, -2)], ids=str)
def test_negative_dimension(pool: BufferPool, ask: Ask, shape: Any) -> None:
    """FAULTS 41."""
    refused(pool, SizeError, ValueError, lambda: ask(pool, shape), shape)


@asking(BY_SIZE)
@pytest.mark.parametrize(
    "size",
    [sys.maxsize + 1, -sys.maxsize - 2, 1 << 64, 1 << 1000],
    ids=lambda n: f"2**{math.log2(abs(n)):.0f}",
)
def test_size_beyond_the_index_type(pool: BufferPool, ask: Ask, size: int) -> None:
    """FAULTS 44."""
    refused(pool, SizeError, ValueError, lambda: ask(pool, size))


@asking(BY_SHAPE)
def test_dimension_beyond_the_index_type(pool: BufferPool, ask: Ask) -> None:
    """FAULTS 44."""
    refused(pool, SizeError, ValueError, lambda: ask(pool, (2, sys.maxsize + 1)))


@asking(BY_SIZE)
@pytest.mark.parametrize("size", [MAX_BLOCK + 1, sys.maxsize], ids=hex)
def test_size_beyond_a_block(pool: BufferPool, ask: Ask, size: int) -> None:
    """FAULTS 43."""
    refused(pool, SizeError, ValueError, lambda: ask(pool, size), size, MAX_BLOCK)


OVERFLOWING = [(1 << 32, 1 << 32), (1 << 31,) * 3, (3, 1 << 62), (1 << 40, 1 << 20, 5), (0, 1 << 62, 1 << 62)]


@asking(BY_SHAPE)
@pytest.mark.parametrize("shape", OVERFLOWING, ids=str)
def test_product_overflows(pool: BufferPool, ask: Ask, shape: Any) -> None:
    """FAULTS 43. NumPy refuses the last one too, which has no element."""
    refused(pool, SizeError, ValueError, lambda: ask(pool, shape))


def test_item_size_overflows(pool: BufferPool) -> None:
    """FAULTS 29, 43."""
    huge = np.dtype(("u1", ((1 << 30),)))
    refused(pool, SizeError, ValueError, lambda: pool.empty(1 << 34, huge), 1 << 34)
    refused(pool, SizeError, ValueError, lambda: pool.zeros((1 << 31, 1 << 3), huge), 1 << 31)


@asking(BY_SHAPE)
def test_too_many_dimensions(pool: BufferPool, ask: Ask) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool, (1,) * 65), 64)


def test_too_many_dimensions_with_those_of_the_dtype(pool: BufferPool) -> None:
    """FAULTS 29: the block was taken already."""
    with pytest.raises(ValueError, match="64|dimensions"):
        pool.empty((1,) * 64, ("f4", (2,)))
    assert pool.stats().in_use_bytes == 0


@asking(BY_SIZE)
def test_zero_is_a_size(pool: BufferPool, ask: Ask) -> None:
    """FAULTS 42."""
    ask(pool, 0)
    assert conserved(pool)


@asking(BY_SIZE)
@pytest.mark.parametrize("size", [2.0, math.nan, math.inf, "3", None, 1j, {}, [[1]], (1, 2.5), object()], ids=repr)
def test_no_integer(pool: BufferPool, ask: Ask, size: Any) -> None:
    """FAULTS 45."""
    if size is None and ask in (BY_SHAPE["empty_like"], BY_SHAPE["zeros_like"]):
        pytest.skip("None asks for the prototype's shape")
    with pytest.raises(TypeError):
        ask(pool, size)
    assert conserved(pool)
    assert pool.stats().in_use_bytes == 0


@asking(BY_SHAPE)
def test_bool_as_a_shape(pool: BufferPool, ask: Ask) -> None:
    """FAULTS 45: as NumPy does."""
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
    """FAULTS 45: the error is the caller's own."""
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
    """FAULTS 46."""
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
        refused(pool, AlignmentError, ValueError, ask, alignment, 1 << 21)


@pytest.mark.parametrize("alignment", [64.0, math.nan, "64", Raises()], ids=repr)
def test_alignment_is_an_integer(pool: BufferPool, alignment: Any) -> None:
    """FAULTS 45, 46."""
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
    """FAULTS 27, 28."""
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
    """FAULTS 27."""
    refused(pool, ObjectDtypeError, TypeError, lambda: pool.full(3, value))
    refused(pool, ObjectDtypeError, TypeError, lambda: pool.array(value))
    refused(pool, ObjectDtypeError, TypeError, lambda: pool.full_like([1], value, object))


@pytest.mark.parametrize("dtype", OBJECTS.values(), ids=OBJECTS)
def test_numpy_may_have_objects_under_the_pool(pool: BufferPool, dtype: Any) -> None:
    """FAULTS 27, 28: NumPy zeroes what holds references, on dirty memory too."""
    ones = [pool.full(n, 255, "u1") for n in (32, 64, 128, 512)]
    ones.clear()
    with pool:
        a = np.zeros(3, dtype)
        b = np.empty(12, dtype)
        b[:] = a.repeat(4, axis=0)
        c = np.concatenate([a, b])[::-1].copy()
        assert repr(c.tolist()) == repr(np.zeros(15, dtype).tolist())


# --- the limit ---


@asking(BY_SIZE)
def test_more_than_the_limit(pool: BufferPool, ask: Ask) -> None:
    """FAULTS 65."""
    refused(pool, LimitError, MemoryError, lambda: ask(pool, LIMIT + 1), LIMIT + 1, LIMIT, "0 bytes in use")
    assert pool.stats().reserved_bytes == 0


@asking(BY_SIZE)
def test_limit_reached(pool: BufferPool, ask: Ask) -> None:
    """FAULTS 65: the message tells what is in use, and the room is there again afterwards."""
    size = LIMIT // 4
    taken = [pool.empty(size, "u1") for _ in range(4)]
    with pytest.raises(LimitError, match=rf"'tested': {size} .*{LIMIT} bytes, {LIMIT} bytes in use"):
        ask(pool, size)
    assert pool.stats().in_use_bytes == LIMIT
    assert conserved(pool)
    taken.pop()
    ask(pool, size)
    assert conserved(pool)


@asking(BY_SIZE)
def test_limit_reached_with_a_timeout(ask: Ask) -> None:
    """FAULTS 53, 65."""
    pool = BufferPool(LIMIT, timeout=0.01, name="tested")
    taken = pool.empty(LIMIT, "u1")
    with pytest.raises(TimeoutError, match=rf"'tested': 1000 .*{LIMIT} bytes in use.*waited") as caught:
        ask(pool, 1000)
    assert type(caught.value) is LimitTimeoutError
    assert isinstance(caught.value, MemoryError)
    assert (pool.stats().in_use_bytes, taken.size) == (LIMIT, LIMIT)


@asking(BY_SIZE)
def test_what_can_never_come_is_not_waited_for(ask: Ask) -> None:
    """FAULTS 55, 56: a request above the limit, and no timeout."""
    pool = BufferPool(LIMIT, timeout=10, name="tested")
    outcome = []

    def work() -> None:
        with pytest.raises(LimitError, match="tested"):
            ask(pool, 2 * LIMIT)
        outcome.append("refused")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert outcome == ["refused"]


def test_idle_memory_of_other_sizes_makes_room(pool: BufferPool) -> None:
    """FAULTS 65."""
    small = [pool.empty(1000, "u1") for _ in range(1000)]
    small.clear()
    assert pool.empty(LIMIT, "u1").size == LIMIT


def test_garbage_makes_room(pool: BufferPool) -> None:
    """FAULTS 20, 65: arrays in a cycle that nobody reaches."""

    def leave() -> None:
        cycle: list[Any] = [pool.empty(LIMIT, "u1")]
        cycle.append(cycle)

    leave()
    assert pool.empty(LIMIT, "u1").size == LIMIT


def test_garbage_makes_room_for_what_numpy_builds(pool: BufferPool) -> None:
    """FAULTS 20, 65: NumPy is refused, the garbage goes, and NumPy tries again."""
    cycle: list[Any] = [pool.empty(LIMIT, "u1")]
    cycle.append(cycle)
    del cycle
    assert pool.empty_like(np.empty(LIMIT, "u1")).size == LIMIT


@pytest.mark.parametrize("limit", [0, 1, 63])
def test_limit_below_one_block(limit: int) -> None:
    pool = BufferPool(limit, name="tested")
    refused(pool, LimitError, MemoryError, lambda: pool.empty(1, "u1"), limit)


def test_without_a_limit_the_message_names_none() -> None:
    """The system, or the block's size, is what stands in the way."""
    pool = BufferPool(name="tested")
    refused(pool, SizeError, ValueError, lambda: pool.zeros_like(PROTOTYPE, shape=MAX_BLOCK + 1), MAX_BLOCK)
    refused(pool, SizeError, ValueError, lambda: pool.empty_like(PROTOTYPE, shape=-1), -1)


def test_memory_error_of_the_callers_own_code(pool: BufferPool) -> None:
    """What the pool did not refuse, it does not explain."""

    class Fails:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise MemoryError("mine")

    with pytest.raises(MemoryError, match="mine") as caught:
        pool.array(Fails())
    assert type(caught.value) is MemoryError


# --- a closed pool ---

AFTER_CLOSING: dict[str, Ask] = BY_SIZE | {
    "array": lambda pool, _: pool.array([1, 2]),
    "ones_like": lambda pool, _: pool.ones_like([1, 2]),
    "full_like": lambda pool, _: pool.full_like([1, 2], 5),
    "ascontiguousarray": lambda pool, _: pool.ascontiguousarray([1, 2]),
    "install": lambda pool, _: pool.install(),
    "with": lambda pool, _: pool.__enter__(),
    "decorated": lambda pool, _: pool(len)("abc"),
}


@asking(AFTER_CLOSING)
def test_closed_pool(pool: BufferPool, ask: Ask) -> None:
    pool.close()
    refused(pool, ClosedError, RuntimeError, lambda: ask(pool, 1000), "closed")


def test_closed_pool_takes_back_what_is_out(pool: BufferPool) -> None:
    a, buffer = pool.full(1000, 1, "u1"), pool.buffer(1000)
    pool.close()
    pool.close()
    assert pool.closed
    assert (a == 1).all()
    assert pool.stats().in_use_bytes == 2048
    del a
    buffer.release()
    assert pool.stats()[:3] == (0, 0, 0)
    assert pool.trim() == 0


def test_pool_that_was_never_initialised() -> None:
    """FAULTS 17."""
    pool = BufferPool.__new__(BufferPool)
    with pytest.raises(ClosedError, match="not set up"):
        pool.empty(3)
    with pytest.raises(ClosedError, match="not set up"):
        pool.array([3])
    assert (pool.closed, pool.stats().reserved_bytes, pool.trim()) == (True, 0, 0)
    assert "not set up" in repr(pool)
    pool.close()


def test_pool_is_initialised_once(pool: BufferPool) -> None:
    """FAULTS 17."""
    a = pool.full(3, 1.0)
    with pytest.raises(RuntimeError, match="tested"):
        pool.__init__()  # type: ignore[misc]
    assert (a == 1).all()
    assert pool.limit == LIMIT


# --- settings ---

OUT_OF_RANGE = [
    ("limit", -1),
    ("limit", 1 << 63),
    ("limit", True),
    ("max_retained", -1),
    ("max_retained", 1 << 63),
    ("max_retained", False),
    ("max_idle", -1),
    ("max_idle", -0.001),
    ("max_idle", math.nan),
    ("max_idle", -math.inf),
    ("timeout", -1),
    ("timeout", -1e300),
    ("timeout", math.nan),
    ("timeout", -math.inf),
    ("upstream", "huge"),
    ("upstream", None),
    ("upstream", ["thp"]),
    ("upstream", 5),
]


@pytest.mark.parametrize(("setting", "value"), OUT_OF_RANGE)
def test_setting_out_of_range(pool: BufferPool, setting: str, value: Any) -> None:
    """FAULTS 54, 57."""
    ask = lambda: BufferPool(name="tested", **{setting: value})  # noqa: E731
    refused(pool, SettingError, ValueError, ask, setting, repr(value))


@pytest.mark.parametrize("setting", ["max_idle", "timeout"])
@pytest.mark.parametrize(
    "value",
    [None, 0, 0.0, 1e-12, 5, 1e300, math.inf, 1 << 62, 10**400, np.float32(2)],
    ids=lambda v: str(v)[:9],
)
def test_long_and_short_times(setting: str, value: Any) -> None:
    """FAULTS 53, 55, 56, 58: more than anybody waits is for ever."""
    settings: dict[str, Any] = {setting: value}
    assert all_back(BufferPool(**settings))


WRONG_TYPES = [
    ("limit", 1.5),
    ("limit", "256 MiB"),
    ("max_retained", 1e6),
    ("max_idle", "30"),
    ("timeout", b"1"),
    ("timeout", 1j),
    ("timeout", [1]),
    ("alignment", 64.0),
    ("alignment", None),
    ("name", 5),
    ("name", b"pool"),
]


@pytest.mark.parametrize(("setting", "value"), WRONG_TYPES)
def test_setting_of_a_wrong_type(setting: str, value: Any) -> None:
    settings = {setting: value}
    with pytest.raises(TypeError):
        BufferPool(**settings)


@pytest.mark.parametrize("ask", [lambda p: p.trim(-1), lambda p: p.prewarm(-1, 3)], ids=["trim", "prewarm"])
def test_negative_counts(pool: BufferPool, ask: Any) -> None:
    refused(pool, SizeError, ValueError, lambda: ask(pool), -1)


@pytest.mark.parametrize("wrong", [None, 5, "a", [1], b"abc"], ids=repr)
def test_owns_takes_arrays(pool: BufferPool, wrong: Any) -> None:
    """FAULTS 4."""
    with pytest.raises(TypeError):
        pool.owns(wrong)


@pytest.mark.parametrize("nbytes", [-1, MAX_BLOCK + 1, 1 << 100])
def test_good_size_out_of_range(nbytes: int) -> None:
    with pytest.raises(SizeError, match=str(nbytes)):
        bufpool.good_size(nbytes)


# --- under ``with pool:`` ---


def test_numpy_says_memory_error_at_the_limit(pool: BufferPool) -> None:
    """FAULTS 65: NumPy's own class, and the pool stays usable."""
    with pool:
        with pytest.raises(MemoryError, match="Unable to allocate"):
            np.ones(LIMIT)
        assert pool.owns(np.ones(10))
    assert pool.stats().refused > 0


@pytest.mark.parametrize("make", [make_scratch, make_lease], ids=lambda make: make.__name__)
def test_what_is_no_pool_is_refused(make: Any) -> None:
    with pytest.raises(TypeError):
        make(None, 3)


def test_the_largest_block_that_there_can_be() -> None:
    """A size that a block can have is refused by the system, one byte more by us."""
    pool = BufferPool()
    with pytest.raises(OutOfMemoryError):
        pool.empty(1 << 46, "u1")
    with pytest.raises(SizeError, match=str(1 << 46)):
        pool.empty((1 << 46) + 1, "u1")
