// L0 · Atomics, named by memory order, so that a reader sees a wrong one.
//
// A thin coat over std::atomic and nothing else: no std::mutex, no exceptions, no allocation, so that the
// extension needs no C++ run-time library. Everything above includes this header instead of <atomic>; a model
// checker replaces this one file.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <sched.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define BUFPOOL_LIKELY(x) __builtin_expect(!!(x), 1)
#define BUFPOOL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define BUFPOOL_NOINLINE __attribute__((noinline))
#define BUFPOOL_COLD __attribute__((noinline, cold))
#else
#define BUFPOOL_LIKELY(x) (x)
#define BUFPOOL_UNLIKELY(x) (x)
#define BUFPOOL_NOINLINE __declspec(noinline)
#define BUFPOOL_COLD __declspec(noinline)
#endif

namespace bufpool {

// The unit in which two cores fight over memory. 64 bytes on every target but some arm64 (128); a pair of
// neighbouring lines is what x86's prefetcher fetches, so hot words stand 128 bytes apart.
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kNoSharing = 128;

template <class T>
class Atomic {
  public:
    constexpr Atomic() noexcept : value_() {}
    constexpr explicit Atomic(T value) noexcept : value_(value) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    T load_relaxed() const noexcept { return value_.load(std::memory_order_relaxed); }
    T load_acquire() const noexcept { return value_.load(std::memory_order_acquire); }
    void store_relaxed(T v) noexcept { value_.store(v, std::memory_order_relaxed); }
    void store_release(T v) noexcept { value_.store(v, std::memory_order_release); }
    T exchange_acq_rel(T v) noexcept { return value_.exchange(v, std::memory_order_acq_rel); }

    // Each returns the value *after* the operation.
    T add_relaxed(T d) noexcept { return value_.fetch_add(d, std::memory_order_relaxed) + d; }
    T or_relaxed(T bits) noexcept { return value_.fetch_or(bits, std::memory_order_relaxed) | bits; }
    T sub_relaxed(T d) noexcept { return value_.fetch_sub(d, std::memory_order_relaxed) - d; }

    // On failure `expected` holds what was found, read with the weaker order named second.
    bool cas_weak_acquire_acquire(T& expected, T desired) noexcept {
        return value_.compare_exchange_weak(expected, desired, std::memory_order_acquire,
                                            std::memory_order_acquire);
    }
    bool cas_weak_release_acquire(T& expected, T desired) noexcept {
        return value_.compare_exchange_weak(expected, desired, std::memory_order_release,
                                            std::memory_order_acquire);
    }
    bool cas_strong_acq_rel_acquire(T& expected, T desired) noexcept {
        return value_.compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                              std::memory_order_acquire);
    }
    bool cas_weak_relaxed_relaxed(T& expected, T desired) noexcept {
        return value_.compare_exchange_weak(expected, desired, std::memory_order_relaxed,
                                            std::memory_order_relaxed);
    }
    // A word that one thread alone writes and others may read: no locked instruction.
    void add_single_writer(T d) noexcept { store_relaxed(load_relaxed() + d); }

    // Raises the word to `v` if it is below: a maximum that never loses a larger value.
    void raise_relaxed(T v) noexcept {
        T seen = load_relaxed();
        while (seen < v && !cas_weak_relaxed_relaxed(seen, v)) {
        }
    }

  private:
    std::atomic<T> value_;
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "bufpool needs a lock-free 64-bit CAS");

inline void cpu_yield() noexcept {
#if defined(_WIN32)
    SwitchToThread();
#else
    sched_yield();
#endif
}

// Guards growth and trimming only, never the hot paths; a deallocation only ever *tries* it. It is a word and not
// a mutex of the system so that a fork's child can open it again (Arena::after_fork).
class Lock {
  public:
    bool try_lock() noexcept {
        std::uint32_t open = 0;
        return held_.cas_strong_acq_rel_acquire(open, 1);
    }
    void lock() noexcept {
        while (!try_lock()) cpu_yield();
    }
    void unlock() noexcept { held_.store_release(0); }

  private:
    Atomic<std::uint32_t> held_;
};

class LockGuard {
  public:
    explicit LockGuard(Lock& lock) noexcept : lock_(lock) { lock_.lock(); }
    ~LockGuard() { lock_.unlock(); }
    LockGuard(const LockGuard&) = delete;
    LockGuard& operator=(const LockGuard&) = delete;

  private:
    Lock& lock_;
};

}  // namespace bufpool
