"""A look into the caller's frame, to tell a second *name* of an array from a *view* of it.

A reference count cannot tell the two apart. But the variables of the code that runs a ``with`` statement can be read:
if every reference to the array is such a name, then no view, export or container holds the array.

Whether a name holds a reference is an implementation detail of the interpreter. From Python 3.14 on an argument may
borrow its caller's reference, and so may a name that is assigned from the argument. So each name counts only if this
Python's names were found to count: `_names` beside this tries that once, at import. Otherwise all names together
account for one reference: one of them holds it, or all of them borrow it from a name of a function further out.

Where names may be borrowed, the operands of the caller's current instruction may be, too: in ``a[0] = x`` NumPy works
on `a` without a reference, and `x` may call back. So a look proves something only while that instruction is a call
without such an operand: the end of a ``with`` statement, or a call without arguments. A method call without arguments
has its object as an operand. `tests/memory/test_c_calls_back.py` tries all such methods of NumPy: those that call back
hold references.
"""

from cpython.object cimport PyObject
from libc.string cimport memcmp

cimport cython

import opcode

from bufpool.memory.native import _names

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

    // The caller's current instruction and the three before it: operations, arguments. False: there are no such four.
    static int bufpool_instructions(unsigned char* pairs, PyObject** consts) {
        PyFrameObject* frame = (PyFrameObject*)PyEval_GetFrame();        // borrowed
        if (frame == NULL) return 0;
        PyCodeObject* code = PyFrame_GetCode(frame);
        PyObject* text = PyCode_GetCode(code);                           // as compiled, nothing specialised
        const int last = PyFrame_GetLasti(frame);
        const int found = text != NULL && last >= 6 && last + 2 <= PyBytes_GET_SIZE(text);
        if (found) memcpy(pairs, PyBytes_AS_STRING(text) + last - 6, 8);
        if (text == NULL) PyErr_Clear();                                 // no memory: then nothing is proven
        *consts = code->co_consts;                                       // the frame keeps the code
        Py_XDECREF(text);
        Py_DECREF(code);
        return found;
    }

    static PyObject* bufpool_frame_of_caller(void) {
        PyObject* frame = (PyObject*)PyEval_GetFrame();
        return Py_NewRef(frame == NULL ? Py_None : frame);
    }
    """
    Py_ssize_t bufpool_count_names(object wanted, object made_in, Py_ssize_t most, bint* own) except -1
    bint bufpool_instructions(unsigned char* pairs, PyObject** consts) noexcept
    object bufpool_frame_of_caller()


# Whether each name of a function has a reference of its own: in functions without arguments, and in all of them.
cdef bint own_names_count = False, arguments_count = False


# What this Python compiles a call and the end of a `with` statement to: a call without arguments; three times None and
# a call with them; and while an exception passes, one instruction.
cdef bint instructions_are_known = False
cdef unsigned char[2] plain_call, ending_call, ending_error, none
cdef bint none_is_constant = False             # the argument is a place among the code's constants


cdef bint no_operand_is_borrowed(bint of_block) noexcept:
    """Whether the caller's current instruction has no operand on which C code could be at work.

    `of_block`: only if it is the end of a block. A call without arguments has an object, if it is a method.
    """
    cdef unsigned char[8] pairs
    cdef PyObject* consts = NULL
    cdef int i
    if not instructions_are_known or not bufpool_instructions(pairs, &consts):
        return False
    if pairs[6] == ending_error[0] or (memcmp(pairs + 6, plain_call, 2) == 0 and not of_block):
        return True
    if memcmp(pairs + 6, ending_call, 2) != 0:
        return False
    for i in range(0, 6, 2):
        if pairs[i] != none[0] or (not none_is_constant and pairs[i + 1] != none[1]):
            return False
        if none_is_constant and (<tuple>consts)[pairs[i + 1]] is not None:
            return False
    return True


cdef Py_ssize_t names_in_caller(object wanted, object made_in) except -1:
    cdef bint own
    cdef Py_ssize_t found
    if not arguments_count and not no_operand_is_borrowed(made_in is not None):
        return 0
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
    """See `bufpool.memory.native._names`."""

    cdef object thing

    def make(self):
        self.thing = object()
        return self.thing

    def surplus(self):
        cdef bint own
        cdef Py_ssize_t names = bufpool_count_names(self.thing, None, PY_SSIZE_T_MAX, &own)
        return Py_REFCNT(<PyObject*>self.thing) - 1 - names     # ours is one of the references


@cython.final
@cython.internal
cdef class Caller:
    """Notes its caller's current instruction and the three before it. See `bufpool.memory.native._names`."""

    cdef bytes last

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback, /):
        self.note()
        return True

    def note(self):
        cdef unsigned char[8] pairs
        cdef PyObject* consts
        self.last = (<char*>pairs)[:8] if bufpool_instructions(pairs, &consts) else None

    @property
    def instructions(self):
        return self.last


cdef object know_instructions():
    global instructions_are_known, none_is_constant
    cdef bytes call, end, error
    cdef int i
    call, end, error = _names.instructions(Caller())
    if None in (call, end, error) or end[:2] != end[2:4] or end[:2] != end[4:6]:
        return
    for i in range(2):
        plain_call[i], ending_call[i], ending_error[i], none[i] = call[6 + i], end[6 + i], error[6 + i], end[i]
    none_is_constant = none[0] == opcode.opmap["LOAD_CONST"]
    # The two calls are one operation with no argument and with three, and the third is another.
    instructions_are_known = (
        plain_call[0] == ending_call[0] == opcode.opmap["CALL"] and plain_call[1] == 0 and ending_call[1] == 3
        and ending_error[0] == opcode.opmap["WITH_EXCEPT_START"]
    )


def worth():
    """Return whether each name counts: in functions without arguments, and in all; whether calls are recognised."""
    return bool(own_names_count), bool(arguments_count), bool(instructions_are_known)


own_names_count = _names.own_names_count(Counter())
arguments_count = own_names_count and _names.arguments_count(Counter())
know_instructions()
