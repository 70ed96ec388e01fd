"""The core without Python: its files compiled unchanged into C++ programs, also under sanitizers."""

from __future__ import annotations

import pytest

from tests.verify import kills
from tests.verify.check import Found
from tests.verify.cpp_programs import LACKS_COMPILER, NoSanitizerError
from tests.verify.stress import LACKS_SOURCES, climb

pytestmark = [pytest.mark.skipif(bool(LACKS_COMPILER), reason=LACKS_COMPILER), pytest.mark.slow]

#: The operations of a program in each round, and its rounds each way.
PROGRAMS = {
    "freelist_ladder": (5, {"plain": 400_000, "thread": 60_000, "address": 100_000, "yields": 40_000}),
    "object_pool_ladder": (9, {"plain": 60_000, "thread": 18_000, "address": 18_000, "yields": 6_000}),
    "arena_ladder": (21, {"plain": 48_000, "thread": 12_000, "address": 24_000, "yields": 12_000}),
    "arena_rules": (4, {"plain": 3_000, "thread": 300, "address": 1_000}),
    "arena_life": (4, {"plain": 300, "thread": 60, "address": 200}),
    "arena_readings": (4, {"plain": 3_000, "thread": 600, "address": 2_000}),
    "arena_waiting": (1, {"plain": 500, "thread": 100, "address": 300, "yields": 100}),
    "libc_malloc": (4, {"plain": 100_000, "thread": 10_000}),
}


@pytest.mark.parametrize(
    ("program", "way"), [(program, way) for program, (_, rounds) in PROGRAMS.items() for way in rounds]
)
def test_a_program_of_the_core(program: str, way: str) -> None:
    """It counts every block and object in and out; its file says what it tries."""
    if LACKS_SOURCES and program.startswith("arena"):
        pytest.skip(LACKS_SOURCES)
    operations, rounds = PROGRAMS[program]
    try:
        found = climb(program, way, rounds[way])
    except NoSanitizerError as lacking:
        pytest.skip(str(lacking))
    assert found == Found(f"{operations * rounds[way]:,} operations")


@pytest.mark.skipif(bool(kills.LACKS), reason=kills.LACKS)
def test_death_at_every_instruction() -> None:
    """A process killed in the middle of any operation leaves a whole list; so does a fork."""
    found = kills.killed(300)
    assert found.violations == ()
    assert "300 at random" in found.size
