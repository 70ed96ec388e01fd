# Without the GIL: CPython stops counting the references to a pool that several threads call at full speed, because the
# threads would contend for the count. With the GIL none of this does anything.
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #ifndef BUFPOOL_SHARING
    #define BUFPOOL_SHARING
    // The thread that called a pool last, and how often that changed. Threads may lose each other's changes: the number
    // is an estimate.
    typedef struct {
        uintptr_t thread;
        uint32_t changes;
        uint32_t uncounted;        // the references are no longer counted, and nothing here is written any more
        uint64_t since_ns;         // when `changes` was 0
    } BufpoolCallers;

    #define BUFPOOL_CHANGES 256

    // Called at each call of the pool. Return whether the calling thread has changed another 256 times.
    static inline int bufpool_changed_often(BufpoolCallers* callers) {
    #if defined(Py_GIL_DISABLED)
        if (_Py_atomic_load_uint32_relaxed(&callers->uncounted)) return 0;
        const uintptr_t thread = _Py_ThreadId();
        if (_Py_atomic_load_uintptr_relaxed(&callers->thread) == thread) return 0;
        _Py_atomic_store_uintptr_relaxed(&callers->thread, thread);
        const uint32_t changes = _Py_atomic_load_uint32_relaxed(&callers->changes) + 1;
        _Py_atomic_store_uint32_relaxed(&callers->changes, changes % BUFPOOL_CHANGES);
        return changes == BUFPOOL_CHANGES;
    #else
        (void)callers;
        return 0;
    #endif
    }
    #endif
    """
    ctypedef struct Callers "BufpoolCallers":
        unsigned int uncounted
    bint changed_often "bufpool_changed_often"(Callers* callers) noexcept nogil

# Called after that: if the 256 changes took less than five milliseconds, stop counting the pool's references.
cdef object look_at_callers(object pool, Callers* callers, uint64_t now_ns)
