# tracemalloc: NumPy reports only the data that it allocates itself, so we report ours.
cdef extern from *:
    """
    // CPython 3.11's header declares these two without extern "C"; our own namespace keeps both declarations apart.
    namespace bufpool_trace {
    extern "C" int PyTraceMalloc_Track(unsigned int domain, uintptr_t address, size_t nbytes);
    extern "C" int PyTraceMalloc_Untrack(unsigned int domain, uintptr_t address);
    }
    static inline void bufpool_track(void* address, size_t nbytes) {
        bufpool_trace::PyTraceMalloc_Track(389047, (uintptr_t)address, nbytes);   // NPY_TRACE_DOMAIN
    }
    static inline void bufpool_untrack(void* address) {
        bufpool_trace::PyTraceMalloc_Untrack(389047, (uintptr_t)address);
    }
    """
    void track "bufpool_track"(void* address, size_t nbytes) noexcept
    void untrack "bufpool_untrack"(void* address) noexcept
