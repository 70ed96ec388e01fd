cimport numpy as cnp
from cpython.object cimport PyObject

from bufpool.memory.native._arrays cimport ArrayPool, Request

cdef class Shelf:
    cdef ArrayPool pool            # None: never set up, and refuses everything
    cdef cnp.dtype descr
    cdef Request request
    # An untouched array's:
    cdef int flags
    cdef size_t misaligned         # bits that its address must not have
    cdef cnp.npy_intp[128] layout  # shape, then strides
    # Arrays, each owned: idle ones, the one used last on top; then those out, the newest first, tagged if entered.
    cdef PyObject** slots
    cdef Py_ssize_t idle           # how many are idle
    cdef Py_ssize_t count          # how many there are
    cdef Py_ssize_t room           # length of `slots`
    cdef Py_ssize_t blocks         # `with` blocks that are open

    cdef object take(self)
    cdef object give_back(self, object array)
    cdef cnp.ndarray take_other(self)
    cdef cnp.ndarray enter_other(self)
    cdef void bring(self, Py_ssize_t slot) noexcept
    cdef cnp.ndarray make(self)
    cdef object detach_stale(self)
    cdef object give_back_other(self, object array)
    cdef bint pristine(self, PyObject* array) noexcept
    cdef void drop(self, Py_ssize_t slot) noexcept

# A shelf for arrays as `ArrayPool.empty` would make them; none is made yet.
cdef Shelf make_shelf(ArrayPool pool, object shape, object dtype, object order, object alignment)
