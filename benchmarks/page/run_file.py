"""A run as a file: all results, what pools do when misused, the machine, versions and date.

`save` writes one result a line, so that diffs of two runs are readable, and rounds figures to five digits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.targets import Check, Result, Target

DIGITS = 5


@dataclass(frozen=True)
class Run:
    """What was measured, and on which machine."""

    machine: dict[str, Any]
    date: str  #: in ISO 8601
    seconds: int  #: its duration
    plan: dict[str, Any]
    versions: dict[str, str]  #: of the packages and libraries that were measured
    absent: dict[str, str]  #: why the others were not measured
    misuse: dict[str, dict[str, str]]
    rows: dict[str, list[Result]]  #: by benchmark

    def results(self) -> Iterator[tuple[str, Result]]:
        """Every result, with its row."""
        for row, results in self.rows.items():
            for result in results:
                yield row, result


def save(run: Run, path: Path) -> None:
    parts = [f' "{name}": {json.dumps(getattr(run, name))}' for name in _FIELDS]
    rows = (
        f'  "{row}": [\n' + ",\n".join(f"   {json.dumps(_packed(result))}" for result in results) + "\n  ]"
        for row, results in run.rows.items()
    )
    parts.append(' "rows": {\n' + ",\n".join(rows) + "\n }")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def load(path: Path) -> Run:
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = {row: [_unpacked(packed) for packed in results] for row, results in document["rows"].items()}
    return Run(**{name: document[name] for name in _FIELDS}, rows=rows)


_FIELDS = ("machine", "date", "seconds", "plan", "versions", "absent", "misuse")


def _packed(result: Result) -> dict[str, Any]:
    check, target = result.check, result.check.target
    packed: dict[str, Any] = {"label": check.label, "ours": check.ours, "theirs": check.theirs}
    packed["target"] = [target.kind, target.limit, target.unit, target.of]
    if result.figure is None:
        return {**packed, "note": result.note}
    packed["times"] = [_short(result.ours), _short(result.theirs)]
    return {**packed, "figure": [_short(result.figure), _short(result.low), _short(result.high)]}


def _unpacked(packed: dict[str, Any]) -> Result:
    check = Check(packed["label"], packed["ours"], packed["theirs"], Target(*packed["target"]))
    if "note" in packed:
        return Result(check, note=packed["note"])
    return Result(check, *packed["times"], *packed["figure"])


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
