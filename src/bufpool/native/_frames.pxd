# How many variables of the code that called us are the given object; 0 where that proves nothing.
cdef Py_ssize_t names_in_caller(object wanted) except -1
