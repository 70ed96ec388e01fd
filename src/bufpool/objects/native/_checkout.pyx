"""A client's checkout: owns its queue position, slot or object, and gives them back when it is destroyed.

Wherever an exception comes from, a signal's or a cancellation's too, the checkout goes, and what it owns goes back.

The engine works on a checkout through the functions below and those of `_held_object`. They are no methods, so that
leases, which are checkouts, show their users no more than users need.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport PyThread_get_thread_ident
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint32_t, uint64_t

cimport cython

from bufpool._core.clock cimport coarse_ns, precise_ns
from bufpool.objects.core.object_pool cimport (
    AcquireResult,
    ObjectNode,
    ObjectPool,
    ObjectState,
    ReleaseResult,
    SlotUse,
    Terms,
    kNone,
    kUntilClosed,
    kUntilEmpty,
)
from bufpool.objects.native._pool_state cimport PoolCore, fork_count, set_wake

from bufpool._pending_calls import RUN_PENDING_CALLS as _RUN_PENDING_CALLS

cdef extern from *:
    """
    #if defined(Py_GIL_DISABLED)
    #define BUFPOOL_WITHOUT_GIL 1
    #else
    #define BUFPOOL_WITHOUT_GIL 0
    #endif
    """
    const bint WITHOUT_GIL "BUFPOOL_WITHOUT_GIL"

cdef extern from "pythread.h":
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    PyThread_type_lock PyThread_allocate_lock() nogil
    void PyThread_free_lock(PyThread_type_lock) noexcept nogil
    int PyThread_acquire_lock(PyThread_type_lock, int wait) noexcept nogil
    void PyThread_release_lock(PyThread_type_lock) noexcept nogil
    PyLockStatus PyThread_acquire_lock_timed(void* lock, long long microseconds, int intr_flag) noexcept nogil

# What `request` answers.
OBJECT = <int>AcquireResult.found
FREE_SLOT = <int>AcquireResult.slot
QUEUED = <int>AcquireResult.queued
FULL = <int>AcquireResult.full
TOO_MANY = <int>AcquireResult.too_many
CLOSED = <int>AcquireResult.closed
DUE = CLOSED + 1                   # an object that must be checked or closed

# What a client would do with a free slot.
CREATE = <int>SlotUse.create
ORDER = <int>SlotUse.order
NOTHING = <int>SlotUse.none

UNTIL_CLOSED = <object>kUntilClosed
UNTIL_EMPTY = <object>kUntilEmpty

cdef uint64_t FOREVER = <uint64_t>-1   # ns

cdef double LONGEST_WAIT = 1e9     # s; longer ones mean for ever, as `bufpool._validate` has it

# One checkout of each object in 128 is traced, the first one too: a stack costs as much as ten checkouts.
cdef uint32_t SAMPLED_MASK = 127

# How long a thread sleeps at most at a time. With the GIL: as long as it likes. Without: CPython may keep for this
# thread objects whose last reference another one dropped, and a lease among them holds what is waited for.
cdef long long SLICE_US = 50000 if WITHOUT_GIL else 1000000 * 3600


@cython.final
cdef class Bell:
    """What a waiting thread sleeps on."""

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


# no_gc_clear: a checkout in a reference cycle still gives back what it owns. No freelist: memory that is used again
# keeps the mark of a finaliser that has run, and CPython does not call it a second time.
@cython.no_gc_clear
cdef class Checkout:
    """One client's checkout: owns its queue position, slot or object, and returns them when destroyed."""

    def __init__(self, PoolCore core not None):
        if self.core is not None:
            raise RuntimeError("the checkout has begun already")
        self.begin(core, ...)

    cdef object begin(self, PoolCore core, object timeout):
        if core is None:
            raise TypeError("the pool was never set up: a subclass has to call super().__init__")
        self.core = core
        if timeout is ... or timeout is None or (type(timeout) is float and 0 <= timeout <= LONGEST_WAIT):
            self.timeout = timeout
        else:
            self.timeout = core.engine.seconds("timeout", timeout)
        self.index = kNone
        self.waiter.owner = <void*>self

    def __del__(self):
        if self.state == LEASED:
            self.dropped()
        elif self.core is not None and (self.queued or self.state == SLOT or self.state == HELD):
            self.release_all()

    cdef object dropped(self):
        """Return an object whose client dropped it without an end."""
        if self.take_back():
            self.release_all()

    cdef bint from_parent_process(self) noexcept:
        """Return whether what the checkout owns belongs to the parent of this process."""
        return self.fork_count != fork_count

    cdef ObjectPool* begin_here(self) except NULL:
        """Note that what the checkout gets from now on belongs to this process."""
        if self.core is None:
            raise RuntimeError("the checkout was never set up")
        cdef ObjectPool* pool = self.core.state()
        self.fork_count = fork_count
        return pool

    cdef int add_extra_slot(self) except -1:
        """Get a slot beyond the pool's size."""
        self.begin_here().add_extra_slot()
        self.extra = True
        self.state = SLOT
        return 0

    cdef object hold(self, uint32_t index, bint used):
        """Own an object, which a client has used or not."""
        self.fork_count = fork_count
        self.index = index
        self.touched = used and self.core.handles_returns
        self.surplus = False
        self.state = HELD

    cdef object hand_out(self, ObjectState state):
        """Give the object to the client."""
        cdef ObjectNode* node = &self.core.pool.table[self.index]
        cdef uint32_t uses = node.uses.load_relaxed() + 1
        node.uses.store_relaxed(uses)
        if self.core.debug or (uses & SAMPLED_MASK) == 1:
            self.core.trace(self.index)
        node.thread.store_relaxed(PyThread_get_thread_ident())
        node.since.store_relaxed(coarse_ns())
        node.leak_reported.store_relaxed(0)
        cdef object item = <object>node.address
        self.word = node.hand_out(state)
        self.state = LEASED if state == ObjectState.leased else ENDED
        return item

    cdef bint take_back(self) noexcept:
        """Take the object from the client; return False if its checkout has ended, by whatever way."""
        if self.state != LEASED:
            return False
        self.over = True
        if self.from_parent_process() or not self.core.pool.table[self.index].take_back(self.word):
            return False                       # nothing is written: another thread may own the object by this lease
        self.touched = self.core.handles_returns
        self.state = HELD
        return True

    cdef bint try_release(self) except -1:
        """Return the object to the pool; False: the engine must do something to it first."""
        cdef PoolCore core = self.core
        cdef ObjectNode* node = &core.pool.table[self.index]
        cdef ReleaseResult result
        if node.traced:
            core.untrace(self.index)
        if core.is_due_in(node):
            return False
        result = core.release(&self.index)
        if result == ReleaseResult.kept:
            self.state = ENDED
        elif result == ReleaseResult.wake:
            self.state = ENDED
            core.wake_waiters()
        else:
            self.surplus = result == ReleaseResult.surplus
            return False
        return True

    cdef object remove_object(self):
        """Remove the object from the pool and return it; the checkout keeps the slot."""
        if self.core.pool.table[self.index].traced:
            self.core.untrace(self.index)
        # First: without the GIL another object may have this number as soon as the pool has forgotten ours.
        cdef object item = self.core.owned.pop(self.index)
        self.extra = self.core.pool.remove(self.index)
        self.state = SLOT
        return item

    cdef int prepare_to_wait(self) except -1:
        """Make ready to be woken, and give the queue its reference."""
        if self.waker is None and self.bell is None:
            self.bell = Bell()
        if not self.queued:
            Py_INCREF(self)
            self.waiter.kept = True
        return 0

    cdef void leave_queue(self) noexcept:
        # It is in no queue any more, so no other thread changes `kept`. If it was woken, the queue's reference is gone.
        self.queued = False
        if self.waiter.kept:
            self.waiter.kept = False
            Py_DECREF(self)

    cdef object wake(self):
        """Wake the client."""
        if self.waker is None:
            self.bell.ring()
            return None
        try:
            self.waker()
        except RuntimeError:
            # Its loop is closed: no client will use what it was given. The caller goes on with the next waiter.
            self.release_all_without_waking()
        except BaseException:
            # Perhaps it was woken, perhaps not: once more does no harm.
            self.waker()
            raise

    cdef bint withdraw(self) except -1:
        """Leave the queue, and hold the object that it was given there, if any; return whether it holds an object."""
        cdef uint32_t index = kNone
        if self.from_parent_process():
            return False
        if self.queued:
            if self.core.pool.withdraw(self.waiter, index):
                self.hold(index, False)
            self.leave_queue()
        return self.state == HELD

    cdef object release_all(self):
        """Give back whatever it owns, without a callback; then it may be used again."""
        self.release_all_without_waking()
        self.core.wake_waiters()

    cdef object release_all_without_waking(self):
        """Give back whatever it owns, for a caller that wakes the waiters: a thousand would be as many calls deep."""
        cdef PoolCore core = self.core
        cdef ReleaseResult result
        if self.from_parent_process():
            self.state = NEW
            return None
        self.withdraw()
        if self.state == HELD and not self.touched and not core.is_over(&core.pool.table[self.index]):
            if core.pool.table[self.index].traced:
                core.untrace(self.index)
            if core.pool.table[self.index].on_its_way:
                result = core.pool.release_new(self.index)
            else:
                result = core.release(&self.index)
            if result == ReleaseResult.kept or result == ReleaseResult.wake:
                self.state = NEW
        if self.state == HELD:
            self.remove_object()
        if self.state == SLOT:
            if self.closing:
                core.pool.end_closing(self.freed, self.extra)
            else:
                core.pool.release_slot(self.extra)
        self.closing = False
        self.state = NEW


