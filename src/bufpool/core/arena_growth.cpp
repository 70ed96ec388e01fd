// L3 · Growth of the arena: new blocks from new or hollow slabs, within the limit.
#include "arena_internal.hpp"

namespace bufpool {

bool Arena::charge(std::uint64_t bytes) noexcept {
    std::uint64_t reserved = counters.reserved.load_relaxed();
    do {
        if (bytes > config.limit || reserved > config.limit - bytes) return false;
    } while (!counters.reserved.cas_weak_relaxed_relaxed(reserved, reserved + bytes));
    return true;
}

// No idle block in the class: make one. At the limit, or out of memory, idle blocks of other classes go first.
BUFPOOL_COLD Block Arena::grow(std::uint32_t c) noexcept {
    if (closed.load_acquire() != 0) return Block{nullptr, Refusal::closed, false};
    SizeClass& klass = classes[c];
    const std::uint64_t size = class_size(c);
    Block block{nullptr, Refusal::limit, false};
    for (;;) {
        if (charge(size)) {
            block = size >= dedicated_from_ ? make_dedicated(c) : carve(c);
            if (block.address != nullptr) {
                klass.misses.add_relaxed(1);
                // Here and not in `charge`: memory that the system then refuses was never reserved.
                counters.peak_reserved.raise_relaxed(counters.reserved.load_relaxed());
                return block;
            }
            counters.reserved.sub_relaxed(size);
            if (block.refusal != Refusal::no_memory) break;
        } else {
            block.refusal = Refusal::limit;
        }
        if (size > config.limit) break;
        LockGuard guard(lock_);
        if (evict(size, Drop::trimmed, false) == 0) break;   // what we free another may take: as long as there is some
    }
    return block;
}

// The next untouched block of a multi-block slab. The caller has charged it.
Block Arena::carve(std::uint32_t c) noexcept {
    SizeClass& klass = classes[c];
    const std::size_t size = class_size(c);
    LockGuard guard(lock_);
    std::uint32_t left = 0;
    const std::uint32_t idle = klass.idle.pop(nodes, left);   // somebody may have returned one, or trimmed and put back
    if (idle != kNone) {
        counters.reserved.sub_relaxed(size);                  // it was charged when it was made
        klass.popped_aside.add_relaxed(1);                    // and this checkout is counted as a miss already
        nodes[idle].next.store_relaxed(kOwned);
        note_used(size);
        return Block{nodes[idle].block, Refusal::none, false};
    }
    Slab* slab = klass.growing;
    if (slab == nullptr || slab->carved == slab->blocks) {
        for (slab = klass.slabs; slab != nullptr && slab->region != nullptr; slab = slab->next) {
        }
        if (slab == nullptr) {
            const std::size_t stride = size + gap_of(size);
            std::size_t region = stride * 2 > kRegionAlign ? stride * 2 : kRegionAlign;
            const std::size_t least = region;
            std::size_t most = size < kRegionAlign ? kHugePage : kMaxSlabRegion;
            const std::uint64_t step = trim_step_.load_relaxed();
            if (step < most) most = step < least ? least : step;
            for (std::uint32_t i = 0; i < klass.generation && region < most; ++i) region *= 2;
            if (region > most) region = most;
            if (region >= kHugePage) region = (region + kHugePage - 1) & ~(kHugePage - 1);
            slab = make_slab(c, static_cast<std::uint32_t>(region / stride), stride, region);
            if (slab == nullptr) return Block{nullptr, Refusal::no_memory, false};
            slab->next = klass.slabs;
            klass.slabs = slab;
            klass.generation += 1;
        }
        Refusal why = Refusal::none;
        if (!back(slab, why)) return Block{nullptr, why, false};
        klass.growing = slab;
    }
    const std::uint32_t i = slab->carved++;
    Node& node = nodes[slab->first_node + i];
    node.block = slab->base + std::size_t{i} * slab->stride;
    node.next.store_relaxed(kOwned);
    klass.existing.add_relaxed(1);
    note_used(size);
    return Block{node.block, Refusal::none, true};
}

// A block with a region of its own. The caller has charged it. A hollow slab belongs to whoever popped it, so that
// the system is asked outside the lock.
Block Arena::make_dedicated(std::uint32_t c) noexcept {
    SizeClass& klass = classes[c];
    std::uint32_t left = 0;
    const std::uint32_t hollow = klass.hollow.pop(nodes, left);
    Slab* slab;
    if (hollow != kNone) {
        slab = reinterpret_cast<Slab*>(nodes[hollow].block);   // a hollow node keeps its slab where its block was
    } else {
        const std::size_t colour = (colour_.add_relaxed(1) % kColours) * kColourStep;
        LockGuard guard(lock_);
        slab = make_slab(c, 1, 0, class_size(c) + colour);
        if (slab == nullptr) return Block{nullptr, Refusal::no_memory, false};
    }
    Node& node = nodes[slab->first_node];
    Refusal why = Refusal::none;
    if (!back(slab, why)) {
        node.block = reinterpret_cast<char*>(slab);
        klass.hollow.push(nodes, slab->first_node);
        return Block{nullptr, why, false};
    }
    node.block = slab->base;
    node.next.store_relaxed(kOwned);
    klass.existing.add_relaxed(1);
    note_used(class_size(c));
    return Block{node.block, Refusal::none, true};
}

Slab* Arena::make_slab(std::uint32_t c, std::uint32_t blocks, std::size_t stride, std::size_t region) noexcept {
    if (spare_count_ == 0) {
        Region metadata;
        if (map_region(Upstream{Pages::plain, false, false}, kRegionAlign, metadata) != MapResult::ok) return nullptr;
        spare_slabs_ = static_cast<Slab*>(metadata.start);
        spare_count_ = static_cast<std::uint32_t>(metadata.bytes / sizeof(Slab));
    }
    const std::uint32_t first = nodes.reserve(blocks);
    if (first == kNone) return nullptr;
    Slab* const slab = spare_slabs_++;
    --spare_count_;
    slab->arena = this;
    slab->class_index = c;
    slab->first_node = first;
    slab->blocks = blocks;
    slab->stride = stride;
    slab->reciprocal = stride == 0 ? 0 : ((std::uint64_t{1} << 48) + stride - 1) / stride;
    slab->region_bytes = region;
    return slab;
}

// Gives a hollow slab memory and enters it in the page map.
bool Arena::back(Slab* slab, Refusal& why) noexcept {
    Region region;
    const MapResult result = map_region(config.upstream, slab->region_bytes, region);
    if (result != MapResult::ok) {
        why = result == MapResult::not_lockable ? Refusal::not_lockable : Refusal::no_memory;
        return false;
    }
    if (region.degraded) counters.degraded.add_relaxed(1);
    slab->region = static_cast<char*>(region.start);
    slab->mapped = region.bytes;
    slab->base = slab->region + (slab->dedicated() ? slab->region_bytes - class_size(slab->class_index) : 0);
    slab->carved = 0;
    counters.mapped.add_relaxed(region.bytes);
    if (!g_pages.set(slab->region, slab->mapped, slab)) {   // no memory for the map itself
        unback(slab);
        why = Refusal::no_memory;
        return false;
    }
    return true;
}

// The memory goes back to the system; the descriptor and its nodes stay for the next time.
void Arena::unback(Slab* slab) noexcept {
    char* const region = slab->region;
    const std::size_t bytes = slab->mapped;
    g_pages.set(region, bytes, nullptr);   // before the unmap: afterwards the addresses may be somebody else's
    slab->region = nullptr;
    slab->carved = 0;
    counters.mapped.sub_relaxed(bytes);
    unmap_region(region, bytes);
}

}  // namespace bufpool
