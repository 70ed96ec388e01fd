# Proofs that nobody else can reach an object: what the rule "a stale name never aliases" rests on.
from cpython.object cimport PyObject

cdef extern from *:
    """
    // Whether the one reference that the caller holds is the only one. On the free-threaded build a count that other
    // threads may be changing proves nothing; then the answer is no.
    static inline int bufpool_sole_reference(PyObject* object) {
    #if PY_VERSION_HEX >= 0x030E0000
        return PyUnstable_Object_IsUniquelyReferenced(object);
    #elif defined(Py_GIL_DISABLED)
        return _Py_IsOwnedByCurrentThread(object)
            && _Py_atomic_load_uint32_relaxed(&object->ob_ref_local) == 1
            && _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared) == 0;
    #else
        return Py_REFCNT(object) == 1;
    #endif
    }

    // Whether the count belongs to another thread, so that the answer above is no whatever it is.
    static inline int bufpool_foreign_count(PyObject* object) {
    #if defined(Py_GIL_DISABLED)
        return !_Py_IsOwnedByCurrentThread(object);
    #else
        (void)object;
        return 0;
    #endif
    }
    """
    bint foreign_count "bufpool_foreign_count"(PyObject* object) noexcept nogil
    bint sole_reference "bufpool_sole_reference"(PyObject* object) noexcept nogil