cdef object wake(object checkout):
    return (<Checkout>checkout).wake()


set_wake(wake)


cdef Checkout moved(Checkout checkout):
    """Move the object to a new checkout. The finaliser of the old one has run, and would not run again."""
    cdef Checkout other = Checkout.__new__(Checkout)
    other.begin(checkout.core, ...)
    other.hold(checkout.index, True)
    other.surplus = checkout.surplus
    checkout.state = ENDED
    return other


# --- for the engine: a checkout's state ---

def core_of(Checkout checkout not None):
    """Return the state of the pool."""
    return checkout.core


def timeout_of(Checkout checkout not None):
    """Return the seconds that its client waits: None for ever, ``...`` for the pool's own."""
    return checkout.timeout


def waker_of(Checkout checkout not None):
    """Return what wakes the task that waits."""
    return checkout.waker


def set_waker(Checkout checkout not None, waker):
    """Set what wakes the task that waits; any thread may call it. A thread needs none."""
    checkout.waker = waker


def holds_object(Checkout checkout not None):
    """Return whether it holds an object that no client has."""
    return checkout.state == HELD


def is_touched(Checkout checkout not None):
    """Return whether its object is not fit for a client: one had it, or a callback that failed."""
    return checkout.touched


def is_from_parent(Checkout checkout not None):
    """Return whether a callback has forked and this is the child, so that the object belongs to the parent."""
    return checkout.from_parent_process()


