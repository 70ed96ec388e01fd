"""bufpool recycles the memory behind NumPy arrays and buffers, and pools any other costly object.

>>> import bufpool, numpy as np
>>> pool = bufpool.default_pool()
>>> with pool:                                   # unchanged code, recycled memory
...     a = np.ones((1080, 1920), "f4")
...     b = np.sqrt(a * a + a)
"""

# Not at the first use of a name: threads of CPython 3.13 that import it at the same moment may find half of it.
import collections.abc  # noqa: F401  # pyright: ignore[reportUnusedImport]

# `_startup` before the others: it is for Ctrl-C during them.
from bufpool import _startup, _subinterpreters, errors  # noqa: F401  # pyright: ignore[reportUnusedImport]
from bufpool._version import __version__
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

# Type checkers take every variable of this name for true. An import of `typing` would cost more than ours.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from bufpool import resources as resources
    from bufpool.memory.buffer_pool import BufferPool, default_pool
    from bufpool.memory.native._array_lease import Lease
    from bufpool.memory.native._block_sizes import good_size
    from bufpool.memory.native._buffer import Buffer
    from bufpool.memory.native._scratch import Scratch
    from bufpool.memory.registry import PoolsReading, pools
    from bufpool.memory.stats import ClassStats, PoolStats
    from bufpool.objects.advice import Advice
    from bufpool.objects.async_pool import AsyncPool
    from bufpool.objects.native._async_lease import AsyncPoolLease
    from bufpool.objects.native._lease import PoolLease
    from bufpool.objects.pool import Pool
    from bufpool.objects.stats import ObjectStats
    from bufpool.objects.tracing import Holder

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

# The modules of the names that are imported at their first use. A program that uses only `Pool` then loads no NumPy.
_HOMES = {
    "bufpool.memory.buffer_pool": ("BufferPool", "default_pool"),
    "bufpool.memory.native._block_sizes": ("good_size",),
    "bufpool.memory.native._buffer": ("Buffer",),
    "bufpool.memory.native._array_lease": ("Lease",),
    "bufpool.memory.native._scratch": ("Scratch",),
    "bufpool.memory.registry": ("PoolsReading", "pools"),
    "bufpool.memory.stats": ("ClassStats", "PoolStats"),
    "bufpool.objects.advice": ("Advice",),
    "bufpool.objects.async_pool": ("AsyncPool",),
    "bufpool.objects.native._async_lease": ("AsyncPoolLease",),
    "bufpool.objects.native._lease": ("PoolLease",),
    "bufpool.objects.pool": ("Pool",),
    "bufpool.objects.stats": ("ObjectStats",),
    "bufpool.objects.tracing": ("Holder",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
# Imported before these: a pool's first use loads the rest of its wing. If a thread imports a module while another one
# forks, Python leaves the module's lock shut in the child.
_BEFORE = {
    "bufpool.memory.buffer_pool": "bufpool.memory.registry",
    "bufpool.objects.pool": "bufpool.objects.async_pool",
}

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name):
        if name == "resources":
            return __import__("bufpool.resources").resources
        try:
            # Not `get`: without the GIL it has a lock, which the child of a fork may find shut.
            home = _HOME_OF[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name) from None
        try:
            if home in _BEFORE:
                __import__(_BEFORE[home])
            module = __import__(home, fromlist=(name,))
        except ModuleNotFoundError as error:
            if error.name != "numpy":
                raise
            raise ModuleNotFoundError(f"bufpool.{name} needs NumPy: {error}", name="numpy") from error
        # Two threads may both come here and find the same object; a test may have put another one there meanwhile.
        return globals().setdefault(name, getattr(module, name))

    def __dir__():
        return sorted([*__all__, "resources"])
