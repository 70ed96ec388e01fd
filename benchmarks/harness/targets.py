"""What a row promises, and what a run found: bounds, checks and results.  Data only; nothing here measures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

#: Figures are compared as they are printed, so that a table never shows ``1.030`` beside ``at most 1.03x`` and "NO".
DECIMALS = 3


@dataclass(frozen=True)
class Bound:
    """A limit on one figure.

    Parameters
    ----------
    kind : {"cost", "speed", "value", "floor"}
        ``cost``: our time over theirs, at most `limit`.  ``speed``: their time over ours, at least `limit`.
        ``value``: a figure of our own in `unit`, at most `limit`.  ``floor``: one of at least `limit`.
    limit : float or None
        None: the figure is published without a claim about it.
    unit : str
        ``"x"`` for the two ratios.
    of : str
        The unit of what a ratio is of.
    """

    kind: Literal["cost", "speed", "value", "floor"]
    limit: float | None
    unit: str = "x"
    of: str = "s"

    def holds(self, figure: float) -> bool | None:
        """Whether `figure`, as printed, keeps the bound; None where there is none."""
        if self.limit is None:
            return None
        shown = round(figure, DECIMALS)
        return shown >= self.limit if self.kind in ("speed", "floor") else shown <= self.limit

    @property
    def own(self) -> bool:
        """Whether it limits a figure of our own, in a unit, and no ratio of two times."""
        return self.kind in ("value", "floor")

    def ratio(self, ours: float, theirs: float) -> float:
        """The figure that this bound limits, from two times."""
        return theirs / ours if self.kind == "speed" else ours / theirs

    def __str__(self) -> str:
        if self.limit is None:
            return f"{self.kind}, no claim"
        if self.own:
            return f"{'>=' if self.kind == 'floor' else '<='} {self.limit:g} {self.unit}"
        return f"{'speed >=' if self.kind == 'speed' else 'cost <='} {self.limit:.2f}x"


def cost(limit: float, of: str = "s") -> Bound:
    """Ours takes at most `limit` times their time, or what else `of` is the unit of."""
    return Bound("cost", limit, of=of)


def speed(limit: float) -> Bound:
    """Ours is at least `limit` times as fast."""
    return Bound("speed", limit)


def at_most(limit: float, unit: str) -> Bound:
    """Our figure is at most `limit`, compared with nobody."""
    return Bound("value", limit, unit)


def at_least(limit: float, unit: str) -> Bound:
    """Our figure is at least `limit`, compared with nobody."""
    return Bound("floor", limit, unit)


def told(unit: str) -> Bound:
    """Our figure in `unit`, published without a claim about it."""
    return Bound("value", None, unit)


#: Published beside the claims, so that a reader sees where a pool gives little.
NO_CLAIM = Bound("speed", None)


@dataclass(frozen=True)
class Check:
    """One line of the table before it is measured: who is compared with whom, on what, and the bound."""

    label: str  #: the size, or the name of the piece of code
    ours: str  #: the name of our contender
    theirs: str  #: the name of theirs; empty for a figure of our own
    bound: Bound


@dataclass(frozen=True)
class Result:
    """One line of the table.

    `ours` and `theirs` are times in seconds, medians over the rounds, or figures in the bound's unit; `figure` is
    what the bound limits, the median of its values over the rounds, `low` and `high` are their extremes.  Where
    nothing was measured `figure` is None and `note` says why.
    """

    check: Check
    ours: float | None = None
    theirs: float | None = None
    figure: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the bound holds; None where nothing was measured or nothing is claimed."""
        return None if self.figure is None else self.check.bound.holds(self.figure)

    def as_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {**asdict(self), "holds": self.holds}
