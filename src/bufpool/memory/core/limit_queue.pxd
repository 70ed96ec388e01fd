# Contract: those who wait at an arena's limit, and what they sleep on. The order is said in limit_queue.hpp.
from libc.stdint cimport uint32_t, uint64_t

cdef extern from "bufpool/memory/core/limit_queue.hpp" namespace "bufpool" nogil:
    cdef enum class Slept "bufpool::Slept":
        enough
        rung
        interrupted   # by a signal

    cdef struct Bells:   # no GIL
        void* (*make)() noexcept nogil                            # null: no memory
        void (*open)(void* bell) noexcept nogil                   # must not block; never called twice before a sleep
        Slept (*sleep)(void* bell, uint64_t ns) noexcept nogil    # until it is open, and shuts it again
        uint64_t (*thread)() noexcept nogil                       # a number of the calling thread

    cdef cppclass LimitQueue:
        void set_up(uint64_t timeout_ns, const Bells& bells) noexcept
        uint32_t length() noexcept
