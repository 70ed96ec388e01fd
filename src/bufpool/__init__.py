"""bufpool: memory for NumPy arrays and buffers, and any other costly object, kept ready for reuse.

>>> import bufpool, numpy as np
>>> pool = bufpool.default_pool()
>>> with pool:                                   # unchanged code, recycled memory
...     a = np.ones((1080, 1920), "f4")
...     b = np.sqrt(a * a + a)
"""

# `_startup` first: it is for Ctrl-C during all the others.
from bufpool import _startup, _subinterpreters, errors  # noqa: F401  # pyright: ignore[reportUnusedImport]
from bufpool._version import __version__
from bufpool.memory.buffer_pool import BufferPool, default_pool
from bufpool.errors import (
    AlignmentError,
    AllocationWarning,
    BufpoolError,
    ClosedError,
    DoubleReleaseError,
    ExportedError,
    FactoryError,
    ForeignReleaseError,
    LimitError,
    LimitTimeoutError,
    MemoryLockError,
    ObjectDtypeError,
    OutOfMemoryError,
    PoolExhaustedError,
    PoolTimeoutError,
    ReentrantError,
    ReleasedError,
    SettingError,
    SizeError,
    TooManyWaitersError,
)
from bufpool.memory.native._arena import good_size
from bufpool.memory.native._buffer import Buffer
from bufpool.memory.native._lease import Lease
from bufpool.objects.native._lease import AsyncPoolLease, PoolLease
from bufpool.memory.native._scratch import Scratch
from bufpool.objects.advice import Advice, ObjectStats
from bufpool.objects.async_pool import AsyncPool
from bufpool.objects.pool import Pool
from bufpool.objects.tracing import Holder
from bufpool.memory.registry import PoolsReading, pools
from bufpool.memory.stats import ClassStats, PoolStats

__all__ = [
    "Advice",
    "AlignmentError",
    "AllocationWarning",
    "AsyncPool",
    "AsyncPoolLease",
    "Buffer",
    "BufferPool",
    "BufpoolError",
    "ClassStats",
    "ClosedError",
    "DoubleReleaseError",
    "ExportedError",
    "FactoryError",
    "ForeignReleaseError",
    "Holder",
    "Lease",
    "LimitError",
    "LimitTimeoutError",
    "MemoryLockError",
    "ObjectDtypeError",
    "ObjectStats",
    "OutOfMemoryError",
    "Pool",
    "PoolExhaustedError",
    "PoolLease",
    "PoolStats",
    "PoolTimeoutError",
    "PoolsReading",
    "ReentrantError",
    "ReleasedError",
    "Scratch",
    "SettingError",
    "SizeError",
    "TooManyWaitersError",
    "__version__",
    "default_pool",
    "errors",
    "good_size",
    "pools",
]
