// Those who wait at an arena's limit: first come, first served.
//
//   acquire   one load of `gate`: while it is kKept, what is free is kept for the first waiter, and a newcomer queues
//   release   one load of `first_`: wakes the first waiter, which tries again and wakes the next one when it leaves
//
// A newcomer may overtake while the first has waited for less than kPatience: to wake a thread takes time, in which a
// running one can use the memory. After that room accumulates for the first, however large its request is, until it is
// served or gives up. Two exceptions keep the queue from standing still:
//
//   - Nothing comes back for kStall, and those who hold memory may need more of it before they can give any back. Then one
//     waiter behind the first may be served. The first waits twice as long before it lets another one pass, so that it is
//     overtaken a few times and not for ever.
//   - The first runs other code: a signal's handler, a finalizer that asks for memory itself. It is passed over by requests
//     of its own thread, and after kAbsence by all.
//
// A waiter is never freed, so that a release may wake one that has just left: it then looks once in vain. It is not on its
// thread's stack, because the end of the interpreter kills daemon threads that wait for the GIL.
#pragma once

#include <cstdlib>
#include <new>

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/waiter_queue.hpp"

namespace bufpool {

constexpr std::uint32_t kShut = 1;                       // LimitQueue::gate: the arena is closed
constexpr std::uint32_t kKept = 2;                       // what is free is kept for the first waiter

constexpr std::uint64_t kStall = 20'000'000;             // ns
constexpr std::uint64_t kAbsence = 1'000'000'000;        // ns

enum class Slept : std::uint32_t { enough = 0, rung = 1, interrupted = 2 };

// How threads sleep and are woken, which the layer above knows.
struct Bells {
    void* (*make)();                              // shut; null: no memory
    void (*open)(void* bell);                     // must not block; the queue does not open an open one
    Slept (*sleep)(void* bell, std::uint64_t ns); // until it is open, and shuts it again
    std::uint64_t (*thread)();                    // a number of the calling thread
};

struct LimitWaiter : Waiter {
    void* bell = nullptr;            // what its thread sleeps on
    Atomic<std::uint32_t> rung;      // the bell is open, or is about to be
    std::uint64_t thread = 0;
    std::uint64_t absent_since = 0;  // ns: its thread runs other code; 0: it waits
    std::uint64_t quiet_since = 0;   // ns: nothing has come back while it was the first
    std::uint32_t passed = 0;        // times that it let another one pass
    std::uint32_t epoch = 0;         // of the queue that it is in
    LimitWaiter* next_spare = nullptr;
};

// All zero is a queue without waiters.
class LimitQueue {
  public:
    Atomic<std::uint32_t> gate;

    std::uint64_t timeout_ns;          // how long a request waits at most

    // Before the arena is shared.
    void set_up(std::uint64_t timeout, const Bells& bells) noexcept {
        timeout_ns = timeout;
        bells_ = bells;
    }

    bool is_empty() const noexcept { return first_.load_relaxed() == nullptr; }
    bool is_first(const LimitWaiter& waiter) const noexcept { return first_.load_relaxed() == &waiter; }

    // By a release, any thread, without the lock.
    void ring_first() noexcept {
        LimitWaiter* const first = first_.load_acquire();   // acquire: its bell, which another thread made
        if (first != nullptr) ring(*first);
    }

    // A place at the end. Null: no memory.
    LimitWaiter* join(std::uint64_t now) noexcept {
        LimitWaiter* waiter;
        {
            LockGuard guard(lock_);
            waiter = spares_;
            if (waiter != nullptr) spares_ = waiter->next_spare;
        }
        if (waiter == nullptr) {
            void* const memory = std::malloc(sizeof(LimitWaiter));
            if (memory == nullptr) return nullptr;
            waiter = new (memory) LimitWaiter;
            waiter->bell = bells_.make();
            if (waiter->bell == nullptr) {
                std::free(memory);
                return nullptr;
            }
        }
        waiter->thread = bells_.thread();
        waiter->since = waiter->quiet_since = waiter->absent_since = now;
        waiter->passed = 0;
        LockGuard guard(lock_);
        enter(*waiter, now);
        return waiter;
    }

    // Its thread looks at the queue. True: it may try to acquire. `came_back`: it was rung since it looked last.
    bool may_try(LimitWaiter& waiter, std::uint64_t now, bool came_back) noexcept {
        LockGuard guard(lock_);
        if (waiter.epoch != epoch_) enter(waiter, now);     // its thread forked, and this is the child
        waiter.absent_since = 0;
        look(now);
        if ((gate.load_relaxed() & kShut) != 0) return true;
        if (waiters_.first() == &waiter) {
            if (came_back || waiter.rung.load_relaxed() != 0) {
                waiter.quiet_since = now;
                one_may_pass_ = false;
            } else if (now > waiter.quiet_since + (kStall << (waiter.passed < 20 ? waiter.passed : 20))) {
                one_may_pass_ = true;
            }
            return true;
        }
        // What has come back meanwhile is the first's, also before it has looked.
        const LimitWaiter& first = *static_cast<const LimitWaiter*>(waiters_.first());
        return (one_may_pass_ && first.rung.load_relaxed() == 0) || no_one_before(waiter, now);
    }

