// The arena: blocks of all sizes; bounds and ageing of idle memory. The C-level acquire and release.
//
//   acquire   thread cache (small blocks)  ->  free list of the class (lock-free)  ->  page heap (lock)  ->  system
//   release   page map finds the slab  ->  thread cache or free list (lock-free)  ->  page heap (lock)  ->  system
//
// Small blocks are kept in lists. A larger block is released to the page heap, where any size may use it, unless its class is
// requested again and again: such a class is *admitted* and keeps a list too.
//
// Release never waits for a lock and never asks for memory, because it may run in any deallocation. Everything but the lists
// is under the arena's one lock; a release only tries it, and leaves the block in a list if another thread holds it.
//
// Arenas and their metadata are never freed: an arena that is closed and empty is reused for the next pool. So a block may
// outlive its pool, and the interpreter too.
#pragma once

#include "bufpool/_core/atomics.hpp"
#include "counters.hpp"
#include "bufpool/_core/freelist.hpp"
#include "limit_queue.hpp"
#include "thread_cache.hpp"
#include "bufpool/_core/os_memory.hpp"
#include "page_heap.hpp"
#include "recent_peak.hpp"
#include "slab.hpp"

namespace bufpool {

enum class Refusal : std::uint32_t { none = 0, limit = 1, no_memory = 2, not_lockable = 3, too_large = 4, closed = 5 };

struct Block {                // travels in two registers, without padding that would have to be masked
    void* address;            // null if refused
    Refusal refusal;
    std::uint32_t zeroed;     // 1: the system's fresh zero pages, never used before
};

struct ArenaConfig {
    std::uint64_t limit;          // bytes: maximum of `reserved`
    std::uint64_t max_retained;   // bytes: maximum of idle memory
    std::uint64_t min_retained;   // bytes: idle memory below this never ages out
    std::uint64_t max_idle_ns;    // memory idle for this long is purged; 0: never
    std::uint64_t alignment;      // bytes: of every block
    Upstream upstream;
    bool wipe;                    // no block shows a byte of its last owner
    bool maintenance_thread;      // the maintenance thread serves this arena; without it, growth and releases do its work
};

// Arena::cache_flags.
constexpr std::uint32_t kUsesCaches = 1;   // small blocks may be cached: no limit, no wider alignment, no wiping
constexpr std::uint32_t kMoved = 2;        // some blocks were handed out by an address further in, for their alignment

constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

// Each class up to kListed keeps a few blocks in its list. A larger class keeps a list once that would have served kAdmission
// requests in a row.
constexpr std::size_t kListed = std::size_t{256} << 10;
constexpr std::uint32_t kListedBlocks = 8;
constexpr std::uint32_t kAdmission = 16;
// Bytes of which a huge page is a twentieth: see wants_whole_huge_pages.
constexpr std::uint64_t kGrown = 20 * std::uint64_t{kHugePage};
// So much may always be idle, however little was needed recently.
constexpr std::uint64_t kIdleFloor = std::uint64_t{64} << 20;
// Small blocks are swept to enforce a bound only when a 24th more than it is idle, at least kSweepLeast: a sweep visits all
// idle ones.
constexpr std::uint64_t kSweepShare = 24;
constexpr std::uint64_t kSweepLeast = std::uint64_t{64} << 10;
// A sweep that did not free enough is repeated once this much more is idle.
constexpr std::uint64_t kRetryAfter = std::uint64_t{1} << 20;
// From this size on, zeros are made by purging the pages: the next write to each finds zeros, at the cost of a page fault.
constexpr std::size_t kLazyZeros = std::size_t{128} << 20;

struct SizeClass {
    alignas(kNoSharing) FreeList idle;            // shared idle blocks
    Atomic<std::uint32_t> low_water;              // fewest idle blocks since the last ageing: so many were not needed
    Atomic<std::uint32_t> releases;               // decides when to read the clock; a lost count is harmless
    alignas(kNoSharing) Atomic<std::uint64_t> existing;   // blocks: owned, cached and idle
    Atomic<std::uint64_t> misses;                 // checkouts that needed memory of the system, or carved a block
    Atomic<std::uint64_t> recycled;               // checkouts that the page heap served with idle memory of any size
    Atomic<std::uint64_t> internal_pops;          // blocks popped, but not for a client: by trimming, for thread caches
    Atomic<std::uint32_t> credit;                 // requests in a row that a list would have served; see Arena::admitted
    // Under the lock.
    FreeList purged;                              // purged blocks of slabs; nodes of dedicated slabs without an extent
    Slab* slabs;                                  // multi-block slabs, those without an extent too
    Slab* growing;                                // the one with blocks not yet carved
    std::uint64_t stuck;                          // bytes idle after a sweep for other classes: blocks in use pin them
    std::uint32_t generation;                     // slabs made: each is twice as large as the last
    std::uint32_t recently_released;              // blocks released to the page heap that a list would still hold
};

struct ClassReading {
    std::uint64_t size, existing, idle, hits, misses;   // bytes; blocks; blocks (cached ones too); checkouts; checkouts
};

struct IdleReading {
    std::uint64_t trimmable;      // bytes that `trim(0)`, called by this thread, would return to the system
    std::uint64_t cached;         // bytes in other threads' caches, which `trim` does not reach
};

struct ArenaIdentity {
    std::uint64_t serial;         // of the pool that uses the arena now: 1, 2, ... in the process
    std::uint64_t limit;          // bytes
    void* name;                   // of that pool, as `set_name` got it; null before
    std::uint32_t closed;         // 1: hands out nothing more
    std::uint32_t abandoned;      // 1: its pool is gone
};

struct Arena {
    // --- the C-level interface; any thread, no GIL ---
    Block acquire(std::size_t nbytes) noexcept;                          // aligned to config.alignment
    Block acquire_aligned(std::size_t nbytes, std::size_t alignment) noexcept;   // a power of two, at least 64
    // As acquire_aligned, but a block so large that `clear` would purge its pages gets no idle ones.
    Block acquire_for_zeros(std::size_t nbytes, std::size_t alignment) noexcept;
    Block acquire_zeroed(std::size_t nbytes) noexcept;
    // As acquire_aligned, also from memory that is reserved for the first waiter. For the request whose turn it is.
    Block acquire_in_turn(std::size_t nbytes, std::size_t alignment) noexcept;
    // The arena that owns the address, or null for a foreign one.
    static Arena* owner_of(const void* address) noexcept;
    // Usable bytes from the address to the end of its block; 0 for a foreign address.
    static std::size_t usable_size(const void* address) noexcept;
    // False, and nothing is done: the address is foreign, or its block is not in use.
    static bool release(void* address) noexcept;
    // Resizes the block in place to at least `nbytes`. False: it cannot, and the caller must copy.
    static bool resize(void* address, std::size_t nbytes) noexcept;
    // Fills the caller's block with zeros from its start; a very large one is purged instead of written.
    static void clear(void* address, std::size_t nbytes) noexcept;

