"""What a pool did and holds, as a frozen snapshot; the difference of two says what happened in between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

__all__ = ["ClassStats", "Counts", "PoolStats"]

DROP_REASONS = ("over_max_retained", "aged_out", "trimmed", "closed")


class Counts(Mapping[str, int]):
    """Counts by their reason, read-only: `types.MappingProxyType` cannot be pickled, nor copied deeply."""

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = dict(counts)

    def __getitem__(self, reason: str, /) -> int:
        return self._counts[reason]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return repr(self._counts)

    def __reduce__(self) -> tuple[type[Counts], tuple[dict[str, int]]]:
        return Counts, (self._counts.copy(),)


class ClassStats(NamedTuple):
    """One size class.

    Attributes
    ----------
    size : int
        Bytes of a block.
    total : int
        Blocks that exist, in use and idle.
    idle : int
        Blocks ready for reuse.
    hits : int
        Checkouts that found an idle block.
    misses : int
        Checkouts that made a block.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.BufferPool()
    >>> a = pool.empty(1000, "u1")
    >>> pool.stats().classes[0].size, pool.stats().classes[0].in_use
    (1024, 1)
    """

    size: int
    total: int
    idle: int
    hits: int
    misses: int

    @property
    def in_use(self) -> int:
        """Blocks out."""
        return self.total - self.idle


class PoolStats(NamedTuple):
    """A snapshot of a pool, from `BufferPool.stats`: exact while no other thread uses the pool; bytes of whole blocks.

    It cannot be changed, and can be copied, pickled and sent to another process.

    Attributes
    ----------
    in_use_bytes : int
        Bytes of the blocks that are out.
    idle_bytes : int
        Bytes of the blocks ready for reuse.
    reserved_bytes : int
        In use and idle: what `limit` bounds.
    peak_bytes : int
        Highest bytes in use so far, to within the few small blocks that threads park for themselves.
    mapped_bytes : int
        Address space taken from the system for the blocks, slabs not yet cut up included.
    hits : int
        Checkouts that found an idle block.
    misses : int
        Checkouts that needed a new block.
    refused : int
        Requests refused, by the limit or by the system.
    degraded : int
        Maps that asked for explicit huge pages and got others.
    drops : mapping of str to int
        Blocks given back to the system, by reason: over_max_retained, aged_out, trimmed, closed.
    classes : tuple of ClassStats
        Size classes that were ever used, smallest first.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.BufferPool()
    >>> before = pool.stats()
    >>> for _ in range(10):
    ...     a = pool.empty(1 << 20, "u1")
    >>> did = pool.stats() - before
    >>> did.misses, did.hits, did.in_use_bytes
    (2, 8, 1048576)
    """

    in_use_bytes: int
    idle_bytes: int
    reserved_bytes: int
    peak_bytes: int
    mapped_bytes: int
    hits: int
    misses: int
    refused: int
    degraded: int
    drops: Mapping[str, int]
    classes: tuple[ClassStats, ...]

    @property
    def hit_rate(self) -> float:
        """Hits in all checkouts, 0 to 1; NaN before the first."""
        checkouts = self.hits + self.misses
        return self.hits / checkouts if checkouts else float("nan")

    def __sub__(self, earlier: PoolStats) -> PoolStats:
        """What changed since `earlier`: every figure, `peak_bytes` too, as a difference."""
        if not isinstance(earlier, PoolStats):
            return NotImplemented
        then = {each.size: each for each in earlier.classes}
        classes: list[ClassStats] = []
        for each in self.classes:
            was = then.get(each.size, ClassStats(each.size, 0, 0, 0, 0))
            change = ClassStats(
                each.size, *[now - before for now, before in zip(each[1:], was[1:], strict=True)]
            )
            if any(change[1:]):
                classes.append(change)
        plain = [now - before for now, before in zip(self[:9], earlier[:9], strict=True)]
        drops = {reason: count - earlier.drops[reason] for reason, count in self.drops.items()}
        return PoolStats._make((*plain, Counts(drops), tuple(classes)))


def from_reading(reading: dict[str, Any]) -> PoolStats:
    """Names for the core's plain counts."""
    # Lists and no generators: without memory for a generator's function CPython 3.13 frees code that is in use.
    classes = tuple([ClassStats(*each) for each in reading["classes"]])
    in_use = reading["in_use_bytes"]
    reserved = reading["reserved_bytes"]
    return PoolStats(
        in_use_bytes=in_use,
        idle_bytes=max(0, reserved - in_use),
        reserved_bytes=reserved,
        peak_bytes=reading["peak_bytes"],
        mapped_bytes=reading["mapped_bytes"],
        hits=sum([each.hits for each in classes]),
        misses=sum([each.misses for each in classes]),
        refused=reading["refused"],
        degraded=reading["degraded"],
        drops=Counts(dict(zip(DROP_REASONS, reading["drops"], strict=True))),
        classes=classes,
    )
