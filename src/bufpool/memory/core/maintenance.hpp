// The maintenance thread: one for the process, which does what time brings while no thread calls the pools.
//
// It is started when a pool gets more memory than it may keep for ever, and ends when none has. It is no thread of
// Python's and touches nothing of Python's: it may be there while the interpreter ends, and then ends with the process. It
// only tries the arenas' locks. A fork's child has none; its first growth or large return starts one.
//
// Where it cannot start (a limit on threads), and for arenas that do without it, growth and returns look at the clock.
#pragma once

#include "bufpool/_core/atomics.hpp"

namespace bufpool {

struct Maintenance {
    // Starts the thread if there is none. Any thread, without a lock; never waits, never fails.
    static void ensure() noexcept {
        if (BUFPOOL_UNLIKELY(state.load_relaxed() == kNone)) start();
    }
    // In a fork's child, which has inherited no thread.
    static void forget() noexcept;

    static constexpr std::uint32_t kNone = 0, kRunning = 1;
    static Atomic<std::uint32_t> state;

    static void run() noexcept;           // the thread

  private:
    static void start() noexcept;
    static std::uint64_t round(std::uint64_t now) noexcept;   // ns until the next one; 0: there is nothing to do
};

}  // namespace bufpool
