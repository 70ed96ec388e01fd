"""Draws the charts: dots on a logarithmic axis with a line where both are as fast, in a light and a dark dress.

Right of the line bufpool is ahead. What a dot means is told by its shape and its number too, not by colour alone; the
colours are of Okabe and Ito's palette, which colour-blind readers can tell apart. Text stays text, in the reader's own
sans-serif font. The width is that of a telephone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from chart_data import Chart, Dot
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from reading import TIE
from tables import times


@dataclass(frozen=True)
class Dress:
    text: str
    faint: str
    ahead: str
    tie: str
    behind: str


DRESSES = {
    "light": Dress("#1f2328", "#d0d7de", "#0072b2", "#6e7781", "#d55e00"),
    "dark": Dress("#e6edf3", "#3d444d", "#56b4e9", "#9198a1", "#ff9d4d"),
}

#: Inches.
WIDTH, ROW = 5.4, 0.235
_HEAD, _PANEL_HEAD, _FOOT = 0.42, 0.36, 0.52
#: Of the width: where text begins, and where the axis ends.
_LEFT, _END = 0.02, 0.895

_STYLE = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "bufpool",
    "axes.linewidth": 0.8,
}


def draw(chart: Chart, folder: Path, kind: str = "svg") -> list[Path]:
    """Write the chart in both dresses."""
    paths = []
    for name, dress in DRESSES.items():
        path = folder / f"{chart.name}-{name}.{kind}"
        with mpl.rc_context({**_STYLE, "text.color": dress.text}):
            figure = _figure(chart, dress)
            marks = (
                {"Date": None, "Title": chart.title, "Description": chart.digest()} if kind == "svg" else None
            )
            face = "none" if kind == "svg" else {"light": "white", "dark": "#0d1117"}[name]
            figure.savefig(path, metadata=marks, facecolor=face, dpi=160)
        paths.append(path)
    return paths


def _figure(chart: Chart, dress: Dress) -> Figure:
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    rows = sum(len(panel.dots) for panel in chart.panels)
    heads = sum(_PANEL_HEAD for panel in chart.panels if panel.title)
    height = _HEAD + heads + rows * ROW + _FOOT
    figure = Figure(figsize=(WIDTH, height))
    figure.text(_LEFT, 1 - 0.2 / height, chart.title, weight="bold", size=11, va="center")

    labels = max(len(dot.label) for panel in chart.panels for dot in panel.dots)
    start = min(0.56, 0.06 + labels * 0.0131)
    low, high = _limits(chart)
    top = height - _HEAD
    for panel in chart.panels:
        if panel.title:
            figure.text(_LEFT, (top - 0.2) / height, panel.title, weight="bold", va="center")
            top -= _PANEL_HEAD
        size = len(panel.dots) * ROW
        axes = figure.add_axes((start, (top - size) / height, _END - start, size / height))
        _panel(axes, panel.dots, dress, low, high)
        top -= size
    _foot(axes, dress)
    caption = "dot: median; line: least to most of the rounds; square: a tie"
    figure.text(_LEFT, 0.1 / height, caption, size=8, color=dress.tie, va="center")
    return figure


def _limits(chart: Chart) -> tuple[float, float]:
    """The axis: every dot, and the line; a wide spread may run off it."""
    ratios = [dot.ratio for panel in chart.panels for dot in panel.dots]
    low, high = min([*ratios, 1.0]), max([*ratios, 1.0])
    span = (high / low) ** 0.08
    return low / max(span, 1.06), high * max(span, 1.06)


def _panel(axes: Any, dots: tuple[Dot, ...], dress: Dress, low: float, high: float) -> None:
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(dots) - 0.5, -0.5)
    axes.patch.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.axvline(1, color=dress.text, linewidth=1, zorder=1)
    axes.set_yticks(range(len(dots)), [dot.label for dot in dots])
    axes.tick_params(axis="y", length=0, labelcolor=dress.text, pad=4)
    axes.xaxis.set_major_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    for row, dot in enumerate(dots):
        axes.axhline(row, color=dress.faint, linewidth=0.6, zorder=0)
        colour, marker = _look(dot.ratio, dress)
        if dot.low is not None and dot.high is not None:
            ends = (max(dot.low, low), min(dot.high, high))
            axes.plot(
                ends, (row, row), color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="butt", zorder=2
            )
        axes.plot(dot.ratio, row, marker, color=colour, markersize=6.5, zorder=3)
        axes.annotate(
            f"{times(dot.ratio)}×", (1.0, row), xycoords=("axes fraction", "data"), xytext=(2, 0),
            textcoords="offset points", va="center", ha="left", color=colour, weight="bold", size=9,
        )  # fmt: skip


def _look(ratio: float, dress: Dress) -> tuple[str, str]:
    if ratio > TIE:
        return dress.ahead, "o"
    return (dress.behind, "D") if ratio < 1 / TIE else (dress.tie, "s")


def _foot(axes: Any, dress: Dress) -> None:
    style = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top", "size": 8.5}
    axes.annotate("bufpool ahead →", (1, 0), xytext=(5, -5), ha="left", color=dress.ahead, **style)
    axes.annotate("← behind", (1, 0), xytext=(-5, -5), ha="right", color=dress.behind, **style)
