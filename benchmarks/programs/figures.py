"""The figures of one run, and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

#: What one process reports, and with how many decimals the file keeps it.
DECIMALS = {"seconds": 6, "faults": 0, "imports": 1, "peak": 1, "mean": 1, "end": 1, "idle": 1}


@dataclass
class Series:
    """What one program took on one contender, round by round; memory in MiB."""

    seconds: list[float] = field(default_factory=list)
    faults: list[int] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)  #: resident before the work began
    peak: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)  #: over the steps of a pattern; empty for a job
    end: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)  #: at the end and after `max_idle`; the first round of a job
    sha: list[str] = field(default_factory=list)  #: every different checksum of the results: one, if all is well

    def add(self, reported: dict[str, Any]) -> None:
        """Add the figures of one more process."""
        for name, decimals in DECIMALS.items():
            if reported.get(name) is not None:
                getattr(self, name).append(round(reported[name], decimals or None))
        if reported["sha"] not in self.sha:
            self.sha.append(reported["sha"])

    def typical(self, name: str) -> float:
        """The median of a figure over the rounds."""
        return median(self.rounds(name))

    def rounds(self, name: str) -> list[float]:
        """A figure by rounds; "work peak" and "work mean" are without what was resident before the work."""
        if name.startswith("work "):
            whole = getattr(self, name.removeprefix("work "))
            return [value - before for value, before in zip(whole, self.imports, strict=True)]
        return list(getattr(self, name))


@dataclass
class Outcome:
    """One program: its figures by contender, and why there are none from the others."""

    kind: str
    about: str
    missing: str = ""  #: why the program cannot run here
    series: dict[str, Series] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)  #: by contender


@dataclass
class Run:
    """What was measured, where and when."""

    machine: dict[str, Any]
    date: str
    rounds: int
    versions: dict[str, str]
    contenders: list[str]  #: those that were asked for
    absent: dict[str, str]  #: those of them that cannot run here, and why
    programs: dict[str, Outcome] = field(default_factory=dict)


def save(run: Run, path: Path) -> None:
    """Write the run as JSON, a line for each program and contender."""
    whole = asdict(run)
    programs = whole.pop("programs")
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in whole.items()]
    lines.append(f' "programs": {_nested(programs, lambda outcome: _nested(outcome, _series, 3), 2)}')
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _series(value: Any) -> str:
    contenders = isinstance(value, dict) and any(isinstance(each, dict) for each in value.values())
    return _nested(value, json.dumps, 4) if contenders else json.dumps(value)


def _nested(mapping: dict[str, Any], text: Callable[[Any], str], indent: int) -> str:
    if not mapping:
        return "{}"
    lines = [f"{' ' * indent}{json.dumps(name)}: {text(value)}" for name, value in mapping.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * (indent - 1) + "}"


def load(path: Path) -> Run:
    """Read what `save` wrote."""
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    outcomes: dict[str, dict[str, Any]] = stored.pop("programs")
    programs: dict[str, Outcome] = {}
    for name, outcome in outcomes.items():
        series = {contender: Series(**each) for contender, each in outcome.pop("series").items()}
        programs[name] = Outcome(**outcome, series=series)
    return Run(**stored, programs=programs)