# --- for the engine: objects, slots and waiting ---

def request(
    Checkout checkout not None,
    bint may_wait,
    uint32_t creation_limit,
    int slot_use=CREATE,
    bint may_wait_for_order=False,
    Checkout order=None,
):
    """Ask for an object, or for a slot for one; return one of the answers above.

    `creation_limit` is how many objects may be in creation at once. After QUEUED a thread calls `block`. With ORDER it
    is the checkout `order` that gets the slot, and the client keeps its place in the queue if it may wait for that.
    """
    cdef uint32_t index = kNone
    cdef ObjectPool* pool = checkout.begin_here()
    cdef Terms terms
    terms.may_wait = may_wait
    terms.may_wait_for_order = may_wait_for_order
    terms.slot_use = <SlotUse>slot_use
    terms.creation_limit = creation_limit
    if order is not None:
        order.begin_here()
    elif terms.slot_use == SlotUse.order:
        raise TypeError("a checkout for the order is missing")
    if may_wait or may_wait_for_order:
        checkout.prepare_to_wait()
    cdef AcquireResult result = pool.acquire(checkout.waiter, precise_ns(), terms, index)
    cdef Checkout owner = order if terms.slot_use == SlotUse.order else checkout
    if result == AcquireResult.found:
        checkout.hold(index, False)
    elif result == AcquireResult.slot:
        owner.extra = False
        owner.state = SLOT
    checkout.queued = result == AcquireResult.queued or (
        result == AcquireResult.slot and owner is order and may_wait_for_order
    )
    if not checkout.queued:
        checkout.leave_queue()
    checkout.core.wake_waiters()
    if result == AcquireResult.found and checkout.core.is_due_out(&pool.table[index]):
        return DUE
    return <int>result


