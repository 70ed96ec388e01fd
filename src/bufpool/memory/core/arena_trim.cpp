// Returning idle memory: from the lists to the page heap, and from there to the system; above the bounds, by age, on demand,
// and after closing.
//
// A sweep pops a class's whole list with one CAS, chooses blocks, and pushes the others back. Meanwhile requests find the list
// empty and wait for the lock; nothing is owned twice.
#include "arena_internal.hpp"
#include "maintenance.hpp"

namespace bufpool {

namespace {

constexpr std::uint64_t kTick = 1'000'000'000;           // ns, at most
constexpr std::uint32_t kGoes = 0xFFFFFFFFu;             // in Slab::seen: the sweep releases the whole slab
// In Node::depth while a sweep owns the node: its block is idle, or this sweep has purged it.
constexpr std::uint32_t kIdleMark = 0xFFFFFFFFu;
constexpr std::uint32_t kJustPurged = 0xFFFFFFFEu;

}  // namespace

// --- bounds -------------------------------------------------------------------------------------------------------

// Maximum of idle bytes: 1.5 times the recent peak, less what is in use now. With a tighter bound, programs with varying sizes
// purge what they fault in again a moment later (in a simulation).
std::uint64_t Arena::idle_bound() noexcept {
    std::uint64_t bound = config.max_retained;
    if (config.max_idle_ns != 0) {
        const std::uint64_t used = counters.used.load_relaxed();
        const std::uint64_t peak = recent.read();
        const std::uint64_t total = peak + peak / 2;
        const std::uint64_t needed = total > used + kIdleFloor ? total - used : kIdleFloor;
        if (needed < bound) bound = needed;
    }
    const std::uint64_t slack = bound / kSweepShare < kSweepLeast ? kSweepLeast : bound / kSweepShare;
    bound_.store_relaxed(bound);
    sweep_above_.store_relaxed(bound > kUnlimited - slack ? kUnlimited : bound + slack);
    return bound;
}

void Arena::enforce() noexcept {
    const std::uint64_t bound = idle_bound();
    const std::uint64_t idle = charged_ + heap_.idle() - counters.used.load_relaxed();
    if (idle <= bound || idle > charged_ + heap_.idle()) return;   // a return may be counted in one place only
    // Above the user's bound everything that can go is purged. Above the bound by recent use only what is cheap to purge is, and
    // large blocks are not purged in place of small ones that blocks in use pin.
    if (bound == config.max_retained) {
        evict(idle - bound, Drop::over_max_retained, Effort::thorough);
    } else {
        const std::uint64_t pinned = stuck_ < idle_in_lists() ? stuck_ : idle_in_lists();
        if (idle - pinned > bound) evict(idle - pinned - bound, Drop::over_max_retained, Effort::mild);
    }
}

std::uint64_t Arena::trim(std::uint64_t keep) noexcept {
    release_own_cache();
    lock_.lock();
    drain(false);
    publish();
    const std::uint64_t before = idle_bytes();
    // At least once: a slab without an idle block may still have an extent, and resident pages behind its carved blocks.
    for (std::uint64_t idle = before; idle > keep || (keep == 0 && idle == before); idle = idle_bytes()) {
        const bool any = evict(keep == 0 ? kUnlimited : idle - keep, Drop::trimmed, Effort::any) != 0;
        publish();
        if (!any) break;
    }
    const std::uint64_t after = idle_bytes();
    unlock();
    return before > after ? before - after : 0;
}

void Arena::note_drop(Drop reason, std::uint64_t bytes) noexcept {
    if (bytes == 0) return;
    counters.drops[static_cast<std::uint32_t>(reason)].add_relaxed(1);
    counters.dropped_bytes[static_cast<std::uint32_t>(reason)].add_relaxed(bytes);
}

// Returns at least `bytes` to the system if it can. Small blocks come last, because a sweep visits all idle ones of its class.
// `mild`: sweeps only for the blocks used longest ago, as many as needed. `thorough`: if that is not enough, for all. Both
// pause sweeping for a while if it did not free enough. `any`: as thorough, even during such a pause.
std::uint64_t Arena::evict(std::uint64_t bytes, Drop reason, Effort effort) noexcept {
    std::uint64_t freed = heap_.purge(bytes);
    if (freed < bytes && flush_lists(bytes - freed, now_ms()) != 0) freed += heap_.purge(bytes - freed);
    const auto sweep = [&](bool pages, bool all) {
        for (std::uint32_t c = kCachedClasses; c-- > 0 && freed < bytes;) {
            const std::uint64_t blocks = (bytes - freed - 1) / class_size(c) + 1;
            const std::uint32_t stale = all || blocks > kNone ? kNone : static_cast<std::uint32_t>(blocks);
            const std::uint64_t gone = sweep_slabs(c, stale, pages ? Sweep::pages : Sweep::slabs, now_ms());
            if (pages) freed += gone;
            else freed += heap_.purge(bytes - freed);   // slabs without a block are in it, too
        }
    };
    if (freed < bytes && (effort == Effort::any || idle_in_lists() >= sweep_again_.load_relaxed())) {
        sweep(false, false);
        sweep(true, false);
        if (effort != Effort::mild) sweep(true, true);
        stuck_ = freed < bytes ? idle_in_lists() : 0;
        // The more blocks a sweep visits in vain, the longer the pause.
        std::uint64_t step = effort == Effort::mild ? kRetryAfter : sweep_above_.load_relaxed() - bound_.load_relaxed();
        if (step < stuck_ / 8) step = stuck_ / 8;
        sweep_again_.store_relaxed(stuck_ != 0 ? stuck_ + step : 0);
    }
    note_drop(reason, freed);
    return freed;
}

// --- from the lists to the page heap ------------------------------------------------------------------------------

// The blocks of a chain that satisfy a predicate, in their order.
template <class Stays>
Chain Arena::filter_chain(Chain chain, Stays stays) noexcept {
    Chain kept;
    std::uint32_t last = kNone, index = chain.first;
    for (std::uint32_t i = 0; i < chain.count; ++i) {
        const std::uint32_t next = nodes[index].next.load_relaxed();
        if (stays(index)) {
            if (last == kNone) kept.first = index;
            else nodes[last].next.store_relaxed(index);
            last = index;
            ++kept.count;
        }
        index = next;
    }
    return kept;
}

// Releases the extent of a dedicated block that nobody owns and that is in no list.
void Arena::release_extent(Slab* slab, std::uint32_t node, std::uint32_t now) noexcept {
    SizeClass& klass = classes[slab->class_index];
    g_pages.set(slab->extent.start, slab->extent.bytes, nullptr);
    heap_.release(slab->extent, now);
    slab->extent.start = nullptr;
    nodes[node].block = reinterpret_cast<char*>(slab);
    klass.purged.push(nodes, node);
    klass.existing.sub_relaxed(1);
    charged_ -= class_size(slab->class_index);
}

// Releases the extents of so many blocks of a dedicated class, those used longest ago. Returns their bytes.
std::uint64_t Arena::flush_class(std::uint32_t c, std::uint32_t blocks, std::uint32_t now) noexcept {
    SizeClass& klass = classes[c];
    const Chain all = klass.idle.pop_all(nodes);
    klass.internal_pops.add_relaxed(all.count);
    std::uint32_t at = 0;
    const Chain kept = filter_chain(all, [&](std::uint32_t index) {
        if (at++ + std::uint64_t{blocks} < all.count) return true;
        release_extent(g_pages.find(nodes[index].block), index, now);
        return false;
    });
    const std::uint32_t gone = all.count - kept.count;
    klass.idle.push_chain(nodes, kept);
    if (kept.count < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(kept.count);
    klass.recently_released = klass.recently_released + gone < kListedBlocks ? klass.recently_released + gone : kListedBlocks;
    return gone * std::uint64_t{class_size(c)};
}

// Releases the extents of blocks in the lists of dedicated classes, at least `bytes` if there are so many: first blocks that
// were not needed recently. Returns their bytes.
std::uint64_t Arena::flush_lists(std::uint64_t bytes, std::uint32_t now) noexcept {
    std::uint64_t flushed = 0;
    for (bool all : {false, true}) {
        for (std::uint32_t c = kClassCount; c-- > kCachedClasses && flushed < bytes;) {
            std::uint64_t blocks = classes[c].idle.size(nodes);
            if (!all && classes[c].low_water.load_relaxed() < blocks) blocks = classes[c].low_water.load_relaxed();
            if (blocks == 0) continue;
            const std::uint64_t enough = (bytes - flushed - 1) / class_size(c) + 1;
            flushed += flush_class(c, static_cast<std::uint32_t>(enough < blocks ? enough : blocks), now);
        }
    }
    return flushed;
}

// Releases slabs whose blocks are all idle to the page heap. With Sweep::granules also the granules of other slabs without a
// block in use; with Sweep::pages it purges such pages instead. Only the `stale` blocks that were used longest ago are
// considered. Returns the bytes that left the lists; with Sweep::pages the bytes purged.
std::uint64_t Arena::sweep_slabs(std::uint32_t c, std::uint32_t stale, Sweep what, std::uint32_t now) noexcept {
    const bool pages = what == Sweep::pages;
    SizeClass& klass = classes[c];
    if (klass.slabs == nullptr) return 0;
    const std::uint64_t size = class_size(c);
    const Chain idle = klass.idle.pop_all(nodes);
    klass.internal_pops.add_relaxed(idle.count);

    // Purged blocks are counted and not walked: there may be many more of them.
    for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) slab->seen = slab->purged;
    std::uint32_t index = idle.first;
    for (std::uint32_t i = 0; i < idle.count; ++i, index = nodes[index].next.load_relaxed()) {
        g_pages.find(nodes[index].block)->seen += 1;
    }
    std::uint64_t budget = stale;
    bool any_purged = false;
    for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) {
        const bool goes = slab->extent.start != nullptr && slab->seen == slab->carved &&
                          (stale == kNone || slab->carved <= budget);
        slab->seen = goes ? kGoes : 0;
        if (!goes) continue;
        budget -= slab->carved;
        any_purged |= slab->purged != 0;
    }
    if (any_purged) {
        const Chain purged = filter_chain(klass.purged.pop_all(nodes), [&](std::uint32_t each) {
            return g_pages.find(nodes[each].block)->seen != kGoes;
        });
        klass.purged.push_chain(nodes, purged);
    }

