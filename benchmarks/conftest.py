"""Lets pytest-benchmark report contenders that were timed interleaved.

pytest-benchmark finishes one test before it starts the next. So the first test of a group measures the whole group in
turns, and every test of the group replays its own samples to pytest-benchmark.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from benchmarks.harness.benchmark import Group
from benchmarks.harness.interleaved import QUICK, Contender, Plan, Samples, measure
from benchmarks.harness.replay import Clock
from benchmarks.regression import baseline


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="few rounds, nothing above 16 MiB")


def pytest_benchmark_scale_unit(benchmarks: list[dict[str, Any]]) -> tuple[str, float] | None:
    """Show ratios as they are; pytest-benchmark would show them in milliseconds."""
    return ("", 1.0) if all(each["group"] == "ratios" for each in benchmarks) else None


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Store only what decides whether ratios are comparable; another build of the kernel does not matter."""
    machine_info.clear()
    machine_info["kind"] = baseline.this_machine()


@pytest.fixture(scope="session")
def plan(request: pytest.FixtureRequest) -> Plan:
    if request.config.getoption("--benchmark-disable"):
        return Plan(rounds=1, generations=1, seconds=0.001, largest=QUICK.largest)
    return QUICK if request.config.getoption("--quick") else Plan()


@pytest.fixture(scope="session")
def samples_of(plan: Plan) -> Callable[[Group], Samples]:
    """The samples of a group, by contender; measured once."""

    @cache
    def run(group: Group) -> Samples:
        return measure([contender for contender in group if not contender.missing()], plan)

    return run


@pytest.fixture
def report_contender(
    benchmark: Any, plan: Plan, samples_of: Callable[[Group], Samples]
) -> Callable[[Group, Contender, Clock], None]:
    """Report one contender of a group, or skip it and say what to install."""

    def report(group: Group, contender: Contender, clock: Clock) -> None:
        if not plan.includes(contender.size):
            pytest.skip("above 16 MiB")
        if contender.missing():
            pytest.skip(contender.missing())
        samples = samples_of(group)[contender.name]
        benchmark.extra_info.update(
            workload=contender.workload, contender=contender.name, bytes=contender.size
        )
        benchmark.pedantic(clock.replay(samples), rounds=len(samples), iterations=1)

    return report
