"""Real ndarrays on pooled memory.

An array owns its block through the pool's NumPy handler (NEP 49) and not through a base object. So NumPy's reuse of
temporaries and ``resize`` keep working, views hold the array as they always do, and the block comes back when the last
of them is gone.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

cimport numpy as cnp

import numpy as np

from libc.string cimport memset

from bufpool.memory.core.arena cimport Refusal
from bufpool.memory.native._arena cimport arena_clear, arena_owner, arena_release
from bufpool.memory.native._handler cimport restore_handler, set_handler
from bufpool.memory.native._array_request cimport check_request, holds_references
from bufpool.memory.native._refused cimport Building, build_was_refused, swap_building
from bufpool.memory.native._trace cimport track, untrack
from bufpool.memory.native._unique cimport disown, sole_reference

from bufpool.errors import ObjectDtypeError

cdef extern from *:
    """
    static inline PyObject* bufpool_new_from_descr(
        PyArray_Descr* descr, int nd, npy_intp* dims, void* data, int flags
    ) {
        Py_INCREF(descr);   // the call below takes it, also when it fails
        return PyArray_NewFromDescr(&PyArray_Type, descr, nd, dims, NULL, data, flags, NULL);
    }
    """
    object bufpool_new_from_descr(cnp.dtype descr, int nd, cnp.npy_intp* dims, void* data, int flags)

cdef extern from "Python.h":
    void Py_DECREF(PyObject*)

cnp.import_array()


# Not a method: calls of methods go through the class's table, and this one can be inlined.
cdef inline cnp.ndarray array_on(void* block, cnp.dtype descr, Request* request, object capsule):
    """Return an array that owns `block`; if it raises, the block is released."""
    cdef cnp.ndarray array
    try:
        array = <cnp.ndarray>bufpool_new_from_descr(descr, request.nd, request.dims, block, request.flags)
    except BaseException:
        arena_release(block)
        raise
    cdef ArrayFields* fields = <ArrayFields*>array
    Py_INCREF(capsule)
    fields.mem_handler = <PyObject*>capsule
    fields.flags |= cnp.NPY_ARRAY_OWNDATA
    track(block, request.nbytes)
    return array


cdef inline cnp.ndarray disowned(cnp.ndarray array):
    """Return a new array whose references will not be counted to prove anything; those of leases and scratches are."""
    disown(<PyObject*>array)
    return array


cdef class ArrayPool(AllocatorPool):
    """A pool that makes arrays. Use `bufpool.BufferPool`."""

    # --- the common path ---

    cdef cnp.ndarray make(self, cnp.dtype descr, Request* request, bint zeros, void* block):
        cdef bint zeroed = zeros and block == NULL
        if block == NULL:
            block = self.acquire_block(request.nbytes, request.alignment, &zeroed)
        cdef cnp.ndarray array = array_on(block, descr, request, self.capsule)
        if zeros and not zeroed:
            if request.nbytes < (1 << 20):
                memset(block, 0, request.nbytes)
            else:
                with nogil:
                    arena_clear(block, request.nbytes)
        return array

    # --- constructors with NumPy's own argument names ---

    def empty(self, shape, dtype=None, order="C", *, alignment=None):
        """Return a new array in pooled memory, without setting its elements.

        The memory returns to the pool when the array and every view of it are gone.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the array.
        dtype : data-type, default None: float64
            Anything that `numpy.dtype` accepts, except types that hold references (``object``,
            `numpy.dtypes.StringDType`).
        order : {'C', 'F'}
            Row-major or column-major.
        alignment : int, optional
            Alignment of the first element in bytes: a power of two up to 2 MiB. It is never less than the pool's own.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        SizeError
            A dimension is negative, or the array is larger than the largest block, 64 TiB. A `ValueError`.
        ObjectDtypeError
            `dtype` holds references. A `TypeError`.
        AlignmentError
            `alignment` is not a power of two, or it is above 2 MiB. A `ValueError`.
        LimitError
            The pool's limit leaves no room. A `MemoryError`.
        ClosedError
            The pool is closed.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.BufferPool()
        >>> a = pool.empty((2, 3), "f4")
        >>> a.shape, a.dtype, a.ctypes.data % 64
        ((2, 3), dtype('float32'), 0)
        """
        cdef Request request
        cdef cnp.dtype descr = check_request(self, shape, dtype, order, alignment, &request)
        return disowned(self.make(descr, &request, False, NULL))

    def zeros(self, shape, dtype=None, order="C", *, alignment=None):
        """Return a new array of zeros in pooled memory. Arguments and errors as of `empty`.

        Memory that has just come from the system is zero already and is not written again.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().zeros(3, int)
        array([0, 0, 0])
        """
        cdef Request request
        cdef cnp.dtype descr = check_request(self, shape, dtype, order, alignment, &request)
        return disowned(self.make(descr, &request, True, NULL))

    def full(self, shape, fill_value, dtype=None, order="C", *, alignment=None):
        """Return a new array in pooled memory, filled with `fill_value`.

        Arguments and errors as of `empty`. The default dtype is that of ``numpy.array(fill_value)``.

        Parameters
        ----------
        fill_value : scalar or array_like
            Value of each element. An array is broadcast to the shape.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().full((2, 2), 7)
        array([[7, 7],
               [7, 7]])
        """
        cdef Request request
        if dtype is None:
            fill_value = np.asarray(fill_value)
            dtype = fill_value.dtype
        cdef cnp.dtype descr = check_request(self, shape, dtype, order, alignment, &request)
        cdef cnp.ndarray array = disowned(self.make(descr, &request, False, NULL))
        np.copyto(array, fill_value, casting="unsafe")
        return array

    def ones(self, shape, dtype=None, order="C", *, alignment=None):
        """Return a new array of ones in pooled memory. Arguments and errors as of `empty`.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().ones(2, "i4")
        array([1, 1], dtype=int32)
        """
        return self.full(shape, 1, np.float64 if dtype is None else dtype, order, alignment=alignment)

    # --- constructors of NumPy's that allocate from the pool ---

    cdef object build(self, object function, tuple args, dict kwargs):
        """Call a constructor of NumPy's with the pool as its allocator; at the limit wait and raise as usual."""
        if self.arena.closed.load_relaxed():
            raise self.refusal_error(0, Refusal.closed, None)
        # A call that runs no user code needs no entry in the context, which would take as long as all the rest.
        dtype, shape = kwargs["dtype"], kwargs.get("shape")
        cdef bint quiet = (
            type(args[0]) is cnp.ndarray
            and not holds_references(args[0].dtype)
            and (dtype is None or isinstance(dtype, np.dtype))
            and shape is None
        )
        cdef bint zeroed = False
        cdef int tries = 3                       # NumPy may need two blocks at once, and only one may fit
        cdef Building building
        cdef Building outer
        building.arena = self.arena
        building.block = NULL
        building.refused = 0
        while True:
            try:
                before = set_handler(self.capsule) if quiet else self.install()
            except BaseException:                # closed meanwhile, or no memory for the change
                if building.block != NULL:
                    arena_release(building.block)
                raise
            outer = swap_building(building)
            try:
                array = function(*args, **kwargs)
                break
            except MemoryError as error:
                nbytes = getattr(error, "_total_size", None)     # as NumPy's own error has it
                if nbytes is None or not build_was_refused(nbytes):   # raised by the caller's code, or for another pool
                    raise
            finally:
                building = swap_building(outer)
                if building.block != NULL:       # NumPy did without it
                    arena_release(building.block)
                    building.block = NULL
                if quiet:
                    restore_handler(before)
                else:
                    self.leave()
            # NumPy's hook can neither be interrupted nor give a reason. This call can; the block is for the next try.
            tries -= 1
            if tries == 0:
                self.arena.counters.refused.add_relaxed(1)
                raise self.refusal_error(nbytes, Refusal.limit, None)
            building.block = self.acquire_block(nbytes, 0, &zeroed)
        if holds_references(array.dtype):
            raise ObjectDtypeError(
                f"pool {self.name!r}: dtype {array.dtype} holds references; use NumPy's own constructor"
            )
        if sole_reference(<PyObject*>array):     # a new one, and not the argument itself
            disown(<PyObject*>array)
        return array

    cdef object check_like(self, object prototype, object dtype, object shape):
        """Raise the pool's own error for a bad `shape`."""
        cdef Request request
        if shape is not None:
            dtype = np.asanyarray(prototype).dtype if dtype is None else dtype
            check_request(self, shape, dtype, "C", None, &request)

    def empty_like(self, prototype, dtype=None, order="K", subok=True, shape=None):
        """Return a new array in pooled memory with the shape and dtype of `prototype`, without setting its elements.

        Arguments as of `numpy.empty_like`; errors as of `empty`.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> bufpool.BufferPool().empty_like(np.zeros((2, 5), order="F")).flags.f_contiguous
        True
        """
        self.check_like(prototype, dtype, shape)
        return self.build(np.empty_like, (prototype,), {"dtype": dtype, "order": order, "subok": subok, "shape": shape})

    def zeros_like(self, a, dtype=None, order="K", subok=True, shape=None):
        """Return zeros in pooled memory with the shape and dtype of `a`, as `numpy.zeros_like` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().zeros_like([1.5, 2.5])
        array([0., 0.])
        """
        array = self.empty_like(a, dtype, order, subok, shape)
        if type(array) is cnp.ndarray and owns_its_bytes(array):
            touch(array)
        else:                                    # a subclass may have made it in its own way
            np.copyto(array, np.zeros(1, array.dtype), casting="unsafe")
        return array

    def ones_like(self, a, dtype=None, order="K", subok=True, shape=None):
        """Return ones in pooled memory with the shape and dtype of `a`, as `numpy.ones_like` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().ones_like([[3, 4]])
        array([[1, 1]])
        """
        array = self.empty_like(a, dtype, order, subok, shape)
        np.copyto(array, 1, casting="unsafe")
        return array

    def full_like(self, a, fill_value, dtype=None, order="K", subok=True, shape=None):
        """Return an array in pooled memory, like `a` and filled with `fill_value`, as `numpy.full_like` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().full_like([1, 2], 9)
        array([9, 9])
        """
        array = self.empty_like(a, dtype, order, subok, shape)
        np.copyto(array, fill_value, casting="unsafe")
        return array

    def array(self, object, dtype=None, *, order="K", subok=False, ndmin=0):
        """Return a copy of `object` as an array in pooled memory, as ``numpy.array(..., copy=True)`` does.

        Examples
        --------
        >>> import bufpool
        >>> bufpool.BufferPool().array([[1, 2], [3, 4]], dtype="u1")
        array([[1, 2],
               [3, 4]], dtype=uint8)
        """
        return self.build(
            np.array, (object,), {"dtype": dtype, "copy": True, "order": order, "subok": subok, "ndmin": ndmin}
        )

    def ascontiguousarray(self, a, dtype=None):
        """Return `a` itself if it is C-contiguous and of that dtype, else a pooled copy, as `numpy.ascontiguousarray`.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> bufpool.BufferPool().ascontiguousarray(np.eye(3).T).flags.c_contiguous
        True
        """
        return self.build(np.ascontiguousarray, (a,), {"dtype": dtype})

    def asfortranarray(self, a, dtype=None):
        """Return `a` itself if it is Fortran-ordered and of that dtype, else a pooled copy, as `numpy.asfortranarray`.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> bufpool.BufferPool().asfortranarray(np.ones((2, 3))).flags.f_contiguous
        True
        """
        return self.build(np.asfortranarray, (a,), {"dtype": dtype})

    def owns(self, cnp.ndarray a not None):
        """Return whether the memory of `a`, an array or a view of one, comes from this pool.

        Parameters
        ----------
        a : numpy.ndarray
            Array of any shape and dtype.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> pool = bufpool.BufferPool()
        >>> pool.owns(pool.empty(9)[::2]), pool.owns(np.empty(9))
        (True, False)
        """
        return arena_owner((<ArrayFields*>a).data) == self.arena and self.owns_arena


