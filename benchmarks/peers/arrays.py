"""What one could use for arrays instead of the pool, other than another allocator: recipes and other packages.

`FOUR` gives four arrays at once and takes them back, `EXPRESSION` computes ``sqrt(a*a + b*b) + c*d`` on float32,
`BYTES` takes some bytes and gives them back. Each is set up for its quickest use: objects ready, results written where
the caller says, compiled before it is timed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

import bufpool
from bufpool.cli.bench.allocators import ALLOCATORS, locate
from bufpool.cli.bench.allocators import missing as allocator_missing
from bufpool.cli.bench.packages import INSTALL_PEERS, Package
from bufpool.cli.bench.sampling import Sample, loop

PAGE = 4096
_NAMES = "abcd"


def four_in_turn(get: str, put: str, /, **names: Any) -> Sample:
    """Four times `get`, a write to each page, then `put` for each, or dropped where it is empty.

    ``{}`` in both stands for the array.
    """
    taken = "; ".join(f"{name} = {get}" for name in _NAMES)
    touched = "; ".join(f"{name}[::page] = 1" for name in _NAMES)
    back = "; ".join(put.format(name) for name in reversed(_NAMES)) if put else f"del {', '.join(_NAMES)}"
    return loop(f"{taken}; {touched}; {back}", page=PAGE, **names)


# Four arrays ---------------------------------------------------------------------------------------------------------


def by_key(size: int) -> Sample:
    """A dict of lists by shape and dtype, as one writes it by hand."""
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


def _fastalloc(fastalloc: Any, size: int) -> Sample:
    def make() -> np.ndarray:
        return np.empty(size, np.uint8)

    pool = fastalloc.FixedPool(np.ndarray, len(_NAMES), factory=make, pre_initialize=True)
    return four_in_turn("get()", "put({})", get=pool.get, put=pool.release)


def _numpy_allocator_four(allocator: Any, size: int) -> Sample:
    sample = four_in_turn("empty(n, u1)", "", empty=np.empty, n=size, u1=np.uint8)
    return _inside(_on_mimalloc(allocator), sample)


FOUR: dict[str, Package[Sample]] = {
    "pyarrow": Package("pyarrow", "pyarrow", _arrow, INSTALL_PEERS),
    "fastalloc": Package("fastalloc", "fastalloc", _fastalloc),
    "numpy-allocator": Package("numpy-allocator", "numpy_allocator", _numpy_allocator_four, INSTALL_PEERS),
}


# The expression ------------------------------------------------------------------------------------------------------


def operands(size: int) -> dict[str, np.ndarray]:
    """The four inputs of the expression, `size` bytes each.

    Filled in place: freeing a large temporary here would move glibc's mmap threshold before the race starts.
    """
    rng = np.random.default_rng(7)
    return {name: rng.random(size // 4, dtype=np.float32) for name in _NAMES}


def _numexpr(threads: int) -> Callable[[Any, int], Sample]:
    def build(numexpr: Any, size: int) -> Sample:
        numexpr.set_num_threads(threads)
        inputs = operands(size)
        out = np.empty_like(inputs["a"])
        # Checked and compiled once; after that it is told the operands only.
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
    "numpy-allocator": Package(
        "numpy-allocator", "numpy_allocator", _numpy_allocator_expression, INSTALL_PEERS
    ),
    "numexpr": Package("numexpr", "numexpr", _numexpr(1), INSTALL_PEERS),
    "numexpr, all cores": Package("numexpr", "numexpr", _numexpr(CORES), INSTALL_PEERS),
    "numba": Package("numba", "numba", _numba, INSTALL_PEERS),
}


def _on_mimalloc(allocator: Any) -> AbstractContextManager[Any]:
    """A handler of numpy-allocator's that takes memory from mimalloc: the package brings no allocator of its own."""
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


def _cymem(cymem: Any, size: int) -> Sample:
    # Its pool can be asked from Cython only; this is what Python has of it: zeroed, and freed with the object.
    return loop("new(1, n)", new=cymem.Address, n=size)


def _pycybase(allocators: Any, size: int) -> Sample:
    allocator = allocators.HeapAllocator()
    # Zeroed, without the lock that it takes unless told not to.
    statement = "free(new(n, False), False)"
    return loop(statement, new=allocator.request, free=allocator.free, n=size)


BYTES: dict[str, Package[Sample]] = {
    "pyarrow": Package("pyarrow", "pyarrow", _arrow_bytes, INSTALL_PEERS),
    "cymem": Package("cymem", "cymem.cymem", _cymem, INSTALL_PEERS),
    "pycybase": Package("pycybase", "cbase.allocator_protocol", _pycybase, INSTALL_PEERS, python=(3, 12)),
}


def some_bytes(how: str, size: int) -> Sample:
    """Take `size` bytes and drop them, untouched: ours, Python's own, or a peer's."""
    if how in BYTES:
        return BYTES[how].make(size)
    make = bytearray if how == "bytearray" else bufpool.BufferPool(name="bench").buffer
    return loop("new(n)", new=make, n=size)
