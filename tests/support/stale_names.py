"""A stale name, and borrowers after it: what such a name sees must never be theirs."""

from __future__ import annotations

import numpy as np

from bufpool import Buffer, BufferPool

N = 24 << 10  # bytes: a small block


def overwrite(pool: BufferPool, nbytes: int = N) -> None:
    """Take and fill more blocks of the size than could be idle."""
    taken = [pool.full(nbytes, 255, "u1") for _ in range(6)]
    assert all((each == 255).all() for each in taken)


def leased(pool: BufferPool, nbytes: int = N) -> np.ndarray:
    """The stale name of a lease."""
    with pool.lease(nbytes, "u1") as a:
        a[:] = 1
    return a


def filled(pool: BufferPool, value: int = 1) -> Buffer:
    buffer = pool.buffer(N)
    buffer[:] = bytes([value]) * N
    return buffer
