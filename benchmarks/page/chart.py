"""The chart of the landing page and of the performance page, with its figures from a stored run.

A dot is a contender, on a logarithmic axis with a line at 1; right of the line bufpool is ahead. Shape and number tell
the same as the colour, which is from the palette of Okabe and Ito that colour-blind readers can tell apart. Text stays
text in the SVG. The chart is as wide as a telephone, and drawn for light and for dark pages.

Only `draw` needs matplotlib.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.page.run_file import Run
from benchmarks.page.speedups import TIE, speedups
from benchmarks.page.tables import times

NAME, TITLE = "landing", "How many times as fast bufpool is"

#: What the chart shows, from gains to losses: text, benchmark, size or label, contender.
SHOWN = (
    ("four arrays of 1 MiB, vs np.empty", "four", "1 MiB", "np.empty"),
    ("a connection, rolled back, vs psycopg_pool", "connection", "no check", "psycopg_pool"),
    ("a connection, with a check, vs psycopg_pool", "connection", "a check", "psycopg_pool"),
    ("array expression, 2 MiB, vs plain NumPy", "expression", "2 MiB", "plain"),
    ("array expression, 64 MiB, vs plain NumPy", "expression", "64 MiB", "plain"),
    ("frames between threads, vs plain NumPy", "handoff", "from main, filled", "plain"),
    ("image code, 9 functions, vs plain NumPy", "real-code", "geometric mean", "plain"),
    ("array expression, 1 KiB, vs plain NumPy", "expression", "1 KiB", "plain"),
    ("array expression, 64 MiB, vs out= by hand", "expression", "64 MiB", "out= by hand"),
    ("array expression, 2 MiB, vs a numba loop", "expression-peers", "2 MiB", "numba"),
    ("an object, vs queue.SimpleQueue", "lease", "with lease()", "queue.SimpleQueue"),
)


@dataclass(frozen=True)
class Dot:
    """How many times as fast bufpool is, with the minimum and the maximum of the rounds."""

    label: str
    ratio: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Theme:
    text: str
    faint: str
    ahead: str
    tie: str
    behind: str


THEMES = {
    "light": Theme("#1f2328", "#d0d7de", "#0072b2", "#6e7781", "#d55e00"),
    "dark": Theme("#e6edf3", "#3d444d", "#56b4e9", "#9198a1", "#ff9d4d"),
}


def dots(run: Run) -> tuple[Dot, ...]:
    """The dots that the run has figures for, the largest gain first."""
    found = {(each.row, each.check.label, each.check.theirs): each for each in speedups(run)}
    known = [(text, found[where]) for text, *key in SHOWN if (where := tuple(key)) in found]
    return tuple(
        sorted((Dot(text, each.ratio, each.low, each.high) for text, each in known), key=lambda dot: -dot.ratio)
    )


def digest(shown: tuple[Dot, ...]) -> str:
    """Identifies the figures; it is stored in the SVG."""
    figures = [TITLE, *map(asdict, shown)]
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()[:16]


# Drawing -------------------------------------------------------------------------------------------------------------

#: Inches.
WIDTH, ROW, HEAD, FOOT = 5.4, 0.235, 0.42, 0.52
#: Shares of the width: where text begins, and where the axis ends.
LEFT, END = 0.02, 0.895

STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    "svg.hashsalt": "bufpool",
    "axes.linewidth": 0.8,
}


def draw(shown: tuple[Dot, ...], folder: Path) -> list[Path]:
    """Write the chart in both themes."""
    import matplotlib as mpl

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    paths = []
    for name, theme in THEMES.items():
        path = folder / f"{NAME}-{name}.svg"
        with mpl.rc_context({**STYLE, "text.color": theme.text}):
            marks = {"Date": None, "Title": TITLE, "Description": digest(shown)}
            _figure(shown, theme).savefig(path, metadata=marks, facecolor="none")
        paths.append(path)
    return paths


def _figure(shown: tuple[Dot, ...], theme: Theme) -> Any:
    from matplotlib.figure import Figure

    size = len(shown) * ROW
    height = HEAD + size + FOOT
    figure = Figure(figsize=(WIDTH, height))
    figure.text(LEFT, 1 - 0.2 / height, TITLE, weight="bold", size=11, va="center")
    start = min(0.56, 0.06 + max(len(dot.label) for dot in shown) * 0.0131)
    axes = figure.add_axes((start, FOOT / height, END - start, size / height))
    _plot(axes, shown, theme)
    style: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top"}
    axes.annotate("bufpool ahead →", (1, 0), xytext=(5, -5), ha="left", color=theme.ahead, size=8.5, **style)
    axes.annotate("← behind", (1, 0), xytext=(-5, -5), ha="right", color=theme.behind, size=8.5, **style)
    caption = "dot: median; line: minimum to maximum of the rounds; square: a tie"
    figure.text(LEFT, 0.1 / height, caption, size=8, color=theme.tie, va="center")
    return figure


def _plot(axes: Any, shown: tuple[Dot, ...], theme: Theme) -> None:
    from matplotlib.ticker import NullLocator

    low, high = _limits(shown)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.patch.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.axvline(1, color=theme.text, linewidth=1, zorder=1)
    axes.set_yticks(range(len(shown)), [dot.label for dot in shown])
    axes.tick_params(axis="y", length=0, labelcolor=theme.text, pad=4)
    axes.xaxis.set_major_locator(NullLocator())
    axes.xaxis.set_minor_locator(NullLocator())
    for row, dot in enumerate(shown):
        axes.axhline(row, color=theme.faint, linewidth=0.6, zorder=0)
        colour, marker = _look(dot.ratio, theme)
        if dot.low is not None and dot.high is not None:
            ends = (max(dot.low, low), min(dot.high, high))
            axes.plot(ends, (row, row), color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="butt", zorder=2)
        axes.plot(dot.ratio, row, marker, color=colour, markersize=6.5, zorder=3)
        axes.annotate(
            f"{times(dot.ratio)}×", (1.0, row), xycoords=("axes fraction", "data"), xytext=(2, 0),
            textcoords="offset points", va="center", ha="left", color=colour, weight="bold", size=9,
        )  # fmt: skip


def _limits(shown: tuple[Dot, ...]) -> tuple[float, float]:
    """The axis shows every dot and the line at 1; a wide spread may be cut off."""
    ratios = [1.0, *(dot.ratio for dot in shown)]
    margin = max((max(ratios) / min(ratios)) ** 0.08, 1.06)
    return min(ratios) / margin, max(ratios) * margin


def _look(ratio: float, theme: Theme) -> tuple[str, str]:
    if ratio > TIE:
        return theme.ahead, "o"
    return (theme.behind, "D") if ratio < 1 / TIE else (theme.tie, "s")
