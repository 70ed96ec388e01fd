"""One run as a file: results of every row, what pools do with a mistake, the machine, versions and date.

`save` writes a result a line, so that two runs can be compared by eye, and figures with no more digits than they are
worth.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bufpool.cli.bench.checks import Bound, Check, Result

DIGITS = 5


@dataclass(frozen=True)
class Run:
    """What was measured, and where."""

    machine: dict[str, Any]
    date: str  #: the day, as ISO 8601 writes it
    seconds: int  #: how long it took
    plan: dict[str, Any]
    versions: dict[str, str]  #: of packages and libraries that were measured
    absent: dict[str, str]  #: why the others were not
    manners: dict[str, dict[str, str]]
    rows: dict[str, list[Result]]

    def results(self) -> Iterator[tuple[str, Result]]:
        """Every result, with the row it is from."""
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


_FIELDS = ("machine", "date", "seconds", "plan", "versions", "absent", "manners")


def _packed(result: Result) -> dict[str, Any]:
    check, bound = result.check, result.check.bound
    packed: dict[str, Any] = {"label": check.label, "ours": check.ours, "theirs": check.theirs}
    packed["bound"] = [bound.kind, bound.limit, bound.unit, bound.of]
    if result.figure is None:
        return {**packed, "note": result.note}
    packed["times"] = [_short(result.ours), _short(result.theirs)]
    return {**packed, "figure": [_short(result.figure), _short(result.low), _short(result.high)]}


def _unpacked(packed: dict[str, Any]) -> Result:
    check = Check(packed["label"], packed["ours"], packed["theirs"], Bound(*packed["bound"]))
    if "note" in packed:
        return Result(check, note=packed["note"])
    return Result(check, *packed["times"], *packed["figure"])


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
