# Makes each call of these methods of a compiled class hold one reference to the object. To be called at import, before
# the class is used.
cdef int bind_calls(object cls, tuple names) except -1
