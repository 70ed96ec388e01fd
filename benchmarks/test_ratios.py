"""``make compare``: each ratio as a benchmark whose "seconds" are ratios, for pytest-benchmark to compare.

What looks like a regression is measured again twice before it counts as one.
"""

from __future__ import annotations

import baseline
import pytest
from ratios import RATIOS, Ratio, measure, steadied
from replay import Clock


@pytest.fixture(scope="session")
def figures() -> dict[Ratio, list[float]]:
    return measure(RATIOS)


def parameters() -> list[object]:
    found = []
    for ratio in RATIOS:
        clock = Clock()
        marks = pytest.mark.benchmark(group="ratios", timer=clock)
        found.append(pytest.param(ratio, clock, id=ratio.name, marks=marks))
    return found


@pytest.mark.parametrize(("ratio", "clock"), parameters())
def test_ratio(
    benchmark, request: pytest.FixtureRequest, figures: dict[Ratio, list[float]], ratio: Ratio, clock: Clock
) -> None:
    samples = figures[ratio]
    if request.config.getoption("--benchmark-compare"):
        most = baseline.medians()[ratio.name] * (1 + baseline.ALLOWED)
        samples = steadied(ratio, samples, most)
    benchmark.pedantic(clock.replay(samples), rounds=len(samples), iterations=1)
