"""An object pool as its users call it: what `bufpool.Pool` and `bufpool.AsyncPool` inherit of compiled methods."""

from libc.stdint cimport uint32_t
from types import GenericAlias

cimport cython

from bufpool.objects.core.object_pool cimport Standing, kNone
from bufpool.objects.native._checkout cimport turn_of
from bufpool.objects.native._lease cimport AsyncPoolLease, PoolLease, quick
from bufpool.objects.native._pool_state cimport Claim, PoolCore


# nonecheck: a subclass may have forgotten to set the pool up.
@cython.nonecheck(True)
cdef class PoolFront:
    """What pools for threads and pools for tasks have in common. Use `bufpool.Pool` or `bufpool.AsyncPool`."""

    __class_getitem__ = classmethod(GenericAlias)

    def _attach(self, PoolCore core not None):
        self._core = core

    @property
    def name(self):
        """Shown in messages."""
        return self._core.name

    @property
    def closed(self):
        """Whether the pool hands out nothing more."""
        return self._core.closed

    @property
    def size(self):
        """Objects that count against `max_size`: idle, out, in the making, being closed."""
        return self._core.size

    @property
    def idle(self):
        """Objects ready to go out."""
        return self._core.idle

    @property
    def in_use(self):
        """Objects that are not idle; those beyond `max_size` too."""
        return self._core.in_use

    @property
    def waiting(self):
        """Clients that wait for an object."""
        return self._core.waiting

    @property
    def min_size(self):
        """Objects that are kept."""
        return self._core.engine.min_size

    @property
    def max_size(self):
        """Objects that there may be."""
        return self._core.most

    @property
    def timeout(self):
        """Seconds to wait for an object; None: for ever."""
        return self._core.engine.settings.timeout

    @property
    def fair(self):
        """Whether it is strictly first come, first served."""
        return self._core.engine.settings.fair

    @property
    def lifo(self):
        """Whether the object used last goes out first."""
        return self._core.engine.settings.lifo


cdef class ThreadFront(PoolFront):
    """A pool for threads."""

    def lease(self, timeout=...):
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
        cdef PoolLease lease = PoolLease.__new__(PoolLease)
        lease.begin(self._core, timeout)
        return lease

    def acquire(self, timeout=...):
        """Check an object out; give it back with `release`. Prefer `lease`, which cannot forget it.

        Parameters and errors as of `lease`.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> x = pool.acquire()
        >>> pool.release(x)
        """
        cdef Claim claim = Claim.__new__(Claim)
        claim.begin(self._core, timeout)
        if not quick(claim):
            self._core.engine.acquire_in_thread(turn_of(claim))
        return claim.lend(Standing.out)

    def try_acquire(self):
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
        cdef Claim claim = Claim.__new__(Claim)
        claim.begin(self._core, 0.0)
        if not quick(claim) and not self._core.engine.try_acquire_in_thread(turn_of(claim)):
            return None
        return claim.lend(Standing.out)

    def release(self, item, /):
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
        cdef Claim claim = Claim.__new__(Claim)
        claim.begin(self._core, ...)
        cdef uint32_t index = self._core.grab(item, False)
        if index == kNone:
            return                     # a fork's child: it belongs to the parent
        claim.seize(index, True)
        if not claim.settle():
            self._core.engine.release_in_thread(turn_of(claim))


cdef class TaskFront(PoolFront):
    """A pool for tasks of asyncio."""

    def _attach_runtime(self, runtime):
        self._runtime = runtime

    def lease(self, timeout=...):
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
        cdef AsyncPoolLease lease = AsyncPoolLease.__new__(AsyncPoolLease)
        lease.begin(self._core, timeout)
        lease.runtime = self._runtime
        return lease

    async def acquire(self, timeout=...):
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
        cdef Claim claim = Claim.__new__(Claim)
        claim.begin(self._core, timeout)
        if not quick(claim):
            await self._core.engine.acquire(turn_of(claim), self._runtime)
        return claim.lend(Standing.out)

    async def try_acquire(self):
        """Check an object out if one is idle or there is room to make one, else None: as `Pool.try_acquire`."""
        cdef Claim claim = Claim.__new__(Claim)
        claim.begin(self._core, 0.0)
        if not quick(claim) and not await self._core.engine.try_acquire(turn_of(claim), self._runtime):
            return None
        return claim.lend(Standing.out)

    async def release(self, item, /):
        """Return an object that `acquire` or `try_acquire` gave, as `Pool.release`."""
        cdef Claim claim = Claim.__new__(Claim)
        claim.begin(self._core, ...)
        cdef uint32_t index = self._core.grab(item, False)
        if index == kNone:
            return
        claim.seize(index, True)
        if not claim.settle():
            await self._core.engine.release(turn_of(claim), self._runtime)
