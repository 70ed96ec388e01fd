from types import EllipsisType, TracebackType
from typing import Any, Generic, NoReturn, TypeVar, final

from typing_extensions import disjoint_base

from bufpool.objects.native._checkout import Checkout
from bufpool.objects.native._lease import PoolFront

_T = TypeVar("_T")

@final
class AsyncPoolLease(Checkout, Generic[_T]):
    """An object for the length of an ``async with`` block; made by `AsyncPool.lease`.

    Examples
    --------
    >>> import asyncio, bufpool
    >>> async def main():
    ...     lease = bufpool.AsyncPool(dict).lease()
    ...     async with lease as d:
    ...         d["seen"] = True
    ...     return lease.released
    >>> asyncio.run(main())
    True
    """

    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    async def __aenter__(self) -> _T: ...
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    @property
    def object(self) -> _T:
        """The object, while the lease has it."""
    @property
    def released(self) -> bool:
        """Whether the lease is over."""
    async def release(self) -> None:
        """Return the object before the end of the block, as `PoolLease.release`.

        Raises
        ------
        ReleasedError
            The lease has no object: it is over, or was not entered. A `ValueError`.
        """
    async def discard(self) -> None:
        """Close the object, which is broken, instead of returning it, as `PoolLease.discard`."""

@disjoint_base
class TaskFront(PoolFront[_T]):
    _runtime: Any
    def _attach_runtime(self, runtime: Any) -> None: ...
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
