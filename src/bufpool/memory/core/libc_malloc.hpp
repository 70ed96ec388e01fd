// glibc's malloc, which serves everything beside NumPy.
//
// glibc maps a block of at least its mmap threshold by itself and unmaps it when it is freed, and returns the top of its
// heap to the system from its trim threshold up: 128 KiB both, at first. When a mapped block of at most 32 MiB is freed, the
// thresholds rise to its size and twice that (mallopt(3)). Large arrays of a plain NumPy program have that effect for
// every library in the process. With a pool glibc never sees them, and a decoder's buffers of some MiB cost page faults in
// each round (measured: 2,018 in a round with three of 2.8 MB; none with the thresholds raised).
//
// So one block of that largest size is requested and freed, untouched: glibc then does what it does by itself. mallopt
// with 32 and 64 MiB measures the same, but would also lower a threshold that the program has set higher. This way
// has no effect there, because mallopt and environment variables turn the automatic adjustment off. At most 64 MiB at the top
// of a heap stay longer, as in a plain program whose arrays have 32 MiB.
#pragma once

#include <cstdlib>

#include "bufpool/_core/atomics.hpp"

#if defined(__GLIBC__)
#include <unistd.h>
#endif

namespace bufpool {

#if defined(__GLIBC__)

inline Atomic<std::uint32_t> g_malloc_configured;  // relaxed: doing it twice does no harm

inline bool malloc_configured() noexcept { return g_malloc_configured.load_relaxed() != 0; }

// Called once a process. `raise`: raise glibc's thresholds.
inline void configure_malloc(bool raise) noexcept {
    if (raise) {
        // glibc's DEFAULT_MMAP_THRESHOLD_MAX. Two pages less: one is for the header, and the size with its flag bits must
        // not be above the bound.
        constexpr std::size_t kMost = sizeof(long) == 4 ? std::size_t{512} << 10 : std::size_t{32} << 20;
        void* volatile block = std::malloc(kMost - 2 * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
        std::free(block);  // volatile: a compiler may remove a pair of calls without an effect
    }
    g_malloc_configured.store_relaxed(1);
}

#else

inline bool malloc_configured() noexcept { return true; }
inline void configure_malloc(bool) noexcept {}

#endif

}  // namespace bufpool
