# A claim as the lifecycle of objects sees it.
from bufpool.native._pool_core cimport Claim

cdef class Turn:
    cdef Claim claim
    cdef public bint refused       # the pool itself had nothing for it

    cdef str put_somewhere(self, bint unused)

cdef Turn turn_of(Claim claim)
cdef Turn moved(Claim claim)
