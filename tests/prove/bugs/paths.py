"""In the core's hot paths and its growth: checkout, return, charge, carve, map.

Where a load and a store stand for one operation, the processor is yielded between the two, so that few rounds suffice.
"""

from __future__ import annotations

from prove.bug import Bug, Ladder

STRESS = Ladder("arena_ladder", 40_000)
RULES = Ladder("arena_rules", 3_000)
LIFE = Ladder("arena_life", 300)
QUEUE_RULES = Ladder("arena_waiting", 20)

HOT = "core/arena.cpp"
GROWTH = "core/arena_growth.cpp"

CHECKOUTS = (
    Bug(
        "the bytes in use counted by a load and a store",
        HOT,
        "const std::uint64_t used = counters.used.add_relaxed(bytes);",
        "const std::uint64_t used = counters.used.load_relaxed() + bytes;\n    cpu_yield();\n"
        "    counters.used.store_relaxed(used);",
        STRESS,
    ),
    Bug("the owner is not written", HOT, "    node.next.store_relaxed(kOwned);\n", "", STRESS),
    Bug(
        "recycled bytes pass for zeros",
        HOT,
        "return Block{node.block, Refusal::none, false};",
        "return Block{node.block, Refusal::none, true};",
        RULES,
    ),
    Bug(
        "zeros are not written on recycled memory",
        HOT,
        "if (block.address != nullptr && !block.zeroed) std::memset(block.address, 0, nbytes);",
        "",
        RULES,
    ),
    Bug(
        "zeros stop short of what was asked for",
        HOT,
        "std::memset(block.address, 0, nbytes);",
        "std::memset(block.address, 0, nbytes & ~std::size_t{63});",
        RULES,
    ),
    Bug(
        "wiping forgets recycled memory",
        HOT,
        "BUFPOOL_UNLIKELY(config.wipe) && block.address != nullptr && !block.zeroed",
        "BUFPOOL_UNLIKELY(config.wipe) && block.address != nullptr && block.zeroed",
        STRESS,
    ),
    Bug(
        "an alignment is not paid for",
        HOT,
        "class_of((nbytes == 0 ? 1 : nbytes) + slack)",
        "class_of(nbytes == 0 ? 1 : nbytes)",
        STRESS,
    ),
    Bug(
        "a block moved up is parked as it stands",
        HOT,
        "        parking.or_relaxed(kMoved);",
        "        ",
        STRESS,
    ),
    Bug(
        "what is needed counts as stale",
        HOT,
        "    if (left < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(left);\n    Node&",
        "    Node&",
        RULES,
    ),
)

RETURNS = (
    Bug(
        "a second release is not noticed",
        HOT,
        "if (BUFPOOL_UNLIKELY(nodes[node].next.load_relaxed() != kOwned)) return false;",
        "",
        STRESS,
    ),
    Bug(
        "a moved block keeps its shortened address",
        HOT,
        "magazine.push(magazine.count.load_relaxed(), nodes[node].block);",
        "magazine.push(magazine.count.load_relaxed(), address);",
        STRESS,
    ),
    Bug("a full magazine takes one more", HOT, "top != magazine.capacity", "top <= magazine.capacity", RULES),
    Bug(
        "no one wakes the waiter",
        HOT,
        "    if (BUFPOOL_UNLIKELY(!queue.is_empty())) queue.ring_first();\n",
        "",
        QUEUE_RULES,
    ),
    Bug(
        "one block more than max_retained stays",
        HOT,
        "const std::uint64_t idle_after = idle_bytes() + class_size(c);",
        "const std::uint64_t idle_after = idle_bytes();",
        RULES,
    ),
    Bug(
        "a return leaves the bytes in use",
        HOT,
        "    counters.used.sub_relaxed(class_size(c));\n    classes[c].idle.push(nodes, node);",
        "    classes[c].idle.push(nodes, node);",
        STRESS,
    ),
    Bug(
        "a chain that comes back stays in use",
        HOT,
        "    counters.used.sub_relaxed(bytes);\n",
        "",
        STRESS,
    ),
    Bug(
        "a chain that comes back goes past max_retained",
        HOT,
        "closed.load_relaxed() != 0 || idle_bytes() + bytes > config.max_retained",
        "closed.load_relaxed() != 0",
        RULES,
    ),
    Bug(
        "what comes back after closing stays",
        HOT,
        "if (BUFPOOL_UNLIKELY(closed.load_relaxed() != 0)) return release_closed(slab, node);",
        "",
        RULES,
    ),
)

GROWING = (
    Bug(
        "the limit is checked, then charged",
        GROWTH,
        "    } while (!counters.reserved.cas_weak_relaxed_relaxed(reserved, reserved + bytes));",
        "    } while (false);\n    cpu_yield();\n    counters.reserved.add_relaxed(bytes);",
        RULES,
    ),
    Bug(
        "a charge is kept when the system refuses",
        GROWTH,
        "            counters.reserved.sub_relaxed(size);\n            if (block.refusal",
        "            if (block.refusal",
        RULES,
    ),
    Bug(
        "a closed arena grows",
        GROWTH,
        "if (closed.load_acquire() != 0) return Block{nullptr, Refusal::closed, false};",
        "",
        RULES,
    ),
    Bug(
        "a block found in passing is charged twice",
        GROWTH,
        "counters.reserved.sub_relaxed(size);                  // it was",
        "// it was",
        Ladder("arena_ladder", 200_000),
    ),
    Bug(
        "blocks are carved without the lock",
        GROWTH,
        "    LockGuard guard(lock_);\n    std::uint32_t left = 0;",
        "    std::uint32_t left = 0;",
        Ladder("arena_ladder", 10_000, "thread"),
    ),
    Bug(
        "one block more is carved than fits",
        GROWTH,
        "slab->carved == slab->blocks",
        "slab->carved > slab->blocks",
        STRESS,
    ),
    Bug(
        "slabs are made without the lock",
        GROWTH,
        "        LockGuard guard(lock_);\n        slab = make_slab(c, 1",
        "        slab = make_slab(c, 1",
        Ladder("arena_ladder", 30_000, "thread"),
    ),
    Bug(
        "a block's number is rounded down",
        GROWTH,
        "((std::uint64_t{1} << 48) + stride - 1) / stride",
        "(std::uint64_t{1} << 48) / stride",
        STRESS,
    ),
    Bug(
        "a region that went back stays in the page map",
        GROWTH,
        "    g_pages.set(region, bytes, nullptr);",
        "    ",
        RULES,
    ),
    Bug(
        "a region is unmapped before it leaves the page map",
        GROWTH,
        "    g_pages.set(region, bytes, nullptr);   // before the unmap",
        "    unmap_region(region, bytes);\n    for (int i = 0; i < 50; i = i + 1) cpu_yield();\n"
        "    g_pages.set(region, bytes, nullptr);\n"
        "    slab->region = nullptr;\n    slab->carved = 0;\n    counters.mapped.sub_relaxed(bytes);\n"
        "    if (bytes != 0) return;   // before the unmap",
        LIFE,
    ),
    Bug(
        "what was unmapped counts as mapped",
        GROWTH,
        "    counters.mapped.sub_relaxed(bytes);\n",
        "",
        STRESS,
    ),
)

PATHS = (*CHECKOUTS, *RETURNS, *GROWING)
