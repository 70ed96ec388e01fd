"""``make figures``: what is read from a run, what the page says of it, and that both are of one run as committed."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bufpool.cli.bench.checks import NO_CLAIM, Bound, Check, Result, at_least, at_most, cost, speed, told

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
if not (BENCHMARKS / "figures.py").exists():
    pytest.skip("needs the checkout", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

import blocks
import chart_data
import page
import reading
import run_file
import tables
from run_file import Run

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


def result(
    label: str, theirs: str, bound: Bound, ratio: float, ours: str = "pool", spread: float = 1.25
) -> Result:
    """Ours took a microsecond; `ratio` is what the bound limits."""
    other = 1e-6 / ratio if bound.kind == "cost" else 1e-6 * ratio
    return Result(Check(label, ours, theirs, bound), 1e-6, other, ratio, ratio / spread, ratio * spread)


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
        absent={"pycybase": "needs Python 3.12"},
        manners={
            "lease": {"twice": "refused", "empty": "waits"},
            "list": {"twice": "two have it", "empty": "None"},
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
        expression_peers=[result("2 MiB", "numba", NO_CLAIM, 0.25)],
        lease=[
            result("with lease()", "psycopg_pool", speed(5.0), 20.0, ours="lease"),
            result("with lease()", "list", NO_CLAIM, 0.1, ours="lease"),
            Result(Check("with lease()", "lease", "gone", NO_CLAIM), note="not installed: gone"),
        ],
        objects_waiters=[
            result("10,000 tasks, time", "1,000 waiters", cost(1.5), 1.0),
            Result(Check("10,000 tasks, bytes", "lease", "asyncio.Queue", told("B")), 3000.0, 2000.0, 3000.0),
        ],
        objects_held=[Result(Check("throughput", "lease", "queue", at_least(95.0, "%")), 97.0, 96.0, 97.0)],
        waste=[Result(Check("uniform, mean", "pool", "", at_most(6.0, "%")), 7.0, figure=7.0)],
    )


# Reading -------------------------------------------------------------------------------------------------------------


def test_a_ratio_says_how_many_times_as_fast_bufpool_is_whatever_the_bound_limits():
    fast = reading.duel("x", result("", "them", speed(1.0), 2.0))
    slow = reading.duel("x", result("", "them", cost(1.0), 2.0))
    assert (fast.ratio, fast.low, fast.high) == (2.0, 1.6, 2.5)
    assert (slow.ratio, slow.low, slow.high) == (0.5, 0.4, 0.625)


@pytest.mark.parametrize(
    ("ratio", "verdict"), [(1.06, "ahead"), (1.04, "tie"), (0.96, "tie"), (0.94, "behind")]
)
def test_a_twentieth_is_a_tie(ratio, verdict):
    assert reading.duel("x", result("", "them", NO_CLAIM, ratio)).verdict == verdict


def test_of_bytes_less_is_better_and_of_a_share_more(run):
    found = {duel.unit: duel.ratio for duel in reading.duels(run, "objects-waiters", "objects-held")}
    assert found == {"B": pytest.approx(2 / 3), "%": pytest.approx(97 / 96)}


def test_an_ideal_and_the_pool_itself_are_no_rivals():
    for theirs in ("", "own objects", "pool at 64 KiB", "1,000 waiters", "import numpy"):
        assert reading.duel("x", result("", theirs, cost(1.0), 2.0)) is None
    assert reading.duel("x", Result(Check("", "pool", "them", NO_CLAIM), note="not installed")) is None


def test_bounds_that_do_not_hold_are_found_in_every_row(run):
    count, missed = reading.bounds(run)
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
    assert [each.holds for _, each in found.results()] == [each.holds for _, each in run.results()]
    lines = (tmp_path / "run.json").read_text(encoding="utf-8").splitlines()
    assert sum('"figure"' in line for line in lines) == 11  # a result a line


def test_figures_are_stored_with_five_digits(tmp_path):
    run = run_of(x=[Result(Check("", "pool", "them", NO_CLAIM), 1 / 3, 2 / 3, 2.0)])
    run_file.save(run, tmp_path / "run.json")
    (found,) = run_file.load(tmp_path / "run.json").rows["x"]
    assert (found.ours, found.theirs, found.low) == (0.33333, 0.66667, None)


# Tables --------------------------------------------------------------------------------------------------------------


def test_every_loss_is_told_the_farthest_first(run):
    bounds, ahead = tables.losses(run).split("\n\n")
    assert [line.split(" | ")[-1].rstrip(" |") for line in bounds.splitlines()[2:]] == [
        "speed >= 1.50x",
        "cost <= 1.05x",
        "<= 6 %",
    ]
    assert [line.split(" | ")[1] for line in ahead.splitlines()[2:]] == [
        "list",
        "numba",
        "asyncio.Queue",
        "jemalloc",
    ]
    assert "| 4.00 (3.20–5.00) |" in ahead


def test_units_suit_the_figure_and_stay_on_its_line():
    assert tables.amount(1.5e-6, "s") == "1.5\N{NO-BREAK SPACE}µs"
    given = ((2.0, "s"), (3e-3, "s"), (4e-8, "s"), (2047.4, "B"), (97.25, "%"))
    found = [plain(tables.amount(value, unit)) for value, unit in given]
    assert found == ["2 s", "3 ms", "40 ns", "2,047 B", "97.2 %"]
    assert tables.amount(None, "s") == ""


def test_a_run_without_losses_says_so():
    found = tables.losses(run_of(expression=[result("2 MiB", "plain", speed(2.2), 2.5)]))
    assert found == "Every bound held in this run.\n\nNobody was ahead of us in this run."


def test_rivals_and_sizes_make_a_table_with_losses_in_bold(run):
    lines = plain(blocks.blocks(run, None)["expression"]).splitlines()
    assert lines[0] == "| bufpool is … times as fast as | 2 MiB | 64 MiB |"
    assert lines[2] == "| *bufpool itself takes* | 1 µs | 1 µs |"
    assert lines[3] == "| plain | 2.50<br><small>2.00–3.12</small> | 1.40<br><small>1.12–1.75</small> |"
    assert lines[6] == "| numba | **0.25**<br><small>0.20–0.31</small> |  |"


def test_peers_are_sorted_and_told_with_their_manners(run):
    lines = plain(tables.peers(run)).splitlines()
    assert lines[2] == "| *bufpool* | 1 µs |  | refused | waits |"
    assert lines[3] == "| list | 100 ns | **0.10** (0.08–0.12) | **two clients get it** | None |"
    assert lines[4].startswith("| psycopg_pool | 20 µs | 20.0 (16.0–25.0) |")


def test_the_page_says_what_the_machine_was_and_who_is_missing(run):
    told_of = tables.machine(run)
    for words in (
        "25 November 2026",
        "10 minutes",
        "A CPU",
        "2 cores",
        "CPython 3.11.7",
        "Load when it began: 0.2",
    ):
        assert words in told_of
    assert "Of the 8 bounds that the project holds itself to, 5 held." in told_of
    assert (
        tables.absent(run)
        == "Measured: Anopool 1.0, numba 0.68.1.\n\nNot measured:\n\n- pycybase: needs Python 3.12"
    )


def test_a_rival_that_was_not_measured_is_in_the_table_of_everything(run):
    assert "not installed: gone" in tables.everything(run)


def test_a_connection_is_compared_with_pools_that_take_the_same_care(run):
    """A checkout of an object that needs no care is no headline for connections."""
    care = result("no check", "psycopg_pool", NO_CLAIM, 1.2, ours="lease")
    found = replace(run, rows={**run.rows, "connection": [care]})
    told = plain(blocks.headlines(found))
    assert "| a database connection, rolled back on its return, against psycopg_pool | 1.20 |" in told
    assert "20.0" not in told
    assert [line.split(" | ")[-1] for line in plain(tables.connections(found)).splitlines()[2:]] == [
        "1.20 (0.96–1.50) |"
    ]
    assert "| 20.0 (16.0–25.0) |" in plain(tables.peers(found))


def test_a_row_that_an_earlier_run_has_not_is_named(run, monkeypatch, tmp_path):
    """The pages are left as they are."""
    pytest.importorskip("matplotlib")
    import figures

    assert blocks.lacking(run) == ["four", "real-code", "handoff", "connection", "objects-threads"]
    monkeypatch.setattr(figures, "RUN", tmp_path / "run.json")
    monkeypatch.setattr(figures, "draw", lambda *_: pytest.fail("drawn"))
    run_file.save(run, figures.RUN)
    with pytest.raises(SystemExit, match="the run of 2026-11-25 has no row 'four' or .* or 'connection' or "):
        figures.render()


def test_scaling_is_a_share_of_linear_and_then_a_duel():
    run = run_of(**{
        "core same": [
            result("pool", "1 thread", speed(0.9), 0.8, ours="2 threads"),
            result("malloc", "1 thread", NO_CLAIM, 0.7, ours="2 threads"),
            result("pool, 2 threads", "malloc", NO_CLAIM, 2.0),
        ]
    })  # fmt: skip
    shares, duels = plain(tables.core(run)).split("\n\n")
    assert shares.splitlines()[0] == "| share of linear | each its own |"
    assert shares.splitlines()[2:] == ["| pool | **0.80** (0.64–1.00) |", "| malloc | 0.70 (0.56–0.88) |"]
    assert duels.splitlines()[2].startswith(
        "| core, each its own, pool, 2 threads | 1 µs | malloc | 2 µs | 2.00"
    )


def test_free_threaded_interpreters_have_a_run_of_their_own():
    assert "make figures PYTHON=" in tables.free_threaded(None)
    run = run_of(
        threads=[
            result("buffer", "buffer x 1", speed(0.9), 0.95, ours="buffer x 2"),
            result("buffer", "list x 2", speed(2.0), 9.0, ours="buffer x 2"),
        ]
    )
    _, shares, duels = plain(tables.free_threaded(run)).split("\n\n")
    assert "| each thread its own, buffer | 0.95 (0.76–1.19) | speed >= 0.90x |" in shares
    assert "| each thread its own, buffer | 1 µs | list x 2 | 9 µs | 9.00 (7.20–11.2) |" in duels


# Pages ---------------------------------------------------------------------------------------------------------------

PAGE = "# Title\n\n<!-- figures: one -->\nold\n<!-- /figures -->\n\nwords\n\n<!-- figures: two -->\n<!-- /figures -->\n"


def test_places_are_filled_and_the_rest_is_left():
    filled = page.fill(PAGE, {"one": "| new |", "two": "2\n"})
    assert filled.startswith("# Title\n\n<!-- figures: one -->\n\n| new |\n\n<!-- /figures -->\n\nwords\n")
    assert page.fill(filled, {"one": "| new |", "two": "2\n"}) == filled
    assert page.prose(filled).split() == ["#", "Title", "words"]
    assert page.places(filled) == ["one", "two"]


def test_a_place_that_nothing_fills_is_an_error():
    with pytest.raises(KeyError, match="two"):
        page.fill(PAGE, {"one": ""})


# Charts --------------------------------------------------------------------------------------------------------------


def test_charts_show_the_duels_and_change_with_them(run):
    found = {chart.name: chart for chart in chart_data.charts(run)}
    assert found.keys() == {"landing", "expression", "peers"}
    panel = found["expression"].panels[0]
    assert [(dot.label, dot.ratio) for dot in panel.dots] == [
        ("numba", 0.25),
        ("out= by hand", 1 / 1.03),
        ("plain NumPy", 2.5),
    ]
    other = replace(run, rows={**run.rows, "expression-peers": []})
    again = {chart.name: chart for chart in chart_data.charts(other)}
    assert found["expression"].digest() != again["expression"].digest()
    assert found["peers"].digest() == again["peers"].digest()


def test_the_landing_chart_is_sorted_and_ends_with_a_loss(run):
    (chart,) = (chart for chart in chart_data.charts(run) if chart.name == "landing")
    ratios = [dot.ratio for dot in chart.panels[0].dots]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] < 1


def test_a_chart_is_drawn_in_both_dresses_and_says_what_it_shows(run, tmp_path):
    pytest.importorskip("matplotlib")
    from charts import draw

    chart = chart_data.charts(run)[1]
    light, dark = draw(chart, tmp_path)
    assert (light.name, dark.name) == ("expression-light.svg", "expression-dark.svg")
    texts = [path.read_text(encoding="utf-8") for path in (light, dark)]
    assert all(chart.digest() in text and ">numba</text>" in text for text in texts)
    assert texts[0] != texts[1]
    draw(chart, tmp_path)
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
    assert page.places(text)
    free = FIGURES / "free-threaded.json"
    found = blocks.blocks(committed, run_file.load(free) if free.exists() else None)
    assert page.fill(text, found) == text, "python benchmarks/figures.py --render"


def test_the_committed_charts_are_of_the_committed_run(committed):
    for chart in chart_data.charts(committed):
        for dress in ("light", "dark"):
            drawing = (FIGURES / f"{chart.name}-{dress}.svg").read_text(encoding="utf-8")
            assert chart.digest() in drawing, "python benchmarks/figures.py --render"


def test_the_committed_run_has_every_row_that_is_told_of(committed):
    assert blocks.lacking(committed) == []


def test_the_run_has_many_peers_and_the_landing_chart_a_loss(committed):
    assert len(committed.versions) >= 8
    landing = chart_data.charts(committed)[0].panels[0].dots
    assert min(dot.ratio for dot in landing) < 1 < max(dot.ratio for dot in landing)


def test_what_is_written_by_hand_has_no_figures(run):
    """A number with a unit, or of times, belongs into a place that is filled."""
    text = page.prose((ROOT / PAGES[0]).read_text(encoding="utf-8"))
    found = re.findall(r"\d[\d.,]*\s?(?:×|%|x\b|ns\b|µs\b|ms\b|times\b|MB\b)", text)
    assert found == []
    assert set(page.places((ROOT / PAGES[0]).read_text(encoding="utf-8"))) == blocks.blocks(
        run, None
    ).keys() - {"headlines"}
