"""What a borrower may do with an array of the pool: everything that NumPy allows with an array of its own."""

from __future__ import annotations

import copy
import pickle
import sysconfig
import tracemalloc
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool
from tests.support.accounting import conserved, in_use
from tests.support.arrays import dirty
from tests.support.threads import in_thread

MIB = 1 << 20
PAGE = 4096


def test_owns_its_data(pool: BufferPool) -> None:
    a = pool.empty(3)
    assert (a.flags.owndata, a.base, a.flags.writeable) == (True, None, True)


@pytest.mark.parametrize("new", [0, 1, 10, 100, 1000, 10_000, MIB, 5 * MIB])
@pytest.mark.parametrize("old", [0, 1, 100, 10_000, MIB, 4 * MIB])
def test_resize(pool: BufferPool, old: int, new: int) -> None:
    """Growing keeps the contents and adds zeros, on dirty memory too."""
    dirty(pool, max(new, 1))
    a = pool.empty(old, "u1")
    a[:] = 7
    a.resize(new, refcheck=False)
    assert a.shape == (new,)
    assert (a[:old] == 7).all()
    assert not a[old:].any()
    assert new == 0 or pool.owns(a)
    assert pool.stats().in_use_bytes >= new
    assert conserved(pool)


def test_resize_up_and_down_gives_memory_back(pool: BufferPool) -> None:
    a = pool.zeros(16 * MIB, "u1")
    a.resize(1000, refcheck=False)
    assert pool.stats().in_use_bytes <= 2048


def test_resize_at_the_limit_keeps_the_contents() -> None:
    pool = BufferPool(limit=MIB)
    a = pool.full(MIB // 2, 7, "u1")
    b = pool.full(MIB // 2, 8, "u1")
    with pytest.raises(MemoryError):
        a.resize(MIB, refcheck=False)
    assert b.all()
    assert a.shape == (MIB // 2,)
    assert (a == 7).all()
    assert conserved(pool)


@pytest.mark.parametrize("order", ["C", "F"])
def test_reshape(pool: BufferPool, order: Any) -> None:
    a = pool.array(np.arange(24).reshape(4, 6), order=order)
    b = a.reshape(2, 12, order=order)
    assert np.shares_memory(a, b)
    assert (b == np.array(np.arange(24).reshape(4, 6), order=order).reshape(2, 12, order=order)).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_attributes_set_in_place(pool: BufferPool) -> None:
    a = pool.zeros(12, "i4")
    a.shape = (3, 4)
    a.dtype = "i2"
    a.shape = (24,)
    a.strides = (0,)
    assert (a.shape, a.strides) == ((24,), (0,))
    with pytest.raises(ValueError, match=r"strides"):
        a.strides = (1000,)


def test_setflags(pool: BufferPool) -> None:
    a = pool.empty(3)
    a.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1
    a.setflags(write=True)
    a[0] = 1
    with pytest.raises((AttributeError, ValueError, TypeError)):
        a.flags.owndata = False


def test_byte_swapped(pool: BufferPool) -> None:
    a = pool.array([1, 256], ">u2")
    assert a.tobytes() == b"\0\1\1\0"
    assert a.byteswap(inplace=True).tolist() == [256, 1]


def test_overlapping_views(pool: BufferPool) -> None:
    a = pool.array(np.arange(100_000))
    a[1:] = a[:-1]
    assert (a[1:] == np.arange(99_999)).all()
    a[::-1] += a
    assert conserved(pool)


def test_every_view_keeps_the_memory(pool: BufferPool) -> None:
    a = pool.full(1000, 5, "u1")
    view = a[10:20][::2]
    del a
    others = [pool.full(1000, 9, "u1") for _ in range(6)]
    assert view.tolist() == [5] * 5
    del view, others
    assert pool.stats().in_use_bytes == 0


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, np.copy, lambda a: pickle.loads(pickle.dumps(a))]
)
def test_copies_are_their_own(pool: BufferPool, duplicate: Any) -> None:
    a = pool.full(1000, 5, "u1")
    b = duplicate(a)
    del a
    others = [pool.full(1000, 9, "u1") for _ in range(6)]
    assert (b == 5).all()
    assert not pool.owns(b)
    del others


def test_pickled_out_of_band(pool: BufferPool) -> None:
    """The pickle's buffers keep the memory."""
    sent: list[pickle.PickleBuffer] = []
    head = pickle.dumps(pool.full(1000, 5, "u1"), protocol=5, buffer_callback=sent.append)
    others = [pool.full(1000, 9, "u1") for _ in range(6)]
    assert (pickle.loads(head, buffers=sent) == 5).all()
    del others


def test_state_set_anew(pool: BufferPool) -> None:
    """NumPy frees the old memory and takes new memory from the current allocator."""
    a = pool.empty(1000)
    a.__setstate__((1, (2,), np.dtype("u1"), False, b"ab"))
    assert pool.stats().in_use_bytes == 0
    assert a.tolist() == [97, 98]


def test_temporaries_are_reused(pool: BufferPool) -> None:
    """NumPy's elision of temporaries works on pooled memory as on its own: no more memory at the peak."""
    n = 4 * MIB
    a = np.ones(n, "u1")

    def peak() -> int:
        tracemalloc.start()
        try:
            b = a + a + a + a + a
            return tracemalloc.get_traced_memory()[1] // b.nbytes
        finally:
            tracemalloc.stop()

    plain = peak()
    with pool:
        assert peak() == plain
    assert pool.stats().peak_bytes == plain * n


def test_dying_pooled_array_is_a_temporary_too(pool: BufferPool) -> None:
    """The sum takes the memory of what ``pool.ones`` made, if this NumPy elides at all; not without the GIL, where the
    array is not its maker's alone.
    """
    a = np.ones(4 * MIB, "u1")
    tracemalloc.start()
    try:
        plain = np.ones(4 * MIB, "u1") + a
        elides = tracemalloc.get_traced_memory()[1] < 2 * plain.nbytes
    finally:
        tracemalloc.stop()
    pooled = pool.ones(4 * MIB, "u1") + a
    assert pool.owns(pooled) == (elides and not sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert (pooled == 2).all()


def test_freed_on_another_thread(pool: BufferPool) -> None:
    box = [pool.full(n, 1, "u1") for n in (64, 5000, MIB, 3 * MIB)]
    in_thread(box.clear)
    assert in_use(pool) == 0
    assert conserved(pool)


def test_subclass_of_the_pool() -> None:

    class Mine(BufferPool):
        pass

    pool = Mine(1 << 20, name="mine")
    assert pool.owns(pool.empty(3))
    assert "mine" in repr(pool)


def test_zeros_like_of_a_subclass_stays_in_bounds(pool: BufferPool) -> None:
    whole = np.full(1000, 7, "u1")

    class Own(np.ndarray):
        def __array_function__(self, *_: Any) -> Any:
            return whole[:200][::-1]

    z = pool.zeros_like(np.zeros(200, "u1").view(Own))
    assert (z == 0).all()
    assert (whole[200:] == 7).all()
