"""``pool.buffer``: bytes for the readers of the buffer protocol; its exports are counted."""

from __future__ import annotations

import array
import copy
import hashlib
import io
import pickle
import socket
import struct
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from bufpool import (
    AlignmentError,
    Buffer,
    BufferPool,
    BufpoolError,
    DoubleReleaseError,
    ExportedError,
    ReleasedError,
)
from tests.support.accounting import all_back, conserved, run_python
from tests.support.stale_names import N, filled, overwrite
from tests.support.threads import in_thread, in_threads

# --- the protocol ---


def test_memoryview_describes_plain_bytes(pool: BufferPool) -> None:
    view = memoryview(pool.buffer(10))
    described = (
        view.format,
        view.itemsize,
        view.ndim,
        view.shape,
        view.strides,
        view.readonly,
        view.contiguous,
    )
    assert described == ("B", 1, 1, (10,), (1,), False, True)


def test_length(pool: BufferPool) -> None:
    """The length is the requested one, not that of the block."""
    buffer = pool.buffer(100)
    assert (len(buffer), buffer.nbytes, memoryview(buffer).nbytes) == (100, 100, 100)


def test_items_and_slices(pool: BufferPool) -> None:
    buffer = pool.buffer(6)
    buffer[:] = b"abcdef"
    buffer[0] = 65
    buffer[-2:] = b"YZ"
    assert (bytes(buffer), buffer[1], bytes(buffer[1:4:2])) == (b"AbcdYZ", 98, b"bd")
    assert list(buffer) == list(b"AbcdYZ")
    assert 98 in buffer


def test_slices_write_through(pool: BufferPool) -> None:
    buffer = pool.buffer(4)
    buffer[:] = b"0000"
    buffer[1:3][:] = b"ab"
    assert buffer == b"0ab0"


