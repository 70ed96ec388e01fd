// The cold parts of the page map and of the node table.
#include "slab.hpp"

#include "page_map.hpp"

namespace bufpool {

PageMap::Leaf* PageMap::leaf_for(std::uintptr_t root_index) noexcept {
    Leaf* leaf = root_[root_index].load_acquire();
    if (leaf != nullptr) return leaf;
    const Region region = map_records(sizeof(Leaf));
    if (region.start == nullptr) return nullptr;
    Leaf* const fresh = static_cast<Leaf*>(region.start);    // zero-filled: all entries null
    if (root_[root_index].cas_strong_acq_rel_acquire(leaf, fresh)) return fresh;
    unmap_records(region);                                   // another arena was faster
    return leaf;
}

bool PageMap::set(void* start, std::size_t bytes, Slab* slab) noexcept {
    const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(start) >> kGranuleBits;
    const std::uintptr_t last = (reinterpret_cast<std::uintptr_t>(start) + bytes - 1) >> kGranuleBits;
    if ((last >> (2 * kLevelBits)) != 0) return false;
    for (std::uintptr_t granule = first; granule <= last; ++granule) {
        Leaf* const leaf = leaf_for(granule >> kLevelBits);
        if (leaf == nullptr) return false;
        leaf->slabs[granule & kLevelMask].store_release(slab);
    }
    return true;
}

std::uint32_t NodeTable::reserve(std::uint32_t count) noexcept {
    if (count > kChunks * kChunkNodes - used_) return kNone;
    const std::uint32_t first = used_;
    for (std::uint32_t chunk = first >> kChunkBits; chunk <= (first + count - 1) >> kChunkBits; ++chunk) {
        if (chunks_[chunk].load_relaxed() != nullptr) continue;
        const Region region = map_records(kChunkNodes * sizeof(Node));
        if (region.start == nullptr) return kNone;
        chunks_[chunk].store_release(static_cast<Node*>(region.start));
    }
    used_ = first + count;
    return first;
}

}  // namespace bufpool
