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
Atomic<Arena*> g_arenas;                          // all ever made, newest first; none is ever removed
std::uint64_t g_created = 0;                      // pools so far; under the registry's lock
#if !defined(_WIN32)
bool g_fork_safe = false;                         // the handlers around a fork are registered; under the registry's lock
#endif

}  // namespace

struct AtFork {
    static void prepare() { Arena::before_fork(); }
    static void parent() { Arena::after_fork_parent(); }
    static void child() { Arena::after_fork_child(); }
};

// --- life ---------------------------------------------------------------------------------------------------------

// An arena whose pool is gone and all of whose memory was released, with its lock held. Null: there is none that suits.
Arena* Arena::find_reusable(const ArenaConfig& config) noexcept {
    const bool aligned = config.alignment > kGranule;
    for (Arena* arena = g_arenas.load_relaxed(); arena != nullptr; arena = arena->next_arena_) {
        // The release that returns an abandoned arena's last memory holds this lock until it is done. Taking it here orders
        // that release's reads of the old settings, and its counts, before the new ones.
        if (arena->abandoned_.load_relaxed() == 0 || !arena->lock_.try_lock()) continue;
        // A block that was released while the arena was being closed may still be idle.
        if (arena->idle_bytes() != 0) arena->evict(kUnlimited, Drop::closed, Effort::any);
        arena->publish();
        // Its slabs and its address space must suit: advice given to the system stays.
        const bool suits = arena->config.upstream.pages == config.upstream.pages && arena->aligned_ == aligned;
        if (suits && arena->counters.reserved.load_acquire() == 0) return arena;
        arena->lock_.unlock();
    }
    return nullptr;
}

// A new arena, known to all, with its lock held; null: no memory.
Arena* Arena::map_new() noexcept {
#if !defined(_WIN32)
    // Registered once, even if the map below fails: a second set of handlers would wait for the first set's locks for ever.
    if (!g_fork_safe) {
        if (pthread_atfork(&AtFork::prepare, &AtFork::parent, &AtFork::child) != 0) return nullptr;
        g_fork_safe = true;
    }
#endif
    const Region region = map_records(sizeof(Arena));
    if (region.start == nullptr) return nullptr;
    Arena* const arena = static_cast<Arena*>(region.start);   // zero-filled, which is right for all but the lists' heads
    for (SizeClass& klass : arena->classes) {
        new (&klass.idle) FreeList;
        new (&klass.purged) FreeList;
    }
#if defined(BUFPOOL_LOOKS_FOR_LEAKS)
    // An arena is never freed, and what it alone points to (`attachment`, waiters) is no leak. LeakSanitizer follows pointers
    // through mapped memory only if it is registered.
    __lsan_register_root_region(arena, sizeof(Arena));
#endif
    arena->lock_.lock();
    arena->next_arena_ = g_arenas.load_relaxed();
    g_arenas.store_release(arena);
    return arena;
}

// So that the counts of an earlier pool do not show in the next one's.
void Arena::reset_counts() noexcept {
    for (SizeClass& klass : classes) {
        klass.internal_pops.store_relaxed(klass.idle.popped());
        klass.misses.store_relaxed(0);
        klass.recycled.store_relaxed(0);
        klass.low_water.store_relaxed(0);
        klass.credit.store_relaxed(0);
        klass.recently_released = 0;
        klass.stuck = 0;
    }
    for (ThreadCache* each = caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
        for (CacheBin& bin : each->bins) bin.hits.store_relaxed(0);
    }
    counters.peak.store_relaxed(0);
    counters.peak_reserved.store_relaxed(0);
    counters.refused.store_relaxed(0);
    counters.degraded.store_relaxed(0);
    for (Atomic<std::uint64_t>& drops : counters.drops) drops.store_relaxed(0);
    for (Atomic<std::uint64_t>& bytes : counters.dropped_bytes) bytes.store_relaxed(0);
    charged_ = 0;
    stuck_ = 0;
    sweep_again_.store_relaxed(0);
    left_behind_.store_relaxed(0);
}

// The settings of the pool that gets the arena, and what follows from them.
void Arena::configure(const ArenaConfig& settings) noexcept {
    config = settings;
    aligned_ = config.alignment > kGranule;
    heap_.configure(config.upstream);
    // Blocks fill pages, and slabs leave some of their last ones empty: a little more is resident than the limit says.
    const std::uint64_t more = config.limit / 32 + kRegionAlign;
    const bool counts_pages = heap_.recycles() && config.limit <= kUnlimited - more;
    resident_limit_ = counts_pages ? config.limit + more : kUnlimited;
    const std::uint64_t now = monotonic_ns();
    recent.reset(now, config.max_idle_ns);
    const bool maintained = config.maintenance_thread && config.max_idle_ns != 0;
    maintained_above_.store_relaxed(maintained ? config.min_retained : kUnlimited);
    tick_ns_.store_relaxed(tick_after(config.max_idle_ns));
    next_tick_.store_relaxed(now + tick_after(config.max_idle_ns));
    last_ageing_ = now;
    next_ageing_ = now + config.max_idle_ns / 2;
    bound_.store_relaxed(idle_bound());
    const bool caches = config.limit == kUnlimited && config.alignment <= kGranule && !config.wipe;
    cache_flags.store_relaxed(caches ? kUsesCaches : 0);
}

Arena* Arena::create(const ArenaConfig& config) noexcept {
    LockGuard guard(g_registry_lock);
    Arena* arena = find_reusable(config);
    if (arena == nullptr) arena = map_new();
    if (arena == nullptr) return nullptr;
    arena->reset_counts();
    arena->configure(config);
    arena->serial_ = ++g_created;
    arena->abandoned_.store_relaxed(0);
    arena->queue.gate.store_relaxed(0);
    arena->closed.store_release(0);
    arena->lock_.unlock();
    return arena;
}

void* Arena::set_name(void* name) noexcept {
    LockGuard guard(lock_);
    named_ = serial_;
    void* const former = name_;
    name_ = name;
    return former;
}

Arena* Arena::newest() noexcept { return g_arenas.load_acquire(); }

void Arena::close() noexcept {
    closed.store_release(1);
    queue.gate.or_relaxed(kGateClosed);
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
    abandoned_.store_relaxed(1);   // the lock that `close` held orders everything else before the next `create`
}

// Called when the system has no memory: returns what all pools hold idle to it, address space too. False: there was nothing.
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
// All locks are taken before a fork, so that the child finds every list and slab consistent. A block that another thread was
// moving at that moment stays out in the child for ever; nothing is owned twice.

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
        arena->queue.reset_after_fork();
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
    // In this order, because blocks are popped first and counted as internal then: the difference is never negative.
    const std::uint64_t internal = klass.internal_pops.load_relaxed();
    const std::uint64_t popped = klass.idle.popped();
    reading.hits = (popped > internal ? popped - internal : 0) + klass.recycled.load_relaxed();
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
