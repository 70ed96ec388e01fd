// A queue of waiters in the order of arrival: an intrusive list, so that joining needs no memory and any waiter can leave at
// once. The owner's lock protects it.
#pragma once

#include <cstdint>

#include "freelist.hpp"

namespace bufpool {

constexpr std::uint64_t kHandoffDelay = 1000000;    // ns: a waiter that has waited for less may be overtaken
constexpr std::uint32_t kUntilClosed = 0xFFFFFFFEu; // Waiter::goal: until no object is being closed
constexpr std::uint32_t kUntilEmpty = 0xFFFFFFFFu;  // Waiter::goal: until nothing is left of a closed pool

// A waiter. It is part of an object of the layer above, to which the queue holds a reference while `kept`.
struct Waiter {
    enum State : std::uint32_t { off = 0, queued = 1, woken = 2, given = 3, refused = 4 };

    Waiter* before = nullptr;
    Waiter* after = nullptr;
    void* owner = nullptr;
    std::uint64_t since = 0;         // ns: when it began to wait; 0: it has not waited yet
    std::uint32_t goal = 0;          // what it waits for; 0: an object; else until so many exist, or one of the above
    std::uint32_t index = kNone;     // of the object that it was given
    State state = off;
    bool ordered = false;            // an object is in creation for it, so that it needs no slot
    bool kept = false;
};

class WaiterQueue {
  public:
    Waiter* first() const noexcept { return first_; }
    std::uint32_t length() const noexcept { return length_; }

    void append(Waiter& waiter) noexcept {
        waiter.before = last_;
        waiter.after = nullptr;
        (last_ == nullptr ? first_ : last_->after) = &waiter;
        last_ = &waiter;
        ++length_;
    }
    // At its place among those that have waited for longer and for less.
    void insert(Waiter& waiter) noexcept {
        Waiter* previous = last_;
        while (previous != nullptr && previous->since > waiter.since) previous = previous->before;
        waiter.before = previous;
        waiter.after = previous == nullptr ? first_ : previous->after;
        (previous == nullptr ? first_ : previous->after) = &waiter;
        (waiter.after == nullptr ? last_ : waiter.after->before) = &waiter;
        ++length_;
    }
    void remove(Waiter& waiter) noexcept {
        (waiter.before == nullptr ? first_ : waiter.before->after) = waiter.after;
        (waiter.after == nullptr ? last_ : waiter.after->before) = waiter.before;
        --length_;
    }

  private:
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
    std::uint32_t length_ = 0;
};

}  // namespace bufpool
