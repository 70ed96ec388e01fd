# Contract: the clock.
from libc.stdint cimport uint64_t

cdef extern from "bufpool/_core/clock.hpp" namespace "bufpool" nogil:
    uint64_t coarse_ns "bufpool::monotonic_ns" () noexcept   # milliseconds, and cheap
    uint64_t precise_ns() noexcept                           # exact, from a zero of its own
