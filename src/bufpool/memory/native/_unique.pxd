# Reference counts: whether anybody else can reach an object, on which the rule "a stale name never aliases" is built;
# objects that any thread may free at once; immortal objects.
from cpython.object cimport PyObject

cdef extern from *:
    """
    // Whether there are exactly `count` references, all of them known to the caller. Without the GIL that is proven
    // only of an object that this thread made and no other thread ever reached for: a weak reference, or a read of a
    // list without its lock, may add a reference at any moment, but it leaves a mark in the shared part of the count.
    static inline int bufpool_references_are(PyObject* object, Py_ssize_t count) {
    #if defined(Py_GIL_DISABLED)
        return _Py_IsOwnedByCurrentThread(object)
            && (Py_ssize_t)_Py_atomic_load_uint32_relaxed(&object->ob_ref_local) == count
            && _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared) == 0;
    #else
        return Py_REFCNT(object) == count;
    #endif
    }

    // Whether the one reference that the caller holds is the only one.
    static inline int bufpool_sole_reference(PyObject* object) {
    #if PY_VERSION_HEX >= 0x030E0000
        return PyUnstable_Object_IsUniquelyReferenced(object);
    #else
        return bufpool_references_are(object, 1);
    #endif
    }

    // Whether the count belongs to another thread, so that the functions above return false.
    static inline int bufpool_foreign_count(PyObject* object) {
    #if defined(Py_GIL_DISABLED)
        return !_Py_IsOwnedByCurrentThread(object);
    #else
        (void)object;
        return 0;
    #endif
    }

    // For a new object that no other thread has seen, and for which the functions above will never be called. Without
    // the GIL its count belongs to the thread that made it (biased counting, Choi, Shull and Torrellas 2018). If
    // another thread drops the last reference, the object waits until its maker merges the count, perhaps for ever.
    // This merges it now, so that the count belongs to no thread: the memory comes back at once, and a hand-off takes
    // half the time (measured). Each change of the count is then a locked instruction, a tenth of a checkout.
    static inline void bufpool_disown(PyObject* object) {
    #if defined(Py_GIL_DISABLED)
        const Py_ssize_t count = Py_REFCNT(object);
        _Py_atomic_store_uintptr_relaxed(&object->ob_tid, _Py_UNOWNED_TID);
        _Py_atomic_store_uint32_relaxed(&object->ob_ref_local, 0);
        _Py_atomic_store_ssize_relaxed(&object->ob_ref_shared, _Py_REF_SHARED(count, _Py_REF_MERGED));
    #else
        (void)object;
    #endif
    }

    // For an object that is never freed and that no other thread has seen yet. Without the GIL all threads would
    // contend for its count.
    static inline void bufpool_immortalise(PyObject* object) {
    #if defined(Py_GIL_DISABLED)
        object->ob_tid = _Py_UNOWNED_TID;
        object->ob_ref_local = _Py_IMMORTAL_REFCNT_LOCAL;
        object->ob_ref_shared = 0;
    #else
        (void)object;
    #endif
    }
    """
    bint references_are "bufpool_references_are"(PyObject* object, Py_ssize_t count) noexcept nogil
    bint sole_reference "bufpool_sole_reference"(PyObject* object) noexcept nogil
    bint foreign_count "bufpool_foreign_count"(PyObject* object) noexcept nogil
    void disown "bufpool_disown"(PyObject* object) noexcept
    void immortalise "bufpool_immortalise"(PyObject* object) noexcept
