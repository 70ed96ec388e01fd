"""Targets, the comparisons that they apply to, and results. Data only: nothing here measures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

#: Figures are compared as printed, so that a table never shows ``1.030`` beside ``cost <= 1.03x`` and "NO".
DECIMALS = 3


@dataclass(frozen=True)
class Target:
    """A limit on one figure.

    Parameters
    ----------
    kind : {"cost", "speed", "value", "floor"}
        ``cost``: our time divided by theirs, at most `limit`. ``speed``: their time divided by ours, at least `limit`.
        ``value``: a figure in `unit`, at most `limit`. ``floor``: a figure in `unit`, at least `limit`.
    limit : float or None
        None: the figure is published without a target.
    unit : str
        ``"x"`` for the two ratios.
    of : str
        The unit of the two quantities that a ratio compares.
    """

    kind: Literal["cost", "speed", "value", "floor"]
    limit: float | None
    unit: str = "x"
    of: str = "s"

    def met(self, figure: float) -> bool | None:
        """Whether `figure`, as printed, meets the target; None without a limit."""
        if self.limit is None:
            return None
        shown = round(figure, DECIMALS)
        return shown >= self.limit if self.kind in ("speed", "floor") else shown <= self.limit

    @property
    def absolute(self) -> bool:
        """Whether it limits a figure with a unit, and not a ratio."""
        return self.kind in ("value", "floor")

    def ratio(self, ours: float, theirs: float) -> float:
        """The ratio that this target limits, from two times."""
        return theirs / ours if self.kind == "speed" else ours / theirs

    def __str__(self) -> str:
        if self.limit is None:
            return f"{self.kind}, no target"
        if self.absolute:
            return f"{'>=' if self.kind == 'floor' else '<='} {self.limit:g} {self.unit}"
        return f"{'speed >=' if self.kind == 'speed' else 'cost <='} {self.limit:.2f}x"


def cost(limit: float, of: str = "s") -> Target:
    """Ours takes at most `limit` times as much as theirs."""
    return Target("cost", limit, of=of)


def speed(limit: float) -> Target:
    """Ours is at least `limit` times as fast as theirs."""
    return Target("speed", limit)


def at_most(limit: float, unit: str) -> Target:
    """Our own figure is at most `limit`."""
    return Target("value", limit, unit)


def at_least(limit: float, unit: str) -> Target:
    """Our own figure is at least `limit`."""
    return Target("floor", limit, unit)


def reported(unit: str) -> Target:
    """Our own figure in `unit`, published without a target."""
    return Target("value", None, unit)


#: A ratio that is published without a target, so that readers also see where a pool gains little.
NO_TARGET = Target("speed", None)


@dataclass(frozen=True)
class Check:
    """One line of the table: which two contenders are compared, on what, and the target."""

    label: str  #: the size, or the name of the piece of code
    ours: str  #: the name of our contender
    theirs: str  #: the name of the other contender; empty for a figure of our own
    target: Target


@dataclass(frozen=True)
class Result:
    """One line of the table, measured.

    `ours` and `theirs` are medians over the rounds: seconds, or figures in the target's unit. `figure` is what the
    target limits, the median over the rounds; `low` and `high` are its extremes. If nothing was measured, `figure` is
    None and `note` says why.
    """

    check: Check
    ours: float | None = None
    theirs: float | None = None
    figure: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if nothing was measured or there is no limit."""
        return None if self.figure is None else self.check.target.met(self.figure)

    def as_dict(self) -> dict[str, Any]:
        """A form for JSON."""
        return {**asdict(self), "met": self.met}
