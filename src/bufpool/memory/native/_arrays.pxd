# Arrays that own pooled memory, and the fields of an array that NumPy's accessors do not reach.
cimport numpy as cnp
from cpython.object cimport PyObject

from bufpool.memory.native._handler cimport AllocatorPool

cdef extern from "numpy/arrayobject.h":
    ctypedef struct ArrayFields "PyArrayObject_fields":
        char* data
        int nd
        cnp.npy_intp* dimensions
        cnp.npy_intp* strides        # directly behind the dimensions
        PyObject* base               # whose memory it is, if not its own
        void* descr
        int flags
        PyObject* weakreflist
        PyObject* mem_handler        # whose free() gets `data`; owned

# What empty() and its kin were asked for, checked.
cdef struct Request:
    int nd
    cnp.npy_intp dims[64]            # NPY_MAXDIMS of NumPy 2
    int flags                        # C or Fortran order
    size_t nbytes
    size_t alignment

cdef class ArrayPool(AllocatorPool):
    # Fills `request`; returns the dtype. Raises NumPy's own errors for what NumPy refuses too.
    cdef cnp.dtype check(self, object shape, object dtype, object order, object alignment, Request* request)
    # A new array on a new block.
    cdef cnp.ndarray make(self, cnp.dtype descr, Request* request, bint zeros)
    # The same on a block of this pool's, which the array owns from then on; at a failure it goes back.
    cdef cnp.ndarray make_on(self, void* block, cnp.dtype descr, Request* request)
    # Calls a constructor of NumPy's with this pool as its allocator.
    cdef object check_like(self, object prototype, object dtype, object shape)
    cdef object build(self, object function, tuple args, dict kwargs)

# As NumPy shows it.
cdef tuple shape_of(int nd, cnp.npy_intp* dims)
# Takes the block from an array that only names hold: it becomes empty. False: it has none to give.
cdef bint detach(cnp.ndarray array, PyObject* handler) noexcept
