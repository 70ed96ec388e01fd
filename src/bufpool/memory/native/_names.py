"""Functions that find out whether each local name of this Python holds a reference of its own.

`_frames` beside this runs them once, at import, cold and warmed up. Each function assigns a new object to some names
and returns the surplus: the number of references beyond one for each name in its frame.
"""

# pyright: reportUnusedVariable=false

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Protocol

Trial = Callable[[], int]


class Counter(Protocol):
    """An object that is counted."""

    def make(self) -> object:
        """Return a new object."""

    def surplus(self) -> int:
        """Return the references to the last one, less the caller's names."""
        ...


class Caller(Protocol):
    """Records its caller's current instruction and the three before it: operations and arguments."""

    @property
    def instructions(self) -> bytes | None:
        """What was recorded."""

    def note(self) -> None:
        """Record them."""

    def __enter__(self) -> object: ...
    def __exit__(self, *_: object) -> bool: ...


def often_enough() -> int:
    """Return how often a function must run until the interpreter has specialised and compiled all that it will."""
    compiles = getattr(getattr(sys, "_jit", None), "is_enabled", bool)
    return 6000 if compiles() else 50


def own_names_count(counter: Counter) -> bool:
    """Whether each name of a function without arguments counts."""
    make, surplus = counter.make, counter.surplus

    def assigned() -> int:
        a = make()
        return surplus()

    def assigned_again() -> int:
        a = make()
        b = c = a
        return surplus()

    def exchanged() -> int:
        a, b = make(), None
        c = a
        a, b = b, a
        return surplus()

    def returned() -> int:
        a = make()
        b = _same(a)
        return surplus()

    def yielded() -> int:
        a = make()
        for b in _yielding(a):
            pass
        return surplus()

    def unpacked() -> int:
        a = make()
        (b,) = [each for each in (a,)]  # noqa: C416 -- the comprehension's own name counts too
        return surplus()

    def deleted() -> int:
        a = make()
        b = c = a
        del a
        c = None
        return surplus()

    trials = (assigned, assigned_again, exchanged, returned, yielded, unpacked, deleted)
    return _always(dict.fromkeys(trials, 0))


def arguments_count(counter: Counter) -> bool:
    """Whether each name of a function counts, if its arguments are the names of its callers."""
    make, surplus = counter.make, counter.surplus

    def named(argument: object) -> int:
        again = argument
        return surplus()

    def passed_on(argument: object) -> int:
        return named(argument)

    def one_call() -> int:
        a = make()
        return named(a)

    def by_keyword() -> int:
        a = make()
        return named(argument=a)

    def two_calls() -> int:
        a = make()
        return passed_on(a)

    # The names of the callers are the surplus.
    return _always({one_call: 1, by_keyword: 1, two_calls: 2})


def instructions(caller: Caller) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return the instructions of a call without arguments, of the end of a block, and of a block that raises."""
    a = b = c = d = caller  # so that the call below is not the code's first instruction
    caller.note()
    call = caller.instructions
    with caller:
        pass
    end = caller.instructions
    with caller:
        raise ZeroDivisionError
    return call, end, caller.instructions


def _always(expected: dict[Trial, int]) -> bool:
    times = range(often_enough())
    return all(trial() == surplus for trial, surplus in expected.items() for _ in times)


def _same(thing: object) -> object:
    return thing


def _yielding(thing: object) -> Iterator[object]:
    yield thing
