"""bufpool: memory for NumPy arrays and buffers, kept ready for reuse.

>>> import bufpool, numpy as np
>>> pool = bufpool.default_pool()
>>> with pool:                                   # unchanged code, recycled memory
...     a = np.ones((1080, 1920), "f4")
...     b = np.sqrt(a * a + a)
"""

from bufpool._version import __version__
from bufpool.buffer_pool import BufferPool, default_pool
from bufpool.errors import (
    AlignmentError,
    BufpoolError,
    ClosedError,
    DoubleReleaseError,
    ExportedError,
    ForeignReleaseError,
    LimitError,
    LimitTimeoutError,
    MemoryLockError,
    ObjectDtypeError,
    OutOfMemoryError,
    ReleasedError,
    SettingError,
    SizeError,
)
from bufpool.native._arena import good_size
from bufpool.native._buffer import Buffer
from bufpool.native._lease import Lease
from bufpool.native._scratch import Scratch
from bufpool.stats import ClassStats, PoolStats

__all__ = [
    "AlignmentError",
    "Buffer",
    "BufferPool",
    "BufpoolError",
    "ClassStats",
    "ClosedError",
    "DoubleReleaseError",
    "ExportedError",
    "ForeignReleaseError",
    "Lease",
    "LimitError",
    "LimitTimeoutError",
    "MemoryLockError",
    "ObjectDtypeError",
    "OutOfMemoryError",
    "PoolStats",
    "ReleasedError",
    "Scratch",
    "SettingError",
    "SizeError",
    "__version__",
    "default_pool",
    "good_size",
]
