// The hot paths of the arena: acquire and release.
#include "arena.hpp"

#include <cstring>

#include "arena_internal.hpp"

namespace bufpool {

PageMap g_pages;   // one for the process: a block finds its arena, whichever thread or pool releases it

void Arena::note_used(std::uint64_t bytes) noexcept {
    const std::uint64_t used = counters.used.add_relaxed(bytes);
    if (BUFPOOL_LIKELY(used <= recent.of_this_step())) return;
    recent.note(used);
    counters.peak.raise_relaxed(used);
}

// --- checkout -----------------------------------------------------------------------------------------------------

template <bool kInTurn, bool kZeros>
inline Block Arena::acquire_shared(std::uint32_t c) noexcept {
    const std::uint32_t gate = queue.gate.load_relaxed();
    if (BUFPOOL_UNLIKELY(gate != 0)) {
        if ((gate & kGateClosed) != 0) return grow(c);   // which refuses
        if (!kInTurn) return Block{nullptr, Refusal::limit, false};
    }
    SizeClass& klass = classes[c];
    std::uint32_t left = 0;
    const std::uint32_t index = klass.idle.pop(nodes, left);
    if (BUFPOOL_UNLIKELY(index == kNone)) return grow(c, kZeros);
    if (left < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(left);
    Node& node = nodes[index];
    node.next.store_relaxed(kOwned);
    note_used(class_size(c));
    return Block{node.block, Refusal::none, false};
}

// The thread's bin is empty, or the cache that it used last is another arena's.
BUFPOOL_NOINLINE Block Arena::acquire_cached(std::uint32_t c) noexcept {
    ThreadCache* const mine = cache(true);
    if (BUFPOOL_UNLIKELY(mine == nullptr || !mine->enter(this))) return acquire_shared<false, false>(c);
    CacheBin& bin = mine->bins[c];
    if (bin.count.load_relaxed() == 0) refill(bin, c);
    const std::uint32_t top = bin.count.load_relaxed();
    void* const address = top == 0 ? nullptr : bin.pop(top);
    mine->leave();
    return top == 0 ? grow(c) : Block{address, Refusal::none, false};
}

// This and `release` call other functions only in tail position: so they save no registers, which took half of their
// instructions.
Block Arena::acquire(std::size_t nbytes) noexcept {
    // An arena with caches has neither a wider alignment nor wiping: popping a block is all there is to do.
    if (BUFPOOL_LIKELY((cache_flags.load_relaxed() & kUsesCaches) != 0 && nbytes - 1 < class_size(kCachedClasses - 1))) {
        const std::uint32_t c = class_of(nbytes);
        ThreadCache* const recent = t_recent;
        if (BUFPOOL_LIKELY(recent != nullptr && recent->enter(this))) {
            CacheBin& bin = recent->bins[c];
            const std::uint32_t top = bin.count.load_relaxed();
            if (BUFPOOL_LIKELY(top != 0)) {
                void* const address = bin.pop(top);
                recent->leave();
                return Block{address, Refusal::none, false};
            }
            recent->leave();
        }
        return acquire_cached(c);
    }
    return acquire_aligned(nbytes, config.alignment);
}

// The next class whose blocks are all aligned as the pool says.
std::uint32_t Arena::aligned_class(std::uint32_t c) const noexcept {
    if (config.alignment > kRegionAlign) return dedicated(c) ? c : kCachedClasses;
    while (!dedicated(c) && (class_size(c) & (config.alignment - 1)) != 0) ++c;
    return c;
}

template <bool kInTurn, bool kZeros>
inline Block Arena::acquire_block(std::size_t nbytes, std::size_t alignment) noexcept {
    // Every block is aligned to a cache line, or to the pool's own alignment. For a wider one, acquire more and hand out an
    // address further in: release finds the block from any address inside it.
    const std::size_t slack = alignment <= config.alignment ? 0 : alignment - kGranule;
    if (BUFPOOL_UNLIKELY(nbytes > kMaxBlock - slack)) return Block{nullptr, Refusal::too_large, false};
    std::uint32_t c = class_of((nbytes == 0 ? 1 : nbytes) + slack);
    if (BUFPOOL_UNLIKELY(aligned_)) c = aligned_class(c);
    Block block = BUFPOOL_UNLIKELY(uses_cache(c)) ? acquire_cached(c) : acquire_shared<kInTurn, kZeros>(c);
    if (BUFPOOL_UNLIKELY(slack != 0) && block.address != nullptr) {
        const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(block.address);
        block.address = reinterpret_cast<void*>((address + alignment - 1) & ~(std::uintptr_t{alignment} - 1));
        cache_flags.or_relaxed(kMoved);   // whoever releases the block got its address from us, and so sees the flag
    }
    if (BUFPOOL_UNLIKELY(config.wipe) && block.address != nullptr && !block.zeroed) {
        std::memset(block.address, 0, usable_size(block.address));
        block.zeroed = 1;
    }
    return block;
}

// Not inlined, or else `acquire` would save the registers that this needs.
BUFPOOL_NOINLINE Block Arena::acquire_aligned(std::size_t nbytes, std::size_t alignment) noexcept {
    return acquire_block<false, false>(nbytes, alignment);
}

BUFPOOL_COLD Block Arena::acquire_in_turn(std::size_t nbytes, std::size_t alignment) noexcept {
    return acquire_block<true, false>(nbytes, alignment);
}

Block Arena::acquire_for_zeros(std::size_t nbytes, std::size_t alignment) noexcept {
    if (nbytes >= kLazyZeros) return acquire_block<false, true>(nbytes, alignment);
    return alignment <= config.alignment ? acquire(nbytes) : acquire_aligned(nbytes, alignment);
}

Block Arena::acquire_zeroed(std::size_t nbytes) noexcept {
    Block block = acquire_for_zeros(nbytes, config.alignment);
    if (block.address != nullptr && !block.zeroed) clear(block.address, nbytes);
    return block;
}

// A program that wants gigabytes of zeros may well touch few of them: their pages are purged instead of written.
void Arena::clear(void* address, std::size_t nbytes) noexcept {
    char* start = static_cast<char*>(address);
    Slab* const slab = nbytes < kLazyZeros ? nullptr : g_pages.find(address);
    if (slab != nullptr && slab->dedicated()) {
        const Upstream& upstream = slab->arena->config.upstream;
        char* const from = start + (-reinterpret_cast<std::uintptr_t>(start) & (kPage - 1));
        const std::size_t bytes = (nbytes - static_cast<std::size_t>(from - start)) & ~(kPage - 1);
        bool degraded = false;
        const bool purges = upstream.pages == Pages::plain || upstream.pages == Pages::huge_advised;
        if (purges && !upstream.lock && !upstream.prefault && decommit(upstream, from, bytes) &&
            (!kCommitsPages || commit(upstream, from, bytes, degraded) == MapResult::ok)) {
            std::memset(start, 0, static_cast<std::size_t>(from - start));
            nbytes -= static_cast<std::size_t>(from + bytes - start);
            start = from + bytes;
        }
    }
    std::memset(start, 0, nbytes);
}

// --- release -------------------------------------------------------------------------------------------------------

Arena* Arena::owner_of(const void* address) noexcept {
    Slab* const slab = g_pages.find(address);
    return slab == nullptr ? nullptr : slab->arena;
}

std::size_t Arena::usable_size(const void* address) noexcept {
    Slab* const slab = g_pages.find(address);
    return slab == nullptr ? 0 : slab->usable_size(address);
}

bool Arena::release(void* address) noexcept {
    Slab* const slab = g_pages.find(address);
    if (BUFPOOL_UNLIKELY(slab == nullptr)) return false;
    Arena* const arena = slab->arena;
    const std::uint32_t c = slab->class_index;
    ThreadCache* const recent = t_recent;
    // Without kMoved every address that was handed out is the start of its block, and can be cached as it is.
    if (BUFPOOL_LIKELY(c < kCachedClasses && arena->cache_flags.load_relaxed() == kUsesCaches && recent != nullptr &&
                       recent->enter(arena))) {
        CacheBin& bin = recent->bins[c];
        const std::uint32_t top = bin.count.load_relaxed();
        if (BUFPOOL_LIKELY(top != bin.capacity)) {
            bin.push(top, address);
            recent->leave();
            return true;
        }
        recent->leave();
    }
    return arena->release_slow(slab, address);
}

BUFPOOL_NOINLINE bool Arena::release_slow(Slab* slab, void* address) noexcept {
    const std::uint32_t node = slab->node_of(address);
    const std::uint32_t c = slab->class_index;
    if (uses_cache(c)) {
        ThreadCache* const mine = cache(false);   // a release must not ask for memory
        if (BUFPOOL_LIKELY(mine != nullptr && mine->enter(this))) {
            CacheBin& bin = mine->bins[c];
            const std::uint32_t top = bin.count.load_relaxed();
            if (top == bin.capacity) spill(bin, c, top / 2);
            bin.push(bin.count.load_relaxed(), nodes[node].block);   // its start: the next owner may need all of it
            mine->leave();
            return true;
        }
    }
    if (BUFPOOL_UNLIKELY(nodes[node].next.load_relaxed() != kOwned)) return false;
    release_shared(slab, node);
    if (BUFPOOL_UNLIKELY(!queue.is_empty())) queue.wake_first();
    return true;
}

void Arena::release_shared(Slab* slab, std::uint32_t node) noexcept {
    if (BUFPOOL_UNLIKELY(closed.load_relaxed() != 0)) return release_closed(slab, node);
    if (slab->dedicated()) return release_dedicated(slab, node);
    const std::uint32_t c = slab->class_index;
    counters.used.sub_relaxed(class_size(c));
    classes[c].idle.push(nodes, node);
    enforce_if_exceeded();
    count_releases(c, 1);
}

// Called after a release to a list: enforces the bounds if too much is idle and the lock is free.
inline void Arena::enforce_if_exceeded() noexcept {
    const std::uint64_t idle = idle_bytes();
    if (BUFPOOL_LIKELY(idle <= sweep_above_.load_relaxed())) return;
    if (idle < sweep_again_.load_relaxed() || !lock_.try_lock()) return;
    enforce();
    publish();
    unlock();
}

// Releases small blocks of one class, linked through node.next. After closing they are released one by one.
void Arena::release_chain(std::uint32_t c, Chain chain) noexcept {
    const std::uint64_t bytes = chain.count * std::uint64_t{class_size(c)};
    if (BUFPOOL_UNLIKELY(closed.load_relaxed() != 0)) {
        for (std::uint32_t index = chain.first; chain.count != 0; --chain.count) {
            const std::uint32_t next = nodes[index].next.load_relaxed();
            release_shared(g_pages.find(nodes[index].block), index);
            index = next;
        }
        return;
    }
    counters.used.sub_relaxed(bytes);
    classes[c].idle.push_chain(nodes, chain);
    enforce_if_exceeded();
    count_releases(c, chain.count);
}

// Counts releases, and reads the clock at every 64th. Releases of large blocks always read it.
void Arena::count_releases(std::uint32_t c, std::uint32_t returns) noexcept {
    const std::uint32_t before = classes[c].releases.load_relaxed();
    classes[c].releases.store_relaxed(before + returns);
    if (((before ^ (before + returns)) & ~std::uint32_t{63}) != 0) check_clock();
}

}  // namespace bufpool
