"""What still reaches an array after the block of its lease: names, views, frames, generators, weak references."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool
from tests.support.accounting import conserved
from tests.support.array_holders import HOLDERS
from tests.support.stale_names import N, leased, overwrite


@pytest.mark.parametrize("name", HOLDERS)
def test_memory_stays_while_it_can_be_reached(pool: BufferPool, name: str) -> None:
    """A view, an export, a container."""
    hold, look = HOLDERS[name]

    def leave() -> Any:
        with pool.lease(N, "u1") as a:
            a[:] = 1
            held = hold(a)
        return held

    held = leave()
    assert pool.stats().in_use_bytes == N
    overwrite(pool)
    if look is not None:
        assert np.all(look(held) == 1)
    assert conserved(pool)


def test_name_bound_to_a_view_instead(pool: BufferPool) -> None:
    """The reference count is that of the plain case."""

    def leave() -> np.ndarray:
        with pool.lease(N, "u1") as a:
            a[:] = 1
            a = a[1:]
        return a

    view = leave()
    overwrite(pool)
    assert view.size == N - 1
    assert (view == 1).all()


def test_variable_shared_with_an_inner_function(pool: BufferPool) -> None:
    def leave() -> Any:
        with pool.lease(N, "u1") as a:
            a[:] = 1
        return lambda: a

    look = leave()
    overwrite(pool)
    assert (look() == 1).all()


def test_scalar_array_is_kept(pool: BufferPool) -> None:
    """An array without dimensions cannot be made empty."""

    def leave() -> np.ndarray:
        with pool.lease((), "i8") as a:
            a[()] = 1
        return a

    stale = leave()
    taken = [pool.full((), 255, "i8") for _ in range(6)]
    assert (stale[()], len(taken)) == (1, 6)


@pytest.mark.parametrize("shape", [0, (3, 0)])
def test_zero_length(pool: BufferPool, shape: Any) -> None:
    with pool.lease(shape) as a:
        assert a.size == 0
    assert a.size == 0


def test_sub_array_dtype(pool: BufferPool) -> None:
    with pool.lease(3, ("i4", (2, 2))) as a:
        assert a.shape == (3, 2, 2)
        a[:] = 5


@pytest.mark.parametrize(
    "code", ["with pool.lease(9) as a: a[:] = 1", "class C:\n  with pool.lease(9) as a: a[:] = 1\na = C.a"]
)
def test_name_of_a_module_or_class(pool: BufferPool, code: str) -> None:
    """Detached or kept, but never another borrower's."""
    names: dict[str, Any] = {"pool": pool}
    exec(code, names)
    taken = [pool.full(9, 255) for _ in range(6)]
    assert names["a"].size == 0 or (names["a"] == 1).all()
    assert len(taken) == 6
    if "C" in names:
        del names["C"].a
    names.clear()  # free-threaded 3.13 never frees a class, nor what it or its namespace holds


def test_exit_stack(pool: BufferPool) -> None:
    def leave() -> np.ndarray:
        with contextlib.ExitStack() as stack:
            a = stack.enter_context(pool.lease(N, "u1"))
            a[:] = 1
        return a

    stale = leave()
    overwrite(pool)
    assert (stale == 1).all()


def test_locals_of_the_frame_held_elsewhere(pool: BufferPool) -> None:
    def leave() -> tuple[dict[str, Any], Any]:
        snapshot = locals()
        with pool.lease(N, "u1") as a:
            a[:] = 1
            snapshot |= locals()
        return dict(snapshot), a.size

    snapshot, _ = leave()
    overwrite(pool)
    assert (snapshot["a"] == 1).all()


def test_under_a_trace_function(pool: BufferPool) -> None:
    """A debugger that reads the frame neither hides a reference nor keeps one."""
    kept = []

    def trace(frame: Any, event: str, arg: Any) -> Any:
        if frame.f_code is leased.__code__:
            kept.append(dict(frame.f_locals))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        stale = leased(pool)
    finally:
        sys.settrace(before)
    overwrite(pool)
    for seen in (stale, kept[-1]["a"]):
        assert seen.size == 0 or (seen == 1).all()
    kept.clear()


