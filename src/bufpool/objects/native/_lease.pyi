from types import EllipsisType, TracebackType
from typing import Generic, Literal, NoReturn, TypeVar, final

from typing_extensions import disjoint_base

from bufpool.objects.native._checkout import Checkout
from bufpool.objects.native._pool_state import PoolCore

_T = TypeVar("_T")

@final
class PoolLease(Checkout, Generic[_T]):
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
        ...     lease.release()                    # from here on another client may have `d`
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
        """Objects that count against `max_size`: idle, in use, being created or closed."""
    @property
    def idle(self) -> int:
        """Objects ready to go out."""
    @property
    def in_use(self) -> int:
        """Objects that are not idle, those beyond `max_size` too."""
    @property
    def waiting(self) -> int:
        """Clients that wait for an object."""
    @property
    def min_size(self) -> int:
        """Objects that maintenance keeps ready."""
    @property
    def max_size(self) -> int:
        """Maximum number of objects."""
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
            On entry: no object became free in that time. A `TimeoutError`.
        TooManyWaitersError
            On entry: `max_waiting` clients wait already.
        PoolExhaustedError
            On entry: all objects are in use, with ``overflow="fail"``.
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

        With `workers` the factory is not called here. If no object is idle, the result is None, and a worker creates
        one if there is room.

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
        """Return an object that `acquire` or `try_acquire` gave, from any thread.

        Parameters
        ----------
        item : object
            Itself, not an equal one.

        Raises
        ------
        DoubleReleaseError
            The pool has the object back already, or a lease has it and returns it at its end. A `ValueError`.
        ForeignReleaseError
            The object is not, or no longer, one of this pool. A `ValueError`.

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
