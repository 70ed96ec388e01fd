// The maintenance thread: one for the process. It ages the pools' idle memory while no thread calls the pools.
//
// It starts when a pool gets more memory than it may keep for ever, and ends when no pool has so much. It is no Python thread
// and uses nothing of Python: it may still run while the interpreter ends, and then ends with the process. It only tries the
// arenas' locks. A fork's child has no such thread; its first growth or large release starts one.
//
// Where it cannot start (a limit on threads), and for arenas without it, growth and releases read the clock.
#pragma once

#include "bufpool/_core/atomics.hpp"

namespace bufpool {

struct Maintenance {
    // Starts the thread if there is none. For any thread, without a lock; never waits, never fails.
    static void ensure() noexcept {
        if (BUFPOOL_UNLIKELY(state.load_relaxed() == kNone)) start();
    }
    // In a fork's child, which has no such thread.
    static void forget() noexcept;

    static constexpr std::uint32_t kNone = 0, kRunning = 1;
    static Atomic<std::uint32_t> state;

    static void run() noexcept;           // the thread

  private:
    static void start() noexcept;
    static std::uint64_t round(std::uint64_t now) noexcept;   // ns until the next one; 0: there is nothing to do
};

}  // namespace bufpool