def test_exception_passes_and_the_name_is_detached(pool: BufferPool) -> None:
    seen = []

    def fail() -> None:
        try:
            with pool.lease(N, "u1") as a:
                raise KeyError("mine")
        finally:
            seen.append(a.size)

    with pytest.raises(KeyError, match="mine"):
        fail()
    assert seen == [0]


def test_array_yielded_by_a_generator(pool: BufferPool) -> None:
    def give() -> Iterator[np.ndarray]:
        with pool.lease(N, "u1") as a:
            a[:] = 1
            yield a

    kept = list(give())
    overwrite(pool)
    assert (kept[0] == 1).all()


def test_generator_closed_while_it_holds(pool: BufferPool) -> None:

    def give() -> Iterator[int]:
        with pool.lease(N, "u1"):
            yield 1

    steps = give()
    next(steps)
    steps.close()
    assert pool.stats().in_use_bytes == 0


def test_exit_frees_nothing_that_another_frame_names(pool: BufferPool) -> None:
    """The frame that is looked at is not the one with the name."""

    def end(lease: Any, a: np.ndarray) -> None:
        b = a
        lease.__exit__(None, None, None)
        assert b is a

    lease = pool.lease(N, "u1")
    a = lease.__enter__()
    a[:] = 1
    end(lease, a)
    overwrite(pool)
    assert a.size == 0 or (a == 1).all()


def test_weak_reference_sees_no_other_borrower(pool: BufferPool) -> None:

    def leave() -> Any:
        with pool.lease(N, "u1") as a:
            a[:] = 1
            weak = weakref.ref(a)
        return a, weak

    stale, weak = leave()
    overwrite(pool)
    assert weak() is stale
    assert stale.size == 0 or (stale == 1).all()


def test_an_array_that_is_referred_to_weakly_is_not_emptied(pool: BufferPool) -> None:
    """Another thread may be taking hold of it."""
    with pool.lease(N, "u1") as a:
        a[:] = 1
        weak = weakref.ref(a)
    assert weak() is a
    assert (a.size, int(a.sum())) == (N, N)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="locals() of a function is a snapshot (PEP 667)")
def test_a_look_at_the_callers_names_leaves_them_alone(pool: BufferPool) -> None:
    """What exec() and locals() put beside a function's variables stays there."""

    def use() -> Any:
        exec("y = 5")
        with pool.lease(3) as a:
            a[:] = 1
        assert a.size == 0
        return eval("y")

    assert use() == 5


def test_a_look_at_the_callers_names_leaves_its_code(pool: BufferPool) -> None:
    """Each search takes references and drops all of them."""
    before = sys.getrefcount(leased.__code__)
    for _ in range(50):
        assert leased(pool).size == 0
    assert sys.getrefcount(leased.__code__) < before + 10


def test_each_name_counts_however_many_there_are(pool: BufferPool) -> None:
    """The search ends when the names account for all references, and not before."""

    def three(keep: bool) -> tuple[int, Any]:
        with pool.lease(100, "u1") as a:
            b = c = a
            view = a[1:] if keep else None
        return a.size + b.size + c.size, view

    assert three(False) == (0, None)
    size, view = three(True)
    assert (size, view.size) == (300, 99)


def test_a_name_that_was_found_last_time_is_found_once(pool: BufferPool) -> None:
    """The search begins with that name; counted twice, it would hide a view."""

    def use(keep: bool) -> tuple[int, Any]:
        with pool.lease(100, "u1") as a:
            view = a[1:] if keep else None
        return a.size, view

    assert use(False) == (0, None)
    size, view = use(True)
    assert (size, view.size) == (100, 99)
    assert use(False) == (0, None)


def test_names_of_blocks_that_end_in_turn(pool: BufferPool) -> None:
    """What was found last time is another name than the one that is looked for, or is not bound any more."""
    for _ in range(3):
        with pool.lease(10) as a, pool.lease(20) as b:
            with pool.lease(30) as c:
                pass
            assert (a.size, b.size, c.size) == (10, 20, 0)
            del c
        assert (a.size, b.size) == (0, 0)
        del b
        with pool.lease(10) as b:
            pass
        assert b.size == 0
