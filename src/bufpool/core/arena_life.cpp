// L3 · Life of an arena and of the threads' caches: creation, reuse, thread exit, fork, readings.
#include <new>

#include "arena_internal.hpp"
#include "thread_end.hpp"

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
Arena* g_arenas = nullptr;                       // all ever made, newest first
std::uint64_t g_created = 0;                     // pools so far
#if !defined(_WIN32)
bool g_fork_safe = false;                        // what is done around a fork is registered; under the registry's lock
#endif

}  // namespace

BUFPOOL_THREAD_LOCAL ThreadCache* t_recent = nullptr;
BUFPOOL_THREAD_LOCAL ThreadCache* t_caches = nullptr;

// --- a thread's caches --------------------------------------------------------------------------------------------

struct ThreadExit {
    static void give_back(ThreadCache* caches) noexcept {
        while (caches != nullptr) {
            ThreadCache* const next = caches->next_of_thread;
            caches->arena->flush(caches);
            caches->taken.store_release(0);      // release: the next owner sees our counts
            caches = next;
        }
    }
    static void BUFPOOL_THREAD_END run(void* word) noexcept;
    static void fork_prepare() { Arena::before_fork(); }
    static void fork_parent() { Arena::after_fork_parent(); }
    static void fork_child() { Arena::after_fork_child(); }
};

namespace {

// Its word is `t_caches` at all times, until the end: a cache that was given back must not be given back again.
ThreadEnd g_thread_end(&ThreadExit::run);
BUFPOOL_THREAD_LOCAL bool t_over = false;

// A cache leaves the thread's list.
void give_back_at(ThreadCache** link) noexcept {
    ThreadCache* const cache = *link;
    *link = cache->next_of_thread;
    cache->next_of_thread = nullptr;
    g_thread_end.keep(t_caches);                 // has its place: it cannot fail
    ThreadExit::give_back(cache);
}

}  // namespace

void BUFPOOL_THREAD_END ThreadExit::run(void* word) noexcept {
    if (g_thread_end.comes_again(word)) return;
    void* const caches = g_thread_end.handed_over(word, t_caches);
    t_recent = t_caches = nullptr;
    g_thread_end.set_over(t_over);               // who uses the pool from now on, in another destructor, parks nothing
    give_back(static_cast<ThreadCache*>(caches));
}

// Several at once, for threads that only release: they must not ask the system for memory. The first belongs to the
// caller already; the others stay untouched until they are taken.
ThreadCache* Arena::map_caches() noexcept {
    constexpr std::uint32_t kCaches = 8;
    Region region;
    if (map_region(Upstream{Pages::plain, false, false}, kCaches * sizeof(ThreadCache), region) != MapResult::ok) {
        return nullptr;
    }
    ThreadCache* const caches = static_cast<ThreadCache*>(region.start);   // zero-filled
    for (std::uint32_t i = 0; i < kCaches; ++i) {
        caches[i].arena = this;
        caches[i].taken.store_relaxed(i == 0);
        ThreadCache* head = caches_.load_relaxed();
        do {
            caches[i].next_of_arena = head;
        } while (!caches_.cas_weak_release_relaxed(head, &caches[i]));
    }
    return caches;
}

BUFPOOL_COLD ThreadCache* Arena::adopt_cache(bool may_map) noexcept {
    if (t_caches == nullptr) {
        if (g_thread_end.is_over(t_over)) return nullptr;
        // None so far; or on macOS, at the thread's end and before our call, the variable is a new one.
        t_caches = static_cast<ThreadCache*>(g_thread_end.kept());
    }
    // What this thread still parks for pools that are gone is given back on the way.
    for (ThreadCache** link = &t_caches; *link != nullptr;) {
        ThreadCache* const each = *link;
        if (each->arena == this) return t_recent = each;
        if (each->arena->closed.load_relaxed() != 0) {
            give_back_at(link);
        } else {
            link = &each->next_of_thread;
        }
    }
    t_recent = nullptr;
    if (!g_thread_end.can_keep(may_map)) return nullptr;
    ThreadCache* found = caches_.load_acquire();
    for (; found != nullptr; found = found->next_of_arena) {
        std::uint32_t free = 0;
        if (found->taken.cas_strong_acq_rel_acquire(free, 1)) break;
    }
    if (found == nullptr) {
        if (!may_map) return nullptr;
        found = map_caches();
        if (found == nullptr) return nullptr;
    }
    if (!g_thread_end.keep(found)) {                     // without notice of the thread's end nothing may be parked
        found->taken.store_release(0);
        return nullptr;
    }
    for (std::uint32_t c = 0; c < kMagazineClasses; ++c) found->magazines[c].capacity = magazine_capacity(c);
    found->next_of_thread = t_caches;
    t_caches = found;
    return t_recent = found;
}

