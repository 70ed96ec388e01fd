"""Alternatives to the pool for arrays, other than another allocator: arrays kept by hand, and other packages.

`FOUR` allocates four arrays at once and frees them, `EXPRESSION` computes ``sqrt(a*a + b*b) + c*d`` on float32, `BYTES`
allocates bytes and frees them. Each is set up for its fastest use: arrays ready, results written into a ready array,
code compiled before it is timed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import bufpool
from benchmarks.harness.allocators import ALLOCATORS, locate
from benchmarks.harness.allocators import missing as allocator_missing
from benchmarks.harness.packages import INSTALL_PEERS, Package
from benchmarks.harness.sampling import Sample, loop

PAGE = 4096
_NAMES = "abcd"


def four_in_turn(get: str, put: str, /, **names: Any) -> Sample:
    """Four times `get`, a write to each page, then `put` for each array ``{}``; if `put` is empty, `del`."""
    acquired = "; ".join(f"{name} = {get}" for name in _NAMES)
    touched = "; ".join(f"{name}[::page] = 1" for name in _NAMES)
    back = "; ".join(put.format(name) for name in reversed(_NAMES)) if put else f"del {', '.join(_NAMES)}"
    return loop(f"{acquired}; {touched}; {back}", page=PAGE, **names)


# Four arrays ---------------------------------------------------------------------------------------------------------


def by_key(size: int) -> Sample:
    """Lists of arrays in a dict by shape and dtype."""
    ready: dict[tuple[Any, Any], list[np.ndarray]] = {}

    def get(shape: Any, dtype: Any) -> np.ndarray:
        stack = ready.get((shape, dtype))
        return stack.pop() if stack else np.empty(shape, dtype)

    def put(array: np.ndarray) -> None:
        ready.setdefault((array.shape, array.dtype), []).append(array)

    return four_in_turn("get(shape, u1)", "put({})", get=get, put=put, shape=(size,), u1=np.dtype(np.uint8))


def _arrow(arrow: Any, size: int) -> Sample:
    names = {"take": np.frombuffer, "new": arrow.allocate_buffer, "n": size, "u1": np.uint8}
    return four_in_turn("take(new(n), u1)", "", **names)


def _numpy_allocator_four(allocator: Any, size: int) -> Sample:
    sample = four_in_turn("empty(n, u1)", "", empty=np.empty, n=size, u1=np.uint8)
    return _inside(_on_mimalloc(allocator), sample)


FOUR: dict[str, Package[Sample]] = {
    "pyarrow": Package("pyarrow", "pyarrow", _arrow, INSTALL_PEERS),
    "numpy-allocator": Package("numpy-allocator", "numpy_allocator", _numpy_allocator_four, INSTALL_PEERS),
}


# The expression ------------------------------------------------------------------------------------------------------


def operands(size: int) -> dict[str, np.ndarray]:
    """The four inputs of the expression, `size` bytes each.

    Filled in place: freeing a large temporary here would raise glibc's mmap threshold before anything is timed.
    """
    rng = np.random.default_rng(7)
    return {name: rng.random(size // 4, dtype=np.float32) for name in _NAMES}


def _numexpr(threads: int) -> Callable[[Any, int], Sample]:
    def build(numexpr: Any, size: int) -> Sample:
        numexpr.set_num_threads(threads)
        inputs = operands(size)
        out = np.empty_like(inputs["a"])
        # Checked and compiled once; later calls pass only the operands.
        numexpr.evaluate("sqrt(a*a + b*b) + c*d", inputs, {}, out=out)
        return loop("again(inputs)", again=numexpr.re_evaluate, inputs=inputs)

    return build


def _numba(numba: Any, size: int) -> Sample:
    def fused(a: Any, b: Any, c: Any, d: Any, out: Any) -> None:
        for i in range(a.size):
            out[i] = np.sqrt(a[i] * a[i] + b[i] * b[i]) + c[i] * d[i]

    inputs = operands(size)
    out = np.empty_like(inputs["a"])
    compiled = numba.njit(fused)
    compiled(*inputs.values(), out)
    return loop("compiled(a, b, c, d, out)", compiled=compiled, out=out, **inputs)


def _numpy_allocator_expression(allocator: Any, size: int) -> Sample:
    handler = _on_mimalloc(allocator)
    with handler:
        inputs = operands(size)
    return _inside(handler, loop("y = sqrt(a*a + b*b) + c*d", sqrt=np.sqrt, **inputs))


#: As many threads as there are cores.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

EXPRESSION: dict[str, Package[Sample]] = {
    "numpy-allocator": Package("numpy-allocator", "numpy_allocator", _numpy_allocator_expression, INSTALL_PEERS),
    "numexpr": Package("numexpr", "numexpr", _numexpr(1), INSTALL_PEERS),
    "numexpr, all cores": Package("numexpr", "numexpr", _numexpr(CORES), INSTALL_PEERS),
    "numba": Package("numba", "numba", _numba, INSTALL_PEERS),
}


def _on_mimalloc(allocator: Any) -> AbstractContextManager[Any]:
    """A handler of numpy-allocator that allocates from mimalloc: the package has no allocator of its own."""
    if allocator_missing("mimalloc"):
        raise FileNotFoundError(f"numpy-allocator here uses mimalloc, {allocator_missing('mimalloc')}")
    library = ctypes.CDLL(locate(ALLOCATORS["mimalloc"]))
    functions = {f"_{name}_": ctypes.addressof(getattr(library, f"mi_{name}")) for name in _FUNCTIONS}
    made: AbstractContextManager[Any] = allocator.type("Mimalloc", (), {**functions, "library": library})
    return made


_FUNCTIONS = ("malloc", "calloc", "realloc", "free")


def _inside(context: AbstractContextManager[Any], sample: Sample) -> Sample:
    def run(n: int) -> float:
        with context:
            return sample(n)

    return run


# Bytes ---------------------------------------------------------------------------------------------------------------


def _arrow_bytes(arrow: Any, size: int) -> Sample:
    return loop("new(n)", new=arrow.allocate_buffer, n=size)


BYTES: dict[str, Package[Sample]] = {"pyarrow": Package("pyarrow", "pyarrow", _arrow_bytes, INSTALL_PEERS)}


def some_bytes(how: str, size: int) -> Sample:
    """Allocate `size` bytes and free them, untouched: ours, Python's own, or a peer's."""
    if how in BYTES:
        return BYTES[how].make(size)
    make = bytearray if how == "bytearray" else bufpool.BufferPool(name="bench").buffer
    return loop("new(n)", new=make, n=size)
