"""The demo's PNG: the picture before and after, and every frame's time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from bufpool.cli.demo.frames import CREDIT, Frame
from bufpool.cli.demo.report import faults, mebibytes, milliseconds
from bufpool.cli.demo.rounds import Row

PAPER = "#fbfaf7"
INK = "#22252a"
FAINT = "#8b8f97"
COLOURS = {"plain": "#b3552d", "pool": "#0f6e84"}
NAMES = {"plain": "plain NumPy", "pool": "under the pool"}
HEADINGS = {"one-thread": "One thread", "two-threads": "Decoder thread, queue, worker thread"}
SHOWN_WIDTH = 1200
"""Pixels across of each picture: as much as the figure can show of a 4K frame."""


def write_figure(path: Path, before: Frame, after: Frame, rows: list[Row]) -> None:
    """Write the figure as a PNG, whatever the suffix of `path`."""
    height, width = after.shape
    # Not pyplot: that would choose a back-end, and keep the figure in a list of its own.
    figure = Figure(figsize=(16, 10.6), dpi=120, facecolor=PAPER)
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, left=0.05, right=0.975, top=0.89, bottom=0.085, wspace=0.1, hspace=0.36, height_ratios=[1.21, 1]
    )
    figure.text(
        0.05, 0.952, "One pipeline, the same code, two kinds of memory", size=23, weight="bold", color=INK
    )
    verdict = "bit-identical" if all(row.identical for row in rows) else "NOT BIT-IDENTICAL"
    figure.text(
        0.975,
        0.952,
        f"frames of {width} × {height}, results {verdict}",
        size=14,
        ha="right",
        color=INK if verdict.islower() else "#c00000",
    )
    draw_picture(figure.add_subplot(grid[0, 0]), before, "before")
    draw_picture(
        figure.add_subplot(grid[0, 1]), after, "after: luma, Gaussian blur, unsharp mask, Sobel, tone curve"
    )
    highest = max(value for row in rows for times in row.frame_ms for value in times)
    for column, scenario in enumerate(HEADINGS):
        axes = figure.add_subplot(grid[1, column])
        draw_times(
            axes, HEADINGS[scenario], [row for row in rows if row.scenario == scenario], 1.08 * highest
        )
    figure.text(0.05, 0.016, f"Photograph: {CREDIT}.", size=10, color=FAINT)
    figure.text(
        0.975,
        0.016,
        "Each round is a process of its own; its warm-up frames are not shown. Lower is better.",
        size=10,
        ha="right",
        color=FAINT,
    )
    figure.savefig(path, format="png", facecolor=PAPER)


def draw_picture(axes: Axes, picture: Frame, title: str) -> None:
    """Draw one picture with its title above it."""
    image = Image.fromarray(picture)
    image.thumbnail((SHOWN_WIDTH, SHOWN_WIDTH), Image.Resampling.LANCZOS)
    colours: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if picture.ndim == 2 else {}
    axes.imshow(np.asarray(image), interpolation="antialiased", **colours)
    axes.set_title(title, loc="left", size=13, color=INK, pad=8)
    axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_times(axes: Axes, heading: str, rows: list[Row], top: float) -> None:
    """Draw the frame times of one scenario from zero up: one line a round and kind of memory."""
    axes.set_facecolor(PAPER)
    frames = len(rows[0].frame_ms[0])
    rounds = len(rows[0].frame_ms)
    for row in rows:
        colour = COLOURS[row.memory]
        for number, times in enumerate(row.frame_ms):
            numbers = np.arange(1, frames + 1) + number * frames
            axes.plot(numbers, times, color=colour, lw=2, marker="o", ms=5, mec=PAPER, mew=0.8)
    for number in range(1, rounds):
        axes.axvline(number * frames + 0.5, color=FAINT, lw=0.8, ls=(0, (2, 3)))
    for number in range(rounds):
        middle = (number + 0.5) * frames + 0.5
        axes.text(middle, 0.03 * top, f"round {number + 1}", ha="center", color=FAINT, size=10)
    axes.set_xlim(0.5, rounds * frames + 0.5)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("timed frame", color=INK, size=11)
    axes.set_ylabel("milliseconds a frame", color=INK, size=11)
    axes.grid(axis="y", color="#e4e1da", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, labelsize=10.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(FAINT)
    axes.text(0, 1.215, heading, transform=axes.transAxes, size=13.5, weight="bold", color=INK)
    for line, row in enumerate(rows):
        text = (
            f"{NAMES[row.memory]}:  p50 {milliseconds(row.p50_ms)} ms,  p99 {milliseconds(row.p99_ms)} ms,  "
            f"page faults a frame {faults(row.faults_per_frame)},  peak RSS {mebibytes(row.peak_rss)} MiB"
        )
        axes.text(0, 1.13 - 0.075 * line, text, transform=axes.transAxes, size=11, color=COLOURS[row.memory])
    pooled = rows[-1]
    axes.text(
        1,
        1.2,
        f"speed {pooled.speed:.2f}×",
        transform=axes.transAxes,
        size=19,
        weight="bold",
        ha="right",
        color=COLOURS["pool"],
    )