    // Returns idle memory to the system until at most `keep` bytes are idle. Returns the bytes.
    std::uint64_t trim(std::uint64_t keep) noexcept;
    // Hands out nothing more from now on; what is released is returned to the system.
    void close() noexcept;

    // --- readings: exact while no other thread uses the arena ---
    std::uint64_t cached_bytes() const noexcept;
    ClassReading read_class(std::uint32_t class_index) noexcept;
    IdleReading read_idle() noexcept;
    ArenaIdentity identify(void (*add_reference)(void* name) = nullptr) noexcept;   // adds one to a name that is not null
    // All arenas of the process, which are never freed: the newest, and the one made before this one. Null: no more.
    static Arena* newest() noexcept;
    Arena* older() const noexcept { return next_arena_; }   // never changes

    // --- life ---
    static Arena* create(const ArenaConfig& config) noexcept;            // null: no memory
    void* set_name(void* name) noexcept;                                 // the layer above owns names. Returns an earlier pool's
    void abandon() noexcept;                                             // the pool is gone: closes, and may be reused when empty

    // kUsesCaches, and kMoved once an address inside a block was handed out. Read on every path, hence first.
    Atomic<std::uint32_t> cache_flags;
    Atomic<std::uint32_t> closed;
    ArenaConfig config;
    LimitQueue queue;                      // requests that wait at the limit
    Counters counters;
    RecentPeak recent;                     // recent peak of `counters.used`
    void* attachment;                      // set once by the layer above, never freed
    NodeTable nodes;
    SizeClass classes[kClassCount];

  private:
    friend struct AtFork;
    friend struct Maintenance;
    friend struct ThreadExit;

