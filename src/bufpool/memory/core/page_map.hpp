// The page map: from any address to the slab that holds it, without trusting the caller's size.
//
// A two-level radix tree over 64 KiB granules of a 48-bit address space. Readers take no lock; entries are written
// by the arena that owns the region. A foreign address finds null.
#pragma once

#include "bufpool/_core/atomics.hpp"
#include "bufpool/_core/os_memory.hpp"

namespace bufpool {

struct Slab;

class PageMap {
  public:
    Slab* find(const void* address) const noexcept {
        const std::uintptr_t granule = reinterpret_cast<std::uintptr_t>(address) >> kGranuleBits;
        if (BUFPOOL_UNLIKELY((granule >> (2 * kLevelBits)) != 0)) return nullptr;
        const Leaf* const leaf = root_[granule >> kLevelBits].load_acquire();
        return leaf == nullptr ? nullptr : leaf->slabs[granule & kLevelMask].load_acquire();
    }

    // Stores `slab` (or null, before a region is unmapped) for every granule of the region. False: no memory for a leaf.
    bool set(void* start, std::size_t bytes, Slab* slab) noexcept;

  private:
    static constexpr unsigned kGranuleBits = 16;
    static constexpr unsigned kLevelBits = 16;
    static constexpr std::uintptr_t kLevelMask = (std::uintptr_t{1} << kLevelBits) - 1;

    struct Leaf {
        Atomic<Slab*> slabs[std::size_t{1} << kLevelBits];   // 512 KiB for 4 GiB of addresses; untouched pages cost nothing
    };
    Leaf* leaf_for(std::uintptr_t root_index) noexcept;

    Atomic<Leaf*> root_[std::size_t{1} << kLevelBits];
};

static_assert(kRegionAlign == std::size_t{1} << 16, "the map's granule is a region's alignment");

}  // namespace bufpool