// Half a magazine from the shared list with one CAS.
BUFPOOL_COLD void Arena::refill(Magazine& magazine, std::uint32_t c) noexcept {
    SizeClass& klass = classes[c];
    Chain chain = klass.idle.pop_some(nodes, magazine.capacity / 2);
    if (chain.count == 0) return;
    klass.popped_aside.add_relaxed(chain.count);
    const std::uint32_t left = klass.idle.size(nodes);
    if (left < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(left);
    std::uint32_t index = chain.first;
    for (std::uint32_t i = chain.count; i-- > 0;) {           // the hottest block ends on top
        const std::uint32_t next = nodes[index].next.load_relaxed();
        nodes[index].next.store_relaxed(kOwned);
        magazine.blocks[i] = nodes[index].block;
        index = next;
    }
    magazine.count.store_release(chain.count);
    note_used(std::uint64_t{chain.count} * class_size(c));
}

// The coldest blocks, those at the bottom, go to the shared list with one CAS; `keep` stay.
BUFPOOL_COLD void Arena::spill(Magazine& magazine, std::uint32_t c, std::uint32_t keep) noexcept {
    const std::uint32_t count = magazine.count.load_relaxed();
    const std::uint32_t going = count - keep;
    magazine.count.store_relaxed(0);
    Chain chain;
    for (std::uint32_t i = 0; i < going; ++i) {               // the hottest of them ends on top
        const std::uint32_t index = g_pages.find(magazine.blocks[i])->node_of(magazine.blocks[i]);
        // In a fork's child the magazine of a thread that was just here may show a block twice, or one given back.
        if (BUFPOOL_UNLIKELY(nodes[index].next.load_relaxed() != kOwned)) continue;
        nodes[index].next.store_relaxed(chain.first);
        chain.first = index;
        ++chain.count;
    }
    for (std::uint32_t i = 0; i < keep; ++i) magazine.blocks[i] = magazine.blocks[going + i];
    magazine.count.store_release(keep);
    if (chain.count != 0) release_chain(c, chain);
}

void Arena::give_back_own() noexcept {
    if (t_recent != nullptr && t_recent->arena == this) t_recent = nullptr;
    for (ThreadCache** link = &t_caches; *link != nullptr; link = &(*link)->next_of_thread) {
        ThreadCache* const each = *link;
        if (each->arena != this) continue;
        give_back_at(link);
        break;
    }
}

void Arena::flush(ThreadCache* cache) noexcept {
    for (std::uint32_t c = 0; c < kMagazineClasses; ++c) spill(cache->magazines[c], c, 0);
}

// --- life ---------------------------------------------------------------------------------------------------------

Arena* Arena::create(const ArenaConfig& config) noexcept {
    LockGuard guard(g_registry_lock);
    Arena* arena = g_arenas;
    for (; arena != nullptr; arena = arena->next_arena_) {
        // A release that gives back the arena's last memory holds the lock until it is done. It is held here, too, so
        // that its reads of the old settings, and its counts, come before the new ones.
        if (arena->abandoned_.load_relaxed() == 0 || !arena->lock_.try_lock()) continue;
        // What a release put back in the moment of closing is idle still.
        if (arena->idle_bytes() != 0) arena->evict(kUnlimited, Drop::closed, false);
        if (arena->counters.reserved.load_acquire() == 0) break;
        arena->lock_.unlock();
    }
    if (arena == nullptr) {
#if !defined(_WIN32)
        // Once, also if the map below fails: the second of two handlers would wait for the first one's locks for ever.
        if (!g_fork_safe) {
            const int failed =
                pthread_atfork(&ThreadExit::fork_prepare, &ThreadExit::fork_parent, &ThreadExit::fork_child);
            if (failed != 0) return nullptr;
            g_fork_safe = true;
        }
#endif
        Region region;
        if (map_region(Upstream{Pages::plain, false, false}, sizeof(Arena), region) != MapResult::ok) return nullptr;
        arena = static_cast<Arena*>(region.start);            // zero-filled, which is right for all but the lists' heads
        for (SizeClass& klass : arena->classes) {
            new (&klass.idle) FreeList;
            new (&klass.hollow) FreeList;
        }
#if defined(BUFPOOL_LOOKS_FOR_LEAKS)
        // An arena is never freed, and what hangs on it alone (`attachment`, waiters) is not lost.
        // LeakSanitizer does not follow pointers through mapped memory unless it is told of it.
        __lsan_register_root_region(arena, sizeof(Arena));
#endif
        arena->lock_.lock();
        arena->next_arena_ = g_arenas;
        g_arenas = arena;
    }
    // The counts of an earlier pool do not show in the next one's.
    for (SizeClass& klass : arena->classes) {
        klass.popped_aside.store_relaxed(klass.idle.popped());
        klass.misses.store_relaxed(0);
        klass.low_water.store_relaxed(0);
    }
    for (ThreadCache* each = arena->caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
        for (Magazine& magazine : each->magazines) magazine.hits.store_relaxed(0);
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
    // At a limit idle blocks must make room for other sizes, so more of them can go one by one. Not more than some
    // thousands: the system bounds a process's maps (65,530 on Linux).
    arena->dedicated_from_ = kDedicatedFrom;
    const std::uint64_t step = config.max_retained / 32 / kRegionAlign * kRegionAlign;
    arena->trim_step_.store_relaxed(step > kMaxSlabRegion ? kMaxSlabRegion : step);
    if (config.limit / kBoundedRegions < kDedicatedFrom) {
        const std::uint64_t share = config.limit / kBoundedRegions;
        arena->dedicated_from_ = share < kRegionAlign ? kRegionAlign : share;
    }
    arena->idle_at_failure_.store_relaxed(0);
    arena->max_idle_ns_.store_relaxed(config.max_idle_ns);
    arena->next_ageing_.store_relaxed(monotonic_ns() + config.max_idle_ns / 2);
    const bool parks = config.limit == kUnlimited && config.alignment <= kGranule && !config.wipe;
    arena->parking.store_relaxed(parks ? kParks : 0);
    arena->abandoned_.store_relaxed(0);
    arena->queue.gate.store_relaxed(0);
    arena->closed.store_release(0);
    arena->lock_.unlock();
    return arena;
}

Arena* Arena::newest() noexcept {
    LockGuard guard(g_registry_lock);
    return g_arenas;
}

void Arena::close() noexcept {
    closed.store_release(1);
    queue.gate.or_relaxed(kShut);
    parking.store_release(0);
    give_back_own();
    LockGuard guard(lock_);
    evict(kUnlimited, Drop::closed, false);
    idle_at_failure_.store_relaxed(0);
}

void Arena::abandon() noexcept {
    close();
    abandoned_.store_relaxed(1);   // the lock, which `close` held, orders all else before the next `create`
}

// --- fork ---------------------------------------------------------------------------------------------------------
// The locks are taken before a fork, so that the child finds every list and slab whole. A block that another thread
// was just moving stays out in the child; nothing is owned twice.

void Arena::before_fork() noexcept {
    g_registry_lock.lock();
    for (Arena* arena = g_arenas; arena != nullptr; arena = arena->next_arena_) {
        arena->lock_.lock();
        arena->queue.before_fork();
    }
}

void Arena::after_fork_parent() noexcept {
    for (Arena* arena = g_arenas; arena != nullptr; arena = arena->next_arena_) {
        arena->queue.after_fork();
        arena->lock_.unlock();
    }
    g_registry_lock.unlock();
}

// The parent's other threads do not exist here: what they had parked serves everybody.
void Arena::after_fork_child() noexcept {
    after_fork_parent();
    for (Arena* arena = g_arenas; arena != nullptr; arena = arena->next_arena_) {
        arena->queue.begin_anew();
        for (ThreadCache* each = arena->caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
            bool mine = false;
            for (ThreadCache* own = t_caches; own != nullptr; own = own->next_of_thread) mine |= own == each;
            if (mine || each->taken.load_relaxed() == 0) continue;
            arena->flush(each);
            each->taken.store_release(0);
        }
    }
}

// --- readings -----------------------------------------------------------------------------------------------------

std::uint64_t Arena::parked_bytes() const noexcept {
    std::uint64_t bytes = 0;
    for (ThreadCache* each = caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
        for (std::uint32_t c = 0; c < kMagazineClasses; ++c) {
            bytes += std::uint64_t{each->magazines[c].count.load_relaxed()} * class_size(c);
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
    const std::uint64_t aside = klass.popped_aside.load_relaxed();
    const std::uint64_t popped = klass.idle.popped();
    reading.hits = popped > aside ? popped - aside : 0;
    reading.misses = klass.misses.load_relaxed();
    if (c < kMagazineClasses) {
        for (ThreadCache* each = caches_.load_acquire(); each != nullptr; each = each->next_of_arena) {
            reading.idle += each->magazines[c].count.load_relaxed();
            reading.hits += each->magazines[c].hits.load_relaxed();
        }
    }
    return reading;
}

}  // namespace bufpool
