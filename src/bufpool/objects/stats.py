"""Snapshots of the figures of an object pool, also as tables and as JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from bufpool._counts import Counts
from bufpool._tables import Table, clipped
from bufpool._words import duration, plural

if TYPE_CHECKING:
    from bufpool.objects.engine import Engine

__all__ = ["ObjectStats", "read"]

# Lines of the table: what they are called, and the field. An indented one is a part of the line above.
NUMBERS = (
    ("in use", "in_use"),
    ("idle", "idle"),
    ("clients waiting", "waiting"),
    ("peak in use", "peak_in_use"),
    ("checkouts", "checkouts"),
)
CREATION = (("  mean time", "create_seconds"),)
WAITS = (
    ("  mean time", "wait_mean"),
    ("  half of them at most", "wait_p50"),
    ("  95 % of them at most", "wait_p95"),
    ("  99 % of them at most", "wait_p99"),
    ("  longest", "wait_max"),
)
FAILURES = (
    ("clients that waited in vain", "timeouts"),
    ("clients refused at once", "refused"),
    ("failures of the factory", "failures"),
)
HOLDS = (("mean time in use, sampled", "hold_mean"),)


class ObjectStats(NamedTuple):
    """A snapshot of an object pool, from `Pool.stats`; times in seconds, NaN where there was none yet.

    It cannot be changed, and can be copied, pickled and sent to another process. ``print`` shows it as a table, a
    notebook as HTML, and `as_dict` is for JSON.

    Attributes
    ----------
    size, idle, in_use, waiting : int
        Objects that count against `max_size`, idle objects, the others, and waiting clients.
    peak_in_use : int
        Most objects in use at once so far.
    checkouts, created : int
        Objects handed out, and objects created.
    create_seconds : float
        Mean time to make one.
    waits : int
        Clients that had to wait for an object, also those that got none.
    wait_mean, wait_p50, wait_p95, wait_p99, wait_max : float
        Seconds of those waits. Quantiles are at most 12.5 % too high.
    timeouts, refused : int
        Clients that got no object: after a wait, or at once.
    failures : int
        Calls of the factory that failed.
    hold_mean : float
        Mean time from checkout to return, of the checkouts that were sampled.
    discards : mapping of str to int
        Objects whose life ended, by reason: broken, failed_reset, max_idle, max_lifetime, max_uses, drained, resized,
        overflow, discarded, closed.
    name : str
        Name of the pool.
    max_size : int
        Maximum number of objects.
    state : {'open', 'closed', 'change'}
        State of the pool. Change: this is the difference of two snapshots, not a snapshot.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.Pool(dict)
    >>> for _ in range(10):
    ...     with pool.lease():
    ...         pass
    >>> stats = pool.stats()
    >>> stats.checkouts, stats.created, stats.reuse_rate
    (10, 1, 0.9)
    >>> with pool.lease():
    ...     pass
    >>> (pool.stats() - stats).checkouts                 # what happened in between
    1
    """

    size: int
    idle: int
    in_use: int
    waiting: int
    peak_in_use: int
    checkouts: int
    created: int
    create_seconds: float
    waits: int
    wait_mean: float
    wait_p50: float
    wait_p95: float
    wait_p99: float
    wait_max: float
    timeouts: int
    refused: int
    failures: int
    hold_mean: float
    discards: Mapping[str, int]
    name: str
    max_size: int
    state: Literal["open", "closed", "change"]

    @property
    def reuse_rate(self) -> float:
        """Part of the checkouts that got an object that was there, 0 to 1; NaN before the first."""
        return 1 - min(self.created, self.checkouts) / self.checkouts if self.checkouts else math.nan

    def __sub__(self, earlier: ObjectStats) -> ObjectStats:
        """What happened since `earlier`: counts and `peak_in_use` as differences, means of what came since then.

        Figures that two snapshots do not determine are NaN: the quantiles and the maximum of the waits, unless all
        waits came since then, and `hold_mean`, unless no checkout had been sampled before.
        """
        if not isinstance(earlier, ObjectStats):
            return NotImplemented
        made, waits = self.created - earlier.created, self.waits - earlier.waits
        all_new = earlier.waits == 0
        change = ObjectStats(
            size=self.size - earlier.size,
            idle=self.idle - earlier.idle,
            in_use=self.in_use - earlier.in_use,
            waiting=self.waiting - earlier.waiting,
            peak_in_use=self.peak_in_use - earlier.peak_in_use,
            checkouts=self.checkouts - earlier.checkouts,
            created=made,
            create_seconds=_mean_of(made, self.create_seconds, self.created, earlier.create_seconds),
            waits=waits,
            wait_mean=_mean_of(waits, self.wait_mean, self.waits, earlier.wait_mean),
            wait_p50=self.wait_p50 if all_new else math.nan,
            wait_p95=self.wait_p95 if all_new else math.nan,
            wait_p99=self.wait_p99 if all_new else math.nan,
            wait_max=self.wait_max if all_new else math.nan,
            timeouts=self.timeouts - earlier.timeouts,
            refused=self.refused - earlier.refused,
            failures=self.failures - earlier.failures,
            hold_mean=self.hold_mean if math.isnan(earlier.hold_mean) else math.nan,
            discards=Counts(
                {reason: count - earlier.discards[reason] for reason, count in self.discards.items()}
            ),
            name=self.name,
            max_size=self.max_size,
            state="change",
        )
        return _comparable(change)

    # --- as tables and as JSON ---

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as values that ``json.dumps`` accepts. What is NaN here is None there.

        Examples
        --------
        >>> import bufpool, json
        >>> pool = bufpool.Pool(list, name="lists")
        >>> with pool.lease():
        ...     found = json.loads(json.dumps(pool.stats().as_dict()))
        >>> found["name"], found["in_use"], found["wait_mean"]
        ('lists', 1, None)
        """
        found = {name: None if value != value else value for name, value in self._asdict().items()}
        return found | {"discards": dict(self.discards)}

    def __str__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> Table:
        rows = [(label, f"{getattr(self, name):,}") for label, name in NUMBERS]
        if self.checkouts > 0 and self.created >= 0:
            rows.append(("  that reused an object", f"{self.reuse_rate:.1%}"))
        rows += self._timed("objects created", self.created, CREATION)
        rows += self._timed("clients that waited", self.waits, WAITS)
        rows += [(label, f"{getattr(self, name):,}") for label, name in FAILURES if getattr(self, name)]
        rows += [(f"objects closed, {reason}", f"{count:,}") for reason, count in self.discards.items() if count]
        rows += self._timed("", 0, HOLDS)
        name = clipped(repr(self.name), 40)
        if self.state == "change":
            return Table(f"change of pool {name}", (), tuple(rows))
        state = "" if self.state == "open" else f", {self.state}"
        bound = f"at most {self.max_size:,} {plural(self.max_size, 'object')}"
        return Table(f"pool {name}, {bound}{state}", (), tuple(rows))

    def _timed(self, label: str, count: int, times: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        """Return a line with a count, and one for each of its times that is known."""
        found = [(each, getattr(self, name)) for each, name in times]
        lines = [(label, f"{count:,}")] if label else []
        return lines + [(each, duration(seconds)) for each, seconds in found if seconds == seconds]

    def __reduce__(self) -> tuple[Callable[..., ObjectStats], tuple[Any, ...]]:
        return _comparable, (tuple(self),)


def _comparable(figures: Iterable[Any]) -> ObjectStats:
    """Return the figures with `math.nan` for each NaN, so that equal snapshots compare equal, pickled ones too."""
    return ObjectStats._make([each if each == each else math.nan for each in figures])


def _mean_of(newest: int, mean: float, count: int, mean_before: float) -> float:
    """Return the mean of the `newest` of `count` times; NaN if there are none."""
    if newest in (0, count):
        return mean if newest else math.nan
    return (mean * count - mean_before * (count - newest)) / newest


def read(engine: Engine) -> ObjectStats:
    """Return the figures of a pool."""
    core, waits = engine.core, engine.waits
    created = engine.created.count
    stats = ObjectStats(
        size=core.size,
        idle=core.idle,
        in_use=core.in_use,
        waiting=core.waiting,
        peak_in_use=core.peak,
        checkouts=max(0, core.reused + engine.first_uses.value - engine.rejected.value),
        created=created,
        create_seconds=engine.created.mean,
        waits=waits.count,
        wait_mean=waits.mean,
        wait_p50=waits.quantile(0.5),
        wait_p95=waits.quantile(0.95),
        wait_p99=waits.quantile(0.99),
        wait_max=waits.greatest,
        timeouts=engine.timeouts.value,
        refused=engine.refused.value,
        failures=engine.failures.value,
        hold_mean=engine.held.mean,
        discards=Counts({reason: count.value for reason, count in engine.ended.items()}),
        name=engine.name,
        max_size=core.max_size,
        state="closed" if core.closed else "open",
    )
    return _comparable(stats)
