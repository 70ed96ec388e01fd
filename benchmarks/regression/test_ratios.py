"""``make compare``: each ratio as a benchmark whose "seconds" are ratios, for pytest-benchmark to compare.

What is near the bound, on either side, is measured again before it counts.
"""

from __future__ import annotations

import baseline
import pytest
from ratios import GENERATIONS, RATIOS, Ratio, measure, settled
from replay import Clock


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> dict[Ratio, list[float]]:
    if not request.config.getoption("--benchmark-compare"):
        # The error of a baseline, which is measured once, is in every comparison.
        return measure(RATIOS, 3 * GENERATIONS)
    known = baseline.medians()
    mosts = {ratio: known[ratio.name] * (1 + baseline.ALLOWED) for ratio in RATIOS if ratio.name in known}
    return settled(mosts)


def parameters() -> list[object]:
    found = []
    for ratio in RATIOS:
        clock = Clock()
        marks = pytest.mark.benchmark(group="ratios", timer=clock)
        found.append(pytest.param(ratio, clock, id=ratio.name, marks=marks))
    return found


@pytest.mark.parametrize(("ratio", "clock"), parameters())
def test_ratio(benchmark, figures: dict[Ratio, list[float]], ratio: Ratio, clock: Clock) -> None:
    if ratio not in figures:
        pytest.skip("not in the baseline")
    samples = figures[ratio]
    benchmark.pedantic(clock.replay(samples), rounds=len(samples), iterations=1)