    Block acquire_cached(std::uint32_t c) noexcept;
    template <bool kInTurn, bool kZeros> Block acquire_shared(std::uint32_t c) noexcept;
    template <bool kInTurn, bool kZeros> Block acquire_block(std::size_t nbytes, std::size_t alignment) noexcept;
    std::uint32_t aligned_class(std::uint32_t c) const noexcept;
    static bool dedicated(std::uint32_t c) noexcept { return c >= kCachedClasses; }

    // Not under a limit and not with a wider alignment: a colour takes a page more.
    bool coloured() const noexcept { return config.limit == kUnlimited && !aligned_; }

    // --- life, under the registry's lock ---
    static Arena* find_reusable(const ArenaConfig& config) noexcept;
    static Arena* map_new() noexcept;
    void reset_counts() noexcept;
    void configure(const ArenaConfig& settings) noexcept;

    // --- growth, under the lock ---
    Block grow(std::uint32_t c, bool zeros = false) noexcept;            // takes the lock; zeros: prefers fresh pages
    Block carve(std::uint32_t c) noexcept;
    Block reuse_listed(std::uint32_t c) noexcept;
    Block carve_next(std::uint32_t c, std::size_t unit) noexcept;
    Refusal start_slab(std::uint32_t c) noexcept;
    Block make_dedicated(std::uint32_t c, bool zeros) noexcept;
    Block hand_out(Slab* slab, std::uint32_t node, bool recycled, std::uint32_t zeroed) noexcept;
    Slab* make_slab(std::uint32_t c, std::uint32_t blocks, std::size_t stride) noexcept;
    Refusal acquire_extent(Slab* slab, std::size_t bytes, std::size_t alignment) noexcept;
    Refusal find_extent(std::size_t bytes, std::size_t alignment, Extent& out) noexcept;
    bool make_room(std::uint64_t bytes) noexcept;
    std::uint64_t move_pages_in(Slab* slab, std::size_t size) noexcept;
    bool wants_whole_huge_pages() const noexcept;
    Refusal commit_dedicated(Slab* slab, std::size_t size, bool lazy) noexcept;
    Refusal commit_pages(char* start, std::size_t bytes, bool huge) noexcept;
    Slab* recycle_slab(std::uint32_t c) noexcept;
    Slab* slab_without_extent(std::uint32_t c, std::size_t bytes) noexcept;
    Slab* add_slab(std::uint32_t c, std::size_t bytes) noexcept;
    std::size_t stride_of(std::uint32_t c) const noexcept;
    std::size_t next_slab_bytes(std::uint32_t c) const noexcept;
    bool sweep_other_classes(std::uint32_t c) noexcept;
    Refusal attach_extent(Slab* slab, Extent extent) noexcept;
    bool charge(std::uint64_t bytes) noexcept;
    void publish() noexcept;
    void note_used(std::uint64_t bytes) noexcept;
    static bool reclaim_everywhere() noexcept;                           // without the lock

    // --- release ---
    bool release_slow(Slab* slab, void* address) noexcept;
    void release_shared(Slab* slab, std::uint32_t node) noexcept;
    void release_chain(std::uint32_t c, Chain chain) noexcept;
    void release_closed(Slab* slab, std::uint32_t node) noexcept;
    void release_dedicated(Slab* slab, std::uint32_t node) noexcept;
    void shorten_list(std::uint32_t c) noexcept;
    void enforce_if_exceeded() noexcept;
    void count_releases(std::uint32_t c, std::uint32_t returns) noexcept;
    void check_clock() noexcept;
    // Whether a dedicated class keeps any number of blocks in its list.
    bool admitted(std::uint32_t c) const noexcept { return classes[c].credit.load_relaxed() >= kAdmission; }
    std::uint64_t idle_bytes() const noexcept {   // in the shared lists and in the page heap
        const std::uint64_t used = counters.used.load_relaxed();
        const std::uint64_t reserved = counters.reserved.load_relaxed();
        return reserved > used ? reserved - used : 0;   // the two are not read at once
    }
    std::uint64_t idle_in_lists() const noexcept { return charged_ - counters.used.load_relaxed(); }   // under the lock

