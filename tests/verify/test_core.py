"""The core without Python: its files compiled unchanged into C++ programs, also under sanitizers."""

from __future__ import annotations

import pytest

from tests.verify import kills
from tests.verify.check import Found
from tests.verify.cpp_programs import LACKS_COMPILER, NoSanitizerError
from tests.verify.stress import LACKS_SOURCES, climb

pytestmark = [pytest.mark.skipif(bool(LACKS_COMPILER), reason=LACKS_COMPILER), pytest.mark.slow]


def climbed(name: str, way: str, rounds: int) -> Found:
    try:
        return climb(name, way, rounds)
    except NoSanitizerError as lacking:
        pytest.skip(str(lacking))


@pytest.mark.parametrize(
    ("way", "rounds"), [("plain", 400_000), ("thread", 60_000), ("address", 100_000), ("yields", 40_000)]
)
def test_free_list_ladder(way: str, rounds: int) -> None:
    """Smoke, length, batches, wrap-around, many threads; every block counted in and out."""
    assert climbed("freelist_ladder", way, rounds) == Found(f"{5 * rounds:,} operations")


@pytest.mark.parametrize(
    ("way", "rounds"), [("plain", 60_000), ("thread", 18_000), ("address", 18_000), ("yields", 6_000)]
)
def test_object_pool_ladder(way: str, rounds: int) -> None:
    """The table, the rules of waiting, the sieve, then many threads."""
    assert climbed("object_pool_ladder", way, rounds) == Found(f"{8 * rounds:,} operations")


@pytest.mark.skipif(bool(LACKS_SOURCES), reason=LACKS_SOURCES)
@pytest.mark.parametrize(
    ("way", "rounds"), [("plain", 48_000), ("thread", 12_000), ("address", 24_000), ("yields", 12_000)]
)
def test_arena_ladder(way: str, rounds: int) -> None:
    """Refusals, alignments, hand-off, threads and pools that go."""
    assert climbed("arena_ladder", way, rounds) == Found(f"{21 * rounds:,} operations")


@pytest.mark.parametrize(("way", "rounds"), [("plain", 100_000), ("thread", 10_000)])
def test_glibcs_thresholds(way: str, rounds: int) -> None:
    assert climbed("libc_malloc", way, rounds) == Found(f"{4 * rounds:,} operations")


@pytest.mark.skipif(bool(kills.LACKS), reason=kills.LACKS)
def test_death_at_every_instruction() -> None:
    """A process killed in the middle of any operation leaves a whole list; so does a fork (85)."""
    found = kills.killed(300)
    assert found.violations == ()
    assert "300 at random" in found.size


@pytest.mark.skipif(bool(LACKS_SOURCES), reason=LACKS_SOURCES)
@pytest.mark.parametrize(("way", "rounds"), [("plain", 3_000), ("thread", 300), ("address", 1_000)])
def test_arena_rules(way: str, rounds: int) -> None:
    """Sizes, zeros, counts, what is kept, ageing, closing, reuse."""
    assert climbed("arena_rules", way, rounds) == Found(f"{4 * rounds:,} operations")


@pytest.mark.skipif(bool(LACKS_SOURCES), reason=LACKS_SOURCES)
@pytest.mark.parametrize(("way", "rounds"), [("plain", 300), ("thread", 60), ("address", 200)])
def test_arena_life(way: str, rounds: int) -> None:
    """Threads, pools, regions that come and go, and a fork."""
    assert climbed("arena_life", way, rounds) == Found(f"{4 * rounds:,} operations")


@pytest.mark.skipif(bool(LACKS_SOURCES), reason=LACKS_SOURCES)
@pytest.mark.parametrize(("way", "rounds"), [("plain", 3_000), ("thread", 600), ("address", 2_000)])
def test_arena_readings(way: str, rounds: int) -> None:
    """What `trim` would return, peaks, bytes given back, and all arenas read while threads work."""
    assert climbed("arena_readings", way, rounds) == Found(f"{4 * rounds:,} operations")


@pytest.mark.parametrize(
    ("way", "rounds"), [("plain", 500), ("thread", 100), ("address", 300), ("yields", 100)]
)
def test_arena_waiting(way: str, rounds: int) -> None:
    """The rules of the queue at the limit, then threads: nobody starves, nobody is stuck."""
    assert climbed("arena_waiting", way, rounds) == Found(f"{rounds:,} operations")
