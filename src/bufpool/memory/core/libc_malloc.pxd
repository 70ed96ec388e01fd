# Contract: glibc's malloc, for the libraries beside NumPy.
cdef extern from "bufpool/memory/core/libc_malloc.hpp" namespace "bufpool" nogil:
    bint malloc_settled() noexcept             # true from the first `settle_malloc` on; with another C library, always
    void settle_malloc(bint raised) noexcept   # once a process; if `raised`, with higher thresholds from now on
