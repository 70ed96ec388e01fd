"""L4: ``with pool.lease(shape, dtype) as a``: an array for a block of code.

The rule is that a stale name never aliases. At the end of the block there are three cases:

- nobody else holds the array: its memory returns at once;
- local variables of the function with the ``with`` statement hold it, and nothing else: no view can exist, so the
  array is *detached*. It becomes empty, as a transferred ``ArrayBuffer`` does in JavaScript, and its memory returns;
- anything else (a view, a container, a memoryview, a variable shared with an inner function): the memory returns when
  the last of them is gone.
"""

from cpython.object cimport PyObject
from types import GenericAlias

cimport cython
cimport numpy as cnp

from bufpool.native._arrays cimport ArrayPool, detach, shape_of
from bufpool.native._frames cimport frame_of_caller, names_in_caller
from bufpool.native._unique cimport references_are, sole_reference

from bufpool.errors import ReleasedError

cnp.import_array()


cdef enum State:
    NEW, ENTERED, ENDED, ENTERING


# no_gc_clear: the pool must stay until we are gone, in a cycle too.
@cython.final
@cython.no_gc_clear
cdef class Lease:
    """An array for the length of a ``with`` block; made by `BufferPool.lease`.

    Attributes
    ----------
    pool : BufferPool
        The pool that the memory comes from.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.BufferPool()
    >>> def total():
    ...     with pool.lease(1000, "i8") as a:
    ...         a[:] = 2
    ...         result = int(a.sum())
    ...     return result, a.size
    >>> total()
    (2000, 0)
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self, *args, **kwargs):
        raise TypeError("a Lease is made by BufferPool.lease()")

    def __enter__(self):
        if self.pool is None:
            raise ReleasedError("a Lease is made by BufferPool.lease()")
        with cython.critical_section(self):
            if self.state != NEW:
                raise ReleasedError(f"{self!r}: a lease serves one 'with' block; call pool.lease() for each")
            self.state = ENTERING
        cdef cnp.ndarray array
        cdef object frame
        try:
            array = self.pool.make(self.descr, &self.request, False)
            frame = frame_of_caller()
        except BaseException:
            self.state = NEW
            raise
        with cython.critical_section(self):
            self.array = array
            self.frame = frame
            self.state = ENTERED
        return array

    def __exit__(self, kind, value, traceback, /):
        cdef cnp.ndarray array
        cdef object frame
        cdef Py_ssize_t names
        with cython.critical_section(self):
            if self.state != ENTERED:
                raise ReleasedError(f"{self!r} is not entered")
            self.state = ENDED
            array = self.array
            self.array = None
            frame = self.frame
            self.frame = None
        # Ours is one of the references. While an exception passes, its traceback holds the frame, and the same names.
        if not sole_reference(<PyObject*>array):
            names = names_in_caller(array, frame)
            if names > 0 and references_are(<PyObject*>array, 1 + names):
                detach(array, <PyObject*>self.pool.capsule)
        return False

    def __repr__(self):
        state = ("not entered", "entered", "ended", "being entered")[self.state]
        shape = shape_of(&self.request)
        name = "?" if self.pool is None else self.pool.name
        return f"<Lease of shape {shape}, dtype {self.descr}, pool {name!r}, {state}>"


def make_lease(ArrayPool pool not None, shape, dtype=None, order="C", alignment=None):
    """See `BufferPool.lease`."""
    cdef Lease lease = Lease.__new__(Lease)
    lease.descr = pool.check(shape, dtype, order, alignment, &lease.request)
    lease.pool = pool
    return lease
