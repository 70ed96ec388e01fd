// The idle objects of a pool, in the order in which they go out again.
//
// Last in, first out is one free list. First in, first out is two: `ready_`, which is popped, and `returned_`, which
// objects come back to; when the first is empty, the second is turned over into it. `pop` and `push` need no lock; all
// else is called by whoever holds the pool's.
#pragma once

#include "bufpool/_core/freelist.hpp"
#include "object_table.hpp"

namespace bufpool {

// Which idle objects to take out of the pool.
struct Sieve {
    std::uint64_t now;               // coarse ns: those whose lifetime is over
    std::uint64_t idle_before;       // those idle since before then, ...
    std::uint32_t most;              // ... the oldest so many
    std::uint64_t checked_before;    // those not checked since then
    std::uint32_t drained;           // those made before this many drainings
};

class IdleObjects {
  public:
    // Before the pool is shared.
    void set_up(bool fifo) noexcept { fifo_ = fifo; }

    // The one that is next in `ready_`, or kNone. `left` receives how many remain.
    std::uint32_t pop(ObjectTable& table, std::uint32_t& left) noexcept {
        const std::uint32_t index = ready_.pop(table, left);
        if (fifo_ && index != kNone) left += returned_.size(table);
        return index;
    }

    // The one that is next, or kNone.
    std::uint32_t pop_under_lock(ObjectTable& table, std::uint32_t& left) noexcept {
        const std::uint32_t index = pop(table, left);
        if (index != kNone || !fifo_) return index;
        const Chain chain = returned_.pop_all(table);
        for (std::uint32_t i = 0, at = chain.first; i < chain.count; ++i) {
            const std::uint32_t next = table[at].next.load_relaxed();
            ready_.push(table, at);
            at = next;
        }
        return pop(table, left);
    }

    // One that a client had.
    void push(ObjectTable& table, std::uint32_t index) noexcept {
        table[index].set(Standing::idle);
        (fifo_ ? returned_ : ready_).push(table, index);
    }

    // One that nobody used, to where the one idle longest is.
    void push_oldest(ObjectTable& table, std::uint32_t index) noexcept {
        table[index].set(Standing::idle);
        if (fifo_) {
            ready_.push(table, index);
            return;
        }
        Chain all = ready_.pop_all(table);
        popped_aside_ += all.count;
        std::uint32_t last = all.first;
        for (std::uint32_t i = 1; i < all.count; ++i) last = table[last].next.load_relaxed();
        if (all.count == 0) all.first = index;
        else table[last].next.store_relaxed(index);
        ++all.count;
        ready_.push_chain(table, all);
    }

    // Those that fall through the sieve, up to `room` of them, into the caller's hand.
    std::uint32_t sift(ObjectTable& table, const Sieve& sieve, std::uint32_t* indices, std::uint32_t room) noexcept {
        std::uint32_t stale[] = {0, 0};
        FreeList* const lists[] = {&ready_, &returned_};
        Chain chains[] = {ready_.pop_all(table), returned_.pop_all(table)};
        popped_aside_ += chains[0].count;
        for (int which = 0; which < 2; ++which) {
            std::uint32_t at = chains[which].first;
            for (std::uint32_t i = 0; i < chains[which].count; ++i, at = table[at].next.load_relaxed()) {
                if (table[at].since.load_relaxed() < sieve.idle_before) ++stale[which];
            }
        }
        const std::uint32_t all = stale[0] + stale[1];
        std::uint32_t young = all > sieve.most ? all - sieve.most : 0;   // stale ones that stay: those used last
        std::uint32_t found = 0;
        for (int which = 1; which >= 0; --which) {
            // They came back last. A list begins with the one used last, but for that from which the one idle longest goes
            // out: there they are at its end.
            const std::uint32_t stay = young < stale[which] ? young : stale[which];
            const std::uint32_t from = fifo_ && which == 0 ? stale[which] - stay : 0;
            young -= stay;
            std::uint32_t seen = 0;
            Chain kept;
            std::uint32_t last = kNone;
            for (std::uint32_t i = 0, at = chains[which].first; i < chains[which].count; ++i) {
                ObjectNode& node = table[at];
                const std::uint32_t next = node.next.load_relaxed();
                bool falls = node.expires <= sieve.now || node.checked < sieve.checked_before || node.drained != sieve.drained;
                if (node.since.load_relaxed() < sieve.idle_before) {
                    if (seen < from || seen >= from + stay) falls = true;
                    ++seen;
                }
                if (falls && found < room) {
                    node.set(Standing::busy);
                    indices[found++] = at;
                } else {
                    if (last == kNone) kept.first = at;
                    else table[last].next.store_relaxed(at);
                    last = at;
                    ++kept.count;
                }
                at = next;
            }
            lists[which]->push_chain(table, kept);
        }
        return found;
    }

    std::uint32_t size(ObjectTable& table) noexcept {
        return ready_.size(table) + (fifo_ ? returned_.size(table) : 0);
    }

    // Objects that were popped so far and went to a client.
    std::uint64_t checkouts() noexcept { return ready_.popped() - popped_aside_; }
    void not_a_checkout() noexcept { ++popped_aside_; }

  private:
    bool fifo_ = false;
    // Words that threads fight over stand on lines of their own.
    [[maybe_unused]] char apart_[kNoSharing];
    FreeList ready_;
    [[maybe_unused]] char apart_too_[kNoSharing];
    FreeList returned_;
    [[maybe_unused]] char apart_again_[kNoSharing];
    std::uint64_t popped_aside_ = 0;     // pops from `ready_` that were no checkout
};

}  // namespace bufpool
