"""``make figures``: what is read from a run, what the pages show of it, and that both are committed together."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from benchmarks.harness.targets import NO_TARGET, Check, Result, Target, at_least, at_most, cost, reported, speed
from benchmarks.page import chart, figures, pages, run_file, speedups, tables
from benchmarks.page.run_file import Run
from benchmarks.scaling import core_scaling
from benchmarks.suite import BENCHMARKS
from tests.support.checkout import ROOT

MACHINE = {
    "cpu": "A CPU",
    "cores": 2,
    "system": "Linux",
    "python": "CPython 3.11.7 (GIL on)",
    "numpy": "2.4.6",
    "bufpool": "0.1.0",
    "huge pages": "madvise",
    "load": 0.25,
}


def result(label: str, theirs: str, target: Target, ratio: float, ours: str = "pool", spread: float = 1.25) -> Result:
    """Ours took a microsecond; `ratio` is what the target limits."""
    other = 1e-6 / ratio if target.kind == "cost" else 1e-6 * ratio
    return Result(Check(label, ours, theirs, target), 1e-6, other, ratio, ratio / spread, ratio * spread)


def plain(text: str) -> str:
    """With spaces at which lines break."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def run_of(**rows: list[Result]) -> Run:
    return Run(
        machine=MACHINE,
        date="2026-11-25",
        seconds=605,
        plan={"rounds": 9},
        versions={"numba": "0.68.1", "Anopool": "1.0"},
        absent={"gone": "not installed: it"},
        misuse={
            "lease": {"twice": "refused", "empty": "waits"},
            "list": {"twice": "two clients get it", "empty": "None"},
        },
        rows={name.replace("_", "-"): results for name, results in rows.items()},
    )


@pytest.fixture
def run() -> Run:
    return run_of(
        expression=[
            result("2 MiB", "plain", speed(2.2), 2.5),
            result("2 MiB", "out= by hand", cost(1.05), 1.03),
            result("64 MiB", "plain", speed(1.5), 1.4),
            result("64 MiB", "jemalloc", cost(1.05), 1.25),
        ],
        expression_peers=[result("2 MiB", "numba", NO_TARGET, 0.25)],
        lease=[
            result("with lease()", "psycopg_pool", speed(5.0), 20.0, ours="lease"),
            result("with lease()", "list", NO_TARGET, 0.1, ours="lease"),
            Result(Check("with lease()", "lease", "gone", NO_TARGET), note="not installed: gone"),
        ],
        objects_waiters=[
            result("10,000 tasks, time", "1,000 waiters", cost(1.5), 1.0),
            Result(Check("10,000 tasks, bytes", "lease", "asyncio.Queue", reported("B")), 3000.0, 2000.0, 3000.0),
        ],
        objects_held=[Result(Check("throughput", "lease", "queue", at_least(95.0, "%")), 97.0, 96.0, 97.0)],
        waste=[Result(Check("uniform, mean", "pool", "", at_most(6.0, "%")), 7.0, figure=7.0)],
    )


# Speed-ups -----------------------------------------------------------------------------------------------------------


def test_a_speedup_above_one_means_bufpool_is_faster():
    fast = speedups.speedup("x", result("", "them", speed(1.0), 2.0))
    slow = speedups.speedup("x", result("", "them", cost(1.0), 2.0))
    assert (fast.ratio, fast.low, fast.high) == (2.0, 1.6, 2.5)
    assert (slow.ratio, slow.low, slow.high) == (0.5, 0.4, 0.625)


@pytest.mark.parametrize(("ratio", "verdict"), [(1.06, "ahead"), (1.04, "tie"), (0.96, "tie"), (0.94, "behind")])
def test_five_per_cent_is_a_tie(ratio, verdict):
    assert speedups.speedup("x", result("", "them", NO_TARGET, ratio)).verdict == verdict


def test_of_bytes_less_is_better_and_of_a_share_more(run):
    found = {speedup.unit: speedup.ratio for speedup in speedups.speedups(run, "objects-waiters", "objects-held")}
    assert found == {"B": pytest.approx(2 / 3), "%": pytest.approx(97 / 96)}


