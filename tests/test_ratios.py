"""``make compare``: ratios are measured, steadied, stored and compared.  No test here says how fast anything is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
if not (BENCHMARKS / "ratios.py").exists():
    pytest.skip("needs the checkout", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

import baseline
import compare
import ratios
from ratios import RATIOS, Ratio

RATIO = Ratio("a ratio", "scratch", "calls", "list", 64)


class FakeWorker:
    """Ours takes 3 ns an iteration in a quiet moment, theirs 2; every other sample falls on a busy one."""

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
        return loops * (3e-9 if name == "calls" else 2e-9) * (1 if FakeWorker.asked % 4 in (1, 2) else 7)


def test_a_ratio_is_of_the_quietest_moments_in_each_of_several_processes(monkeypatch):
    monkeypatch.setattr(ratios, "Worker", FakeWorker)
    assert ratios.measure([RATIO]) == {RATIO: [pytest.approx(1.5)] * ratios.GENERATIONS}


@pytest.mark.parametrize(
    ("first", "later", "found"),
    [
        ([1.2, 1.2, 9.0], [], [1.2, 1.2, 9.0]),  # the median counts
        ([1.0, 1.5, 1.5], [[1.0] * 3], [1.0] * 3),
        ([1.5] * 3, [[2.0] * 3, [1.1] * 3], [1.1] * 3),
        ([1.5] * 3, [[1.0] * 3, [0.9] * 3], [1.0] * 3),
        ([1.5] * 3, [[1.4] * 3, [1.6] * 3], [1.4] * 3),  # a regression stays one
    ],
)
def test_what_looks_like_a_regression_is_measured_again_twice(monkeypatch, first, later, found):
    rest = iter(later)
    monkeypatch.setattr(ratios, "measure", lambda wanted: {ratio: next(rest) for ratio in wanted})
    assert ratios.steadied(RATIO, first, most=1.25) == found
    assert len(list(rest)) == (1 if found == [1.0] * 3 and len(later) > 1 else 0)


def store(path: Path, kind: str, medians: dict[str, float]) -> None:
    benchmarks = [{"param": name, "stats": {"median": value}} for name, value in medians.items()]
    path.write_text(json.dumps({"machine_info": {"kind": kind}, "benchmarks": benchmarks}), encoding="utf-8")


def test_a_baseline_tells_what_it_is_of(monkeypatch, tmp_path):
    monkeypatch.setattr(baseline, "FILE", tmp_path / "baseline.json")
    assert baseline.of() == ""
    store(baseline.FILE, "an abacus", {"a ratio": 1.5})
    assert baseline.of() == "an abacus"
    assert baseline.medians() == {"a ratio": 1.5}


def test_elsewhere_nothing_is_compared_and_that_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(baseline, "FILE", tmp_path / "baseline.json")
    monkeypatch.setattr(compare, "run", lambda *_: pytest.fail("compared"))
    monkeypatch.setattr(sys, "argv", ["compare"])
    store(baseline.FILE, "an abacus", {})
    assert compare.main() == 0
    assert "the baseline is of an abacus, this is " in capsys.readouterr().out


def test_the_baseline_is_compared_with_and_renewed(monkeypatch, tmp_path):
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(baseline, "FILE", tmp_path / "baseline.json")
    monkeypatch.setattr(compare, "run", lambda *options: asked.append(options) or 1)
    store(baseline.FILE, baseline.here(), {})
    monkeypatch.setattr(sys, "argv", ["compare"])
    assert compare.main() == 1
    monkeypatch.setattr(sys, "argv", ["compare", "--renew"])
    assert compare.main() == 1
    assert asked == [
        (f"--benchmark-compare={baseline.FILE}", "--benchmark-compare-fail=median:25%"),
        (f"--benchmark-json={baseline.FILE}",),
    ]


def test_the_committed_baseline_has_every_ratio():
    assert baseline.medians().keys() == {ratio.name for ratio in RATIOS}


@pytest.mark.parametrize(("factor", "fails"), [(1.0, False), (0.5, True)])
def test_pytest_benchmark_compares_the_ratios(tmp_path, factor, fails):
    """The real plug-in on made-up figures: the one ratio is 1.5, and was `factor` of that."""
    for name in ("conftest.py", "replay.py", "baseline.py"):
        (tmp_path / name).write_text((BENCHMARKS / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_one.py").write_text(
        "import pytest\n"
        "from replay import Clock\n"
        "clock = Clock()\n"
        "@pytest.mark.benchmark(group='ratios', timer=clock)\n"
        "def test_one(benchmark):\n"
        "    benchmark.pedantic(clock.replay([1.5, 1.5, 1.5]), rounds=3, iterations=1)\n",
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--benchmark-only",
        "test_one.py",
    ]
    stored = tmp_path / "stored.json"
    subprocess.run([*command, f"--benchmark-json={stored}"], cwd=tmp_path, check=True, capture_output=True)
    text = json.loads(stored.read_text(encoding="utf-8"))
    assert text["machine_info"]["kind"] == baseline.here()
    assert "node" not in text["machine_info"]
    text["benchmarks"][0]["stats"]["median"] *= factor
    stored.write_text(json.dumps(text), encoding="utf-8")
    options = [f"--benchmark-compare={stored}", "--benchmark-compare-fail=median:25%"]
    done = subprocess.run([*command, *options], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    assert ("Performance has regressed" in done.stdout + done.stderr) is fails
