# Counts of references: who else can reach an object, which the rule "a stale name never aliases" rests on; counts that
# any thread may bring to an end; and objects that are not counted at all.
from cpython.object cimport PyObject

cdef extern from *:
    """
    // Whether there are exactly so many references, all of them known to the caller. Without the GIL that is proven
    // only of an object that this thread made and no other ever reached for: a weak reference, or a read of a list
    // without its lock, can make a reference out of none at any moment, but leaves a mark in the shared part of the
    // count for good.
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

    // Whether the count belongs to another thread, so that the answers above are no whatever it is.
    static inline int bufpool_foreign_count(PyObject* object) {
    #if defined(Py_GIL_DISABLED)
        return !_Py_IsOwnedByCurrentThread(object);
    #else
        (void)object;
        return 0;
    #endif
    }

    // For a new object that nobody else has seen, and of which the questions above will never be asked. Without the GIL
    // its count belongs to the thread that made it (biased counting, Choi, Shull and Torrellas 2018), and if another
    // one drops the last reference, the object waits until its maker looks, which may be long or never. From here on it
    // belongs to nobody, as if the maker had merged it: the memory comes back at once, and a hand-off takes half the
    // time (measured). Every count is then a locked instruction, a tenth of a checkout.
    static inline void bufpool_anyones(PyObject* object) {
    #if defined(Py_GIL_DISABLED)
        const Py_ssize_t count = Py_REFCNT(object);
        _Py_atomic_store_uintptr_relaxed(&object->ob_tid, _Py_UNOWNED_TID);
        _Py_atomic_store_uint32_relaxed(&object->ob_ref_local, 0);
        _Py_atomic_store_ssize_relaxed(&object->ob_ref_shared, _Py_REF_SHARED(count, _Py_REF_MERGED));
    #else
        (void)object;
    #endif
    }

    // For an object that is never freed and that nobody else has seen yet. Without the GIL all threads would fight over
    // its count.
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
    void anyones "bufpool_anyones"(PyObject* object) noexcept
    void immortalise "bufpool_immortalise"(PyObject* object) noexcept
