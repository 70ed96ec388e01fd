"""What an object pool tells of itself: figures, advice, who has what."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from bufpool._words import plural
from bufpool.objects import tracing
from bufpool.objects.advice import Advice, ObjectStats, advise, read
from bufpool.objects.native._front import PoolFront
from bufpool.objects.tracing import Holder

__all__ = ["Readings"]

T = TypeVar("T")


class Readings(PoolFront[T]):
    """What pools of objects for threads and for tasks tell of themselves."""

    __slots__ = ()

    def stats(self) -> ObjectStats:
        """Return a snapshot of all counts and times. It stops nobody.

        Examples
        --------
        >>> import bufpool
        >>> pool = bufpool.Pool(list)
        >>> with pool.lease():
        ...     pool.stats().in_use
        1
        """
        return read(self._core.lifecycle)

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
        """Who has an object now, since when, and, where the checkout was sampled, from where.

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
