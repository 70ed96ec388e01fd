"""``python -m bufpool demo``: on small frames, the way a user runs it, and each part by itself."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
for package in ("matplotlib", "PIL", "rich", "scipy", "sklearn"):
    pytest.importorskip(package)

from bufpool import cli
from bufpool.cli import demo
from bufpool.cli.demo import measure, rounds
from bufpool.cli.demo.frames import decode, load_photographs
from bufpool.cli.demo.pipeline import process
from bufpool.cli.demo.report import Console, print_report
from tests.support.programs import python

WIDTH, HEIGHT = 320, 180
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def photographs():
    return load_photographs(WIDTH, HEIGHT)


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args(arguments)


def run_of(**changes) -> measure.Run:
    fields = {
        "scenario": "one-thread",
        "memory": "plain",
        "frame_seconds": [0.010, 0.030],
        "page_faults": 8,
        "peak_rss": 2**20,
        "digests": ["a", "b", "c"],
        "pool_hits": 0,
        "pool_misses": 0,
    }
    return measure.Run(**(fields | changes))


def runs_of_every_kind(**changes_of_pool) -> list[measure.Run]:
    return [
        run_of(scenario=scenario, memory=memory, **(changes_of_pool if memory == "pool" else {}))
        for _, scenario, memory in rounds.schedule(2)
    ]


# The whole program


@pytest.mark.slow
def test_whole_program(tmp_path: Path) -> None:
    options = ["--frames", "4", "--size", f"{WIDTH}x{HEIGHT}", "--rounds", "1"]
    files = ["--output", "X.png", "--json", "X.json"]
    done = python("-m", "bufpool", "demo", *options, *files, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (r"one +one +two +two", r"plain +pool +plain +pool", r"bit-identical +yes +yes +yes +yes", r"X\.png"):
        assert re.search(words, done.stdout), words

    picture = (tmp_path / "X.png").read_bytes()
    assert picture.startswith(PNG_MAGIC)
    assert len(picture) > 50_000

    document = json.loads((tmp_path / "X.json").read_text(encoding="utf-8"))
    assert document["settings"] == {"frames": 4, "size": [WIDTH, HEIGHT], "rounds": 1, "warm_up": 3}
    assert all(row["identical"] and len(row["frame_ms"][0]) == 4 for row in document["rows"])
    pooled = [row for row in document["rows"] if row["memory"] == "pool"]
    assert all(row["pool_hits"] > 0 for row in pooled)


def test_missing_package_is_one_line(tmp_path: Path) -> None:
    code = """
