// The objects of one pool by number: a node for each, and a hash table from an object's address to its number.
//
// An object is an address here, and its owner keeps it alive. Nodes do not move, so that a free list can link them.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/freelist.hpp"

namespace bufpool {

enum class ObjectState : std::uint32_t {
    unused = 0,    // the node has no object
    idle = 1,      // on a list
    busy = 2,      // the pool itself holds it, on its way in or out
    leased = 3,    // a lease has it, and only that lease may return it
    acquired = 4   // a client has it, and returns the object itself
};

struct ObjectNode {
    Atomic<std::uint32_t> next;      // free list, as in freelist.hpp
    Atomic<std::uint32_t> depth;
    // Checkouts of this node so far, and in the last bits its ObjectState. One word, so that each checkout has a value
    // of its own, and the client whose compare-and-swap changes it has the object.
    Atomic<std::uint64_t> word;
    Atomic<std::uint32_t> uses;      // checkouts of this object; written by its holder alone
    Atomic<std::uint64_t> since;     // coarse ns: when it was handed out, or became idle
    Atomic<std::uint64_t> thread;    // that acquired it
    Atomic<std::uint32_t> leak_reported;   // whether this checkout was reported as a leak
    // Written by the holder of the object, before it is shared again:
    std::uint64_t expires;           // coarse ns; the end of its lifetime
    std::uint64_t checked;           // coarse ns; created, used or checked last
    std::uint32_t drain_count;       // of the pool when the object was created
    bool extra;                      // created beyond the pool's size, and not kept
    bool on_its_way;                 // new, and not idle yet; changed under the pool's lock
    bool traced;                     // the stack of this checkout is kept
    void* address;                   // of the object; changed under the pool's lock only

    static constexpr unsigned kStateBits = 3;
    static constexpr std::uint64_t kStateMask = (1u << kStateBits) - 1;

    static ObjectState state_of(std::uint64_t word) noexcept { return static_cast<ObjectState>(word & kStateMask); }
    ObjectState state() const noexcept { return state_of(word.load_relaxed()); }
    // Called by the holder of the object.
    void set_state(ObjectState now) noexcept {
        word.store_relaxed((word.load_relaxed() & ~kStateMask) | static_cast<std::uint64_t>(now));
    }
    // The word of this checkout. release: the thread that takes the object back sees what was written to the node.
    std::uint64_t hand_out(ObjectState now) noexcept {
        const std::uint64_t next = ((word.load_relaxed() >> kStateBits) + 1) << kStateBits;
        word.store_release(next | static_cast<std::uint64_t>(now));
        return next | static_cast<std::uint64_t>(now);
    }
    // Takes the object back from that checkout, once; false if it is over.
    bool take_back(std::uint64_t checkout) noexcept {
        const std::uint64_t busy = (checkout & ~kStateMask) | static_cast<std::uint64_t>(ObjectState::busy);
        return word.cas_strong_acq_rel_acquire(checkout, busy);
    }
};

// Chunk k has 2^k * 64 nodes, so a table of few objects is small and one of many has few chunks.
class ObjectTable {
  public:
    ObjectTable() noexcept = default;
    ObjectTable(const ObjectTable&) = delete;
    ObjectTable& operator=(const ObjectTable&) = delete;
    ~ObjectTable() {
        for (auto& chunk : chunks_) std::free(chunk.load_relaxed());
        std::free(slots_);
    }

    ObjectNode& operator[](std::uint32_t index) noexcept {
        const std::uint32_t row = (index >> kFirstBits) + 1;
        unsigned k = 0;
        while (row >> (k + 1)) ++k;
        return chunks_[k].load_relaxed()[index - (((1u << k) - 1) << kFirstBits)];
    }

    std::uint32_t used() const noexcept { return used_; }     // nodes 0 ... used-1 exist
    std::uint32_t known() const noexcept { return known_; }   // objects in the table

    // The other methods are called under the pool's lock.

