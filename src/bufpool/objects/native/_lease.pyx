"""A pool for threads as users call it, and its leases: ``with pool.lease() as x``.

While there is an idle object that needs nothing done to it, and no client waits, a checkout is one compare-and-swap,
and so is the return. The engine, in Python, does everything else.
"""

from cpython.ref cimport Py_DECREF
from libc.stdint cimport uint32_t
from types import GenericAlias

cimport cython

from bufpool._core.clock cimport precise_ns
from bufpool.objects.core.object_pool cimport ObjectPool, ObjectState, kNone
from bufpool.objects.native._checkout cimport HELD, LEASED, NEW, Checkout
from bufpool.objects.native._pool_state cimport PoolCore, is_finalizing

import warnings

from bufpool.errors import ReleasedError


cdef bint acquire_idle(Checkout checkout) except -1:
    """Hold an idle object, if nothing needs to be done to it; return False if the engine must act."""
    cdef PoolCore core = checkout.core
    cdef ObjectPool* pool = core.state()
    cdef uint32_t index = pool.try_acquire()
    if index == kNone:
        # Clients wait, or there is nothing. A running client may still be quicker than one that is being woken.
        if not pool.needs_slow_path():
            return False
        index = pool.acquire_at_once(checkout.waiter, precise_ns())
        if index == kNone:
            return False
    checkout.hold(index, False)
    return not core.is_due_out(&pool.table[index])


cdef bint has_object(Checkout checkout) noexcept:
    if checkout.state != LEASED or checkout.from_parent_process():
        return False
    return checkout.core.pool.table[checkout.index].word.load_acquire() == checkout.word


cdef object object_or_none(Checkout checkout):
    """Return the object while the lease has it, or None.

    With the GIL `has_object` would do. Without, another thread may end the lease at any moment.
    """
    cdef void* address = NULL
    if has_object(checkout):
        address = checkout.core.pool.look(checkout.index, checkout.word)
    if address == NULL:
        return None
    cdef object item = <object>address
    Py_DECREF(item)
    return item


cdef object object_of(Checkout checkout):
    """Return the object while the lease has it."""
    cdef object item = object_or_none(checkout)
    if item is None:
        raise ReleasedError(f"{checkout!r} has no object now")
    return item


cdef str describe(Checkout checkout, str kind):
    if checkout.core is None:
        return f"<{kind} of no pool>"
    cdef object item = object_or_none(checkout)
    if item is not None:
        return f"<{kind} of pool {checkout.core.name!r}: {checkout.core.engine.show(item)}>"
    over = checkout.over or checkout.state == LEASED
    return f"<{kind} of pool {checkout.core.name!r}: {'over' if over else 'not entered'}>"


cdef object enter(Checkout checkout):
    """Begin the block of a lease: once, and of two threads or tasks in one."""
    if checkout.core is None:
        raise ReleasedError("a lease is made by pool.lease()")
    cdef uint32_t fresh = 0
    if not checkout.entered.cas_strong_acq_rel_acquire(fresh, 1):
        raise ReleasedError(f"{checkout!r}: a lease serves one 'with' block; call pool.lease() for each")


cdef void not_entered(Checkout checkout) noexcept:
    """Allow a second try after a block that could not begin."""
    if checkout.state == NEW:
        checkout.entered.store_release(0)


cdef bint take_back_early(Checkout checkout) except -1:
    """Take the object back before the end of the block; return False in a fork's child: it belongs to the parent."""
    if checkout.take_back():
        return True
    if checkout.state == LEASED and checkout.from_parent_process():
        return False
    raise ReleasedError(f"{checkout!r} has no object now")


cdef object report_dropped(Checkout checkout, item):
    """Warn that a lease was dropped without its end."""
    # No callback was called if the interpreter ends, or if the stack has no room for a call.
    if checkout.state == HELD:
        checkout.release_all()
    what = f"<lease of pool {checkout.core.name!r}: {checkout.core.engine.show(item)}>"
    if warnings is not None:                     # None: the interpreter ends, and has cleared this module
        warnings.warn(f"{what} was dropped without its end; its object is back now", ResourceWarning, source=checkout)


@cython.final
@cython.no_gc_clear
cdef class PoolLease(Checkout):
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
            if not acquire_idle(self):
                self.core.engine.acquire_in_thread(self)
            return self.hand_out(ObjectState.leased)
        except BaseException:
            not_entered(self)
            raise

    def __exit__(self, kind, value, traceback, /):
        if not self.take_back():
            return False               # ended inside the block
        if value is not None and self.core.engine.callbacks.should_discard(value):
            self.core.engine.close_object_in_thread(self, "discarded")
        elif not self.try_release():
            self.core.engine.release_in_thread(self)
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
        return self.over or (self.state == LEASED and not has_object(self))

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
        ...     lease.release()                    # from here on another client may have `d`
        ...     pool.idle
        1
        """
        if take_back_early(self) and not self.try_release():
            self.core.engine.release_in_thread(self)

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
        if take_back_early(self):
            self.core.engine.close_object_in_thread(self, "discarded")

    cdef object dropped(self):
        # No code can end this lease any more.
        if not self.take_back():
            return None
        cdef object item = <object>self.core.pool.table[self.index].address
        try:
            if not self.try_release() and not is_finalizing():
                self.core.engine.release_in_thread(self)
        finally:
            report_dropped(self, item)

    def __repr__(self):
        return describe(self, "PoolLease")


# nonecheck: a subclass may not have called super().__init__.
@cython.nonecheck(True)
cdef class PoolFront:
    """What pools for threads and pools for tasks have in common. Use `bufpool.Pool` or `bufpool.AsyncPool`."""

    __class_getitem__ = classmethod(GenericAlias)

    def _attach(self, PoolCore core not None):
        """Set the state of the pool."""
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
        """Objects that count against `max_size`: idle, in use, being created or closed."""
        return self._core.size

    @property
    def idle(self):
        """Objects ready to go out."""
        return self._core.idle

    @property
    def in_use(self):
        """Objects that are not idle, those beyond `max_size` too."""
        return self._core.in_use

    @property
    def waiting(self):
        """Clients that wait for an object."""
        return self._core.waiting

    @property
    def min_size(self):
        """Objects that maintenance keeps ready."""
        return self._core.engine.min_size

    @property
    def max_size(self):
        """Maximum number of objects."""
        return self._core.max_size

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
        cdef Checkout checkout = Checkout.__new__(Checkout)
        checkout.begin(self._core, timeout)
        if not acquire_idle(checkout):
            self._core.engine.acquire_in_thread(checkout)
        return checkout.hand_out(ObjectState.acquired)

    def try_acquire(self):
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
        cdef Checkout checkout = Checkout.__new__(Checkout)
        checkout.begin(self._core, 0.0)
        if not acquire_idle(checkout) and not self._core.engine.try_acquire_in_thread(checkout):
            return None
        return checkout.hand_out(ObjectState.acquired)

    def release(self, item, /):
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
        cdef Checkout checkout = Checkout.__new__(Checkout)
        checkout.begin(self._core, ...)
        cdef uint32_t index = self._core.take_back(item, False)
        if index == kNone:
            return                     # a fork's child: it belongs to the parent
        checkout.hold(index, True)
        if not checkout.try_release():
            self._core.engine.release_in_thread(checkout)
