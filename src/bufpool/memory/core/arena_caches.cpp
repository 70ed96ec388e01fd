// The thread caches: adopted, refilled, spilled, drained, and released when their thread ends.
#include "arena_internal.hpp"
#include "bufpool/_core/thread_end.hpp"

namespace bufpool {

BUFPOOL_THREAD_LOCAL ThreadCache* t_recent = nullptr;
BUFPOOL_THREAD_LOCAL ThreadCache* t_caches = nullptr;

// --- a thread's caches --------------------------------------------------------------------------------------------

struct ThreadExit {
    static void release_all(ThreadCache* caches) noexcept {
        while (caches != nullptr) {
            ThreadCache* const next = caches->next_of_thread;
            Arena* const arena = caches->arena;
            while (!caches->enter(arena)) cpu_yield();   // another thread is draining it
            arena->flush(caches);
            caches->leave();
            caches->owned.store_release(0);      // release: the next owner sees our counts
            caches = next;
        }
    }
    static void BUFPOOL_THREAD_END run(void* word) noexcept;
};

namespace {

// Its pointer equals `t_caches` until the thread ends, so that no cache is released twice.
ThreadEnd g_thread_end(&ThreadExit::run);
BUFPOOL_THREAD_LOCAL bool t_ended = false;

// Removes a cache from the thread's list and releases it.
void release_cache(ThreadCache** link) noexcept {
    ThreadCache* const cache = *link;
    *link = cache->next_of_thread;
    cache->next_of_thread = nullptr;
    g_thread_end.set(t_caches);                  // its slot exists: it cannot fail
    ThreadExit::release_all(cache);
}

}  // namespace

void BUFPOOL_THREAD_END ThreadExit::run(void* word) noexcept {
    if (g_thread_end.is_repeat_call(word)) return;
    void* const caches = g_thread_end.value_at_end(word, t_caches);
    t_recent = t_caches = nullptr;
    g_thread_end.mark_ended(t_ended);            // another destructor that uses the pool from now on gets no cache
    release_all(static_cast<ThreadCache*>(caches));
}

// Maps several at once, for threads that only release: these must not ask the system for memory. The caller owns the first;
// the pages of the others stay untouched until they are adopted.
ThreadCache* Arena::map_caches() noexcept {
    constexpr std::uint32_t kCaches = 8;
    const Region region = map_records(kCaches * sizeof(ThreadCache));
    if (region.start == nullptr) return nullptr;
    ThreadCache* const caches = static_cast<ThreadCache*>(region.start);   // zero-filled
    for (std::uint32_t i = 0; i < kCaches; ++i) {
        caches[i].arena = this;
        caches[i].open.store_relaxed(this);
        caches[i].owned.store_relaxed(i == 0);
        ThreadCache* head = caches_.load_relaxed();
        do {
            caches[i].next_of_arena = head;
        } while (!caches_.cas_weak_release_relaxed(head, &caches[i]));
    }
    return caches;
}

BUFPOOL_COLD ThreadCache* Arena::adopt_cache(bool may_map) noexcept {
    if (t_caches == nullptr) {
        if (g_thread_end.has_ended(t_ended)) return nullptr;
        // The thread has no cache yet; or, on macOS, the thread ends and the variable is a new one.
        t_caches = static_cast<ThreadCache*>(g_thread_end.get());
    }
    // The walk also releases this thread's caches of closed pools.
    for (ThreadCache** link = &t_caches; *link != nullptr;) {
        ThreadCache* const each = *link;
        if (each->arena == this) return t_recent = each;
        if (each->arena->closed.load_relaxed() != 0) {
            release_cache(link);
        } else {
            link = &each->next_of_thread;
        }
    }
    t_recent = nullptr;
    if (!g_thread_end.can_set(may_map)) return nullptr;
    ThreadCache* found = caches_.load_acquire();
    for (; found != nullptr; found = found->next_of_arena) {
        std::uint32_t free = 0;
        if (found->owned.cas_strong_acq_rel_acquire(free, 1)) break;
    }
    if (found == nullptr) {
        if (!may_map) return nullptr;
        found = map_caches();
        if (found == nullptr) return nullptr;
    }
    if (!g_thread_end.set(found)) {              // without a callback at the thread's end nothing may be cached
        found->owned.store_release(0);
        return nullptr;
    }
    for (std::uint32_t c = 0; c < kCachedClasses; ++c) found->bins[c].capacity = bin_capacity(c);
    found->next_of_thread = t_caches;
    t_caches = found;
    return t_recent = found;
}

// Fills half a bin from the shared list with one CAS.
BUFPOOL_COLD void Arena::refill(CacheBin& bin, std::uint32_t c) noexcept {
    SizeClass& klass = classes[c];
    Chain chain = klass.idle.pop_some(nodes, bin.capacity / 2);
    if (chain.count == 0) return;
    klass.internal_pops.add_relaxed(chain.count);
    const std::uint32_t left = klass.idle.size(nodes);
    if (left < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(left);
    std::uint32_t index = chain.first;
    for (std::uint32_t i = chain.count; i-- > 0;) {           // the hottest block ends on top
        const std::uint32_t next = nodes[index].next.load_relaxed();
        nodes[index].next.store_relaxed(kOwned);
        bin.blocks[i] = nodes[index].block;
        index = next;
    }
    bin.count.store_release(chain.count);
    note_used(std::uint64_t{chain.count} * class_size(c));
}

// Moves the coldest blocks, those at the bottom, to the shared list with one CAS; `keep` stay.
BUFPOOL_COLD void Arena::spill(CacheBin& bin, std::uint32_t c, std::uint32_t keep) noexcept {
    const std::uint32_t count = bin.count.load_relaxed();
    const std::uint32_t going = count - keep;
    bin.count.store_relaxed(0);
    Chain chain;
    for (std::uint32_t i = 0; i < going; ++i) {               // the hottest of them ends on top
        const std::uint32_t index = g_pages.find(bin.blocks[i])->node_of(bin.blocks[i]);
        // In a fork's child, the bin of a thread that was in here may show a block twice, or one that it has released.
        if (BUFPOOL_UNLIKELY(nodes[index].next.load_relaxed() != kOwned)) continue;
        nodes[index].next.store_relaxed(chain.first);
        chain.first = index;
        ++chain.count;
    }
    for (std::uint32_t i = 0; i < keep; ++i) bin.blocks[i] = bin.blocks[going + i];
    bin.count.store_release(keep);
    if (chain.count != 0) release_chain(c, chain);
}

void Arena::release_own_cache() noexcept {
    if (t_recent != nullptr && t_recent->arena == this) t_recent = nullptr;
    for (ThreadCache** link = &t_caches; *link != nullptr; link = &(*link)->next_of_thread) {
        ThreadCache* const each = *link;
        if (each->arena != this) continue;
        release_cache(link);
        break;
    }
}

void Arena::flush(ThreadCache* cache) noexcept {
    for (std::uint32_t c = 0; c < kCachedClasses; ++c) spill(cache->bins[c], c, 0);
}

// Moves what other threads have cached to the shared lists; with `idle_only` only from caches unused since the last ageing.
void Arena::drain(bool idle_only) noexcept {
    ThreadCache* const all = caches_.load_acquire();
    bool any = false;
    for (ThreadCache* each = all; each != nullptr; each = each->next_of_arena) {
        if (each->owned.load_acquire() == 0 || each == t_recent) continue;
        std::uint64_t activity = 0, cached = 0;
        for (const CacheBin& bin : each->bins) {
            cached += bin.count.load_relaxed();
            activity += bin.hits.load_relaxed() * 2 + bin.count.load_relaxed();   // a release counts, too
        }
        const bool unused = activity == each->activity;
        each->activity = activity;
        if (cached == 0 || (idle_only && !unused)) continue;
        each->open.store_relaxed(nullptr);
        any = true;
    }
    if (!any) return;
    const bool ordered = barrier_everywhere();
    for (ThreadCache* each = all; each != nullptr; each = each->next_of_arena) {
        if (each->open.load_relaxed() != nullptr) continue;
        if (ordered && each->busy.load_acquire() == 0) flush(each);
        each->open.store_release(this);
    }
}

}  // namespace bufpool
