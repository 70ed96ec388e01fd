"""In what the core gives back, in its threads, pools and forks, and in what it stands on.

The free list's own bugs stand in `tests.verify.model`.
"""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder

STRESS = Ladder("arena_ladder", 40_000)
RULES = Ladder("arena_rules", 3_000)
LIFE = Ladder("arena_life", 300)

TRIM = "memory/core/arena_trim.cpp"
LIVES = "memory/core/arena_life.cpp"
CACHES = "memory/core/arena_caches.cpp"

TRIMMING = (
    Bug(
        "what is trimmed counts as hits",
        TRIM,
        "    klass.internal_pops.add_relaxed(all.count);\n",
        "",
        RULES,
    ),
    Bug(
        "a slab goes while a block of it is in use",
        TRIM,
        "slab->seen == slab->carved",
        "slab->seen != 0",
        STRESS,
    ),
    Bug(
        "blocks that are gone still exist",
        TRIM,
        "    klass.existing.sub_relaxed(dropped);\n",
        "",
        STRESS,
    ),
    Bug(
        "trimming leaves what its thread has cached",
        TRIM,
        "    release_own_cache();\n",
        "",
        STRESS,
    ),
    Bug(
        "memory ages out below the floor",
        TRIM,
        "if (stale != 0 && idle > config.min_retained) {",
        "if (stale != 0) {",
        RULES,
    ),
    Bug(
        "a window of age never begins anew",
        TRIM,
        "            klass.low_water.store_relaxed(klass.idle.size(nodes));\n",
        "",
        RULES,
    ),
)

LIVING = (
    Bug(
        "the end of a thread looks for its caches in the thread's own variables",
        CACHES,
        "g_thread_end.value_at_end(word, t_caches);\n",
        "t_caches;\n    static_cast<void>(word);\n",
        LIFE,
    ),
    Bug(
        "a thread that has ended gets a cache once more",
        CACHES,
        "        if (g_thread_end.has_ended(t_ended)) return nullptr;\n",
        "",
        LIFE,
    ),
    Bug(
        "the end of a thread is not noted",
        CACHES,
        "    g_thread_end.mark_ended(t_ended);            // another",
        "    // another",
        LIFE,
    ),
    Bug(
        "a thread whose variables are new forgets its caches",
        CACHES,
        "        t_caches = static_cast<ThreadCache*>(g_thread_end.get());\n",
        "",
        LIFE,
    ),
    Bug(
        "a cache that left its thread goes with it at the end all the same",
        CACHES,
        "    g_thread_end.set(t_caches);                  // its slot exists: it cannot fail\n",
        "",
        LIFE,
    ),
    Bug(
        "a cache is adopted by a load and a store",
        CACHES,
        "        std::uint32_t free = 0;\n        if (found->owned.cas_strong_acq_rel_acquire(free, 1)) break;",
        "        if (found->owned.load_acquire() == 0) {\n            cpu_yield();\n"
        "            found->owned.store_release(1);\n            break;\n        }",
        Ladder("arena_life", 200, "thread"),
    ),
    Bug(
        "a thread goes on with the cache that it gave back",
        CACHES,
        "    if (t_recent != nullptr && t_recent->arena == this) t_recent = nullptr;\n",
        "",
        STRESS,
    ),
    Bug(
        "the last pool's misses show in the next one's",
        LIVES,
        "        klass.misses.store_relaxed(0);\n",
        "",
        RULES,
    ),
    Bug(
        "the last pool's hits show in the next one's",
        LIVES,
        "        for (CacheBin& bin : each->bins) bin.hits.store_relaxed(0);\n",
        "        static_cast<void>(each);\n",
        RULES,
    ),
    Bug(
        "a closed arena goes on using thread caches", LIVES, "    cache_flags.store_release(0);\n", "", RULES
    ),
    Bug(
        "a fork's child wakes its parent's waiters",
        LIVES,
        "        arena->queue.reset_after_fork();\n",
        "",
        LIFE,
    ),
    Bug(
        "what the parent's threads had cached is lost in the child",
        LIVES,
        "            arena->flush(each);\n",
        "",
        LIFE,
    ),
    Bug(
        "cached blocks are not counted",
        LIVES,
        "            reading.idle += each->bins[c].count.load_relaxed();\n",
        "",
        RULES,
    ),
)

FOUNDATIONS = (
    Bug(
        "a pop leaves its count",
        "memory/core/thread_cache.hpp",
        "        count.store_relaxed(top - 1);\n",
        "",
        STRESS,
    ),
    Bug(
        "a bin holds more than it has room for",
        "memory/core/thread_cache.hpp",
        "fit > kBinBlocks ? kBinBlocks : fit < 4",
        "fit < 4",
        STRESS,
    ),
    Bug(
        "a foreign address is looked up beyond the map",
        "memory/core/page_map.hpp",
        "        if (BUFPOOL_UNLIKELY((granule >> (2 * kLevelBits)) != 0)) return nullptr;\n",
        "",
        RULES,
    ),
    Bug(
        "the last granule of a region is forgotten",
        "memory/core/slab.cpp",
        "granule <= last",
        "granule < last",
        STRESS,
    ),
    Bug(
        "two slabs share a node",
        "memory/core/slab.cpp",
        "used_ = first + count;",
        "used_ = first + count - 1;",
        STRESS,
    ),
    Bug(
        "a block has room beyond its end",
        "memory/core/slab.hpp",
        "return class_size(class_index) - (offset - (node_of(address) - first_node) * stride);",
        "return offset == 0 ? class_size(class_index) : stride;",
        STRESS,
    ),
    Bug(
        "a size of its own goes to the class above",
        "_core/size_classes.hpp",
        "const std::size_t last = nbytes - 1;",
        "const std::size_t last = nbytes;",
        RULES,
    ),
    Bug(
        "large classes lose their lowest step",
        "_core/size_classes.hpp",
        "((last >> (exponent - 3)) & 7)",
        "((last >> (exponent - 3)) & 6)",
        RULES,
    ),
    Bug(
        "an addition is a load and a store",
        "_core/atomics.hpp",
        "return word().fetch_add(d, std::memory_order_relaxed) + d;",
        "const T sum = load_relaxed() + d;\n        for (volatile int i = 0; i < 200; i = i + 1) {\n        }\n"
        "        store_relaxed(sum);\n        return sum;",
        STRESS,
    ),
    Bug(
        "a lock is taken by a load and a store",
        "_core/atomics.hpp",
        "        std::uint32_t open = 0;\n        return held_.cas_strong_acq_rel_acquire(open, 1);",
        "        if (held_.load_acquire() != 0) return false;\n        cpu_yield();\n"
        "        held_.store_relaxed(1);\n        return true;",
        Ladder("arena_ladder", 40_000, "thread"),
    ),
)

LIFE_OF_ALL = (*TRIMMING, *LIVING, *FOUNDATIONS)
