# Contract: which client has which object, and which clients wait. Any thread, no GIL, no Python object.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "bufpool/objects/core/object_pool.hpp" namespace "bufpool" nogil:
    const uint32_t kNone           # no object
    const uint32_t kOwned          # install: the pool has that one already
    const uint32_t kUntilClosed    # a goal: no object is being closed
    const uint32_t kUntilEmpty     # a goal: nothing is left of a closed pool

    cdef enum class ObjectState "bufpool::ObjectState":
        unused
        idle
        busy           # held by the pool itself
        leased         # a lease has it
        acquired       # a client has it

    cdef enum class AcquireResult "bufpool::AcquireResult":
        found
        slot           # for an object that the caller creates
        queued
        full
        too_many
        closed

    cdef enum class SlotUse "bufpool::SlotUse":
        create
        order
        none

    cdef struct Terms:
        bint may_wait              # for objects of others
        bint may_wait_for_order    # for any object while its own is in creation
        SlotUse slot_use
        uint32_t creation_limit

    cdef enum class ReleaseResult "bufpool::ReleaseResult":
        kept
        wake           # kept; call next_to_wake()
        surplus        # it has no slot any more: close it
        closed         # not kept

    cdef cppclass Word "bufpool::Atomic<std::uint32_t>":
        uint32_t load_relaxed() noexcept
        uint32_t load_acquire() noexcept
        void store_relaxed(uint32_t) noexcept
        void store_release(uint32_t) noexcept
        bint cas_strong_acq_rel_acquire(uint32_t& expected, uint32_t desired) noexcept

    cdef cppclass LongWord "bufpool::Atomic<std::uint64_t>":
        uint64_t load_relaxed() noexcept
        uint64_t load_acquire() noexcept
        void store_relaxed(uint64_t) noexcept

    cdef cppclass ObjectNode:
        LongWord word          # of the checkout that is going on, with its state
        ObjectState state() noexcept
        @staticmethod
        ObjectState state_of(uint64_t word) noexcept
        uint64_t hand_out(ObjectState state) noexcept          # the word of the checkout
        bint take_back(uint64_t checkout) noexcept             # once; the caller holds the object then
        Word uses              # checkouts
        Word leak_reported
        LongWord since         # coarse ns: in use or idle since then
        LongWord thread
        uint64_t expires       # coarse ns
        uint64_t checked       # coarse ns: created, used or checked last
        uint32_t drain_count   # of the pool when it was created
        bint extra             # beyond the pool's size
        bint on_its_way        # new, and not idle yet
        bint traced            # the stack of this checkout is kept
        void* address          # borrowed from the pool's own table

    cdef cppclass ObjectTable:
        ObjectNode& operator[](uint32_t index) noexcept

    cdef cppclass Waiter:
        enum State:
            off
            queued
            woken
            given
            refused
        void* owner            # the Checkout that it is part of
        uint32_t goal
        State state
        bint kept              # whether the queue has a reference to the owner

    cdef struct IdleFilter:
        uint64_t now
        uint64_t idle_before
        uint32_t most
        uint64_t checked_before
        uint32_t drain_count

    cdef struct HeldObject:
        uint32_t index
        uint64_t since
        uint64_t thread
        void* address

    cdef cppclass ObjectPool:
        ObjectTable table
        @staticmethod
        ObjectPool* make() noexcept                            # null: no memory
        @staticmethod
        void destroy(ObjectPool* pool) noexcept
        void set_up(uint32_t max_size, uint32_t max_waiting, bint fair, bint fifo,
                    void (*add_reference)(void*) noexcept) noexcept
        uint32_t try_acquire() noexcept
        ReleaseResult release(uint32_t& index) noexcept        # surplus, closed: perhaps of another object
        bint needs_slow_path() noexcept
        AcquireResult acquire(Waiter& waiter, uint64_t now, const Terms& terms, uint32_t& index) noexcept
        uint32_t acquire_at_once(Waiter& waiter, uint64_t now) noexcept   # kNone: there is none
        bint wait_for(Waiter& waiter, uint32_t goal) noexcept
        bint withdraw(Waiter& waiter, uint32_t& index) noexcept
        Waiter* next_to_wake(uint64_t now) noexcept
        void add_extra_slot() noexcept
        bint acquire_slot(uint32_t wanted, uint32_t creation_limit) noexcept
        uint32_t install(void* address, bint extra, bint for_others) noexcept
        ReleaseResult release_new(uint32_t& index) noexcept    # as `release`
        bint remove(uint32_t index) noexcept                   # whether its slot is one beyond the size
        void release_slot(bint extra) noexcept
        bint begin_closing(bint extra) noexcept                # whether that freed the slot
        void end_closing(bint freed, bint extra) noexcept
        uint32_t collect_idle(const IdleFilter& filter, uint32_t* indices, uint32_t room) noexcept
        ReleaseResult release_unused(uint32_t index, bint in_any_case) noexcept
        void close() noexcept
        void resume_creation() noexcept
        void set_max_size(uint32_t max_size) noexcept
        uint32_t find(const void* address, uint64_t& word) noexcept
        void* look(uint32_t index, uint64_t checkout) noexcept  # with a reference; null: that checkout is over
        uint32_t held(uint64_t before, bint report, HeldObject* out, uint32_t room) noexcept
        uint32_t size() noexcept
        uint32_t max_size() noexcept
        uint32_t idle() noexcept
        uint32_t peak() noexcept
        uint32_t extra() noexcept
        uint32_t creating() noexcept
        uint32_t waiting() noexcept
        uint32_t existing() noexcept
        void count_first_use() noexcept                        # of a new object that was popped
        bint closed() noexcept
        bint was_closed() noexcept
        uint64_t reused() noexcept
