// L3 · Memory given back: above max_retained, by age, on demand, and after closing.
//
// A class is shrunk by taking its whole free list with one CAS, choosing, and pushing the rest back: acquirers in
// between find it empty and grow or wait for the lock; nothing is owned twice.
#include "arena_internal.hpp"

namespace bufpool {

namespace {
// Trimming that found only half-used slabs is tried again once this much more is idle.
constexpr std::uint64_t kRetryAfter = std::uint64_t{1} << 20;
}  // namespace

std::uint64_t Arena::trim(std::uint64_t keep) noexcept {
    give_back_own();
    LockGuard guard(lock_);
    const std::uint64_t idle = idle_bytes();
    return idle <= keep ? 0 : evict(idle - keep, Drop::trimmed, false);
}

std::uint64_t Arena::evict(std::uint64_t bytes, Drop reason, bool stale_only) noexcept {
    std::uint64_t freed = 0;
    for (std::uint32_t c = kClassCount; c-- > 0 && freed < bytes;) {
        SizeClass& klass = classes[c];
        std::uint64_t blocks = klass.idle.size(nodes);
        if (stale_only && klass.low_water.load_relaxed() < blocks) blocks = klass.low_water.load_relaxed();
        const std::uint64_t wanted = bytes - freed;
        const std::uint64_t enough = wanted / class_size(c) + (wanted % class_size(c) != 0);
        if (enough < blocks) blocks = enough;
        if (blocks != 0) freed += shrink_class(c, blocks, reason, !stale_only);
    }
    return freed;
}

std::uint64_t Arena::shrink_class(std::uint32_t c, std::uint64_t blocks, Drop reason, bool round_up) noexcept {
    SizeClass& klass = classes[c];
    const std::uint64_t size = class_size(c);
    Chain all = klass.idle.pop_all(nodes);
    klass.popped_aside.add_relaxed(all.count);

    const bool dedicated = size >= dedicated_from_;
    if (!dedicated) {
        for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) slab->seen = 0;
        std::uint32_t index = all.first;
        for (std::uint32_t i = 0; i < all.count; ++i, index = nodes[index].next.load_relaxed()) {
            g_pages.find(nodes[index].block)->seen += 1;
        }
        for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) {
            const bool idle = slab->region != nullptr && slab->seen == slab->carved;
            const bool goes = idle && (round_up ? blocks > 0 : slab->carved <= blocks);
            if (goes) blocks -= slab->carved < blocks ? slab->carved : blocks;
            slab->seen = goes;
        }
    }

    // The list is walked from the block used last; dedicated blocks go from its far end.
    Chain kept;
    std::uint32_t last_kept = kNone;
    std::uint64_t dropped = 0;
    std::uint32_t index = all.first;
    for (std::uint32_t i = 0; i < all.count; ++i) {
        const std::uint32_t next = nodes[index].next.load_relaxed();
        Slab* const slab = g_pages.find(nodes[index].block);
        const bool goes = dedicated ? i + blocks >= all.count : slab->seen != 0;
        if (goes) {
            ++dropped;
            if (dedicated) {
                unback(slab);
                nodes[index].block = reinterpret_cast<char*>(slab);
                klass.hollow.push(nodes, index);
            }
        } else {
            if (last_kept == kNone) kept.first = index;
            else nodes[last_kept].next.store_relaxed(index);
            last_kept = index;
            ++kept.count;
        }
        index = next;
    }
    if (!dedicated) {
        for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) {
            if (slab->seen == 0) continue;
            slab->seen = 0;
            if (slab == klass.growing) klass.growing = nullptr;
            unback(slab);
        }
    }
    klass.existing.sub_relaxed(dropped);
    counters.reserved.sub_relaxed(dropped * size);
    counters.drops[static_cast<std::uint32_t>(reason)].add_relaxed(dropped);
    counters.dropped_bytes[static_cast<std::uint32_t>(reason)].add_relaxed(dropped * size);
    klass.idle.push_chain(nodes, kept);
    if (kept.count < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(kept.count);
    return dropped * size;
}

