"""Changes of context variables that neither a signal nor the garbage collector can interrupt."""

cdef extern from *:
    """
    // CPython 3.11 may collect garbage inside `ContextVar.reset`. A finalizer that then reads the variable leaves the
    // old value in the variable's cache, without a reference: the next read returns freed memory. Later versions
    // collect between instructions only.
    #define BUFPOOL_RESET_MAY_COLLECT (PY_VERSION_HEX < 0x030C0000)
    """
    const bint RESET_MAY_COLLECT "BUFPOOL_RESET_MAY_COLLECT"
    int PyGC_Disable() noexcept
    int PyGC_Enable() noexcept


def call_within(variable, entry, function, tuple args):
    """Call the function with one more entry in a context variable's tuple. The entry's `context` is None afterwards.

    Compiled code, so that no signal interrupts it between the change and the call, or before the change is undone.
    """
    token = variable.set((*variable.get(), entry))
    try:
        return function(*args)
    finally:
        entry.context = None
        reset(variable, token)


def reset(variable, token):
    """Call ``variable.reset(token)``; on CPython 3.11 without a garbage collection in the middle of it."""
    cdef bint collects = RESET_MAY_COLLECT and PyGC_Disable()
    try:
        variable.reset(token)
    finally:
        if collects:
            PyGC_Enable()
