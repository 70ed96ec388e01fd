"""``make compare``: ratios are measured, settled, stored and compared. No test here says how fast anything is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.regression import baseline, compare, ratios
from benchmarks.regression.ratios import RATIOS, Ratio

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
        ([[1.2] * 3, [1.3] * 3, [1.3] * 3], [1.2] * 3 + [1.3] * 3 + [1.3] * 3),  # those that passed at first too
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


@pytest.fixture
def stored(monkeypatch, tmp_path) -> Path:
    """The file of the baseline."""
    monkeypatch.setattr(baseline, "FILE", tmp_path / "baseline.json")
    return baseline.FILE


def compared(monkeypatch, *options: str, now: float | None = None) -> int:
    """What ``make compare`` returns if each ratio is `now`; without it, nothing may be measured."""

    def figures(wanted: Any, *_: int) -> dict[Ratio, list[float]]:
        assert now is not None
        return {ratio: [now, now, 9.0] for ratio in wanted}

    monkeypatch.setattr(compare, "settled", figures)
    monkeypatch.setattr(compare, "measure", figures)
    monkeypatch.setattr(sys, "argv", ["compare", *options])
    return compare.main()


@pytest.mark.parametrize(("options", "fails"), [((), 0), (("--require",), 1)])
@pytest.mark.parametrize(
    ("kind", "known", "why"),
    [
        ("an abacus", RATIOS[0].name, "the baseline is of an abacus, this is "),
        (baseline.this_machine(), "another ratio", "the baseline has none of the ratios that are measured"),
    ],
)
def test_nothing_to_compare_fails_only_if_required(monkeypatch, capsys, stored, options, fails, kind, known, why):
    stored.write_text(json.dumps({"machine": kind, "ratios": {known: 1.0}}), encoding="utf-8")
    assert compared(monkeypatch, *options) == fails
    assert why in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file or directory"),
        ("", "0 characters that are no baseline (JSONDecodeError: "),
        ("[]", "2 characters that are no baseline (TypeError: "),
        ('{"ratios": []}', "14 characters that are no baseline (AttributeError: "),
        ('{"ratios": {}}', "14 characters that are no baseline (KeyError: 'machine')"),
        ('{"ratios": {"x": "x"}}', "could not convert"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--require",)])
def test_an_unreadable_baseline_is_named(monkeypatch, capsys, stored, text, why, options):
    if text is not None:
        stored.write_text(text, encoding="utf-8")
    assert compared(monkeypatch, *options) == 2
    reported = capsys.readouterr().err
    assert reported.startswith(f"compare: {stored}: ")
    assert why in reported
    assert reported.endswith("`make baseline` stores one\n")


def test_a_ratio_without_a_baseline_is_skipped(monkeypatch, capsys, stored):
    baseline.store({ratio.name: 1.0 for ratio in RATIOS[1:]})
    assert compared(monkeypatch, "--require", now=1.0) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == f"compare: not in the baseline, not compared: {RATIOS[0].name}"
    assert len(rest) == len(RATIOS) - 1


@pytest.mark.parametrize(("now", "regressed"), [(1.49, False), (1.8, False), (1.9, True)])
def test_a_ratio_a_quarter_worse_fails(monkeypatch, capsys, stored, now, regressed):
    """One ratio was 1.5, the others were so large that they cannot have become worse; their median counts."""
    baseline.store({ratio.name: 5.0 for ratio in RATIOS} | {RATIOS[-1].name: 1.5})
    assert compared(monkeypatch, now=now) == int(regressed)
    *others, last = capsys.readouterr().out.splitlines()
    assert "was  1.500" in last
    assert last.endswith("REGRESSED") is regressed
    assert not any("REGRESSED" in line for line in others)


def test_the_baseline_is_renewed(monkeypatch, stored):
    assert compared(monkeypatch, "--renew", now=1.5) == 0
    assert baseline.read() == (baseline.this_machine(), {ratio.name: 1.5 for ratio in RATIOS})
    assert compared(monkeypatch, "--require", now=1.5) == 0


def test_the_committed_baseline_has_every_ratio():
    assert baseline.read()[1].keys() == {ratio.name for ratio in RATIOS}
