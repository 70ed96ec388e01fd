# Counts of references: who else can reach an object, which the rule "a stale name never aliases" rests on; and counts that
# any thread may bring to an end.
from cpython.object cimport PyObject

cdef extern from *:
    """
    // Whether the one reference that the caller holds is the only one.
    static inline int bufpool_sole_reference(PyObject* object) {
    #if defined(Py_GIL_DISABLED)
        const Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared);
        if (_Py_atomic_load_uintptr_relaxed(&object->ob_tid) == _Py_UNOWNED_TID) {
            return shared == _Py_REF_SHARED(1, _Py_REF_MERGED);
        }
        // A count that another thread may be changing proves nothing; then the answer is no.
        return _Py_IsOwnedByCurrentThread(object)
            && _Py_atomic_load_uint32_relaxed(&object->ob_ref_local) == 1 && shared == 0;
    #elif PY_VERSION_HEX >= 0x030E0000
        return PyUnstable_Object_IsUniquelyReferenced(object);
    #else
        return Py_REFCNT(object) == 1;
    #endif
    }

    // For a new object that nobody else has seen. Without the GIL its count belongs to the thread that made it (biased
    // counting, Choi, Shull and Torrellas 2018), and if another one drops the last reference, the object waits until its
    // maker looks, which may be long or never. From here on it belongs to nobody, as if the maker had merged it: the memory
    // comes back at once, and a hand-off takes half the time (measured). Every count is then a locked instruction, a tenth
    // of a checkout.
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
    """
    bint sole_reference "bufpool_sole_reference"(PyObject* object) noexcept nogil
    void anyones "bufpool_anyones"(PyObject* object) noexcept
