"""What the charts show: for each, panels of rivals with the ratio and its spread, taken from one run.

No drawing here, so that a test can tell without matplotlib whether a committed chart is of the committed run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from reading import Duel, duels
from run_file import Run


@dataclass(frozen=True)
class Dot:
    """One rival: so many times as fast is bufpool, with the least and the most of the rounds."""

    label: str
    ratio: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Panel:
    """Dots under one heading, on the axis that all panels of a chart share."""

    title: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Chart:
    """One picture."""

    name: str
    title: str
    panels: tuple[Panel, ...]

    def digest(self) -> str:
        """Tells whether a picture shows these figures."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]


#: The landing page's: what is gained, where nothing is, and where bufpool loses.
LANDING = (
    ("four arrays of 1 MiB, vs np.empty", "four", "1 MiB", "np.empty"),
    ("a connection, rolled back, vs psycopg_pool", "connection", "no check", "psycopg_pool"),
    ("the same and checked, vs psycopg_pool", "connection", "a check", "psycopg_pool"),
    ("array expression, 2 MiB, vs plain NumPy", "expression", "2 MiB", "plain"),
    ("array expression, 64 MiB, vs plain NumPy", "expression", "64 MiB", "plain"),
    ("frames between threads, vs plain NumPy", "handoff", "from main, filled", "plain"),
    ("image code, 9 functions, vs plain NumPy", "real-code", "geometric mean", "plain"),
    ("array expression, 1 KiB, vs plain NumPy", "expression", "1 KiB", "plain"),
    ("array expression, 64 MiB, vs out= by hand", "expression", "64 MiB", "out= by hand"),
    ("array expression, 2 MiB, vs a numba loop", "expression-peers", "2 MiB", "numba"),
    ("an object, vs queue.SimpleQueue", "lease", "with lease()", "queue.SimpleQueue"),
)

_NAMES = {"plain": "plain NumPy"}


def charts(run: Run) -> tuple[Chart, ...]:
    """Every chart that the run has figures for."""
    found = (
        Chart("landing", "How many times as fast bufpool is", (Panel("", tuple(_landing(run))),)),
        Chart(
            "expression",
            "sqrt(a*a + b*b) + c*d on float32",
            tuple(_panels(run, ("2 MiB", "16 MiB", "64 MiB"), "expression", "expression-peers")),
        ),
        Chart("four", "Four arrays at once", tuple(_panels(run, ("64 KiB", "1 MiB", "64 MiB"), "four"))),
        Chart("real-code", "Image code on 4K frames, unchanged", tuple(_pieces(run))),
        Chart("peers", "One object that needs no care, taken and given back", tuple(_peers(run))),
    )
    return tuple(chart for chart in found if any(panel.dots for panel in chart.panels))


def _landing(run: Run) -> Iterable[Dot]:
    found = {(duel.row, duel.check.label, duel.check.theirs): duel for duel in duels(run)}
    chosen = (_dot(label, found[key]) for label, *key_parts in LANDING if (key := tuple(key_parts)) in found)
    return sorted(chosen, key=lambda dot: -dot.ratio)


def _panels(run: Run, sizes: tuple[str, ...], *rows: str) -> Iterable[Panel]:
    for size in sizes:
        dots = (_dot(duel.check.theirs, duel) for duel in duels(run, *rows) if duel.check.label == size)
        if shown := tuple(sorted(dots, key=lambda dot: dot.ratio)):
            yield Panel(size, shown)


def _pieces(run: Run) -> Iterable[Panel]:
    dots = (_dot(duel.check.label, duel) for duel in duels(run, "real-code"))
    yield Panel("against plain NumPy", tuple(sorted(dots, key=lambda dot: dot.ratio)))


def _peers(run: Run) -> Iterable[Panel]:
    dots = (_dot(duel.check.theirs, duel) for duel in duels(run, "lease") if duel.check.ours == "lease")
    yield Panel("", tuple(sorted(dots, key=lambda dot: dot.ratio)))


def _dot(label: str, duel: Duel) -> Dot:
    return Dot(_NAMES.get(label, label), duel.ratio, duel.low, duel.high)
