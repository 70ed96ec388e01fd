# How many plain local variables of the caller's Python function are a given object.
cdef Py_ssize_t names_in_caller(object wanted) except -1
