"""``make compare``: ratios are measured, settled, stored and compared. No test here says how fast anything is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.regression import baseline, compare, ratios
from benchmarks.regression.ratios import RATIOS, Ratio
from tests.support.checkout import ROOT

RATIO = Ratio("a ratio", "scratch", "calls", "list", 64)


class FakeWorker:
    """Ours takes 3 ns an iteration in a quiet moment, theirs 2; other rounds are busy, and one sample is lucky."""

    asked = 0

    def __enter__(self) -> FakeWorker:
        return self

    def __exit__(self, *_: object) -> None: ...
    def ready(self) -> None: ...
    def receive(self) -> None: ...
    def send_build(self, *_: object) -> None: ...
    def calibrate(self, _name: str, _seconds: float) -> int:
        return 100

    def sample(self, name: str, loops: int) -> float:
        FakeWorker.asked += 1
        lucky = FakeWorker.asked % (2 * ratios.ROUNDS) == 1
        busy = FakeWorker.asked % 4 not in (1, 2)
        return loops * (3e-9 if name == "calls" else 2e-9) * (0.1 if lucky else 7 if busy else 1)


def test_a_ratio_takes_samples_in_turns(monkeypatch):
    monkeypatch.setattr(ratios, "Worker", FakeWorker)
    assert ratios.measure([RATIO]) == {RATIO: [pytest.approx(1.5)] * ratios.GENERATIONS}
    assert ratios.measure([RATIO], 2) == {RATIO: [pytest.approx(1.5)] * 2}


OTHER = Ratio("another", "scratch", "calls", "list", 65)


@pytest.mark.parametrize(
    ("rounds", "found"),
    [
        ([[1.0, 1.0, 9.0]], [1.0, 1.0, 9.0]),  # the median counts
        ([[2.0] * 3], [2.0] * 3),  # nor is there any doubt about this one
        ([[1.3] * 3, [1.2] * 3, [1.3] * 3], [1.3] * 3 + [1.2] * 3 + [1.3] * 3),  # not the best of them
        (
            [[1.2] * 3, [1.3] * 3, [1.3] * 3],
            [1.2] * 3 + [1.3] * 3 + [1.3] * 3,
        ),  # those that passed at first too
        ([[1.3] * 3, [0.9] * 4], [1.3] * 3 + [0.9] * 4),  # as soon as there is no doubt
    ],
)
def test_a_ratio_near_the_limit_is_measured_again(monkeypatch, rounds, found):
    asked: list[list[Ratio]] = []

    def measure(wanted: Any) -> dict[Ratio, list[float]]:
        asked.append(list(wanted))
        figures = {RATIO: list(rounds[len(asked) - 1]), OTHER: [1.0]}
        return {ratio: figures[ratio] for ratio in wanted}

    monkeypatch.setattr(ratios, "measure", measure)
    assert ratios.settled({RATIO: 1.25, OTHER: 1.25}) == {RATIO: found, OTHER: [1.0]}
    assert asked == [[RATIO, OTHER], *([RATIO] for _ in rounds[1:])]


def store(path: Path, kind: str, medians: dict[str, float]) -> None:
    benchmarks = [{"param": name, "stats": {"median": value}} for name, value in medians.items()]
    path.write_text(json.dumps({"machine_info": {"kind": kind}, "benchmarks": benchmarks}), encoding="utf-8")


@pytest.fixture
def stored(monkeypatch, tmp_path) -> Path:
    """Where the baseline is; what is compared goes nowhere."""
    monkeypatch.setattr(baseline, "FILE", tmp_path / "baseline.json")
    return baseline.FILE


def compared(monkeypatch, *options: str) -> tuple[int, list[tuple[Any, ...]]]:
    """What ``make compare`` returns, and what it has pytest-benchmark do, which finds a regression."""
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(compare, "run", lambda *options: asked.append(options) or 1)
    monkeypatch.setattr(sys, "argv", ["compare", *options])
    return compare.main(), asked


COMPARISON = ("--benchmark-compare-fail=median:25%",)


def test_a_baseline_names_its_machine(stored):
    store(stored, "an abacus", {"a ratio": 1.5})
    assert baseline.stored_machine() == "an abacus"
    assert baseline.medians() == {"a ratio": 1.5}


@pytest.mark.parametrize(("options", "fails"), [((), 0), (("--require",), 1)])
@pytest.mark.parametrize(
    ("kind", "known", "why"),
    [
        ("an abacus", RATIOS[0].name, "the baseline is of an abacus, this is "),
        ("", "another ratio", "the baseline has none of the ratios that are measured"),
    ],
)
def test_nothing_to_compare_fails_only_if_required(
    monkeypatch, capsys, stored, options, fails, kind, known, why
):
    store(stored, kind or baseline.this_machine(), {known: 1.0})
    assert compared(monkeypatch, *options) == (fails, [])
    assert why in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory"),
        ("", "0 characters that are no baseline (JSONDecodeError: "),
        ("[]", "2 characters that are no baseline (TypeError: "),
        ('{"benchmarks": []}', "18 characters that are no baseline (KeyError: 'machine_info')"),
        ('{"benchmarks": [{"param": "x", "stats": {"median": "x"}}]}', "could not convert"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--require",)])
def test_an_unreadable_baseline_is_named(monkeypatch, capsys, stored, text, why, options):
    if text is not None:
        stored.write_text(text, encoding="utf-8")
    assert compared(monkeypatch, *options) == (2, [])
    reported = capsys.readouterr().err
    assert reported.startswith(f"compare: {stored}: ")
    assert why in reported
    assert reported.endswith("`make baseline` stores one\n")


def test_a_ratio_without_a_baseline_is_skipped(monkeypatch, capsys, stored):
    store(stored, baseline.this_machine(), {ratio.name: 1.0 for ratio in RATIOS[1:]})
    assert compared(monkeypatch, "--require")[1] == [(f"--benchmark-compare={stored}", *COMPARISON)] * 2
    assert capsys.readouterr().out == f"compare: not in the baseline, not compared: {RATIOS[0].name}\n"


def test_the_baseline_is_compared_with_and_renewed(monkeypatch, capsys, stored):
    store(stored, baseline.this_machine(), {ratio.name: 1.0 for ratio in RATIOS})
    assert compared(monkeypatch) == (1, [(f"--benchmark-compare={stored}", *COMPARISON)] * 2)
    assert capsys.readouterr().out == ""
    stored.unlink()
    assert compared(monkeypatch, "--renew") == (1, [(f"--benchmark-json={stored}",)])


@pytest.fixture
def copied(tmp_path) -> Path:
    """A copy of the benchmarks, to run with other ratios."""
    shutil.copytree(
        ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "benchmarks"


PYTEST = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--benchmark-only"]


@pytest.mark.slow
def test_a_new_ratio_does_not_stop_the_others(copied, tmp_path):
    """The real test of the ratios, on made-up figures, with a baseline that knows one of two."""
    (copied / "regression" / "ratios.py").write_text(
        "from collections import namedtuple\n"
        "Ratio = namedtuple('Ratio', 'name')\n"
        "RATIOS = (Ratio('old'), Ratio('new'))\n"
        "GENERATIONS = 1\n"
        "def measure(wanted, generations=GENERATIONS):\n"
        "    return {ratio: [1.5] * generations for ratio in wanted}\n"
        "settled = measure\n",
        encoding="utf-8",
    )
    stored = copied / "regression" / "baseline.json"
    first = [*PYTEST, f"--benchmark-json={stored}", "benchmarks/test_ratios.py", "-k", "old"]
    subprocess.run(first, cwd=tmp_path, check=True, capture_output=True)
    assert json.loads(stored.read_text(encoding="utf-8"))["benchmarks"][0]["stats"]["rounds"] == 3
    again = [*PYTEST, f"--benchmark-compare={stored}", *COMPARISON, "benchmarks/test_ratios.py"]
    done = subprocess.run(again, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    assert "not in the baseline" in done.stdout


def test_the_committed_baseline_has_every_ratio():
    assert baseline.medians().keys() == {ratio.name for ratio in RATIOS}


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "fails"), [(1.0, False), (0.5, True)])
def test_pytest_benchmark_compares_the_ratios(copied, tmp_path, factor, fails):
    """The real plug-in on made-up figures: the one ratio is 1.5, and was `factor` of that."""
    (copied / "test_one.py").write_text(
        "import pytest\n"
        "from benchmarks.harness.replay import Clock\n"
        "clock = Clock()\n"
        "@pytest.mark.benchmark(group='ratios', timer=clock)\n"
        "def test_one(benchmark):\n"
        "    benchmark.pedantic(clock.replay([1.5, 1.5, 1.5]), rounds=3, iterations=1)\n",
        encoding="utf-8",
    )
    command = [*PYTEST, "benchmarks/test_one.py"]
    stored = tmp_path / "stored.json"
    subprocess.run([*command, f"--benchmark-json={stored}"], cwd=tmp_path, check=True, capture_output=True)
    text = json.loads(stored.read_text(encoding="utf-8"))
    assert text["machine_info"]["kind"] == baseline.this_machine()
    assert "node" not in text["machine_info"]
    text["benchmarks"][0]["stats"]["median"] *= factor
    stored.write_text(json.dumps(text), encoding="utf-8")
    options = [f"--benchmark-compare={stored}", "--benchmark-compare-fail=median:25%"]
    done = subprocess.run([*command, *options], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    assert ("Performance has regressed" in done.stdout + done.stderr) is fails
