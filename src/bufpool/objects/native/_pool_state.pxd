# The state of an object pool as Python code holds it.
from libc.stdint cimport uint32_t, uint64_t

cimport cython

from bufpool.objects.core.object_pool cimport ObjectNode, ObjectPool, ReleaseResult, Word

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030D0000
    #define bufpool_is_finalizing Py_IsFinalizing
    #else
    #define bufpool_is_finalizing _Py_IsFinalizing
    #endif
    """
    # The interpreter's end kills daemon threads, with whatever they have locked. From then on a callback of the
    # user's, a log record or an import could wait for ever; and Python's modules lose their names.
    bint is_finalizing "bufpool_is_finalizing"() noexcept

# Forks between the import of this module and this process. It changes only in a fork itself, before any other code runs
# in the child, and so needs no memory order.
cdef uint32_t fork_count

# Wakes a checkout that has left the queue. `_checkout` sets it, so that this module need not know that one.
ctypedef object (*Wake)(object checkout)
cdef void set_wake(Wake wake) noexcept


@cython.final
cdef class PoolCore:
    cdef ObjectPool* pool          # never null; for code that holds something of it. All other code calls `state`
    cdef dict owned                # number of an object: the object
    cdef tuple parent_objects      # what a fork's child must keep, and not use: objects of the parent
    cdef Word fork_count           # at the beginning of `pool`
    cdef uint32_t max_waiting
    cdef bint fair
    cdef bint lifo
    # Number of an object in use: the stack of its checkout, if that was sampled. Not declared as a dict: Cython's own
    # `get` would borrow the stack, and without the GIL another thread may free it.
    cdef object traces
    cdef readonly str name
    cdef readonly object engine    # the slow paths, in Python
    cdef bint debug                # every checkout is traced
    cdef bint keeps_times          # times of use are needed: objects age, or are checked
    cdef bint has_lifetime
    cdef uint64_t max_idle         # ns; 0: no bound
    cdef bint acts_out             # something may have to be done on checkout
    cdef bint prepares_out         # a callback prepares each object on checkout
    cdef bint checks_out           # objects are checked on checkout, ...
    cdef uint64_t check_after      # ... after so many ns idle, ...
    cdef uint64_t distrusted       # ... or if they have been idle since before then (coarse ns)
    cdef bint handles_returns      # objects are reset or checked on return
    cdef uint32_t max_uses         # 0: no bound
    cdef uint32_t drain_count
    cdef object __weakref__

    cdef bint is_due_out(self, ObjectNode* node) noexcept
    cdef bint needs_check(self, ObjectNode* node, uint64_t now) noexcept
    cdef bint is_stale(self, ObjectNode* node, uint64_t now) noexcept
    cdef bint is_due_in(self, ObjectNode* node) noexcept
    cdef bint is_over(self, ObjectNode* node) noexcept
    cdef ReleaseResult release(self, uint32_t* index) noexcept     # surplus, closed: perhaps of another object
    cdef object trace(self, uint32_t index)
    cdef object untrace(self, uint32_t index)
    cdef object wake_waiters(self)
    cdef int begin(self, uint32_t max_size) except -1
    cdef ObjectPool* begin_in_child(self) except NULL

    cdef inline ObjectPool* state(self) except NULL:
        """Return the state of this process: in the child of a fork, a new one."""
        return self.pool if self.fork_count.load_acquire() == fork_count else self.begin_in_child()

    cdef bint is_from_parent(self, object item) except -1
    cdef uint32_t take_back(self, object item, bint leased) except? 0xFFFFFFFF
