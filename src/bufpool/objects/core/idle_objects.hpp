// The idle objects of a pool, in the order in which they go out again.
//
// Last in, first out is one free list. First in, first out is two: `ready_`, which is popped, and `returned_`, to which
// objects come back. When the first is empty, the second is reversed into it. `pop` and `push` need no lock; all other
// methods are called under the pool's lock.
#pragma once

#include "bufpool/_core/freelist.hpp"
#include "object_table.hpp"

namespace bufpool {

// Which idle objects to take out of the pool: the expired, the drained, and those that match one of the times.
struct IdleFilter {
    std::uint64_t now;               // coarse ns: objects whose lifetime is over
    std::uint64_t idle_before;       // objects idle since before then, ...
    std::uint32_t most;              // ... the oldest so many
    std::uint64_t checked_before;    // objects not checked since then
    std::uint32_t drain_count;       // objects created before this many drains
};

class IdleObjects {
  public:
    // Before the pool is shared.
    void set_up(bool fifo) noexcept { fifo_ = fifo; }

    // The next object of `ready_`, or kNone. `left` receives how many remain.
    std::uint32_t pop(ObjectTable& table, std::uint32_t& left) noexcept {
        const std::uint32_t index = ready_.pop(table, left);
        if (fifo_ && index != kNone) left += returned_.size(table);
        return index;
    }

    // The next object, or kNone.
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

    // An object that a client had.
    void push(ObjectTable& table, std::uint32_t index) noexcept {
        table[index].set_state(ObjectState::idle);
        (fifo_ ? returned_ : ready_).push(table, index);
    }

    // An object that no client used, to the old end.
    void push_oldest(ObjectTable& table, std::uint32_t index) noexcept {
        table[index].set_state(ObjectState::idle);
        if (fifo_) {
            ready_.push(table, index);
            return;
        }
        Chain all = ready_.pop_all(table);
        internal_pops_ += all.count;
        std::uint32_t last = all.first;
        for (std::uint32_t i = 1; i < all.count; ++i) last = table[last].next.load_relaxed();
        if (all.count == 0) all.first = index;
        else table[last].next.store_relaxed(index);
        ++all.count;
        ready_.push_chain(table, all);
    }

    // Up to `room` objects that match the filter. The caller holds them then.
    std::uint32_t collect(ObjectTable& table, const IdleFilter& filter, std::uint32_t* indices,
                          std::uint32_t room) noexcept {
        Chain ready = ready_.pop_all(table);
        Chain returned = returned_.pop_all(table);
        internal_pops_ += ready.count;
        const std::uint32_t stale_ready = count_stale(table, ready, filter);
        const std::uint32_t stale_returned = count_stale(table, returned, filter);
        const std::uint32_t stale = stale_ready + stale_returned;
        // Of the stale objects those stay that were used last: first the ones in `returned`, which came back last.
        const std::uint32_t stay = stale > filter.most ? stale - filter.most : 0;
        const std::uint32_t stay_returned = stay < stale_returned ? stay : stale_returned;
        const std::uint32_t stay_ready = stay - stay_returned;
        // A chain begins with the object used last. With `fifo_` the chain of `ready_` ends with it.
        const std::uint32_t first = fifo_ ? stale_ready - stay_ready : 0;
        std::uint32_t found = 0;
        found += split(table, returned, filter, 0, stay_returned, indices, room);
        found += split(table, ready, filter, first, first + stay_ready, indices + found, room - found);
        returned_.push_chain(table, returned);
        ready_.push_chain(table, ready);
        return found;
    }

    std::uint32_t size(ObjectTable& table) noexcept {
        return ready_.size(table) + (fifo_ ? returned_.size(table) : 0);
    }

    // Objects that were popped and went to a client.
    std::uint64_t checkouts() noexcept { return ready_.popped() - internal_pops_; }
    void count_internal_pop() noexcept { ++internal_pops_; }

  private:
    static std::uint32_t count_stale(ObjectTable& table, const Chain& chain, const IdleFilter& filter) noexcept {
        std::uint32_t stale = 0;
        for (std::uint32_t i = 0, at = chain.first; i < chain.count; ++i, at = table[at].next.load_relaxed()) {
            if (table[at].since.load_relaxed() < filter.idle_before) ++stale;
        }
        return stale;
    }

    // Takes matching objects out of the chain, up to `room` of them. The stale ones number `from` to `until` stay.
    static std::uint32_t split(ObjectTable& table, Chain& chain, const IdleFilter& filter, std::uint32_t from,
                               std::uint32_t until, std::uint32_t* indices, std::uint32_t room) noexcept {
        std::uint32_t found = 0;
        std::uint32_t stale = 0;
        std::uint32_t last = kNone;
        Chain kept;
        for (std::uint32_t i = 0, at = chain.first; i < chain.count; ++i) {
            ObjectNode& node = table[at];
            const std::uint32_t next = node.next.load_relaxed();
            bool matches = node.expires <= filter.now || node.checked < filter.checked_before;
            matches = matches || node.drain_count != filter.drain_count;
            if (node.since.load_relaxed() < filter.idle_before) {
                if (stale < from || stale >= until) matches = true;
                ++stale;
            }
            if (matches && found < room) {
                node.set_state(ObjectState::busy);
                indices[found++] = at;
            } else {
                if (last == kNone) kept.first = at;
                else table[last].next.store_relaxed(at);
                last = at;
                ++kept.count;
            }
            at = next;
        }
        chain = kept;
        return found;
    }

    bool fifo_ = false;
    // Words that several threads write are on cache lines of their own.
    [[maybe_unused]] char padding_[kNoSharing];
    FreeList ready_;
    [[maybe_unused]] char more_padding_[kNoSharing];
    FreeList returned_;
    [[maybe_unused]] char last_padding_[kNoSharing];
    std::uint64_t internal_pops_ = 0;    // pops from `ready_` that were no checkout
};

}  // namespace bufpool
