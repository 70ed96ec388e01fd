// The queue at an arena's limit: requests that wait for memory, first come, first served.
//
//   acquire   one load of `gate`: with kGateReserved, free memory is reserved for the first waiter, and a new request queues
//   release   one load of `first_`: wakes the first waiter, which tries again and wakes the next one when it leaves
//
// A new request may overtake while the first waiter has waited for less than kHandoffDelay: waking a thread takes time, in
// which a running one can use the memory. After that, free memory accumulates for the first, however large its request is,
// until it is served or times out. Two exceptions prevent deadlocks:
//
//   - Nothing is released for kStall: the threads that hold memory may need more before they can release any. Then one waiter
//     behind the first may be served. Each time the first waits twice as long before it is overtaken again, so that this does
//     not go on for ever.
//   - The first waiter's thread runs other code, such as a signal handler, or a finalizer that acquires memory itself. Requests
//     of its own thread may then overtake it, and after kAbsence all may.
//
// A waiter is never freed, so that a release may wake one that has just left; that one wakes up once in vain. It does not lie
// on its thread's stack, because the end of the interpreter kills daemon threads that wait for the GIL.
#pragma once

#include <cstdlib>
#include <new>

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/waiter_queue.hpp"

namespace bufpool {

// LimitQueue::gate.
constexpr std::uint32_t kGateClosed = 1;                 // the arena is closed
constexpr std::uint32_t kGateReserved = 2;               // free memory is reserved for the first waiter

constexpr std::uint64_t kStall = 20'000'000;             // ns
constexpr std::uint64_t kAbsence = 1'000'000'000;        // ns

enum class SleepResult : std::uint32_t { timed_out = 0, woken = 1, interrupted = 2 };

// How threads sleep and are woken, provided by the layer above: an event that resets itself.
struct EventFunctions {
    void* (*create)();                                    // not set; null: no memory
    void (*set)(void* event);                             // must not block; the queue does not set one that is set
    SleepResult (*wait)(void* event, std::uint64_t ns);   // until it is set, and resets it
    std::uint64_t (*thread_id)();                         // of the calling thread
};

struct LimitWaiter : Waiter {
    void* event = nullptr;           // what its thread sleeps on
    Atomic<std::uint32_t> signalled; // the event is set, or is about to be
    std::uint64_t thread = 0;
    std::uint64_t absent_since = 0;  // ns: its thread runs other code; 0: it waits
    std::uint64_t quiet_since = 0;   // ns: since when nothing was released while it was the first
    std::uint32_t overtaken = 0;     // times that another waiter was served before it while it was the first
    std::uint32_t epoch = 0;         // of the queue when it was appended
    LimitWaiter* next_spare = nullptr;
};

// All zero is a queue without waiters.
class LimitQueue {
  public:
    Atomic<std::uint32_t> gate;

    std::uint64_t timeout_ns;          // how long a request waits at most

    // Before the arena is shared.
    void set_up(std::uint64_t timeout, const EventFunctions& functions) noexcept {
        timeout_ns = timeout;
        events_ = functions;
    }

    bool is_empty() const noexcept { return first_.load_relaxed() == nullptr; }
    bool is_first(const LimitWaiter& waiter) const noexcept { return first_.load_relaxed() == &waiter; }

    // Called by a release, in any thread, without the lock.
    void wake_first() noexcept {
        LimitWaiter* const first = first_.load_acquire();   // acquire: its event, which another thread created
        if (first != nullptr) wake(*first);
    }

