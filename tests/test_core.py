"""The core without Python: its files compiled unchanged into C++ programs, also under sanitizers."""

from __future__ import annotations

import pytest
from prove.compiled import LACKS_COMPILER, NoSanitizerError
from prove.ladders import LACKS_SOURCES, climb
from prove.proof import Found

pytestmark = pytest.mark.skipif(bool(LACKS_COMPILER), reason=LACKS_COMPILER)


def climbed(name: str, sanitizer: str, rounds: int) -> Found:
    try:
        return climb(name, sanitizer, rounds)
    except NoSanitizerError as lacking:
        pytest.skip(str(lacking))


@pytest.mark.parametrize(
    ("sanitizer", "rounds"), [("plain", 400_000), ("thread", 60_000), ("address", 100_000)]
)
def test_free_list_ladder(sanitizer: str, rounds: int) -> None:
    """FAULTS 47, 48: smoke, length, batches, wrap-around, many threads; every block counted in and out."""
    assert climbed("freelist_ladder", sanitizer, rounds) == Found(f"{5 * rounds:,} operations")


@pytest.mark.skipif(bool(LACKS_SOURCES), reason=LACKS_SOURCES)
@pytest.mark.parametrize(
    ("sanitizer", "rounds"), [("plain", 100_000), ("thread", 20_000), ("address", 50_000)]
)
def test_arena_ladder(sanitizer: str, rounds: int) -> None:
    """FAULTS 1, 3, 12, 34, 46, 91, 93: refusals, alignments, blocks from thread to thread; every byte given back."""
    assert climbed("arena_ladder", sanitizer, rounds) == Found(f"{16 * rounds:,} operations")


@pytest.mark.skipif(bool(LACKS_SOURCES), reason=LACKS_SOURCES)
@pytest.mark.parametrize(("sanitizer", "rounds"), [("plain", 3_000), ("thread", 300), ("address", 1_000)])
def test_arena_rules(sanitizer: str, rounds: int) -> None:
    """FAULTS 1, 3, 4, 38, 46, 47, 65, 66, 93: sizes, zeros, counts, wake-ups, what is kept, ageing, closing, reuse."""
    assert climbed("arena_rules", sanitizer, rounds) == Found(f"{4 * rounds:,} operations")


@pytest.mark.skipif(bool(LACKS_SOURCES), reason=LACKS_SOURCES)
@pytest.mark.parametrize(("sanitizer", "rounds"), [("plain", 300), ("thread", 60), ("address", 200)])
def test_arena_life(sanitizer: str, rounds: int) -> None:
    """FAULTS 12, 39, 66, 85, 91: threads, pools, regions that come and go, and a fork."""
    assert climbed("arena_life", sanitizer, rounds) == Found(f"{4 * rounds:,} operations")
