# The faces of an object pool: for threads and for tasks.
from bufpool.native._pool_core cimport PoolCore, Turn

cdef class PoolFront:
    cdef readonly PoolCore _core
    cdef object __weakref__

cdef class ThreadFront(PoolFront):
    pass

cdef class TaskFront(PoolFront):
    cdef readonly object _port     # how callbacks are called and tasks wait

cdef class PoolLease(Turn):
    pass

cdef class AsyncPoolLease(Turn):
    cdef object port
