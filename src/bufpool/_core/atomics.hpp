// Atomics, named by memory order, so that a reader sees a wrong one.
//
// A thin layer over std::atomic and nothing else: no std::mutex, no exceptions, no allocation, so that the
// extension needs no C++ run-time library. Everything above includes this header instead of <atomic>; a model
// checker replaces this one file.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#if !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN
#endif
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
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

inline void cpu_yield() noexcept {
#if defined(_WIN32)
    SwitchToThread();
#else
    sched_yield();
#endif
}

// A stress build yields the processor before about every 16th atomic operation, so that threads meet within a few instructions
// of each other. In other builds this does nothing.
#if defined(BUFPOOL_INJECT_YIELDS)
inline void before_atomic() noexcept {
    static thread_local std::uint32_t random = 0;
    if (random == 0) random = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(&random) >> 4) | 1;
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    if ((random & 15) == 0) cpu_yield();
}
#else
inline void before_atomic() noexcept {}
#endif

// The unit in which cores contend for memory: 64 bytes on every target but some arm64 (128). x86's prefetcher fetches pairs of
// neighbouring lines, so hot words are 128 bytes apart.
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kNoSharing = 128;

template <class T>
class Atomic {
  public:
    constexpr Atomic() noexcept : value_() {}
    constexpr explicit Atomic(T value) noexcept : value_(value) {}
    Atomic(const Atomic&) = delete;
    Atomic& operator=(const Atomic&) = delete;

    T load_relaxed() const noexcept { return word().load(std::memory_order_relaxed); }
    T load_acquire() const noexcept { return word().load(std::memory_order_acquire); }
    void store_relaxed(T v) noexcept { word().store(v, std::memory_order_relaxed); }
    void store_release(T v) noexcept { word().store(v, std::memory_order_release); }

    // Each returns the value *after* the operation.
    T add_relaxed(T d) noexcept { return word().fetch_add(d, std::memory_order_relaxed) + d; }
    T or_relaxed(T bits) noexcept { return word().fetch_or(bits, std::memory_order_relaxed) | bits; }
    T and_relaxed(T bits) noexcept { return word().fetch_and(bits, std::memory_order_relaxed) & bits; }
    T sub_relaxed(T d) noexcept { return word().fetch_sub(d, std::memory_order_relaxed) - d; }
    T sub_release(T d) noexcept { return word().fetch_sub(d, std::memory_order_release) - d; }

    // On failure `expected` holds the value found, loaded with the order named second. The weak ones may fail spuriously.
    bool cas_weak_release_relaxed(T& expected, T desired) noexcept {
        return word().compare_exchange_weak(expected, desired, std::memory_order_release, std::memory_order_relaxed);
    }
    bool cas_weak_relaxed_relaxed(T& expected, T desired) noexcept {
        return word().compare_exchange_weak(expected, desired, std::memory_order_relaxed, std::memory_order_relaxed);
    }
    bool cas_strong_acq_rel_acquire(T& expected, T desired) noexcept {
        return word().compare_exchange_strong(expected, desired, std::memory_order_acq_rel, std::memory_order_acquire);
    }
    // For a word that only one thread writes and others may read: no locked instruction.
    void add_single_writer(T d) noexcept { store_relaxed(load_relaxed() + d); }

    // Raises the word to `v` if it is below: a maximum that never loses a larger value.
    void raise_relaxed(T v) noexcept {
        T seen = load_relaxed();
        while (seen < v && !cas_weak_relaxed_relaxed(seen, v)) {
        }
    }

  private:
    std::atomic<T>& word() noexcept {
        before_atomic();
        return value_;
    }
    const std::atomic<T>& word() const noexcept {
        before_atomic();
        return value_;
    }

    std::atomic<T> value_;
};

// Of two threads that each write, fence and then read what the other wrote, at least one sees the other's write. No weaker order
// ensures that.
inline void fence_seq_cst() noexcept {
#if defined(__SANITIZE_THREAD__)
    __sync_synchronize();   // ThreadSanitizer does not know the standard's fences
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

// Keeps the compiler from reordering across it and costs nothing. The caller must order the processor by other means.
inline void signal_fence() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "bufpool needs a lock-free 64-bit CAS");

// Tells the processor that a loop waits for another core.
inline void cpu_relax() noexcept {
#if defined(_M_X64) || defined(_M_ARM64)
    YieldProcessor();
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb");   // as Rust and MySQL do: "yield" does nothing on cores without hardware threads
#endif
}

// Exponential back-off after a lost compare-and-swap (Agarwal and Cherian 1989; for stacks Hendler, Shavit and
// Yerushalmi 2004). Without it two cores move the line back and forth at every step: two threads on one list did 0.07
// of twice the work of one (measured), and 0.47 with it. The bound is some microseconds.
class Backoff {
  public:
    void wait() noexcept {
        for (std::uint32_t i = 0; i < spins_; ++i) cpu_relax();
        if (spins_ < kMost) spins_ *= 2;
    }

  private:
    static constexpr std::uint32_t kMost = 128;
    std::uint32_t spins_ = 16;
};

// For growth and trimming, never for the hot paths; a deallocation only *tries* it. It is a word and not the system's mutex,
// so that a fork's child can unlock it (Arena::after_fork_child).
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
