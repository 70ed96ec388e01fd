"""``pool.scratch``: arrays of one shape and dtype, checked out again and again; none while anybody can still see it."""

from __future__ import annotations

import copy
import gc
import pickle
import time
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

from bufpool import (
    BufferPool,
    BufpoolError,
    ClosedError,
    DoubleReleaseError,
    ForeignReleaseError,
    LimitError,
    Scratch,
)
from tests.support.accounting import conserved, in_use, run_python
from tests.support.array_holders import HOLDERS

N = 24 << 10  # bytes


def overwrite(scratch: Scratch) -> None:
    """Check out, fill and give back more arrays than could be idle."""
    taken = [scratch.acquire() for _ in range(6)]
    for each in taken:
        each[:] = 255
    for each in taken:
        scratch.release(each)


# --- reuse ---


def test_same_array_again(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    addresses = set()
    for _ in range(10):
        a = scratch.acquire()
        addresses.add(a.ctypes.data)
        scratch.release(a)
        del a
    assert len(addresses) == 1


def test_two_arrays_alternate_behind_a_stale_name(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    addresses = set()
    for _ in range(10):
        with scratch as a:
            addresses.add(a.ctypes.data)
    assert len(addresses) <= 2


def test_one_array_serves_blocks_without_a_name(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    for _ in range(10):
        with scratch:
            pass
    assert pool.stats().in_use_bytes == N


def test_nested_blocks_have_arrays_of_their_own(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    with scratch as a, scratch as b, scratch as c:
        for number, each in enumerate((a, b, c)):
            each[:] = number
        assert [int(each.max()) for each in (a, b, c)] == [0, 1, 2]
        assert not np.shares_memory(a, b)


def test_array_dropped_without_release_serves_again(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    for _ in range(10):
        scratch.acquire()
    assert pool.stats().in_use_bytes == N


def test_released_in_any_order(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    arrays = [scratch.acquire() for _ in range(5)]
    for i in (2, 0, 4, 1, 3):
        scratch.release(arrays[i])
    assert "0 out, 5 idle" in repr(scratch)


def test_few_idle_arrays_are_kept(pool: BufferPool) -> None:
    """What others look into does not pile up."""
    scratch = pool.scratch(N, "u1")
    views = []
    for _ in range(200):
        a = scratch.acquire()
        views.append(a[:1])
        scratch.release(a)
    del a
    views.clear()
    assert in_use(pool) <= 65 * N


SPECS = [
    ((), "f8", "C"),
    (0, "f8", "C"),
    ((3, 0), "f8", "F"),
    ((2, 3), "f4", "F"),
    ((1, 5, 1), "c16", "C"),
    (4, ("i4", (2, 2)), "C"),
    ((2, 3), ("i4", (2, 2)), "F"),
    (3, "U", "C"),
    (3, "S", "C"),
    (3, "V", "C"),
    (2, ">f8", "C"),
    (2, "M8[ns]", "C"),
    (2, [("a", "i1"), ("b", "f8", (3,))], "C"),
]


@pytest.mark.parametrize(("shape", "dtype", "order"), SPECS)
def test_shape_dtype_and_order_of_numpy(pool: BufferPool, shape: Any, dtype: Any, order: str) -> None:
    scratch = pool.scratch(shape, dtype, order)
    expected = np.empty(shape, dtype, order)
    for _ in range(3):
        a = scratch.acquire()
        assert (a.shape, a.dtype) == (expected.shape, expected.dtype)
        assert a.strides == expected.strides or a.size == 0
        scratch.release(a)
        del a
    assert (scratch.shape, scratch.dtype) == (expected.shape, expected.dtype)
    assert "0 out, 1 idle" in repr(scratch)


# --- a stale name never aliases ---


@pytest.mark.parametrize("name", HOLDERS)
def test_not_handed_out_while_it_can_be_reached(pool: BufferPool, name: str) -> None:
    scratch = pool.scratch(N, "u1")
    hold, look = HOLDERS[name]
    a = scratch.acquire()
    a[:] = 1
    held = hold(a)
    scratch.release(a)
    del a
    overwrite(scratch)
    if look is not None:
        assert np.all(look(held) == 1)
    else:
        assert held is not None


def test_not_handed_out_while_a_name_stands(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    a[:] = 1
    scratch.release(a)
    overwrite(scratch)
    assert (a == 1).all()


def test_not_reached_through_a_weak_reference(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    weak = weakref.ref(a)
    scratch.release(a)
    del a
    b = scratch.acquire()
    assert weak() is not b


CHANGES = {
    "resize": lambda a: a.resize(3 * N, refcheck=False),
    "resize to nothing": lambda a: a.resize(0, refcheck=False),
    "setflags": lambda a: a.setflags(write=False),
    "shape": lambda a: setattr(a, "shape", (2, -1)),
    "strides": lambda a: setattr(a, "strides", (0,)),
    "dtype": lambda a: setattr(a, "dtype", "i1"),
    "byte order": lambda a: setattr(a, "dtype", ">u2"),
    "setstate": lambda a: a.__setstate__((1, (2,), np.dtype("u1"), False, b"ab")),
    "setstate, same shape": lambda a: a.__setstate__((1, (N,), np.dtype("u1"), False, bytes(N))),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_array_is_not_handed_out(pool: BufferPool, change: Any) -> None:
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    change(a)
    scratch.release(a)
    del a
    b = scratch.acquire()
    assert (b.shape, b.dtype, b.strides, b.flags.writeable) == ((N,), np.uint8, (1,), True)
    assert pool.owns(b)
    assert conserved(pool)


def test_alignment_survives_resize(pool: BufferPool) -> None:
    """Growing moves the data, shrinking gives the old shape on memory that is aligned less."""
    scratch = pool.scratch(N, "u1", alignment=1 << 16)
    for _ in range(8):
        a = scratch.acquire()
        assert a.ctypes.data % (1 << 16) == 0
        a.resize(9 * N, refcheck=False)
        a.resize(N, refcheck=False)
        scratch.release(a)
        del a


# --- mistakes ---


def test_double_release(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    scratch.release(a)
    with pytest.raises(DoubleReleaseError, match="'tested'.*released before") as caught:
        scratch.release(a)
    assert isinstance(caught.value, BufpoolError)
    assert isinstance(caught.value, ValueError)
    assert scratch.acquire() is not a
    assert conserved(pool)


def test_late_release(pool: BufferPool) -> None:
    """The block of a ``with`` ended; its array is released once more."""
    scratch = pool.scratch(N, "u1")
    with scratch as a:
        pass
    with pytest.raises(DoubleReleaseError):
        scratch.release(a)


def test_acquired_inside_a_block_and_released_after_it(pool: BufferPool) -> None:
    """The end of the block gives back its own array and no other."""
    scratch = pool.scratch(N, "u1")
    with scratch as a:
        b = scratch.acquire()
    scratch.release(b)
    with pytest.raises(DoubleReleaseError):
        scratch.release(a)


def foreign_arrays(pool: BufferPool, scratch: Scratch) -> dict[str, Any]:
    return {
        "None": None,
        "int": 5,
        "array of NumPy": np.empty(N, "u1"),
        "array of the pool": pool.empty(N, "u1"),
        "of another scratch": pool.scratch(N, "u1").acquire(),
        "of another pool": BufferPool().scratch(N, "u1").acquire(),
        "view of its own": scratch.acquire()[:],
    }


@pytest.mark.parametrize("what", foreign_arrays(BufferPool(), BufferPool().scratch(1)))
def test_release_of_a_foreign_object(pool: BufferPool, what: str) -> None:
    scratch = pool.scratch(N, "u1")
    array = foreign_arrays(pool, scratch)[what]
    with pytest.raises(ForeignReleaseError, match=f"'tested'.*{type(array).__name__}") as caught:
        scratch.release(array)
    assert isinstance(caught.value, BufpoolError)
    assert isinstance(caught.value, ValueError)
    assert conserved(pool)


def test_exception_in_the_block(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    with pytest.raises(KeyError), scratch:
        raise KeyError
    assert "0 out" in repr(scratch)


def test_closed_pool(pool: BufferPool) -> None:
    """An idle array is refused too; what is out can be given back."""
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    scratch.pool.close()
    scratch.release(a)
    del a
    with pytest.raises(ClosedError, match="tested"):
        scratch.acquire()
    with pytest.raises(ClosedError, match="tested"), scratch:
        pass


def test_limit_refuses_and_loses_nothing() -> None:
    pool = BufferPool(limit=2 * N, name="two")
    scratch = pool.scratch(N, "u1")
    arrays = [scratch.acquire(), scratch.acquire()]
    with pytest.raises(LimitError, match="two"):
        scratch.acquire()
    scratch.release(arrays.pop())
    assert scratch.acquire().size == N
    assert conserved(pool)


def test_pool_of_one_block_serves_a_loop() -> None:
    """A stale name of the caller does not keep the block in use."""
    pool = BufferPool(limit=N, name="one block")
    scratch = pool.scratch(N, "u1")

    def loop() -> int:
        for step in range(4):
            with scratch as a:
                a[:] = step
        return int(a.max(initial=0))

    assert loop() in (0, 3)


def test_stale_name_is_not_waited_for() -> None:
    """With a timeout, or for ever, the caller would wait for itself."""
    pool = BufferPool(limit=N, timeout=2, name="one block")
    scratch = pool.scratch(N, "u1")
    started = time.monotonic()

    def loop() -> None:
        for step in range(3):
            with scratch as a:
                a[:] = step

    loop()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("spoil", ["moved", "first stride", "last stride"])
def test_a_moved_or_reshaped_array_is_not_reused(pool: BufferPool, spoil: str) -> None:
    """Among its looks are where it lies and its strides."""
    shape = (1, 5) if spoil != "last stride" else (5, 1)
    strides = np.empty(shape).strides
    first = pool.empty(5)  # whatever moves does not come to lie at the beginning of a region
    scratch = pool.scratch(shape, "f8", alignment=1 << 16)
    for _ in range(20):
        a = scratch.acquire()
        assert a.ctypes.data % (1 << 16) == 0
        assert a.strides == strides
        if spoil == "moved":
            a.resize((1, 2000), refcheck=False)
            a.resize((1, 5), refcheck=False)
        else:
            with warnings.catch_warnings():  # NumPy 2.4 advises against it
                warnings.simplefilter("ignore", DeprecationWarning)
                a.strides = (8000, 8) if spoil == "first stride" else (8, 8000)
        scratch.release(a)
        del a
    assert first.size == 5


def test_a_new_array_at_a_limit_is_made_once() -> None:
    pool = BufferPool(limit=100 << 20, max_retained=0)
    scratch = pool.scratch(3 << 20, "u1")
    before = pool.stats()
    arrays = [scratch.acquire() for _ in range(5)]
    did = pool.stats() - before
    assert (did.misses, did.hits, did.refused, sum(did.drops.values())) == (5, 0, 0, 0)
    del arrays


# --- life ---


def test_dropped_scratch_returns_its_arrays(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    scratch.release(scratch.acquire())
    del scratch
    assert pool.stats().in_use_bytes == 0


def test_array_outlives_scratch_and_pool() -> None:
    a = BufferPool().scratch(N, "u1").acquire()
    a[:] = 1
    gc.collect()
    other = BufferPool().full(N, 2, "u1")
    assert (a == 1).all()
    assert (other == 2).all()


def test_a_scratch_ends_with_its_last_name(pool: BufferPool) -> None:
    """The bound methods that it keeps for `with` must not hold it."""
    scratch = pool.scratch(N, "u1")
    weak = weakref.ref(scratch)
    gc.disable()
    try:
        with scratch as a:
            a[:] = 1
        del scratch, a
        assert weak() is None
        assert pool.stats().in_use_bytes == 0
    finally:
        gc.enable()


def test_a_block_outlives_the_name_of_its_scratch(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    with scratch as a:
        del scratch
        gc.collect()
        other = pool.full(N, 2, "u1")
        a[:] = 1
        assert (other == 2).all()
    assert (a == 1).all()


def test_weak_reference_to_the_scratch(pool: BufferPool) -> None:
    scratch = pool.scratch(3)
    weak = weakref.ref(scratch)
    assert weak() is scratch
    del scratch
    gc.collect()
    assert weak() is None


def test_callbacks_that_come_back_in() -> None:
    """Giving up an array that is weakly referenced runs its owner's code in the middle of `acquire`."""
    out = run_python("""
        import weakref, bufpool
        pool = bufpool.BufferPool()
        scratch = pool.scratch(100)
        arrays = [scratch.acquire() for _ in range(6)]
        weak = [weakref.ref(each, lambda _: scratch.acquire()) for each in arrays]
        while arrays:
            scratch.release(arrays.pop())
        taken = [scratch.acquire() for _ in range(12)]
        for number, each in enumerate(taken):
            each[:] = number
        print([int(each.max()) for each in taken] == list(range(12)))
        for each in taken:
            scratch.release(each)
    """)
    assert out.split() == ["True"]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f.__name__)
def test_cannot_be_copied(pool: BufferPool, duplicate: Any) -> None:
    scratch = pool.scratch(N, "u1")
    with pytest.raises(TypeError):
        duplicate(scratch)


def test_cannot_be_made_or_derived_from() -> None:
    out = run_python("""
        from bufpool import BufpoolError, Scratch
        def enter():
            with Scratch.__new__(Scratch):
                pass
        for make in (Scratch, lambda: type("S", (Scratch,), {}), lambda: Scratch.__new__(Scratch).acquire(), enter):
            try:
                make()
            except (TypeError, BufpoolError):
                print("refused")
    """)
    assert out.split() == ["refused"] * 4


def test_wiping_wipes_between_users_of_a_scratch():
    scratch = BufferPool(wipe=True).scratch(1000, "u1")
    a = scratch.acquire()
    a[:] = 7
    scratch.release(a)
    del a
    assert not scratch.acquire().any()


def test_a_refused_request_of_a_scratch_is_counted_once() -> None:
    """It tries before it empties stale names, and again after."""
    pool = BufferPool(limit=N, name="one block")
    scratch = pool.scratch(N, "u1")
    a = scratch.acquire()
    before = pool.stats().refused
    with pytest.raises(LimitError):
        scratch.acquire()
    assert (pool.stats().refused - before, a.size) == (1, N)
