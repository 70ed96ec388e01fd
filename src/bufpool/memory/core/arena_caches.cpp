// The threads' own caches of small blocks: adopted, filled, spilled, drained, and given back when the thread ends.
#include "arena_internal.hpp"
#include "bufpool/_core/thread_end.hpp"

namespace bufpool {

BUFPOOL_THREAD_LOCAL ThreadCache* t_recent = nullptr;
BUFPOOL_THREAD_LOCAL ThreadCache* t_caches = nullptr;

// --- a thread's caches --------------------------------------------------------------------------------------------

struct ThreadExit {
    static void give_back(ThreadCache* caches) noexcept {
        while (caches != nullptr) {
            ThreadCache* const next = caches->next_of_thread;
            Arena* const arena = caches->arena;
            while (!caches->enter(arena)) cpu_yield();   // it is being drained, which takes a moment
            arena->flush(caches);
            caches->leave();
            caches->taken.store_release(0);      // release: the next owner sees our counts
            caches = next;
        }
    }
    static void BUFPOOL_THREAD_END run(void* word) noexcept;
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
    const Region region = map_records(kCaches * sizeof(ThreadCache));
    if (region.start == nullptr) return nullptr;
    ThreadCache* const caches = static_cast<ThreadCache*>(region.start);   // zero-filled
    for (std::uint32_t i = 0; i < kCaches; ++i) {
        caches[i].arena = this;
        caches[i].open.store_relaxed(this);
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

// What other threads have cached goes to the shared lists; `idle_only`: if they did nothing there since the last look.
void Arena::drain(bool idle_only) noexcept {
    ThreadCache* const all = caches_.load_acquire();
    bool any = false;
    for (ThreadCache* each = all; each != nullptr; each = each->next_of_arena) {
        if (each->taken.load_acquire() == 0 || each == t_recent) continue;
        std::uint64_t done = 0, cached = 0;
        for (const Magazine& magazine : each->magazines) {
            cached += magazine.count.load_relaxed();
            done += magazine.hits.load_relaxed() * 2 + magazine.count.load_relaxed();   // a release counts, too
        }
        const bool still = done == each->seen;
        each->seen = done;
        if (cached == 0 || (idle_only && !still)) continue;
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