@pytest.mark.parametrize(
    ("item", "error"), [(4, IndexError), (-5, IndexError), ("x", TypeError), (1.5, TypeError)]
)
def test_wrong_items(pool: BufferPool, item: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        pool.buffer(4)[item]


@pytest.mark.parametrize(
    ("value", "error"), [(256, ValueError), (-1, ValueError), ("x", TypeError), (None, TypeError)]
)
def test_wrong_values(pool: BufferPool, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        pool.buffer(4)[0] = value


def test_wrong_length_is_refused(pool: BufferPool) -> None:
    with pytest.raises(ValueError, match="assignment"):
        pool.buffer(4)[:] = b"12345"


def test_equality(pool: BufferPool) -> None:
    a, b = pool.buffer(2), pool.buffer(2)
    a[:] = b[:] = b"xy"
    assert a == a
    assert a == b
    assert a == b"xy"
    assert a != b"xz"
    assert a != "xy"


def test_not_hashable(pool: BufferPool) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(pool.buffer(1))


def test_readinto(pool: BufferPool) -> None:
    buffer = pool.buffer(4)
    assert io.BytesIO(b"pool").readinto(buffer) == 4
    assert buffer == b"pool"


def test_recv_into(pool: BufferPool) -> None:
    buffer = pool.buffer(8)
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"abc")
        assert here.recv_into(buffer) == 3
    assert bytes(buffer[:3]) == b"abc"


def test_readers_of_bytes(pool: BufferPool) -> None:
    buffer = pool.buffer(8)
    struct.pack_into("<q", buffer, 0, 7)
    assert struct.unpack_from("<q", buffer) == (7,)
    assert b"".join([buffer]) == bytes(buffer)
    assert bytearray(buffer) == buffer
    assert hashlib.sha256(buffer).digest() == hashlib.sha256(bytes(buffer)).digest()
    assert int.from_bytes(buffer, "little") == 7
    assert array.array("q", bytes(buffer))[0] == 7


def test_pickled_out_of_band(pool: BufferPool) -> None:
    buffer = filled(pool)
    sent: list[pickle.PickleBuffer] = []
    head = pickle.dumps(pickle.PickleBuffer(buffer), protocol=5, buffer_callback=sent.append)
    assert np.shares_memory(np.frombuffer(sent[0], "u1"), np.frombuffer(buffer, "u1"))
    assert bytes(pickle.loads(head, buffers=[bytes(sent[0])])) == bytes(buffer)


def test_unpickled_into(pool: BufferPool) -> None:
    """An array that is built on a pooled buffer keeps it."""
    sent: list[pickle.PickleBuffer] = []
    head = pickle.dumps(np.full(N, 1, "u1"), protocol=5, buffer_callback=sent.append)
    buffer = pool.buffer(N)
    buffer[:] = sent[0]
    built = pickle.loads(head, buffers=[buffer])
    del buffer
    overwrite(pool)
    assert (built == 1).all()


@pytest.mark.parametrize("exponent", range(6, 22))
def test_alignment(pool: BufferPool, exponent: int) -> None:
    buffer = pool.buffer(10, alignment=1 << exponent)
    assert np.frombuffer(buffer, "u1").ctypes.data % (1 << exponent) == 0


def test_zero_bytes(pool: BufferPool) -> None:
    buffer = pool.buffer(0)
    assert (len(buffer), bytes(buffer), list(buffer), memoryview(buffer).nbytes) == (0, b"", [], 0)
    buffer.release()


# --- DLPack ---


def test_dlpack_shares_memory(pool: BufferPool) -> None:
    buffer = pool.buffer(4)
    view = np.from_dlpack(buffer)
    view[:] = 7
    assert (view.dtype, buffer[0], buffer.__dlpack_device__()) == (np.uint8, 7, (1, 0))


def test_dlpack_copy(pool: BufferPool) -> None:
    buffer = pool.buffer(4)
    buffer[:] = b"abcd"
    separate = np.from_dlpack(buffer, copy=True)
    buffer.release()
    assert bytes(separate) == b"abcd"


def test_dlpack_of_nothing(pool: BufferPool) -> None:
    assert np.from_dlpack(pool.buffer(0)).size == 0


# --- release ---


def test_released_memory_is_back_at_once(pool: BufferPool) -> None:
    buffer = pool.buffer(N)
    buffer.release()
    assert (buffer.released, pool.stats().in_use_bytes) == (True, 0)


def test_dropped_buffer_returns_its_memory(pool: BufferPool) -> None:
    buffer = pool.buffer(N)
    assert pool.stats().in_use_bytes == N
    del buffer
    assert pool.stats().in_use_bytes == 0


AFTER = {
    "memoryview": memoryview,
    "len": len,
    "bytes": bytes,
    "getitem": lambda b: b[0],
    "setitem": lambda b: b.__setitem__(0, 1),
    "slice": lambda b: b[:1],
    "enter": lambda b: b.__enter__(),
    "iteration": list,
    "DLPack": lambda b: b.__dlpack__(),
    "from_dlpack": np.from_dlpack,
    "frombuffer": lambda b: np.frombuffer(b, "u1"),
    "ndarray(buffer=)": lambda b: np.ndarray((1,), "u1", buffer=b),
}


@pytest.mark.parametrize("use", AFTER.values(), ids=AFTER)
def test_use_after_release(pool: BufferPool, use: Any) -> None:
    buffer = pool.buffer(N)
    buffer.release()
    with pytest.raises(ReleasedError, match=f"{N} bytes.*'tested'.*released") as caught:
        use(buffer)
    assert isinstance(caught.value, BufpoolError)
    assert isinstance(caught.value, ValueError)
    assert pool.stats().in_use_bytes == 0


def test_released_buffer_equals_itself_alone(pool: BufferPool) -> None:
    buffer = pool.buffer(0)
    buffer.release()
    assert buffer == buffer
    assert buffer != b""


@pytest.mark.parametrize("ended_by", ["release", "with", "with, exported"])
def test_double_release(pool: BufferPool, ended_by: str) -> None:
    buffer = pool.buffer(N)
    views = []
    if ended_by == "release":
        buffer.release()
    else:
        with buffer:
            views += [memoryview(buffer)] * ended_by.endswith("exported")
    with pytest.raises(DoubleReleaseError, match="'tested'.*released") as caught:
        buffer.release()
    assert isinstance(caught.value, BufpoolError)
    assert isinstance(caught.value, ValueError)
    assert conserved(pool)


def test_concurrent_double_release(pool: BufferPool) -> None:
    """One of the threads succeeds, the others get an error."""
    buffer = pool.buffer(N)
    start = threading.Barrier(4)
    outcomes = []

    def release() -> None:
        start.wait()
        try:
            buffer.release()
            outcomes.append("released")
        except DoubleReleaseError:
            outcomes.append("refused")

    in_threads(release, 4)
    assert sorted(outcomes) == ["refused"] * 3 + ["released"]


def test_released_on_another_thread(pool: BufferPool) -> None:
    buffer = pool.buffer(N)
    in_thread(buffer.release)
    assert buffer.released


class Releases:
    """An index that releases the buffer while it is looked at."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    def __index__(self) -> int:
        self.buffer.release()
        return 0


CALLBACKS = {
    "index": lambda b: b[Releases(b)],
    "slice": lambda b: b[Releases(b) :],
    "index of an assignment": lambda b: b.__setitem__(Releases(b), 1),
    "value of an assignment": lambda b: b.__setitem__(0, Releases(b)),
    "packed value": lambda b: struct.pack_into("B", b, 0, Releases(b)),
}


@pytest.mark.parametrize("use", CALLBACKS.values(), ids=CALLBACKS)
def test_release_in_a_callback(pool: BufferPool, use: Any) -> None:
    """The release is refused while the buffer is accessed, and the buffer stays usable."""
    buffer = filled(pool)
    with pytest.raises(ExportedError):
        use(buffer)
    assert not buffer.released
    buffer.release()


def test_pool_of_one_block_serves_a_loop() -> None:
    """A stale name of the caller does not keep the block in use."""
    pool = BufferPool(limit=N, name="one block")

    def loop() -> int:
        read = 0
        for step in range(4):
            with pool.buffer(N) as buffer:
                read += io.BytesIO(bytes([step]) * N).readinto(buffer)
        return read

    assert loop() == 4 * N
    assert all_back(pool)


def test_released_in_the_middle_of_a_block(pool: BufferPool) -> None:
    with pool.buffer(N) as buffer:
        buffer.release()
    assert pool.stats().in_use_bytes == 0


def test_exception_in_the_block(pool: BufferPool) -> None:
    with pytest.raises(KeyError, match="mine"), pool.buffer(N):
        raise KeyError("mine")
    assert pool.stats().in_use_bytes == 0


# --- life ---


def test_weak_reference_and_its_callback(pool: BufferPool) -> None:
    called = []
    buffer = pool.buffer(N)
    weak = weakref.ref(buffer, called.append)
    assert weak() is buffer
    del buffer
    assert (weak(), called) == (None, [weak])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda f: f.__name__)
def test_cannot_be_copied(pool: BufferPool, duplicate: Any) -> None:
    with pytest.raises(TypeError, match="PickleBuffer"):
        duplicate(pool.buffer(3))


def test_cannot_be_made_or_derived_from() -> None:
    out = run_python("""
        from bufpool import BufpoolError, Buffer
        blank = Buffer.__new__(Buffer)
        makers = [Buffer, lambda: type("B", (Buffer,), {}), blank.release, blank.__dlpack__, blank.__enter__]
        makers += [lambda: memoryview(blank), lambda: len(blank)]
        for make in makers:
            try:
                make()
            except (TypeError, BufpoolError):
                print("refused")
    """)
    assert out.split() == ["refused"] * 7


def test_repr_tells_the_state(pool: BufferPool) -> None:
    buffer = pool.buffer(N)
    assert f"<Buffer of {N} bytes, pool 'tested', at 0x" in repr(buffer)
    buffer.release()
    assert repr(buffer) == f"<Buffer of {N} bytes, pool 'tested', released>"


def test_repr_never_names_another_pool() -> None:
    """The arena of a pool that is gone may have another pool by then."""
    out = run_python("""
        import bufpool
        pool = bufpool.BufferPool(name="first")
        kept, released = pool.buffer(10), pool.buffer(10)
        released.release()
        del pool
        print(repr(kept).split(" at ")[0])
        kept.release()
        others = [bufpool.BufferPool(name="next") for _ in range(3)]
        print(repr(released))
        print(repr(kept))
    """)
    assert out.splitlines() == [
        "<Buffer of 10 bytes, pool 'first',",
        *2 * ["<Buffer of 10 bytes, a pool that is gone, released>"],
    ]


def test_wrong_alignment_loses_nothing(pool: BufferPool) -> None:
    with pytest.raises(AlignmentError, match="tested.*3"):
        pool.buffer(N, alignment=3)
    assert pool.stats().in_use_bytes == 0
