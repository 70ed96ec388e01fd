"""Memory orders of the core, each relaxed in turn; those of the free list stand in `tests.verify.model`.

ThreadSanitizer finds them on any machine: it follows the orders that are written, not those that the processor keeps.

Not here are the orders that no program could tell from relaxed ones: of `closed` and `cache_flags` (who sees them late
hands out one more block), of a node table's chunks (an index comes through a head or a slab, which order them), and of
the page map's leaves (zero pages of the system; their entries have orders of their own).
"""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder

STRESS = Ladder("arena_ladder", 10_000, "thread")
LIFE = Ladder("arena_life", 200, "thread")

LIVES = "memory/core/arena_life.cpp"
CACHES = "memory/core/arena_caches.cpp"
PAGES = "memory/core/page_map.hpp"
ATOMICS = "_core/atomics.hpp"

ORDERS = (
    Bug(
        "a lock opened with a relaxed store",
        ATOMICS,
        "void unlock() noexcept { held_.store_release(0); }",
        "void unlock() noexcept { held_.store_relaxed(0); }",
        STRESS,
    ),
    Bug(
        "a lock taken with a relaxed swap",
        ATOMICS,
        "return held_.cas_strong_acq_rel_acquire(open, 1);",
        "return held_.cas_weak_relaxed_relaxed(open, 1);",
        STRESS,
    ),
    Bug(
        "a cache left with a relaxed store",
        CACHES,
        "            caches->owned.store_release(0);      // release",
        "            caches->owned.store_relaxed(0);      // release",
        LIFE,
    ),
    Bug(
        "a cache taken with a relaxed swap",
        CACHES,
        "if (found->owned.cas_strong_acq_rel_acquire(free, 1)) break;",
        "if (found->owned.cas_weak_relaxed_relaxed(free, 1)) break;",
        LIFE,
    ),
    Bug(
        "a new cache shown with a relaxed swap",
        CACHES,
        "while (!caches_.cas_weak_release_relaxed(head, &caches[i]));",
        "while (!caches_.cas_weak_relaxed_relaxed(head, &caches[i]));",
        LIFE,
    ),
    Bug(
        "the caches walked from a relaxed load by who wants one",
        CACHES,
        "    ThreadCache* found = caches_.load_acquire();",
        "    ThreadCache* found = caches_.load_relaxed();",
        LIFE,
    ),
    Bug(
        "the caches walked from a relaxed load by who counts",
        LIVES,
        "    std::uint64_t bytes = 0;\n    for (ThreadCache* each = caches_.load_acquire();",
        "    std::uint64_t bytes = 0;\n    for (ThreadCache* each = caches_.load_relaxed();",
        LIFE,
    ),
    Bug(
        "a slab shown with a relaxed store",
        "memory/core/slab.cpp",
        "leaf->slabs[granule & kLevelMask].store_release(slab);",
        "leaf->slabs[granule & kLevelMask].store_relaxed(slab);",
        LIFE,
    ),
    Bug(
        "a slab found with a relaxed load",
        PAGES,
        "leaf->slabs[granule & kLevelMask].load_acquire();",
        "leaf->slabs[granule & kLevelMask].load_relaxed();",
        LIFE,
    ),
)
