# Contract: one request that waits at an arena's limit. No GIL.
from libc.stdint cimport uint64_t

from bufpool.memory.core.arena cimport Arena, Block

cdef extern from "bufpool/memory/core/limit_wait.hpp" namespace "bufpool" nogil:
    cdef cppclass LimitWait:
        bint interrupted              # a signal ended the last step
        bint begin(Arena* arena, size_t nbytes, size_t alignment) noexcept   # false: no memory
        bint waits() noexcept         # false: it may not, or would in vain
        bint time_to_collect() noexcept
        void collected() noexcept
        Block step() noexcept         # 5 ms at most; a served request has left the queue
        bint is_over() noexcept
        uint64_t waited_ns() noexcept
        void end() noexcept
