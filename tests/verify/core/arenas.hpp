// Shared by the programs about arenas: arenas with few settings, the final checks, and a barrier.
#pragma once

#include "bufpool/memory/core/arena.hpp"
#include "check.hpp"

#include <atomic>

namespace bufpool {

struct Settings {
    std::uint64_t limit = kUnlimited;
    std::uint64_t max_retained = kUnlimited;
    std::uint64_t min_retained = 0;
    std::uint64_t max_idle_ns = 0;
    bool wipe = false;
    Upstream upstream{Pages::plain, false, false};
    std::size_t alignment = kGranule;
};

inline ArenaConfig config_of(const Settings& settings) {
    ArenaConfig config{};
    config.limit = settings.limit;
    config.max_retained = settings.max_retained;
    config.min_retained = settings.min_retained;
    config.max_idle_ns = settings.max_idle_ns;
    config.alignment = settings.alignment;
    config.upstream = settings.upstream;
    config.wipe = settings.wipe;
    config.maintenance_thread = true;
    return config;
}

inline Arena* make(const Settings& settings) {
    Arena* const arena = Arena::create(config_of(settings));
    CHECK(arena != nullptr);
    return arena;
}

inline std::uint64_t idle_in(Arena* arena) {
    return arena->counters.reserved.load_relaxed() - arena->counters.used.load_relaxed();
}

// Bytes.
inline std::uint64_t dropped(Arena* arena, Drop reason) {
    return arena->counters.dropped_bytes[static_cast<std::uint32_t>(reason)].load_relaxed();
}

// Checks that every block was released and nothing leaked; abandons the arena, so that it can be reused.
inline void all_back(Arena* arena) {
    arena->trim(0);
    CHECK(arena->cached_bytes() == 0);
    CHECK(arena->counters.used.load_relaxed() == 0);
    CHECK(arena->counters.reserved.load_relaxed() == 0);
    CHECK(arena->counters.mapped.load_relaxed() == 0);
    for (std::uint32_t c = 0; c < kClassCount; ++c) CHECK(arena->read_class(c).existing == 0);
    arena->abandon();
}

// Two or more threads that begin a step together, as nearly as the machine allows. It orders them, like any barrier.
class Together {
  public:
    explicit Together(unsigned threads) : threads_(threads) {}
    void wait() {
        const unsigned turn = turn_.load();
        if (come_.fetch_add(1) + 1 == threads_) {
            come_.store(0);
            turn_.fetch_add(1);
        } else {
            for (unsigned spins = 0; turn_.load() == turn; ++spins) {
                if (spins > 1000) cpu_yield();
            }
        }
    }

  private:
    const unsigned threads_;
    std::atomic<unsigned> come_{0}, turn_{0};
};

}  // namespace bufpool
