"""A pool for tasks of asyncio as users call it, and its leases: ``async with pool.lease() as x``."""

from libc.stdint cimport uint32_t
from types import GenericAlias

cimport cython

from bufpool.objects.core.object_pool cimport ObjectState, kNone
from bufpool.objects.native._checkout cimport LEASED, Checkout, moved
from bufpool.objects.native._lease cimport (
    PoolFront,
    acquire_idle,
    describe,
    enter,
    has_object,
    not_entered,
    object_of,
    report_dropped,
    take_back_early,
)
from bufpool.objects.native._pool_state cimport is_finalizing


@cython.final
@cython.no_gc_clear
cdef class AsyncPoolLease(Checkout):
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

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, *args, **kwargs):
        raise TypeError("an AsyncPoolLease is made by AsyncPool.lease()")

    async def __aenter__(self):
        enter(self)
        try:
            if not acquire_idle(self):
                await self.core.engine.acquire(self, self.runtime)
            return self.hand_out(ObjectState.leased)
        except BaseException:
            not_entered(self)
            raise

    async def __aexit__(self, kind, value, traceback, /):
        # None, not False: CPython 3.12 makes an exception of any other result (measured: a tenth of the whole block).
        if not self.take_back():
            return
        if value is not None and self.core.engine.callbacks.should_discard(value):
            await self.core.engine.close_object(self, "discarded", self.runtime)
        elif not self.try_release():
            await self.core.engine.release(self, self.runtime)

    @property
    def object(self):
        """The object, while the lease has it."""
        return object_of(self)

    @property
    def released(self):
        """Whether the lease is over."""
        return self.over or (self.state == LEASED and not has_object(self))

    async def release(self):
        """Return the object before the end of the block, as `PoolLease.release`.

        Raises
        ------
        ReleasedError
            The lease has no object: it is over, or was not entered. A `ValueError`.
        """
        if take_back_early(self) and not self.try_release():
            await self.core.engine.release(self, self.runtime)

    async def discard(self):
        """Close the object, which is broken, instead of returning it, as `PoolLease.discard`."""
        if take_back_early(self):
            await self.core.engine.close_object(self, "discarded", self.runtime)

    cdef object dropped(self):
        # No code can end this lease any more.
        if not self.take_back():
            return None
        cdef object item = <object>self.core.pool.table[self.index].address
        try:
            if not self.try_release() and not is_finalizing():
                self.runtime.release_later(moved(self))
        finally:
            report_dropped(self, item)

    def __repr__(self):
        return describe(self, "AsyncPoolLease")


cdef class TaskFront(PoolFront):
    """A pool for tasks of asyncio."""

    def _attach_runtime(self, runtime):
        """Set how callbacks are called and tasks wait."""
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
        cdef Checkout checkout = Checkout.__new__(Checkout)
        checkout.begin(self._core, timeout)
        if not acquire_idle(checkout):
            await self._core.engine.acquire(checkout, self._runtime)
        return checkout.hand_out(ObjectState.acquired)

    async def try_acquire(self):
        """Check an object out if one is idle or there is room to make one, else None: as `Pool.try_acquire`."""
        cdef Checkout checkout = Checkout.__new__(Checkout)
        checkout.begin(self._core, 0.0)
        if not acquire_idle(checkout) and not await self._core.engine.try_acquire(checkout, self._runtime):
            return None
        return checkout.hand_out(ObjectState.acquired)

    async def release(self, item, /):
        """Return an object that `acquire` or `try_acquire` gave, as `Pool.release`."""
        cdef Checkout checkout = Checkout.__new__(Checkout)
        checkout.begin(self._core, ...)
        cdef uint32_t index = self._core.take_back(item, False)
        if index == kNone:
            return
        checkout.hold(index, True)
        if not checkout.try_release():
            await self._core.engine.release(checkout, self._runtime)
