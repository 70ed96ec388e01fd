# An object pool as Python's layers hold it, and what it gave to one client.
from libc.stdint cimport uint32_t, uint64_t

cimport cython

from bufpool.objects.core.object_pool cimport ObjectNode, ObjectPool, Put, Standing, Waiter, Word

cdef extern from "pythread.h":
    ctypedef void* PyThread_type_lock

cdef extern from *:
    """
    #if defined(Py_GIL_DISABLED)
    #define BUFPOOL_WITHOUT_GIL 1
    #else
    #define BUFPOOL_WITHOUT_GIL 0
    #endif
    """
    const bint WITHOUT_GIL "BUFPOOL_WITHOUT_GIL"

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030D0000
    #define bufpool_is_finalizing Py_IsFinalizing
    #else
    #define bufpool_is_finalizing _Py_IsFinalizing
    #endif
    """
    # The interpreter's end kills daemon threads, with whatever they have locked. From then on a callback of the
    # user's, a log record or an import could wait for ever; and Python's modules lose their names.
    bint is_finalizing "bufpool_is_finalizing"() noexcept

# Forks between the import of this module and this process. It changes only in a fork itself, before any other code runs
# in the child, and so needs no memory order.
cdef uint32_t generation


@cython.final
cdef class PoolCore:
    cdef ObjectPool* pool          # never null; for those who have something of it. All others ask `state`
    cdef dict owned                # number of an object: the object
    cdef tuple inherited           # what a fork's child must keep, and not use: objects of the parent
    cdef Word life                 # the generation of `pool`
    cdef uint32_t most_waiting
    cdef bint fair
    cdef bint lifo
    cdef dict traces               # number of an object that is out: what is known of its checkout, if it was sampled
    cdef readonly str name
    cdef readonly object engine  # what happens to objects on their way: the slow paths, in Python
    cdef bint debug                # every checkout is traced
    cdef bint dated                # times of use are needed: objects age, or are checked
    cdef bint expires              # lifetimes end
    cdef bint checked_out          # checked on checkout, ...
    cdef uint64_t check_after      # ... after so many ns idle
    cdef bint treated_in           # reset or checked on return
    cdef uint32_t most_uses        # 0: no bound
    cdef uint32_t drained          # how often
    cdef object __weakref__

    cdef bint due_out(self, ObjectNode* node) noexcept
    cdef bint due_in(self, ObjectNode* node) noexcept
    cdef bint spent(self, ObjectNode* node) noexcept
    cdef Put put(self, uint32_t* index) noexcept       # surplus, closed: perhaps of another object
    cdef object trace(self, uint32_t index)
    cdef object untrace(self, uint32_t index)
    cdef object rouse(self)
    cdef int begin_life(self, uint32_t most) except -1
    cdef ObjectPool* begin_anew(self) except NULL

    cdef inline ObjectPool* state(self) except NULL:
        """Return the state of this process: in the child of a fork, a new one."""
        return self.pool if self.life.load_acquire() == generation else self.begin_anew()

    cdef bint is_inherited(self, object item) except -1
    cdef uint32_t grab(self, object item, bint leased) except? 0xFFFFFFFF


cdef enum Stage:
    NEW        # has nothing; may be in the queue
    PLACE      # has a place in the pool, for an object that is made or was taken out
    HAND       # has an object in hand
    LENT       # its object is with the client
    ENDED


# What a thread sleeps on: a lock that is open once it was rung.
cdef class Bell:
    cdef PyThread_type_lock lock
    cdef Word rung

    cdef void ring(self) noexcept


cdef class Claim:
    cdef PoolCore core
    cdef Waiter waiter
    cdef Stage stage
    cdef uint32_t index            # of the object, from HAND on
    cdef uint64_t checkout         # the object's word, while it is lent
    cdef uint32_t life             # the generation in which it got what it has
    cdef bint extra                # its place is one beyond the pool's size
    cdef bint surplus              # the pool was made smaller, and the object in hand is one too many
    cdef Word entered              # a lease: its block, once
    cdef bint over                 # its client had an object and has it no more
    cdef bint touched              # a client, or a callback that did not return, had it: not fit for the next client
    cdef object timeout            # seconds, None or ...
    cdef bint queued               # it is in the queue, as far as its client knows
    cdef object waker              # wakes a task that waits, called by any thread
    cdef Bell bell                 # of a thread that waits

    cdef object begin(self, PoolCore core, object timeout)
    cdef object lend(self, Standing standing)
    cdef bint take_back(self) noexcept
    cdef bint settle(self) except -1
    cdef object seize(self, uint32_t index, bint used)
    cdef object signal(self)
    cdef bint withdraw(self) except -1
    cdef object let_go(self)
    cdef object drop_all(self)
    cdef object dropped(self)
    cdef void leave_queue(self) noexcept
    cdef bint outlived(self) noexcept
    cdef int make_ready(self) except -1
    cdef object out_of_pool(self)
