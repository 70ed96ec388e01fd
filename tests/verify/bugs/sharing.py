"""In what lets idle memory serve elsewhere: pages that move, slabs that share; and malloc in its place."""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder, Suite

HEAP = "memory/core/page_heap.cpp"
MOVES = "memory/core/page_heap_moves.cpp"
GROWTH = "memory/core/arena_growth.cpp"
SLABS = "memory/core/arena_slabs.cpp"
TRIM = "memory/core/arena_trim.cpp"
LIVES = "memory/core/arena_life.cpp"

RANDOM = Ladder("arena_extents", 4_000)
SHARED = Ladder("arena_survivors", 20)

MALLOC = (
    Bug(
        "an extent is never given back to malloc",
        HEAP,
        "        return free_extent(upstream_, extent.start, extent.bytes);\n",
        "        return;\n",
        Suite("memory/test_upstream_malloc.py -k malloc_holds_large_blocks_until_release"),
    ),
    Bug(
        "an extent of malloc's is taken for zeros",
        HEAP,
        "    if (!recycles()) return 0;   // all of it counts as resident, and is not known to be zeros\n",
        "    if (!recycles()) {\n"
        "        const std::uintptr_t from = reinterpret_cast<std::uintptr_t>(start), to = from + bytes;\n"
        "        return ((to + kPage - 1) & ~(kPage - 1)) - (from & ~(kPage - 1));\n"
        "    }\n",
        Suite("memory/test_upstream_malloc.py -k zeros_are"),
    ),
    Bug(
        "a class keeps a list though malloc serves it",
        GROWTH,
        "    if (admitted(c) || !heap_.recycles()) {\n",
        "    if (admitted(c)) {\n",
        Suite("memory/test_upstream_malloc.py -k nothing_large"),
    ),
    Bug(
        "small extents of malloc's stay in a list",
        TRIM,
        "(class_size(c) <= kListed && heap_.recycles())",
        "class_size(c) <= kListed",
        Suite("memory/test_upstream_malloc.py -k malloc_holds_large_blocks_until_release"),
    ),
    Bug(
        "a limit counts what malloc's extents leave empty",
        LIVES,
        "heap_.recycles() && config.limit",
        "config.limit",
        Suite("memory/test_upstream_malloc.py -k counts_blocks"),
    ),
)

MOVED = (
    Bug(
        "pages that moved away still count",
        MOVES,
        "        row(from + i).resident = 0;\n",
        "",
        RANDOM,
    ),
    Bug(
        "pages that moved do not count where they went",
        MOVES,
        "        row(to + i).resident = 0xFFFFu;\n",
        "",
        RANDOM,
    ),
    Bug(
        "a piece moves that is idle in part",
        MOVES,
        "if (resident_pages(from, kPieceGranules) != kPiecePages) continue;",
        "if (resident_pages(from, kPieceGranules) == 0) continue;",
        RANDOM,
    ),
    Bug(
        "a piece moves to where pages are",
        MOVES,
        "while (to + kPieceGranules <= until && resident_pages(to, kPieceGranules) != 0)",
        "while (to + kPieceGranules <= until && resident_pages(to, kPieceGranules) == kPiecePages)",
        RANDOM,
    ),
    Bug(
        "a piece moves behind the extent's end",
        MOVES,
        "        return to + kPieceGranules <= until;\n",
        "        return to < until;\n",
        RANDOM,
    ),
    Bug(
        "the piece at the start of a free extent never moves",
        MOVES,
        "while (wanted && from >= id + kPieceGranules)",
        "while (wanted && from > id + kPieceGranules)",
        RANDOM,
    ),
    Bug(
        "as many pieces move as there are",
        MOVES,
        "    if (more && moved_.load_relaxed() >= kMostMoved) return Move::refused;\n",
        "",
        RANDOM,
    ),
    Bug(
        "a piece that moved on counts for ever",
        MOVES,
        "    if (row(from).moved != 0) moved_.sub_relaxed(1);\n",
        "",
        RANDOM,
    ),
    Bug(
        "a piece that moved and was purged counts for ever",
        HEAP,
        "        if (row(piece).moved != 0 && resident_pages(piece, kPieceGranules) == 0) join(piece);\n",
        "",
        RANDOM,
    ),
    Bug(
        "pieces that moved count when their addresses are gone",
        HEAP,
        "            if (row(id + piece).moved != 0) moved_.sub_relaxed(1);\n",
        "",
        RANDOM,
    ),
    Bug(
        "locked pages move",
        HEAP,
        " || upstream.pages == Pages::huge_advised) && !upstream.lock;",
        " || upstream.pages == Pages::huge_advised);",
        Suite("memory/test_moves.py -k locked"),
    ),
    Bug(
        "no page moves to a new block",
        GROWTH,
        "zeros ? heap_.nonresident(slab->base, size) : move_pages_in(slab, size)",
        "heap_.nonresident(slab->base, size)",
        Suite("memory/test_moves.py -k idle_memory_of_other_sizes"),
    ),
    Bug(
        "pages move though a limit of addresses could stop the system half-way",
        "_core/os_memory.cpp",
        "limit.rlim_cur != RLIM_INFINITY) return false;",
        "limit.rlim_cur == 0) return false;",
        Suite("memory/test_moves.py -k under_a_limit"),
    ),
    Bug(
        "advice stays where pages were, and goes with them",
        "_core/os_memory.cpp",
        "        join_maps(from, bytes);\n",
        "",
        Suite("memory/test_moves.py -k advice"),
    ),
    Bug(
        "an extent is used after the system failed half-way",
        MOVES,
        "    if (result != Move::lost) return true;\n",
        "    return true;\n",
        Suite("memory/test_no_memory.py -k of_the_core"),
    ),
    Bug(
        "lazy zeros take idle pages",
        GROWTH,
        "zeros ? heap_.nonresident(slab->base, size) : move_pages_in(slab, size)",
        "move_pages_in(slab, size)",
        Suite("memory/test_moves.py -k zeros"),
    ),
)