    // The number of `address`, or kNone.
    std::uint32_t find(const void* address) const noexcept {
        if (room_ == 0) return kNone;
        for (std::uint32_t i = home(address);; i = (i + 1) & (room_ - 1)) {
            if (slots_[i].address == address) return slots_[i].index;
            if (slots_[i].address == nullptr) return kNone;
        }
    }

    // Gives a new `address` a node; kNone: no memory.
    std::uint32_t add(void* address) noexcept {
        if (!make_room()) return kNone;
        std::uint32_t left = 0;
        std::uint32_t index = spare_.pop(*this, left);
        if (index == kNone) index = new_node();
        if (index == kNone) return kNone;
        (*this)[index].address = address;
        enter(address, index);
        ++known_;
        return index;
    }

    // Forgets the object and keeps its node for another.
    void remove(std::uint32_t index) noexcept {
        ObjectNode& node = (*this)[index];
        leave(node.address);
        node.address = nullptr;
        node.set_state(ObjectState::unused);
        --known_;
        spare_.push(*this, index);
    }

  private:
    struct Slot {
        const void* address;
        std::uint32_t index;
    };

    static constexpr unsigned kFirstBits = 6;
    static constexpr unsigned kChunks = 26;

    std::uint32_t home(const void* address) const noexcept {
        // Addresses are multiples of 16 at least; Fibonacci hashing (Knuth, volume 3, 6.4) spreads the rest.
        const std::uint64_t mixed = (reinterpret_cast<std::uintptr_t>(address) >> 4) * 0x9E3779B97F4A7C15ull;
        return static_cast<std::uint32_t>(mixed >> 32) & (room_ - 1);
    }

    void enter(const void* address, std::uint32_t index) noexcept {
        std::uint32_t i = home(address);
        while (slots_[i].address != nullptr) i = (i + 1) & (room_ - 1);
        slots_[i] = Slot{address, index};
    }

    // Linear probing without tombstones: the entries that follow move up (Knuth, volume 3, 6.4, algorithm R).
    void leave(const void* address) noexcept {
        std::uint32_t hole = home(address);
        while (slots_[hole].address != address) hole = (hole + 1) & (room_ - 1);
        for (std::uint32_t i = (hole + 1) & (room_ - 1); slots_[i].address != nullptr; i = (i + 1) & (room_ - 1)) {
            const std::uint32_t from_home = (i - home(slots_[i].address)) & (room_ - 1);
            if (from_home >= ((i - hole) & (room_ - 1))) {
                slots_[hole] = slots_[i];
                hole = i;
            }
        }
        slots_[hole].address = nullptr;
    }

    bool make_room() noexcept {
        if (2 * (known_ + 1) <= room_) return true;
        const std::uint32_t room = room_ == 0 ? 16 : 2 * room_;
        auto* const slots = static_cast<Slot*>(std::calloc(room, sizeof(Slot)));
        if (slots == nullptr) return false;
        Slot* const old = slots_;
        const std::uint32_t old_room = room_;
        slots_ = slots;
        room_ = room;
        for (std::uint32_t i = 0; i < old_room; ++i) {
            if (old[i].address != nullptr) enter(old[i].address, old[i].index);
        }
        std::free(old);
        return true;
    }

    std::uint32_t new_node() noexcept {
        const std::uint32_t row = (used_ >> kFirstBits) + 1;
        unsigned k = 0;
        while (row >> (k + 1)) ++k;
        if (k >= kChunks) return kNone;
        if (chunks_[k].load_relaxed() == nullptr) {
            // Zeros are a node's first state: unused.
            const std::size_t count = std::size_t{1} << (k + kFirstBits);
            auto* const nodes = static_cast<ObjectNode*>(std::calloc(count, sizeof(ObjectNode)));
            if (nodes == nullptr) return kNone;
            chunks_[k].store_release(nodes);
        }
        return used_++;
    }

    Atomic<ObjectNode*> chunks_[kChunks];
    std::uint32_t used_ = 0;
    std::uint32_t known_ = 0;
    FreeList spare_;
    Slot* slots_ = nullptr;
    std::uint32_t room_ = 0;         // slots, a power of two
};

}  // namespace bufpool
