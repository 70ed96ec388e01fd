# How many variables of the code that called us are the given object; 0 where that proves nothing. `made_in`: the frame
# in which the object was made, from `frame_of_caller`, or None if that is not known.
cdef Py_ssize_t names_in_caller(object wanted, object made_in) except -1
# The frame of the code that called us, where `names_in_caller` has use for it (Python 3.14 and later); else None.
cdef object frame_of_caller()