// The caller owns the block.
void Arena::drop_dedicated(Slab* slab, std::uint32_t node, Drop reason) noexcept {
    const std::uint32_t c = slab->class_index;
    SizeClass& klass = classes[c];
    unback(slab);
    klass.existing.sub_relaxed(1);
    counters.drops[static_cast<std::uint32_t>(reason)].add_relaxed(1);
    counters.dropped_bytes[static_cast<std::uint32_t>(reason)].add_relaxed(class_size(c));
    nodes[node].block = reinterpret_cast<char*>(slab);
    klass.hollow.push(nodes, node);
    counters.used.sub_relaxed(class_size(c));
    // Last, and release: who finds nothing reserved in an abandoned arena makes it another pool's (Arena::create), and
    // what was read and counted here comes before that.
    counters.reserved.sub_release(class_size(c));
}

// A return that would leave more idle than max_retained. Memory that nobody needed lately goes first; then this block.
BUFPOOL_COLD void Arena::release_over(Slab* slab, std::uint32_t node, std::uint64_t idle_after) noexcept {
    const std::uint64_t excess = idle_after - config.max_retained;
    if (slab->dedicated()) {
        check_clock();   // without ageing, memory of an earlier phase would crowd this one out for ever
        std::uint64_t freed = 0;
        if (lock_.try_lock()) {
            freed = evict(excess, Drop::over_max_retained, true);
            lock_.unlock();
        }
        if (freed < excess) return drop_dedicated(slab, node, Drop::over_max_retained);
    }
    const std::uint32_t c = slab->class_index;
    counters.used.sub_relaxed(class_size(c));
    classes[c].idle.push(nodes, node);
    if (slab->dedicated() || excess < trim_step_.load_relaxed()) return;
    if (idle_after < idle_at_failure_.load_relaxed() + kRetryAfter || !lock_.try_lock()) return;
    const std::uint64_t freed = evict(excess, Drop::over_max_retained, false);
    idle_at_failure_.store_relaxed(freed >= excess ? 0 : idle_after - freed);
    lock_.unlock();
}

// After closing, a block goes back when its region is wholly idle; that is looked at when the whole class is idle, and
// each time that some more idle memory has come together.
BUFPOOL_COLD void Arena::release_closed(Slab* slab, std::uint32_t node) noexcept {
    if (slab->dedicated()) return drop_dedicated(slab, node, Drop::closed);
    const std::uint32_t c = slab->class_index;
    SizeClass& klass = classes[c];
    counters.used.sub_relaxed(class_size(c));
    klass.idle.push(nodes, node);
    const bool all = klass.idle.size(nodes) == klass.existing.load_relaxed();
    if ((all || idle_bytes() >= idle_at_failure_.load_relaxed() + kRetryAfter) && lock_.try_lock()) {
        if (closed.load_relaxed() != 0) shrink_class(c, kNone, Drop::closed, true);   // not another pool's by now
        idle_at_failure_.store_relaxed(idle_bytes());
        lock_.unlock();
    }
}

// Ageing by low-water marks: what stayed idle through a whole window was not needed in it. Half of that goes at each
// turn, and a floor stays, so that a program which pauses does not fault everything in again.
void Arena::check_clock() noexcept {
    const std::uint64_t max_idle_ns = max_idle_ns_.load_relaxed();
    if (max_idle_ns == 0) return;
    const std::uint64_t now = monotonic_ns();
    if (now < next_ageing_.load_relaxed() || !lock_.try_lock()) return;
    if (now >= next_ageing_.load_relaxed()) {
        next_ageing_.store_relaxed(now + max_idle_ns / 2);
        for (std::uint32_t c = kClassCount; c-- > 0;) {
            SizeClass& klass = classes[c];
            const std::uint64_t idle = idle_bytes();
            const std::uint64_t stale = klass.low_water.load_relaxed();
            if (stale != 0 && idle > config.min_retained) {
                const std::uint64_t above = (idle - config.min_retained + class_size(c) - 1) / class_size(c);
                // A class that was not used at all goes whole: half of a slab's blocks would free nothing.
                const bool unused = class_size(c) < dedicated_from_ && stale == klass.idle.size(nodes);
                const std::uint64_t half = unused ? stale : (stale + 1) / 2;
                shrink_class(c, half < above ? half : above, Drop::aged_out, false);
            }
            klass.low_water.store_relaxed(klass.idle.size(nodes));
        }
    }
    lock_.unlock();
}

}  // namespace bufpool