SURVIVED = (
    Bug(
        "a granule goes with a block in use on it",
        TRIM,
        "            if (!goes) stays |= slab->granules_under(slab->base + std::size_t{i} * slab->stride);\n",
        "",
        SHARED,
    ),
    Bug(
        "a purged block on a granule that went is handed out",
        TRIM,
        "    if (any_purged) klass.purged.push_chain(nodes, filter_chain(klass.purged.pop_all(nodes), stays));\n",
        "",
        SHARED,
    ),
    Bug(
        "an idle block on a granule that went is handed out",
        TRIM,
        "        if (stays(each)) return true;\n        Slab* const slab",
        "        return true;\n        Slab* const slab",
        SHARED,
    ),
    Bug(
        "a slab gives a granule twice",
        TRIM,
        "        release_granules(slab, ~slab->released, now);\n",
        "        release_granules(slab, ~std::uint32_t{0}, now);\n",
        SHARED,
    ),
    Bug(
        "a slab that has gone still lacks what it gave before",
        TRIM,
        "        slab->extent.start = nullptr;\n        slab->released = 0;\n",
        "        slab->extent.start = nullptr;\n",
        SHARED,
    ),
    Bug(
        "pages of a granule that went are purged",
        TRIM,
        "        if ((slab->released >> granule & 1) == 0) freed",
        "        freed",
        SHARED,
    ),
    Bug(
        "blocks on granules that went are forgotten",
        TRIM,
        "        slab->purged += 1;\n        slab->seen -= 1;\n",
        "        slab->seen -= 1;\n",
        SHARED,
    ),
    Bug(
        "a block stands on its first granule alone",
        "memory/core/slab.hpp",
        "last = (offset + class_size(class_index) - 1) / kRegionAlign;",
        "last = first;",
        SHARED,
    ),
    Bug(
        "classes give each other nothing",
        SLABS,
        "        if (swept && !sweep_other_classes(c)) return nullptr;\n",
        "        if (swept) return nullptr;\n",
        SHARED,
    ),
    Bug(
        "a slab is never smaller than its class wants",
        SLABS,
        "bytes = bytes / 2 & ~(kRegionAlign - 1)) {",
        "bytes = 0) {",
        SHARED,
    ),
)

SHARING = (*MALLOC, *MOVED, *SURVIVED)