def test_an_ideal_and_the_pool_itself_are_no_alternatives():
    for theirs in ("", "own objects", "pool at 64 KiB", "1,000 waiters", "import numpy"):
        assert speedups.speedup("x", result("", theirs, cost(1.0), 2.0)) is None
    assert speedups.speedup("x", Result(Check("", "pool", "them", NO_TARGET), note="not installed")) is None


def test_missed_targets_are_found_in_every_row(run):
    count, missed = speedups.missed_targets(run)
    assert count == 8
    assert [(row, each.check.theirs) for row, each in missed] == [
        ("expression", "plain"),
        ("expression", "jemalloc"),
        ("waste", ""),
    ]


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(run, tmp_path):
    run_file.save(run, tmp_path / "run.json")
    found = run_file.load(tmp_path / "run.json")
    assert replace(found, rows={}) == replace(run, rows={})
    assert [row for row, _ in found.results()] == [row for row, _ in run.results()]
    assert [each.check for _, each in found.results()] == [each.check for _, each in run.results()]
    assert [each.met for _, each in found.results()] == [each.met for _, each in run.results()]
    lines = (tmp_path / "run.json").read_text(encoding="utf-8").splitlines()
    assert sum('"figure"' in line for line in lines) == 11  # a result a line


def test_figures_are_stored_with_five_digits(tmp_path):
    run = run_of(x=[Result(Check("", "pool", "them", NO_TARGET), 1 / 3, 2 / 3, 2.0)])
    run_file.save(run, tmp_path / "run.json")
    (found,) = run_file.load(tmp_path / "run.json").rows["x"]
    assert (found.ours, found.theirs, found.low) == (0.33333, 0.66667, None)


# Tables --------------------------------------------------------------------------------------------------------------


def test_every_loss_is_shown_the_largest_first(run):
    targets, ahead = tables.losses(run).split("\n\n")
    assert [line.split(" | ")[-1].rstrip(" |") for line in targets.splitlines()[2:]] == [
        "speed >= 1.50x",
        "cost <= 1.05x",
        "<= 6 %",
    ]
    assert [line.split(" | ")[1] for line in ahead.splitlines()[2:]] == ["list", "numba", "asyncio.Queue", "jemalloc"]
    assert "| 4.00 (3.20–5.00) |" in ahead


def test_units_suit_the_figure_and_stay_on_its_line():
    assert tables.amount(1.5e-6, "s") == "1.5\N{NO-BREAK SPACE}µs"
    given = ((2.0, "s"), (3e-3, "s"), (4e-8, "s"), (2047.4, "B"), (97.25, "%"))
    found = [plain(tables.amount(value, unit)) for value, unit in given]
    assert found == ["2 s", "3 ms", "40 ns", "2,047 B", "97.2 %"]
    assert tables.amount(None, "s") == ""


def test_a_run_without_losses_says_so():
    found = tables.losses(run_of(expression=[result("2 MiB", "plain", speed(2.2), 2.5)]))
    assert found == "Every target was met in this run.\n\nNothing was faster than bufpool in this run."


def test_a_table_has_losses_in_bold(run):
    lines = plain(tables.tables(run, None)["expression"]).splitlines()
    assert lines[0] == "| speed-up over | 2 MiB | 64 MiB |"
    assert lines[2] == "| *time with bufpool* | 1 µs | 1 µs |"
    assert lines[3] == "| plain | 2.50<br><small>2.00–3.12</small> | 1.40<br><small>1.12–1.75</small> |"
    assert lines[6] == "| numba | **0.25**<br><small>0.20–0.31</small> |  |"


def test_peers_are_sorted_and_shown_with_their_misuse(run):
    lines = plain(tables.peers(run)).splitlines()
    assert lines[2] == "| *bufpool* | 1 µs |  | refused | waits |"
    assert lines[3] == "| list | 100 ns | **0.10** (0.08–0.12) | **two clients get it** | None |"
    assert lines[4].startswith("| psycopg_pool | 20 µs | 20.0 (16.0–25.0) |")


