// Readings for users: where idle memory is, how much `trim` would return, and whose an arena is.
#include "arena_internal.hpp"

namespace bufpool {

namespace {
constexpr std::uint32_t kOwnMark = 0xFFFFFFFFu;   // in Node::depth: in this thread's own cache, which `trim` flushes
}

IdleReading Arena::read_idle() noexcept {
    ThreadCache* mine = t_caches;
    while (mine != nullptr && mine->arena != this) mine = mine->next_of_thread;
    if (mine != nullptr && !mine->enter(this)) mine = nullptr;
    IdleReading reading{};
    std::uint64_t own_cached = 0;
    {
        LockGuard guard(lock_);
        reading.trimmable = heap_.idle();
        for (std::uint32_t c = kCachedClasses; c < kClassCount; ++c) {
            reading.trimmable += classes[c].idle.size(nodes) * std::uint64_t{class_size(c)};
        }
        for (std::uint32_t c = 0; c < kCachedClasses; ++c) {
            const std::uint32_t own = mine == nullptr ? 0 : mine->bins[c].count.load_relaxed();
            own_cached += own * std::uint64_t{class_size(c)};
            const auto mark = [&](std::uint32_t depth) {
                for (std::uint32_t i = 0; i < own; ++i) {
                    void* const block = mine->bins[c].blocks[i];
                    nodes[g_pages.find(block)->node_of(block)].depth.store_relaxed(depth);
                }
            };
            mark(kOwnMark);
            for (Slab* slab = classes[c].slabs; slab != nullptr; slab = slab->next) reading.trimmable += trimmable_in(slab);
            mark(0);
        }
    }
    if (mine != nullptr) mine->leave();
    const std::uint64_t all_cached = cached_bytes();
    reading.cached = all_cached > own_cached ? all_cached - own_cached : 0;
    return reading;
}

// Bytes of a slab's idle blocks that `trim` would release: all if no block is in use, else those on pages without a block in
// use.
std::uint64_t Arena::trimmable_in(Slab* slab) noexcept {
    if (slab->extent.start == nullptr) return 0;
    const auto idle = [&](std::uint32_t i) {
        const Node& node = nodes[slab->first_node + i];
        return node.next.load_relaxed() != kOwned || node.depth.load_relaxed() == kOwnMark;
    };
    const std::uint64_t size = class_size(slab->class_index);
    std::uint64_t bytes = 0;
    for (std::uint32_t i = 0; i < slab->carved;) {
        if (!idle(i)) {
            ++i;
            continue;
        }
        std::uint32_t end = i + 1;
        while (end < slab->carved && idle(end)) ++end;
        const bool whole = i == 0 && end == slab->carved;
        const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(slab->base) + std::size_t{i} * slab->stride;
        const std::uintptr_t first = (start + kPage - 1) & ~(kPage - 1);
        const std::uintptr_t last = (start + std::size_t{end - i - 1} * slab->stride + size) & ~(kPage - 1);
        for (; i < end; ++i) {
            const std::uintptr_t at = reinterpret_cast<std::uintptr_t>(slab->base) + std::size_t{i} * slab->stride;
            if (!whole && (first >= last || at >= last || at + size <= first)) continue;
            if (!is_purged(nodes[slab->first_node + i])) bytes += size;
        }
    }
    return bytes;
}

ArenaIdentity Arena::identify(void (*add_reference)(void*)) noexcept {
    LockGuard guard(lock_);   // `create` holds it while it reuses an arena for a new pool
    void* const name = named_ == serial_ ? name_ : nullptr;
    if (name != nullptr && add_reference != nullptr) add_reference(name);
    return ArenaIdentity{serial_, config.limit, name, closed.load_relaxed(), abandoned_.load_relaxed()};
}

}  // namespace bufpool