    // --- returning idle memory, under the lock ---
    void unlock() noexcept;                                              // and does what a release could not do meanwhile
    void note_drop(Drop reason, std::uint64_t bytes) noexcept;
    std::uint64_t idle_bound() noexcept;                                 // bytes
    void enforce() noexcept;                                             // the bounds on idle memory
    void tick(std::uint64_t now) noexcept;                               // ageing
    enum class Effort { mild, thorough, any };
    std::uint64_t evict(std::uint64_t bytes, Drop reason, Effort effort) noexcept;   // bytes returned to the system
    void release_extent(Slab* slab, std::uint32_t node, std::uint32_t now) noexcept;
    std::uint64_t flush_class(std::uint32_t c, std::uint32_t blocks, std::uint32_t now) noexcept;
    enum class Sweep { slabs, granules, pages };
    std::uint64_t sweep_slabs(std::uint32_t c, std::uint32_t stale, Sweep what, std::uint32_t now) noexcept;
    std::uint64_t flush_lists(std::uint64_t bytes, std::uint32_t now) noexcept;
    std::uint64_t purge_idle_pages(Slab* slab) noexcept;
    void mark_purged(Slab* slab) noexcept;
    void release_granules(Slab* slab, std::uint32_t granules, std::uint32_t now) noexcept;
    Chain release_idle_granules(SizeClass& klass, Chain kept, std::uint32_t now) noexcept;
    std::uint64_t purge_inside(Slab* slab, char* start, std::size_t bytes) noexcept;
    template <class Stays> Chain filter_chain(Chain chain, Stays stays) noexcept;
    // Whether memory can age here, and the maintenance thread is to purge it.
    bool needs_maintenance() const noexcept {
        const std::uint64_t held = counters.mapped.load_relaxed();
        return held > maintained_above_.load_relaxed();
    }
    static std::uint64_t tick_after(std::uint64_t max_idle_ns) noexcept;

    std::uint64_t trimmable_in(Slab* slab) noexcept;

    bool uses_cache(std::uint32_t c) const noexcept { return c < kCachedClasses && (cache_flags.load_relaxed() & kUsesCaches) != 0; }
    ThreadCache* cache(bool may_map) noexcept;    // of this thread; null: it cannot get one
    ThreadCache* adopt_cache(bool may_map) noexcept;
    ThreadCache* map_caches() noexcept;
    void release_own_cache() noexcept;            // this thread's cached blocks go to the shared lists
    void refill(CacheBin& bin, std::uint32_t c) noexcept;
    void spill(CacheBin& bin, std::uint32_t c, std::uint32_t keep) noexcept;
    void flush(ThreadCache* cache) noexcept;
    void drain(bool idle_only) noexcept;          // under the lock

    static void before_fork() noexcept;
    static void after_fork_parent() noexcept;
    static void after_fork_child() noexcept;

    Lock lock_;
    PageHeap heap_;
    std::uint64_t charged_;                       // bytes of all blocks that exist, idle ones too
    std::uint64_t resident_limit_;                // bytes that may be resident under the limit
    std::uint64_t stuck_;                         // bytes idle in lists that the last sweep for a bound could not free
    bool aligned_;                                // all blocks are aligned to more than a line
    Atomic<std::uint64_t> bound_, sweep_above_;   // bytes idle, as `idle_bound` found them last
    // A release reads these when its block is already back, so the arena may be another pool's by then: it then trims and ages
    // by that pool's settings, which is right. It reads the settings in `config` before that, or under the lock.
    Atomic<std::uint64_t> tick_ns_;               // from one tick to the next; 0: never
    Atomic<std::uint64_t> next_tick_;             // ns on the coarse clock
    Atomic<std::uint64_t> maintained_above_;      // bytes resident: with more, the arena needs the maintenance thread
    std::uint64_t next_ageing_, last_ageing_;     // ns on the coarse clock
    Atomic<std::uint32_t> abandoned_;
    Atomic<std::uint32_t> left_behind_;           // a release after closing found the lock taken
    Atomic<std::uint64_t> sweep_again_;           // bytes idle in lists at which to sweep again, after one that freed too little
    Atomic<ThreadCache*> caches_;
    Slab* spare_slabs_;                           // descriptors mapped and not yet used; under the lock
    std::uint32_t spare_count_;
    Arena* next_arena_;                           // all arenas ever made; set once, under the registry's lock
    std::uint64_t serial_;                        // as in ArenaIdentity; under the lock
    std::uint64_t named_;                         // the pool that has set the name; under the lock
    void* name_;                                  // under the lock
};

}  // namespace bufpool
