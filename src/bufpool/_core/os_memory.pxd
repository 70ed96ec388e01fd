# Contract: the operating system's memory.
from libc.stdint cimport uint64_t

cdef extern from "bufpool/_core/os_memory.hpp" namespace "bufpool" nogil:
    const size_t kHugePage                             # 2 MiB

    cdef enum class Pages "bufpool::Pages":
        plain          # the system's small pages
        huge_advised   # transparent huge pages where they fit
        huge_explicit  # from the system's reserve; advised where that is empty
        malloc         # the C library's allocator; large blocks are not recycled

    cdef struct Upstream:
        Pages pages
        bint lock      # mlock
        bint prefault  # touched when mapped

    void touch_pages(void* start, size_t nbytes) noexcept   # contents stay
    uint64_t physical_memory() noexcept                      # bytes, or what a Windows job allows; 0 if unknown
