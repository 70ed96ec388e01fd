"""Methods whose calls hold a known number of references to their object.

How many references a method call holds is an implementation detail of CPython. Up to 3.13 it holds one. From 3.14 on it
holds one or none, as the compiler and the specialising interpreter decide, and the next version may differ again. A
proof that counts references cannot rely on that. So these methods are bound to their object before each call. The bound
method holds exactly one reference for the call, on every version.
"""

cimport cython

from cpython.ref cimport PyObject

cdef extern from *:
    """
    // A new bound method. Unlike the interpreter's stack, it always counts its reference to the object.
    static PyObject* bufpool_bind(PyObject* method, PyObject* instance) {
        const descrgetfunc get = Py_TYPE(method)->tp_descr_get;
        if (get == NULL) {                                               // `bind_calls` did not make this object
            PyErr_SetString(PyExc_TypeError, "a BoundMethod without a method");
            return NULL;
        }
        return get(method, instance, (PyObject*)Py_TYPE(instance));
    }

    // Python code cannot change a compiled type. At import, no other code has seen the type yet.
    static int bufpool_replace(PyTypeObject* type, PyObject* name, PyObject* method) {
        if (PyDict_SetItem(type->tp_dict, name, method) < 0) return -1;
        PyType_Modified(type);
        return 0;
    }
    """
    ctypedef struct PyTypeObject:
        PyObject* tp_dict
    object bufpool_bind(object method, object instance)
    int bufpool_replace(PyTypeObject* type, object name, object method) except -1


# A method of a compiled class. Each of its calls holds exactly one reference to the object. The garbage collector does
# not track it: `gc` must not hand out the method inside, whose calls hold any number of references.
@cython.final
@cython.internal
@cython.no_gc
cdef class BoundMethod:
    cdef object method

    @property
    def __doc__(self):
        return self.method.__doc__

    def __get__(self, instance, owner):
        return self if instance is None else bufpool_bind(self.method, instance)

    def __call__(self, instance, *args):
        return bufpool_bind(self.method, instance)(*args)

    def __getattr__(self, name):
        return getattr(self.method, name)       # its name and its signature

    def __repr__(self):
        return repr(self.method)


cdef int bind_calls(object cls, tuple names) except -1:
    cdef BoundMethod bound
    for name in names:
        bound = BoundMethod.__new__(BoundMethod)
        bound.method = cls.__dict__[name]
        bufpool_replace(<PyTypeObject*>cls, name, bound)
    return 0
