"""The errors that bufpool raises. Each is a `BufpoolError`, and also the built-in error that one would expect.

A message names the pool, the request, the limit that it exceeded and the pool's state at that moment.
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
    """The base class of all errors of this package."""


class LimitError(BufpoolError, MemoryError):
    """The pool's `limit` leaves no room for the request, even after all idle memory was given back."""


class LimitTimeoutError(LimitError, TimeoutError):
    """The request waited for the pool's `timeout`, and still had no room below its `limit`."""


class OutOfMemoryError(BufpoolError, MemoryError):
    """The operating system has no memory for the request."""


class MemoryLockError(BufpoolError, MemoryError):
    """The operating system refused to lock the memory (``mlock``); see ``ulimit -l``."""


class AllocationWarning(BufpoolError, RuntimeWarning):  # noqa: N818 (a warning)
    """A pool that is installed for NumPy refused a request. NumPy's `MemoryError` does not name the pool."""


class SizeError(BufpoolError, ValueError):
    """A size is negative, is no size, or is larger than a block or the pool's idle memory may be."""


class AlignmentError(BufpoolError, ValueError):
    """An alignment is not a power of two from 1 byte to 2 MiB."""


class SettingError(BufpoolError, ValueError):
    """A setting of a pool is out of its range."""


class ObjectDtypeError(BufpoolError, TypeError):
    """A dtype holds references to Python objects: old bytes in its elements would be read as pointers."""


class ClosedError(BufpoolError, RuntimeError):
    """The pool is closed and hands out nothing more."""


class PoolTimeoutError(BufpoolError, TimeoutError):
    """No object became free within the timeout. The ``__cause__``, if any, is why the pool could not create one."""


class PoolExhaustedError(BufpoolError, RuntimeError):
    """All objects of the pool are in use, and it neither waits nor creates more."""


class TooManyWaitersError(PoolExhaustedError):
    """The maximum number of clients, ``max_waiting``, already wait for an object."""


class FactoryError(BufpoolError, TypeError):
    """A factory returned None or an object that the pool already has, or a callback returned a coroutine."""


class ReentrantError(BufpoolError, RuntimeError):
    """A pool's callback requested an object from the same pool, which would have to create one or wait."""


class ForeignReleaseError(BufpoolError, ValueError):
    """An object or array was released to a pool or scratch that it did not come from."""


class DoubleReleaseError(BufpoolError, ValueError):
    """An object, array or buffer was released before, or a lease has it and releases it at its end."""


class ReleasedError(BufpoolError, ValueError):
    """A buffer or lease was used after its release."""


class ExportedError(BufpoolError, BufferError):
    """A buffer was released while memoryviews, arrays or DLPack capsules still refer to it."""