def test_the_page_names_machine_and_missing_peers(run):
    shown = tables.machine(run)
    for words in ("25 November 2026", "10 minutes", "A CPU", "2 cores", "CPython 3.11.7", "Load at the start: 0.2"):
        assert words in shown
    assert "Of 8 targets of the project, 5 were met." in shown
    assert tables.versions(run) == "Measured: Anopool 1.0, numba 0.68.1.\n\nNot measured:\n\n- gone: not installed: it"


def test_connections_are_compared_at_equal_care(run):
    """A checkout of an object that needs no care is no headline for connections."""
    care = result("no check", "psycopg_pool", NO_TARGET, 1.2, ours="lease")
    found = replace(run, rows={**run.rows, "connection": [care]})
    shown = plain(tables.headlines(found))
    assert "| a database connection, rolled back on return, against psycopg_pool | 1.20 |" in shown
    assert "20.0" not in shown
    assert [line.split(" | ")[-1] for line in plain(tables.tables(found, None)["connections"]).splitlines()[2:]] == [
        "1.20 (0.96–1.50) |"
    ]
    assert "| 20.0 (16.0–25.0) |" in plain(tables.peers(found))


def test_a_row_that_an_earlier_run_lacks_is_named(run, monkeypatch, tmp_path):
    """The pages are left as they are."""
    assert tables.lacking(run) == ["four", "real-code", "handoff", "connection", "objects-threads"]
    monkeypatch.setattr(figures, "RUN", tmp_path / "run.json")
    monkeypatch.setattr(figures, "draw", lambda *_: pytest.fail("drawn"))
    run_file.save(run, figures.RUN)
    with pytest.raises(SystemExit, match="the run of 2026-11-25 has no row 'four' or .* or 'connection' or "):
        figures.render()


def test_scaling_is_a_share_of_linear():
    run = run_of(**{
        "core same": [
            result("pool", "1 thread", speed(0.9), 0.8, ours="2 threads"),
            result("malloc", "1 thread", NO_TARGET, 0.7, ours="2 threads"),
            result("pool, 2 threads", "malloc", NO_TARGET, 2.0),
        ]
    })  # fmt: skip
    shares = plain(tables.core(run))
    assert shares.splitlines()[0] == "| share of linear | each its own |"
    assert shares.splitlines()[2:] == ["| pool | **0.80** (0.64–1.00) |", "| malloc | 0.70 (0.56–0.88) |"]


def test_free_threaded_interpreters_have_a_run_of_their_own():
    assert "make figures PYTHON=" in tables.free_threaded(None)
    run = run_of(
        threads=[
            result("buffer", "buffer x 1", speed(0.9), 0.95, ours="buffer x 2"),
            result("buffer", "list x 2", speed(2.0), 9.0, ours="buffer x 2"),
        ]
    )
    _, shares, lines = plain(tables.free_threaded(run)).split("\n\n")
    assert "| each thread its own, buffer | 0.95 (0.76–1.19) | speed >= 0.90x |" in shares
    assert "| each thread its own, buffer | 1 µs | list x 2 | 9 µs | 9.00 (7.20–11.2) |" in lines


# Pages ---------------------------------------------------------------------------------------------------------------

PAGE = "# Title\n\n<!-- figures: one -->\nold\n<!-- /figures -->\n\nwords\n\n<!-- figures: two -->\n<!-- /figures -->\n"


def test_places_are_filled_and_the_rest_is_left():
    filled = pages.fill(PAGE, {"one": "| new |", "two": "2\n"})
    assert filled.startswith("# Title\n\n<!-- figures: one -->\n\n| new |\n\n<!-- /figures -->\n\nwords\n")
    assert pages.fill(filled, {"one": "| new |", "two": "2\n"}) == filled
    assert pages.prose(filled).split() == ["#", "Title", "words"]
    assert pages.places(filled) == ["one", "two"]


