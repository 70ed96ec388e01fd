"""``with scratch``: the protocol however it is called, nested and interleaved blocks, and the names that they leave."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool, DoubleReleaseError, LimitError, Scratch
from tests.support.accounting import run_python

N = 24 << 10  # bytes


# --- the protocol ---


def test_an_exit_stack_enters_and_leaves(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    with contextlib.ExitStack() as stack:
        a, b = (stack.enter_context(scratch) for _ in range(2))
        assert not np.shares_memory(a, b)
        assert repr(scratch).endswith("2 out, 0 idle>")
    assert repr(scratch).endswith("0 out, 2 idle>")


def test_the_protocol_by_hand(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    assert isinstance(scratch, contextlib.AbstractContextManager)
    a = scratch.__enter__()
    b = Scratch.__enter__(scratch)
    assert not np.shares_memory(a, b)
    assert Scratch.__exit__(scratch, None, None, None) is False
    assert scratch.__exit__(None, None, None) is False
    assert repr(scratch).endswith("0 out, 2 idle>")


@pytest.mark.parametrize("wrong", [None, 1, object()])
def test_the_protocol_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError):
        Scratch.__enter__(wrong)


# --- names that are left, and the limit ---


def bounded(blocks: int) -> tuple[BufferPool, Scratch[Any]]:
    pool = BufferPool(limit=blocks * N, name="bounded")
    return pool, pool.scratch(N, "u1")


def test_an_array_with_a_rebound_name_stays_in_use() -> None:
    _, scratch = bounded(3)

    def nested() -> int:
        with scratch as x:
            x.fill(7)
            with scratch as y:
                y = int(y[0])
                z = scratch.acquire()
            scratch.release(z)
            with scratch as w:
                w.fill(1)
            assert (x == 7).all()
            return x.size

    assert nested() == N


def test_releasing_the_array_of_a_block_is_an_error(pool: BufferPool) -> None:
    scratch = pool.scratch(N, "u1")
    with scratch as a:
        with pytest.raises(DoubleReleaseError, match="'with' block"):
            scratch.release(a)
        a.fill(1)
    del a
    scratch.release(scratch.acquire())
    assert repr(scratch).endswith("0 out, 1 idle>")


def test_a_stale_name_keeps_its_array_while_there_is_room() -> None:
    _, scratch = bounded(100)

    def two() -> None:
        with scratch as a:
            a[:] = 1
        with scratch as b:
            b[:] = 2
        assert a.size == b.size == N
        assert (a == 1).all()
        assert (b == 2).all()

    two()


def test_nesting_once_does_not_make_stale_names_an_obstacle() -> None:
    _, scratch = bounded(2)

    def three() -> tuple[int, int, int]:
        with scratch as x, scratch as y:
            x[0] = y[0] = 0
        with scratch as a:
            a[:] = 1
        del x, y
        with scratch as b:
            b[:] = 2
        with scratch as c:
            c[:] = 3
        return a.size, b.size, c.size

    assert three()[2] == N
    assert 0 in three()


def test_a_name_is_not_emptied_while_any_block_is_open() -> None:
    """Blocks of generators end in each other's place: until all have, a mark may be on an array in use."""
    _, scratch = bounded(2)

    def holder() -> Iterator[int]:
        with scratch as mine:
            mine.fill(7)
            yield 0
            assert (mine == 7).all()
            yield mine.size

    def stale() -> None:
        a = scratch.__enter__()
        scratch.__exit__(None, None, None)  # ends a block in the place of the holder's
        with pytest.raises(LimitError), scratch:
            pass
        assert a.size == N

    first = holder()
    next(first)
    stale()
    assert next(first) == N
    del first

    def in_turn() -> None:
        x = scratch.__enter__()
        y = scratch.__enter__()
        x.fill(1)
        y.fill(2)
        scratch.__exit__(None, None, None)
        with pytest.raises(LimitError), scratch:
            pass
        assert (x == 1).all()
        assert (y == 2).all()
        scratch.__exit__(None, None, None)
        with scratch as z:
            z.fill(3)

    in_turn()


def test_code_run_by_a_name_search_sees_it_whole() -> None:
    """A garbage collection in the middle of the look, and a finaliser that uses the scratch."""
    out = run_python("""
        import gc, os, sys, bufpool
        N = 1 << 16
        pool = bufpool.BufferPool(limit=3 * N)
        scratch = pool.scratch(N, "u1")
        changed = []
        class Garbage:
            def __init__(self):
                self.me = self
            def __del__(self):
                for a in changed:
                    a.flags.writeable = False
                a = None
                changed.clear()
                if "scratch" in globals():
                    scratch.release(scratch.acquire())
        def use():
            x, y, b = scratch.acquire(), scratch.acquire(), scratch.acquire()
            for each in (x, y, b):
                scratch.release(each)
            each = None
            changed.extend([x, y])
            del x, y
            Garbage()
            Garbage()
            gc.set_threshold(1)                                # from here on nothing is made before the frame's object
            try:
                scratch.acquire()
                out = 1
            except bufpool.LimitError:
                out = 0
            gc.set_threshold(700)
            return b, out
        b, out = use()
        assert f": {out} out, " in repr(scratch), repr(scratch)
        held = []
        try:
            for _ in range(3):
                held.append(scratch.acquire())
        except bufpool.LimitError:
            pass
        for number, a in enumerate(held):
            a.fill(number)
        assert all((a == number).all() for number, a in enumerate(held))
        assert b.shape in ((0,), (N,)), b.shape
        del b, held, a
        scratch.release(scratch.acquire())
        del scratch
        gc.collect()
        print(pool.stats().in_use_bytes)
    """)
    assert out == "0\n"


def test_names_that_borrow_their_reference_prove_nothing() -> None:
    """Arguments may, from Python 3.14 on: two of them and no reference look like one view less."""
    _, scratch = bounded(1)
    views: list[Any] = []

    def callee(x: Any, y: Any) -> None:
        with pytest.raises(LimitError):
            scratch.acquire()
        assert x.size == y.size == N

    def caller() -> None:
        a = scratch.acquire()
        views.append(a[:])
        scratch.release(a)
        callee(a, a)
        assert views[0].size == N

    caller()


def test_a_block_that_failed_is_over() -> None:
    """A name that it left is no obstacle at the limit."""
    _, scratch = bounded(1)

    def work() -> int:
        with contextlib.suppress(KeyError), scratch as a:
            a[:] = 1
            raise KeyError("mine")
        with scratch as b:
            b[:] = 2
            return b.size

    assert work() == N
