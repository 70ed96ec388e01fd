cimport numpy as cnp

from bufpool.native._arrays cimport ArrayPool, Request

cdef class Lease:
    cdef readonly ArrayPool pool   # held, so that its limit and name outlive the lease
    cdef cnp.dtype descr
    cdef Request request
    cdef cnp.ndarray array         # while entered
    cdef object frame              # in which it was entered, while it is
    cdef int state
