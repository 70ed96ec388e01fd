"""The state of an object pool as Python code holds it: its objects, when they need the engine, and its readings."""

from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cimport cython

from bufpool.objects.core.object_pool cimport (
    HeldObject,
    ObjectNode,
    ObjectPool,
    ObjectState,
    ReleaseResult,
    Waiter,
    kNone,
)
from bufpool._core.clock cimport coarse_ns, precise_ns

from bufpool.errors import DoubleReleaseError, ForeignReleaseError

cdef extern from "Python.h":
    void Py_IncRef(PyObject*) noexcept nogil
    bint PyDict_Next(object, Py_ssize_t* at, PyObject** key, PyObject** value) noexcept

cdef extern from *:
    """
    #if defined(_WIN32)
    static int bufpool_call_in_child(void (*)(void)) { return 0; }     // nothing forks there
    #else
    #include <pthread.h>
    static int bufpool_call_in_child(void (*function)(void)) { return pthread_atfork(NULL, NULL, function); }
    #endif
    """
    int call_in_child "bufpool_call_in_child"(void (*function)() noexcept nogil) noexcept

MOST = (1 << 31) - 1               # objects, waiters

# --- forks ---

cdef void count_fork() noexcept nogil:
    global fork_count
    fork_count += 1


# Not `os.register_at_fork`, which calls functions of other modules before ours, and those may use a pool.
if call_in_child(count_fork) != 0:
    raise MemoryError("no memory for the handler of forks")


cdef void add_reference(void* thing) noexcept nogil:
    Py_IncRef(<PyObject*>thing)                # the thread that calls this is attached to the interpreter


cdef Wake wake_checkout = NULL


cdef void set_wake(Wake wake) noexcept:
    global wake_checkout
    wake_checkout = wake


