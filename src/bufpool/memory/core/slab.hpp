// A slab: one extent of the page heap cut into equal blocks, and a node for each block.
//
//   extent   |pad| block 0 |gap| block 1 |gap| ... | block n-1 | rest |
//   nodes        node f       node f+1               node f+n-1          (f = first_node)
//
// The descriptor and the nodes lie outside the extent and are never unmapped: a slow reader of a stale index reads a stale
// node and never faults. A slab for a block above 64 KiB holds just that block and is called dedicated.
//
// The gap, and a dedicated block's pad, are slab colouring (Bonwick 1994): without them all large blocks would have the
// same low address bits and compete for the same cache sets.
#pragma once

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/freelist.hpp"
#include "bufpool/_core/os_memory.hpp"
#include "page_heap.hpp"
#include "bufpool/_core/size_classes.hpp"

namespace bufpool {

struct Arena;

struct Node {
    Atomic<std::uint32_t> next;    // free list: index of the node below, kNone, or kOwned while a client owns the block
    Atomic<std::uint32_t> depth;   // free list: blocks from here down, this one included
    char* block;                   // the block's address, with kPurgedBit while purged; set before the node is first shared
};

// Added to the address of a block of a slab whose pages were purged. The page map finds its slab all the same.
constexpr std::uintptr_t kPurgedBit = 1;

inline bool is_purged(const Node& node) noexcept { return (reinterpret_cast<std::uintptr_t>(node.block) & kPurgedBit) != 0; }

// Nodes of an arena by index, in chunks that are mapped as the arena grows and never unmapped.
class NodeTable {
  public:
    Node& operator[](std::uint32_t index) noexcept {
        return chunks_[index >> kChunkBits].load_relaxed()[index & (kChunkNodes - 1)];
    }
    // Whether this thread sees the node's memory, however it got the index.
    bool knows(std::uint32_t index) noexcept { return chunks_[index >> kChunkBits].load_relaxed() != nullptr; }
    // Indices of `count` new nodes in a row, or kNone. Under the arena's lock.
    std::uint32_t reserve(std::uint32_t count) noexcept;

  private:
    static constexpr unsigned kChunkBits = 12;
    static constexpr std::uint32_t kChunkNodes = 1u << kChunkBits;
    static constexpr std::uint32_t kChunks = 1u << 14;            // 64 Mi blocks an arena

    Atomic<Node*> chunks_[kChunks];
    std::uint32_t used_ = 0;
};

inline bool is_known(NodeTable& nodes, std::uint32_t index) noexcept { return nodes.knows(index); }

struct Slab {
    // Set once, when the slab is made; `class_index` of a dedicated one again when its block is resized.
    Arena* arena;
    std::uint32_t class_index;
    std::uint32_t first_node;
    std::uint32_t blocks;          // blocks that fit
    std::size_t stride;            // bytes from one block to the next, gap included
    std::uint64_t reciprocal;      // ceil(2^48 / stride); 0 in a dedicated slab: every address is block 0
    // Changed under the arena's lock.
    Extent extent;                 // its start is null while the slab has none
    char* base;                    // address of block 0
    char* committed_end;           // blocks that end before this are on resident pages
    std::uint32_t carved;          // blocks 0 ... carved-1 exist, or are purged; the others were never handed out
    std::uint32_t purged;          // purged blocks among them, those on released granules too
    std::uint32_t seen;            // used by a sweep: idle and purged blocks found; then idle ones whose pages may go
    std::uint32_t released;        // a bit for each granule of the extent that was released to the page heap
    std::uint32_t releasing;       // used by a sweep: those that it releases
    bool zeroed;                   // the extent came without a resident page: blocks not yet carved are zero
    Slab* next;                    // list of its class: all multi-block slabs

    bool dedicated() const noexcept { return reciprocal == 0; }
    std::size_t bytes() const noexcept { return std::size_t{blocks} * stride; }
    // The granules that a block covers.
    std::uint32_t granules_under(const char* block) const noexcept {
        const auto offset = static_cast<std::size_t>(block - extent.start);
        const std::size_t first = offset / kRegionAlign, last = (offset + class_size(class_index) - 1) / kRegionAlign;
        return static_cast<std::uint32_t>((std::uint64_t{2} << last) - (std::uint64_t{1} << first));
    }

    std::uint32_t node_of(const void* address) const noexcept {
        const std::uint64_t offset = static_cast<std::uint64_t>(static_cast<const char*>(address) - base);
        return first_node + static_cast<std::uint32_t>((offset * reciprocal) >> 48);
    }
    // Usable bytes from `address` to the end of its block.
    std::size_t usable_size(const void* address) const noexcept {
        const std::size_t offset = static_cast<std::size_t>(static_cast<const char*>(address) - base);
        return class_size(class_index) - (offset - (node_of(address) - first_node) * stride);
    }
};

constexpr std::size_t kMostInSlab = kRegionAlign;               // bytes; a larger block has an extent of its own
constexpr std::size_t kMaxSlab = kHugePage;                     // bytes
// The reciprocal is exact while offset < 2^48 / stride, and the product fits while offset * 2^48 / stride < 2^64.
static_assert(kMaxSlab <= (std::uint64_t{1} << 48) / (2 * kMostInSlab), "reciprocal too coarse");
static_assert(kMaxSlab / kGranule < 65536, "product too wide");
static_assert(kMaxSlab / kRegionAlign <= 32, "a bit for each granule");

// Bytes between neighbours of a slab: none below 8 KiB, where strides differ enough by themselves; above, about
// 1/256 of the size in whole cache lines and an odd number of them, so that neighbours spread over all cache sets.
// Where blocks are aligned to more than a line there is none.
constexpr std::size_t gap_of(std::size_t block, bool aligned) noexcept {
    return block < 8192 || aligned ? 0 : ((block >> 14) | 1) * kGranule;
}

// Where a dedicated block starts in its extent: a page and three lines further for each colour, 16 colours.
constexpr std::size_t kColours = 16;
constexpr std::size_t kColourStep = kPage + 3 * kGranule;
constexpr std::size_t kColouredFrom = std::size_t{512} << 10;   // bytes; below, a pad must find room in the last granule
static_assert((kColours - 1) * kColourStep < kRegionAlign, "a pad is less than a granule");

}  // namespace bufpool
