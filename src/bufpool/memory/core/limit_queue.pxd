# Contract: the queue at an arena's limit, and the events on which its threads sleep. The order: see limit_queue.hpp.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "bufpool/memory/core/limit_queue.hpp" namespace "bufpool" nogil:
    cdef enum class SleepResult "bufpool::SleepResult":
        timed_out
        woken
        interrupted   # by a signal

    cdef struct EventFunctions:   # no GIL
        void* (*make)() noexcept nogil                            # null: no memory
        void (*open)(void* event) noexcept nogil                   # must not block; never called twice before a sleep
        SleepResult (*sleep)(void* event, uint64_t ns) noexcept nogil    # until it is open, and shuts it again
        uint64_t (*thread)() noexcept nogil                       # a number of the calling thread

    cdef cppclass LimitQueue:
        void set_up(uint64_t timeout_ns, const EventFunctions& functions) noexcept
        uint32_t length() noexcept
