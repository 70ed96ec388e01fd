"""The C++ programs of ``tests/core``: crossbeam's ladder, smoke, capacity, length, one to one, many to many, drops; the
arena rule by rule; threads, pools, regions and forks that come and go.

Plain, and under ThreadSanitizer, AddressSanitizer and UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prove import compiled
from prove.compiled import HEADERS, LACKS_COMPILER, SANITIZERS, SOURCES, TESTS, said
from prove.proof import Found, Proof

LACKS_SOURCES = "" if (SOURCES / "arena.cpp").exists() else "the core's sources are in the checkout alone"

#: Rounds of each program, as many as take some seconds under each sanitizer.
ROUNDS = {
    "freelist_ladder": {"plain": 4_000_000, "thread": 600_000, "address": 1_000_000},
    "arena_ladder": {"plain": 1_000_000, "thread": 100_000, "address": 200_000},
    "arena_rules": {"plain": 20_000, "thread": 3_000, "address": 10_000},
    "arena_life": {"plain": 2_000, "thread": 300, "address": 1_000},
}


def climb(name: str, sanitizer: str, rounds: int) -> Found:
    """Compile a program and run it. Raises `NoSanitizerError`."""
    whole = name.startswith("arena")  # the free list is a header alone
    sources = sorted(SOURCES.glob("*.cpp")) if whole else []
    headers = SOURCES if whole else HEADERS
    with tempfile.TemporaryDirectory() as folder:
        flags = SANITIZERS[sanitizer]
        program = compiled.build(
            TESTS / "core" / f"{name}.cpp", Path(folder) / name, headers=headers, sources=sources, flags=flags
        )
        ran = compiled.run(program, rounds)
    clean = re.fullmatch(r"(\d+) operations, 0 violations\n", ran.stdout)
    if ran.returncode != 0 or clean is None:
        return Found("stopped at the first", (said(ran),))
    return Found(f"{int(clean[1]):,} operations")


def proofs(full: bool) -> Iterator[Proof]:
    """Each program under each sanitizer."""
    for name, rounds in ROUNDS.items():
        for sanitizer in SANITIZERS:
            lacks = LACKS_COMPILER or (LACKS_SOURCES if name.startswith("arena") else "")
            yield Proof(
                f"stress: {name}, {sanitizer}",
                partial(climb, name, sanitizer, rounds[sanitizer] * (10 if full else 1)),
                lacks,
            )
