# Leases of objects, for threads and for tasks.
from bufpool.objects.native._pool_state cimport Claim

cdef class PoolLease(Claim):
    pass

cdef class AsyncPoolLease(Claim):
    cdef object runtime

# An idle object in hand, if nothing stands against it; false: ask the lifecycle.
cdef bint quick(Claim claim) except -1