def test_a_place_that_nothing_fills_is_an_error():
    with pytest.raises(KeyError, match="two"):
        pages.fill(PAGE, {"one": ""})


# The chart -----------------------------------------------------------------------------------------------------------


def test_the_chart_is_sorted_and_changes_with_the_figures(run):
    shown = chart.dots(run)
    assert [(dot.label, dot.ratio) for dot in shown] == [
        ("array expression, 2 MiB, vs plain NumPy", 2.5),
        ("array expression, 64 MiB, vs plain NumPy", 1.4),
        ("array expression, 2 MiB, vs a numba loop", 0.25),
    ]
    other = replace(run, rows={**run.rows, "expression-peers": []})
    assert chart.digest(chart.dots(other)) != chart.digest(shown)
    assert chart.digest(chart.dots(run)) == chart.digest(shown)


def test_the_chart_has_two_themes_and_a_description(run, tmp_path):
    pytest.importorskip("matplotlib")
    shown = chart.dots(run)
    light, dark = chart.draw(shown, tmp_path)
    assert (light.name, dark.name) == ("landing-light.svg", "landing-dark.svg")
    texts = [path.read_text(encoding="utf-8") for path in (light, dark)]
    assert all(chart.digest(shown) in text and "vs a numba loop</text>" in text for text in texts)
    assert texts[0] != texts[1]
    chart.draw(shown, tmp_path)
    assert light.read_text(encoding="utf-8") == texts[0]  # no date, no chance


# What is committed ---------------------------------------------------------------------------------------------------

PAGES = ("docs/performance.md", "README.md")


FIGURES = ROOT / "docs/figures"


@pytest.fixture(scope="module")
def committed() -> Run:
    return run_file.load(FIGURES / "run.json")


@pytest.mark.parametrize("path", PAGES)
def test_the_committed_page_is_of_the_committed_run(committed, path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert pages.places(text)
    free = FIGURES / "free-threaded.json"
    found = tables.tables(committed, run_file.load(free) if free.exists() else None)
    assert pages.fill(text, found) == text, "make figures ARGS=--render"


def test_the_committed_chart_is_of_the_committed_run(committed):
    for theme in chart.THEMES:
        drawing = (FIGURES / f"{chart.NAME}-{theme}.svg").read_text(encoding="utf-8")
        assert chart.digest(chart.dots(committed)) in drawing, "make figures ARGS=--render"


def test_the_committed_run_has_every_row_of_the_readme(committed):
    assert tables.lacking(committed) == []


def test_the_committed_run_has_the_contenders_of_the_suite(committed):
    """Those that were measured are still contenders: figures of others would be on the page for ever."""
    known = {check.theirs for benchmark in BENCHMARKS for check in benchmark.checks}
    core = {"1 thread", *core_scaling.CONTENDERS}
    stored = {(row, result.check.theirs) for row, result in committed.results()}
    assert {theirs for row, theirs in stored if theirs not in (core if row.startswith("core ") else known)} == set()


def test_the_run_has_many_peers_and_the_chart_a_loss(committed):
    assert len(committed.versions) >= 8
    ratios = [dot.ratio for dot in chart.dots(committed)]
    assert min(ratios) < 1 < max(ratios)


def test_the_page_is_short_and_begins_with_the_picture():
    lines = (ROOT / PAGES[0]).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 330
    assert any("figures/landing-light.svg" in line for line in lines[:20])


def test_what_is_written_by_hand_has_no_figures(run):
    """A number with a unit, or of times, belongs into a place that is filled."""
    text = pages.prose((ROOT / PAGES[0]).read_text(encoding="utf-8"))
    found = re.findall(r"\d[\d.,]*\s?(?:×|%|x\b|ns\b|µs\b|ms\b|times\b|MB\b)", text)
    assert found == []
    assert set(pages.places((ROOT / PAGES[0]).read_text(encoding="utf-8"))) == tables.tables(run, None).keys() - {
        "headlines"
    }
