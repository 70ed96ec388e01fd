from libc.stdint cimport uint64_t

from bufpool.memory.core.arena cimport Arena


cdef class Buffer:
    cdef Arena* arena              # of its pool; null in a buffer that was never set up
    cdef uint64_t serial           # of its pool: another one may have the arena after the release
    cdef void* block               # null once released
    cdef readonly size_t nbytes    # as requested
    cdef Py_ssize_t exports        # memoryviews and other exports of the buffer protocol
    cdef bint ended                # released; the block may stay until this object is gone
    cdef bint was_exported         # once or more: somebody may have kept a reference
    cdef object __weakref__

    cdef object _check_live(self)
    cdef object release_block(self)
