"""In the page heap, in what the arena takes from it and gives back, and in what time brings."""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder, Suite

HEAP = "memory/core/page_heap.cpp"
TREES = "memory/core/page_heap_trees.cpp"
GROWTH = "memory/core/arena_growth.cpp"
TRIM = "memory/core/arena_trim.cpp"
LIVES = "memory/core/arena_life.cpp"
CACHES = "memory/core/arena_caches.cpp"
ARENA = "memory/core/arena.cpp"

RANDOM = Ladder("arena_extents", 4_000)
RULES = Ladder("arena_rules", 3_000)
STRESS = Ladder("arena_ladder", 40_000)
READ = Ladder("arena_readings", 2_000)
LIFE = Ladder("arena_life", 300)

EXTENTS = (
    Bug(
        "the end of an extent in use is taken for a free one's",
        HEAP,
        "    first[length - 1].length = 0;\n",
        "",
        RANDOM,
    ),
    Bug(
        "the pages of the free extent behind are not counted",
        HEAP,
        "        pages += row(id + length).pages;\n        unlink(id + length);",
        "        unlink(id + length);",
        RANDOM,
    ),
    Bug(
        "the pages of the free extent ahead are not counted",
        HEAP,
        "        id -= ahead;\n        pages += row(id).pages;\n",
        "        id -= ahead;\n",
        RANDOM,
    ),
    Bug(
        "an extent does not merge with the one ahead",
        HEAP,
        "const std::uint32_t ahead = first[-1].length;",
        "const std::uint32_t ahead = 0;",
        RANDOM,
    ),
    Bug(
        "an extent does not merge with the one behind",
        HEAP,
        "    const std::uint32_t behind = first[length].length;\n    if",
        "    const std::uint32_t behind = 0;\n    if",
        RANDOM,
    ),
    Bug(
        "an extent that is taken still counts as idle",
        HEAP,
        "    idle_ -= std::uint64_t{first->pages} * kPage;\n",
        "",
        RANDOM,
    ),
    Bug(
        "an extent that is taken is still to be purged",
        HEAP,
        "    mark_head(id, false);\n",
        "",
        RANDOM,
    ),
    Bug(
        "an extent of just the size does not serve",
        TREES,
        "        if (row(root).length >= length) {",
        "        if (row(root).length > length) {",
        RANDOM,
    ),
    Bug(
        "the first extent that is found serves",
        TREES,
        "            best = root;\n            root = row(root).left;",
        "            return root;",
        RANDOM,
    ),
    Bug(
        "the rest of an extent keeps the pages of what was taken",
        HEAP,
        "pages - head_pages - resident_pages(id + head, want));",
        "pages - head_pages);",
        RANDOM,
    ),
    Bug(
        "an extent that grew does not know it",
        HEAP,
        "    extent.bytes += std::size_t{want} * kRegionAlign;\n",
        "",
        RANDOM,
    ),
    Bug(
        "address space in use goes back",
        HEAP,
        "reserve.base == nullptr || row(id).length != reserve.granules",
        "reserve.base == nullptr || row(id).length == 0",
        RANDOM,
    ),
)

