// A lock-free LIFO of block indices: Treiber's stack (1986) with a tag against the ABA problem.
//
// The head is one 64-bit word, `tag << 32 | index`; the links are in side nodes, never in the blocks, so that a user's
// stray write cannot corrupt the list and the same code works in shared memory.
//
// Only a pop changes the tag. A pop's CAS could succeed wrongly only if the index that it read becomes the head again with
// another successor; for that it must have been popped, and that pop changed the tag. A push needs no tag: the node it links
// to *is* the head at the moment of its CAS.
//
// Two counts need no counter on the hot path:
//   - the tag counts the blocks popped (modulo 2^32; `wraps` counts the overflows);
//   - every node holds its height, written by its pusher before the CAS, so the head's height is the length.
//
// After a failed CAS an operation waits (Backoff) and reads the head anew: the value that the CAS found is stale by then.
//
// `Nodes` gives `Node& operator[](uint32_t)`, with node.next and node.depth; nodes are never unmapped while a list
// exists, because a slow pop may read a node that another thread owns by now (its CAS then fails). A table that grows
// has its own `is_known`, for indices that came by a relaxed load.
#pragma once

#include "atomics.hpp"

namespace bufpool {

constexpr std::uint32_t kNone = 0xFFFFFFFFu;    // the end of a list
constexpr std::uint32_t kOwned = 0xFFFFFFFEu;   // in node.next while a client owns the block

struct Chain {                                  // blocks popped at once, linked through node.next
    std::uint32_t first = kNone;
    std::uint32_t count = 0;
};

template <class Nodes>
bool is_known(Nodes&, std::uint32_t) noexcept {
    return true;
}

class FreeList {
  public:
    // Pops the block used last, or returns kNone. `left` receives how many remain.
    template <class Nodes>
    std::uint32_t pop(Nodes& nodes, std::uint32_t& left) noexcept {
        for (Backoff backoff;; backoff.wait()) {
            // acquire: the pusher's node.next and node.depth, and the block's bytes. The CAS below needs no order: the
            // tag makes it succeed on the very write that was read here.
            std::uint64_t head = head_.load_acquire();
            const std::uint32_t index = static_cast<std::uint32_t>(head);
            if (index == kNone) return kNone;
            auto& node = nodes[index];
            const std::uint32_t next = node.next.load_relaxed();
            const std::uint32_t depth = node.depth.load_relaxed();
            if (head_.cas_weak_relaxed_relaxed(head, moved(head, 1, next))) {
                count_wrap(head, 1);
                left = depth - 1;
                return index;
            }
        }
    }

    // Pops up to `most` blocks with one CAS. They stay linked through node.next; the last one's link is stale.
    template <class Nodes>
    Chain pop_some(Nodes& nodes, std::uint32_t most) noexcept {
        for (Backoff backoff;; backoff.wait()) {
            std::uint64_t head = head_.load_acquire();
            Chain chain;
            std::uint32_t index = static_cast<std::uint32_t>(head);
            chain.first = index;
            // The walk may read nodes that others have popped meanwhile; then the tag has changed and the CAS fails. The
            // links are indices or the two marks, so the walk never leaves the table. A link that was written after our load
            // of the head may lead to a node whose memory this thread does not see yet.
            while (index < kOwned && chain.count < most && is_known(nodes, index)) {
                ++chain.count;
                index = nodes[index].next.load_relaxed();
            }
            if (chain.count == 0) return chain;
            if (head_.cas_weak_relaxed_relaxed(head, moved(head, chain.count, index))) {
                count_wrap(head, chain.count);
                return chain;
            }
        }
    }

    // Pops all.
    template <class Nodes>
    Chain pop_all(Nodes& nodes) noexcept {
        for (Backoff backoff;; backoff.wait()) {
            std::uint64_t head = head_.load_acquire();
            const std::uint32_t index = static_cast<std::uint32_t>(head);
            if (index == kNone) return Chain{};
            const std::uint32_t count = nodes[index].depth.load_relaxed();
            if (head_.cas_weak_relaxed_relaxed(head, moved(head, count, kNone))) {
                count_wrap(head, count);
                return Chain{index, count};
            }
        }
    }

    // Returns the list's length, this block included.
    template <class Nodes>
    std::uint32_t push(Nodes& nodes, std::uint32_t index) noexcept {
        auto& node = nodes[index];
        for (Backoff backoff;; backoff.wait()) {
            std::uint64_t head = head_.load_acquire();   // acquire: the depth of the node below
            const std::uint32_t below = static_cast<std::uint32_t>(head);
            const std::uint32_t depth = below == kNone ? 1 : nodes[below].depth.load_relaxed() + 1;
            node.next.store_relaxed(below);
            node.depth.store_relaxed(depth);
            // release: the next owner must see this owner's last bytes, and our node
            if (head_.cas_weak_release_relaxed(head, (head & kTagMask) | index)) return depth;
        }
    }

    // Pushes a chain on top, in its order. The walks write the nodes' heights, which depend on the head.
    template <class Nodes>
    void push_chain(Nodes& nodes, Chain chain) noexcept {
        if (chain.count == 0) return;
        std::uint32_t last = chain.first;
        for (std::uint32_t i = 1; i < chain.count; ++i) last = nodes[last].next.load_relaxed();
        for (Backoff backoff;; backoff.wait()) {
            std::uint64_t head = head_.load_acquire();
            const std::uint32_t below = static_cast<std::uint32_t>(head);
            std::uint32_t height = chain.count + (below == kNone ? 0 : nodes[below].depth.load_relaxed());
            std::uint32_t index = chain.first;
            for (std::uint32_t i = 0; i < chain.count; ++i) {
                nodes[index].depth.store_relaxed(height--);
                if (index == last) break;
                index = nodes[index].next.load_relaxed();
            }
            nodes[last].next.store_relaxed(below);
            if (head_.cas_weak_release_relaxed(head, (head & kTagMask) | chain.first)) return;
        }
    }

    // Exact while no other thread uses the list; otherwise the length at some moment during the call.
    template <class Nodes>
    std::uint32_t size(Nodes& nodes) const noexcept {
        const std::uint32_t index = static_cast<std::uint32_t>(head_.load_acquire());
        return index == kNone ? 0 : nodes[index].depth.load_relaxed();
    }

    // Blocks popped so far.
    std::uint64_t popped() const noexcept {
        return (wraps_.load_relaxed() << 32) + (head_.load_relaxed() >> 32);
    }

    // For tests of the wrap-around: as if `tag` blocks had been popped.
    void set_tag(std::uint32_t tag) noexcept {
        head_.store_release((std::uint64_t{tag} << 32) | (head_.load_relaxed() & 0xFFFFFFFFu));
    }

  private:
    static constexpr std::uint64_t kTagMask = ~std::uint64_t{0xFFFFFFFFu};

    static std::uint64_t moved(std::uint64_t head, std::uint32_t pops, std::uint32_t index) noexcept {
        return ((((head >> 32) + pops) & 0xFFFFFFFFu) << 32) | index;
    }
    void count_wrap(std::uint64_t head, std::uint32_t pops) noexcept {
        if (BUFPOOL_UNLIKELY((head >> 32) + pops > 0xFFFFFFFFu)) wraps_.add_relaxed(1);
    }

    Atomic<std::uint64_t> head_{kNone};
    Atomic<std::uint64_t> wraps_;
};

}  // namespace bufpool
