"""The demo itself: load the photographs, measure every run, show what came out."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bufpool.cli.demo.figure import write_figure
from bufpool.cli.demo.frames import decode, load_photographs
from bufpool.cli.demo.pipeline import process
from bufpool.cli.demo.report import MEMORY_NAMES, SCENARIO_NAMES, Console, print_report, write_json
from bufpool.cli.demo.rounds import WARM_UP_FRAMES, run_in_process, schedule, summarize

if TYPE_CHECKING:
    from bufpool.cli.demo.frames import Frame
    from bufpool.cli.demo.measure import Run


def show(size: tuple[int, int], frames: int, rounds: int, output: Path, json: Path | None) -> bool:
    """Measure everything, print the report, write the files; return whether all results are bit-identical."""
    console = Console()
    width, height = size
    console.print(
        f"[bold]bufpool demo[/]: {width}x{height} frames of two photographs through luma, Gaussian blur, unsharp mask, "
        "Sobel and tone curve: the same NumPy and SciPy code on plain and on pooled memory.",
        highlight=False,
    )
    photographs = load_photographs(width, height)
    rows = summarize(measure_all(photographs, frames, rounds))
    print_report(console, rows, frames, rounds)

    write_figure(output, photographs[0], process(decode(photographs, 0)), rows)
    console.print(f"Picture and chart: {output}", highlight=False, soft_wrap=True)
    if json is not None:
        write_json(json, rows, {"frames": frames, "size": [width, height], "rounds": rounds})
        console.print(f"Figures: {json}", highlight=False, soft_wrap=True)
    return all(row.identical for row in rows)


def measure_all(photographs: Frame, frames: int, rounds: int) -> list[Run]:
    """Measure each run of the schedule in a process of its own, with a progress bar."""
    plan = list(schedule(rounds))
    frames_each = WARM_UP_FRAMES + frames
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Redrawn only twice a second: the bar must not take the cores that are being measured.
    console = Console(stderr=True)
    bar = Progress(
        *columns, console=console, refresh_per_second=2, transient=True, disable=not console.is_terminal
    )

    def advance(task: TaskID, before: int, done: int) -> None:
        bar.update(task, completed=before + done)

    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="bufpool-demo-") as folder, bar:
        path = Path(folder, "photographs.npy")
        np.save(path, photographs)
        task = bar.add_task("", total=len(plan) * frames_each)
        for number, scenario, memory in plan:
            kind = f"{SCENARIO_NAMES[scenario]}, {MEMORY_NAMES[memory]}"
            bar.update(task, description=f"round {number + 1} of {rounds}: {kind}")
            on_frame = partial(advance, task, len(runs) * frames_each)
            runs.append(run_in_process(path, scenario, memory, frames, on_frame))
    return runs
