# A pool for tasks of asyncio, and its leases.
from bufpool.objects.native._checkout cimport Checkout
from bufpool.objects.native._lease cimport PoolFront

cdef class TaskFront(PoolFront):
    cdef readonly object _runtime  # how callbacks are called and tasks wait

cdef class AsyncPoolLease(Checkout):
    cdef object runtime
