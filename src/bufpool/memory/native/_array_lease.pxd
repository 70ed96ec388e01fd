cimport numpy as cnp

from bufpool.memory.native._array_request cimport Request
from bufpool.memory.native._arrays cimport ArrayPool

cdef class Lease:
    cdef readonly ArrayPool pool   # held, so that its limit and name outlive the lease
    cdef cnp.dtype descr
    # The fields of a `Request`. That one has room for 64 dimensions, which would have to be cleared for each lease.
    cdef int nd
    cdef int flags
    cdef size_t nbytes
    cdef size_t alignment
    cdef cnp.npy_intp[4] dims
    cdef bytes more                # all dimensions, if there are more than four; else None
    cdef cnp.ndarray array         # while entered
    cdef object frame              # in which it was entered; None before and after
    cdef int state

    cdef object store(self, Request* request)
    cdef cnp.npy_intp* extents(self) noexcept
    cdef cnp.ndarray make(self)
    cdef object used(self)
