"""``make compare``: each ratio as a benchmark whose "seconds" are ratios, for pytest-benchmark to compare.

Ratios close to the limit, on either side, are measured again.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.harness.replay import Clock
from benchmarks.regression import baseline
from benchmarks.regression.ratios import GENERATIONS, RATIOS, Ratio, measure, settled


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> dict[Ratio, list[float]]:
    if not request.config.getoption("--benchmark-compare"):
        # An error of the baseline, which is measured once, would be in every comparison.
        return measure(RATIOS, 3 * GENERATIONS)
    known = baseline.medians()
    limits = {ratio: known[ratio.name] * (1 + baseline.ALLOWED) for ratio in RATIOS if ratio.name in known}
    return settled(limits)


def parameters() -> list[object]:
    found: list[object] = []
    for ratio in RATIOS:
        clock = Clock()
        marks = pytest.mark.benchmark(group="ratios", timer=clock)
        found.append(pytest.param(ratio, clock, id=ratio.name, marks=marks))
    return found


@pytest.mark.parametrize(("ratio", "clock"), parameters())
def test_ratio(benchmark: Any, figures: dict[Ratio, list[float]], ratio: Ratio, clock: Clock) -> None:
    if ratio not in figures:
        pytest.skip("not in the baseline")
    samples = figures[ratio]
    benchmark.pedantic(clock.replay(samples), rounds=len(samples), iterations=1)
