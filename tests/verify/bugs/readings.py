"""In what users are told of memory: where it is, whose it is, what profilers see, and how it is shown."""

from __future__ import annotations

from tests.verify.bug import Bug, Ladder, Suite

CORE = Ladder("arena_readings", 200)
RACED = Ladder("arena_readings", 1_500, "thread")
SHOWN = Suite("memory/test_stats_shown.py")
ALL_POOLS = Suite("memory/test_registry.py")
TRACED = Suite("memory/test_profilers.py")

IN_CORE = "memory/core/arena_readings.cpp"
ARENA = "memory/native/_arena.pyx"
BUFFER = "memory/native/_buffer.pyx"
STATS = "memory/stats.py"
TABLES = "_tables.py"
REGISTRY = "memory/registry.py"

READINGS = (
    Bug(
        "the reader's own cache is out of trim's reach",
        IN_CORE,
        "reading.cached = all_cached > own_cached ? all_cached - own_cached : 0;",
        "reading.cached = all_cached;",
        CORE,
    ),
    Bug(
        "whose an arena is, read as it changes",
        IN_CORE,
        "    LockGuard guard(lock_);   // `create`",
        "    // `create`",
        RACED,
    ),
    Bug(
        "refused memory is a peak",
        "memory/core/arena_growth.cpp",
        "        if (charge(size)) {\n",
        "        counters.peak_reserved.raise_relaxed(counters.reserved.load_relaxed() + size);\n"
        "        if (charge(size)) {\n",
        CORE,
    ),
    Bug(
        "purged memory is not told of",
        "memory/core/arena_growth.cpp",
        "    counters.purged.store_relaxed(heap_.purged());\n",
        "",
        Suite("memory/test_stats.py -k purged"),
    ),
    Bug(
        "addresses count as purged before they may be used",
        "memory/core/page_heap.cpp",
        "        accessible_ += std::uint64_t{until - reserve.accessible} * kRegionAlign;\n",
        "        accessible_ += std::uint64_t{reserve.granules - reserve.accessible} * kRegionAlign;\n",
        Suite("memory/test_stats.py -k purged"),
    ),
    Bug(
        "the peak of an earlier pool",
        "memory/core/arena_life.cpp",
        "    counters.peak_reserved.store_relaxed(0);\n",
        "",
        CORE,
    ),
    Bug(
        "bytes given back by an earlier pool",
        "memory/core/arena_life.cpp",
        "bytes : counters.dropped_bytes) bytes.store_relaxed(0);",
        "bytes : counters.dropped_bytes) bytes.add_relaxed(0);",
        CORE,
    ),
    Bug(
        "an arena without a name is a pool",
        ARENA,
        "        if identity.name != NULL:   #",
        "        if True:   #",
        ALL_POOLS,
    ),
    Bug(
        "a reading drops a reference to a name",
        ARENA,
        "    Py_IncRef(<PyObject*>name)",
        "    pass",
        ALL_POOLS,
    ),
    Bug(
        "a reading keeps a reference to a name",
        ARENA,
        "            Py_DECREF(name)\n",
        "",
        ALL_POOLS,
    ),
    Bug(
        "the name of a pool that is gone is kept for ever",
        ARENA,
        "        Py_XDECREF(<PyObject*>arena.set_name(<void*>name))\n",
        "        arena.set_name(<void*>name)\n",
        ALL_POOLS,
    ),
    Bug(
        "a released buffer has the name of another pool",
        ARENA,
        "return name if identity.serial == serial else None",
        "return name",
        Suite("memory/test_buffer.py -k repr_never"),
    ),
    Bug(
        "memory without a pool is not counted",
        ARENA,
        "not identity.abandoned or reading",
        "not identity.abandoned and reading",
        ALL_POOLS,
    ),
    Bug(
        "a pool that is gone stays for ever", ARENA, ' or reading["reserved_bytes"])', " or True)", ALL_POOLS
    ),
    Bug(
        "pools in the order of their arenas",
        ARENA,
        "    found.sort(key=operator.itemgetter(0))\n",
        "",
        ALL_POOLS,
    ),
    Bug("a buffer is not traced", BUFFER, "        track(buffer.block, buffer.nbytes)\n", "", TRACED),
    Bug("a released buffer stays traced", BUFFER, "            untrack(block)\n", "", TRACED),
    Bug("a dropped buffer stays traced", BUFFER, "            untrack(self.block)\n", "", TRACED),
    Bug(
        "a released buffer has the size of its block",
        BUFFER,
        "(self.nbytes if self.block != NULL else 0)",
        "self.nbytes",
        TRACED,
    ),
    Bug("what others cache is pinned", STATS, "cached_bytes=cached,", "cached_bytes=0,", SHOWN),
    Bug(
        "a difference of bytes given back is their sum",
        STATS,
        'for name in ("drops", "dropped_bytes"):',
        'for name in ("drops",):',
        SHOWN,
    ),
    Bug("a difference says why not more", STATS, 'if self.state == "change":', "if False:", SHOWN),
    Bug(
        "JSON has a mapping in it", STATS, "            dropped_bytes=dict(self.dropped_bytes),\n", "", SHOWN
    ),
    Bug(
        "a long name makes a wide table",
        TABLES,
        "padded(clipped(words[0], wide[0]), wide[0])",
        "padded(words[0], wide[0])",
        SHOWN,
    ),
    Bug("all letters are as wide", TABLES, ' in "WF" else 1', ' in "" else 1', SHOWN),
    Bug("1024.0 KiB", "_words.py", "        power += 1  #", "        power += 0  #", SHOWN),
    Bug("a title is markup", TABLES, "{escape(self.title)}", "{self.title}", SHOWN),
    Bug("a row is markup", TABLES, 'f"{escape(first)}</', 'f"{first}</', SHOWN),
    Bug(
        "totals of all but the first pool",
        REGISTRY,
        "sum([each.idle_bytes for each in self])",
        "sum([each.idle_bytes for each in self[1:]])",
        ALL_POOLS,
    ),
)