    // Appends a waiter. Null: no memory.
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
            waiter->event = events_.create();
            if (waiter->event == nullptr) {
                std::free(memory);
                return nullptr;
            }
        }
        waiter->thread = events_.thread_id();
        waiter->since = waiter->quiet_since = waiter->absent_since = now;
        waiter->overtaken = 0;
        LockGuard guard(lock_);
        enqueue(*waiter, now);
        return waiter;
    }

    // Called by the waiter's thread. True: it may try to acquire. `was_woken`: it was signalled since the last call.
    bool may_try(LimitWaiter& waiter, std::uint64_t now, bool was_woken) noexcept {
        LockGuard guard(lock_);
        if (waiter.epoch != epoch_) enqueue(waiter, now);   // its thread forked, and this is the child
        waiter.absent_since = 0;
        update_gate(now);
        if ((gate.load_relaxed() & kGateClosed) != 0) return true;
        if (waiters_.first() == &waiter) {
            if (was_woken || waiter.signalled.load_relaxed() != 0) {
                waiter.quiet_since = now;
                one_may_overtake_ = false;
            } else if (now > waiter.quiet_since + (kStall << (waiter.overtaken < 20 ? waiter.overtaken : 20))) {
                one_may_overtake_ = true;
            }
            return true;
        }
        // What was released meanwhile is for the first, even before it has woken up.
        const LimitWaiter& first = *static_cast<const LimitWaiter*>(waiters_.first());
        return (one_may_overtake_ && first.signalled.load_relaxed() == 0) || all_before_are_absent(waiter, now);
    }

    // The waiter's thread runs other code for a while.
    void suspend(LimitWaiter& waiter, std::uint64_t now) noexcept {
        LockGuard guard(lock_);
        waiter.absent_since = now;
    }

    SleepResult sleep(LimitWaiter& waiter, std::uint64_t ns) noexcept {
        const SleepResult slept = events_.wait(waiter.event, ns);
        std::uint32_t open = 1;
        if (slept == SleepResult::woken) waiter.signalled.cas_strong_acq_rel_acquire(open, 0);   // may be signalled again
        return slept;
    }

    // Removes a waiter that was served or has timed out; the queue reuses it.
    void leave(LimitWaiter& waiter, std::uint64_t now, bool served) noexcept {
        LockGuard guard(lock_);
        if (waiter.epoch == epoch_) {
            const bool was_first = waiters_.first() == &waiter;
            waiters_.remove(waiter);
            LimitWaiter* const first = update_gate(now);
            if (was_first || (served && one_may_overtake_)) {
                one_may_overtake_ = false;
                if (first != nullptr) {
                    first->quiet_since = now;
                    if (was_first) {
                        wake(*first);
                    } else {
                        first->overtaken += 1;
                    }
                }
            }
        }
        waiter.next_spare = spares_;
        spares_ = &waiter;
    }

    void before_fork() noexcept { lock_.lock(); }
    void after_fork() noexcept { lock_.unlock(); }

    // In a fork's child only the forking thread exists. Other threads' waiters are not reused: an event that was
    // being set or slept on may stay so for ever.
    void reset_after_fork() noexcept {
        LockGuard guard(lock_);
        for (Waiter* each = waiters_.first(); each != nullptr;) {
            LimitWaiter* const waiter = static_cast<LimitWaiter*>(each);
            each = each->after;
            if (waiter->thread == events_.thread_id()) continue;   // it is appended again, or leaves
            waiter->next_spare = stale_;
            stale_ = waiter;
        }
        for (LimitWaiter* each = spares_; each != nullptr;) {
            LimitWaiter* const next = each->next_spare;
            each->next_spare = stale_;
            stale_ = each;
            each = next;
        }
        waiters_ = WaiterQueue();
        spares_ = nullptr;
        one_may_overtake_ = false;
        epoch_ += 1;
        first_.store_release(nullptr);
        gate.and_relaxed(~kGateReserved);
    }

    // A reading.
    std::uint32_t length() noexcept {
        LockGuard guard(lock_);
        return waiters_.length();
    }

  private:
    void wake(LimitWaiter& waiter) noexcept {
        std::uint32_t silent = 0;
        if (waiter.signalled.cas_strong_acq_rel_acquire(silent, 1)) events_.set(waiter.event);
    }

    void enqueue(LimitWaiter& waiter, std::uint64_t now) noexcept {
        waiter.epoch = epoch_;
        waiters_.append(waiter);
        update_gate(now);
    }

    // The threads of all waiters before it run other code: code that this request is a part of, or any for long.
    bool all_before_are_absent(LimitWaiter& waiter, std::uint64_t now) noexcept {
        for (const Waiter* each = waiters_.first(); each != &waiter; each = each->after) {
            const LimitWaiter& other = *static_cast<const LimitWaiter*>(each);
            if (other.absent_since == 0) return false;
            if (other.thread != waiter.thread && now < other.absent_since + kAbsence) return false;
        }
        return true;
    }

    // Publishes what the hot paths read of the queue: its first waiter, and whether memory is reserved for it.
    LimitWaiter* update_gate(std::uint64_t now) noexcept {
        LimitWaiter* const first = static_cast<LimitWaiter*>(waiters_.first());
        first_.store_release(first);
        if (first != nullptr && now > first->since + kHandoffDelay) {
            gate.or_relaxed(kGateReserved);
        } else {
            gate.and_relaxed(~kGateReserved);
        }
        return first;
    }

    Atomic<LimitWaiter*> first_;       // of `waiters_`

    Lock lock_;                        // a thread that holds it runs no Python code and waits for nothing
    WaiterQueue waiters_;
    LimitWaiter* spares_ = nullptr;
    LimitWaiter* stale_ = nullptr;     // of a fork's parent
    std::uint32_t epoch_ = 0;          // forks so far
    bool one_may_overtake_ = false;    // nothing was released for long
    EventFunctions events_{};
};

}  // namespace bufpool
