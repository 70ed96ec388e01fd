from types import EllipsisType
from typing import Any, Generic, TypeVar

from typing_extensions import disjoint_base

from bufpool.objects.native._lease import AsyncPoolLease, PoolLease
from bufpool.objects.native._pool_state import PoolCore

_T = TypeVar("_T")

@disjoint_base
class PoolFront(Generic[_T]):
    _core: PoolCore
    def _attach(self, core: PoolCore) -> None: ...
    @property
    def name(self) -> str:
        """Shown in messages."""
    @property
    def closed(self) -> bool:
        """Whether the pool hands out nothing more."""
    @property
    def size(self) -> int:
        """Objects that count against `max_size`: idle, out, in the making, being closed."""
    @property
    def idle(self) -> int:
        """Objects ready to go out."""
    @property
    def in_use(self) -> int:
        """Objects that are not idle; those beyond `max_size` too."""
    @property
    def waiting(self) -> int:
        """Clients that wait for an object."""
    @property
    def min_size(self) -> int:
        """Objects that are kept."""
    @property
    def max_size(self) -> int:
        """Objects that there may be."""
    @property
    def timeout(self) -> float | None:
        """Seconds to wait for an object; None: for ever."""
    @property
    def fair(self) -> bool:
        """Whether it is strictly first come, first served."""
    @property
    def lifo(self) -> bool:
        """Whether the object used last goes out first."""

class ThreadFront(PoolFront[_T]):
    def lease(self, timeout: float | EllipsisType | None = ...) -> PoolLease[_T]:
        """Return a context manager that gives an object for the length of a block.

        Parameters
        ----------
        timeout : float or None, optional
            Seconds to wait for an object; None: for ever; 0: not at all. Default: the pool's.

        Raises
        ------
        PoolTimeoutError
            On entry: none came free in that time. A `TimeoutError`.
        TooManyWaitersError, PoolExhaustedError
            On entry: `max_waiting` clients wait already; ``overflow="fail"``.
        ClosedError
            On entry: the pool is closed, now or while waiting.
        SettingError
            `timeout` is negative or NaN. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(bytearray, max_size=4)
        >>> with pool.lease() as b:
        ...     b += b"data"
        """
    def acquire(self, timeout: float | EllipsisType | None = ...) -> _T:
        """Check an object out; give it back with `release`. Prefer `lease`, which cannot forget it.

        Parameters and errors as of `lease`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> x = pool.acquire()
        >>> pool.release(x)
        """
    def try_acquire(self) -> _T | None:
        """Check an object out if one is idle or there is room to make one; None if all are out. It never waits.

        Raises
        ------
        PoolTimeoutError
            There is room, but the factory failed and is left alone for a moment (`backoff`). Its error is the
            ``__cause__``.
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list, max_size=1)
        >>> x = pool.try_acquire()
        >>> pool.try_acquire() is None
        True
        >>> pool.release(x)
        """
    def release(self, item: _T, /) -> None:
        """Return an object that `acquire` or `try_acquire` gave, from whatever thread.

        Parameters
        ----------
        item : object
            Itself, not an equal one.

        Raises
        ------
        DoubleReleaseError
            The pool has it back already, or a lease has it, whose end returns it. A `ValueError`.
        ForeignReleaseError
            It is no object of this pool, or none any more. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> x = pool.acquire()
        >>> pool.release(x)
        >>> pool.release(x)
        Traceback (most recent call last):
        bufpool.errors.DoubleReleaseError: ...
        """

@disjoint_base
class TaskFront(PoolFront[_T]):
    _port: Any
    def _attach_port(self, port: Any) -> None: ...
    def lease(self, timeout: float | EllipsisType | None = ...) -> AsyncPoolLease[_T]:
        """Return an asynchronous context manager that gives an object for the length of a block.

        Parameters and errors as of `Pool.lease`.

        Examples
        --------
        >>> import asyncio, bufpool
        >>> async def main():
        ...     async with bufpool.AsyncPool(bytearray) as pool:
        ...         async with pool.lease() as b:
        ...             b += b"data"
        ...         return pool.idle
        >>> asyncio.run(main())
        1
        """
    async def acquire(self, timeout: float | EllipsisType | None = ...) -> _T:
        """Check an object out; give it back with `release`. Prefer `lease`, which cannot forget it.

        Parameters and errors as of `Pool.lease`.

        Examples
        --------
        >>> import asyncio, bufpool
        >>> async def main():
        ...     pool = bufpool.AsyncPool(list)
        ...     x = await pool.acquire()
        ...     await pool.release(x)
        ...     return pool.idle
        >>> asyncio.run(main())
        1
        """
    async def try_acquire(self) -> _T | None:
        """Check an object out if one is idle or there is room to make one, else None: as `Pool.try_acquire`."""
    async def release(self, item: _T, /) -> None:
        """Return an object that `acquire` or `try_acquire` gave, as `Pool.release`."""
