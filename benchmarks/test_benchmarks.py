"""Every comparison of ``make bench``: a group for each benchmark and size, a test for each contender."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from benchmarks.harness.benchmark import Comparison, Group
from benchmarks.harness.interleaved import Contender
from benchmarks.harness.replay import Clock
from benchmarks.suite import BENCHMARKS


def contenders() -> Iterator[object]:
    for benchmark in BENCHMARKS:
        for part in benchmark.parts:
            if not isinstance(part, Comparison):
                continue
            missing = part.missing()
            for number, group in enumerate(part.groups, start=1):
                name = f"{benchmark.id} {part.label}" + (f", group {number}" if number > 1 else "")
                for contender in group:
                    clock = Clock()
                    marks = [
                        pytest.mark.benchmark(group=name, timer=clock),
                        pytest.mark.skipif(bool(missing), reason=missing),
                    ]
                    yield pytest.param(group, contender, clock, id=f"{name}, {contender.name}", marks=marks)


@pytest.mark.parametrize(("group", "contender", "clock"), list(contenders()))
def test_contender(
    report_contender: Callable[[Group, Contender, Clock], None],
    group: Group,
    contender: Contender,
    clock: Clock,
) -> None:
    report_contender(group, contender, clock)
