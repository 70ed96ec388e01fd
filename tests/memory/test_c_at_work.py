"""Memory whose block ends while C code is at work on it, and calls back: it is not handed out to anybody meanwhile.

From Python 3.14 on such C code may have no reference of its own: the interpreter lends it one of a variable's.
"""

from __future__ import annotations

import functools
import gc
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool

N = 1000


def number(end: Callable[[], Any], borrow: Callable[[], int]) -> Any:
    """A number that C code asks for: then a block ends and somebody borrows, with no Python code in between."""
    calls = map(operator.call, [end, borrow])
    kind: Any = type("Number", (), {})
    kind.__float__ = staticmethod(functools.partial(sum, calls, 1.0))
    kind.__index__ = staticmethod(functools.partial(sum, calls, 1))
    return kind()


class Trial:
    """A pool, somebody's lease, and the others' arrays, which are full of sevens."""

    def __init__(self) -> None:
        self.pool = BufferPool()
        self.lease = self.pool.lease(N)
        self.arrays: list[np.ndarray[Any, Any]] = []
        end = functools.partial(self.lease.__exit__, None, None, None)
        self.number = number(end, self.borrow)

    def borrow(self) -> int:
        self.arrays.append(self.pool.full(N, 7.0))
        return 0

    @property
    def untouched(self) -> bool:
        return all(bool((a == 7.0).all()) for a in self.arrays)


def item(trial: Trial) -> None:
    a = trial.lease.__enter__()
    a[5] = trial.number


def item_of_an_argument(trial: Trial) -> None:
    def deep(x: Any, number: Any) -> None:
        deeper(x, number)

    def deeper(x: Any, number: Any) -> None:
        x[5] = number

    a = trial.lease.__enter__()
    deep(a, trial.number)


def items(trial: Trial) -> None:
    a = trial.lease.__enter__()
    a[0:3] = [1.0, trial.number, 2.0]


def filled(trial: Trial) -> None:
    a = trial.lease.__enter__()
    a.fill(trial.number)


def by_a_function(trial: Trial) -> None:
    a = trial.lease.__enter__()
    operator.setitem(a, 5, trial.number)


@pytest.mark.skipif(not hasattr(operator, "call"), reason="it needs operator.call")
@pytest.mark.parametrize("work", [item, item_of_an_argument, items, filled, by_a_function])
def test_an_array_that_c_code_writes_to_is_not_reused(work: Callable[[Trial], None]) -> None:
    trial = Trial()
    work(trial)
    assert trial.arrays
    assert trial.untouched


def test_a_buffer_that_numpy_is_reading_is_not_reused() -> None:
    """NumPy gives its export back at once, then asks for the strides, and holds the buffer when it is done."""
    pool = BufferPool()
    victims: list[Any] = []

    def borrow() -> int:
        victim = pool.buffer(64)
        victim[:] = b"v" * 64
        victims.append(victim)
        return 0

    def make() -> Any:
        b = pool.buffer(64)
        np.frombuffer(b, "u1")
        return np.ndarray(
            (4,), "u1", b, 0, (number(functools.partial(b.__exit__, None, None, None), borrow),)
        )

    array = make()
    array[:] = ord("X")
    assert victims
    assert all(bytes(victim) == b"v" * 64 for victim in victims)


def test_the_method_behind_a_bound_one_returns_nothing() -> None:
    """Called through the descriptor, the method runs without the reference of an ordinary call."""
    raw = [
        each
        for each in gc.get_objects()
        if getattr(each, "__qualname__", "") == "Buffer.release"
        and type(each).__name__ == "method_descriptor"
    ]
    pool = BufferPool()

    def release(method: Any) -> Any:
        b = pool.buffer(64)
        view = np.ndarray((64,), "u1", b)
        method(b)
        return view

    for method in raw:
        view = release(method)
        victim = pool.buffer(64)
        victim[:] = b"v" * 64
        view[:] = ord("X")
        assert bytes(victim) == b"v" * 64
