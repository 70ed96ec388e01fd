"""L4: a look into the caller's frame, to tell a second *name* of an array from a *view* of it.

A reference count cannot tell the two. A local variable of the function that runs a ``with`` statement can be seen: if
every reference to the array is such a name, then no view, export or container holds it.
"""

cdef extern from *:
    """
    #include <frameobject.h>

    // Fast locals only: a module's globals, a class body's names and variables shared with inner functions can be
    // reached by other threads, so that what was counted may have changed before it is used.
    static Py_ssize_t bufpool_count_names(PyObject* wanted) {
        PyFrameObject* frame = (PyFrameObject*)PyEval_GetFrame();        // borrowed
        if (frame == NULL) return 0;
        PyCodeObject* code = PyFrame_GetCode(frame);
        if (!(code->co_flags & CO_OPTIMIZED)) { Py_DECREF(code); return 0; }
        PyObject* names = PyObject_GetAttrString((PyObject*)code, "co_varnames");
        PyObject* cells = names == NULL ? NULL : PyObject_GetAttrString((PyObject*)code, "co_cellvars");
        Py_DECREF(code);
        if (cells == NULL) { Py_XDECREF(names); return -1; }
        Py_ssize_t found = 0;
    #if PY_VERSION_HEX < 0x030C0000
        // Here the locals come as a dict that the frame keeps. It is emptied again, so that no value lives longer for
        // our look; if somebody else holds it (a call of locals() before), nothing is proven.
        PyObject* locals = PyFrame_GetLocals(frame);
        if (locals == NULL) { Py_DECREF(names); Py_DECREF(cells); return -1; }
        int ours = PyDict_CheckExact(locals) && Py_REFCNT(locals) == 2;
    #endif
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
            PyObject* name = PyTuple_GET_ITEM(names, i);
            int cell = PySequence_Contains(cells, name);
            if (cell < 0) { found = -1; break; }
            if (cell) continue;
    #if PY_VERSION_HEX < 0x030C0000
            if (ours && PyDict_GetItemWithError(locals, name) == wanted) found++;
            if (PyErr_Occurred()) { found = -1; break; }
    #else
            PyObject* value = PyFrame_GetVar(frame, name);
            if (value == NULL) {
                if (!PyErr_ExceptionMatches(PyExc_NameError)) { found = -1; break; }
                PyErr_Clear();
                continue;
            }
            if (value == wanted) found++;
            Py_DECREF(value);
    #endif
        }
    #if PY_VERSION_HEX < 0x030C0000
        if (ours) PyDict_Clear(locals);
        Py_DECREF(locals);
    #endif
        Py_DECREF(names);
        Py_DECREF(cells);
        return found;
    }
    """
    Py_ssize_t bufpool_count_names(object wanted) except -1


cdef Py_ssize_t names_in_caller(object wanted) except -1:
    return bufpool_count_names(wanted)
