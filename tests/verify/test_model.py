"""The free list under a model checker: every interleaving up to a bound, on a weak memory, of the header as it stands.

And the checker itself: each memory order relaxed in turn, and other seeded bugs, must be found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.model import HEADER, LACKS, SCENARIOS, build, executions, is_found

pytestmark = [pytest.mark.skipif(bool(LACKS), reason=LACKS), pytest.mark.slow]


@pytest.fixture(scope="module")
def as_it_stands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("model"), HEADER.read_text(encoding="utf-8"))


SHORT = [each for each in SCENARIOS if each[3] <= 500_000]


@pytest.mark.parametrize(("scenario", "preemptions", "stale", "least"), SHORT)
def test_the_free_list_is_right_in_every_interleaving(
    as_it_stands: Path, scenario: str, preemptions: int, stale: int, least: int
) -> None:
    """No block has two owners or none, and an owner sees the last one's bytes."""
    assert executions(as_it_stands, scenario, preemptions, stale, least).violations == ()


# `make prove` seeds all of `BUGS`.
@pytest.mark.parametrize("bug", ["no tag", "a pop's load relaxed", "a push's CAS relaxed"])
def test_a_seeded_bug_is_found(bug: str) -> None:
    assert is_found(bug)
