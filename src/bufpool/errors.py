"""Every error that bufpool raises: one tree, each also the built-in error that a Python developer would catch.

Each message names the pool, what was asked for, the limit that stood in the way and the state at that moment.
"""

from __future__ import annotations

__all__ = [
    "AlignmentError",
    "AllocationWarning",
    "BufpoolError",
    "ClosedError",
    "DoubleReleaseError",
    "ExportedError",
    "FactoryError",
    "ForeignReleaseError",
    "LimitError",
    "LimitTimeoutError",
    "MemoryLockError",
    "ObjectDtypeError",
    "OutOfMemoryError",
    "PoolExhaustedError",
    "PoolTimeoutError",
    "ReentrantError",
    "ReleasedError",
    "SettingError",
    "SizeError",
    "TooManyWaitersError",
]


class BufpoolError(Exception):
    """The root of the tree: catch it to catch every error of this package."""


class LimitError(BufpoolError, MemoryError):
    """The pool's `limit` does not leave room for the request, even with all idle memory given back."""


class LimitTimeoutError(LimitError, TimeoutError):
    """As `LimitError`, after waiting for memory to come back until the pool's `timeout` was over."""


class OutOfMemoryError(BufpoolError, MemoryError):
    """The operating system gave no memory."""


class MemoryLockError(BufpoolError, MemoryError):
    """The operating system refused to lock the memory (``mlock``); see ``ulimit -l``."""


class AllocationWarning(BufpoolError, RuntimeWarning):  # noqa: N818 (a warning)
    """The pool that NumPy allocates from, by `BufferPool.install`, refused. NumPy's `MemoryError` does not name it."""


class SizeError(BufpoolError, ValueError):
    """A size that no block can have: negative, overflowing, or beyond 64 TiB."""


class AlignmentError(BufpoolError, ValueError):
    """An alignment that is not a power of two from 1 byte to 2 MiB."""


class SettingError(BufpoolError, ValueError):
    """A setting of a pool outside its range."""


class ObjectDtypeError(BufpoolError, TypeError):
    """A dtype whose elements hold references: recycled bytes would be read as pointers."""


class ClosedError(BufpoolError, RuntimeError):
    """The pool is closed and hands out nothing more."""


class PoolTimeoutError(BufpoolError, TimeoutError):
    """No object came free within the timeout; the ``__cause__``, if any, is why the pool could make none."""


class PoolExhaustedError(BufpoolError, RuntimeError):
    """All objects of the pool are out, and it neither waits nor makes more."""


class TooManyWaitersError(PoolExhaustedError):
    """As many clients wait for an object as may."""


class FactoryError(BufpoolError, TypeError):
    """A factory returns what cannot be pooled: None, an object that the pool has already; or a callback a coroutine."""


class ReentrantError(BufpoolError, RuntimeError):
    """A pool's own callback asked the pool for an object that it would have to make, or to wait for."""


class ForeignReleaseError(BufpoolError, ValueError):
    """Something was released to a pool or scratch that never handed it out."""


class DoubleReleaseError(BufpoolError, ValueError):
    """Something was released that had been released before."""


class ReleasedError(BufpoolError, ValueError):
    """A buffer or lease was used after its release."""


class ExportedError(BufpoolError, BufferError):
    """A buffer was released while memoryviews, arrays or DLPack capsules still look into it."""
