"""Every way that we know to keep hold of an array's memory without a plain name of the array.

`HOLDERS` maps a name to two functions: one makes the holder from a one-dimensional array of bytes, the other gives an
array of the bytes that the holder sees, or is None if they cannot be seen through it.
"""

from __future__ import annotations

import ctypes
import functools
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


class Subclass(np.ndarray):
    """An array of somebody else's class."""


class Interface:
    """An object that offers an array's memory by ``__array_interface__``."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__


def suspended(array: np.ndarray) -> Iterator[np.ndarray]:
    """Return a generator that has the array as a local variable and is not finished."""

    def generator() -> Iterator[np.ndarray]:
        mine = array
        while True:
            yield mine

    steps = generator()
    next(steps)
    return steps


def boxed(array: np.ndarray) -> np.ndarray:
    """Return an array of objects that holds the array."""
    box = np.empty(1, object)
    box[0] = array
    return box


HOLDERS: dict[str, tuple[Callable[[np.ndarray], Any], Callable[[Any], Any] | None]] = {
    "view": (lambda a: a[:], np.asarray),
    "slice": (lambda a: a[3:9:2], np.asarray),
    "view of a view": (lambda a: a[1:][2:][::-1], np.asarray),
    "reshape": (lambda a: a.reshape(2, -1).T, np.asarray),
    "dtype view": (lambda a: a.view("i1"), np.asarray),
    "subclass view": (lambda a: a.view(Subclass)[2:], np.asarray),
    "zero-length view": (lambda a: a[:0], None),
    "as_strided": (lambda a: np.lib.stride_tricks.as_strided(a, (4,), (2,)), np.asarray),
    "broadcast_to": (lambda a: np.broadcast_to(a, (2, a.size)), np.asarray),
    "sliding window": (lambda a: np.lib.stride_tricks.sliding_window_view(a, 3), np.asarray),
    "memoryview": (memoryview, np.asarray),
    "memoryview slice": (lambda a: memoryview(a)[2:9], np.asarray),
    "data attribute": (lambda a: a.data, np.asarray),
    "frombuffer": (lambda a: np.frombuffer(a, "u1"), np.asarray),
    "ndarray(buffer=)": (lambda a: np.ndarray(a.shape, "u1", buffer=a), np.asarray),
    "ndarray(buffer=memoryview)": (lambda a: np.ndarray((5,), "u1", buffer=memoryview(a)), np.asarray),
    "ctypes array": (lambda a: (ctypes.c_ubyte * a.size).from_buffer(a), np.asarray),
    "ctypes pointer": (
        lambda a: a.ctypes.data_as(ctypes.POINTER(ctypes.c_ubyte)),
        lambda p: np.ctypeslib.as_array(p, (8,)),
    ),
    "ctypes attribute": (lambda a: a.ctypes, None),
    "array interface": (lambda a: np.asarray(Interface(a)), np.asarray),
    "array struct": (lambda a: a.__array_struct__, None),
    "DLPack capsule": (lambda a: a.__dlpack__(), None),
    "from_dlpack": (np.from_dlpack, np.asarray),
    "PickleBuffer": (pickle.PickleBuffer, np.asarray),
    "flat iterator": (lambda a: a.flat, np.asarray),
    "flags": (lambda a: a.flags, None),
    "nditer": (np.nditer, None),
    "list": (lambda a: [a], lambda box: box[0]),
    "array of objects": (boxed, lambda box: box[0]),
    "bound method": (lambda a: a.sum, lambda method: method.__self__),
    "partial": (lambda a: functools.partial(np.add, a), lambda partial: partial.args[0]),
    "closure": (lambda a: lambda: a, lambda function: function()),
    "generator": (suspended, next),
    "exception": (ValueError, lambda error: error.args[0]),
}
