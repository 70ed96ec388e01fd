"""One shape and dtype, checked out again and again: the fastest path. Users hold this; a shelf has the arrays."""

from types import GenericAlias

from cpython.object cimport PyObject

cimport cython

from bufpool.memory.native._arrays cimport ArrayPool, shape_of
from bufpool.memory.native._shelf cimport Shelf, make_shelf
from bufpool.memory.native._unique cimport immortalise


@cython.final
@cython.internal
cdef class Turn:
    """``__enter__`` or ``__exit__`` of a scratch.

    Up to Python 3.13 each ``with`` makes two bound methods of plain ones and drops them again (measured: 40 ns of 82).
    This descriptor gives the two that the scratch keeps. They are bound to the shelf and not to the scratch, which
    would otherwise hold itself. Every ``with`` of every scratch holds the descriptor for a moment, so it is immortal.
    """

    cdef bint enters

    def __get__(self, instance, owner):
        if instance is None:
            return self
        cdef Scratch scratch = instance
        return scratch.enter if self.enters else scratch.leave

    def __call__(self, Scratch scratch not None, *exception):
        """As ``contextlib.ExitStack`` calls it: through the class."""
        return (scratch.enter if self.enters else scratch.leave)(*exception)


cdef Turn turn(bint enters):
    cdef Turn made = Turn.__new__(Turn)
    made.enters = enters
    immortalise(<PyObject*>made)
    return made


# no_gc_clear: a finaliser that runs while a cycle is broken up may still use us.
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
    __enter__ = turn(True)
    __exit__ = turn(False)

    def __cinit__(self, *args, **kwargs):
        self.keep(Shelf.__new__(Shelf))

    def __init__(self, *args, **kwargs):
        raise TypeError("a Scratch is made by BufferPool.scratch()")

    cdef object keep(self, Shelf shelf):
        self.shelf = shelf
        self.enter = shelf.enter
        self.leave = shelf.leave

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
        return self.shelf.take()

    def release(self, array):
        """Return an array that came from `acquire`.

        It is handed out again when nothing refers to it or to a view of it any more.

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
        >>> scratch.acquire() is a              # `view` may still look into it
        False
        """
        return self.shelf.give_back(array)

    @property
    def pool(self):
        """The pool that the memory comes from."""
        return self.shelf.pool

    @property
    def shape(self):
        """Shape of every array."""
        return shape_of(self.shelf.request.nd, self.shelf.request.dims)

    @property
    def dtype(self):
        """Dtype of every array."""
        return self.shelf.descr

    def __repr__(self):
        return repr(self.shelf)


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
        scratch.keep(make_shelf(self, shape, dtype, order, alignment))
        return scratch
