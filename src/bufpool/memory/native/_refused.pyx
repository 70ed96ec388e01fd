"""What NumPy's allocator does when the pool refuses: it waits like any request, and then reports the reason.

A hook cannot raise. NumPy raises its own `MemoryError`, which names neither pool nor limit. So each thread remembers
its last refusal. If a ``with pool:`` ends with that error, the reason is added to it as a note. A pool that was
installed with ``install()`` has no such end, so the hook warns at once.
"""

import warnings
from contextvars import ContextVar

from cpython.exc cimport PyErr_SetInterrupt
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from bufpool.memory.core.arena cimport Arena, Block, Refusal
from bufpool.memory.native._arena cimport (
    PoolBase,
    arena_acquire_in_turn,
    arena_usable_size,
    call_when_refused,
    wait_for_numpy,
)

from bufpool.errors import AllocationWarning

cdef extern from "Python.h":
    PyObject* PyErr_Occurred() nogil
    unsigned long PyThread_get_thread_ident() nogil

# Newest last: a pool, the handler before it, and the thread whose `with` block will uninstall it; 0: install().
installed = ContextVar("bufpool_installed")

cdef extern from *:
    """
    // Whether this thread may use Python. PyGILState_Check() is always true once there was a subinterpreter.
    static int bufpool_is_attached(void) {
        PyThreadState* const own = PyGILState_GetThisThreadState();
    #if PY_VERSION_HEX >= 0x030D0000
        return own != NULL && own == PyThreadState_GetUnchecked();
    #else
        return own != NULL && own == _PyThreadState_UncheckedGet();
    #endif
    }
    """
    bint is_attached "bufpool_is_attached"() nogil

cdef extern from *:
    """
    #include "bufpool/memory/core/arena.hpp"

    struct LastRefusal {
        bufpool::Arena* arena;               // null: no refusal, or it was reported
        std::size_t nbytes;
        bufpool::Refusal why;
        std::uint64_t waited, used, reserved;   // ns, bytes, bytes
    };
    static thread_local LastRefusal last_refusal;   // plain data, all zero: no constructor runs
    static thread_local struct { bufpool::Arena* arena; void* block; std::size_t refused; } being_built;
    """
    cdef struct LastRefusal:
        Arena* arena
        size_t nbytes
        Refusal why
        uint64_t waited
        uint64_t used
        uint64_t reserved
    LastRefusal last_refusal
    Building being_built


cdef Building swap_building(Building now) noexcept:
    cdef Building before
    before.arena = being_built.arena
    before.block = being_built.block
    before.refused = being_built.refused
    being_built.arena = now.arena
    being_built.block = now.block
    being_built.refused = now.refused
    return before


cdef bint build_was_refused(size_t nbytes) noexcept:
    # For an array of 0 bytes NumPy requests some.
    return being_built.refused != 0 and (nbytes == 0 or nbytes == being_built.refused)


cdef Block when_refused(Arena* arena, size_t nbytes, Block refused, bint may_wait) noexcept nogil:
    cdef Block block = refused
    cdef uint64_t waited = 0
    cdef bint has_gil
    if being_built.arena == arena:
        if being_built.block != NULL and arena_usable_size(being_built.block) >= nbytes:
            block.address = being_built.block
            being_built.block = NULL
        else:
            being_built.refused = nbytes
        return block
    has_gil = is_attached()
    if refused.refusal == Refusal.limit:
        if may_wait and has_gil and PyErr_Occurred() == NULL:   # other code must not run while NumPy raises
            with gil:
                block = wait_for_numpy(arena, nbytes, &waited)
        else:
            # It cannot queue, so it may use memory that is reserved for others: overtaking is better than failing.
            block = arena_acquire_in_turn(arena, nbytes, arena.config.alignment)
    if block.address != NULL:
        return block
    if refused.refusal != Refusal.closed and refused.refusal != Refusal.too_large:
        arena.counters.refused.add_relaxed(1)
    last_refusal.arena = arena
    last_refusal.nbytes = nbytes
    last_refusal.why = block.refusal
    last_refusal.waited = waited
    last_refusal.used = arena.counters.used.load_relaxed()
    last_refusal.reserved = arena.counters.reserved.load_relaxed()
    if has_gil:
        with gil:
            warn(arena)
    return block


cdef void warn(Arena* arena) noexcept:
    """Warn of the last refusal, unless the end of a block of this thread will report it."""
    if PyErr_Occurred() != NULL:
        return
    for pool, _, thread in reversed(installed.get(())):
        if (<PoolBase>pool).arena != arena:
            continue
        if thread != PyThread_get_thread_ident():
            try:
                warnings.warn(f"{last_refused(pool)}; NumPy raises MemoryError", AllocationWarning, stacklevel=1)
            except AllocationWarning:   # a filter made it an error, which cannot pass through NumPy
                pass
            except KeyboardInterrupt:   # neither can this
                PyErr_SetInterrupt()
        return


cdef void forget_refusals() noexcept:
    last_refusal.arena = NULL


cdef object last_refused(PoolBase pool):
    if last_refusal.arena != pool.arena:
        return None
    return pool.refusal_error_at(
        last_refusal.nbytes,
        last_refusal.why,
        last_refusal.waited * 1e-9 if last_refusal.waited else None,
        last_refusal.used,
        last_refusal.reserved,
    )


cdef object add_note(PoolBase pool, object error):
    if last_refusal.arena != pool.arena or not isinstance(error, MemoryError):
        return
    # NumPy's error for an array has the number of bytes. That of a sort has no text; that of resize() has this one.
    nbytes = getattr(error, "_total_size", None)
    plain = type(error) is MemoryError and error.args in ((), ("cannot allocate memory for array",))
    if nbytes == last_refusal.nbytes or (nbytes is None and plain):
        text = str(last_refused(pool))
        if nbytes is None:   # this error may be about something else
            text = f"the last refusal in this block: {text}"
        forget_refusals()
        error.add_note(text)


call_when_refused(when_refused)
