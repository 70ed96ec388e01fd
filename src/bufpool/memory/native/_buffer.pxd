cdef class Buffer:
    cdef str name                  # the pool's, for messages
    cdef void* block               # null once released
    cdef readonly size_t nbytes    # asked for; what the outside sees
    cdef Py_ssize_t exports        # memoryviews and others that look in
    cdef bint ended                # released; the block may stay until we are gone
    cdef bint shown                # was ever exported: somebody may have kept a look
    cdef object __weakref__

    cdef object alive(self)
    cdef object give_back(self)
