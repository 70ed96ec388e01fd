"""The state of an object pool behind its Python faces, and the *claim* of one client on it.

A claim owns whatever the pool gave to its client: a place in the queue, a place for an object that is being made, an
object. Wherever an exception comes from, a signal's or a cancellation's too, the claim goes, and what it owns goes
back.
"""

from cpython.object cimport PyObject
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cimport cython

from bufpool.objects.core.object_pool cimport Held, ObjectNode, ObjectPool, Put, Standing, Waiter, kNone
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

cdef extern from "pythread.h":
    PyThread_type_lock PyThread_allocate_lock() nogil
    void PyThread_free_lock(PyThread_type_lock) noexcept nogil
    int PyThread_acquire_lock(PyThread_type_lock, int wait) noexcept nogil
    void PyThread_release_lock(PyThread_type_lock) noexcept nogil

MOST = (1 << 31) - 1               # objects, waiters

cdef double LONGEST_WAIT = 1e9     # s; longer ones mean for ever, as `bufpool._validate` has it

# One checkout of each object in 128 is traced, the first one too: a stack costs as much as ten checkouts.
cdef uint32_t SAMPLED_MASK = 127

# --- forks ---

cdef void count_fork() noexcept nogil:
    global generation
    generation += 1


# Not `os.register_at_fork`, which calls functions of other modules before ours, and those may use a pool.
if call_in_child(count_fork) != 0:
    raise MemoryError("no memory for the handler of forks")


cdef void keep(void* thing) noexcept nogil:
    Py_IncRef(<PyObject*>thing)                # the thread that serves is attached to the interpreter


cdef object checked_timeout(object timeout, PoolCore core):
    """Seconds as a float, None, or ``...`` for the pool's own. Raises for what is no time."""
    if timeout is ... or timeout is None or (type(timeout) is float and 0 <= timeout <= LONGEST_WAIT):
        return timeout
    return core.engine.seconds("timeout", timeout)


