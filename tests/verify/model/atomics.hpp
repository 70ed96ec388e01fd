// Stands in for core/atomics.hpp when the core is compiled into the model checker: the same operations, by the same names,
// each a step of the explorer on its memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "explorer.hpp"

#define BUFPOOL_LIKELY(x) (x)
#define BUFPOOL_UNLIKELY(x) (x)
#define BUFPOOL_NOINLINE
#define BUFPOOL_COLD

namespace bufpool {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kNoSharing = 128;

template <class T>
class Atomic {
  public:
    Atomic() : Atomic(T{}) {}
    explicit Atomic(T value) : location_(memory().make(value)) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    T load_relaxed() const { return static_cast<T>(memory().load(location_, false)); }
    T load_acquire() const { return static_cast<T>(memory().load(location_, true)); }
    void store_relaxed(T v) { memory().store(location_, v, false); }
    void store_release(T v) { memory().store(location_, v, true); }
    T add_relaxed(T d) { return change(false, false, [d](T v) { return static_cast<T>(v + d); }); }
    T sub_relaxed(T d) { return change(false, false, [d](T v) { return static_cast<T>(v - d); }); }

    bool cas_weak_release_relaxed(T& expected, T desired) { return compare(expected, desired, false, true, false); }
    bool cas_strong_acq_rel_acquire(T& expected, T desired) { return compare(expected, desired, true, true, true); }
    bool cas_weak_relaxed_relaxed(T& expected, T desired) { return compare(expected, desired, false, false, false); }

    // For data that its owner alone touches: a race unless the newest write is the only one that may be read.
    bool raced() const { return !memory().sees_newest(location_); }

  private:
    static model::Explorer& memory() { return *model::Explorer::current_explorer; }

    template <class Function>
    T change(bool acquire, bool release, Function function) {
        return function(static_cast<T>(memory().modify(
            location_, acquire, release, [&](std::uint64_t v) { return function(static_cast<T>(v)); })));
    }
    bool compare(T& expected, T desired, bool acquire, bool release, bool acquire_on_failure) {
        std::uint64_t found = expected;
        const bool done = memory().compare(location_, found, desired, acquire, release, acquire_on_failure);
        expected = static_cast<T>(found);
        return done;
    }

    int location_;
};

// The explorer decides who runs: waiting changes nothing.
struct Backoff {
    void wait() {}
};

}  // namespace bufpool
