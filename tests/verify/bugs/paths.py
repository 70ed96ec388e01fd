"""In the core's hot paths and its growth: checkout, return, charge, carve, map.

Where a load and a store stand for one operation, the processor is yielded between the two, so that few rounds suffice.
"""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder, Suite

STRESS = Ladder("arena_ladder", 40_000)
RULES = Ladder("arena_rules", 3_000)
LIFE = Ladder("arena_life", 300)
QUEUE_RULES = Ladder("arena_waiting", 20)

HOT = "memory/core/arena.cpp"
GROWTH = "memory/core/arena_growth.cpp"
SLABS = "memory/core/arena_slabs.cpp"

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
        "a block moved up is cached by its shortened address",
        HOT,
        "        cache_flags.or_relaxed(kMoved);",
        "        ",
        STRESS,
    ),
    Bug(
        "what is needed counts as stale",
        HOT,
        "    if (left < klass.low_water.load_relaxed()) klass.low_water.store_relaxed(left);\n    Node&",
        "    Node&",
        Suite("memory/test_bounds.py -k what_is_needed"),
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
        "bin.push(bin.count.load_relaxed(), nodes[node].block);",
        "bin.push(bin.count.load_relaxed(), address);",
        STRESS,
    ),
    Bug("a full bin takes one more", HOT, "top != bin.capacity", "top <= bin.capacity", RULES),
    Bug(
        "no one wakes the waiter",
        HOT,
        "    if (BUFPOOL_UNLIKELY(!queue.is_empty())) queue.wake_first();\n",
        "",
        QUEUE_RULES,
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
        "what comes back after closing stays",
        HOT,
        "if (BUFPOOL_UNLIKELY(closed.load_relaxed() != 0)) return release_closed(slab, node);",
        "",
        RULES,
    ),
)

GROWING = (
    Bug(
        "a closed arena grows",
        GROWTH,
        "if (closed.load_acquire() != 0) return Block{nullptr, Refusal::closed, false};",
        "",
        RULES,
    ),
    Bug(
        "one block more is carved than fits",
        GROWTH,
        "klass.growing->carved == klass.growing->blocks",
        "klass.growing->carved > klass.growing->blocks",
        STRESS,
    ),
    Bug(
        "a block's number is rounded down",
        SLABS,
        "((std::uint64_t{1} << 48) + stride - 1) / stride",
        "(std::uint64_t{1} << 48) / stride",
        STRESS,
    ),
)

PATHS = (*CHECKOUTS, *RETURNS, *GROWING)
