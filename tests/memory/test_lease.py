"""``pool.lease``: memory for a block of code, under the rule that a stale name never aliases."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, BufpoolError, LimitError, ReleasedError
from tests.support.accounting import all_back, conserved, run_python
from tests.support.stale_names import N, leased, overwrite
from tests.support.threads import in_thread

HUGE = 3 << 20  # bytes: a block with a region of its own


def test_gives_what_empty_gives(pool: BufferPool) -> None:
    with pool.lease((3, 4), "f4", "F") as a:
        assert (type(a), a.shape, a.dtype, a.flags.f_contiguous) == (np.ndarray, (3, 4), np.float32, True)
        assert pool.owns(a)


def test_alignment(pool: BufferPool) -> None:
    with pool.lease(10, alignment=1 << 16) as a:
        assert a.ctypes.data % (1 << 16) == 0


def test_holds_nothing_before_it_is_entered(pool: BufferPool) -> None:
    lease = pool.lease(N, "u1")
    assert pool.stats().in_use_bytes == 0
    assert "not entered" in repr(lease)


def test_memory_is_back_after_the_block(pool: BufferPool) -> None:
    with pool.lease(N, "u1"):
        assert pool.stats().in_use_bytes == N
    assert pool.stats().in_use_bytes == 0


@pytest.mark.parametrize("nbytes", [64, N, HUGE])
def test_stale_name_is_detached(pool: BufferPool, nbytes: int) -> None:
    stale = leased(pool, nbytes)
    assert (stale.shape, stale.size, stale.nbytes) == ((0,), 0, 0)
    assert pool.stats().in_use_bytes == 0


def test_detached_array_keeps_its_dimensions_and_dtype(pool: BufferPool) -> None:
    def stale() -> np.ndarray:
        with pool.lease((2, 3, 4), "c8") as a:
            pass
        return a

    assert (stale().shape, stale().dtype) == ((0, 0, 0), np.complex64)


def test_two_names_are_detached(pool: BufferPool) -> None:
    def stale() -> tuple[np.ndarray, np.ndarray]:
        with pool.lease(N, "u1") as a:
            b = a
        return a, b

    assert [each.size for each in stale()] == [0, 0]
    assert pool.stats().in_use_bytes == 0


def test_next_lease_takes_the_same_memory(pool: BufferPool) -> None:
    def addresses() -> set[int]:
        seen = set()
        for _ in range(10):
            with pool.lease(HUGE, "u1") as a:
                seen.add(a.ctypes.data)
        return seen

    assert len(addresses()) == 1
    assert pool.stats().misses == 1


USES = {
    "repr": repr,
    "sum": np.sum,
    "add": lambda a: a + 1,
    "copy": np.copy,
    "fill": lambda a: a.fill(7),
    "slice": lambda a: a[:5],
    "reshape": lambda a: a.reshape(-1, 1),
    "view": lambda a: a.view("u2"),
    "memoryview": lambda a: bytes(memoryview(a)),
    "pickle": pickle.dumps,
    "deepcopy": copy.deepcopy,
    "setflags": lambda a: a.setflags(write=False),
    "byteswap": lambda a: a.byteswap(inplace=True),
    "sort": lambda a: a.sort(),
    "from_dlpack": np.from_dlpack,
    "setstate": lambda a: a.__setstate__((1, (2,), np.dtype("u1"), False, b"ab")),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_detached_array_is_safe_to_use(pool: BufferPool, use: Any) -> None:
    stale = leased(pool)
    use(stale)
    overwrite(pool)
    assert conserved(pool)


def test_detached_array_cannot_grow_into_the_pool(pool: BufferPool) -> None:
    stale = leased(pool)
    with pytest.raises(ValueError, match="own"):
        stale.resize(10, refcheck=False)
    with pytest.raises(IndexError):
        stale[0]


CHANGES = {
    "resize": lambda a: a.resize(3 * N, refcheck=False),
    "resize to nothing": lambda a: a.resize(0, refcheck=False),
    "setflags": lambda a: a.setflags(write=False),
    "shape": lambda a: setattr(a, "shape", (2, -1)),
    "dtype": lambda a: setattr(a, "dtype", "u2"),
    "setstate": lambda a: a.__setstate__((1, (2,), np.dtype("u1"), False, b"ab")),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_array_changed_by_its_borrower(pool: BufferPool, change: Any) -> None:
    """Whatever the borrower did to the array, its memory returns exactly once."""

    def leave() -> np.ndarray:
        with pool.lease(N, "u1") as a:
            change(a)
        return a

    stale = leave()
    overwrite(pool)
    assert 255 not in stale.tolist()


def test_ended_on_another_thread(pool: BufferPool) -> None:
    lease = pool.lease(N, "u1")
    lease.__enter__()
    in_thread(lease.__exit__, None, None, None)
    assert "ended" in repr(lease)


def test_outlives_the_pool() -> None:

    def leave() -> np.ndarray:
        with BufferPool(name="gone").lease(N, "u1") as a:
            a[:] = 1
            return a[1:]

    assert (leave() == 1).all()


@pytest.mark.parametrize("entered", [True, False])
def test_serves_one_block(pool: BufferPool, entered: bool) -> None:
    lease = pool.lease(N, "u1")
    if entered:
        with lease, pytest.raises(ReleasedError, match="tested"):
            lease.__enter__()
        with pytest.raises(ReleasedError, match="ended"):
            lease.__enter__()
    with pytest.raises(ReleasedError, match="not entered") as caught:
        lease.__exit__(None, None, None)
    assert isinstance(caught.value, BufpoolError)
    assert isinstance(caught.value, ValueError)


def test_refused_entry_can_be_tried_again() -> None:
    pool = BufferPool(limit=N, name="small")
    other = pool.empty(N, "u1")
    lease = pool.lease(N, "u1")
    with pytest.raises(LimitError):
        lease.__enter__()
    del other
    with lease as a:
        assert a.size == N
    assert all_back(pool)


def test_pool_of_one_block_serves_a_loop() -> None:
    """A stale name of the caller does not keep the block in use."""
    pool = BufferPool(limit=N, name="one block")
    for step in range(5):
        with pool.lease(N, "u1") as a:
            a[:] = step
    assert pool.stats().hits == 4


def test_pool_of_one_block_refuses_rather_than_alias() -> None:
    pool = BufferPool(limit=N, name="one block")
    with pool.lease(N, "u1") as a:
        a[:] = 1
        view = a[1:]
    with pytest.raises(LimitError, match="one block"):
        pool.lease(N, "u1").__enter__()
    assert (view == 1).all()


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f.__name__)
def test_cannot_be_copied(pool: BufferPool, duplicate: Any) -> None:
    with pytest.raises(TypeError):
        duplicate(pool.lease(3))


def test_cannot_be_made_or_derived_from() -> None:
    out = run_python("""
        from bufpool import BufpoolError, Lease
        for make in (Lease, lambda: type("L", (Lease,), {}), lambda: Lease.__new__(Lease).__enter__()):
            try:
                make()
            except (TypeError, BufpoolError):
                print("refused")
    """)
    assert out.split() == ["refused"] * 3


def test_an_emptied_array_points_to_nothing_of_the_pools(pool: BufferPool) -> None:
    """Its data pointer does not point to pooled memory."""
    with pool.lease(N, "u1") as a:
        address = a.ctypes.data
    assert a.size == 0
    assert a.ctypes.data != address
    assert not pool.owns(a)


def test_an_array_with_other_memory_is_left_alone(pool: BufferPool) -> None:
    """NumPy gave the array other memory, which the pool must not free."""
    with pool.lease(N, "u1") as a:
        a.__setstate__((1, (2,), np.dtype("u1"), False, b"ab"))
        assert not pool.owns(a)
    assert a.tobytes() == b"ab"


def test_tracemalloc_sees_an_emptied_array_go(pool: BufferPool) -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with pool.lease(1 << 20, "u1") as a:
            grown = tracemalloc.get_traced_memory()[0] - before
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert a.size == 0
    assert grown >= 1 << 20
    assert left < 20_000


def test_a_lease_that_ended_holds_nothing(pool: BufferPool) -> None:
    lease = pool.lease(N, "u1")
    with lease:
        assert pool.stats().in_use_bytes == N
    assert pool.stats().in_use_bytes == 0
    assert "ended" in repr(lease)


@pytest.mark.parametrize("nd", [0, 1, 4, 5, 64])
def test_as_many_dimensions_as_an_array_may_have(pool: BufferPool, nd: int) -> None:
    shape = tuple(2 if i in (0, nd - 1) else 1 for i in range(nd))
    lease = pool.lease(shape, "u1")
    assert repr(lease).startswith(f"<Lease of shape {shape},")
    with lease as a:
        assert a.shape == shape
