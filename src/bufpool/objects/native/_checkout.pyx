"""A claim as the lifecycle of objects sees it: asking and waiting, and what is done to an object in hand."""

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc

cimport cython

from bufpool.objects.core.object_pool cimport Answer, ObjectNode, ObjectPool, Put, Sieve, kNone, kOwned, kUntilEmpty
from bufpool._core.clock cimport coarse_ns, precise_ns
from bufpool.objects.native._pool_state cimport (
    ENDED,
    HAND,
    PLACE,
    WITHOUT_GIL,
    Bell,
    Claim,
    PoolCore,
    Stage,
    generation,
)

from bufpool._waiting import BREATHE as _BREATHE
from bufpool.errors import FactoryError

cdef extern from "pythread.h":
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    PyLockStatus PyThread_acquire_lock_timed(void* lock, long long microseconds, int intr_flag) noexcept nogil

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

# What `Turn.ask` answers.
OBJECT = <int>Answer.found
ROOM = <int>Answer.room
QUEUED = <int>Answer.queued
FULL = <int>Answer.full
TOO_MANY = <int>Answer.too_many
CLOSED = <int>Answer.closed

UNTIL_EMPTY = <object>kUntilEmpty
FOREVER = (1 << 64) - 1            # ns on the coarse clock

# How long a thread sleeps at most at a time. With the GIL: as long as it likes. Without: CPython may keep for this
# thread objects whose last reference another one dropped, and a lease among them holds what is waited for.
cdef long long SLICE_US = 50000 if WITHOUT_GIL else 1000000 * 3600


