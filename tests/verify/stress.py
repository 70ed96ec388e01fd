"""The C++ programs of ``tests/verify/core``: crossbeam's ladder, smoke, capacity, length, one to one, many to many,
drops; the arena rule by rule; threads, pools, regions and forks that come and go; waiting at the limit; the state of
an object pool, and who waits; glibc's thresholds.

Plain, with yields injected before atomic operations, and under ThreadSanitizer, AddressSanitizer and
UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tests.verify import cpp_programs
from tests.verify.check import Check, Found
from tests.verify.cpp_programs import CPP, HEADERS, LACKS_COMPILER, SANITIZERS, SOURCES, core_files, said

LACKS_SOURCES = "" if (SOURCES / "memory/core/arena.cpp").exists() else "the core's sources are in the checkout alone"

YIELDS = ("-DBUFPOOL_INJECT_YIELDS",)
WAYS = {**SANITIZERS, "yields": YIELDS, "thread, yields": (*SANITIZERS["thread"], *YIELDS)}
WORDS = {
    "plain": "nothing added",
    "yields": "yields injected",
    "thread": "ThreadSanitizer",
    "thread, yields": "ThreadSanitizer, yields injected",
    "address": "AddressSanitizer and UndefinedBehaviorSanitizer",
}

#: Rounds of each program, as many as take some seconds each way.
ROUNDS = {
    ("freelist_ladder", "plain"): 4_000_000,
    ("freelist_ladder", "yields"): 400_000,
    ("freelist_ladder", "thread"): 600_000,
    ("freelist_ladder", "thread, yields"): 200_000,
    ("freelist_ladder", "address"): 1_000_000,
    ("object_pool_ladder", "plain"): 150_000,
    ("object_pool_ladder", "yields"): 40_000,
    ("object_pool_ladder", "thread"): 60_000,
    ("object_pool_ladder", "thread, yields"): 6_000,
    ("object_pool_ladder", "address"): 60_000,
    ("arena_ladder", "plain"): 400_000,
    ("arena_ladder", "yields"): 100_000,
    ("arena_ladder", "thread"): 60_000,
    ("arena_ladder", "thread, yields"): 20_000,
    ("arena_ladder", "address"): 120_000,
    ("arena_rules", "plain"): 20_000,
    ("arena_rules", "yields"): 3_000,
    ("arena_rules", "thread"): 3_000,
    ("arena_rules", "address"): 10_000,
    ("arena_extents", "plain"): 8_000,
    ("arena_extents", "address"): 2_500,
    ("arena_survivors", "plain"): 60,
    ("arena_survivors", "yields"): 15,
    ("arena_survivors", "thread"): 8,
    ("arena_survivors", "address"): 25,
    ("arena_life", "plain"): 2_000,
    ("arena_life", "yields"): 300,
    ("arena_life", "thread"): 300,
    ("arena_life", "address"): 1_000,
    ("libc_malloc", "plain"): 1_000_000,
    ("libc_malloc", "thread"): 100_000,
    ("arena_readings", "plain"): 20_000,
    ("arena_readings", "yields"): 3_000,
    ("arena_readings", "thread"): 2_000,
    ("arena_readings", "address"): 10_000,
    ("arena_waiting", "plain"): 6_000,
    ("arena_waiting", "yields"): 600,
    ("arena_waiting", "thread"): 600,
    ("arena_waiting", "thread, yields"): 200,
    ("arena_waiting", "address"): 1_500,
}


def climb(name: str, way: str, rounds: int, more: Sequence[str] = ()) -> Found:
    """Compile a program, with more flags, and run it. Raises `NoSanitizerError`."""
    whole = name.startswith("arena")  # the others are headers alone
    sources = core_files(SOURCES, ".cpp") if whole else []
    headers = SOURCES if whole else HEADERS
    with tempfile.TemporaryDirectory() as folder:
        flags = [*WAYS[way], *more]
        program = cpp_programs.build(
            CPP / f"{name}.cpp", Path(folder) / name, headers=headers, sources=sources, flags=flags
        )
        ran = cpp_programs.run(program, rounds)
    clean = re.fullmatch(r"(\d+) operations, 0 violations\n", ran.stdout)
    if ran.returncode != 0 or clean is None:
        return Found("stopped at the first", (said(ran),))
    return Found(f"{int(clean[1]):,} operations")


def checks(full: bool) -> Iterator[Check]:
    """Each program each way."""
    for (name, way), rounds in ROUNDS.items():
        lacks = LACKS_COMPILER or (LACKS_SOURCES if name.startswith("arena") else "")
        many = rounds * (10 if full else 1)
        yield Check(f"stress: {name}, {WORDS[way]}", partial(climb, name, way, many), lacks)