    // Its thread goes on to other code, and comes back to the queue.
    void step_out(LimitWaiter& waiter, std::uint64_t now) noexcept {
        LockGuard guard(lock_);
        waiter.absent_since = now;
    }

    Slept sleep(LimitWaiter& waiter, std::uint64_t ns) noexcept {
        const Slept slept = bells_.sleep(waiter.bell, ns);
        std::uint32_t open = 1;
        if (slept == Slept::rung) waiter.rung.cas_strong_acq_rel_acquire(open, 0);   // may be rung again
        return slept;
    }

    // It is served, or gives up. The waiter is the queue's again.
    void leave(LimitWaiter& waiter, std::uint64_t now, bool served) noexcept {
        LockGuard guard(lock_);
        if (waiter.epoch == epoch_) {
            const bool was_first = waiters_.first() == &waiter;
            waiters_.remove(waiter);
            LimitWaiter* const first = look(now);
            if (was_first || (served && one_may_pass_)) {
                one_may_pass_ = false;
                if (first != nullptr) {
                    first->quiet_since = now;
                    if (was_first) {
                        ring(*first);
                    } else {
                        first->passed += 1;
                    }
                }
            }
        }
        waiter.next_spare = spares_;
        spares_ = &waiter;
    }

    void before_fork() noexcept { lock_.lock(); }
    void after_fork() noexcept { lock_.unlock(); }

    // In a fork's child, where only the thread is that forked. Other threads' waiters are not used again: a bell that was
    // just being opened or slept on may stay as it is for ever.
    void begin_anew() noexcept {
        LockGuard guard(lock_);
        for (Waiter* each = waiters_.first(); each != nullptr;) {
            LimitWaiter* const waiter = static_cast<LimitWaiter*>(each);
            each = each->after;
            if (waiter->thread == bells_.thread()) continue;   // enters again, or leaves
            waiter->next_spare = lost_;
            lost_ = waiter;
        }
        for (LimitWaiter* each = spares_; each != nullptr;) {
            LimitWaiter* const next = each->next_spare;
            each->next_spare = lost_;
            lost_ = each;
            each = next;
        }
        waiters_ = WaiterQueue();
        spares_ = nullptr;
        one_may_pass_ = false;
        epoch_ += 1;
        first_.store_release(nullptr);
        gate.and_relaxed(~kKept);
    }

    // A reading.
    std::uint32_t length() noexcept {
        LockGuard guard(lock_);
        return waiters_.length();
    }

  private:
    void ring(LimitWaiter& waiter) noexcept {
        std::uint32_t silent = 0;
        if (waiter.rung.cas_strong_acq_rel_acquire(silent, 1)) bells_.open(waiter.bell);
    }

    void enter(LimitWaiter& waiter, std::uint64_t now) noexcept {
        waiter.epoch = epoch_;
        waiters_.append(waiter);
        look(now);
    }

    // Those before it are all busy with other code: with what this request is a part of, or for long.
    bool no_one_before(LimitWaiter& waiter, std::uint64_t now) noexcept {
        for (const Waiter* each = waiters_.first(); each != &waiter; each = each->after) {
            const LimitWaiter& other = *static_cast<const LimitWaiter*>(each);
            if (other.absent_since == 0) return false;
            if (other.thread != waiter.thread && now < other.absent_since + kAbsence) return false;
        }
        return true;
    }

    // What the hot paths see of the queue: its first, and whether memory is kept for it.
    LimitWaiter* look(std::uint64_t now) noexcept {
        LimitWaiter* const first = static_cast<LimitWaiter*>(waiters_.first());
        first_.store_release(first);
        if (first != nullptr && now > first->since + kPatience) {
            gate.or_relaxed(kKept);
        } else {
            gate.and_relaxed(~kKept);
        }
        return first;
    }

    Atomic<LimitWaiter*> first_;       // of `waiters_`

    Lock lock_;                        // a thread that holds it runs no Python code and waits for nothing
    WaiterQueue waiters_;
    LimitWaiter* spares_ = nullptr;
    LimitWaiter* lost_ = nullptr;      // of a fork's parent
    std::uint32_t epoch_ = 0;          // forks so far
    bool one_may_pass_ = false;        // nothing came back for long
    Bells bells_{};
};

}  // namespace bufpool
