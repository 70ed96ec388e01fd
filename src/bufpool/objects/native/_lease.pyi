from types import TracebackType
from typing import Generic, Literal, NoReturn, TypeVar, final

from bufpool.objects.native._pool_state import Claim

_T = TypeVar("_T")

@final
class PoolLease(Claim, Generic[_T]):
    """An object for the length of a ``with`` block; made by `Pool.lease`.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.Pool(dict)
    >>> with pool.lease() as d:
    ...     d["seen"] = True
    >>> pool.idle
    1
    """

    def __init__(self, *args: object, **kwargs: object) -> NoReturn: ...
    def __enter__(self) -> _T: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> Literal[False]: ...
    @property
    def object(self) -> _T:
        """The object, while the lease has it."""
    @property
    def released(self) -> bool:
        """Whether the lease is over."""
    def release(self) -> None:
        """Return the object before the end of the block.

        Raises
        ------
        ReleasedError
            The lease has no object: it is over, or was not entered. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(dict)
        >>> lease = pool.lease()
        >>> with lease as d:
        ...     lease.release()                    # from here on somebody else may have `d`
        ...     pool.idle
        1
        """
    def discard(self) -> None:
        """Close the object, which is broken, instead of returning it. Errors as of `release`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(dict)
        >>> lease = pool.lease()
        >>> with lease as d:
        ...     lease.discard()
        >>> pool.size
        0
        """

@final
class AsyncPoolLease(Claim, Generic[_T]):
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
