# Arrays that own pooled memory, and the fields of an array for which NumPy has no accessors.
cimport numpy as cnp
from cpython.object cimport PyObject

from bufpool.memory.native._array_request cimport Request
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

cdef class ArrayPool(AllocatorPool):
    # A new array on `block`, which it owns from then on; if it raises, the block is released. NULL: on a new block.
    cdef cnp.ndarray make(self, cnp.dtype descr, Request* request, bint zeros, void* block)
    cdef object check_like(self, object prototype, object dtype, object shape)
    # Calls a constructor of NumPy's with this pool as its allocator.
    cdef object build(self, object function, tuple args, dict kwargs)

# Releases the block of an array that only names hold; the array becomes empty. False: it does not own a block.
cdef bint detach(cnp.ndarray array, PyObject* handler) noexcept
