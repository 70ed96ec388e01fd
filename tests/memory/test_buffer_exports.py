"""What a buffer's memory is seen through keeps it: memoryviews and arrays are counted, and waited for."""

from __future__ import annotations

import ctypes
import gc
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from bufpool import (
    Buffer,
    BufferPool,
    BufpoolError,
    ExportedError,
    ReleasedError,
)
from tests.support.accounting import conserved
from tests.support.stale_names import N, filled, overwrite


class Wrapper:
    """A Python object that exports a buffer's bytes (PEP 688)."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self.buffer)


def in_a_class(buffer: Buffer) -> Any:
    """Return a view through an object with ``__buffer__``, where there is such a thing."""
    return memoryview(Wrapper(buffer)) if sys.version_info >= (3, 12) else memoryview(buffer)


EXPORTS = {
    "memoryview": memoryview,
    "slice": lambda b: b[3:9],
    "cast": lambda b: memoryview(b).cast("I"),
    "toreadonly": lambda b: memoryview(b).toreadonly(),
    "memoryview of a memoryview": lambda b: memoryview(memoryview(b)[5:]),
    "__buffer__": in_a_class,
    "frombuffer": lambda b: np.frombuffer(b, "u1"),
    "view of frombuffer": lambda b: np.frombuffer(b, "u1")[1:][1:],
    "asarray": np.asarray,
    "asarray dtype view": lambda b: np.asarray(b).view("u4"),
    "ctypes": lambda b: (ctypes.c_ubyte * 9).from_buffer(b),
    "ctypes field": lambda b: (ctypes.c_ubyte * 9 * 9).from_buffer(b)[2],
    "PickleBuffer": pickle.PickleBuffer,
    "from_dlpack": np.from_dlpack,
    "DLPack capsule": lambda b: b.__dlpack__(),
    "DLPack capsule 1.0": lambda b: b.__dlpack__(max_version=(1, 0)),
}
# NumPy takes the address and gives the export back at once; all that it keeps is a reference.
UNCOUNTED = {
    "ndarray(buffer=)": lambda b: np.ndarray((N,), "u1", buffer=b),
    "ndarray(buffer=) with an offset": lambda b: np.ndarray((N - 8,), "u1", buffer=b, offset=8),
    "ndarray(buffer=memoryview)": lambda b: np.ndarray((N,), "u1", buffer=memoryview(b)),
    "view of ndarray(buffer=)": lambda b: np.ndarray((N,), "u1", buffer=b)[1:][1:],
    "two of them": lambda b: [np.ndarray((N,), "u1", buffer=b) for _ in range(2)][1],
    "record": lambda b: np.ndarray((9,), [("x", "u1"), ("y", "u1")], buffer=b)["y"],
}
HOLDERS = EXPORTS | UNCOUNTED


def seen_through(holder: Any) -> set[int]:
    """Values of the bytes that a holder shows; one that would have to export anew, or is opaque, shows none."""
    if type(holder).__name__ in ("PyCapsule", "PickleBuffer"):
        return set()
    return set(np.asarray(holder).view("u1").ravel().tolist())


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
def test_release_is_refused_while_exported(pool: BufferPool, export: Any) -> None:
    buffer = filled(pool)
    holder = export(buffer)
    with pytest.raises(ExportedError, match="tested.*1 export>") as caught:
        buffer.release()
    assert isinstance(caught.value, BufpoolError)
    assert isinstance(caught.value, BufferError)
    assert not buffer.released
    assert buffer[0] == 1
    del holder
    gc.collect()
    buffer.release()
    if sys.version_info >= (3, 14):
        del buffer  # names of a function with arguments prove nothing there
    assert pool.stats().in_use_bytes == 0


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_release_never_pulls_memory_away(pool: BufferPool, hold: Any) -> None:
    """The release is refused or deferred; what a holder sees never changes."""
    buffer = filled(pool)
    holder = hold(buffer)
    try:
        buffer.release()
    except ExportedError:
        assert not buffer.released
    overwrite(pool)
    assert seen_through(holder) <= {1}
    assert conserved(pool)


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_end_of_the_block_waits_for_the_last_holder(pool: BufferPool, hold: Any) -> None:
    with filled(pool) as buffer:
        holder = hold(buffer)
    assert buffer.released
    overwrite(pool)
    assert seen_through(holder) <= {1}
    assert pool.stats().in_use_bytes == N


@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
def test_holder_outlives_the_buffer_and_the_pool(hold: Any) -> None:
    holder = hold(filled(BufferPool()))
    gc.collect()
    overwrite(BufferPool())
    assert seen_through(holder) <= {1}


def test_deferred_release_happens_with_the_last_export(pool: BufferPool) -> None:
    """Or with the last name of the buffer, because an array may have been made from an export."""
    with pool.buffer(N) as buffer:
        views = [memoryview(buffer), memoryview(buffer)[1:]]
    assert "2 exports hold it" in repr(buffer)
    views.pop().release()
    assert pool.stats().in_use_bytes == N
    views.pop().release()
    del buffer
    assert pool.stats().in_use_bytes == 0


def test_no_new_export_after_the_end(pool: BufferPool) -> None:
    with pool.buffer(N) as buffer:
        view = memoryview(buffer)
    with pytest.raises(ReleasedError):
        memoryview(buffer)
    view.release()
