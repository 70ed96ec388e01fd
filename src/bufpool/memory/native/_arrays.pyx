"""Real ndarrays on pooled memory.

An array owns its block through the pool's NumPy handler (NEP 49) and not through a base object. So NumPy's reuse of
temporaries and ``resize`` keep working, views hold the array as they always do, and the block comes back when the last
of them is gone.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.type cimport PyType_Check

cimport numpy as cnp

import numpy as np

from libc.string cimport memset

from bufpool.memory.core.arena cimport Refusal
from bufpool._core.size_classes cimport kMaxBlock
from bufpool.memory.native._arena cimport arena_clear, arena_owner, arena_release
from bufpool.memory.native._handler cimport put_back, put_handler
from bufpool.memory.native._refused cimport Building, build_from, build_was_refused
from bufpool.memory.native._block_sizes cimport checked_alignment
from bufpool.memory.native._trace cimport track, untrack
from bufpool.memory.native._unique cimport anyones, sole_reference

from bufpool._words import amount
from bufpool.errors import ObjectDtypeError, SizeError

cdef extern from *:
    """
    #ifndef NPY_NEEDS_INIT
    #define NPY_NEEDS_INIT 0x08
    #endif
    #define BUFPOOL_HOLDS_REFERENCES(d) PyDataType_FLAGCHK(d, NPY_ITEM_REFCOUNT | NPY_NEEDS_INIT)
    static inline int bufpool_descr_converter(PyObject* object, PyObject** descr) {
        return PyArray_DescrConverter(object, (PyArray_Descr**)descr);
    }
    static inline PyObject* bufpool_new_from_descr(
        PyArray_Descr* descr, int nd, npy_intp* dims, void* data, int flags
    ) {
        Py_INCREF(descr);   // the call below takes it, also when it fails
        return PyArray_NewFromDescr(&PyArray_Type, descr, nd, dims, NULL, data, flags, NULL);
    }
    """
    bint BUFPOOL_HOLDS_REFERENCES(cnp.dtype)
    int bufpool_descr_converter(object, PyObject**) except 0   # a new reference
    object bufpool_new_from_descr(cnp.dtype descr, int nd, cnp.npy_intp* dims, void* data, int flags)

cdef extern from "numpy/arrayobject.h":
    int PyArray_IntpConverter(object, cnp.PyArray_Dims*) except 0
    int PyArray_OrderConverter(object, cnp.NPY_ORDER*) except 0
    void PyDimMem_FREE(cnp.npy_intp*)

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t PyNumber_AsSsize_t(object, object overflow) except? -1
    void Py_DECREF(PyObject*)

cnp.import_array()


# The dtypes of NumPy's numbers, by their types. NumPy's own search takes a tenth of a lease. Written at import only.
cdef tuple NUMBERS = tuple([np.dtype(each) for each in "dfBlLiIhHbFD?eqQ"])
cdef PyObject* number_types[16]
cdef PyObject* number_dtypes[16]
cdef Py_ssize_t each_number
for each_number in range(16):
    number_types[each_number] = <PyObject*>NUMBERS[each_number].type  # a static type
    number_dtypes[each_number] = <PyObject*>NUMBERS[each_number]


cdef cnp.dtype as_dtype(object dtype):
    """What NumPy makes of the argument; it raises NumPy's own errors."""
    cdef PyObject* converted = NULL
    cdef Py_ssize_t i
    if PyType_Check(dtype):
        for i in range(16):
            if number_types[i] == <PyObject*>dtype:
                return <cnp.dtype>number_dtypes[i]
    bufpool_descr_converter(dtype, &converted)
    cdef cnp.dtype descr = <cnp.dtype>converted
    Py_DECREF(converted)
    return descr


cdef tuple shape_of(int nd, cnp.npy_intp* dims):
    # Not a comprehension: Cython 3.3 drops an item twice when there is no memory to append it.
    cdef tuple shape = ()
    cdef int i
    for i in range(nd):
        shape += (dims[i],)
    return shape


# Not a method: methods of a class that others extend are called through its table.
cdef inline cnp.ndarray array_on(void* block, cnp.dtype descr, Request* request, object capsule):
    """An array that owns `block`; at a failure the block goes back."""
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


