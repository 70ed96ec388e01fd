// L3 · Readings for users: where idle memory is and what `trim` would return, and the arenas of the process.
#include "arena_internal.hpp"

namespace bufpool {

// The lock is taken for one class at a time, so that growth waits for a short scan only. Blocks come and go during it.
IdleReading Arena::read_idle() noexcept {
    const ThreadCache* mine = t_caches;
    while (mine != nullptr && mine->arena != this) mine = mine->next_of_thread;
    const std::uint64_t all_cached = parked_bytes();
    std::uint64_t own_cached = 0;
    IdleReading reading{};
    for (std::uint32_t c = 0; c < kClassCount; ++c) {
        const bool cached = mine != nullptr && c < kMagazineClasses;
        const std::uint64_t own = cached ? mine->magazines[c].count.load_relaxed() : 0;
        own_cached += own * class_size(c);
        if (own + classes[c].idle.size(nodes) != 0) {
            reading.trimmable += class_size(c) * trimmable_blocks(c, cached ? &mine->magazines[c] : nullptr);
        }
    }
    reading.cached = all_cached > own_cached ? all_cached - own_cached : 0;
    return reading;
}

// Blocks that `shrink_class` would give back once this thread's magazine is flushed. The nodes of a slab are
// neighbours in memory: scanning them is faster than walking the free list, and needs no popping.
std::uint64_t Arena::trimmable_blocks(std::uint32_t c, const Magazine* own) noexcept {
    LockGuard guard(lock_);
    if (class_size(c) >= dedicated_from_) return classes[c].idle.size(nodes);   // each has a region of its own
    for (Slab* slab = classes[c].slabs; slab != nullptr; slab = slab->next) slab->seen = 0;
    const std::uint32_t cached = own == nullptr ? 0 : own->count.load_relaxed();
    for (std::uint32_t i = 0; i < cached; ++i) g_pages.find(own->blocks[i])->seen += 1;
    std::uint64_t blocks = 0;
    for (Slab* slab = classes[c].slabs; slab != nullptr; slab = slab->next) {
        if (slab->region == nullptr) continue;
        std::uint32_t owned = 0;   // by clients and thread caches, this thread's own among them
        for (std::uint32_t i = 0; i < slab->carved && owned <= slab->seen; ++i) {
            owned += nodes[slab->first_node + i].next.load_relaxed() == kOwned;
        }
        if (owned <= slab->seen) blocks += slab->carved;
    }
    return blocks;
}

ArenaIdentity Arena::identify() noexcept {
    LockGuard guard(lock_);   // `create` holds it while it turns an old arena into a new pool's
    return ArenaIdentity{serial_, config.limit, closed.load_relaxed(), abandoned_.load_relaxed()};
}

}  // namespace bufpool
