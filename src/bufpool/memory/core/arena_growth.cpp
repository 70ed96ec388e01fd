// Growth of the arena: new blocks from the page heap, within the limit. All under the lock.
#include "arena_internal.hpp"
#include "maintenance.hpp"

namespace bufpool {

// --- accounts -----------------------------------------------------------------------------------------------------

// Makes the counts that are kept under the lock readable without it.
void Arena::publish() noexcept {
    // The other pages of a released block's extent count as idle from its release on: the sum may exceed the limit a little.
    if (charged_ + heap_.idle() > config.limit) heap_.purge(charged_ + heap_.idle() - config.limit);
    const std::uint64_t reserved = charged_ + heap_.idle();
    counters.mapped.store_relaxed(heap_.resident());
    counters.free.store_relaxed(heap_.idle());
    counters.purged.store_relaxed(heap_.purged());
    counters.degraded.store_relaxed(heap_.degraded());
    // release: a thread that reads 0 here may reuse an abandoned arena for another pool (Arena::create), and must see all
    // that was counted before
    counters.reserved.store_release(reserved);
}

// Charges a block to the limit; idle blocks are released for it if necessary. False: there is no room.
bool Arena::charge(std::uint64_t bytes) noexcept {
    if (bytes > config.limit) return false;
    const auto missing = [&] { return charged_ > config.limit - bytes ? charged_ - (config.limit - bytes) : 0; };
    if (missing() != 0) flush_lists(missing(), now_ms());
    for (bool pages : {false, true}) {
        for (std::uint32_t c = kCachedClasses; c-- > 0 && missing() != 0;) sweep_slabs(c, kNone, pages ? Sweep::pages : Sweep::slabs, now_ms());
    }
    if (missing() != 0) return false;
    charged_ += bytes;
    return true;
}

// --- extents ------------------------------------------------------------------------------------------------------

// Finds a free extent, in this order: a warm one; a cold one that is almost all resident, at the edge of unused space; one that
// becomes free when admitted classes release their idle blocks, or all classes if the program holds more than it needed
// recently; any cold one; new address space. A class that kept blocks which another size needed is no longer admitted: where
// sizes vary, lists would hold the sum of what each class needed at its own peak.
Refusal Arena::find_extent(std::size_t bytes, std::size_t alignment, Extent& out) noexcept {
    if (heap_.acquire(bytes, alignment, true, out)) return Refusal::none;
    bool found = heap_.acquire(bytes, alignment, false, out);
    if (found && heap_.nonresident(out.start, bytes) <= kRegionAlign) return Refusal::none;
    const std::uint64_t used = counters.used.load_relaxed();
    std::uint64_t flushed = 0;
    for (std::uint32_t c = class_of(kListed) + 1; c < kClassCount; ++c) {
        if (!admitted(c)) continue;
        classes[c].credit.store_relaxed(0);
        flushed += flush_class(c, kNone, now_ms());
    }
    const std::uint64_t held = charged_ + heap_.idle();
    if (held + bytes > used + idle_bound()) flushed += flush_lists(bytes, now_ms());
    if (flushed != 0) {
        if (found) heap_.release(out, now_ms());
        if (heap_.acquire(bytes, alignment, true, out)) return Refusal::none;
        found = heap_.acquire(bytes, alignment, false, out);
    }
    if (found) return Refusal::none;
    if (heap_.reserve(bytes, alignment) && heap_.acquire(bytes, alignment, false, out)) return Refusal::none;
    flush_lists(kUnlimited, now_ms());
    for (bool warm : {true, false}) {
        if (heap_.acquire(bytes, alignment, warm, out)) return Refusal::none;
    }
    return Refusal::no_memory;
}

// Purges idle memory so that `bytes` more may be resident under the limit. False: there is no room.
bool Arena::make_room(std::uint64_t bytes) noexcept {
    const auto missing = [&] {
        const std::uint64_t then = heap_.resident() + bytes;
        return then > resident_limit_ ? then - resident_limit_ : 0;
    };
    if (missing() != 0) evict(missing(), Drop::trimmed, Effort::any);
    return missing() == 0;
}

// Moves idle pages of other extents to a block that has none. Returns the bytes that the system must still commit; kLost: the
// extent must not be used.
std::uint64_t Arena::move_pages_in(Slab* slab, std::size_t size) noexcept {
    const std::uint64_t fresh = heap_.nonresident(slab->base, size);
    if (fresh < kHugePage) return fresh;
    return heap_.move_in(slab->extent) ? heap_.nonresident(slab->base, size) : kLost;
}

// Whether pages that nobody requested may be resident: if they are a small part of all, the bound on idle memory allows
// them, and the next block can use them. Wide alignment would leave the rest of each huge page unused.
bool Arena::wants_whole_huge_pages() const noexcept {
    const std::uint64_t idle = charged_ + heap_.idle() - counters.used.load_relaxed();
    return config.limit == kUnlimited && !aligned_ && heap_.resident() >= kGrown && heap_.idle() <= heap_.resident() / 20 &&
           idle + kHugePage <= config.max_retained;
}

// Makes the pages of a range in use resident.
Refusal Arena::commit_pages(char* start, std::size_t bytes, bool huge) noexcept {
    switch (heap_.commit_pages(start, bytes, huge)) {
        case MapResult::ok: return Refusal::none;
        case MapResult::not_lockable: return Refusal::not_lockable;
        default: return Refusal::no_memory;
    }
}

// `lazy`: the block's pages become resident one by one, when they are written to.
Refusal Arena::commit_dedicated(Slab* slab, std::size_t size, bool lazy) noexcept {
    if (!lazy && wants_whole_huge_pages()) heap_.commit_last_huge_page(slab->extent, now_ms());
    return commit_pages(slab->base, size, true);
}

// Finds an extent for a slab without one, and enters it in the page map.
Refusal Arena::acquire_extent(Slab* slab, std::size_t bytes, std::size_t alignment) noexcept {
    Extent extent;
    const Refusal why = find_extent(bytes, alignment, extent);
    return why == Refusal::none ? attach_extent(slab, extent) : why;
}

Refusal Arena::attach_extent(Slab* slab, Extent extent) noexcept {
    if (!g_pages.set(extent.start, extent.bytes, slab)) {   // no memory for the map itself
        g_pages.set(extent.start, extent.bytes, nullptr);
        heap_.release(extent, now_ms());
        return Refusal::no_memory;
    }
    slab->extent = extent;
    slab->base = slab->committed_end = extent.start;
    slab->carved = 0;
    slab->zeroed = heap_.nonresident(extent.start, extent.bytes) == extent.bytes;
    return Refusal::none;
}

// --- blocks -------------------------------------------------------------------------------------------------------

// Makes a block, because the class has no idle one.
BUFPOOL_COLD Block Arena::grow(std::uint32_t c, bool zeros) noexcept {
    if (closed.load_acquire() != 0) return Block{nullptr, Refusal::closed, false};
    const std::uint64_t size = class_size(c);
    Block block{nullptr, Refusal::limit, false};
    for (bool again : {false, true}) {
        lock_.lock();
        if (charge(size)) {
            block = dedicated(c) ? make_dedicated(c, zeros) : carve(c);
            if (block.address == nullptr) charged_ -= size;
        } else {
            block.refusal = Refusal::limit;
        }
        publish();
        if (block.address != nullptr) counters.peak_reserved.raise_relaxed(counters.reserved.load_relaxed());
        unlock();
        // The system refused: purge what all pools hold idle and try again. If it refused to lock memory, purge this pool's.
        if (block.address != nullptr || again) break;
        if (block.refusal == Refusal::not_lockable ? trim(0) == 0 : block.refusal != Refusal::no_memory || !reclaim_everywhere()) {
            break;
        }
    }
    fence_seq_cst();   // publish before looking for the thread
    if (needs_maintenance()) Maintenance::ensure();
    return block;
}

// Hands out a block that the caller has charged. It counts as a miss if the system gave memory for it, or if it was carved.
Block Arena::hand_out(Slab* slab, std::uint32_t node, bool recycled, std::uint32_t zeroed) noexcept {
    nodes[node].next.store_relaxed(kOwned);
    SizeClass& klass = classes[slab->class_index];
    klass.existing.add_relaxed(1);
    (recycled ? klass.recycled : klass.misses).add_relaxed(1);
    note_used(class_size(slab->class_index));
    return Block{nodes[node].block, Refusal::none, zeroed};
}

// A block of a slab: an idle one, a purged one, or the next one not yet carved.
Block Arena::carve(std::uint32_t c) noexcept {
    // New pages are committed a granule at a time; under a limit page by page. Make room for them first, because that may
    // release idle slabs.
    const std::size_t unit = config.limit == kUnlimited ? kRegionAlign : kPage;
    if (!make_room(class_size(c) + unit)) return Block{nullptr, Refusal::limit, false};
    const Block listed = reuse_listed(c);
    if (listed.address != nullptr || listed.refusal != Refusal::none) return listed;
    return carve_next(c, unit);
}

// A block that its class has idle or purged; neither an address nor a refusal: there is none.
Block Arena::reuse_listed(std::uint32_t c) noexcept {
    SizeClass& klass = classes[c];
    const std::size_t size = class_size(c);
    std::uint32_t left = 0;
    const std::uint32_t idle = klass.idle.pop(nodes, left);   // another thread may have released one, or a sweep kept it
    if (idle != kNone) {
        charged_ -= size;                                     // it was charged when it was made
        nodes[idle].next.store_relaxed(kOwned);
        note_used(size);
        return Block{nodes[idle].block, Refusal::none, false};
    }
    const std::uint32_t purged = klass.purged.pop(nodes, left);
    if (purged == kNone) return Block{nullptr, Refusal::none, false};
    Slab* const slab = g_pages.find(nodes[purged].block);
    char* const start = nodes[purged].block - kPurgedBit;
    const Refusal why = commit_pages(start, size, false);
    if (why != Refusal::none) {
        klass.purged.push(nodes, purged);
        return Block{nullptr, why, false};
    }
    nodes[purged].block = start;
    slab->purged -= 1;
    return hand_out(slab, purged, false, false);
}

// The next block of the class's growing slab, of another slab if that one is full.
Block Arena::carve_next(std::uint32_t c, std::size_t unit) noexcept {
    SizeClass& klass = classes[c];
    if (klass.growing == nullptr || klass.growing->carved == klass.growing->blocks) {
        const Refusal why = start_slab(c);
        if (why != Refusal::none) return Block{nullptr, why, false};
    }
    Slab* const slab = klass.growing;
    char* const start = slab->base + std::size_t{slab->carved} * slab->stride;
    char* end = start + class_size(c);
    if (end > slab->committed_end) {
        end += -reinterpret_cast<std::uintptr_t>(end) & (unit - 1);
        const std::size_t bytes = static_cast<std::size_t>(end - slab->committed_end);
        // Not under a limit: a huge page is resident as a whole.
        const bool huge = slab->extent.bytes >= kHugePage && config.limit == kUnlimited;
        const Refusal why = commit_pages(slab->committed_end, bytes, huge);
        if (why != Refusal::none) return Block{nullptr, why, false};
        slab->committed_end = end;
    }
    const std::uint32_t node = slab->first_node + slab->carved++;
    nodes[node].block = start;
    return hand_out(slab, node, false, slab->zeroed);
}

// A block with an extent of its own.
Block Arena::make_dedicated(std::uint32_t c, bool zeros) noexcept {
    SizeClass& klass = classes[c];
    const std::size_t size = class_size(c);
    // Would a list have served this request? A class with enough such requests in a row is admitted.
    if (admitted(c) || !heap_.recycles()) {
        klass.recently_released = 0;
        klass.credit.store_relaxed(0);
    } else if (klass.recently_released != 0) {
        klass.recently_released -= 1;
        klass.credit.store_relaxed(klass.credit.load_relaxed() + 1);
    } else {
        klass.credit.store_relaxed(0);
    }
    std::uint32_t left = 0;
    const std::uint32_t purged = klass.purged.pop(nodes, left);
    Slab* const slab = purged != kNone ? reinterpret_cast<Slab*>(nodes[purged].block)   // release_extent stored it there
                                       : make_slab(c, 1, 0);
    if (slab == nullptr) return Block{nullptr, Refusal::no_memory, false};
    const std::uint32_t node = slab->first_node;
    const std::size_t pad = coloured() ? kRegionAlign - 1 : 0;
    Refusal why = acquire_extent(slab, size + (size >= kColouredFrom ? pad : 0),
                       config.alignment > kRegionAlign ? config.alignment : kRegionAlign);
    if (why == Refusal::none) {
        // The extent's address chooses the colour, so that reused memory gets the same colour again.
        const std::size_t colours = pad == 0 ? 1 : (slab->extent.bytes - size) / kColourStep + 1;
        const std::size_t colour = reinterpret_cast<std::uintptr_t>(slab->extent.start) / kRegionAlign % kColours;
        slab->base = slab->extent.start + colour % colours * kColourStep;
        const std::uint64_t fresh = zeros ? heap_.nonresident(slab->base, size) : move_pages_in(slab, size);
        // All pages that the block covers in part: a coloured block begins and ends inside a page.
        const std::uintptr_t from = reinterpret_cast<std::uintptr_t>(slab->base), to = from + size;
        const bool zeroed = fresh == ((to + kPage - 1) & ~(kPage - 1)) - (from & ~(kPage - 1));
        if (fresh == kLost) why = Refusal::no_memory;
        else why = make_room(fresh) ? commit_dedicated(slab, size, zeros && size >= kLazyZeros) : Refusal::limit;
        if (why == Refusal::none) {
            nodes[node].block = slab->base;
            return hand_out(slab, node, fresh <= kPage && heap_.recycles(), zeroed);
        }
        g_pages.set(slab->extent.start, slab->extent.bytes, nullptr);
        if (fresh != kLost) heap_.release(slab->extent, now_ms());
        slab->extent.start = nullptr;
    }
    nodes[node].block = reinterpret_cast<char*>(slab);
    klass.purged.push(nodes, node);
    return Block{nullptr, why, false};
}

// Grows or shrinks a block with an extent of its own where it stands. The caller owns the block.
bool Arena::resize(void* address, std::size_t nbytes) noexcept {
    Slab* const slab = g_pages.find(address);
    if (slab == nullptr || !slab->dedicated() || address != slab->base || nbytes > kMaxBlock / 2) return false;
    Arena* const arena = slab->arena;
    const std::uint32_t from = slab->class_index, to = class_of(nbytes == 0 ? 1 : nbytes);
    if (to == from) return true;
    if (!dedicated(to) || arena->config.wipe) return false;
    const std::uint64_t was = class_size(from), is = class_size(to);
    arena->lock_.lock();
    bool done = arena->closed.load_relaxed() == 0;
    if (done && is > was) done = arena->charge(is - was);
    if (done) {
        const std::size_t pad = static_cast<std::size_t>(slab->base - slab->extent.start);
        const Extent before = slab->extent;
        if (pad + is > slab->extent.bytes) {
            done = arena->heap_.extend(slab->extent, pad + is - slab->extent.bytes) &&
                   g_pages.set(slab->extent.start, slab->extent.bytes, slab);
        }
        if (done && is > was) {
            done = arena->make_room(arena->heap_.nonresident(slab->base, is)) &&
                   arena->commit_dedicated(slab, is, false) == Refusal::none;
        }
        const std::size_t keep = done ? pad + is : before.bytes;
        const Extent whole = slab->extent;
        arena->heap_.shorten(slab->extent, keep, now_ms());
        if (slab->extent.bytes != whole.bytes) {
            g_pages.set(slab->extent.start + slab->extent.bytes, whole.bytes - slab->extent.bytes, nullptr);
        }
        if (done) {
            arena->classes[from].existing.sub_relaxed(1);
            arena->classes[to].existing.add_relaxed(1);
            slab->class_index = to;
            if (is > was) {
                arena->note_used(is - was);
            } else {
                arena->charged_ -= was - is;
                arena->counters.used.sub_relaxed(was - is);
            }
        } else if (is > was) {
            arena->charged_ -= is - was;
        }
    }
    if (done && is < was) arena->enforce();
    arena->publish();
    arena->unlock();
    return done;
}

}  // namespace bufpool
