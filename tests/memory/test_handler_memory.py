"""What NumPy allocated under a pool: how long it lives, where it goes, and the four functions of the handler."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

from bufpool import BufferPool
from tests.support.accounting import run_python
from tests.support.threads import in_thread

SIZES = (1, 7, 64, 100, 1000, 4096, 10_000, 100_000, 1_000_000, 5_000_000)  # bytes: every kind of block


def dirty(pool, *sizes: int) -> None:
    """Leave idle blocks in the pool that are full of bytes which are no pointers."""
    blocks = [pool.full(size, 0xDB, "u1") for size in sizes for _ in range(40)]
    del blocks


# --- what outlives the block ---------------------------------------------------------------------------------------


def test_arrays_outlive_the_block_and_go_back_to_the_pool(pool):
    with pool:
        arrays = [np.full(n, 7, "u1") for n in SIZES]
    assert [int(a.sum()) for a in arrays] == [7 * n for n in SIZES]
    views = [a[::2] for a in arrays]
    del arrays
    assert all(pool.owns(v) for v in views)
    assert pool.stats().in_use_bytes >= sum(SIZES)
    del views
    assert pool.stats().in_use_bytes == 0


def test_freed_under_another_handler(pool):
    other = BufferPool()
    with pool:
        a = [np.ones(n, "u1") for n in SIZES]
    with other:
        b = [np.ones(n, "u1") for n in SIZES]
        del a
        assert pool.stats().in_use_bytes == 0
    with pool:
        del b
    assert other.stats().in_use_bytes == 0


def test_freed_on_another_thread(pool):
    with pool:
        arrays = [np.ones(n, "u1") for n in SIZES * 20]
    in_thread(arrays.clear)
    assert pool.stats().in_use_bytes == 0


def test_arrays_outlive_the_pool():
    pool = BufferPool()
    with pool:
        arrays = [np.full(n, 3, "u1") for n in SIZES]
    del pool
    gc.collect()
    assert [int(a.sum()) for a in arrays] == [3 * n for n in SIZES]
    arrays[4].resize(10, refcheck=False)
    assert arrays[4].sum() == 30
    with pytest.raises(MemoryError):  # a pool that is gone hands out nothing more
        arrays[3].resize(10_000, refcheck=False)
    assert arrays[3].sum() == 300


def test_arrays_and_an_installed_pool_at_interpreter_exit():
    program = """
        import numpy as np, bufpool, threading
        pool = bufpool.BufferPool()
        pool.install()
        kept = [np.ones(n) for n in (1, 1000, 1000000)]
        class Late:
            def __init__(self): self.array = np.ones(100)
            def __del__(self): self.array.resize(1000, refcheck=False); self.other = np.zeros(5000)
        late = Late()
        late.me = late
        threading.Thread(target=pool(lambda: kept.append(np.ones(9)))).start()
    """
    assert run_python(program) == ""


# --- NumPy's four hooks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nbytes", SIZES)
def test_zeros_are_zero_on_recycled_memory(pool, nbytes):
    dirty(pool, nbytes)
    with pool:
        assert not any(np.zeros(nbytes, "u1").any() for _ in range(50))
        assert not np.zeros_like(np.empty(nbytes, "u1")).any()


def test_an_impossible_size_is_a_memory_error(pool):
    with pool:
        for shape in (1 << 46, 1 << 59):
            with pytest.raises(MemoryError):
                np.zeros(shape)
            with pytest.raises(MemoryError):
                np.empty(shape)
        assert np.ones(3).sum() == 3


@pytest.mark.parametrize("inside", [True, False])
def test_resize_keeps_what_is_there(pool, inside):
    """Growing and shrinking through realloc, across all kinds of blocks, under the pool and after it."""
    with pool:
        a = np.arange(1, dtype="u4")
        steps = [1, 3, 16, 15, 17, 200, 100, 5000, 4999, 300_000, 2_000_000, 299, 40, 2_500_000, 1, 0, 10]
        if not inside:
            pool.uninstall()
        for n in steps:
            kept = min(n, a.size)
            a.resize(n, refcheck=False)
            assert pool.owns(a)
            assert (a[:kept] == np.arange(kept)).all()
            assert not a[kept:].any()
            a[:] = np.arange(n)
        if not inside:
            pool.install()


def test_shrinking_gives_memory_back(pool):
    with pool:
        a = np.ones(10_000_000, "u1")
    a.resize(1000, refcheck=False)
    assert pool.stats().in_use_bytes < 4096


def test_numbers_read_one_by_one_grow_the_array(pool):
    with pool:
        a = np.fromiter(range(100_000), dtype=np.int64)
        b = np.fromstring(",".join(map(str, range(20_000))), sep=",")
    assert pool.owns(a)
    assert (a == np.arange(100_000)).all()
    assert pool.owns(b)
    assert (b == np.arange(20_000)).all()


def test_an_array_of_numpys_own_stays_with_numpy(pool):
    a = np.arange(1000)
    with pool:
        a.resize(5000, refcheck=False)
        assert not pool.owns(a)
    assert a[:1000].sum() == 499500


@pytest.mark.parametrize("shape", [0, (0, 5), (3, 0, 2), ()])
def test_empty_and_scalar_shapes(pool, shape):
    with pool:
        a = np.zeros(shape)
        b = a.copy()
        assert a.shape == b.shape
        a.resize(10, refcheck=False)
        assert a.size == 10


def test_the_limit_is_a_memory_error_of_numpy():
    pool = BufferPool(limit=1 << 20)
    with pool:
        kept = np.ones(1 << 19, "u1")
        for _ in range(3):
            with pytest.raises(MemoryError, match="Unable to allocate"):
                np.ones(1 << 20, "u1")
        with pytest.raises(MemoryError):
            kept.resize(1 << 21, refcheck=False)
        assert kept.sum() == 1 << 19
        del kept
        assert pool.owns(np.ones(1 << 19, "u1"))
    stats = pool.stats()
    assert stats.in_use_bytes == 0
    assert stats.refused >= 4


# --- objects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 8, 100, 5000, 100_000])
def test_object_arrays_on_recycled_memory(pool, n):
    dirty(pool, n * 8, n * 16)
    thing = object()
    with pool:
        count = sys.getrefcount(thing)
        for make in (
            lambda: np.empty(n, object),
            lambda: np.zeros(n, [("a", object), ("b", "i8")])["a"],
            lambda: np.array([thing] * n, object),
            lambda: np.full(n, thing, object),
            lambda: np.array([thing, None] * n, object)[::2].copy(),
        ):
            a = make()
            assert all(each is None or each == 0 or each is thing for each in a.tolist())
            a[0] = thing
            a = a[::-1].copy()
            del a
        gc.collect()
        assert sys.getrefcount(thing) == count


def test_object_arrays_resize(pool):
    dirty(pool, *SIZES)
    with pool:
        a = np.array(["x" * i for i in range(10)], object)
        for n in (1000, 100_000, 50, 10):
            a.resize(n, refcheck=False)
            assert a[9] == "x" * 9
            assert not any(a[10:].tolist())


@pytest.mark.parametrize("n", [1, 100, 10_000])
def test_variable_width_strings(pool, n):
    dirty(pool, n * 16)
    with pool:
        a = np.array(["a string that is longer than fits beside its length"] * n, np.dtypes.StringDType())
        b = np.strings.upper(a)
        c = np.empty(n, np.dtypes.StringDType())
        assert b[n - 1].startswith("A STRING")
        assert set(c.tolist()) == {""}
