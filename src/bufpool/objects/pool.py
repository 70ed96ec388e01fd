"""`Pool`: a pool of objects that are costly to create, for threads."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import EllipsisType
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from bufpool.objects.advice import Readings
from bufpool.objects.maintenance import maintain, new_pool
from bufpool.objects.native._lease import ThreadFront
from bufpool.objects.runtimes import THREADS, run
from bufpool.objects.settings import checked

if TYPE_CHECKING:
    from types import TracebackType

    from bufpool.objects.async_pool import AsyncPool

__all__ = ["Pool"]

T = TypeVar("T")


class Pool(ThreadFront[T], Readings[T]):
    """A pool of objects that are costly to create, such as connections: hands them out, checks and replaces them.

    Threads may share a pool. No callback is called under a lock, so that a slow factory does not delay clients that can
    get an idle object.

    Parameters
    ----------
    factory : callable
        Creates an object. Its exceptions pass to the client for which it was called.
    min_size, max_size : int, default 0 and 10
        Number of objects that are kept ready, and maximum number of objects.
    timeout : float or None, default 30.0
        Seconds that a client waits for an object; None: for ever; 0: not at all. Without `workers` the time of the
        factory is not limited by it.
    max_waiting : int, optional
        Maximum number of clients that wait; others get `TooManyWaitersError` at once. Default: no bound.
    overflow : {'wait', 'fail', 'create'}
        What to do while `max_size` objects are in use: wait; raise `PoolExhaustedError`; create an object, in the
        client's own thread, that is closed when it comes back.
    workers : int, default 0
        Threads of the pool (of an `AsyncPool`: tasks) that create and close its objects, and do its maintenance. No
        client waits for a callback then, other than `check`, `reset` and `on_acquire`. It takes whichever comes first,
        a returned object or a new one, and its time-out covers creation. At most so many objects are in creation at
        once, and `min_size` objects exist from the start on. Threads start when they are needed, and end after five
        seconds without work. 0: clients call `factory` and `close` themselves, which objects that are bound to one
        thread need.
    on_failure : {'raise', 'wait'}
        What a client does if the creation of its object failed: raise the exception of the factory; or wait for an
        object until its time-out, while the factory is tried again and again. 'wait' needs `workers` and `backoff`.
    fair : bool, default False
        Serve clients strictly in order. If False, a running thread may overtake a client that has waited for less than
        a millisecond. That costs much less.
    lifo : bool, default True
        The most recently used object goes out first, so that few objects stay warm and the others age. False: the
        object idle longest goes out first.
    check : callable, optional
        Called with an object. The object is sound if the result is true or None. It is broken if the result is false
        or an exception is raised. A broken object is closed and replaced by another one.
    check_on : {'checkout', 'return', 'idle'} or several of them, default 'checkout'
        When objects are checked.
    check_after : float, default 0.0
        An object that was used less than so many seconds ago is not checked on checkout. 0.0: each one is checked.
        Once an object is found broken, or discarded, all that are idle at that moment are checked before they go out.
    check_interval : float, default 30.0
        Seconds from one check of an idle object to the next.
    configure : callable, optional
        Called with each new object. If it raises, the object is closed, and the factory has failed.
    on_acquire : callable, optional
        Called with an object at each checkout, of a new object too: sets the role of a connection, say. If it raises,
        the object is closed, and the exception passes to the client.
    reset : callable, optional
        Called with an object that comes back, to prepare it for the next client. If it raises, the object is closed.
    close : callable, optional
        Called with an object at the end of its life. It is not called at the end of the program: close the pool
        yourself.
    max_idle, max_lifetime : float, optional
        `max_idle`: close an object that was unused for so many seconds, while there are more than `min_size`.
        `max_lifetime`: replace an object of that age, or up to a tenth younger, to spread the work.
    max_uses : int, optional
        Checkouts after which an object is replaced.
    backoff : (float, float) or None, default (0.05, 10.0)
        Seconds without a call of the factory after a failure: the first pause and the maximum. The pause doubles with
        each failure, and then one client at a time calls the factory. None: no pause; each client that has room for
        an object calls the factory, and gets its error at once.
    discard_on : exception type or tuple of them
        If such an exception leaves the block of a lease, the object is closed.
    leak_threshold : float, optional
        Seconds after which an object in use is reported by a `ResourceWarning` and in the log, with the stack of its
        checkout. With a threshold the pool keeps the stack of every checkout, as with `debug`.
    debug : bool, optional
        Keep the stack of every checkout, not of one in 128. A checkout then takes some microseconds. Default: True with
        ``python -X dev``.
    name : str, optional
        Shown in messages. Default: ``objects-1``, ``objects-2``, ...

    Raises
    ------
    SettingError
        A setting out of its range. A `ValueError`.

    Notes
    -----
    Errors of `check`, `reset` and `close` do not reach clients: they are logged (logger ``bufpool``) and counted in
    `stats`. A `BaseException` such as `KeyboardInterrupt` passes on, after the counts are updated. In a fork's child
    the pool is empty: it does not use connections of the parent. A pool that is dropped does not call `close`.

    Examples
    --------
    >>> import bufpool, sqlite3
    >>> def connect():
    ...     return sqlite3.connect(":memory:", check_same_thread=False)    # another thread may use it next
    >>> pool = bufpool.Pool(connect, max_size=3, close=sqlite3.Connection.close)
    >>> with pool, pool.lease() as connection:
    ...     connection.execute("select 40 + 2").fetchone()
    (42,)
    """

    __slots__ = ()

    def __init__(
        self,
        factory: Callable[[], T],
        *,
        min_size: int = 0,
        max_size: int = 10,
        timeout: float | None = 30.0,
        max_waiting: int | None = None,
        overflow: Literal["wait", "fail", "create"] = "wait",
        workers: int = 0,
        on_failure: Literal["raise", "wait"] = "raise",
        fair: bool = False,
        lifo: bool = True,
        check: Callable[[T], object] | None = None,
        check_on: str | Collection[str] = "checkout",
        check_after: float = 0.0,
        check_interval: float = 30.0,
        configure: Callable[[T], object] | None = None,
        on_acquire: Callable[[T], object] | None = None,
        reset: Callable[[T], object] | None = None,
        close: Callable[[T], object] | None = None,
        max_idle: float | None = None,
        max_lifetime: float | None = None,
        max_uses: int | None = None,
        backoff: tuple[float, float] | None = (0.05, 10.0),
        discard_on: type[BaseException] | tuple[type[BaseException], ...] = (),
        leak_threshold: float | None = None,
        debug: bool | None = None,
        name: str | None = None,
    ) -> None:
        self._attach(new_pool(factory, checked(factory, locals(), in_threads=True)))
        self._core.engine.refill(THREADS)

    def discard(self, item: T, /) -> None:
        """Close an object that you have, because it is broken. The pool creates another one when it is needed.

        It works in the block of a lease too, whose end then does nothing.

        Parameters
        ----------
        item : object
            Itself, not an equal one.

        Raises
        ------
        DoubleReleaseError, ForeignReleaseError
            As of `release`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> with pool.lease() as x:
        ...     pool.discard(x)
        >>> pool.size, pool.stats().discards["discarded"]
        (0, 1)
        """
        run(self._core.engine.discard(item, THREADS))

    def resize(self, min_size: int | None = None, max_size: int | None = None) -> None:
        """Change the bounds. Idle objects beyond `max_size` are closed now, others when they come back.

        Parameters
        ----------
        min_size, max_size : int, optional
            Objects that maintenance keeps ready, and the maximum number of objects. Default: unchanged.

        Raises
        ------
        SettingError
            `min_size` is above `max_size`, or one of them out of its range. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list, max_size=2)
        >>> pool.resize(max_size=5)
        >>> pool.max_size
        5
        """
        run(self._core.engine.resize(min_size, max_size, THREADS))

    def drain(self) -> None:
        """Replace every object that exists now: idle ones are closed now, others when they come back.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> with pool.lease() as old:
        ...     pool.drain()                       # the settings of the server have changed, say
        >>> with pool.lease() as new:
        ...     new is old
        False
        """
        run(self._core.engine.drain(THREADS))

    def wait(self, ready: int | None = None, timeout: float | EllipsisType | None = ...) -> None:
        """Create objects until `ready` of them, or `min_size`, exist.

        Parameters
        ----------
        ready : int, optional
            How many. Default: `min_size`.
        timeout : float or None, optional
            Seconds to wait for objects that other clients or workers are creating; None: for ever. Default: the
            pool's. Workers try again during this time if the factory fails.

        Raises
        ------
        PoolTimeoutError
            They took longer than `timeout` seconds. If the factory failed, its exception is the ``__cause__``. A
            `TimeoutError`.
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> pool.wait(2)
        >>> pool.idle
        2
        """
        run(self._core.engine.wait(ready, timeout, THREADS))

    def maintain(self) -> None:
        """Do one round of maintenance now. The maintenance thread does such rounds from time to time.

        It closes objects whose time is over, checks idle ones, creates missing ones and reports leaks. Without
        `workers` exceptions of the factory pass on.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list, min_size=2)
        >>> pool.maintain()
        >>> pool.idle
        2
        """
        run(maintain(self._core.engine, THREADS))

    def close(self, timeout: float | None = 0.0) -> None:
        """Hand out nothing more. Waiters get `ClosedError` at once; idle objects are closed, others when they return.

        Parameters
        ----------
        timeout : float or None, default 0.0
            Seconds to wait for objects in use; None: for ever; 0: not at all. With workers
            it is also the time for objects to be closed; if it is 0, up to five seconds for those that are idle.

        Raises
        ------
        PoolTimeoutError
            Objects were still in use or being closed after `timeout` seconds, where that is not 0. The pool is closed
            all the same.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list, min_size=1)
        >>> pool.close()
        >>> pool.acquire()
        Traceback (most recent call last):
        bufpool.errors.ClosedError: ...
        """
        run(self._core.engine.close(timeout, THREADS))

    def as_async(self) -> AsyncPool[T]:
        """Return an `AsyncPool` of the same objects, so that threads and tasks share them, and one bound.

        Callbacks block, so for tasks they run in threads of the pool. It is one pool: closing either closes both.

        Examples
        --------
        >>> import asyncio, bufpool
        >>> pool = bufpool.Pool(bytearray, max_size=2)
        >>> async def main():
        ...     async with pool.as_async().lease():
        ...         return pool.in_use
        >>> asyncio.run(main())
        1
        """
        from bufpool.objects.async_pool import share

        return share(self._core)

    def __enter__(self) -> Self:
        """Create `min_size` objects. The end of the block closes the pool, and so does a failure to create them."""
        try:
            self.wait()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
