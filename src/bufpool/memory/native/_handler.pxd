# A pool that NumPy can allocate from (NEP 49).
from bufpool.memory.native._arena cimport PoolBase

cdef class AllocatorPool(PoolBase):
    # For PyDataMem_SetHandler; made once an arena and never freed, because arrays may outlive the pool.
    cdef object capsule
    # Whether an installation of this pool may be the one that raises malloc's thresholds.
    cdef public bint _tune_malloc
    # As install(). `by_block`: this thread will come to its end, and there say what was refused.
    cdef object enter(self, bint by_block)
    # At the end of what needed the pool installed.
    cdef object leave(self)

# Makes it NumPy's handler in this context, wholly or not at all; returns the one before.
cdef object put_handler(object handler)
# The same at the end of what needed another: tried twice.
cdef object put_back(object handler)
