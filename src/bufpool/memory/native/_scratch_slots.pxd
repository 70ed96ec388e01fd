cimport numpy as cnp
from cpython.object cimport PyObject

from bufpool.memory.native._array_request cimport Request
from bufpool.memory.native._arrays cimport ArrayPool

cdef class ScratchSlots:
    cdef ArrayPool pool            # None: never set up, refuses everything
    cdef cnp.dtype descr
    cdef Request request
    # What an array must look like to be reused:
    cdef int flags
    cdef size_t misaligned         # bits that are not set in its address
    cdef cnp.npy_intp[128] layout  # shape, then strides
    # Arrays, each with a reference: the idle ones, the one used last on top; then those checked out, the newest first,
    # tagged if a `with` block has them.
    cdef PyObject** slots
    cdef Py_ssize_t idle           # number of idle arrays
    cdef Py_ssize_t count          # number of all arrays
    cdef Py_ssize_t capacity       # length of `slots`
    cdef Py_ssize_t blocks         # `with` blocks that are open

    cdef object acquire(self)
    cdef object release(self, object array)
    cdef cnp.ndarray acquire_slow(self)
    cdef cnp.ndarray enter_slow(self)
    cdef void move_to_newest(self, Py_ssize_t slot) noexcept
    cdef cnp.ndarray make(self)
    cdef object detach_stale(self)
    cdef object release_out_of_order(self, object array)
    cdef bint is_reusable(self, PyObject* array) noexcept
    cdef void discard(self, Py_ssize_t slot) noexcept

# Slots for arrays as `ArrayPool.empty` would make them; all are empty.
cdef ScratchSlots make_scratch_slots(ArrayPool pool, object shape, object dtype, object order, object alignment)