    // Blocks that stay are marked if their memory may go.
    std::uint32_t at = 0;
    Chain kept = filter_chain(idle, [&](std::uint32_t each) {
        Slab* const slab = g_pages.find(nodes[each].block);
        const bool old = at++ + std::uint64_t{stale} >= idle.count;
        if (slab->seen == kGoes) return false;
        const bool marked = old && what != Sweep::slabs;
        nodes[each].depth.store_relaxed(marked ? kIdleMark : 0);
        slab->seen += marked;
        return true;
    });
    for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) {
        if (slab->seen != kGoes) continue;
        slab->seen = slab->purged = 0;
        if (slab == klass.growing) klass.growing = nullptr;
        release_granules(slab, ~slab->released, now);
        slab->extent.start = nullptr;
        slab->released = 0;
    }
    if (what == Sweep::granules) kept = release_idle_granules(klass, kept, now);
    std::uint64_t dropped = idle.count - kept.count, freed = dropped * size;
    if (pages) {
        freed = 0;   // what the page heap got was resident, and still is
        for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) {
            if (slab->seen != 0 || stale == kNone) freed += purge_idle_pages(slab);
        }
        const std::uint32_t before = kept.count;
        kept = filter_chain(kept, [&](std::uint32_t each) { return nodes[each].depth.load_relaxed() != kJustPurged; });
        dropped += before - kept.count;
        for (Slab* slab = klass.slabs; slab != nullptr && before != kept.count; slab = slab->next) {
            if (slab->seen != 0) mark_purged(slab);
        }
    }
    klass.existing.sub_relaxed(dropped);
    charged_ -= dropped * size;
    klass.idle.push_chain(nodes, kept);
    if (kept.count < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(kept.count);
    return freed;
}