PURGED = (
    Bug(
        "pages that went back count as resident",
        HEAP,
        "    for (std::uint32_t i = 0; i < granules; ++i) rows[i].resident = 0;\n",
        "",
        RANDOM,
    ),
    Bug(
        "bytes that went back from inside an extent are still counted",
        HEAP,
        "    resident_ -= was;\n",
        "",
        RANDOM,
    ),
    Bug(
        "pages that went back from inside an extent count as resident",
        HEAP,
        "        each->resident = static_cast<std::uint16_t>(each->resident & ~unsigned{page_mask(first, last)});\n",
        "",
        RANDOM,
    ),
    Bug(
        "a page goes back of which only a part is idle",
        HEAP,
        "    char* const from = start + (-reinterpret_cast<std::uintptr_t>(start) & (unit - 1));",
        "    char* const from = start - (reinterpret_cast<std::uintptr_t>(start) & (unit - 1));",
        RANDOM,
    ),
    Bug(
        "what is in use ahead of an idle run goes back with it",
        HEAP,
        "row(first - 1).resident == 0) --first;",
        "true) --first;",
        RANDOM,
    ),
    Bug(
        "what is in use behind an idle run goes back with it",
        HEAP,
        "row(last).resident == 0) ++last;",
        "true) ++last;",
        RANDOM,
    ),
    Bug(
        "more goes back than is to go",
        HEAP,
        " && (freed + run < bytes || !may_split(id + begin))) {",
        ") {",
        RANDOM,
    ),
    Bug(
        "memory of any age goes back",
        HEAP,
        "static_cast<std::int32_t>(rows[i].stamp - then) <= 0",
        "true",
        RANDOM,
    ),
    Bug(
        "memory that was in use is as old as before",
        HEAP,
        "        first[i].stamp = now;\n",
        "",
        RANDOM,
    ),
    Bug(
        "the class goes on carving from a slab that is gone",
        TRIM,
        "        if (slab == klass.growing) klass.growing = nullptr;\n",
        "",
        STRESS,
    ),
    Bug(
        "a block whose pages went back is handed out as it is",
        TRIM,
        "return nodes[each].depth.load_relaxed() != kJustPurged;",
        "return each != kNone;",
        READ,
    ),
    Bug(
        "the blocks that stay are lost",
        TRIM,
        "    klass.existing.sub_relaxed(dropped);\n    charged_ -= dropped * size;\n"
        "    klass.idle.push_chain(nodes, kept);\n",
        "    klass.existing.sub_relaxed(dropped);\n    charged_ -= dropped * size;\n",
        STRESS,
    ),
    Bug(
        "trimming without the lock",
        TRIM,
        "    lock_.lock();\n    drain(false);\n    publish();\n    const std::uint64_t before",
        "    lock_.try_lock();\n    drain(false);\n    publish();\n    const std::uint64_t before",
        Ladder("arena_ladder", 10_000, "thread"),
    ),
    Bug(
        "trimming keeps nothing",
        TRIM,
        "keep == 0 ? kUnlimited : idle - keep",
        "keep == 0 ? kUnlimited : idle",
        RULES,
    ),
    Bug(
        "a class keeps blocks that another size needs",
        GROWTH,
        "        classes[c].credit.store_relaxed(0);\n        flushed += flush_class(c, kNone, now_ms());\n",
        "",
        Suite("memory/test_bounds.py -k varying_sizes"),
    ),
    Bug(
        "a block with one used page counts as zero",
        GROWTH,
        "fresh == ((to + kPage - 1) & ~(kPage - 1)) - (from & ~(kPage - 1));",
        "fresh >= size;",
        RULES,
    ),
    Bug(
        "large blocks pay for what survivors pin",
        TRIM,
        "        const std::uint64_t pinned = stuck_ < idle_in_lists() ? stuck_ : idle_in_lists();\n",
        "        const std::uint64_t pinned = 0;\n",
        Suite("memory/test_ageing.py -k survivors_do_not_stop_reuse_of_large_blocks"),
    ),
    Bug(
        "half of an explicit huge page goes back",
        HEAP,
        "(freed + run < bytes || !may_split(id + begin))",
        "freed + run < bytes",
        Suite("memory/test_bounds.py -k explicit_huge"),
    ),
    Bug(
        "a huge page comes for a part of it",
        HEAP,
        "        advise_against(id, granules);\n",
        "",
        Suite("memory/test_bounds.py -k an_advised_huge_page_keeps_the_limit"),
    ),
    Bug(
        "purged blocks are handed out in any order",
        TRIM,
        "    for (std::uint32_t i = slab->carved; i-- > 0;) {\n        Node& node",
        "    for (std::uint32_t k = slab->carved; k-- > 0;) {\n"
        "        const std::uint32_t i = k * 257 % slab->carved;\n        Node& node",
        RULES,
    ),
    Bug(
        "few addresses are no addresses",
        HEAP,
        "    if (base == nullptr && size > needed) base = reserve_space(size = needed);\n",
        "",
        Suite("memory/test_bounds.py -k few_addresses"),
    ),
    Bug(
        "survivors keep more idle than max_retained",
        TRIM,
        "evict(idle - bound, Drop::over_max_retained, Effort::thorough)",
        "evict(idle - bound, Drop::over_max_retained, Effort::mild)",
        Suite("memory/test_bounds.py -k survivors"),
    ),
    Bug(
        "small blocks are swept for a few bytes",
        TRIM,
        "bound > kUnlimited - slack ? kUnlimited : bound + slack",
        "bound",
        Suite("memory/test_bounds.py -k a_set_above_max_retained_is_not_mapped_again"),
    ),
    Bug(
        "the maintenance thread looks after pools that do without it",
        LIVES,
        "config.maintenance_thread && config.max_idle_ns != 0",
        "config.max_idle_ns != 0",
        Suite("memory/test_ageing.py -k without_the_thread"),
    ),
    Bug(
        "no thread looks after a pool",
        GROWTH,
        "    if (needs_maintenance()) Maintenance::ensure();\n",
        "",
        Suite("memory/test_ageing.py -k between_survivors"),
    ),
    Bug(
        "a returned block starts no thread in a fork's child",
        TRIM,
        "    if (needs_maintenance()) Maintenance::ensure();",
        "",
        Suite("memory/test_ageing.py -k child"),
    ),
    Bug(
        "a fork's child takes its parent's thread for its own",
        LIVES,
        "    Maintenance::forget();\n",
        "",
        Suite("memory/test_ageing.py -k child"),
    ),
    Bug(
        "what is idle has no bound",
        TRIM,
        "    std::uint64_t bound = config.max_retained;\n",
        "    std::uint64_t bound = kUnlimited;\n",
        RULES,
    ),
    Bug(
        "bytes given back are not counted",
        TRIM,
        "    counters.dropped_bytes[static_cast<std::uint32_t>(reason)].add_relaxed(bytes);\n",
        "",
        READ,
    ),
)

