# A pool that NumPy can allocate from (NEP 49).
from bufpool.native._arena cimport PoolBase

cdef class AllocatorPool(PoolBase):
    # For PyDataMem_SetHandler; made once an arena and never freed, because arrays may outlive the pool.
    cdef object capsule
    # At the end of what needed the pool installed.
    cdef object leave(self)
