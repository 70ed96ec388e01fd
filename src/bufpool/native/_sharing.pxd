# Without the GIL: a pool that several threads call at full speed is no longer counted, because they would fight over
# its count of references. With the GIL none of this does anything.
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #ifndef BUFPOOL_SHARING
    #define BUFPOOL_SHARING
    // Who called a pool last, and how often that changed. Threads may lose each other's changes: it is an estimate.
    typedef struct {
        uintptr_t thread;
        uint32_t changes;
        uint32_t uncounted;        // from then on nobody writes here
        uint64_t since_ns;         // when `changes` was 0
    } BufpoolCallers;

    #define BUFPOOL_CHANGES 256

    // To be asked at each call. Whether the caller was another one than before another 256 times.
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

# What follows if it was: when that took less than five milliseconds, the pool is no longer counted.
cdef object look_at_callers(object pool, Callers* callers, uint64_t now_ns)
