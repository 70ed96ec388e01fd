"""The rounds of the demo: which runs there are, in which order, each in a fresh process, and what they add up to."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bufpool.cli.demo.measure import MEMORIES, SCENARIOS, Run

WARM_UP_FRAMES = 3
"""Enough for the queue to fill once, and for the heap and the pool to reach their size."""


class RunError(RuntimeError):
    """A run's process ended without a result; the text says which run and how, and holds what it wrote."""


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of one scenario with one kind of memory, added up.

    Attributes
    ----------
    scenario, memory : str
        Of `SCENARIOS` and `MEMORIES`.
    frame_ms : list of list of float
        Milliseconds of each timed frame: one list a round.
    frames_per_second : float
        Of all timed frames together.
    p50_ms, p99_ms : float
        Percentiles over all timed frames, interpolated.
    faults_per_frame : float or None
        Minor page faults of the process.
    peak_rss : int or None
        In bytes; the greatest of the rounds.
    speed : float
        Median frame time of the plain row of the same scenario, divided by that of this row. Not the ratio of the
        rates: one frame that something else on the machine held up would decide it.
    identical : bool
        Whether every result, in every round, is bit for bit that of the first plain run.
    pool_hits, pool_misses : int
        During the timed frames: allocations served from idle blocks, and from new memory.
    """

    scenario: str
    memory: str
    frame_ms: list[list[float]]
    frames_per_second: float
    p50_ms: float
    p99_ms: float
    faults_per_frame: float | None
    peak_rss: int | None
    speed: float
    identical: bool
    pool_hits: int
    pool_misses: int


def schedule(rounds: int) -> Iterator[tuple[int, str, str]]:
    """Yield (round, scenario, memory) in the order of the runs.

    The two kinds of memory stand side by side, and every other round they change places, so that neither always has the
    warmer or the quieter machine.
    """
    for number in range(rounds):
        for scenario in SCENARIOS:
            for memory in MEMORIES if number % 2 == 0 else reversed(MEMORIES):
                yield number, scenario, memory


def run_in_process(
    photographs: Path, scenario: str, memory: str, frames: int, on_frame: Callable[[int], None]
) -> Run:
    """Measure one run in a fresh process.

    Raises
    ------
    RunError
        If the process ends without a result.
    """
    command = [sys.executable, "-m", "bufpool.cli.demo.measure", str(photographs), "--scenario", scenario]
    command += ["--memory", memory, "--warm-up", str(WARM_UP_FRAMES), "--frames", str(frames)]
    result: dict[str, Any] | None = None
    # Errors go to a file: a second pipe that nobody reads could fill up and stop the child.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child:
            assert child.stdout is not None
            try:
                for line in child.stdout:
                    message = json.loads(line)
                    if "frame" in message:
                        on_frame(message["frame"])
                    else:
                        result = message["result"]
            except BaseException:
                child.kill()
                raise
        errors.seek(0)
        said = errors.read().strip()
    if child.returncode != 0 or result is None:
        last_line = said.splitlines()[-1] if said else "it wrote no error"
        raise RunError(
            f"the run {scenario!r} with {memory!r} memory ended with exit code {child.returncode}: {last_line}"
            + (f"\n\n{said}" if said else "")
        )
    return Run(**result)


def summarize(runs: list[Run]) -> list[Row]:
    """Add the runs up: one row for each scenario and kind of memory, the plain one first."""
    reference = next(run.digests for run in runs if run.memory == "plain")
    rows: list[Row] = []
    for scenario in SCENARIOS:
        plain_p50: float | None = None
        for memory in MEMORIES:
            mine = [run for run in runs if (run.scenario, run.memory) == (scenario, memory)]
            seconds = np.concatenate([run.frame_seconds for run in mine])
            p50, p99 = (1e3 * float(value) for value in np.percentile(seconds, [50, 99]))
            plain_p50 = plain_p50 or p50
            faults = [run.page_faults for run in mine if run.page_faults is not None]
            peaks = [run.peak_rss for run in mine if run.peak_rss is not None]
            rows.append(
                Row(
                    scenario=scenario,
                    memory=memory,
                    frame_ms=[[1e3 * value for value in run.frame_seconds] for run in mine],
                    frames_per_second=float(len(seconds) / seconds.sum()),
                    p50_ms=p50,
                    p99_ms=p99,
                    faults_per_frame=sum(faults) / len(seconds) if faults else None,
                    peak_rss=max(peaks, default=None),
                    speed=plain_p50 / p50,
                    identical=all(run.digests == reference for run in mine),
                    pool_hits=sum(run.pool_hits for run in mine),
                    pool_misses=sum(run.pool_misses for run in mine),
                )
            )
    return rows
