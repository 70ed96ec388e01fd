"""The arena behind a pool: its settings, its limit, its readings.

Only this module is linked with the core, so that the state of the process exists once. The other modules call the core
through the functions that ``_arena.pxd`` declares.
"""

import gc
import operator

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetInterrupt
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from bufpool.memory.core.arena cimport (
    Arena,
    ArenaConfig,
    ArenaIdentity,
    Block,
    ClassReading,
    IdleReading,
    Refusal,
    kUnlimited,
)
from bufpool.memory.core.limit_queue cimport EventFunctions, SleepResult
from bufpool.memory.core.limit_wait cimport LimitWait
from bufpool._core.clock cimport precise_ns
from bufpool._core.os_memory cimport Pages, physical_memory
from bufpool._core.size_classes cimport class_of, class_size, kClassCount, kGranule, kMaxBlock

from bufpool.memory.native._sharing cimport changed_often, look_at_callers
from bufpool.memory.native._block_sizes cimport checked_alignment

from bufpool._pending_calls import RUN_PENDING_CALLS as _RUN_PENDING_CALLS
from bufpool.errors import OutOfMemoryError
from bufpool.memory.native._refusal_errors import refusal as _refusal

cdef extern from "Python.h":
    int PyOS_InterruptOccurred()
    void Py_IncRef(PyObject*) noexcept nogil

cdef extern from "pythread.h":
    ctypedef void* PyThread_type_lock
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    PyThread_type_lock PyThread_allocate_lock() nogil
    PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock, long long microseconds, int intr_flag) nogil
    void PyThread_release_lock(PyThread_type_lock) noexcept nogil
    unsigned long PyThread_get_thread_ident() nogil


PAGES = {
    "plain": <int>Pages.plain,
    "thp": <int>Pages.huge_advised,
    "hugetlb": <int>Pages.huge_explicit,
    "malloc": <int>Pages.malloc,
}
REFUSALS = ("none", "limit", "no_memory", "not_lockable", "too_large", "closed")   # in the order of the core's enum
DROP_REASONS = ("over_max_retained", "aged_out", "trimmed", "closed")


# --- for the other modules ---------------------------------------------------------------------------------------

cdef Block arena_acquire(Arena* arena, size_t nbytes, size_t alignment) noexcept nogil:
    if alignment <= arena.config.alignment:
        return arena.acquire(nbytes)
    return arena.acquire_aligned(nbytes, alignment)


cdef void arena_release(void* address) noexcept nogil:
    Arena.release(address)


cdef void arena_clear(void* address, size_t nbytes) noexcept nogil:
    Arena.clear(address, nbytes)


cdef size_t arena_usable_size(const void* address) noexcept nogil:
    return Arena.usable_size(address)


cdef Arena* arena_owner(const void* address) noexcept nogil:
    return Arena.owner_of(address)


cdef Block arena_acquire_in_turn(Arena* arena, size_t nbytes, size_t alignment) noexcept nogil:
    return arena.acquire_in_turn(nbytes, alignment)


cdef RefusedHook refused_hook = NULL


cdef void call_when_refused(RefusedHook hook) noexcept:
    global refused_hook
    refused_hook = hook


cdef void* hook_malloc(void* arena, size_t nbytes) noexcept nogil:
    cdef Block block = (<Arena*>arena).acquire(nbytes)
    if block.address == NULL:
        block = refused_hook(<Arena*>arena, nbytes, block, True)
    return block.address


cdef void* hook_calloc(void* arena, size_t count, size_t size) noexcept nogil:
    if size != 0 and count > (<size_t>-1) // size:
        return NULL
    cdef Block block = (<Arena*>arena).acquire_zeroed(count * size)
    if block.address == NULL:
        block = refused_hook(<Arena*>arena, count * size, block, True)
        if block.address != NULL and not block.zeroed:
            memset(block.address, 0, count * size)
    return block.address


