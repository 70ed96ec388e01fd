# A claim as the lifecycle of objects sees it.
from bufpool.native._pool_core cimport Claim

cdef class Turn:
    cdef Claim claim

cdef Turn turn_of(Claim claim)
cdef Turn moved(Claim claim)
