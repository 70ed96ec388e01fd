"""Pools that several threads of a free-threaded Python call at full speed.

``pool.empty(...)`` takes a reference to `pool` and drops it again. Threads that do so at once contend for the reference
count. Two threads then did less work than one (measured). So CPython no longer counts the references to such a pool:

- From Python 3.14 on the references are *deferred*, as those of functions and modules are. The garbage collector then
  frees the pool; the end of its last reference does not.
- Python 3.13 has no deferred references. It makes functions and modules *immortal* once there is a second thread, and
  this module makes the pool immortal: the object stays until the process ends. Its idle memory does not stay: when
  nothing refers to the pool any more, the next run of the garbage collector gives that memory back.

A pool whose caller changes less than 256 times within five milliseconds stays counted, and is freed with its last
reference.
"""

import gc
import time

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #if defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x030E0000
    #define BUFPOOL_IMMORTAL 1
    // The collector calls this while all other threads stand still. That is needed: another thread could otherwise be
    // between a read and a write of the count.
    static int bufpool_make_immortal(PyObject*, void* pool) {
        PyObject* object = (PyObject*)pool;
        // The count may wait for its owner thread to merge it. The merge would write a count again: try later.
        if ((object->ob_ref_shared & _Py_REF_SHARED_FLAG_MASK) != _Py_REF_QUEUED) {
            object->ob_tid = _Py_UNOWNED_TID;
            object->ob_ref_local = _Py_IMMORTAL_REFCNT_LOCAL;
            object->ob_ref_shared = 0;
        }
        return 0;                                                // no further object
    }
    #else
    #define BUFPOOL_IMMORTAL 0
    #endif

    // Whether references to the pool are counted no longer.
    static int bufpool_stop_counting(PyObject* pool) {
    #if BUFPOOL_IMMORTAL
        PyUnstable_GC_VisitObjects(bufpool_make_immortal, pool);
        return _Py_atomic_load_uint32_relaxed(&pool->ob_ref_local) == _Py_IMMORTAL_REFCNT_LOCAL;
    #elif defined(Py_GIL_DISABLED)
        return PyUnstable_Object_EnableDeferredRefcount(pool);
    #else
        (void)pool;
        return 0;
    #endif
    }

    // Return since when the callers were counted, and begin to count anew.
    static uint64_t bufpool_since(BufpoolCallers* callers, uint64_t now_ns) {
    #if defined(Py_GIL_DISABLED)
        return _Py_atomic_exchange_uint64(&callers->since_ns, now_ns);
    #else
        (void)callers;
        return now_ns;
    #endif
    }

    // Whether this thread is the one to stop the counting.
    static int bufpool_claim(BufpoolCallers* callers) {
    #if defined(Py_GIL_DISABLED)
        return _Py_atomic_exchange_uint32(&callers->uncounted, 1) == 0;
    #else
        (void)callers;
        return 0;
    #endif
    }

    static void bufpool_disclaim(BufpoolCallers* callers) {
    #if defined(Py_GIL_DISABLED)
        _Py_atomic_store_uint32_relaxed(&callers->uncounted, 0);
    #else
        (void)callers;
    #endif
    }
    """
    bint IMMORTAL "BUFPOOL_IMMORTAL"
    bint stop_counting "bufpool_stop_counting"(object pool)
    uint64_t since "bufpool_since"(Callers* callers, uint64_t now_ns) noexcept
    bint claim "bufpool_claim"(Callers* callers) noexcept
    void disclaim "bufpool_disclaim"(Callers* callers) noexcept

# Fifty changes a millisecond. With fewer changes the contention costs some hundredths of the time.
cdef uint64_t WITHIN_NS = 5_000_000


cdef object look_at_callers(object pool, Callers* callers, uint64_t now_ns):
    if now_ns - since(callers, now_ns) >= WITHIN_NS or not claim(callers):
        return
    if not stop_counting(pool):
        disclaim(callers)
    elif IMMORTAL:
        if not immortal:
            gc.callbacks.append(give_back_memory)
        immortal.append(pool)


# --- the memory of immortal pools that nothing refers to ---

cdef list immortal = []
cdef double next_look = 0.0

# A look searches all objects, as a collection does. After collections that the collector starts by itself, there is a
# look at most once a second, and all looks together take at most a hundredth of the time.
cdef double PAUSE = 1.0, SHARE = 0.01


def give_back_memory(phase, info):
    """Give idle memory of pools that no container refers to back to the system. The garbage collector calls this.

    A pool that only local names of running functions hold looks like one of those. It loses its idle memory and goes on
    working.
    """
    global next_look
    cdef double started = time.monotonic()
    if phase != "stop" or (started < next_look and info["generation"] < 2):
        return
    for pool in immortal:
        state = pool._read()
        if state["reserved_bytes"] > state["in_use_bytes"]:
            if all([each is immortal for each in gc.get_referrers(pool)]):
                pool.trim()
    cdef double now = time.monotonic()
    next_look = now + max(PAUSE, (now - started) / SHARE)
