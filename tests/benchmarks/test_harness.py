"""The harness of the benchmarks. No test here says how long anything may take."""

from __future__ import annotations

import asyncio
from typing import Self

import pytest

from benchmarks.harness import interleaved
from benchmarks.harness.benchmark import BUDGET, Benchmark, groups_within_budget
from benchmarks.harness.interleaved import Contender, Plan, compare, measure
from benchmarks.harness.sampling import async_loop, calibrate, loop
from benchmarks.harness.targets import NO_TARGET, Check, Result, at_least, at_most, cost, reported, speed
from benchmarks.harness.units import GIB, KIB, MIB, plural, size_label

# Targets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "figure", "met"),
    [
        (cost(1.05), 1.05, True),
        (cost(1.05), 1.0504, True),  # printed as 1.050
        (cost(1.05), 1.051, False),
        (speed(2.2), 2.2, True),
        (speed(2.2), 2.1996, True),  # printed as 2.200
        (speed(2.2), 2.199, False),
        (at_most(15.0, "ms"), 15.0, True),
        (at_most(15.0, "ms"), 15.1, False),
        (at_least(50.0, "%"), 50.0, True),
        (at_least(50.0, "%"), 49.9, False),
        (NO_TARGET, 0.1, None),
        (reported("B"), 0.1, None),
    ],
)
def test_a_target_is_compared_with_the_figure_as_printed(target, figure, met):
    assert target.met(figure) is met


def test_cost_and_speed_are_inverse_ratios():
    assert cost(1.0).ratio(2.0, 1.0) == 2.0
    assert speed(1.0).ratio(2.0, 1.0) == 0.5


def test_no_figure_is_neither_met_nor_missed():
    assert Result(Check("1 KiB", "pool", "plain", cost(1.0)), note="not installed").met is None


# Statistics ----------------------------------------------------------------------------------------------------------


def test_compare_gives_median_and_extremes_of_ratios():
    check = Check("1 KiB", "pool", "plain", speed(1.5))
    result = compare(check, ours=[1.0, 2.0, 4.0], theirs=[4.0, 4.0, 4.0])
    assert (result.ours, result.theirs) == (2.0, 4.0)
    assert (result.figure, result.low, result.high) == (2.0, 1.0, 4.0)
    assert result.met


def test_a_slow_spell_of_both_does_not_move_a_ratio():
    check = Check("1 KiB", "pool", "plain", cost(1.0))
    result = compare(check, ours=[1.0, 1.0, 2.1, 2.1, 2.1], theirs=[1.0, 1.0, 1.0, 2.1, 2.1])
    assert result.figure == 1.0


def test_compare_refuses_rounds_that_do_not_pair():
    with pytest.raises(ValueError, match="zip"):
        compare(Check("1 KiB", "pool", "plain", cost(1.0)), ours=[1.0], theirs=[1.0, 2.0])


@pytest.mark.parametrize(("each", "loops"), [(1e-6, 20_000), (3e-3, 7), (0.02, 1), (5.0, 1)])
def test_calibrate_finds_the_loops_that_fill_a_sample(each, loops):
    assert calibrate(lambda n: n * each, 0.02) == loops


def test_calibrate_survives_a_clock_that_stands_still():
    assert calibrate(lambda n: 0.0 if n < 1000 else n * 1e-6, 0.02) == 20_000


def test_a_generated_loop_runs_its_statement_n_times():
    seen = []
    assert loop("append(1)", append=seen.append)(5) > 0
    assert len(seen) == 5


def test_a_statement_may_have_several_lines():
    seen = []
    loop("if True:\n    append(1)\nappend(2)", append=seen.append)(2)
    assert seen == [1, 2, 1, 2]


def test_a_statement_may_await():
    seen = []

    async def note(one: int) -> None:
        seen.append(one)

    assert async_loop("await note(1)", asyncio.run, note=note)(3) > 0
    assert seen == [1, 1, 1]


def test_the_plan_of_rounds_follows_the_size():
    plan = Plan(rounds=12, generations=3, seconds=0.02)
    assert plan.shape(16 * MIB) == (3, 4, 0.02)
    assert plan.shape(64 * MIB) == (3, 4, 0.04)
    assert plan.shape(256 * KIB) == (3, 12, 0.02)
    assert Plan(rounds=1, generations=3, seconds=0.02).shape(KIB) == (1, 3, 0.02)
    assert not Plan(largest=MIB).includes(2 * MIB)


class FakeWorker:
    """Instead of a process; notes which contender was sampled in which worker."""

    asked: list[tuple[int, str]] = []  # noqa: RUF012 - each test sets a fresh one
    started = 0

    def __init__(self, _allocator: str) -> None:
        FakeWorker.started += 1
        self.number = FakeWorker.started

    def ready(self) -> None: ...
    def receive(self) -> None: ...
    def send_build(self, *_: object) -> None: ...
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
    def calibrate(self, _name: str, _seconds: float) -> int:
        return 10

    def sample(self, name: str, loops: int) -> float:
        self.asked.append((self.number, name))
        return 0.5 * loops


@pytest.fixture
def fake_workers(monkeypatch):
    monkeypatch.setattr(interleaved, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "asked", [])
    monkeypatch.setattr(FakeWorker, "started", 0)
    return FakeWorker


def test_contenders_take_turns_forwards_and_backwards(fake_workers):
    group = [Contender(name, "empty", "plain", MIB) for name in "ABC"]
    samples = measure(group, Plan(rounds=4, generations=2))
    assert "".join(name for _, name in fake_workers.asked) == "ABCCBA" * 2
    assert fake_workers.started == 6  # a fresh worker for each in each generation
    assert samples == {name: [0.5] * 4 for name in "ABC"}


def test_contenders_with_the_same_process_share_a_worker(fake_workers):
    group = [Contender("A", "empty", "plain", MIB, process="x"), Contender("B", "empty", "pool", MIB, process="x")]
    measure([*group, Contender("C", "empty", "plain", MIB)], Plan(rounds=1, generations=1))
    assert fake_workers.asked == [(1, "A"), (1, "B"), (2, "C")]


def test_large_groups_are_split_to_fit_into_memory():
    ours, *others = (Contender(name, "expression", "plain", 256 * MIB) for name in "ABCDEF")
    split = groups_within_budget(ours, others, each=2 * GIB)
    assert [[contender.name for contender in group] for group in split] == [list("ABC"), list("ADE"), list("AF")]
    assert all(len(group) * 2 * GIB <= BUDGET for group in split)
    assert len(groups_within_budget(ours, others, each=KIB)) == 1


def test_the_geometric_mean_needs_every_piece():
    check = Check("a", "pool", "plain", speed(1.0))
    mean = Check("mean", "pool", "plain", speed(1.25))
    benchmark = Benchmark("x", "x", (), mean)
    (result,) = benchmark.mean_of([Result(check, figure=1.0), Result(check, figure=4.0)])
    assert result.figure == pytest.approx(2.0)
    (result,) = benchmark.mean_of([Result(check, figure=1.0), Result(check, note="not installed")])
    assert (result.figure, result.note) == (None, "only 1 of 2 pieces measured")


# Text ----------------------------------------------------------------------------------------------------------------


def test_the_labels_of_sizes():
    assert [size_label(size) for size in (64, KIB, 25 * MIB, GIB)] == ["64 B", "1 KiB", "25 MiB", "1 GiB"]


def test_a_noun_agrees_with_its_number():
    assert [plural(number, "round") for number in (0, 1, 2)] == ["rounds", "round", "rounds"]