@cython.final
cdef class PoolCore:
    """Who has which object, and who waits. Made by `bufpool.objects.engine.Engine`."""

    def __cinit__(self, str name not None, engine, *, most, most_waiting, bint fair, bint lifo):
        self.name = name
        self.engine = engine
        self.owned = {}
        self.traces = {}
        self.inherited = ()
        self.most_waiting = most_waiting
        self.fair = fair
        self.lifo = lifo
        self.begin_life(most)

    def __dealloc__(self):
        if self.pool != NULL:
            ObjectPool.destroy(self.pool)

    cdef int begin_life(self, uint32_t most) except -1:
        cdef ObjectPool* pool = ObjectPool.make()
        if pool == NULL:
            raise MemoryError()
        pool.set_up(most, self.most_waiting, self.fair, not self.lifo, keep)
        self.pool = pool
        self.life.store_relaxed(generation)
        return 0

    cdef ObjectPool* begin_anew(self) except NULL:
        """In the child of a fork: begin a new state, because what exists belongs to the parent.

        The parent's objects are kept, so that no destructor touches them. The old state is left as it lies, and never
        freed: without the GIL another thread may have been half-way through a change.
        """
        cdef dict owned = {}
        cdef dict traces = {}
        cdef tuple inherited = self.inherited + (self.owned,)
        cdef ObjectPool* pool = ObjectPool.make()
        cdef bint other
        if pool == NULL:
            raise MemoryError()
        pool.set_up(self.pool.max(), self.most_waiting, self.fair, not self.lifo, keep)
        if self.pool.was_closed():
            pool.close()
        # From here on nothing is allocated, so with the GIL no other thread runs: of two threads one begins the state.
        with cython.critical_section(self):
            other = self.life.load_acquire() == generation
            if not other:
                self.pool = pool
                self.inherited = inherited
                self.owned, owned = owned, self.owned
                self.traces, traces = traces, self.traces
                self.life.store_release(generation)
        if other:
            ObjectPool.destroy(pool)
        return self.pool

    def configure(self, *, bint debug, bint dated, bint expires, bint checked_out, uint64_t check_after, bint treated_in,
              uint32_t most_uses):
        """Say what happens to objects on their way, so that the hot paths know when there is nothing to do."""
        self.debug = debug
        self.dated = dated
        self.expires = expires
        self.checked_out = checked_out
        self.check_after = check_after
        self.treated_in = treated_in
        self.most_uses = most_uses

    # --- the hot paths ---

    cdef bint due_out(self, ObjectNode* node) noexcept:
        """Whether an idle object must be looked at before it goes out."""
        if node.drained != self.drained:
            return True                        # a draining that was interrupted did not come as far as this one
        if not self.expires and not self.checked_out:
            return False
        cdef uint64_t now = coarse_ns()
        return now >= node.expires or (self.checked_out and now >= node.checked + self.check_after)

    cdef bint due_in(self, ObjectNode* node) noexcept:
        """Whether an object that comes back must be looked at."""
        return self.treated_in or self.spent(node)

    cdef bint spent(self, ObjectNode* node) noexcept:
        """Whether an object in hand is not for the idle list any more."""
        return (
            node.extra
            or node.drained != self.drained
            or (self.most_uses != 0 and node.uses.load_relaxed() >= self.most_uses)
            or (self.expires and coarse_ns() >= node.expires)
        )

    cdef Put put(self, uint32_t* index) noexcept:
        cdef ObjectNode* node = &self.pool.table[index[0]]
        if self.dated:
            node.checked = coarse_ns()
            node.since.store_relaxed(node.checked)
        return self.pool.put(index[0])

    cdef uint32_t grab(self, object item, bint leased) except? 0xFFFFFFFF:
        """Take an object back from the client who says that it has it; kNone if it belongs to a fork's parent.

        `leased`: from its lease, too.
        """
        cdef uint64_t word = 0
        cdef uint32_t index
        cdef Standing standing
        cdef ObjectPool* pool = self.state()
        while True:
            index = pool.find(<void*>item, word)
            if index == kNone:
                if self.is_inherited(item):
                    return kNone
                raise ForeignReleaseError(f"pool {self.name!r} has no such object: {self.engine.show(item)}")
            standing = ObjectNode.standing_of(word)
            if standing == Standing.lent and not leased:
                raise DoubleReleaseError(
                    f"pool {self.name!r}: a lease has this object, and its end returns it: {self.engine.show(item)}"
                )
            if standing != Standing.out and standing != Standing.lent:
                raise DoubleReleaseError(
                    f"pool {self.name!r} has this object back already: {self.engine.show(item)}"
                )
            if pool.table[index].take_back(word):
                return index

    cdef bint is_inherited(self, object item) except -1:
        """Whether the object belongs to the parent of this process, or to the parent's parent."""
        cdef PyObject* each
        cdef Py_ssize_t at
        for lot in self.inherited:
            # Not `values`: without the GIL a thread of the parent may have held the dictionary's lock at the fork.
            # Nobody changes it any more.
            at = 0
            while PyDict_Next(lot, &at, NULL, &each):
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

    cdef object rouse(self):
        """Wake everybody for whom there is something."""
        cdef Waiter* waiter
        cdef Claim claim
        cdef ObjectPool* pool = self.state()
        while pool.needs_attention():
            waiter = pool.serve(precise_ns())
            if waiter == NULL:
                return None
            claim = <Claim>waiter.owner
            Py_DECREF(claim)                   # the queue's reference; `claim` has one of its own
            claim.signal()

    # --- for the lifecycle ---

    def wake(self):
        """Wake everybody for whom there is something: objects were made."""
        self.state().go_on()
        self.rouse()

    def close(self):
        """Hand out nothing more, and tell all waiters."""
        self.state().close()
        self.rouse()

    def set_max_size(self, uint32_t most):
        """From now on, at most so many objects."""
        self.state().resize(most)
        self.rouse()

    def drain(self):
        """Count one more draining: what was made before is not handed out any more."""
        self.drained += 1

    def drainings(self):
        """So far. Without the GIL two at once may count as one, which is as good."""
        return self.drained

    def now(self):
        """Nanoseconds on the coarse clock by which objects age."""
        return coarse_ns()

    def held(self, seconds=0.0, bint tell=False):
        """Objects that have been out for so long: (number, object, seconds, thread, trace or None) of each.

        With `tell` only those not told of yet, which then are.
        """
        cdef uint64_t now = coarse_ns(), least = <uint64_t>(1e9 * seconds)
        # Who tells may be stopped by an error, a warning that is one for instance: the others are told of later.
        cdef uint32_t room = 1 if tell else 16, found = 0, i
        cdef Held* out = NULL
        while True:
            free(out)
            out = <Held*>malloc(room * sizeof(Held))
            if out == NULL:
                raise MemoryError()
            found = self.state().held(now - least if least < now else 0, tell, out, room)
            if found <= room or tell:
                break
            # More than there was room for: drop those references, and ask again.
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
        """Whether it hands out nothing more."""
        return self.state().closed()

    @property
    def size(self):
        """Objects that count against the most that there may be, in the making too."""
        return self.state().size()

    @property
    def most(self):
        """Objects that there may be."""
        return self.state().max()

    @property
    def idle(self):
        """Objects ready to go out."""
        return self.state().idle()

    @property
    def in_use(self):
        """Objects out, in the making, or in the pool's own hand, those beyond its size too."""
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
        """Checkouts of an object that was there."""
        return self.state().reused()


@cython.final
cdef class Bell:
    """What a thread sleeps on."""

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()
        PyThread_acquire_lock(self.lock, 1)

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef void ring(self) noexcept:
        cdef uint32_t silent = 0
        # Once: a semaphore under the lock would count.
        if self.rung.cas_strong_acq_rel_acquire(silent, 1):
            PyThread_release_lock(self.lock)