BACKED = (
    Bug(
        "a block that was refused is charged",
        GROWTH,
        "            if (block.address == nullptr) charged_ -= size;\n",
        "",
        RULES,
    ),
    Bug(
        "a block found in passing is charged twice",
        GROWTH,
        "        charged_ -= size;                                     // it was charged when it was made\n",
        "",
        Ladder("arena_ladder", 20_000, "thread"),
    ),
    Bug(
        "growth without the lock",
        GROWTH,
        "    for (bool again : {false, true}) {\n        lock_.lock();\n",
        "    for (bool again : {false, true}) {\n        lock_.try_lock();\n",
        Ladder("arena_ladder", 10_000, "thread"),
    ),
    Bug(
        "memory that went back stays in the page map",
        TRIM,
        "    g_pages.set(slab->extent.start, slab->extent.bytes, nullptr);\n    heap_.release(slab->extent, now);\n"
        "    slab->extent.start = nullptr;\n    nodes",
        "    heap_.release(slab->extent, now);\n    slab->extent.start = nullptr;\n    nodes",
        RULES,
    ),
    Bug(
        "recycled memory is promised to be zero",
        GROWTH,
        "        const bool zeroed = fresh ==",
        "        const bool zeroed = fresh != 0 || fresh ==",
        RULES,
    ),
    Bug(
        "more is reserved than the limit says",
        GROWTH,
        "    if (charged_ + heap_.idle() > config.limit) heap_.purge(charged_ + heap_.idle() - config.limit);\n",
        "",
        Ladder("arena_waiting", 500),
    ),
    Bug(
        "zeros are not written on recycled memory",
        ARENA,
        "    if (block.address != nullptr && !block.zeroed) clear(block.address, nbytes);\n",
        "",
        RULES,
    ),
    Bug(
        "zeros stop short of what was asked for",
        ARENA,
        "    std::memset(start, 0, nbytes);\n}",
        "    std::memset(start, 0, nbytes / 2);\n}",
        RULES,
    ),
    Bug(
        "a cache is drained while its owner uses it",
        CACHES,
        "        if (ordered && each->busy.load_acquire() == 0) flush(each);",
        "        flush(each);",
        Ladder("arena_ladder", 40_000, "thread"),
    ),
    Bug(
        "what a thread has cached is lost at its end",
        CACHES,
        "            arena->flush(caches);\n",
        "",
        STRESS,
    ),
    Bug(
        "an arena is used again while a block is out",
        LIVES,
        "        if (suits && arena->counters.reserved.load_acquire() == 0) return arena;",
        "        if (suits) return arena;",
        RULES,
    ),
    Bug(
        "closing gives nothing back",
        LIVES,
        "    drain(false);\n    evict(kUnlimited, Drop::closed, Effort::any);\n",
        "",
        RULES,
    ),
)

PAGE_HEAP = (*EXTENTS, *PURGED, *BACKED)