def request_slot(Checkout checkout not None, uint32_t wanted, uint32_t creation_limit):
    """Get a slot if the pool has fewer than `wanted` objects, and fewer than that limit are in creation.

    Returns whether it got one.
    """
    if not checkout.begin_here().acquire_slot(wanted, creation_limit):
        return False
    checkout.extra = False
    checkout.state = SLOT
    return True


def add_extra_slot(Checkout checkout not None):
    """Get a slot beyond the pool's size."""
    checkout.add_extra_slot()


def split_slot(Checkout checkout not None):
    """Move the slot of an object that is to be closed to a checkout of its own, and free it for another object."""
    if checkout.state != SLOT:
        raise RuntimeError("the checkout has no slot")
    cdef Checkout other = Checkout(checkout.core)
    other.begin_here()
    other.fork_count = checkout.fork_count
    other.extra = checkout.extra
    other.state = SLOT
    checkout.state = NEW
    if not other.from_parent_process():
        other.freed = other.core.pool.begin_closing(other.extra)
        other.closing = True
        other.core.wake_waiters()
    return other


def ring(Checkout checkout not None):
    """Wake the client of a checkout, whether or not the queue has an object for it."""
    if checkout.waker is not None:
        checkout.waker()
    elif checkout.bell is not None:
        checkout.bell.ring()


def wait_for(Checkout checkout not None, uint32_t goal):
    """Enter the queue until `goal` objects exist, or UNTIL_EMPTY; return True if that is so already."""
    cdef ObjectPool* pool = checkout.begin_here()
    checkout.prepare_to_wait()
    checkout.queued = not pool.wait_for(checkout.waiter, goal)
    if not checkout.queued:
        checkout.leave_queue()
    return not checkout.queued


def block(Checkout checkout not None, seconds):
    """Sleep until woken, or for that time; None: for ever. An exception of a signal handler ends the sleep."""
    cdef uint64_t until = FOREVER if seconds is None else precise_ns() + <uint64_t>(1e9 * <double>seconds)
    cdef uint64_t now
    cdef uint32_t one = 1
    cdef long long us
    cdef PyLockStatus status
    cdef Bell bell = checkout.bell
    if bell is None:
        raise RuntimeError("the checkout is not in the queue")
    while True:
        now = precise_ns()
        us = SLICE_US
        if until != FOREVER:
            us = min(us, <long long>((until - now + 999) // 1000) if until > now else 0)
        with nogil:
            status = PyThread_acquire_lock_timed(bell.lock, us, 1)
        if status == PyLockStatus.PY_LOCK_ACQUIRED:
            bell.rung.cas_strong_acq_rel_acquire(one, 0)
            return
        PyErr_CheckSignals()
        if WITHOUT_GIL:
            eval(_RUN_PENDING_CALLS)
        if until != FOREVER and precise_ns() >= until:
            return


def withdraw(Checkout checkout not None):
    """Leave the queue, and hold the object that it was given there, if any; return whether it holds an object."""
    return checkout.withdraw()


def release_all(Checkout checkout not None):
    """Give back whatever it owns, without a callback; then it may be used again."""
    if checkout.core is not None and checkout.state != ENDED:
        checkout.release_all()
