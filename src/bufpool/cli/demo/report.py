"""The demo's report in the terminal, and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console as RichConsole
from rich.panel import Panel
from rich.table import Table

from bufpool._words import plural
from bufpool.cli.demo.rounds import WARM_UP_FRAMES, Row

SCENARIO_NAMES = {"one-thread": "one thread", "two-threads": "two threads"}
MEMORY_NAMES = {"plain": "plain", "pool": "pool"}


class Console(RichConsole):
    """Lets a closed pipe be an error, which ends the command; rich by itself would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Raise on the error that is being handled."""
        raise


def mebibytes(size: int | None) -> str:
    """Return a size in bytes as text in MiB, without the unit, or ``n/a``."""
    return "n/a" if size is None else f"{size / 2**20:,.0f}"


def milliseconds(value: float) -> str:
    """Return a time in milliseconds as text, without the unit, with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def faults(per_frame: float | None) -> str:
    """Return a number of page faults a frame as text, or ``n/a``."""
    if per_frame is None:
        return "n/a"
    return f"{per_frame:,.1f}" if 0 < per_frame < 10 else f"{per_frame:,.0f}"


def table(rows: list[Row]) -> Table:
    """Return the rows as columns of a table of the terminal, at most 60 columns wide."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("", no_wrap=True)
    for row in rows:
        heading = "\n".join([*SCENARIO_NAMES[row.scenario].split(), MEMORY_NAMES[row.memory]])
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_row("frames per s", *(f"{row.frames_per_second:.2f}" for row in rows))
    grid.add_row("p50, ms", *(milliseconds(row.p50_ms) for row in rows))
    grid.add_row("p99, ms", *(milliseconds(row.p99_ms) for row in rows))
    grid.add_row("page faults/frame", *(faults(row.faults_per_frame) for row in rows))
    grid.add_row("peak RSS, MiB", *(mebibytes(row.peak_rss) for row in rows))
    grid.add_row("speed (p50)", *(_speed(row) for row in rows))
    grid.add_row("bit-identical", *("yes" if row.identical else "[bold red]NO[/]" for row in rows))
    return grid


def _speed(row: Row) -> str:
    if row.memory != "pool":
        return "1.00x"
    return f"[{'green' if row.speed >= 1 else 'red'}]{row.speed:.2f}x[/]"


def notes(rows: list[Row], frames: int, rounds: int) -> str:
    """Return what the reader must know to judge the table."""
    timed = plural(rounds * frames, "frame")
    lines = [
        f"{rounds} x {frames} timed {timed} a column, after {WARM_UP_FRAMES} for warm-up, each run in a fresh process.",
        "A frame's time runs from the end of the frame before it, hashing left out.",
        "Speed is the ratio of the p50: more is better.",
        "Peak RSS includes Python, NumPy and SciPy.",
    ]
    hits = sum(row.pool_hits for row in rows)
    requests = hits + sum(row.pool_misses for row in rows)
    if requests:
        lines.append(f"The pool served {hits:,} of {requests:,} {plural(requests, 'allocation')} from idle blocks.")
    return "\n".join(lines)


def print_report(console: Console, rows: list[Row], frames: int, rounds: int) -> None:
    """Print the table, its notes and, if the results differ, a warning that cannot be overlooked."""
    console.print(table(rows))
    console.print(notes(rows, frames, rounds), style="dim", highlight=False)
    wrong = [
        f"{SCENARIO_NAMES[row.scenario]}, {MEMORY_NAMES[row.memory]}" for row in rows if not row.identical
    ]
    if wrong:
        text = f"The results are NOT bit-identical: those of {'; '.join(wrong)} differ from the first plain run's."
        console.print(Panel(f"{text}\nDo not trust the figures above.", style="bold white on red"))


def write_json(path: Path, rows: list[Row], settings: dict[str, Any]) -> None:
    """Write the settings, the machine and every figure of the report to a file."""
    document = {
        "settings": {**settings, "warm_up": WARM_UP_FRAMES},
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "scipy")},
        },
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