// Releases granules of a slab, given as bits, to the page heap.
void Arena::release_granules(Slab* slab, std::uint32_t granules, std::uint32_t now) noexcept {
    const std::size_t count = slab->extent.bytes / kRegionAlign;
    for (std::size_t first = 0; first < count; ++first) {
        std::size_t end = first;
        while (end < count && (granules >> end & 1) != 0) ++end;
        if (end == first) continue;
        const Extent extent{slab->extent.start + first * kRegionAlign, (end - first) * kRegionAlign};
        g_pages.set(extent.start, extent.bytes, nullptr);
        heap_.release(extent, now);
        first = end;
    }
}

// Releases the granules on which all blocks are marked or purged to the page heap, where any size may use them: a few blocks in
// use do not keep the rest of a slab from other classes. The blocks on such granules are purged until the whole slab is
// released. Returns the chain without them.
Chain Arena::release_idle_granules(SizeClass& klass, Chain kept, std::uint32_t now) noexcept {
    bool any = false, any_purged = false;
    for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) {
        if (slab->extent.start == nullptr || slab->seen == 0 || slab->carved != slab->blocks) continue;
        std::uint32_t stays = slab->released;
        for (std::uint32_t i = 0; i < slab->carved; ++i) {
            const Node& node = nodes[slab->first_node + i];
            const bool goes = node.next.load_relaxed() != kOwned && (is_purged(node) || node.depth.load_relaxed() == kIdleMark);
            if (!goes) stays |= slab->granules_under(slab->base + std::size_t{i} * slab->stride);
        }
        const std::uint64_t all = (std::uint64_t{1} << slab->extent.bytes / kRegionAlign) - 1;
        slab->releasing = static_cast<std::uint32_t>(all) & ~stays;
        any |= slab->releasing != 0;
        any_purged |= slab->releasing != 0 && slab->purged != 0;
    }
    if (!any) return kept;
    const auto stays = [&](std::uint32_t each) {
        const char* const block = nodes[each].block - is_purged(nodes[each]);
        const Slab* const slab = g_pages.find(block);
        return (slab->releasing & slab->granules_under(block)) == 0;
    };
    if (any_purged) klass.purged.push_chain(nodes, filter_chain(klass.purged.pop_all(nodes), stays));
    kept = filter_chain(kept, [&](std::uint32_t each) {
        if (stays(each)) return true;
        Slab* const slab = g_pages.find(nodes[each].block);
        nodes[each].block += kPurgedBit;
        nodes[each].depth.store_relaxed(0);
        slab->purged += 1;
        slab->seen -= 1;
        return false;
    });
    for (Slab* slab = klass.slabs; slab != nullptr; slab = slab->next) {
        if (slab->releasing == 0) continue;
        release_granules(slab, slab->releasing, now);
        slab->released |= slab->releasing;
        slab->releasing = 0;
    }
    return kept;
}

