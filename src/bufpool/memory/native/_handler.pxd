# A pool that NumPy can allocate from (NEP 49).
from bufpool.memory.native._arena cimport PoolBase

cdef class AllocatorPool(PoolBase):
    # For PyDataMem_SetHandler. Made once for each arena and never freed, because arrays may outlive the pool.
    cdef object capsule
    # Whether an installation of this pool may be the one that raises malloc's thresholds.
    cdef public bint _tune_malloc
    # As install(). `by_block`: a `with` block of this thread will uninstall the pool, and report what was refused.
    cdef object enter(self, bint by_block)
    # Uninstalls the pool at the end of a block.
    cdef object leave(self)

# Makes it NumPy's handler in this context and returns the one before. If it raises, nothing is changed.
cdef object set_handler(object handler)
# Makes an earlier handler NumPy's again; tries twice.
cdef object restore_handler(object handler)