cdef inline cnp.ndarray given_away(cnp.ndarray array):
    """A new array for a user, whom nobody will ask who else has it; those of leases and scratches are asked about."""
    anyones(<PyObject*>array)
    return array


cdef class ArrayPool(AllocatorPool):
    """A pool that makes arrays. Use `bufpool.BufferPool`."""

    # --- the common path ---

    cdef cnp.dtype check(self, object shape, object dtype, object order, object alignment, Request* request):
        cdef cnp.dtype descr = as_dtype(dtype)
        cdef cnp.PyArray_Dims dims
        cdef cnp.NPY_ORDER parsed = cnp.NPY_CORDER
        cdef size_t size, extent
        cdef int i
        cdef bint empty = False, overflows = False

        if BUFPOOL_HOLDS_REFERENCES(descr):
            raise ObjectDtypeError(
                f"pool {self.name!r}: dtype {descr} holds references, and old bytes would be read as pointers; "
                "use NumPy's own constructor, which is safe inside 'with pool:' too"
            )
        if descr.itemsize == 0:
            descr = np.empty(0, descr).dtype                     # an unsized string gets one character
        if type(shape) is int:
            request.nd = 1
            try:
                request.dims[0] = PyNumber_AsSsize_t(shape, OverflowError)
            except OverflowError as error:
                raise SizeError(f"pool {self.name!r}: a dimension of {shape} does not fit in numpy.intp") from error
        else:
            dims.ptr = NULL
            dims.len = 0
            try:
                PyArray_IntpConverter(shape, &dims)
            except (ValueError, OverflowError) as error:
                raise SizeError(f"pool {self.name!r}: shape {shape!r}: {error}") from error
            if dims.len > 64:
                i = dims.len
                PyDimMem_FREE(dims.ptr)
                raise SizeError(f"pool {self.name!r}: an array has at most 64 dimensions, not {i}")
            request.nd = dims.len
            for i in range(dims.len):
                request.dims[i] = dims.ptr[i]
            PyDimMem_FREE(dims.ptr)
        if order is not None and order != "C":
            try:
                PyArray_OrderConverter(order, &parsed)
            except ValueError:
                parsed = cnp.NPY_ANYORDER
            if parsed != cnp.NPY_CORDER and parsed != cnp.NPY_FORTRANORDER:
                raise ValueError(f"pool {self.name!r}: order must be 'C' or 'F', not {order!r}")
        request.flags = cnp.NPY_ARRAY_FARRAY if parsed == cnp.NPY_FORTRANORDER else cnp.NPY_ARRAY_CARRAY

        size = descr.itemsize or 1                               # 'V0' and its like have elements of no bytes
        for i in range(request.nd):
            if request.dims[i] < 0:
                raise SizeError(
                    f"pool {self.name!r}: negative dimensions are not allowed: {shape_of(request.nd, request.dims)}"
                )
            extent = <size_t>request.dims[i]
            if extent == 0:
                empty = True
            elif size > <size_t>PY_SSIZE_T_MAX // extent:
                overflows = True
            else:
                size *= extent
        if overflows or (size > kMaxBlock and not empty):        # the first NumPy refuses too, even with an extent of 0
            raise SizeError(
                f"pool {self.name!r}: shape {shape_of(request.nd, request.dims)} of {descr} is larger than the largest "
                f"block ({amount(kMaxBlock)})"
            )
        request.nbytes = 1 if empty else size
        request.alignment = 0 if alignment is None else checked_alignment(alignment, self.name)
        return descr

    cdef cnp.ndarray make(self, cnp.dtype descr, Request* request, bint zeros):
        cdef bint zeroed = zeros
        cdef void* block = self.take(request.nbytes, request.alignment, &zeroed)
        cdef cnp.ndarray array = array_on(block, descr, request, self.capsule)
        if zeros and not zeroed:
            if request.nbytes < (1 << 20):
                memset(block, 0, request.nbytes)
            else:
                with nogil:
                    arena_clear(block, request.nbytes)
        return array

    cdef cnp.ndarray make_on(self, void* block, cnp.dtype descr, Request* request):
        return array_on(block, descr, request, self.capsule)

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
        cdef cnp.dtype descr = self.check(shape, dtype, order, alignment, &request)
        return given_away(self.make(descr, &request, False))

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
        cdef cnp.dtype descr = self.check(shape, dtype, order, alignment, &request)
        return given_away(self.make(descr, &request, True))

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
        cdef cnp.dtype descr = self.check(shape, dtype, order, alignment, &request)
        cdef cnp.ndarray array = given_away(self.make(descr, &request, False))
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

    # --- those that NumPy itself builds, allocating from the pool ---

    cdef object build(self, object function, tuple args, dict kwargs):
        """Call a constructor of NumPy's with the pool as its allocator, under the pool's own rules at the limit."""
        if self.arena.closed.load_relaxed():
            raise self.refusal(0, Refusal.closed, None)
        # What runs no code of its users' needs no entry in the context, which would take as long as all the rest.
        dtype, shape = kwargs["dtype"], kwargs.get("shape")
        cdef bint quiet = (
            type(args[0]) is cnp.ndarray
            and not BUFPOOL_HOLDS_REFERENCES(args[0].dtype)
            and (dtype is None or isinstance(dtype, np.dtype))
            and shape is None
        )
        cdef bint zeroed = False
        cdef int tries = 3                       # NumPy may need two blocks at once, of which only one fits
        cdef Building building
        cdef Building outer
        building.arena = self.arena
        building.block = NULL
        building.refused = 0
        while True:
            try:
                before = put_handler(self.capsule) if quiet else self.install()
            except BaseException:                # closed meanwhile, or no memory for the change
                if building.block != NULL:
                    arena_release(building.block)
                raise
            outer = build_from(building)
            try:
                array = function(*args, **kwargs)
                break
            except MemoryError as error:
                nbytes = getattr(error, "_total_size", None)     # as NumPy's own carries it
                if nbytes is None or not build_was_refused(nbytes):   # of the caller's code, or of another pool
                    raise
            finally:
                building = build_from(outer)
                if building.block != NULL:       # NumPy did without it
                    arena_release(building.block)
                    building.block = NULL
                if quiet:
                    put_back(before)
                else:
                    self.leave()
            # NumPy's hook can neither be interrupted nor say why. This can, and keeps the block for NumPy's next try.
            tries -= 1
            if tries == 0:
                self.arena.counters.refused.add_relaxed(1)
                raise self.refusal(nbytes, Refusal.limit, None)
            building.block = self.take(nbytes, 0, &zeroed)
        if BUFPOOL_HOLDS_REFERENCES(array.dtype):
            raise ObjectDtypeError(
                f"pool {self.name!r}: dtype {array.dtype} holds references; use NumPy's own constructor"
            )
        if sole_reference(<PyObject*>array):     # a new one, and not the argument itself
            anyones(<PyObject*>array)
        return array

    cdef object check_like(self, object prototype, object dtype, object shape):
        """A bad `shape` gets our own error, which names the pool."""
        cdef Request request
        if shape is not None:
            self.check(shape, np.asanyarray(prototype).dtype if dtype is None else dtype, "C", None, &request)

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
    """Whether they lie in one piece of memory, which is the array's own."""
    cdef int flags = (<ArrayFields*>array).flags
    return flags & cnp.NPY_ARRAY_OWNDATA and flags & (cnp.NPY_ARRAY_C_CONTIGUOUS | cnp.NPY_ARRAY_F_CONTIGUOUS)


def touch(cnp.ndarray array not None):
    """Write zeros over all of a new array, which has its bytes in one piece; using it then causes no page fault."""
    cdef ArrayFields* fields = <ArrayFields*>array
    cdef size_t nbytes = <size_t>array.nbytes
    with nogil:
        memset(fields.data, 0, nbytes)


# Where a detached array points: never read, because it has no elements, but never null either.
cdef double[8] nowhere


cdef bint detach(cnp.ndarray array, PyObject* handler) noexcept:
    """Take the block from an array that only names hold: it becomes empty. False: it has none to give."""
    cdef ArrayFields* fields = <ArrayFields*>array
    cdef int i
    cdef char* block = fields.data
    if (
        fields.nd == 0                                        # always has an element
        or not fields.flags & cnp.NPY_ARRAY_OWNDATA
        or fields.base != NULL
        or fields.weakreflist != NULL                         # another thread could take hold of it meanwhile
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
