from bufpool.memory.native._shelf cimport Shelf

cdef class Scratch:
    cdef Shelf shelf               # has the arrays
    cdef object enter              # the shelf's bound methods, made once: see Turn
    cdef object leave
    cdef object __weakref__

    cdef object keep(self, Shelf shelf)
