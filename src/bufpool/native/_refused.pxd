# What NumPy's allocator was refused, in this thread.
from bufpool.native._arena cimport PoolBase

cdef void forget_refusals() noexcept
cdef object last_refused(PoolBase pool)               # the error that says it; None: nothing by this pool
cdef object add_note(PoolBase pool, object error)     # if the error is NumPy's for it, the reason is added, once
