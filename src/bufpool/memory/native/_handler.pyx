"""NumPy's allocator (NEP 49): installing a pool in the current context, nested, and taking it out again.

NumPy keeps its handler in a context variable, and so is our list of installations: each ``with`` adds an entry, and its
end removes the newest entry *of that pool*, wherever it is in the list. So generators and tasks that leave in another
order than they entered remove their own entries.
"""

from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF, PyObject
from libc.stdlib cimport calloc, free
from libc.string cimport strcpy

cimport numpy as cnp

import os
import sys

import numpy as np

from bufpool.memory.core.arena cimport Arena, Refusal
from bufpool.memory.core.libc_malloc cimport malloc_configured, configure_malloc
from bufpool.memory.native._arena cimport hook_calloc, hook_free, hook_malloc, hook_realloc
from bufpool.memory.native._refused cimport add_note, forget_refusals
from bufpool.memory.native._unique cimport immortalise

from bufpool.memory.native._refused import installed as _installed

cdef extern from "pythread.h":
    unsigned long PyThread_get_thread_ident()

cnp.import_array()


cdef object set_handler(object handler):
    """Make it NumPy's handler in this context and return the one before. If it raises, nothing is changed."""
    before = cnp.PyDataMem_GetHandler()
    try:
        cnp.PyDataMem_SetHandler(handler)
    except MemoryError:
        # CPython sets the variable even if there is no memory for the token that it returns.
        if cnp.PyDataMem_GetHandler() is not handler:
            raise
    return before


cdef object restore_handler(object handler):
    """Make an earlier handler NumPy's again. Nobody could repeat this later, so it tries twice."""
    try:
        set_handler(handler)
    except MemoryError:
        set_handler(handler)


cdef object set_entries(tuple entries):
    """Set the list of installations in this context. If it raises, nothing is changed."""
    try:
        _installed.set(entries)
    except MemoryError:
        if _installed.get(None) is not entries:
            raise


cdef object handler_capsule(Arena* arena):
    """Return the arena's capsule. Its reference here is never dropped, and the arena is never freed."""
    cdef cnp.PyDataMem_Handler* handler
    if arena.attachment != NULL:
        return <object>arena.attachment
    handler = <cnp.PyDataMem_Handler*>calloc(1, sizeof(cnp.PyDataMem_Handler))
    if handler == NULL:
        raise MemoryError("no memory for NumPy's handler")
    strcpy(handler.name, "bufpool")
    handler.version = 1
    handler.allocator.ctx = arena
    handler.allocator.malloc = hook_malloc
    handler.allocator.calloc = hook_calloc
    handler.allocator.realloc = hook_realloc
    handler.allocator.free = hook_free
    try:
        capsule = PyCapsule_New(handler, "mem_handler", NULL)
    except BaseException:
        free(handler)
        raise
    Py_INCREF(capsule)
    immortalise(<PyObject*>capsule)  # every array refers to it
    arena.attachment = <PyObject*>capsule
    return capsule


cdef bint malloc_is_tuned_already():
    """Whether the environment tunes malloc, which the user did on purpose."""
    return "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "") or any(
        name.startswith("MALLOC_") for name in os.environ
    )


cdef class AllocatorPool(PoolBase):
    """A pool that NumPy can allocate from: ``with pool:``. Use `bufpool.BufferPool`."""

    def __cinit__(self, *args, **kwargs):
        self.capsule = handler_capsule(self.arena)
        self._tune_malloc = True

    def _set_up(self, **settings):
        PoolBase._set_up(self, **settings)
        self.capsule = handler_capsule(self.arena)

    @property
    def installed(self):
        """Whether NumPy allocates from this pool in the current context."""
        return cnp.PyDataMem_GetHandler() is self.capsule

    def install(self):
        """Make NumPy allocate from this pool in the current context, until `uninstall`.

        Use it where a ``with`` block does not fit, such as in the ``initializer`` of an executor. The context is that
        of `contextvars`: the current task in asyncio, the current thread elsewhere. A new thread starts with NumPy's
        own allocator.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> pool = bufpool.BufferPool()
        >>> with ThreadPoolExecutor(2, initializer=pool.install) as workers:
        ...     total = workers.submit(lambda: np.ones(1000).sum()).result()
        >>> pool.stats().hits + pool.stats().misses > 0
        True
        """
        self.enter(False)

    cdef object enter(self, bint by_block):
        if self.arena.closed.load_relaxed():
            raise self.refusal_error(0, Refusal.closed, None)
        if self._tune_malloc and not malloc_configured():
            configure_malloc(not malloc_is_tuned_already())
        forget_refusals()
        entries = _installed.get(None)
        if entries is None:
            # In a context that is not empty CPython searches for a variable that is not set, and NumPy reads its error
            # state in every ufunc. Once that state is set, to itself, CPython's cache has it (measured: 200 ns of 2,700
            # in an expression of six ufuncs).
            np.seterr(**np.geterr())
            entries = ()
        # The entry refers to the pool: if that were freed while it is installed, NumPy could allocate nothing. The
        # entry is added and not unpacked into a new tuple, because without memory Cython 3.3 drops the last item twice.
        set_entries(entries + ((self, cnp.PyDataMem_GetHandler(), PyThread_get_thread_ident() if by_block else 0),))
        try:
            set_handler(self.capsule)
        except MemoryError:
            set_entries(entries)
            raise

    def uninstall(self):
        """Undo the newest `install` of this pool in the current context.

        If a `MemoryError` of NumPy is being handled, this adds a note to it: which pool refused, and why.

        Returns
        -------
        bool
            False if the pool is not installed in this context; then nothing changes. This happens, for example, when a
            generator is closed in another context than the one it was started in.

        Raises
        ------
        MemoryError
            The interpreter has no memory for the change. Call `uninstall` again to complete it.

        Examples
        --------
        >>> import bufpool, numpy as np
        >>> pool = bufpool.BufferPool()
        >>> pool.install()
        >>> pool.uninstall(), pool.uninstall()
        (True, False)
        """
        entries = _installed.get(())
        last = len(entries) - 1
        cdef Py_ssize_t i = last
        while i >= 0 and entries[i][0] is not self:
            i -= 1
        if i < 0:
            return False
        before = entries[i][1]
        if i == last:
            rest = entries[:i]
            set_handler(before)
            set_entries(rest)
        else:
            # A later entry is still installed: the handler that it will restore must be the one before ours.
            set_entries(entries[:i] + ((entries[i + 1][0], before, entries[i + 1][2]),) + entries[i + 2:])
        add_note(self, sys.exception())
        return True

    cdef object leave(self):
        """Uninstall at the end of a block. Nobody could repeat this later, so it tries twice."""
        try:
            self.uninstall()
        except MemoryError:
            self.uninstall()

    def __enter__(self):
        """Make NumPy allocate from this pool until the end of the block. The pool is not closed then."""
        self.enter(True)
        return self

    def __exit__(self, kind, value, traceback, /):
        """Restore the handler that was installed before."""
        self.leave()
        add_note(self, value)
        return False
