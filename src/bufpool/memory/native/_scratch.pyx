"""Scratches: arrays of one shape and dtype that are checked out again and again, the fastest path.

This is the object that users hold. Its `ScratchSlots` have the arrays.
"""

from types import GenericAlias

from cpython.object cimport PyObject

cimport cython

from bufpool.memory.native._array_request cimport shape_of
from bufpool.memory.native._arrays cimport ArrayPool
from bufpool.memory.native._scratch_slots cimport ScratchSlots, make_scratch_slots
from bufpool.memory.native._unique cimport immortalise


@cython.final
@cython.internal
cdef class WithMethod:
    """``__enter__`` or ``__exit__`` of a scratch.

    Up to Python 3.13 each ``with`` makes two bound methods of plain ones and drops them again (measured: 40 ns of 82).
    This descriptor returns the two that the scratch keeps. They are bound to the slots, because a scratch that kept its
    own bound methods would refer to itself. Every ``with`` of every scratch takes a reference to the descriptor, so it
    is immortal: threads must not contend for its count.
    """

    cdef bint enters

    def __get__(self, instance, owner):
        if instance is None:
            return self
        cdef Scratch scratch = instance
        return scratch.enter if self.enters else scratch.leave

    def __call__(self, Scratch scratch not None, *exception):
        """Call it through the class, as ``contextlib.ExitStack`` does."""
        return (scratch.enter if self.enters else scratch.leave)(*exception)


cdef WithMethod with_method(bint enters):
    cdef WithMethod made = WithMethod.__new__(WithMethod)
    made.enters = enters
    immortalise(<PyObject*>made)
    return made


# no_gc_clear: a finalizer that runs while the collector breaks up a cycle may still use the scratch.
@cython.final
@cython.no_gc_clear
cdef class Scratch:
    """Reusable arrays of one shape and dtype; made by `BufferPool.scratch`.

    Use it as a context manager, also nested and from several threads, or call `acquire` and `release`. The elements of
    an array are arbitrary at each checkout.

    Examples
    --------
    >>> import bufpool
    >>> scratch = bufpool.BufferPool().scratch((480, 640), "f4")
    >>> for frame in range(3):
    ...     with scratch as a:
    ...         a.fill(frame)
    >>> a = scratch.acquire()
    >>> scratch.release(a)
    """

    __class_getitem__ = classmethod(GenericAlias)
    __enter__ = with_method(True)
    __exit__ = with_method(False)

    def __cinit__(self, *args, **kwargs):
        self.set_slots(ScratchSlots.__new__(ScratchSlots))

    def __init__(self, *args, **kwargs):
        raise TypeError("a Scratch is made by BufferPool.scratch()")

    cdef object set_slots(self, ScratchSlots slots):
        self.slots = slots
        self.enter = slots.enter
        self.leave = slots.leave

    def acquire(self):
        """Check out an array.

        Returns
        -------
        numpy.ndarray
            An array of this scratch's shape and dtype to which nothing else refers.

        Raises
        ------
        LimitError
            A new array is needed, and the pool's limit leaves no room for it. A `MemoryError`.
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool
        >>> scratch = bufpool.BufferPool().scratch((2, 3), "f4")
        >>> a = scratch.acquire()
        >>> a.shape
        (2, 3)
        """
        return self.slots.acquire()

    def release(self, array):
        """Return an array that came from `acquire`.

        It is used again once no name and no view refers to it.

        Parameters
        ----------
        array : numpy.ndarray
            The array itself, not a view of it.

        Raises
        ------
        DoubleReleaseError
            The array was released before, or it belongs to a ``with`` block, which releases it. A `ValueError`.
        ForeignReleaseError
            The array did not come from this scratch. A `ValueError`.

        Examples
        --------
        >>> import bufpool
        >>> scratch = bufpool.BufferPool().scratch(10)
        >>> a = scratch.acquire()
        >>> view = a[:5]
        >>> scratch.release(a)
        >>> scratch.acquire() is a              # `a` and `view` refer to it
        False
        """
        return self.slots.release(array)

    @property
    def pool(self):
        """The pool that the memory comes from."""
        return self.slots.pool

    @property
    def shape(self):
        """Shape of every array."""
        return shape_of(self.slots.request.nd, self.slots.request.dims)

    @property
    def dtype(self):
        """Dtype of every array."""
        return self.slots.descr

    def __repr__(self):
        return repr(self.slots)


cdef class ScratchMaker(ArrayPool):
    """A pool that makes scratches. Use `bufpool.BufferPool`."""

    def scratch(self, shape, dtype=None, order="C", *, alignment=None):
        """Return a `Scratch`: reusable arrays of one shape and dtype, the fastest way to get an array.

        Make it once and use it many times: it reuses the array objects, not only their memory.

        Arguments and errors as of `empty`.

        Examples
        --------
        >>> import bufpool
        >>> scratch = bufpool.BufferPool().scratch(1024, "f4")
        >>> with scratch as a:
        ...     a.fill(0)
        """
        cdef Scratch scratch = Scratch.__new__(Scratch)
        scratch.set_slots(make_scratch_slots(self, shape, dtype, order, alignment))
        return scratch
