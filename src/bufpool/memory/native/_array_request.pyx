"""What a caller wants an array to be: shape, dtype, order and alignment, checked as NumPy checks them."""

from cpython.object cimport PyObject
from cpython.type cimport PyType_Check

cimport numpy as cnp

import numpy as np

from bufpool._core.size_classes cimport kMaxBlock
from bufpool.memory.native._arena cimport PoolBase
from bufpool.memory.native._block_sizes cimport checked_alignment

from bufpool._words import amount
from bufpool.errors import ObjectDtypeError, SizeError

cdef extern from *:
    """
    static inline int bufpool_descr_converter(PyObject* object, PyObject** descr) {
        return PyArray_DescrConverter(object, (PyArray_Descr**)descr);
    }
    """
    int bufpool_descr_converter(object, PyObject**) except 0   # a new reference

cdef extern from "numpy/arrayobject.h":
    int PyArray_IntpConverter(object, cnp.PyArray_Dims*) except 0
    int PyArray_OrderConverter(object, cnp.NPY_ORDER*) except 0
    void PyDimMem_FREE(cnp.npy_intp*)

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t PyNumber_AsSsize_t(object, object overflow) except? -1
    void Py_DECREF(PyObject*)

cnp.import_array()


# The dtypes of NumPy's numbers, by their types: NumPy's own search takes a tenth of a lease. Written only at import.
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


cdef cnp.dtype check_request(
    PoolBase pool, object shape, object dtype, object order, object alignment, Request* request
):
    cdef cnp.dtype descr = as_dtype(dtype)
    if holds_references(descr):
        raise ObjectDtypeError(
            f"pool {pool.name!r}: dtype {descr} holds references, and old bytes would be read as pointers; "
            "use NumPy's own constructor, which is safe inside 'with pool:' too"
        )
    if descr.itemsize == 0:
        descr = np.empty(0, descr).dtype                         # an unsized string gets one character
    if type(shape) is int:
        request.nd = 1
        try:
            request.dims[0] = PyNumber_AsSsize_t(shape, OverflowError)
        except OverflowError as error:
            raise SizeError(f"pool {pool.name!r}: a dimension of {shape} does not fit in numpy.intp") from error
    else:
        parse_shape(pool, shape, request)
    request.flags = cnp.NPY_ARRAY_CARRAY
    if order is not None and order != "C" and parsed_order(pool, order) == cnp.NPY_FORTRANORDER:
        request.flags = cnp.NPY_ARRAY_FARRAY
    request.nbytes = checked_bytes(pool, descr, request)
    request.alignment = 0 if alignment is None else checked_alignment(alignment, pool.name)
    return descr


cdef int parse_shape(PoolBase pool, object shape, Request* request) except -1:
    """Fill in the dimensions. Raises NumPy's `TypeError` for what is no shape."""
    cdef cnp.PyArray_Dims dims
    cdef int i
    dims.ptr = NULL
    dims.len = 0
    try:
        PyArray_IntpConverter(shape, &dims)
    except (ValueError, OverflowError) as error:
        raise SizeError(f"pool {pool.name!r}: shape {shape!r}: {error}") from error
    if dims.len > 64:
        i = dims.len
        PyDimMem_FREE(dims.ptr)
        raise SizeError(f"pool {pool.name!r}: an array has at most 64 dimensions, not {i}")
    request.nd = dims.len
    for i in range(dims.len):
        request.dims[i] = dims.ptr[i]
    PyDimMem_FREE(dims.ptr)
    return 0


cdef cnp.NPY_ORDER parsed_order(PoolBase pool, object order) except? cnp.NPY_ANYORDER:
    """C or Fortran order."""
    cdef cnp.NPY_ORDER parsed = cnp.NPY_CORDER
    try:
        PyArray_OrderConverter(order, &parsed)
    except ValueError:
        parsed = cnp.NPY_ANYORDER
    if parsed != cnp.NPY_CORDER and parsed != cnp.NPY_FORTRANORDER:
        raise ValueError(f"pool {pool.name!r}: order must be 'C' or 'F', not {order!r}")
    return parsed


cdef size_t checked_bytes(PoolBase pool, cnp.dtype descr, Request* request) except 0:
    """The bytes of all elements, at least one."""
    cdef size_t size = descr.itemsize or 1                       # 'V0' and its like have elements of no bytes
    cdef size_t extent
    cdef int i
    cdef bint empty = False, overflows = False
    for i in range(request.nd):
        if request.dims[i] < 0:
            raise SizeError(
                f"pool {pool.name!r}: negative dimensions are not allowed: {shape_of(request.nd, request.dims)}"
            )
        extent = <size_t>request.dims[i]
        if extent == 0:
            empty = True
        elif size > <size_t>PY_SSIZE_T_MAX // extent:
            overflows = True
        else:
            size *= extent
    if overflows or (size > kMaxBlock and not empty):            # the first NumPy refuses too, even with an extent of 0
        raise SizeError(
            f"pool {pool.name!r}: shape {shape_of(request.nd, request.dims)} of {descr} is larger than the largest "
            f"block ({amount(kMaxBlock)})"
        )
    return 1 if empty else size
