# What a caller wants an array to be, checked.
cimport numpy as cnp

from bufpool.memory.native._arena cimport PoolBase

cdef extern from *:
    """
    #ifndef NPY_NEEDS_INIT
    #define NPY_NEEDS_INIT 0x08
    #endif
    #define BUFPOOL_HOLDS_REFERENCES(d) PyDataType_FLAGCHK(d, NPY_ITEM_REFCOUNT | NPY_NEEDS_INIT)
    """
    bint holds_references "BUFPOOL_HOLDS_REFERENCES"(cnp.dtype)

cdef struct Request:
    int nd
    cnp.npy_intp dims[64]            # NPY_MAXDIMS of NumPy 2
    int flags                        # C or Fortran order
    size_t nbytes
    size_t alignment

# Fills `request` and returns the dtype. Raises NumPy's own errors for what NumPy refuses too, and ours with the pool's
# name. It gets the pool and not its name, because a reference to the name would be counted.
cdef cnp.dtype check_request(
    PoolBase pool, object shape, object dtype, object order, object alignment, Request* request
)
# The shape as NumPy shows it.
cdef tuple shape_of(int nd, cnp.npy_intp* dims)
