"""L4: a look into the caller's frame, to tell a second *name* of an array from a *view* of it.

A reference count cannot tell the two. The variables of the code that runs a ``with`` statement can be seen: if every
reference to the array is such a name, then no view, export or container holds it.

What a name is worth is the interpreter's own affair. From Python 3.14 on an argument may be a name without a reference
of its own (it borrows its caller's), and so may what is assigned from it. So all names are counted only where this
Python's names were seen to count: `bufpool.native._names` tries them once, at import. Where they were not, all names
together account for one reference: that of one of them, or the one that they borrow, a name of a function further out.
"""

from cpython.object cimport PyObject

cimport cython

from bufpool.native import _names

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t Py_REFCNT(PyObject*)

cdef extern from *:
    """
    #include <frameobject.h>
    #if PY_VERSION_HEX < 0x030C0000
    // PyFrame_GetVar came with 3.12. Before it there is only a dict, which the frame keeps and the program may use.
    #define Py_BUILD_CORE 1
    #include <internal/pycore_frame.h>
    #undef Py_BUILD_CORE
    #endif

    // How many variables in the namespace dict of a module or class body are the object.
    static Py_ssize_t bufpool_count_in_namespace(PyFrameObject* frame, PyObject* wanted) {
    #ifdef Py_GIL_DISABLED
        // Other threads reach a module's names: what was counted may have changed before it is used.
        (void)frame; (void)wanted;
        return 0;
    #else
        PyObject* names = PyFrame_GetLocals(frame);
        if (names == NULL) return -1;
        Py_ssize_t found = 0, at = 0;
        PyObject *key, *value;
        if (PyDict_CheckExact(names)) {
            while (PyDict_Next(names, &at, &key, &value)) found += value == wanted;
        }
        Py_DECREF(names);
        return found;
    #endif
    }

    #if PY_VERSION_HEX >= 0x030C0000
    // Whether this variable of a function is the object. -1: an error.
    static int bufpool_variable_is(PyFrameObject* frame, PyCodeObject* code, int i, PyObject* wanted) {
        PyObject* value = PyFrame_GetVar(frame, PyTuple_GET_ITEM(code->co_localsplusnames, i));
        if (value == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_NameError)) return -1;       // NameError: not bound
            PyErr_Clear();
            return 0;
        }
        Py_DECREF(value);
        return value == wanted;
    }

    // Where this thread's last search ended, and in which code. A look costs tens of nanoseconds, and a variable that
    // is not bound half a microsecond. It is a guess only: the code may be gone, and another one at its address.
    #ifdef Py_GIL_DISABLED
    thread_local
    #endif
    static struct { PyCodeObject* code; int variable; } bufpool_last = {NULL, 0};
    #endif

    // How many variables of a function are the object. `most`: there can be no more, so the search may end.
    static Py_ssize_t bufpool_count_in_function(
        PyFrameObject* frame, PyCodeObject* code, PyObject* wanted, Py_ssize_t most
    ) {
        Py_ssize_t found = 0;
    #if PY_VERSION_HEX < 0x030C0000
        (void)most;
        PyObject** variables = frame->f_frame->localsplus;                 // in the order of their names
        for (int i = 0; i < code->co_nlocals; i++) found += variables[i] == wanted;
    #else
        int first = -1;
        if (most > 0 && bufpool_last.code == code && bufpool_last.variable < code->co_nlocals) {
            first = bufpool_last.variable;
            const int is = bufpool_variable_is(frame, code, first, wanted);
            if (is < 0) return -1;
            found = is;
        }
        for (int i = 0; i < code->co_nlocals && found < most; i++) {
            if (i == first) continue;
            const int is = bufpool_variable_is(frame, code, i, wanted);
            if (is < 0) return -1;
            if (is) {
                found++;
                bufpool_last.code = code;
                bufpool_last.variable = i;
            }
        }
    #endif
        return found;
    }

    // Plain locals only: variables shared with inner functions may be reached by other threads, and by views of theirs.
    // `most`: there can be no more, so the search may end. `own`: whether the object was made while the function ran,
    // and so cannot have come in as an argument.
    static Py_ssize_t bufpool_count_names(PyObject* wanted, PyObject* made_in, Py_ssize_t most, int* own) {
        *own = 1;
        PyFrameObject* frame = (PyFrameObject*)PyEval_GetFrame();        // borrowed
        if (frame == NULL) return 0;
        PyCodeObject* code = PyFrame_GetCode(frame);
        if (!(code->co_flags & CO_OPTIMIZED)) {
            Py_DECREF(code);
            return bufpool_count_in_namespace(frame, wanted);
        }
        *own = code->co_argcount + code->co_kwonlyargcount == 0 || (PyObject*)frame == made_in;
        // An argument that an inner function shares is a local and a cell in one: then nothing is proven. The fields of
        // the code and not its tuples of names: without the GIL threads would fight over those tuples' counts.
        Py_ssize_t found = 0;
        if (code->co_nlocals + code->co_ncellvars + code->co_nfreevars == code->co_nlocalsplus) {
            found = bufpool_count_in_function(frame, code, wanted, most);
        }
        Py_DECREF(code);
        return found;
    }

    static PyObject* bufpool_frame_of_caller(void) {
        PyObject* frame = (PyObject*)PyEval_GetFrame();
        return Py_NewRef(frame == NULL ? Py_None : frame);
    }
    """
    Py_ssize_t bufpool_count_names(object wanted, object made_in, Py_ssize_t most, bint* own) except -1
    object bufpool_frame_of_caller()


# Whether each name of a function has a reference of its own: in functions without arguments, and in all of them.
cdef bint own_names_count = False, arguments_count = False


cdef Py_ssize_t names_in_caller(object wanted, object made_in) except -1:
    cdef bint own
    cdef Py_ssize_t found
    # Without memory for the look nothing is proven. A block that ends has no use for an error of its own, which would
    # stand before the one that is passing through it.
    try:
        found = bufpool_count_names(wanted, made_in, Py_REFCNT(<PyObject*>wanted) - 1, &own)   # our caller's is no name
    except MemoryError:
        return 0
    return found if own_names_count and (own or arguments_count) else min(found, 1)


cdef object frame_of_caller():
    return None if arguments_count else bufpool_frame_of_caller()


# --- what this Python's names are worth ---


@cython.final
@cython.internal
cdef class Counter:
    """See `bufpool.native._names`."""

    cdef object thing

    def make(self):
        self.thing = object()
        return self.thing

    def surplus(self):
        cdef bint own
        cdef Py_ssize_t names = bufpool_count_names(self.thing, None, PY_SSIZE_T_MAX, &own)
        return Py_REFCNT(<PyObject*>self.thing) - 1 - names     # ours is one of the references


def worth():
    """Return whether each name counts: in functions without arguments, and in all."""
    return bool(own_names_count), bool(arguments_count)


own_names_count = _names.own_names_count(Counter())
arguments_count = own_names_count and _names.arguments_count(Counter())