# nonecheck: any Python code can make a turn without a claim.
@cython.final
@cython.nonecheck(True)
cdef class Turn:
    """A claim as the lifecycle of objects sees it."""

    def __init__(self, PoolCore core not None):
        self.claim = Claim.__new__(Claim)
        self.claim.begin(core, ...)

    cdef int need(self, Stage stage) except -1:
        """Refuse a call that the lifecycle never makes: the claim has no object, or no place, to work on."""
        if self.claim.stage != stage:
            raise RuntimeError(f"the turn has no {'object in hand' if stage == HAND else 'place'}")
        return 0

    cdef ObjectNode* node(self) except? NULL:
        """Return the node of the object in hand; NULL if a callback has forked, and the object is the parent's."""
        self.need(HAND)
        if self.claim.outlived():
            return NULL
        return &self.claim.core.pool.table[self.claim.index]

    cdef ObjectPool* begin_life(self) except NULL:
        """What the claim gets from now on, it gets in this process, and not in the one that has forked."""
        cdef ObjectPool* pool = self.claim.core.state()
        self.claim.life = generation
        return pool

    def ask(self, bint may_wait, uint32_t growing):
        """Ask for an object, or for a place for one; return one of the answers above.

        `growing` is the most objects that may be in the making at once. A thread then waits by `block`.
        """
        cdef uint32_t index = kNone
        cdef ObjectPool* pool = self.begin_life()
        if may_wait:
            self.claim.make_ready()
        cdef Answer answer = pool.ask(self.claim.waiter, precise_ns(), may_wait, growing, index)
        if answer == Answer.found:
            self.claim.seize(index, False)
        elif answer == Answer.room:
            self.claim.extra = False
            self.claim.stage = PLACE
        self.claim.queued = answer == Answer.queued
        if not self.claim.queued:
            self.claim.leave_queue()
        self.claim.core.rouse()
        return <int>answer

    def watch(self, uint32_t goal):
        """Wait for `goal` objects to exist, or UNTIL_EMPTY. True: that is so."""
        cdef ObjectPool* pool = self.begin_life()
        self.claim.make_ready()
        self.claim.queued = not pool.watch(self.claim.waiter, goal)
        if not self.claim.queued:
            self.claim.leave_queue()
        return not self.claim.queued

    def block(self, seconds):
        """Sleep until woken or until the time is over; None: for ever. For threads. A signal's exception passes."""
        cdef uint64_t until = FOREVER if seconds is None else precise_ns() + <uint64_t>(1e9 * <double>seconds)
        cdef uint64_t now
        cdef uint32_t one = 1
        cdef long long us
        cdef PyLockStatus status
        cdef Bell bell = self.claim.bell
        if bell is None:
            raise RuntimeError("the turn is not in the queue")
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
                eval(_BREATHE)
            if until != FOREVER and precise_ns() >= until:
                return

    @property
    def in_hand(self):
        """Whether there is an object in hand."""
        return self.claim.stage == HAND

    def withdraw(self):
        """Leave the queue; what it was given there is in hand then. Whether there is an object in hand."""
        return self.claim.withdraw()

    def touch(self):
        """Return the object in hand for a callback: from now on it is let go of only by `take_out`, or `untouch`."""
        cdef ObjectNode* node = self.node()
        if node == NULL:
            raise RuntimeError("the object in hand belongs to the parent of this process")
        self.claim.touched = True
        return <object>node.address

    def untouch(self):
        """The callback came back, and the object is sound."""
        cdef ObjectNode* node = self.node()
        self.claim.touched = False
        if node != NULL:
            node.checked = coarse_ns()

    def due(self, bint coming_back):
        """What is due for the object in hand: (drained, used up, lifetime over, beyond the size, check)."""
        cdef ObjectNode* node = self.node()
        cdef uint64_t now = coarse_ns()
        if node == NULL:
            return (False, False, False, False, False)
        return (
            node.drained != self.claim.core.drained,
            self.claim.core.most_uses != 0 and node.uses.load_relaxed() >= self.claim.core.most_uses,
            now >= node.expires,
            node.extra and coming_back,
            not coming_back and self.claim.core.checked_out and now >= node.checked + self.claim.core.check_after,
        )

    def make_extra_place(self):
        """Get a place beyond the pool's size."""
        self.begin_life().add_extra_place()
        self.claim.extra = True
        self.claim.stage = PLACE

    def ask_place(self, uint32_t wanted):
        """Get a place if the pool has less than so many; tell whether."""
        if not self.begin_life().ask_place(wanted):
            return False
        self.claim.extra = False
        self.claim.stage = PLACE
        return True

    def install(self, item, uint64_t lifetime, uint32_t drained):
        """Put a new object into the turn's place, for a lifetime in nanoseconds; it is in hand then."""
        cdef PoolCore core = self.claim.core
        self.need(PLACE)
        if item is None:
            raise FactoryError(f"pool {core.name!r}: the factory returned None, which is no object to pool")
        if self.claim.outlived():
            self.make_extra_place()            # the factory has forked, and this is the child
        cdef uint32_t index = core.pool.install(<void*>item, self.claim.extra)
        if index == kOwned:
            raise FactoryError(
                f"pool {core.name!r}: the factory returned an object that the pool has already: "
                f"{core.engine.show(item)}"
            )
        if index == kNone:
            raise MemoryError(f"pool {core.name!r}: no memory for another object")
        cdef ObjectNode* node = &core.pool.table[index]
        cdef uint64_t now = coarse_ns()
        node.checked = now
        node.since.store_relaxed(now)
        node.expires = FOREVER if lifetime == 0 or lifetime > FOREVER - now else now + lifetime
        node.drained = drained
        self.claim.seize(index, False)
        core.owned[index] = item

    def put(self):
        """Return the object in hand to the pool. A word ("drained", "overflow", ...): it is not kept."""
        return self.put_somewhere(False)

    def put_back_unused(self, *, bint checked=False, bint in_any_case=False):
        """The same with an object that no client has used, to where it was among the idle ones.

        `in_any_case`: it is kept, so that whoever looks next does what is due.
        """
        cdef ObjectNode* node = self.node()
        if checked and node != NULL:
            node.checked = coarse_ns()
        if node == NULL or not in_any_case:
            return self.put_somewhere(True)
        self.claim.core.pool.put_back_unused(self.claim.index, True)
        self.claim.stage = ENDED
        self.claim.core.rouse()
        return ""

    cdef str put_somewhere(self, bint unused):
        cdef PoolCore core = self.claim.core
        cdef uint32_t index = self.claim.index
        cdef Put put
        self.need(HAND)
        if self.claim.outlived():
            self.claim.let_go()
            return ""
        # Perhaps while a callback had it.
        if core.pool.table[index].drained != core.drained:
            return "drained"
        if core.pool.table[index].extra:
            return "overflow"
        put = core.pool.put_back_unused(index, False) if unused else core.put(&self.claim.index)
        if put == Put.surplus:
            return "resized"
        if put == Put.closed:
            return "closed"
        self.claim.stage = ENDED
        core.rouse()
        return ""

    def take_out(self):
        """Take the object in hand out of the pool and return it; the turn has its place until `give_up`."""
        if self.node() == NULL:
            raise RuntimeError("the object in hand belongs to the parent of this process")
        return self.claim.out_of_pool()

    def give_up(self):
        """Give back whatever there is; then it may ask again."""
        if self.claim.stage != ENDED:
            self.claim.let_go()

    @property
    def core(self):
        """The pool's state."""
        return self.claim.core

    @property
    def timeout(self):
        """Seconds that its client waits, None for ever, ``...`` as the pool says."""
        return self.claim.timeout

    @property
    def touched(self):
        """Whether the object in hand is not fit for a client: it came from one, or from a callback that failed."""
        return self.claim.touched

    @property
    def inherited(self):
        """Whether a callback has forked, and this is the child: what is in hand is the parent's."""
        return self.claim.outlived()

    @property
    def surplus(self):
        """Whether the pool was made smaller, and the object in hand is one too many."""
        return self.claim.surplus

    @property
    def waker(self):
        """What wakes the task that waits; any thread may call it. A thread has a lock instead."""
        return self.claim.waker

    @waker.setter
    def waker(self, waker):
        self.claim.waker = waker