// As PageHeap::purge_inside, but leaves out the granules that the slab has released.
std::uint64_t Arena::purge_inside(Slab* slab, char* start, std::size_t bytes) noexcept {
    if (slab->released == 0) return heap_.purge_inside(start, bytes);
    std::uint64_t freed = 0;
    for (char* const end = start + bytes; start < end;) {
        const std::size_t granule = static_cast<std::size_t>(start - slab->extent.start) / kRegionAlign;
        char* const edge = slab->extent.start + (granule + 1) * kRegionAlign;
        char* const to = edge < end ? edge : end;
        if ((slab->released >> granule & 1) == 0) freed += heap_.purge_inside(start, static_cast<std::size_t>(to - start));
        start = to;
    }
    return freed;
}

// Moves the blocks of a slab that this sweep has purged to the class's purged list. They are handed out again in the order of
// their addresses, so that blocks on the same page are used together.
void Arena::mark_purged(Slab* slab) noexcept {
    Chain purged;
    for (std::uint32_t i = slab->carved; i-- > 0;) {
        Node& node = nodes[slab->first_node + i];
        if (node.next.load_relaxed() == kOwned || node.depth.load_relaxed() != kJustPurged) continue;
        node.block += kPurgedBit;
        node.next.store_relaxed(purged.first);
        purged.first = slab->first_node + i;
        ++purged.count;
    }
    slab->purged += purged.count;
    classes[slab->class_index].purged.push_chain(nodes, purged);
}

