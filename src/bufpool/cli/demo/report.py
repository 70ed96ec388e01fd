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
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from bufpool.cli.demo.rounds import WARM_UP_FRAMES, Row

SCENARIO_NAMES = {"one-thread": "one thread", "two-threads": "two threads"}
MEMORY_NAMES = {"plain": "plain", "pool": "pool"}


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
    """Return the rows as a table of the terminal, at most 80 columns wide."""
    grid = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("scenario", no_wrap=True)
    headings = ("frames\nper s", "p50\nms", "p99\nms", "faults/\nframe", "peak RSS\nMiB", "speed\n(p50)")
    for heading in headings:
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("bit-\nidentical", justify="center", no_wrap=True)
    for row in rows:
        pooled = row.memory == "pool"
        colour = "green" if row.speed >= 1 else "red"
        grid.add_row(
            f"{SCENARIO_NAMES[row.scenario]}, {MEMORY_NAMES[row.memory]}",
            f"{row.frames_per_second:.2f}",
            milliseconds(row.p50_ms),
            milliseconds(row.p99_ms),
            faults(row.faults_per_frame),
            mebibytes(row.peak_rss),
            f"[{colour}]{row.speed:.2f}x[/]" if pooled else "1.00x",
            "yes" if row.identical else "[bold red]NO[/]",
            end_section=pooled,
        )
    return grid


def notes(rows: list[Row], frames: int, rounds: int) -> str:
    """Return what the reader must know to judge the table."""
    lines = [
        f"{rounds} x {frames} timed frames a row, after {WARM_UP_FRAMES} for warm-up, each run in a fresh process.",
        "A frame's time runs from the end of the frame before it, hashing left out.",
        "Speed is the ratio of the p50: more is better.",
        "Peak RSS includes Python, NumPy and SciPy.",
    ]
    hits = sum(row.pool_hits for row in rows)
    requests = hits + sum(row.pool_misses for row in rows)
    if requests:
        lines.append(f"The pool served {hits:,} of {requests:,} allocations from idle blocks.")
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
