// Life of an arena: creation, reuse, forks, readings.
#include <new>

#if !defined(_WIN32)
#include <pthread.h>
#endif

#include "arena_internal.hpp"
#include "maintenance.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUFPOOL_LOOKS_FOR_LEAKS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define BUFPOOL_LOOKS_FOR_LEAKS 1
#endif
#if defined(BUFPOOL_LOOKS_FOR_LEAKS)
#include <sanitizer/lsan_interface.h>
#endif

namespace bufpool {

namespace {

Lock g_registry_lock;
Atomic<Arena*> g_arenas;                          // all ever made, newest first; none is ever taken out
std::uint64_t g_created = 0;                      // pools so far; under the registry's lock
#if !defined(_WIN32)
bool g_fork_safe = false;                        // what is done around a fork is registered; under the registry's lock
#endif

}  // namespace

struct AtFork {
    static void prepare() { Arena::before_fork(); }
    static void parent() { Arena::after_fork_parent(); }
    static void child() { Arena::after_fork_child(); }
};

// --- life ---------------------------------------------------------------------------------------------------------

Arena* Arena::create(const ArenaConfig& config) noexcept {
    LockGuard guard(g_registry_lock);
    const bool aligned = config.alignment > kGranule;
    Arena* arena = g_arenas.load_relaxed();
    for (; arena != nullptr; arena = arena->next_arena_) {
        // A release that gives back the arena's last memory holds the lock until it is done. It is held here, too, so
        // that its reads of the old settings, and its counts, come before the new ones.
        if (arena->abandoned_.load_relaxed() == 0 || !arena->lock_.try_lock()) continue;
        // What a release put back in the moment of closing is idle still.
        if (arena->idle_bytes() != 0) arena->evict(kUnlimited, Drop::closed, Effort::any);
        arena->publish();
        // Its slabs and its address space must suit: what is advised stays so.
        const bool suits = arena->config.upstream.pages == config.upstream.pages && arena->aligned_ == aligned;
        if (suits && arena->counters.reserved.load_acquire() == 0) break;
        arena->lock_.unlock();
    }
    if (arena == nullptr) {
#if !defined(_WIN32)
        // Once, also if the map below fails: the second of two handlers would wait for the first one's locks for ever.
        if (!g_fork_safe) {
            const int failed =
                pthread_atfork(&AtFork::prepare, &AtFork::parent, &AtFork::child);
            if (failed != 0) return nullptr;
            g_fork_safe = true;
        }
#endif
        const Region region = map_records(sizeof(Arena));
        if (region.start == nullptr) return nullptr;
        arena = static_cast<Arena*>(region.start);            // zero-filled, which is right for all but the lists' heads
        for (SizeClass& klass : arena->classes) {
            new (&klass.idle) FreeList;
            new (&klass.purged) FreeList;
        }
#if defined(BUFPOOL_LOOKS_FOR_LEAKS)
        // An arena is never freed, and what hangs on it alone (`attachment`, waiters) is not lost.
        // LeakSanitizer does not follow pointers through mapped memory unless it is told of it.
        __lsan_register_root_region(arena, sizeof(Arena));
#endif
        arena->lock_.lock();
        arena->next_arena_ = g_arenas.load_relaxed();
        g_arenas.store_release(arena);
    }
    // The counts of an earlier pool do not show in the next one's.
    for (SizeClass& klass : arena->classes) {
        klass.internal_pops.store_relaxed(klass.idle.popped());
        klass.misses.store_relaxed(0);
        klass.recycled.store_relaxed(0);
        klass.low_water.store_relaxed(0);
        klass.credit.store_relaxed(0);
        klass.recently_released = 0;
        klass.stuck = 0;
    }
    for (ThreadCache* each = arena->caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
        for (CacheBin& bin : each->bins) bin.hits.store_relaxed(0);
    }
    Counters& counters = arena->counters;
    counters.peak.store_relaxed(0);
    counters.peak_reserved.store_relaxed(0);
    counters.refused.store_relaxed(0);
    counters.degraded.store_relaxed(0);
    for (Atomic<std::uint64_t>& drops : counters.drops) drops.store_relaxed(0);
    for (Atomic<std::uint64_t>& bytes : counters.dropped_bytes) bytes.store_relaxed(0);
    arena->serial_ = ++g_created;
    arena->config = config;
    arena->aligned_ = aligned;
    arena->heap_.configure(config.upstream);
    arena->charged_ = 0;
    // Blocks fill pages, and slabs leave some of their last ones empty: a little more is resident than the limit says.
    const std::uint64_t more = config.limit / 32 + kRegionAlign;
    const bool counts_pages = arena->heap_.recycles() && config.limit <= kUnlimited - more;
    arena->resident_limit_ = counts_pages ? config.limit + more : kUnlimited;
    const std::uint64_t now = monotonic_ns();
    arena->recent.reset(now, config.max_idle_ns);
    arena->sweep_again_.store_relaxed(0);
    arena->stuck_ = 0;
    arena->left_behind_.store_relaxed(0);
    const bool maintained = config.maintenance_thread && config.max_idle_ns != 0;
    arena->maintained_above_.store_relaxed(maintained ? config.min_retained : kUnlimited);
    arena->tick_ns_.store_relaxed(tick_after(config.max_idle_ns));
    arena->next_tick_.store_relaxed(now + tick_after(config.max_idle_ns));
    arena->last_ageing_ = now;
    arena->next_ageing_ = now + config.max_idle_ns / 2;
    arena->bound_.store_relaxed(arena->idle_bound());
    const bool caches = config.limit == kUnlimited && config.alignment <= kGranule && !config.wipe;
    arena->cache_flags.store_relaxed(caches ? kUsesCaches : 0);
    arena->abandoned_.store_relaxed(0);
    arena->queue.gate.store_relaxed(0);
    arena->closed.store_release(0);
    arena->lock_.unlock();
    return arena;
}

Arena* Arena::newest() noexcept { return g_arenas.load_acquire(); }

void Arena::close() noexcept {
    closed.store_release(1);
    queue.gate.or_relaxed(kShut);
    cache_flags.store_release(0);
    release_own_cache();
    lock_.lock();
    drain(false);
    evict(kUnlimited, Drop::closed, Effort::any);
    publish();
    sweep_again_.store_relaxed(0);
    unlock();
}

void Arena::abandon() noexcept {
    close();
    abandoned_.store_relaxed(1);   // the lock, which `close` held, orders all else before the next `create`
}

// The system has no memory: what all pools hold idle goes back to it, address space too. False: there was nothing.
bool Arena::reclaim_everywhere() noexcept {
    bool freed = false;
    for (Arena* arena = g_arenas.load_acquire(); arena != nullptr; arena = arena->next_arena_) {
        if (!arena->lock_.try_lock()) continue;
        freed |= arena->evict(kUnlimited, Drop::trimmed, Effort::any) != 0;
        freed |= arena->heap_.release_spaces();
        arena->publish();
        arena->unlock();
    }
    return freed;
}

// --- fork ---------------------------------------------------------------------------------------------------------
// The locks are taken before a fork, so that the child finds every list and slab whole. A block that another thread
// was just moving stays out in the child; nothing is owned twice.

void Arena::before_fork() noexcept {
    g_registry_lock.lock();
    for (Arena* arena = g_arenas.load_acquire(); arena != nullptr; arena = arena->next_arena_) {
        arena->lock_.lock();
        arena->queue.before_fork();
    }
}

void Arena::after_fork_parent() noexcept {
    for (Arena* arena = g_arenas.load_acquire(); arena != nullptr; arena = arena->next_arena_) {
        arena->queue.after_fork();
        arena->lock_.unlock();
    }
    g_registry_lock.unlock();
}

// The parent's other threads do not exist here: what they had cached goes to the shared lists.
void Arena::after_fork_child() noexcept {
    after_fork_parent();
    Maintenance::forget();
    for (Arena* arena = g_arenas.load_acquire(); arena != nullptr; arena = arena->next_arena_) {
        arena->queue.begin_anew();
        for (ThreadCache* each = arena->caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
            bool mine = false;
            for (ThreadCache* own = t_caches; own != nullptr; own = own->next_of_thread) mine |= own == each;
            if (mine || each->owned.load_relaxed() == 0) continue;
            each->busy.store_relaxed(0);
            arena->flush(each);
            each->owned.store_release(0);
        }
    }
}

// --- readings -----------------------------------------------------------------------------------------------------

std::uint64_t Arena::cached_bytes() const noexcept {
    std::uint64_t bytes = 0;
    for (ThreadCache* each = caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
        for (std::uint32_t c = 0; c < kCachedClasses; ++c) {
            bytes += std::uint64_t{each->bins[c].count.load_relaxed()} * class_size(c);
        }
    }
    return bytes;
}

ClassReading Arena::read_class(std::uint32_t c) noexcept {
    SizeClass& klass = classes[c];
    ClassReading reading;
    reading.size = class_size(c);
    reading.existing = klass.existing.load_relaxed();
    reading.idle = klass.idle.size(nodes);
    // In this order: blocks are popped first and counted aside then, so that others at work make no negative number.
    const std::uint64_t aside = klass.internal_pops.load_relaxed();
    const std::uint64_t popped = klass.idle.popped();
    reading.hits = (popped > aside ? popped - aside : 0) + klass.recycled.load_relaxed();
    reading.misses = klass.misses.load_relaxed();
    if (c < kCachedClasses) {
        for (ThreadCache* each = caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
            reading.idle += each->bins[c].count.load_relaxed();
            reading.hits += each->bins[c].hits.load_relaxed();
        }
    }
    return reading;
}

}  // namespace bufpool
