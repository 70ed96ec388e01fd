"""What an object pool reports: its figures, whether it pays, whether its size is right, and who has its objects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, TypeVar

from bufpool._counts import Counts
from bufpool._words import plural
from bufpool.objects import tracing
from bufpool.objects.native._lease import PoolFront

if TYPE_CHECKING:
    from bufpool.objects.engine import Engine
    from bufpool.objects.tracing import Holder

__all__ = ["Advice", "ObjectStats", "Readings", "advise", "read"]

T = TypeVar("T")

#: Seconds that a checkout and its return take, roughly.
CHECKOUT = 0.3e-6
#: Checkouts below which there is no advice.
ENOUGH = 100
#: Objects that must have been created before a time below QUICK counts: the first call of a function is slow.
SAMPLES = 3
QUICK = 50e-6


class ObjectStats(NamedTuple):
    """A snapshot of an object pool, from `Pool.stats`; times in seconds, NaN where there was none yet.

    It cannot be changed, and can be copied, pickled and sent to another process.

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
        Checkouts that had to wait for an object to come back, and got one.
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
        return ObjectStats(
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
        )

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


class Advice(NamedTuple):
    """What the figures say, from `Pool.advice`; ``str()`` of it is the whole in words.

    Attributes
    ----------
    pays : bool or None
        Whether pooling these objects saves time; None: too early to say.
    size : {'right', 'too small', 'too large', 'unknown'}
        What `max_size` is.
    reasons : tuple of str
        Sentences, each with the figures that it rests on.

    Examples
    --------
    >>> import bufpool
    >>> print(bufpool.Pool(list).advice())
    Too early to say; its size is unknown.
    - 0 checkouts so far; 100 say something
    """

    pays: bool | None
    size: Literal["right", "too small", "too large", "unknown"]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        verdict = {True: "The pool pays", False: "The pool does not pay", None: "Too early to say"}[self.pays]
        return f"{verdict}; its size is {self.size}.\n" + "\n".join(f"- {reason}" for reason in self.reasons)


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
    )
    return _comparable(stats)


def advise(stats: ObjectStats, max_size: int) -> Advice:
    """Return the advice for a pool of at most `max_size` objects with these figures."""
    reasons: list[str] = []
    pays = _pays(stats, reasons)
    size = _size(stats, max_size, reasons)
    if stats.failures:
        reasons.append(
            f"the factory failed {stats.failures} {plural(stats.failures, 'time')} and made {stats.created} "
            f"{plural(stats.created, 'object')}"
        )
    broken = stats.discards["broken"] + stats.discards["failed_reset"]
    if broken > 0.1 * stats.checkouts:
        reasons.append(
            f"{broken} {plural(broken, 'object was', 'objects were')} found broken in {stats.checkouts} "
            f"{plural(stats.checkouts, 'checkout')}: ask what breaks them"
        )
    return Advice(pays, size, tuple(reasons))


def _pays(stats: ObjectStats, reasons: list[str]) -> bool | None:
    if stats.checkouts < ENOUGH or not stats.created:
        reasons.append(
            f"{stats.checkouts} {plural(stats.checkouts, 'checkout')} so far; {ENOUGH} say something"
        )
        return None
    reused = stats.checkouts - stats.created
    saved = reused * stats.create_seconds - stats.checkouts * CHECKOUT
    figures = (
        f"{stats.created} {plural(stats.created, 'object')} served {stats.checkouts} "
        f"{plural(stats.checkouts, 'checkout')} (reuse {stats.reuse_rate:.1%}); making one takes "
        f"{show(stats.create_seconds)}, a checkout about {show(CHECKOUT)}"
    )
    if stats.created < SAMPLES and CHECKOUT < stats.create_seconds < QUICK and saved > 0:
        reasons.append(f"{figures}: the first call of anything is slow, so that says little about the next")
        return None
    if saved <= 0:
        why = "making one is as quick" if stats.create_seconds < 2 * CHECKOUT else "too few are used again"
        reasons.append(f"{figures}: {why}")
        return False
    reasons.append(f"{figures}: {show(saved)} saved so far")
    waited = stats.waits * stats.wait_mean if stats.waits else 0.0
    if waited > saved:
        reasons.append(
            f"clients waited {show(waited)} in all, more than reuse has saved: what the bound costs, or what it is for"
        )
    return True


def _size(
    stats: ObjectStats, max_size: int, reasons: list[str]
) -> Literal["right", "too small", "too large", "unknown"]:
    if stats.checkouts < ENOUGH:
        return "unknown"
    without = stats.timeouts + stats.refused
    waited = stats.waits / stats.checkouts
    peak = f"{stats.peak_in_use} of {max_size} {plural(max_size, 'object')} in use at once"
    if without or (waited > 0.05 and stats.wait_p99 > max(stats.create_seconds, 1e-3)):
        times = (
            f" (half within {show(stats.wait_p50)}, 99 % within {show(stats.wait_p99)})"
            if stats.waits
            else ""
        )
        full = stats.peak_in_use >= max_size
        reasons.append(
            f"the peak was {peak}: {stats.waits} of {stats.checkouts} {plural(stats.checkouts, 'checkout')} "
            f"waited{times}, {without} went without"
        )
        if full:
            return "too small"
    if stats.peak_in_use <= max_size // 2:
        reasons.append(f"the peak was {peak}: fewer would do")
        return "too large"
    if not without:
        reasons.append(f"the peak was {peak}; {waited:.1%} of checkouts waited")
    return "right"


def show(seconds: float) -> str:
    """Return a time in a unit that suits it."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns"


class Readings(PoolFront[T]):
    """The part of `Pool` and `AsyncPool` that reports on the pool."""

    __slots__ = ()

    def stats(self) -> ObjectStats:
        """Return a snapshot of all counts and times. It blocks no client.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> with pool.lease():
        ...     pool.stats().in_use
        1
        """
        return read(self._core.engine)

    def advice(self) -> Advice:
        """Say whether the pool pays, and whether its size is right, with the figures that this rests on.

        Examples
        --------
        >>> import bufpool, time
        >>> pool = bufpool.Pool(lambda: time.sleep(0.001) or object(), max_size=1)
        >>> for _ in range(200):
        ...     with pool.lease():
        ...         pass
        >>> pool.advice().pays
        True
        """
        return advise(self.stats(), self.max_size)

    def leases(self) -> tuple[Holder[T], ...]:
        """Return which threads and tasks have an object, since when, and, if the checkout was sampled, its stack.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list, debug=True)
        >>> with pool.lease() as x:
        ...     [each.thread for each in pool.leases()]
        ['MainThread']
        """
        return tuple([tracing.holder(each) for each in self._core.held()])

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        waiting = f", {self.waiting} waiting" if self.waiting else ""
        return (
            f"<{type(self).__name__} {self.name!r}: {self.in_use} of {self.max_size} "
            f"{plural(self.max_size, 'object')} in use, {self.idle} idle{waiting}{closed}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy pool {self.name!r}: its objects are this process's")
