"""What an array is beside its values, and idle memory that is not zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from bufpool import BufferPool


def dirty(pool: BufferPool, nbytes: int) -> None:
    """Leave a few idle blocks of the size that are full of ones."""
    arrays = [pool.full(nbytes, 255, "u1") for _ in range(4)]
    assert all(each[-1] == 255 for each in arrays)


def described(a: np.ndarray) -> tuple[Any, ...]:
    flags = a.flags
    return (
        type(a),
        a.shape,
        a.dtype,
        a.strides if a.size else (),
        (flags.c_contiguous, flags.f_contiguous, flags.writeable, flags.aligned, flags.owndata),
        a.base,
    )
