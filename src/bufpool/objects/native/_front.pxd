# The faces of an object pool: for threads and for tasks.
from bufpool.objects.native._pool_state cimport PoolCore

cdef class PoolFront:
    cdef readonly PoolCore _core
    cdef object __weakref__

cdef class ThreadFront(PoolFront):
    pass

cdef class TaskFront(PoolFront):
    cdef readonly object _runtime     # how callbacks are called and tasks wait
