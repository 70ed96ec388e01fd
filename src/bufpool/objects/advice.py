"""What the figures of an object pool say: whether it pays, whether its size is right; and who has its objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, NoReturn, TypeVar

from bufpool._words import duration, plural
from bufpool.objects import tracing
from bufpool.objects.native._lease import PoolFront
from bufpool.objects.stats import ObjectStats, read

if TYPE_CHECKING:
    from bufpool.objects.tracing import Holder

__all__ = ["Advice", "Readings", "advise"]

T = TypeVar("T")

#: Seconds that a checkout and its return take, roughly.
CHECKOUT = 0.3e-6
#: Checkouts below which there is no advice.
ENOUGH = 100
#: Objects that must have been created before a time below QUICK counts: the first call of a function is slow.
SAMPLES = 3
QUICK = 50e-6


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
        f"{duration(stats.create_seconds)}, a checkout about {duration(CHECKOUT)}"
    )
    if stats.created < SAMPLES and CHECKOUT < stats.create_seconds < QUICK and saved > 0:
        reasons.append(f"{figures}: the first call of anything is slow, so that says little about the next")
        return None
    if saved <= 0:
        why = "making one is as quick" if stats.create_seconds < 2 * CHECKOUT else "too few are used again"
        reasons.append(f"{figures}: {why}")
        return False
    reasons.append(f"{figures}: {duration(saved)} saved so far")
    waited = stats.waits * stats.wait_mean if stats.waits else 0.0
    if waited > saved:
        reasons.append(
            f"clients waited {duration(waited)} in all, more than reuse has saved: what the bound costs, or what it is "
            "for"
        )
    return True


def _size(
    stats: ObjectStats, max_size: int, reasons: list[str]
) -> Literal["right", "too small", "too large", "unknown"]:
    if stats.checkouts < ENOUGH:
        return "unknown"
    without = stats.timeouts + stats.refused
    clients = stats.checkouts + without
    waited = stats.waits / clients
    peak = f"{stats.peak_in_use} of {max_size} {plural(max_size, 'object')} in use at once"
    if without or (waited > 0.05 and stats.wait_p99 > max(stats.create_seconds, 1e-3)):
        times = (
            f" (half within {duration(stats.wait_p50)}, 99 % within {duration(stats.wait_p99)})"
            if stats.waits
            else ""
        )
        full = stats.peak_in_use >= max_size
        reasons.append(
            f"the peak was {peak}: {stats.waits} of {clients} {plural(clients, 'client')} "
            f"waited{times}, {without} got nothing"
        )
        if full:
            return "too small"
    if stats.peak_in_use <= max_size // 2:
        reasons.append(f"the peak was {peak}: fewer would do")
        return "too large"
    if not without:
        reasons.append(f"the peak was {peak}; {waited:.1%} of clients waited")
    return "right"


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
        return tuple(tracing.holders(self._core.held()))

    def __repr__(self) -> str:
        closed = ", closed" if self.closed else ""
        waiting = f", {self.waiting} waiting" if self.waiting else ""
        return (
            f"<{type(self).__name__} {self.name!r}: {self.in_use} of {self.max_size} "
            f"{plural(self.max_size, 'object')} in use, {self.idle} idle{waiting}{closed}>"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle or copy pool {self.name!r}: its objects are this process's")