// Purges the pages of a slab that only marked blocks, purged blocks and space not yet carved cover. Returns the bytes purged.
std::uint64_t Arena::purge_idle_pages(Slab* slab) noexcept {
    if (slab->extent.start == nullptr) return 0;
    std::uint64_t freed = 0;
    const auto may_go = [&](std::uint32_t i) {
        const Node& node = nodes[slab->first_node + i];
        return node.next.load_relaxed() != kOwned && (is_purged(node) || node.depth.load_relaxed() >= kJustPurged);
    };
    for (std::uint32_t i = 0; i < slab->carved;) {
        if (!may_go(i)) {
            ++i;
            continue;
        }
        std::uint32_t end = i + 1;
        while (end < slab->carved && may_go(end)) ++end;
        char* const start = slab->base + std::size_t{i} * slab->stride;
        const std::size_t bytes = std::size_t{end - i - 1} * slab->stride + class_size(slab->class_index);
        const std::uint64_t gone = purge_inside(slab, start, bytes);
        if (gone != 0) {
            freed += gone;
            const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(start) + kPage - 1) & ~(kPage - 1);
            const std::uintptr_t last = (reinterpret_cast<std::uintptr_t>(start) + bytes) & ~(kPage - 1);
            for (; i < end; ++i) {
                Node& node = nodes[slab->first_node + i];
                const std::uintptr_t block = reinterpret_cast<std::uintptr_t>(slab->base) + std::size_t{i} * slab->stride;
                const bool on_them = block < last && block + class_size(slab->class_index) > first;
                if (on_them && !is_purged(node)) node.depth.store_relaxed(kJustPurged);
            }
        }
        i = end;
    }
    // To the extent's end: a commit that failed half-way leaves resident pages behind `committed_end`.
    char* const rest = slab->base + std::size_t{slab->carved} * slab->stride;
    char* const end = slab->extent.start + slab->extent.bytes;
    if (rest != end) freed += purge_inside(slab, rest, static_cast<std::size_t>(end - rest));
    if (slab->committed_end > rest) slab->committed_end = rest;
    return freed;
}

// --- release -------------------------------------------------------------------------------------------------------

// Releases a large block to the page heap, where any size may use it; to its class's list if the class is admitted, or if
// another thread holds the lock.
void Arena::release_dedicated(Slab* slab, std::uint32_t node) noexcept {
    const std::uint32_t c = slab->class_index;
    SizeClass& klass = classes[c];
    if (admitted(c) || (class_size(c) <= kListed && heap_.recycles()) || !lock_.try_lock()) {
        counters.used.sub_relaxed(class_size(c));
        const std::uint32_t listed = klass.idle.push(nodes, node);
        if (BUFPOOL_UNLIKELY(idle_bytes() > bound_.load_relaxed() || (listed > kListedBlocks && !admitted(c)))) {
            return shorten_list(c);
        }
        return check_clock();
    }
    counters.used.sub_relaxed(class_size(c));
    release_extent(slab, node, now_ms());
    if (klass.recently_released < kListedBlocks) klass.recently_released += 1;
    if (closed.load_relaxed() != 0) evict(kUnlimited, Drop::closed, Effort::any);
    else if (charged_ + heap_.idle() - counters.used.load_relaxed() > bound_.load_relaxed()) enforce();
    publish();
    unlock();
    check_clock();
    if (needs_maintenance()) Maintenance::ensure();   // a fork's child may only ever release what it inherited
}

// Called when too much is idle, or when a class that is not admitted has many blocks in its list.
BUFPOOL_COLD void Arena::shorten_list(std::uint32_t c) noexcept {
    check_clock();
    if (!lock_.try_lock()) return;
    if (!admitted(c) && classes[c].idle.size(nodes) > kListedBlocks) flush_class(c, kListedBlocks / 2, now_ms());
    enforce();
    publish();
    unlock();
}

