"""The harness of the benchmarks. No test here says how long anything may take."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from benchmarks import suite
from benchmarks.__main__ import main
from benchmarks.harness import interleaved
from benchmarks.harness.allocators import ALLOCATORS
from benchmarks.harness.benchmark import BUDGET, Benchmark, Comparison, Measurement, groups_within_budget
from benchmarks.harness.interleaved import Contender, Plan, compare, measure
from benchmarks.harness.report import Report, cells
from benchmarks.harness.sampling import async_loop, calibrate, loop
from benchmarks.harness.targets import NO_TARGET, Check, Result, at_least, at_most, cost, reported, speed
from benchmarks.harness.units import GIB, KIB, MIB, plural, size_label
from benchmarks.harness.worker import WorkerError
from benchmarks.suite import memory
from benchmarks.workloads import WORKLOADS, footprint, image_code
from programs import environment

ROOT = Path(__file__).resolve().parents[2]

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


def test_a_result_without_a_figure_is_neither_met_nor_missed():
    assert Result(Check("1 KiB", "pool", "plain", cost(1.0)), note="not installed").met is None


# Statistics ----------------------------------------------------------------------------------------------------------


def test_compare_takes_the_median_and_the_extremes_of_the_ratios_of_the_rounds():
    check = Check("1 KiB", "pool", "plain", speed(1.5))
    result = compare(check, ours=[1.0, 2.0, 4.0], theirs=[4.0, 4.0, 4.0])
    assert (result.ours, result.theirs) == (2.0, 4.0)
    assert (result.figure, result.low, result.high) == (2.0, 1.0, 4.0)
    assert result.met


def test_a_slow_spell_that_falls_on_both_does_not_move_the_figure():
    check = Check("1 KiB", "pool", "plain", cost(1.0))
    result = compare(check, ours=[1.0, 1.0, 2.1, 2.1, 2.1], theirs=[1.0, 1.0, 1.0, 2.1, 2.1])
    assert result.figure == 1.0


def test_compare_refuses_rounds_that_do_not_pair():
    with pytest.raises(ValueError, match="zip"):
        compare(Check("1 KiB", "pool", "plain", cost(1.0)), ours=[1.0], theirs=[1.0, 2.0])


@pytest.mark.parametrize(("each", "loops"), [(1e-6, 20_000), (3e-3, 7), (0.02, 1), (5.0, 1)])
def test_calibrate_finds_the_loops_that_fill_a_sample(each, loops):
    assert calibrate(lambda n: n * each, 0.02) == loops


def test_calibrate_survives_a_clock_that_does_not_move_at_first():
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


def test_the_plan_splits_rounds_over_generations_and_takes_more_at_small_and_longer_at_large_sizes():
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
    group = [
        Contender("A", "empty", "plain", MIB, process="x"),
        Contender("B", "empty", "pool", MIB, process="x"),
    ]
    measure([*group, Contender("C", "empty", "plain", MIB)], Plan(rounds=1, generations=1))
    assert fake_workers.asked == [(1, "A"), (1, "B"), (2, "C")]


# The table -----------------------------------------------------------------------------------------------------------

EXPRESSION_SIZES = (
    *("64 B", "256 B", "1 KiB", "4 KiB", "16 KiB", "64 KiB", "256 KiB"),
    *("1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB"),
)
FROM_1_MIB = ("1 MiB", "2 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB")
PEERS = ("glibc tuned", "glibc raised", "jemalloc", "mimalloc", "tcmalloc")

CORES = max(2, os.cpu_count() or 2)

#: The targets of the project, by benchmark: size, contender and target.
PROMISES = {
    "scratch": [("64 KiB", "list pair", cost(2.0))],
    "scratch-with": [("64 KiB", "list pair", cost(4.0))],
    "lease-array": [("1 KiB", "np.empty", cost(3.0)), ("64 KiB", "np.empty", cost(3.0))],
    "empty": [
        *(
            (size, "np.empty", cost(1.0))
            for size in ("64 B", "1 KiB", "64 KiB", "1 MiB", "8 MiB", "64 MiB", "256 MiB")
        ),
        ("64 MiB", "pool at 64 KiB", cost(1.3)),
    ],
    "four": [
        ("1 MiB", "np.empty", speed(100.0)),
        ("8 MiB", "np.empty", speed(50.0)),
        ("1 MiB", "list", cost(1.15)),
        ("8 MiB", "list", cost(1.15)),
    ],
    "bytes": [],
    "expression": [
        ("64 B", "plain", cost(1.05)),
        ("256 B", "plain", cost(1.05)),
        *((size, "plain", cost(1.03)) for size in ("1 KiB", "4 KiB", "16 KiB", "64 KiB", "256 KiB")),
        ("1 MiB", "plain", cost(1.03)),
        ("2 MiB", "plain", speed(2.2)),
        ("4 MiB", "plain", cost(1.03)),
        ("16 MiB", "plain", speed(1.3)),
        ("64 MiB", "plain", speed(1.5)),
        ("256 MiB", "plain", speed(1.4)),
        *((size, "out= by hand", cost(1.05)) for size in FROM_1_MIB),
        *((size, peer, cost(1.05)) for size in (*EXPRESSION_SIZES, "2 MiB") for peer in PEERS),
    ],
    "expression-peers": [],
    "real-code": [
        *((piece, "plain", speed(0.97)) for piece in image_code.PIECES),
        ("geometric mean", "plain", speed(1.25)),
    ],
    "handoff": [
        (f"from {source}, {write}", *target)
        for source in ("main", "worker")
        for write in ("touched", "filled")
        for target in (("plain", speed(2.5)), ("glibc tuned", cost(1.0)))
    ],
    "zeros": [("64 MiB", "np.zeros", speed(4.0))],
    "threads": [
        *((ours, f"{ours} x 1", speed(0.8)) for ours in ("buffer", "empty", "lease")),
        *((ours, f"{ours} x 1", speed(0.9)) for ours in ("scratch", "scratch methods")),
        ("expression", "expression x 1", speed(0.85)),
        ("buffer", f"np.empty x {CORES}", speed(1.0)),
        ("empty", f"np.empty x {CORES}", speed(1.0)),
        ("lease", f"np.empty x {CORES}", cost(3.0)),
        *((ours, f"list x {CORES}", speed(2.0)) for ours in ("buffer", "empty", "scratch")),
        *((ours, f"queue x {CORES}", speed(1.0)) for ours in ("buffer", "empty", "scratch")),
    ],
    "threads-handoff": [
        *((ours, f"{ours} x 1", speed(0.6)) for ours in ("buffer", "empty")),
        *((ours, f"list x {CORES}", speed(2.0)) for ours in ("buffer", "empty")),
        *((ours, f"queue x {CORES}", speed(1.0)) for ours in ("buffer", "empty")),
    ],
    "waste": [
        ("log-uniform, mean", "", at_most(6.0, "%")),
        ("log-uniform, worst", "", at_most(12.5, "%")),
        ("uniform, mean", "", at_most(6.0, "%")),
        ("uniform, worst", "", at_most(12.5, "%")),
    ],
    "burst": [("counted", "", at_most(256 * 1.05, "MiB")), ("resident", "", at_most(256 * 1.05, "MiB"))],
    "import": [("fresh process", "import numpy", at_most(15.0, "ms"))],
}


def test_the_suite_has_every_target_of_the_buffer_pool():
    found = {
        benchmark.id: {
            (check.label, check.theirs, check.target)
            for check in benchmark.checks
            if check.target != NO_TARGET
        }
        for benchmark in memory.BENCHMARKS
    }
    assert found == {row: set(promises) for row, promises in PROMISES.items()}


def test_there_are_nine_pieces_of_image_code():
    assert len(image_code.PIECES) == 9


def comparisons() -> list[Comparison]:
    parts = [part for benchmark in suite.BENCHMARKS for part in benchmark.parts]
    return [part for part in parts if isinstance(part, Comparison)]


def test_every_contender_can_be_built_and_is_compared_with_ours_in_its_own_group():
    for part in comparisons():
        for group in part.groups:
            names = [contender.name for contender in group]
            assert len(set(names)) == len(names)
            assert {contender.workload for contender in group} <= WORKLOADS.keys()
            assert {contender.allocator for contender in group} <= ALLOCATORS.keys()
        for check in part.checks:
            assert any(
                {check.ours, check.theirs} <= {contender.name for contender in group} for group in part.groups
            )


def test_large_groups_are_split_to_fit_into_memory_with_ours_in_each():
    ours, *others = (Contender(name, "expression", "plain", 256 * MIB) for name in "ABCDEF")
    split = groups_within_budget(ours, others, each=2 * GIB)
    assert [[contender.name for contender in group] for group in split] == [
        list("ABC"),
        list("ADE"),
        list("AF"),
    ]
    assert all(len(group) * 2 * GIB <= BUDGET for group in split)
    assert len(groups_within_budget(ours, others, each=KIB)) == 1


def test_the_labels_of_sizes():
    assert [size_label(size) for size in (64, KIB, 25 * MIB, GIB)] == ["64 B", "1 KiB", "25 MiB", "1 GiB"]


def test_the_expression_by_hand_computes_what_the_expression_does():
    rng = np.random.default_rng(0)
    a, b, c, d = rng.random((4, 100), dtype=np.float32)
    t, u = np.empty_like(a), np.empty_like(a)
    np.multiply(a, a, out=t)
    np.multiply(b, b, out=u)
    np.add(t, u, out=t)
    np.sqrt(t, out=t)
    np.multiply(c, d, out=u)
    np.add(t, u, out=t)
    np.testing.assert_array_equal(t, np.sqrt(a * a + b * b) + c * d)


# Probes --------------------------------------------------------------------------------------------------------------


def test_the_burst_counts_what_the_pool_keeps():
    found = footprint.burst(total=8 * MIB, block=MIB, max_retained=2 * MIB)
    assert 0 <= found["reserved"] <= 2 * MIB


def test_waste_is_a_share_of_what_was_asked_for():
    for figures in footprint.waste(count=200).values():
        assert 0 <= figures["mean"] <= figures["worst"]


def test_the_import_is_timed_in_fresh_interpreters():
    ((numpy, ours),) = footprint.import_cost(rounds=1)
    assert numpy > 0
    assert ours > 0


# The command ---------------------------------------------------------------------------------------------------------


def benchmark_of(name: str, figure: float) -> Benchmark:
    def measure(checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
        return [Result(check, ours=figure, figure=figure) for check in checks]

    check = Check("here", "pool", "", at_most(10.0, "%"))
    return Benchmark(name, f"the row called {name}", (Measurement("here", 0, (check,), measure),))


def test_a_quick_run_prints_a_table_and_writes_json(capsys, tmp_path):
    path = tmp_path / "bench.json"
    assert main(["--quick", "--rounds", "1", "--row", "scratch", "--row", "waste", "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "NumPy" in lines[0]
    assert lines[4].split() == ["size", "ours", "against", "theirs", "figure", "spread", "target", "met"]
    assert sum(line.endswith(("  yes", "  NO")) for line in lines) == 5
    assert "targets met" in lines[-1]
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document.keys() == {"machine", "plan", "rows"}
    assert [len(results) for results in document["rows"].values()] == [1, 4]


def test_a_missed_target_is_printed_in_capitals_and_fails_only_a_strict_run(capsys, monkeypatch):
    monkeypatch.setattr(suite, "BENCHMARKS", (benchmark_of("good", 5.0), benchmark_of("bad", 11.0)))
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.count("  yes\n") == 1
    assert out.count("  NO\n") == 1
    assert "1 target met, 1 MISSED" in out
    assert main(["--strict"]) == 1
    assert main(["--strict", "--row", "good"]) == 0


def test_a_measurement_that_fails_does_not_cost_the_rest_of_the_table(capsys, monkeypatch):
    def fail(_checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
        raise WorkerError("worker on fire")

    broken = Benchmark(
        "broken", "x", (Measurement("x", 0, (Check("x", "pool", "", at_most(1.0, "%")),), fail),)
    )
    monkeypatch.setattr(suite, "BENCHMARKS", (broken, benchmark_of("good", 5.0)))
    assert main([]) == 1
    out = capsys.readouterr().out
    assert "failed: worker on fire" in out
    assert "1 target met, 0 MISSED, 1 not measured" in out


def test_a_quick_run_names_what_it_leaves_out(capsys):
    assert main(["--quick", "--row", "zeros"]) == 0
    assert "not with --quick: 64 MiB" in capsys.readouterr().out


def test_the_list_names_every_row_and_measures_nothing(capsys, monkeypatch):
    monkeypatch.setattr(interleaved, "Worker", None)
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{each.id}: {each.summary}" in out for each in suite.BENCHMARKS)


def test_the_geometric_mean_needs_every_piece():
    check = Check("a", "pool", "plain", speed(1.0))
    mean = Check("mean", "pool", "plain", speed(1.25))
    benchmark = Benchmark("x", "x", (), mean)
    (result,) = benchmark.mean_of([Result(check, figure=1.0), Result(check, figure=4.0)])
    assert result.figure == pytest.approx(2.0)
    (result,) = benchmark.mean_of([Result(check, figure=1.0), Result(check, note="not installed")])
    assert (result.figure, result.note) == (None, "only 1 of 2 pieces measured")


def test_rounds_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        main(["--rounds", "0"])
    assert "not a whole number of at least 1" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_noticed_before_the_run(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "nowhere" / "bench.json")])
    assert "not a file in a folder that exists" in capsys.readouterr().err


def test_a_row_that_does_not_exist_is_refused(capsys):
    assert main(["--row", "scratch", "--row", "no-such-row"]) == 2
    assert (
        "there is no row no-such-row; rows: scratch, scratch-with, lease-array, empty"
        in capsys.readouterr().err
    )


# The terminal --------------------------------------------------------------------------------------------------------


def descendants(process: int) -> list[int]:
    """All processes below one, from Linux's own lists; the nearest first."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        found += [int(word) for word in children.read_text(encoding="ascii").split()]
    return found + [below for child in found for below in descendants(child)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ctrl_c_ends_a_run_and_its_workers_at_once():
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--row", "scratch", "--rounds", "100000"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the suite itself runs in the background, SIGINT may be ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    for line in process.stdout:
        if "scratch: " in line:
            break
    deadline = time.monotonic() + 60
    while not (workers := descendants(process.pid)):
        assert time.monotonic() < deadline, "it measures in processes of their own"
    time.sleep(1)  # in the middle of it: imports, or samples
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    stopped = time.monotonic()
    _, shown = process.communicate(timeout=60)
    assert (process.returncode, shown) == (130, "")
    assert time.monotonic() - stopped < 20
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []


COLUMNS = 60


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def results() -> Iterator[tuple[Benchmark, Result]]:
    """Every line of the table, with long figures; then those that cannot be measured."""
    for benchmark in suite.BENCHMARKS:
        for check in benchmark.checks:
            yield benchmark, Result(check, 123.4e-6, 234.5e-6, 1234.567, 0.00123, 98765.4)
            yield benchmark, Result(check, note="not installed: a_package (pip install -e '.[bench]')")
            yield (
                benchmark,
                Result(
                    check, note="failed: worker on the default allocator reported:\nTraceback\nValueError: x"
                ),
            )


def test_results_fit_a_narrow_terminal_and_lose_nothing(narrow, capsys):
    report = Report()
    for benchmark, result in results():
        report.results([result])
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= COLUMNS, (benchmark.id, out)
        said = squeezed(out)
        for cell in cells(result):
            assert cell == "-" or squeezed(cell) in said, (benchmark.id, cell, out)


def test_the_rest_fits_a_narrow_terminal(narrow, capsys):
    report = Report()
    report.head()
    report.listing(suite.BENCHMARKS)
    report.left_out([f"{size} MiB" for size in range(40)])
    check = Check("16 MiB", "pool", "plain", speed(1.0))
    report.tail([Result(check, figure=figure) for figure in (0.5, 1.5)])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= COLUMNS
    said = squeezed(out)
    assert all(squeezed(f"{each.id}: {each.summary}") in said for each in suite.BENCHMARKS)
    assert said.endswith("1 target met, 1 MISSED, 0 not measured.")


@pytest.mark.parametrize("columns", [COLUMNS, 80, 500])
def test_progress_stays_on_one_line(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Report().progress("words " * 100)
    shown = capsys.readouterr().err.replace("\033[K", "").replace("\r", "")
    assert 50 < len(shown) < min(columns, 101)


def test_a_wide_terminal_has_the_table(monkeypatch, capsys):
    check = Check("16 MiB", "pool", "plain", speed(1.0))
    for columns in ("128", ""):  # not known: a file, a pipe
        monkeypatch.setenv("COLUMNS", columns)
        Report().results(
            [Result(check, 1e-6, 2e-6, 2.0, 1.9, 2.1), Result(Check("x", "pool", "", at_most(1, "s")))]
        )
        first, second = capsys.readouterr().out.splitlines()
        assert squeezed(first) == "16 MiB 1 us plain 2 us 2.000x 1.9 .. 2.1 speed >= 1.00x yes"
        assert second.startswith("  x  ")


def test_a_noun_agrees_with_its_number():
    assert [plural(number, "round") for number in (0, 1, 2)] == ["rounds", "round", "rounds"]
