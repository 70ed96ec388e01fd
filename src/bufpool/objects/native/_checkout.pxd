# A claim as the lifecycle of objects sees it.
from bufpool.objects.core.object_pool cimport ObjectNode, ObjectPool
from bufpool.objects.native._pool_state cimport Claim, Stage

cdef class Turn:
    cdef Claim claim

    cdef int need(self, Stage stage) except -1
    cdef ObjectNode* node(self) except? NULL
    cdef ObjectPool* begin_life(self) except NULL
    cdef str put_somewhere(self, bint unused)

cdef Turn turn_of(Claim claim)
cdef Turn moved(Claim claim)