// Releases a block of a closed arena, whose idle memory is returned to the system. Small blocks are swept when all of their
// class are idle, and each time that kRetryAfter more bytes are.
BUFPOOL_COLD void Arena::release_closed(Slab* slab, std::uint32_t node) noexcept {
    const std::uint32_t c = slab->class_index;
    SizeClass& klass = classes[c];
    counters.used.sub_relaxed(class_size(c));
    klass.idle.push(nodes, node);
    const bool all = dedicated(c) || klass.idle.size(nodes) == klass.existing.load_relaxed();
    if (!all && idle_bytes() < sweep_again_.load_relaxed()) return;
    if (!lock_.try_lock()) {
        // The thread that holds it will see this (Arena::unlock).
        left_behind_.store_relaxed(1);
        fence_seq_cst();
        if (!lock_.try_lock()) return;
    }
    left_behind_.store_relaxed(0);
    if (closed.load_relaxed() != 0) evict(kUnlimited, Drop::closed, Effort::any);   // else it is another pool's by now
    publish();
    sweep_again_.store_relaxed(idle_bytes() + kRetryAfter);
    unlock();
}

void Arena::unlock() noexcept {
    lock_.unlock();
    fence_seq_cst();
    while (BUFPOOL_UNLIKELY(left_behind_.load_relaxed() != 0) && lock_.try_lock()) {
        left_behind_.store_relaxed(0);
        if (closed.load_relaxed() != 0) evict(kUnlimited, Drop::closed, Effort::any);
        publish();
        lock_.unlock();
        fence_seq_cst();
    }
}

// --- time ---------------------------------------------------------------------------------------------------------

void Arena::check_clock() noexcept {
    const std::uint64_t tick_ns = tick_ns_.load_relaxed();
    if (tick_ns == 0) return;
    const std::uint64_t now = monotonic_ns();
    if (now < next_tick_.load_relaxed() || !lock_.try_lock()) return;
    if (now >= next_tick_.load_relaxed()) tick(now);
    publish();
    unlock();
}

std::uint64_t Arena::tick_after(std::uint64_t max_idle_ns) noexcept {
    return max_idle_ns / 2 < kTick ? max_idle_ns / 2 : kTick;
}

// Ages memory. Blocks that stayed in a list through a whole window were not needed in it: they are released to the page heap.
// What is idle there for max_idle is purged. `min_retained` stays, so that a program that pauses does not fault everything in
// again.
void Arena::tick(std::uint64_t now) noexcept {
    next_tick_.store_relaxed(now + tick_ns_.load_relaxed());
    recent.advance(now, counters.used.load_relaxed());
    if (now >= next_ageing_) {
        const std::uint32_t since = to_ms(last_ageing_);
        last_ageing_ = now;
        drain(true);
        next_ageing_ = now + config.max_idle_ns / 2;
        for (std::uint32_t c = kClassCount; c-- > 0;) {
            SizeClass& klass = classes[c];
            const std::uint32_t stale = klass.low_water.load_relaxed();
            const std::uint64_t idle = charged_ + heap_.idle() - counters.used.load_relaxed();
            if (stale != 0 && dedicated(c)) {
                flush_class(c, stale, since);
            } else if (stale != 0 && idle > config.min_retained) {
                const std::uint64_t above = (idle - config.min_retained + class_size(c) - 1) / class_size(c);
                const std::uint32_t blocks = stale < above ? stale : static_cast<std::uint32_t>(above);
                const std::uint64_t gone = sweep_slabs(c, blocks, Sweep::pages, since);
                note_drop(Drop::aged_out, gone);
            }
            klass.low_water.store_relaxed(klass.idle.size(nodes));
        }
    }
    if (config.max_idle_ns != 0) {
        const std::uint64_t listed = charged_ - counters.used.load_relaxed();   // idle, but not in the page heap
        const std::uint64_t keep = config.min_retained > listed ? config.min_retained - listed : 0;
        const std::uint64_t gone = heap_.purge_older(to_ms(now - config.max_idle_ns), keep);
        note_drop(Drop::aged_out, gone);
    }
    enforce();
}

}  // namespace bufpool