import argparse, sys
sys.modules["rich"] = None
from bufpool.cli import demo
parser = argparse.ArgumentParser()
demo.add_arguments(parser)
sys.exit(demo.main(parser.parse_args([])))
"""
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == 'bufpool demo needs rich: pip install "bufpool[demo]" (in a checkout: ".[demo]")\n'


def test_failed_run_is_told_with_its_error(tmp_path: Path, capsys, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise rounds.RunError("the run 'one-thread' with 'pool' memory ended with exit code 1: ValueError: why")

    monkeypatch.setattr("bufpool.cli.demo.show.run_in_process", fail)
    assert demo.main(parse("--output", str(tmp_path / "X.png"), "--size", "64x64")) == 1
    assert "exit code 1: ValueError: why" in capsys.readouterr().err


def test_interrupt_is_no_traceback(tmp_path: Path, capsys, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bufpool.cli.demo.show.run_in_process", interrupt)
    with pytest.raises(SystemExit) as stop:
        cli.main(["demo", "--output", str(tmp_path / "X.png"), "--size", "64x64"])
    assert stop.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "bufpool demo: interrupted"


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--frames", "0", "'0' is not a whole number of at least 1"),
        ("--rounds", "-1", "'-1' is not a whole number of at least 1"),
        ("--size", "4K", "'4K' is not WIDTHxHEIGHT"),
        ("--size", "8x2000", "each side must be 16 pixels or more"),
        ("--output", "no/such/folder/x.png", "there is no folder"),
        ("--json", ".", "is a folder"),
    ],
)
def test_bad_options_say_why(option: str, value: str, complaint: str, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(f"{option}={value}")
    assert complaint in capsys.readouterr().err


# Measured runs


@pytest.mark.parametrize("scenario", measure.SCENARIOS)
def test_results_are_bit_identical_plain_and_pooled(photographs, scenario: str) -> None:
    done: list[int] = []
    plain = measure.measure(photographs, scenario, "plain", warm_up=1, frames=5, announce=done.append)
    pooled = measure.measure(photographs, scenario, "pool", warm_up=1, frames=5, announce=done.append)
    assert plain.digests == pooled.digests
    assert len(set(plain.digests)) == 6, "each frame is another picture"
    assert done == 2 * [1, 2, 3, 4, 5, 6]
    assert len(plain.frame_seconds) == len(pooled.frame_seconds) == 5
    assert plain.pool_hits == plain.pool_misses == 0
    assert pooled.pool_hits > 0


@pytest.mark.parametrize("broken", ["decode", "process"])
@pytest.mark.parametrize("memory", measure.MEMORIES)
def test_an_error_in_a_thread_stops_the_others(photographs, monkeypatch, memory: str, broken: str) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError(broken)

    monkeypatch.setattr(measure, broken, fail)
    with pytest.raises(ArithmeticError, match=broken):
        measure.measure(photographs, "two-threads", memory, warm_up=1, frames=20, announce=lambda _: None)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_rss_of_a_run_is_its_own(tmp_path: Path, photographs) -> None:
    """Linux hands ru_maxrss down to children, so that a big parent would make every run look big."""
    ballast = np.ones(200 * 2**20, np.uint8)
    np.save(tmp_path / "photographs.npy", photographs)
    run = rounds.run_in_process(tmp_path / "photographs.npy", "one-thread", "plain", 1, lambda _: None)
    assert run.peak_rss is not None
    assert run.peak_rss < ballast.nbytes


def test_child_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(rounds.RunError, match=r"'one-thread' with 'pool' memory .* FileNotFoundError") as caught:
        rounds.run_in_process(tmp_path / "gone.npy", "one-thread", "pool", 1, lambda _: None)
    assert "Traceback" in str(caught.value)


def test_child_is_gone_after_an_error_here(tmp_path: Path, photographs) -> None:
    np.save(tmp_path / "photographs.npy", photographs)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rounds.run_in_process(tmp_path / "photographs.npy", "one-thread", "plain", 10**6, interrupt)


# What the runs add up to


def test_schedule_interleaves_and_alternates() -> None:
    plan = list(rounds.schedule(2))
    assert [memory for number, _, memory in plan if number == 0] == ["plain", "pool", "plain", "pool"]
    assert [memory for number, _, memory in plan if number == 1] == ["pool", "plain", "pool", "plain"]
    assert [scenario for _, scenario, _ in plan] == 2 * (2 * ["one-thread"] + 2 * ["two-threads"])


def test_summary_adds_up() -> None:
    rows = rounds.summarize(runs_of_every_kind(frame_seconds=[0.010, 0.010], page_faults=0, peak_rss=2**21))
    plain, pooled = rows[:2]
    assert plain.frames_per_second == pytest.approx(50)
    assert plain.p50_ms == pytest.approx(20)
    assert plain.faults_per_frame == 4
    assert (plain.speed, pooled.speed) == (1, pytest.approx(2))
    assert pooled.faults_per_frame == 0
    assert pooled.peak_rss == 2**21
    assert all(row.identical for row in rows)


def test_unknown_counts_stay_unknown() -> None:
    rows = rounds.summarize(runs_of_every_kind(page_faults=None, peak_rss=None))
    assert rows[1].faults_per_frame is None
    assert rows[1].peak_rss is None


def test_difference_is_said_loudly(capsys) -> None:
    rows = rounds.summarize(runs_of_every_kind(digests=["a", "b", "X"]))
    assert [row.identical for row in rows] == [True, False, True, False]
    print_report(Console(width=80), rows, 2, 2)
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "NOT bit-identical: those of one thread, pool; two threads, pool differ" in said
    assert " NO " in said


def test_difference_makes_exit_code_1(tmp_path: Path, monkeypatch) -> None:
    runs = runs_of_every_kind(digests=["a", "b", "X"])
    monkeypatch.setattr("bufpool.cli.demo.show.measure_all", lambda *_: runs)
    assert demo.main(parse("--output", str(tmp_path / "X.png"), "--size", "64x64")) == 1
    assert (tmp_path / "X.png").read_bytes().startswith(PNG_MAGIC)


@pytest.mark.parametrize("width", [60, 200])
def test_table_fits_60_columns_and_loses_nothing(capsys, width: int) -> None:
    rows = rounds.summarize(
        [
            run_of(
                scenario=scenario,
                memory=memory,
                frame_seconds=2 * [0.05 if memory == "pool" else 99.0],
                page_faults=1_000_000,
                peak_rss=2**39,
            )
            for _, scenario, memory in rounds.schedule(2)
        ]
    )
    print_report(Console(width=width), rows, 8, 2)
    out = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    head = out.partition("2 x 8 timed frames")[0].splitlines()
    assert max(len(line.rstrip()) for line in head) <= 60
    for name, cells in (
        ("p50, ms", ["99,000", "50.0", "99,000", "50.0"]),
        ("page faults/frame", 4 * ["500,000"]),
        ("peak RSS, MiB", 4 * ["524,288"]),
        ("speed (p50)", ["1.00x", "1980.00x", "1.00x", "1980.00x"]),
        ("bit-identical", 4 * ["yes"]),
    ):
        (line,) = (line.strip() for line in head if line.strip().startswith(name))
        assert line.removeprefix(name).split() == cells


# The pipeline


def test_frames_are_the_photographs_in_turn_in_new_memory(photographs) -> None:
    first = decode(photographs, 0)
    assert (first == photographs[0]).all()
    assert not np.shares_memory(first, photographs)
    assert (decode(photographs, 2) != first).any()
    other = np.roll(photographs[1], -1, axis=1).astype(float)
    second = decode(photographs, 1)
    assert np.abs(second - other).mean() < np.abs(second - first.astype(float)).mean() / 2
    assert second.dtype == np.uint8


@pytest.mark.parametrize(("width", "height"), [(16, 16), (17, 31), (100, 300)])
def test_pipeline_keeps_the_shape_of_odd_frames(width: int, height: int) -> None:
    result = process(load_photographs(width, height)[0])
    assert result.shape == (height, width)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


def test_pipeline_of_one_colour_is_one_colour() -> None:
    """No edge, nothing to sharpen: only the tone curve acts, on the whole picture alike."""
    grey = np.full((24, 32, 3), 64, np.uint8)
    assert np.unique(process(grey)).size == 1
    assert (process(np.zeros((24, 32, 3), np.uint8)) == 0).all()


def test_pipeline_darkens_an_edge() -> None:
    """Left half dark, right half bright: the bright side is darkest next to the edge."""
    frame = np.full((24, 64, 3), 40, np.uint8)
    frame[:, 32:] = 220
    row = process(frame)[12]
    assert row[32] < row[-1]