# no_gc_clear: a claim that goes in a cycle still gives back what it has. No freelist: memory that is used again keeps
# the mark of a finaliser that has run, and CPython does not call it a second time.
@cython.no_gc_clear
cdef class Claim:
    """What the pool gave to one client, until that is over. A lease is one."""

    cdef object begin(self, PoolCore core, object timeout):
        if core is None:
            raise TypeError("the pool was never set up: a subclass has to call super().__init__")
        self.core = core
        self.timeout = checked_timeout(timeout, core)
        self.index = kNone
        self.waiter.owner = <void*>self

    def __del__(self):
        if self.stage == LENT:
            self.dropped()
        elif self.core is not None and (self.queued or self.stage == PLACE or self.stage == HAND):
            self.let_go()

    cdef object dropped(self):
        """The client dropped it without an end."""
        if self.take_back():
            self.let_go()

    cdef int make_ready(self) except -1:
        """To be in the queue, which has a reference, and to be woken."""
        if self.waker is None and self.bell is None:
            self.bell = Bell()
        if not self.queued:
            Py_INCREF(self)
            self.waiter.kept = True
        return 0

    cdef bint outlived(self) noexcept:
        """Whether what it has belongs to a fork's parent."""
        return self.life != generation

    cdef void leave_queue(self) noexcept:
        # Out of the queue for certain, so that nobody else changes it. Who woke it may have had the reference.
        self.queued = False
        if self.waiter.kept:
            self.waiter.kept = False
            Py_DECREF(self)

    cdef object signal(self):
        if self.waker is None:
            self.bell.ring()
            return None
        try:
            self.waker()
        except RuntimeError:
            # Its loop is closed: nobody will come for what it was given. Who called goes on to the next one.
            self.drop_all()
        except BaseException:
            # Perhaps it was woken, perhaps not: once more does no harm.
            self.waker()
            raise

    cdef object seize(self, uint32_t index, bint used):
        self.life = generation
        self.index = index
        self.touched = used and self.core.treated_in
        self.surplus = False
        self.stage = HAND

    cdef object lend(self, Standing standing):
        """Hand the object in hand to the client."""
        cdef ObjectNode* node = &self.core.pool.table[self.index]
        cdef uint32_t uses = node.uses.load_relaxed() + 1
        node.uses.store_relaxed(uses)
        if self.core.debug or (uses & SAMPLED_MASK) == 1:
            self.core.trace(self.index)
        node.thread.store_relaxed(PyThread_get_thread_ident())
        node.since.store_relaxed(coarse_ns())
        node.told.store_relaxed(0)
        cdef object item = <object>node.address
        self.checkout = node.hand_out(standing)
        self.stage = LENT if standing == Standing.lent else ENDED
        return item

    cdef bint take_back(self) noexcept:
        """Take the object from the client; false if its checkout is over, by whatever way."""
        if self.stage != LENT:
            return False
        self.over = True
        if self.outlived() or not self.core.pool.table[self.index].take_back(self.checkout):
            return False                       # nothing is written: another thread may have it in hand by this lease
        self.touched = self.core.treated_in
        self.stage = HAND
        return True

    cdef bint settle(self) except -1:
        """Return the object in hand; false if something must be done to it first."""
        cdef PoolCore core = self.core
        cdef ObjectNode* node = &core.pool.table[self.index]
        cdef Put put
        if node.traced:
            core.untrace(self.index)
        if core.due_in(node):
            return False
        put = core.put(&self.index)
        if put == Put.kept:
            self.stage = ENDED
        elif put == Put.serve:
            self.stage = ENDED
            core.rouse()
        else:
            self.surplus = put == Put.surplus
            return False
        return True

    cdef object out_of_pool(self):
        """Take the object in hand out of the pool; its place stays with the turn."""
        if self.core.pool.table[self.index].traced:
            self.core.untrace(self.index)
        # First: without the GIL another object may have this number as soon as the pool has forgotten ours.
        cdef object item = self.core.owned.pop(self.index)
        self.extra = self.core.pool.take_out(self.index)
        self.stage = PLACE
        return item

    cdef bint withdraw(self) except -1:
        """Leave the queue; what it was given there is in hand then. Whether there is an object in hand."""
        cdef uint32_t index = kNone
        if self.outlived():
            return False
        if self.queued:
            if self.core.pool.withdraw(self.waiter, index):
                self.seize(index, False)
            self.leave_queue()
        return self.stage == HAND

    cdef object let_go(self):
        """Give back whatever there is, without a callback; then it may ask again."""
        self.drop_all()
        self.core.rouse()

    cdef object drop_all(self):
        """The same, while the caller is rousing already: a thousand in turn would be as many calls deep."""
        cdef PoolCore core = self.core
        cdef Put put
        if self.outlived():
            self.stage = NEW
            return None
        self.withdraw()
        if self.stage == HAND and not self.touched and not core.spent(&core.pool.table[self.index]):
            if core.pool.table[self.index].traced:
                core.untrace(self.index)
            put = core.put(&self.index)
            if put == Put.kept or put == Put.serve:
                self.stage = NEW
        if self.stage == HAND:
            self.out_of_pool()
        if self.stage == PLACE:
            core.pool.give_up_place(self.extra)
        self.stage = NEW