cdef Turn moved(Claim claim):
    """A turn of its own with the object in hand: a claim's finaliser is called once, and would not see to its end."""
    cdef Turn turn = Turn(claim.core)
    turn.claim.seize(claim.index, True)
    turn.claim.surplus = claim.surplus
    claim.stage = ENDED
    return turn


cdef Turn turn_of(Claim claim):
    cdef Turn turn = Turn.__new__(Turn)
    turn.claim = claim
    return turn


def discarded(PoolCore core not None, item):
    """A turn with the object in hand that a client had, through a lease or not; None in a fork's child."""
    cdef uint32_t index = core.grab(item, True)
    if index == kNone:
        return None
    cdef Turn turn = Turn(core)
    turn.claim.seize(index, True)
    turn.claim.touched = True
    return turn


def sift(list turns not None, *, uint64_t idle_before=0, uint32_t most=0, uint64_t checked_before=0):
    """Take idle objects out for which it is time, one into each of `turns`, new ones of one pool; return how many.

    Those whose lifetime is over and those made before a draining; of those idle since before `idle_before` the oldest
    `most`; those not checked since `checked_before`.
    """
    cdef uint32_t room = <uint32_t>len(turns)
    cdef PoolCore core = (<Turn?>turns[0]).core
    if any([(<Turn?>turn).core is not core for turn in turns]):
        raise ValueError("the turns are of several pools")
    cdef uint32_t* indices = <uint32_t*>malloc(room * sizeof(uint32_t))
    if indices == NULL:
        raise MemoryError()
    cdef Sieve sieve
    sieve.now = coarse_ns()
    sieve.idle_before = idle_before
    sieve.most = most
    sieve.checked_before = checked_before
    sieve.drained = core.drained
    cdef uint32_t found = core.state().sift(sieve, indices, room)
    cdef uint32_t i
    for i in range(found):
        (<Turn>turns[i]).claim.seize(indices[i], False)
    free(indices)
    return found


def call_within(variable, entry, function, tuple args):
    """Call the function with one more entry in a context variable's tuple: nobody is in it when that is over.

    Compiled: nothing can interrupt it between the change and the call, or before the change is undone.
    """
    token = variable.set((*variable.get(), entry))
    try:
        return function(*args)
    finally:
        entry.context = None
        reset(variable, token)


def reset(variable, token):
    """As ``variable.reset(token)``, on CPython 3.11 without a collection of garbage in the middle of it."""
    cdef bint collects = RESET_MAY_COLLECT and PyGC_Disable()
    try:
        variable.reset(token)
    finally:
        if collects:
            PyGC_Enable()