@cython.final
cdef class PoolCore:
    """Which client has which object, and which clients wait."""

    def __cinit__(self, str name not None, engine, *, max_size, max_waiting, bint fair, bint lifo):
        self.name = name
        self.engine = engine
        self.owned = {}
        self.traces = {}
        self.parent_objects = ()
        self.max_waiting = max_waiting
        self.fair = fair
        self.lifo = lifo
        self.begin(max_size)

    def __dealloc__(self):
        if self.pool != NULL:
            ObjectPool.destroy(self.pool)

    cdef int begin(self, uint32_t max_size) except -1:
        cdef ObjectPool* pool = ObjectPool.make()
        if pool == NULL:
            raise MemoryError()
        pool.set_up(max_size, self.max_waiting, self.fair, not self.lifo, add_reference)
        self.pool = pool
        self.fork_count.store_relaxed(fork_count)
        return 0

    cdef ObjectPool* begin_in_child(self) except NULL:
        """In the child of a fork: begin a new state, because what exists belongs to the parent.

        The parent's objects are kept, so that no destructor touches them. The old state is never freed: without the GIL
        another thread may have been half-way through a change.
        """
        cdef dict owned = {}
        cdef dict traces = {}
        cdef tuple parent_objects = self.parent_objects + (self.owned,)
        cdef ObjectPool* pool = ObjectPool.make()
        cdef bint other
        if pool == NULL:
            raise MemoryError()
        pool.set_up(self.pool.max_size(), self.max_waiting, self.fair, not self.lifo, add_reference)
        if self.pool.was_closed():
            pool.close()
        # From here on nothing is allocated, so with the GIL no other thread runs. Of two threads one sets the state.
        with cython.critical_section(self):
            other = self.fork_count.load_acquire() == fork_count
            if not other:
                self.pool = pool
                self.parent_objects = parent_objects
                self.owned, owned = owned, self.owned
                self.traces, traces = traces, self.traces
                self.fork_count.store_release(fork_count)
        if other:
            ObjectPool.destroy(pool)
        return self.pool

    def configure(self, *, bint debug, bint keeps_times, bint has_lifetime, uint64_t max_idle, bint checks_out,
                  bint prepares_out, uint64_t check_after, bint handles_returns, uint32_t max_uses):
        """Set what the fast paths need to know of the settings. The fields say what each means."""
        self.debug = debug
        self.keeps_times = keeps_times
        self.has_lifetime = has_lifetime
        self.max_idle = max_idle
        self.checks_out = checks_out
        self.prepares_out = prepares_out
        self.acts_out = has_lifetime or checks_out or prepares_out or max_idle != 0
        self.check_after = check_after
        self.handles_returns = handles_returns
        self.max_uses = max_uses

    # --- the hot paths ---

    cdef bint is_due_out(self, ObjectNode* node) noexcept:
        """Return whether the engine must check or close an idle object before it goes out."""
        if node.drain_count != self.drain_count:
            return True                        # a drain that was interrupted has not reached this object
        if not self.acts_out:
            return False
        if self.prepares_out:
            return True
        cdef uint64_t now = coarse_ns()
        return (
            now >= node.expires
            or self.needs_check(node, now)
            or self.is_stale(node, now)
        )

    cdef bint needs_check(self, ObjectNode* node, uint64_t now) noexcept:
        """Return whether an idle object must be checked before it goes out."""
        return self.checks_out and (
            now >= node.checked + self.check_after or node.since.load_relaxed() < self.distrusted
        )

    cdef bint is_stale(self, ObjectNode* node, uint64_t now) noexcept:
        """Return whether an idle object was unused for `max_idle`; `min_size` may keep it all the same."""
        return self.max_idle != 0 and now >= node.since.load_relaxed() + self.max_idle

    cdef bint is_due_in(self, ObjectNode* node) noexcept:
        """Return whether the engine must reset, check or close an object that comes back."""
        return self.handles_returns or self.is_over(node)

    cdef bint is_over(self, ObjectNode* node) noexcept:
        """Return whether the life of an object is over, so that it must not become idle again."""
        return (
            node.extra
            or node.drain_count != self.drain_count
            or (self.max_uses != 0 and node.uses.load_relaxed() >= self.max_uses)
            or (self.has_lifetime and coarse_ns() >= node.expires)
        )

    cdef ReleaseResult release(self, uint32_t* index) noexcept:
        """Return an object to the pool; the index changes if another object is to be closed instead."""
        cdef ObjectNode* node = &self.pool.table[index[0]]
        if self.keeps_times:
            node.checked = coarse_ns()
            node.since.store_relaxed(node.checked)
        return self.pool.release(index[0])

    cdef uint32_t take_back(self, object item, bint leased) except? 0xFFFFFFFF:
        """Take an object back from its client, or with `leased` from a lease too; kNone if it is a fork's parent's."""
        cdef uint64_t word = 0
        cdef uint32_t index
        cdef ObjectState state
        cdef ObjectPool* pool = self.state()
        while True:
            index = pool.find(<void*>item, word)
            if index == kNone:
                if self.is_from_parent(item):
                    return kNone
                raise ForeignReleaseError(f"pool {self.name!r} has no such object: {self.engine.show(item)}")
            state = ObjectNode.state_of(word)
            if state == ObjectState.leased and not leased:
                raise DoubleReleaseError(
                    f"pool {self.name!r}: a lease has this object, and its end returns it: {self.engine.show(item)}"
                )
            if state != ObjectState.acquired and state != ObjectState.leased:
                raise DoubleReleaseError(
                    f"pool {self.name!r} has this object back already: {self.engine.show(item)}"
                )
            if pool.table[index].take_back(word):
                return index

    cdef bint is_from_parent(self, object item) except -1:
        """Return whether the object belongs to the parent of this process, or to an earlier one."""
        cdef PyObject* each
        cdef Py_ssize_t at
        for owned in self.parent_objects:
            # Not `values`: without the GIL a thread of the parent may have held the dictionary's lock at the fork.
            # Nobody changes it any more.
            at = 0
            while PyDict_Next(owned, &at, NULL, &each):
                if each == <PyObject*>item:
                    return True
        return False

    cdef object trace(self, uint32_t index):
        self.traces[index] = self.engine.trace()
        self.pool.table[index].traced = True

    cdef object untrace(self, uint32_t index):
        self.pool.table[index].traced = False
        trace = self.traces.pop(index, None)
        if not is_finalizing():
            self.engine.untrace(trace)

    cdef object wake_waiters(self):
        """Wake all waiters for which there is an object, a slot or an answer."""
        cdef Waiter* waiter
        cdef object checkout
        cdef ObjectPool* pool = self.state()
        while pool.needs_slow_path():
            waiter = pool.next_to_wake(precise_ns())
            if waiter == NULL:
                return None
            checkout = <object>waiter.owner
            Py_DECREF(checkout)                # the queue's reference; the variable has one of its own
            wake_checkout(checkout)

    # --- for the engine ---

    def count_first_use(self):
        """Count a checkout of an idle object that is new as no reuse."""
        self.state().count_first_use()

    def resume_creation(self):
        """Wake waiters after the factory succeeded: more objects may be created again."""
        self.state().resume_creation()
        self.wake_waiters()

    def close(self):
        """Hand out nothing more, and wake all waiters."""
        self.state().close()
        self.wake_waiters()

    def set_max_size(self, uint32_t max_size):
        """Set the bound on objects. Surplus ones stay until they are returned or closed."""
        self.state().set_max_size(max_size)
        self.wake_waiters()

    def drain(self):
        """Count one more drain. Objects created before it are not handed out any more."""
        self.drain_count += 1

    def distrust(self):
        """Have all objects that are idle now checked before they go out: one was found broken."""
        self.distrusted = coarse_ns()

    def drains(self):
        """Return how many drains there were. Without the GIL two at once may count as one, which does no harm."""
        return self.drain_count

    def now(self):
        """Return the nanoseconds of the coarse clock by which objects age."""
        return coarse_ns()

    def held(self, seconds=0.0, bint report=False):
        """Return the objects in use for at least `seconds`: (number, object, seconds, thread, trace or None) of each.

        With `report` only objects that no such call has returned in this checkout.
        """
        cdef uint64_t now = coarse_ns(), least = <uint64_t>(1e9 * seconds)
        # One at a time for a report: the warning may be raised as an error, and the other objects are reported later.
        cdef uint32_t room = 1 if report else 16, found = 0, i
        cdef HeldObject* out = NULL
        while True:
            free(out)
            out = <HeldObject*>malloc(room * sizeof(HeldObject))
            if out == NULL:
                raise MemoryError()
            found = self.state().held(now - least if least < now else 0, report, out, room)
            if found <= room or report:
                break
            # There are more than there is room for: drop the references, and read again.
            for i in range(room):
                Py_DECREF(<object>out[i].address)
            room = found + 16
        cdef list result = []
        try:
            for i in range(min(found, room)):
                result.append(
                    (out[i].index, <object>out[i].address, (now - out[i].since) / 1e9 if out[i].since < now else 0.0,
                     out[i].thread, self.traces.get(out[i].index))
                )
        finally:
            for i in range(min(found, room)):
                Py_DECREF(<object>out[i].address)
            free(out)
        return result

    # --- readings ---

    @property
    def closed(self):
        """Whether the pool hands out nothing more."""
        return self.state().closed()

    @property
    def size(self):
        """Slots in use: objects that count against the maximum, those being created or closed too."""
        return self.state().size()

    @property
    def max_size(self):
        """Maximum number of objects."""
        return self.state().max_size()

    @property
    def idle(self):
        """Objects ready to go out."""
        return self.state().idle()

    @property
    def creating(self):
        """Objects in creation."""
        return self.state().creating()

    @property
    def in_use(self):
        """Objects that are not idle, those beyond the maximum too."""
        cdef ObjectPool* pool = self.state()
        cdef uint32_t size = pool.size(), idle = pool.idle()
        return (size - idle if size > idle else 0) + pool.extra()

    @property
    def peak(self):
        """Most objects in use at once so far."""
        return self.state().peak()

    @property
    def waiting(self):
        """Clients in the queue."""
        return self.state().waiting()

    @property
    def reused(self):
        """Checkouts that got an idle object."""
        return self.state().reused()
