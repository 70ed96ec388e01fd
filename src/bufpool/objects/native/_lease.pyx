"""``with pool.lease() as x`` and ``async with pool.lease() as x``: the quick way to an object and back.

While there is an idle object to which nothing is due, and nobody waits, a checkout is one compare-and-swap, and so is
the return. Everything else is the lifecycle's, in Python.
"""

from cpython.ref cimport Py_DECREF
from libc.stdint cimport uint32_t
from types import GenericAlias

cimport cython

from bufpool._core.clock cimport precise_ns
from bufpool.objects.core.object_pool cimport Answer, ObjectPool, Standing, kNone
from bufpool.objects.native._pool_state cimport HAND, LENT, NEW, Claim, PoolCore, is_finalizing
from bufpool.objects.native._checkout cimport moved, turn_of

import warnings

from bufpool.errors import ReleasedError

cdef bint quick(Claim claim) except -1:
    """Take an idle object in hand if nothing stands against it; false: ask the lifecycle."""
    cdef PoolCore core = claim.core
    cdef ObjectPool* pool = core.state()
    cdef uint32_t index = pool.take()
    if index == kNone:
        # Somebody waits, or there is nothing. A running client may still be quicker than one that is being woken.
        if not pool.needs_attention():
            return False
        if pool.ask(claim.waiter, precise_ns(), False, 0, index) != Answer.found:
            return False
    claim.seize(index, False)
    return not core.due_out(&pool.table[index])


cdef bint holds(Claim claim) noexcept:
    if claim.stage != LENT or claim.outlived():
        return False
    return claim.core.pool.table[claim.index].word.load_acquire() == claim.checkout


cdef object peek(Claim claim):
    """The object, while the lease has it; None otherwise.

    With the GIL `holds` would do. Without, another thread may end the lease at any moment.
    """
    cdef void* address = NULL
    if holds(claim):
        address = claim.core.pool.look(claim.index, claim.checkout)
    if address == NULL:
        return None
    cdef object item = <object>address
    Py_DECREF(item)
    return item


cdef object object_of(Claim claim):
    cdef object item = peek(claim)
    if item is None:
        raise ReleasedError(f"{claim!r} has no object now")
    return item


cdef str describe(Claim claim, str kind):
    if claim.core is None:
        return f"<{kind} of no pool>"
    cdef object item = peek(claim)
    if item is not None:
        return f"<{kind} of pool {claim.core.name!r}: {claim.core.engine.show(item)}>"
    return f"<{kind} of pool {claim.core.name!r}: {'over' if claim.over or claim.stage == LENT else 'not entered'}>"


cdef object enter(Claim claim):
    # Once, and of two threads or tasks one.
    if claim.core is None:
        raise ReleasedError("a lease is made by pool.lease()")
    cdef uint32_t fresh = 0
    if not claim.entered.cas_strong_acq_rel_acquire(fresh, 1):
        raise ReleasedError(f"{claim!r}: a lease serves one 'with' block; call pool.lease() for each")


cdef void not_entered(Claim claim) noexcept:
    # It may be tried again.
    if claim.stage == NEW:
        claim.entered.store_release(0)


cdef bint retaken(Claim claim) except -1:
    """Take the object in hand before the end of the block; false in a fork's child: it belongs to the parent."""
    if claim.take_back():
        return True
    if claim.stage == LENT and claim.outlived():
        return False
    raise ReleasedError(f"{claim!r} has no object now")


cdef object tell_dropped(Claim claim, item):
    # No callback was called: the interpreter ends, or has no room for one because its stack is full.
    if claim.stage == HAND:
        claim.let_go()
    what = f"<lease of pool {claim.core.name!r}: {claim.core.engine.show(item)}>"
    if warnings is not None:                     # the interpreter ends, and our names are gone
        warnings.warn(f"{what} was dropped without its end; its object is back now", ResourceWarning, source=claim)


@cython.final
@cython.no_gc_clear
cdef class PoolLease(Claim):
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

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, *args, **kwargs):
        raise TypeError("a PoolLease is made by Pool.lease()")

    def __enter__(self):
        enter(self)
        try:
            if not quick(self):
                self.core.engine.acquire_in_thread(turn_of(self))
            return self.lend(Standing.lent)
        except BaseException:
            not_entered(self)
            raise

    def __exit__(self, kind, value, traceback, /):
        if not self.take_back():
            return False               # ended inside the block
        if value is not None and self.core.engine.callbacks.should_discard(value):
            self.core.engine.close_object_in_thread(turn_of(self), "discarded")
        elif not self.settle():
            self.core.engine.release_in_thread(turn_of(self))
        return False

    # Python's own error would not name the pool for tasks. Type checkers do not see these two, and refuse such a block.

    def __aenter__(self):
        raise TypeError(f"{self!r} is for threads; in a task, use 'async with pool.as_async().lease()'")

    def __aexit__(self, kind, value, traceback, /):
        raise TypeError("a PoolLease is for threads")

    @property
    def object(self):
        """The object, while the lease has it."""
        return object_of(self)

    @property
    def released(self):
        """Whether the lease is over."""
        return self.over or (self.stage == LENT and not holds(self))

    def release(self):
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
        if retaken(self) and not self.settle():
            self.core.engine.release_in_thread(turn_of(self))

    def discard(self):
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
        if retaken(self):
            self.core.engine.close_object_in_thread(turn_of(self), "discarded")

    cdef object dropped(self):
        # Nobody can end it any more.
        if not self.take_back():
            return None
        cdef object item = <object>self.core.pool.table[self.index].address
        try:
            if not self.settle() and not is_finalizing():
                self.core.engine.release_in_thread(turn_of(self))
        finally:
            tell_dropped(self, item)

    def __repr__(self):
        return describe(self, "PoolLease")


@cython.final
@cython.no_gc_clear
cdef class AsyncPoolLease(Claim):
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
            if not quick(self):
                await self.core.engine.acquire(turn_of(self), self.runtime)
            return self.lend(Standing.lent)
        except BaseException:
            not_entered(self)
            raise

    async def __aexit__(self, kind, value, traceback, /):
        # None, not False: CPython 3.12 makes an exception of any other result (measured: a tenth of the whole block).
        if not self.take_back():
            return
        if value is not None and self.core.engine.callbacks.should_discard(value):
            await self.core.engine.close_object(turn_of(self), "discarded", self.runtime)
        elif not self.settle():
            await self.core.engine.release(turn_of(self), self.runtime)

    @property
    def object(self):
        """The object, while the lease has it."""
        return object_of(self)

    @property
    def released(self):
        """Whether the lease is over."""
        return self.over or (self.stage == LENT and not holds(self))

    async def release(self):
        """Return the object before the end of the block, as `PoolLease.release`.

        Raises
        ------
        ReleasedError
            The lease has no object: it is over, or was not entered. A `ValueError`.
        """
        if retaken(self) and not self.settle():
            await self.core.engine.release(turn_of(self), self.runtime)

    async def discard(self):
        """Close the object, which is broken, instead of returning it, as `PoolLease.discard`."""
        if retaken(self):
            await self.core.engine.close_object(turn_of(self), "discarded", self.runtime)

    cdef object dropped(self):
        # Nobody can end it any more.
        if not self.take_back():
            return None
        cdef object item = <object>self.core.pool.table[self.index].address
        try:
            if not self.settle() and not is_finalizing():
                self.runtime.release_later(moved(self))
        finally:
            tell_dropped(self, item)

    def __repr__(self):
        return describe(self, "AsyncPoolLease")
