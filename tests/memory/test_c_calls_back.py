"""What calls back from inside of a NumPy method without arguments, and asks a scratch at its limit for an array.

From Python 3.14 on such a method may work on an array without a reference of its own. The look for stale names takes a
call without arguments for one on which no C code is at work. So the tests call every such method that NumPy has on an
array whose name is stale. NumPy calls back for errors of arithmetic and for warnings. What it calls here is C code
alone, because the frame of Python code would stop the look.
"""

from __future__ import annotations

import collections
import functools
import operator
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bufpool import BufferPool

DTYPES = ("f4", "f8", "c8", "i1", "?", "m8[s]", "M8[D]", "S4", "U4", "V8", "i4,f4")
SHAPES: tuple[tuple[int, ...], ...] = ((1 << 14,), (1,), ())
METHODS = sorted(
    name
    for name in dir(np.ndarray)
    if callable(getattr(np.ndarray, name, None))
    and name not in ("__class__", "__class_getitem__", "__init_subclass__", "__new__", "__subclasshook__")
)
# A plain local name, and a method without arguments on it: the interpreter lends the method the name's reference.
STALE = """
def trial():
    a = acquire()
    fill(a)
    release(a)
    try:
        a.{method}()
    except Exception:
        pass
    ended()
    {control}
    return a.size
"""

pytestmark = pytest.mark.skipif(not hasattr(operator, "call"), reason="it needs operator.call")


class Trial:
    """A scratch that has all that its pool may hold, and somebody who asks it for another array, in C code alone."""

    def __init__(self, dtype: str, shape: tuple[int, ...]) -> None:
        nbytes = max(64, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        self.scratch = BufferPool(limit=nbytes, timeout=0).scratch(shape, dtype)
        self.reached: list[int] = []
        self.got: list[Any] = []
        note = functools.partial(self.reached.append, 1)
        ask = functools.partial(self.got.extend, map(operator.call, [self.scratch.acquire]))
        self.ask = functools.partial(
            sum, map(operator.is_not, map(operator.call, [note, ask]), [None, None]), 0
        )
        # Whatever is looked up is not there, and to make it asks.
        self.look_up = collections.defaultdict(self.ask).__getitem__

    def fill(self, a: Any) -> None:
        a[...] = np.finfo(a.real.dtype).max if a.dtype.kind in "fc" else np.ones((), a.dtype)

    def run(self, method: str, control: str = "") -> int:
        """Size of the stale array at the end."""
        names: dict[str, Any] = {
            "acquire": self.scratch.acquire,
            "release": self.scratch.release,
            "fill": self.fill,
            "ended": self.end,
            "ask": self.ask,
        }
        exec(STALE.format(method=method, control=control), names)
        size: int = names["trial"]()
        return size

    def end(self) -> None:
        self.calls = len(self.reached)


@pytest.fixture
def calling_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Trial], None]]:
    def to(trial: Trial) -> None:
        np.seterrcall(functools.partial(max, key=trial.look_up))
        monkeypatch.setattr(warnings, "_showwarnmsg", trial.look_up)

    before = np.seterrcall(None)
    with np.errstate(all="call"), warnings.catch_warnings():
        warnings.simplefilter("always")
        yield to
    np.seterrcall(before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_array_is_emptied_while_a_method_is_at_work(
    dtype: str, calling_back: Callable[[Trial], None]
) -> None:
    called, emptied = [], []
    for method in METHODS:
        for shape in SHAPES:
            trial = Trial(dtype, shape)
            calling_back(trial)
            trial.run(method)
            called += [method] * trial.calls
            emptied += [(method, shape)] * bool(trial.got)
    assert emptied == []
    if np.dtype(dtype).kind in "fc":  # numbers that overflow: otherwise nothing was tried
        assert {"cumsum", "cumprod"} <= set(called)


def test_the_same_array_is_emptied_when_nothing_is_at_work() -> None:
    """The request of the other test succeeds where that is safe."""
    trial = Trial("f4", SHAPES[0])
    assert trial.run("tobytes", "ask()") == 0
    assert trial.got
