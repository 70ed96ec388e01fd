# One client's checkout. A lease is one.
from libc.stdint cimport uint32_t, uint64_t

from bufpool.objects.core.object_pool cimport ObjectPool, ObjectState, Waiter, Word
from bufpool.objects.native._pool_state cimport PoolCore

cdef extern from "pythread.h":
    ctypedef void* PyThread_type_lock

# NEW ── request_slot; request, if no object is idle ──► SLOT
# NEW ── request: an idle object, or one that it was given in the queue ──► HELD
# SLOT ── install ──► HELD ── remove_object ──► SLOT
# HELD ── hand_out, to a lease ──► LEASED ── take_back ──► HELD
# HELD ── try_release; hand_out, to a client of `acquire` ──► ENDED
#
# `release_all` leads from SLOT and HELD back to NEW. It leaves the queue, returns the object, releases the slot.
cdef enum CheckoutState:
    NEW        # owns nothing, or a position in the queue
    SLOT       # owns a slot of the pool, for an object that is being created or closed
    HELD       # owns an object that no client has
    LEASED     # its client has the object
    ENDED


# What a waiting thread sleeps on: a lock that is opened once to wake it.
cdef class Bell:
    cdef PyThread_type_lock lock
    cdef Word rung

    cdef void ring(self) noexcept


cdef class Checkout:
    cdef PoolCore core
    cdef Waiter waiter
    cdef CheckoutState state
    cdef uint32_t index            # of the object, from HELD on
    cdef uint64_t word             # of the object's node, while it is leased
    cdef uint32_t fork_count       # when it got what it owns
    cdef bint extra                # its slot is one beyond the pool's size
    cdef bint closing              # a worker closes the object that had the slot
    cdef bint freed                # then: the slot is free for another object already
    cdef bint surplus              # the pool was made smaller, and the object has no slot any more
    cdef Word entered              # a lease: its block has begun
    cdef bint over                 # its client had an object and has it no more
    cdef bint touched              # a client, or a callback that did not return, had it: not fit for the next client
    cdef object timeout            # seconds, None or ...
    cdef bint queued               # its client has not seen yet that it left the queue
    cdef object waker              # wakes a task that waits, called by any thread
    cdef Bell bell                 # of a thread that waits

    cdef object begin(self, PoolCore core, object timeout)
    cdef bint from_parent_process(self) noexcept
    cdef ObjectPool* begin_here(self) except NULL
    cdef int add_extra_slot(self) except -1
    cdef object hold(self, uint32_t index, bint used)
    cdef object hand_out(self, ObjectState state)
    cdef bint take_back(self) noexcept
    cdef bint try_release(self) except -1
    cdef object remove_object(self)
    cdef int prepare_to_wait(self) except -1
    cdef void leave_queue(self) noexcept
    cdef object wake(self)
    cdef bint withdraw(self) except -1
    cdef object release_all(self)
    cdef object release_all_without_waking(self)
    cdef object dropped(self)

cdef Checkout moved(Checkout checkout)
