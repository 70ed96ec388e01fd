# Contract: the queue at an arena's limit, and the events on which its threads sleep. The order: see limit_queue.hpp.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "bufpool/memory/core/limit_queue.hpp" namespace "bufpool" nogil:
    cdef enum class SleepResult "bufpool::SleepResult":
        timed_out
        woken
        interrupted   # by a signal

    cdef struct EventFunctions:   # no GIL
        void* (*create)() noexcept nogil                              # null: no memory
        void (*set)(void* event) noexcept nogil                       # must not block; never called twice before a wait
        SleepResult (*wait)(void* event, uint64_t ns) noexcept nogil  # until it is set, and resets it
        uint64_t (*thread_id)() noexcept nogil                        # of the calling thread

    cdef cppclass LimitQueue:
        void set_up(uint64_t timeout_ns, const EventFunctions& functions) noexcept
        uint32_t length() noexcept
