"""``with pool.lease(shape, dtype) as a``: an array for a block of code.

The rule is that a stale name never aliases. At the end of the block there are three cases:

- nobody else holds the array: its memory returns at once;
- local variables of the function with the ``with`` statement hold it, and nothing else: no view can exist, so the
  array is *detached*. It becomes empty, as a transferred ``ArrayBuffer`` does in JavaScript, and its memory returns;
- anything else (a view, a container, a memoryview, a variable shared with an inner function): the memory returns when
  the last of them is gone.
"""

from types import GenericAlias

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from libc.string cimport memcpy

cimport cython
cimport numpy as cnp

from bufpool.memory.native._array_request cimport Request, check_request, shape_of
from bufpool.memory.native._arrays cimport ArrayPool, detach
from bufpool.memory.native._frames cimport frame_of_caller, names_in_caller
from bufpool.memory.native._unique cimport references_are, sole_reference

from bufpool.errors import ReleasedError

cnp.import_array()


cdef enum State:
    NEW, ENTERED, ENDED


# no_gc_clear: the pool must outlive this object, in a cycle too.
@cython.final
@cython.no_gc_clear
@cython.freelist(8)
cdef class Lease:
    """An array for the duration of a ``with`` block; made by `BufferPool.lease`.

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

    cdef object store(self, Request* request):
        """Store the request."""
        self.nd = request.nd
        self.flags = request.flags
        self.nbytes = request.nbytes
        self.alignment = request.alignment
        cdef size_t nbytes = request.nd * sizeof(cnp.npy_intp)
        if nbytes <= sizeof(self.dims):
            memcpy(self.dims, request.dims, nbytes)
        else:
            self.more = PyBytes_FromStringAndSize(<char*>request.dims, nbytes)

    cdef cnp.npy_intp* extents(self) noexcept:
        if self.more is None:
            return self.dims
        return <cnp.npy_intp*>PyBytes_AS_STRING(self.more)

    cdef cnp.ndarray make(self):
        cdef Request request
        request.nd = self.nd
        request.flags = self.flags
        request.nbytes = self.nbytes
        request.alignment = self.alignment
        memcpy(request.dims, self.extents(), self.nd * sizeof(cnp.npy_intp))
        return self.pool.make(self.descr, &request, False, NULL)

    def __enter__(self):
        if self.pool is None:
            raise ReleasedError("a Lease is made by BufferPool.lease()")
        cdef bint fresh
        with cython.critical_section(self):
            fresh = self.state == NEW
        if not fresh:
            raise self.used()
        cdef cnp.ndarray array = self.make()
        cdef object frame = frame_of_caller()
        with cython.critical_section(self):
            fresh = self.state == NEW                            # else another thread was faster
            if fresh:
                self.array = array
                self.frame = frame
                self.state = ENTERED
        if not fresh:
            raise self.used()
        return array

    cdef object used(self):
        return ReleasedError(f"{self!r}: a lease serves one 'with' block; call pool.lease() for each")

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
        # One reference is `array`. An exception that passes through refers to the frame, and so to the same names.
        if not sole_reference(<PyObject*>array):
            names = names_in_caller(array, frame)
            if names > 0 and references_are(<PyObject*>array, 1 + names):
                detach(array, <PyObject*>self.pool.capsule)
        return False

    def __repr__(self):
        state = ("not entered", "entered", "ended")[self.state]
        shape = shape_of(self.nd, self.extents())
        name = "?" if self.pool is None else self.pool.name
        return f"<Lease of shape {shape}, dtype {self.descr}, pool {name!r}, {state}>"


cdef class LeaseMaker(ArrayPool):
    """A pool that makes leases. Use `bufpool.BufferPool`."""

    def lease(self, shape, dtype=None, order="C", *, alignment=None):
        """Return a `Lease`: a context manager that provides an array for the duration of a ``with`` block.

        The memory returns to the pool when the block ends. If only local variables still refer to the array, it becomes
        empty: its shape is all zeros. If a view, a container or a memoryview refers to it, the array stays valid, and
        its memory returns when they are gone.

        Arguments and errors as of `empty`. The array is made when the block is entered.

        Examples
        --------
        >>> import bufpool
        >>> with bufpool.BufferPool().lease((2, 2)) as a:
        ...     a[:] = 1
        ...     a.sum()
        np.float64(4.0)
        """
        cdef Request request
        cdef Lease lease = Lease.__new__(Lease)
        lease.descr = check_request(self, shape, dtype, order, alignment, &request)
        lease.store(&request)
        lease.pool = self
        return lease
