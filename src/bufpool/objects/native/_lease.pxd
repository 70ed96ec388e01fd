# A pool for threads, and its leases.
from bufpool.objects.native._checkout cimport Checkout
from bufpool.objects.native._pool_state cimport PoolCore

cdef class PoolFront:
    cdef readonly PoolCore _core
    cdef object __weakref__

cdef class ThreadFront(PoolFront):
    pass

cdef class PoolLease(Checkout):
    pass

cdef bint acquire_idle(Checkout checkout) except -1
cdef bint has_object(Checkout checkout) noexcept
cdef object object_of(Checkout checkout)
cdef str describe(Checkout checkout, str kind)
cdef object enter(Checkout checkout)
cdef void not_entered(Checkout checkout) noexcept
cdef bint take_back_early(Checkout checkout) except -1
cdef object report_dropped(Checkout checkout, item)
