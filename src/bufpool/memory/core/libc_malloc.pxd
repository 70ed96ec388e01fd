# Contract: glibc's malloc, for the libraries beside NumPy.
cdef extern from "bufpool/memory/core/libc_malloc.hpp" namespace "bufpool" nogil:
    bint malloc_configured() noexcept             # true after the first `configure_malloc`; always without glibc
    void configure_malloc(bint raised) noexcept   # once a process; `raised`: with higher thresholds from now on
