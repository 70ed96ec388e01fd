"""Lets pytest-benchmark report races that ran interleaved.

pytest-benchmark finishes with one test before it starts the next.  The first test of a crew therefore has the whole
crew run, in turns, and every test of the crew replays its own samples to pytest-benchmark, on a clock of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import baseline
import pytest
from replay import Clock

from bufpool.cli.bench.parts import Crew
from bufpool.cli.bench.timing import QUICK, Entrant, Plan, Samples, race


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="few rounds, nothing above 16 MiB")


def pytest_benchmark_scale_unit(benchmarks: list[dict[str, Any]]) -> tuple[str, float] | None:
    """Ratios are shown as they are; pytest-benchmark would tell them in milliseconds."""
    return ("", 1.0) if all(each["group"] == "ratios" for each in benchmarks) else None


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Tell what ratios are comparable with, and nothing else: another build of the kernel is no other machine."""
    machine_info.clear()
    machine_info["kind"] = baseline.here()


@pytest.fixture(scope="session")
def plan(request: pytest.FixtureRequest) -> Plan:
    if request.config.getoption("--benchmark-disable"):
        return Plan(rounds=1, generations=1, seconds=0.001, largest=QUICK.largest)
    return QUICK if request.config.getoption("--quick") else Plan()


@pytest.fixture(scope="session")
def samples_of(plan: Plan) -> Callable[[Crew], Samples]:
    """The samples of a crew, by contender; measured once."""

    @cache
    def run(crew: Crew) -> Samples:
        return race([entrant for entrant in crew if not entrant.lacks()], plan)

    return run


@pytest.fixture
def contend(
    benchmark, plan: Plan, samples_of: Callable[[Crew], Samples]
) -> Callable[[Crew, Entrant, Clock], None]:
    """Report one contender of a crew, or skip with what to install."""

    def report(crew: Crew, entrant: Entrant, clock: Clock) -> None:
        if not plan.includes(entrant.size):
            pytest.skip("above 16 MiB")
        if entrant.lacks():
            pytest.skip(entrant.lacks())
        samples = samples_of(crew)[entrant.name]
        benchmark.extra_info.update(workload=entrant.workload, contender=entrant.name, bytes=entrant.size)
        benchmark.pedantic(clock.replay(samples), rounds=len(samples), iterations=1)

    return report
