"""``make bench``: its options, its table in wide and narrow terminals, and Ctrl-C."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from benchmarks import suite
from benchmarks.__main__ import main
from benchmarks.harness import interleaved
from benchmarks.harness.benchmark import Benchmark, Measurement
from benchmarks.harness.interleaved import Plan
from benchmarks.harness.report import Report, cells
from benchmarks.harness.targets import Check, Result, at_most, speed
from benchmarks.harness.worker import WorkerError
from tests.support.checkout import ROOT
from tests.support.terminal import COLUMNS, interrupted


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


def test_a_missed_target_fails_only_a_strict_run(capsys, monkeypatch):
    monkeypatch.setattr(suite, "BENCHMARKS", (benchmark_of("good", 5.0), benchmark_of("bad", 11.0)))
    assert main([]) == 0
    out = capsys.readouterr().out
    assert out.count("  yes\n") == 1
    assert out.count("  NO\n") == 1
    assert "1 target met, 1 MISSED" in out
    assert main(["--strict"]) == 1
    assert main(["--strict", "--row", "good"]) == 0


def test_a_failed_measurement_leaves_the_other_rows(capsys, monkeypatch):
    def fail(_checks: tuple[Check, ...], _plan: Plan) -> list[Result]:
        raise WorkerError("worker on fire")

    broken = Benchmark("broken", "x", (Measurement("x", 0, (Check("x", "pool", "", at_most(1.0, "%")),), fail),))
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


def test_rounds_must_be_positive(capsys):
    with pytest.raises(SystemExit):
        main(["--rounds", "0"])
    assert "not a whole number of at least 1" in capsys.readouterr().err


def test_an_unwritable_file_is_noticed_before_the_run(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["--json", str(tmp_path / "nowhere" / "bench.json")])
    assert "not a file in a folder that exists" in capsys.readouterr().err


def test_a_row_that_does_not_exist_is_refused(capsys):
    assert main(["--row", "scratch", "--row", "no-such-row"]) == 2
    assert "there is no row no-such-row; rows: scratch, scratch-with, lease-array, empty" in capsys.readouterr().err


# The terminal --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ctrl_c_ends_a_run_and_its_workers_at_once():
    arguments = ("-m", "benchmarks", "--row", "scratch", "--rounds", "100000")
    assert interrupted(*arguments, cwd=ROOT, after="scratch: ") == (130, "")


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
                Result(check, note="failed: worker on the default allocator reported:\nTraceback\nValueError: x"),
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
        Report().results([Result(check, 1e-6, 2e-6, 2.0, 1.9, 2.1), Result(Check("x", "pool", "", at_most(1, "s")))])
        first, second = capsys.readouterr().out.splitlines()
        assert squeezed(first) == "16 MiB 1 us plain 2 us 2.000x 1.9 .. 2.1 speed >= 1.00x yes"
        assert second.startswith("  x  ")