cdef void* hook_realloc(void* arena, void* address, size_t nbytes) noexcept nogil:
    # NumPy gives no old size: the page map knows the block. Shrinking below half moves, to release the larger block.
    if address == NULL:
        return hook_malloc(arena, nbytes)
    cdef size_t usable = Arena.usable_size(address)
    if nbytes <= usable and (nbytes >= usable // 2 or usable <= 1024):
        return address
    if Arena.resize(address, nbytes):
        return address
    cdef Block moved = (<Arena*>arena).acquire(nbytes)
    if moved.address == NULL:
        if nbytes <= usable:
            return address
        # It cannot wait: NumPy has already checked that nobody else has the array, so no other code may run now.
        moved = refused_hook(<Arena*>arena, nbytes, moved, False)
        if moved.address == NULL:
            return NULL
    memcpy(moved.address, address, nbytes if nbytes < usable else usable)
    Arena.release(address)
    return moved.address


cdef void hook_free(void* arena, void* address, size_t nbytes) noexcept nogil:
    # NumPy's size is a guess and is not used: the block is found by its address.
    if address != NULL:
        Arena.release(address)


# --- waiting at the limit ----------------------------------------------------------------------------------------

cdef void* create_event() noexcept nogil:
    cdef PyThread_type_lock event = PyThread_allocate_lock()
    if event != NULL:
        PyThread_acquire_lock_timed(event, 0, 0)
    return event


cdef void set_event(void* event) noexcept nogil:
    PyThread_release_lock(event)


cdef SleepResult wait_for_event(void* event, uint64_t ns) noexcept nogil:
    cdef PyLockStatus status = PyThread_acquire_lock_timed(event, <long long>(ns // 1000 + 1), 1)
    if status == PY_LOCK_INTR:
        return SleepResult.interrupted
    return SleepResult.woken if status == PY_LOCK_ACQUIRED else SleepResult.timed_out


cdef uint64_t this_thread() noexcept nogil:
    return PyThread_get_thread_ident()


cdef void collect_in_hook() noexcept:
    """Collect garbage. An exception cannot pass through NumPy: it is reported like one of a finalizer."""
    try:
        gc.collect()
    except KeyboardInterrupt:
        PyErr_SetInterrupt()


cdef Block wait_for_numpy(Arena* arena, size_t nbytes, uint64_t* waited_ns) noexcept:
    cdef LimitWait wait
    cdef bint signalled = False
    cdef uint64_t serial = arena.identify().serial
    cdef Block block
    block.address = NULL
    block.refusal = Refusal.no_memory
    waited_ns[0] = 0
    if not wait.begin(arena, nbytes, arena.config.alignment):
        return block
    try:
        while True:
            # With a signal pending, a finalizer would run the signal's handler, and what that raises would be lost.
            if not signalled and wait.time_to_collect():
                collect_in_hook()
                wait.collected()
            with nogil:
                block = wait.step()
            signalled = signalled or wait.interrupted
            if block.address != NULL or block.refusal != Refusal.limit or wait.is_over():
                break
            # Signal handlers run when NumPy is done: what they raise cannot pass through it. Ctrl-C ends the wait.
            if PyOS_InterruptOccurred():
                PyErr_SetInterrupt()
                break
    finally:
        wait.end()
        if wait.waits():
            waited_ns[0] = wait.waited_ns()
    # A finalizer may have dropped the pool, and a new pool may use its arena: that one must not get the block.
    if block.address != NULL and arena.identify().serial != serial:
        Arena.release(block.address)
        block.address = NULL
        block.refusal = Refusal.closed
    return block


def total_memory():
    """Bytes of the machine's memory, or of what a Windows job leaves of it; 0 if the system does not say."""
    return physical_memory()


# --- readings ----------------------------------------------------------------------------------------------------

# Under the arena's lock, so that the name that it refers to still exists.
cdef void add_reference(void* name) noexcept nogil:
    Py_IncRef(<PyObject*>name)                 # the thread that calls this is attached to the interpreter


cdef dict counts_of(Arena* arena):
    cdef ClassReading reading
    cdef unsigned int c
    classes = []
    for c in range(kClassCount):
        reading = arena.read_class(c)
        if reading.existing or reading.hits or reading.misses:
            classes.append((reading.size, reading.existing, reading.idle, reading.hits, reading.misses))
    used = arena.counters.used.load_relaxed()
    return {
        "in_use_bytes": max(0, used - arena.cached_bytes()),
        "reserved_bytes": arena.counters.reserved.load_relaxed(),
        "peak_bytes": arena.counters.peak.load_relaxed(),
        "peak_reserved_bytes": arena.counters.peak_reserved.load_relaxed(),
        "mapped_bytes": arena.counters.mapped.load_relaxed(),
        "free_bytes": arena.counters.free.load_relaxed(),
        "purged_bytes": arena.counters.purged.load_relaxed(),
        "refused": arena.counters.refused.load_relaxed(),
        "degraded": arena.counters.degraded.load_relaxed(),
        "drops": tuple(arena.counters.drops[i].load_relaxed() for i in range(4)),
        "dropped_bytes": tuple(arena.counters.dropped_bytes[i].load_relaxed() for i in range(4)),
        "classes": classes,
    }


cdef dict all_of(Arena* arena, ArenaIdentity identity, str name):
    """The counts, where idle memory is, and whose arena it is."""
    cdef IdleReading idle = arena.read_idle()
    reading = counts_of(arena)
    reading["trimmable_bytes"] = idle.trimmable
    reading["cached_bytes"] = idle.cached
    reading["name"] = name
    reading["limit"] = None if identity.limit == kUnlimited else identity.limit
    reading["state"] = "deleted" if identity.abandoned else "closed" if identity.closed else "open"
    return reading


cdef str name_of(Arena* arena, uint64_t serial):
    """Return the name of the pool with this serial number; None if another pool has its arena by now."""
    cdef ArenaIdentity identity = arena.identify(add_reference)
    if identity.name == NULL:
        return None
    name = <str>identity.name
    Py_DECREF(name)
    return name if identity.serial == serial else None


def read_pools():
    """A reading of each pool of the process, oldest first: `PoolBase._read_all` as a dict.

    A pool whose object is gone is among them while its arena holds memory.
    """
    cdef Arena* arena = Arena.newest()
    cdef ArenaIdentity identity
    found = []
    while arena != NULL:
        identity = arena.identify(add_reference)
        if identity.name != NULL:   # else the pool is being made
            name = <str>identity.name
            Py_DECREF(name)
            reading = all_of(arena, identity, name)
            # Another pool may have begun to reuse an empty arena meanwhile.
            if identity.serial == arena.identify().serial and (not identity.abandoned or reading["reserved_bytes"]):
                found.append((identity.serial, reading))
        arena = arena.older()
    found.sort(key=operator.itemgetter(0))
    return [reading for _, reading in found]


# --- the pool's base ---------------------------------------------------------------------------------------------

cdef Arena* closed_arena = NULL


cdef Arena* the_closed_arena() except NULL:
    """The arena of a pool whose ``__init__`` never ran: it refuses everything."""
    global closed_arena
    cdef ArenaConfig config
    if closed_arena == NULL:
        config.limit = config.max_retained = config.min_retained = config.max_idle_ns = 0
        config.alignment = kGranule
        config.upstream.pages = Pages.plain
        config.upstream.lock = config.upstream.prefault = config.wipe = config.maintenance_thread = False
        closed_arena = Arena.create(config)
        if closed_arena == NULL:
            raise OutOfMemoryError("no memory for a pool's own records")
        closed_arena.close()
    return closed_arena


cdef class PoolBase:
    """The base class of pools: one arena, its limit, its readings. Use `bufpool.BufferPool`."""

    def __cinit__(self, *args, **kwargs):
        self.arena = the_closed_arena()
        self.name = "(not set up)"
        self.timeout = 0.0

    def __dealloc__(self):
        # Arrays may outlive the pool: the arena stays, and returns their memory to the system when they are gone.
        if self.owns_arena:
            self.arena.abandon()

    def _set_up(self, *, str name, limit, max_retained, uint64_t min_retained, uint64_t max_idle_ns, alignment,
                str pages, bint lock, bint prefault, bint wipe, bint maintenance_thread, timeout):
        """Make the arena. `limit` and `max_retained` in bytes or None; the caller has checked all ranges."""
        if self.owns_arena:
            raise RuntimeError(f"pool {self.name!r} is set up already")
        cdef ArenaConfig config
        config.limit = kUnlimited if limit is None else <uint64_t>limit
        config.max_retained = kUnlimited if max_retained is None else <uint64_t>max_retained
        config.min_retained = min_retained
        config.max_idle_ns = max_idle_ns
        config.alignment = checked_alignment(alignment, name)
        config.upstream.pages = <Pages><int>PAGES[pages]
        config.upstream.lock = lock
        config.upstream.prefault = prefault
        config.wipe = wipe
        config.maintenance_thread = maintenance_thread
        cdef Arena* arena = Arena.create(config)
        if arena == NULL:
            raise OutOfMemoryError(f"pool {name!r}: no memory for its own records")
        arena.queue.set_up(
            kUnlimited if timeout is None else <uint64_t>min(timeout * 1e9, 1e18),
            EventFunctions(create_event, set_event, wait_for_event, this_thread),
        )
        self.arena = arena
        self.owns_arena = True
        self.name = name
        self.timeout = timeout
        Py_INCREF(name)
        Py_XDECREF(<PyObject*>arena.set_name(<void*>name))
        self.serial = arena.identify().serial

    # --- blocks ---

    cdef void* acquire_block(self, size_t nbytes, size_t alignment, bint* zeroed) except NULL:
        """Return a block. `zeroed`: whether zeros are wanted; then whether the block is known to hold zeros."""
        if changed_often(&self.callers):
            look_at_callers(self, &self.callers, precise_ns())
        cdef Block block
        if zeroed[0]:
            block = self.arena.acquire_for_zeros(nbytes, alignment)
        else:
            block = arena_acquire(self.arena, nbytes, alignment)
        if block.address == NULL:
            return self.acquire_slow(nbytes, alignment, block, zeroed)
        zeroed[0] = block.zeroed
        return block.address

    cdef void* acquire_slow(self, size_t nbytes, size_t alignment, Block refused, bint* zeroed) except NULL:
        """Collect garbage and wait at the limit, after idle memory was purged; raise an error if that does not help."""
        cdef LimitWait wait
        cdef Block block = refused
        if refused.refusal == Refusal.limit:
            if not wait.begin(self.arena, nbytes, max(alignment, self.arena.config.alignment)):
                raise OutOfMemoryError(f"pool {self.name!r}: no memory to wait at the limit")
            try:
                while True:
                    if wait.time_to_collect():
                        gc.collect()
                        wait.collected()
                    # Nothing here may raise once `step` has returned a block: the block would be lost.
                    with nogil:
                        block = wait.step()
                    if block.address != NULL or block.refusal != Refusal.limit or wait.is_over():
                        break
                    if wait.interrupted:
                        PyErr_CheckSignals()
                    eval(_RUN_PENDING_CALLS)
            finally:
                wait.end()
            if block.address != NULL:
                zeroed[0] = block.zeroed
                return block.address
        if refused.refusal != Refusal.closed and refused.refusal != Refusal.too_large:
            self.arena.counters.refused.add_relaxed(1)
        if refused.refusal == Refusal.limit and wait.waits():
            raise self.refusal_error(nbytes, block.refusal, wait.waited_ns() * 1e-9)
        raise self.refusal_error(nbytes, block.refusal, None)

    cdef object refusal_error(self, size_t nbytes, Refusal why, object waited):
        """Return the error for a refused request."""
        cdef Arena* arena = self.arena
        return self.refusal_error_at(
            nbytes, why, waited, arena.counters.used.load_relaxed(), arena.counters.reserved.load_relaxed()
        )

    cdef object refusal_error_at(self, size_t nbytes, Refusal why, object waited, uint64_t used, uint64_t reserved):
        """As `refusal_error`, with the bytes in use and reserved at the time of the refusal."""
        return _refusal(
            self.name,
            REFUSALS[<int>why],
            nbytes=nbytes,
            block_bytes=0 if why == Refusal.too_large else class_size(class_of(nbytes or 1)),
            largest=kMaxBlock,
            limit=self.arena.config.limit,
            used=used,
            reserved=reserved,
            waited=waited,
        )

    # --- life and readings ---

    @property
    def closed(self):
        """Whether the pool is closed."""
        return self.arena.closed.load_relaxed() != 0

    @property
    def _shared(self):
        """Whether references to the pool are no longer counted, because several threads called it at full speed."""
        return self.callers.uncounted != 0

    @property
    def _waiting(self):
        """How many requests wait at the limit."""
        return self.arena.queue.length()

    @property
    def limit(self):
        """Maximum bytes the pool may hold, in use plus idle; None: no limit."""
        return None if self.arena.config.limit == kUnlimited else self.arena.config.limit

    @property
    def max_retained(self):
        """Maximum bytes the pool keeps idle; None: no bound."""
        return None if self.arena.config.max_retained == kUnlimited else self.arena.config.max_retained

    @property
    def alignment(self):
        """Alignment of every block, in bytes."""
        return self.arena.config.alignment

    def close(self):
        """Close the pool: it hands out nothing more, and returns idle memory to the system.

        Arrays and buffers in use stay valid; their memory goes to the system when they are released. Closing a closed
        pool does nothing.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.BufferPool()
        >>> a = pool.zeros(3)
        >>> pool.close()
        >>> a
        array([0., 0., 0.])
        """
        if self.owns_arena:
            self.arena.close()

    def _trim(self, uint64_t keep):
        """Give idle memory back to the system, all but `keep` bytes; returns how much that was."""
        return self.arena.trim(keep)

    def _read(self):
        """All counts, as a dict of plain integers and a list of classes; `bufpool.memory.stats` gives them names."""
        return counts_of(self.arena)

    def _read_all(self):
        """As `_read`; also where idle memory is, found by a look at the small blocks, and the pool's name and limit."""
        return all_of(self.arena, self.arena.identify(), self.name)
