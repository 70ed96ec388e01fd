"""The machinery of ``python -m bufpool bench``.  No test here says how long anything may take."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from typing import Self

import numpy as np
import pytest

from bufpool.cli import bench
from bufpool.cli.bench import object_rows, probes, real_code, rows, timing, workloads
from bufpool.cli.bench.allocators import ALLOCATORS
from bufpool.cli.bench.checks import NO_CLAIM, Check, Result, at_least, at_most, cost, speed, told
from bufpool.cli.bench.parts import BUDGET, Figures, Race, Row, crews
from bufpool.cli.bench.probes import GIB, KIB, MIB
from bufpool.cli.bench.sampling import async_loop, calibrate, loop
from bufpool.cli.bench.timing import Entrant, Plan, compare, race
from bufpool.cli.bench.worker import WorkerError

# Bounds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "figure", "holds"),
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
        (NO_CLAIM, 0.1, None),
        (told("B"), 0.1, None),
    ],
)
def test_a_bound_judges_the_figure_as_it_is_printed(bound, figure, holds):
    assert bound.holds(figure) is holds


def test_cost_and_speed_are_inverse_ratios():
    assert cost(1.0).ratio(2.0, 1.0) == 2.0
    assert speed(1.0).ratio(2.0, 1.0) == 0.5


def test_a_result_without_a_figure_neither_holds_nor_fails():
    assert Result(Check("1 KiB", "pool", "plain", cost(1.0)), note="not installed").holds is None


# Statistics ----------------------------------------------------------------------------------------------------------


def test_compare_takes_the_median_and_the_extremes_of_the_ratios_of_the_rounds():
    check = Check("1 KiB", "pool", "plain", speed(1.5))
    result = compare(check, ours=[1.0, 2.0, 4.0], theirs=[4.0, 4.0, 4.0])
    assert (result.ours, result.theirs) == (2.0, 4.0)
    assert (result.figure, result.low, result.high) == (2.0, 1.0, 4.0)
    assert result.holds


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
    """Stands in for a process; writes down who was asked, in which worker."""

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
    monkeypatch.setattr(timing, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "asked", [])
    monkeypatch.setattr(FakeWorker, "started", 0)
    return FakeWorker


def test_a_race_takes_turns_forwards_and_backwards(fake_workers):
    crew = [Entrant(name, "empty", "plain", MIB) for name in "ABC"]
    samples = race(crew, Plan(rounds=4, generations=2))
    assert "".join(name for _, name in fake_workers.asked) == "ABCCBA" * 2
    assert fake_workers.started == 6  # a fresh worker for each in each generation
    assert samples == {name: [0.5] * 4 for name in "ABC"}


def test_entrants_with_one_seat_share_a_worker(fake_workers):
    crew = [Entrant("A", "empty", "plain", MIB, seat="x"), Entrant("B", "empty", "pool", MIB, seat="x")]
    race([*crew, Entrant("C", "empty", "plain", MIB)], Plan(rounds=1, generations=1))
    assert fake_workers.asked == [(1, "A"), (1, "B"), (2, "C")]


# The table -----------------------------------------------------------------------------------------------------------

EXPRESSION_SIZES = (
    *("64 B", "256 B", "1 KiB", "4 KiB", "16 KiB", "64 KiB", "256 KiB"),
    *("1 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB"),
)
FROM_1_MIB = ("1 MiB", "2 MiB", "4 MiB", "16 MiB", "64 MiB", "256 MiB")
PEERS = ("glibc tuned", "glibc raised", "jemalloc", "mimalloc", "tcmalloc")

CORES = max(2, os.cpu_count() or 2)

#: The bounds of the project, by row: whom against, where, and the bound.
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
        *((piece, "plain", speed(0.97)) for piece in real_code.PIECES),
        ("geometric mean", "plain", speed(1.25)),
    ],
    "handoff": [
        (f"from {source}, {write}", *bound)
        for source in ("main", "worker")
        for write in ("touched", "filled")
        for bound in (("plain", speed(2.5)), ("glibc tuned", cost(1.0)))
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


def test_the_table_holds_every_bound_of_the_project():
    found = {
        row.id: {(check.label, check.theirs, check.bound) for check in row.checks if check.bound != NO_CLAIM}
        for row in rows.ROWS
        if row not in object_rows.ROWS  # which have a file of their own
    }
    assert found == {row: set(promises) for row, promises in PROMISES.items()}


def test_there_are_nine_pieces_of_real_code():
    assert len(real_code.PIECES) == 9


def races():
    return [part for row in rows.ROWS for part in row.parts if isinstance(part, Race)]


def test_every_contender_can_be_built_and_is_compared_with_ours_in_its_own_crew():
    for part in races():
        for crew in part.crews:
            names = [entrant.name for entrant in crew]
            assert len(set(names)) == len(names)
            assert {entrant.workload for entrant in crew} <= workloads.WORKLOADS.keys()
            assert {entrant.allocator for entrant in crew} <= ALLOCATORS.keys()
        for check in part.checks:
            assert any(
                {check.ours, check.theirs} <= {entrant.name for entrant in crew} for crew in part.crews
            )


def test_large_crews_are_split_to_fit_into_memory_with_ours_in_each():
    ours, *others = (Entrant(name, "expression", "plain", 256 * MIB) for name in "ABCDEF")
    split = crews(ours, others, each=2 * GIB)
    assert [[entrant.name for entrant in crew] for crew in split] == [list("ABC"), list("ADE"), list("AF")]
    assert all(len(crew) * 2 * GIB <= BUDGET for crew in split)
    assert len(crews(ours, others, each=KIB)) == 1


def test_the_labels_of_sizes():
    assert [rows.label(size) for size in (64, KIB, 25 * MIB, GIB)] == ["64 B", "1 KiB", "25 MiB", "1 GiB"]


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
    found = probes.burst(total=8 * MIB, block=MIB, max_retained=2 * MIB)
    assert 0 <= found["reserved"] <= 2 * MIB


def test_waste_is_a_share_of_what_was_asked_for():
    for figures in probes.waste(count=200).values():
        assert 0 <= figures["mean"] <= figures["worst"]


def test_the_import_is_timed_in_fresh_interpreters():
    ((numpy, ours),) = probes.import_cost(rounds=1)
    assert numpy > 0
    assert ours > 0


# The command ---------------------------------------------------------------------------------------------------------


def command(options: list[str]) -> int:
    parser = argparse.ArgumentParser()
    bench.add_arguments(parser)
    return bench.main(parser.parse_args(options))


def figures_row(name: str, figure: float) -> Row:
    def measure(checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
        return [Result(check, ours=figure, figure=figure) for check in checks]

    check = Check("here", "pool", "", at_most(10.0, "%"))
    return Row(name, f"the row called {name}", (Figures("here", 0, (check,), measure),))


def test_a_quick_run_prints_a_table_and_writes_json(capsys, tmp_path):
    path = tmp_path / "bench.json"
    assert (
        command(["--quick", "--rounds", "1", "--row", "scratch", "--row", "waste", "--json", str(path)]) == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert "NumPy" in lines[0]
    assert lines[4].split() == ["size", "ours", "against", "theirs", "figure", "spread", "bound", "holds"]
    assert sum(line.endswith(("  yes", "  NO")) for line in lines) == 5
    assert "bounds hold" in lines[-1]
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document.keys() == {"machine", "plan", "rows"}
    assert [len(results) for results in document["rows"].values()] == [1, 4]


def test_a_bound_that_fails_is_printed_in_capitals_and_fails_only_a_strict_run(capsys, monkeypatch):
    monkeypatch.setattr(rows, "ROWS", (figures_row("good", 5.0), figures_row("bad", 11.0)))
    assert command([]) == 0
    out = capsys.readouterr().out
    assert out.count("  yes\n") == 1
    assert out.count("  NO\n") == 1
    assert "1 bound holds, 1 does NOT" in out
    assert command(["--strict"]) == 1
    assert command(["--strict", "--row", "good"]) == 0


def test_a_measurement_that_fails_does_not_cost_the_rest_of_the_table(capsys, monkeypatch):
    def fail(_checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
        raise WorkerError("worker on fire")

    broken = Row("broken", "x", (Figures("x", 0, (Check("x", "pool", "", at_most(1.0, "%")),), fail),))
    monkeypatch.setattr(rows, "ROWS", (broken, figures_row("good", 5.0)))
    assert command([]) == 1
    out = capsys.readouterr().out
    assert "failed: worker on fire" in out
    assert "1 bound holds, 0 do NOT, 1 could not be measured" in out


def test_a_quick_run_names_what_it_leaves_out(capsys):
    assert command(["--quick", "--row", "zeros"]) == 0
    assert "not with --quick: 64 MiB" in capsys.readouterr().out


def test_the_list_names_every_row_and_measures_nothing(capsys, monkeypatch):
    monkeypatch.setattr(timing, "Worker", None)
    assert command(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"{row.id}: {row.words}" in out for row in rows.ROWS)


def test_the_geometric_mean_needs_every_piece():
    check = Check("a", "pool", "plain", speed(1.0))
    mean = Check("mean", "pool", "plain", speed(1.25))
    row = Row("x", "x", (), mean)
    (result,) = row.summary([Result(check, figure=1.0), Result(check, figure=4.0)])
    assert result.figure == pytest.approx(2.0)
    (result,) = row.summary([Result(check, figure=1.0), Result(check, note="not installed")])
    assert (result.figure, result.note) == (None, "only 1 of 2 pieces measured")


def test_rounds_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        command(["--rounds", "0"])
    assert "not a whole number of at least 1" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_noticed_before_the_run(capsys, tmp_path):
    with pytest.raises(SystemExit):
        command(["--json", str(tmp_path / "nowhere" / "bench.json")])
    assert "not a file in a folder that exists" in capsys.readouterr().err


def test_a_row_that_does_not_exist_is_refused(capsys):
    assert command(["--row", "scratch", "--row", "no-such-row"]) == 2
    assert (
        "has no row no-such-row; it has scratch, scratch-with, lease-array, empty" in capsys.readouterr().err
    )
