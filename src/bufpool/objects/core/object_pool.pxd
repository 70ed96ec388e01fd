# Contract: who has which object, and who waits. Any thread, no GIL, no Python object.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "bufpool/objects/core/object_pool.hpp" namespace "bufpool" nogil:
    const uint32_t kNone           # no object
    const uint32_t kOwned          # install: the pool has that one already
    const uint32_t kUntilEmpty     # a goal: nothing is left of a closed pool

    cdef enum class Standing "bufpool::Standing":
        spare
        idle
        busy           # in the pool's own hand
        lent           # a lease has it
        out            # a client has it

    cdef enum class Answer "bufpool::Answer":
        found
        room           # a place, for an object that the caller makes
        queued
        full
        too_many
        closed

    cdef enum class Put "bufpool::Put":
        kept
        serve          # kept; call serve()
        surplus        # no place's object any more: close it
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
        LongWord word          # of the checkout that is going on, with its standing
        Standing standing() noexcept
        @staticmethod
        Standing standing_of(uint64_t word) noexcept
        uint64_t hand_out(Standing standing) noexcept          # the word of the checkout
        bint take_back(uint64_t checkout) noexcept             # into the caller's hand, once
        Word uses              # checkouts
        Word told              # reported as a leak
        LongWord since         # coarse ns: out or idle since then
        LongWord thread
        uint64_t expires       # coarse ns
        uint64_t checked       # coarse ns: made, used or checked last
        uint32_t drained       # the pool's count of drainings when it was made
        bint extra             # beyond the pool's size
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
        void* owner            # the Turn that it lies in
        uint32_t goal
        State state
        bint kept              # whether the queue has a reference to the owner

    cdef struct Sieve:
        uint64_t now
        uint64_t idle_before
        uint32_t most
        uint64_t checked_before
        uint32_t drained

    cdef struct Held:
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
        void set_up(uint32_t most, uint32_t most_waiting, bint fair, bint fifo, void (*keep)(void*) noexcept) noexcept
        uint32_t take() noexcept
        Put put(uint32_t& index) noexcept                      # surplus, closed: perhaps of another object
        bint needs_attention() noexcept
        Answer ask(Waiter& waiter, uint64_t now, bint may_wait, uint32_t growing, uint32_t& index) noexcept
        bint watch(Waiter& waiter, uint32_t goal) noexcept
        bint withdraw(Waiter& waiter, uint32_t& index) noexcept
        Waiter* serve(uint64_t now) noexcept
        void add_extra_place() noexcept
        bint ask_place(uint32_t wanted) noexcept
        uint32_t install(void* address, bint extra) noexcept
        bint take_out(uint32_t index) noexcept                 # whether its place is one beyond the size
        void give_up_place(bint extra) noexcept
        uint32_t sift(const Sieve& sieve, uint32_t* indices, uint32_t room) noexcept
        Put put_back_unused(uint32_t index, bint in_any_case) noexcept
        void close() noexcept
        void go_on() noexcept
        void resize(uint32_t most) noexcept
        uint32_t find(const void* address, uint64_t& word) noexcept
        void* look(uint32_t index, uint64_t checkout) noexcept  # with a reference; null: that checkout is over
        uint32_t held(uint64_t before, bint tell, Held* out, uint32_t room) noexcept
        uint32_t size() noexcept
        uint32_t max() noexcept
        uint32_t idle() noexcept
        uint32_t peak() noexcept
        uint32_t extra() noexcept
        uint32_t waiting() noexcept
        uint32_t existing() noexcept
        bint closed() noexcept
        bint was_closed() noexcept
        uint64_t reused() noexcept