cdef bint owns_its_bytes(cnp.ndarray array) noexcept:
    """Whether its elements are contiguous, in memory that the array owns."""
    cdef int flags = (<ArrayFields*>array).flags
    return flags & cnp.NPY_ARRAY_OWNDATA and flags & (cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_F_CONTIGUOUS)


def touch(cnp.ndarray array not None):
    """Write zeros over all of a new array, which has its bytes in one piece; using it then causes no page fault."""
    cdef ArrayFields* fields = <ArrayFields*>array
    cdef size_t nbytes = <size_t>array.nbytes
    with nogil:
        memset(fields.data, 0, nbytes)


# Where a detached array points. It has no elements, so nothing is read, but NumPy expects a pointer that is not null.
cdef double[8] nowhere


cdef bint detach(cnp.ndarray array, PyObject* handler) noexcept:
    """Release the block of an array that only names hold; the array becomes empty. False: it does not own a block."""
    cdef ArrayFields* fields = <ArrayFields*>array
    cdef int i
    cdef char* block = fields.data
    if (
        fields.nd == 0                                        # always has an element
        or not fields.flags & cnp.NPY_ARRAY_OWNDATA
        or fields.base != NULL
        or fields.weakreflist != NULL                         # another thread could get a reference meanwhile
        or fields.mem_handler != handler
    ):
        return False
    for i in range(fields.nd):
        fields.dimensions[i] = 0
    fields.data = <char*>nowhere
    fields.flags &= ~cnp.NPY_ARRAY_OWNDATA
    fields.mem_handler = NULL
    Py_DECREF(handler)
    untrack(block)
    arena_release(block)
    return True
