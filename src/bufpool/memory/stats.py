"""Snapshots of a pool's counts. The difference of two shows what happened in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from bufpool._counts import Counts
from bufpool._tables import Table, clipped
from bufpool._words import plural, readable

__all__ = ["ClassStats", "PoolStats"]

DROP_REASONS = ("over_max_retained", "aged_out", "trimmed", "closed")


class ClassStats(NamedTuple):
    """Counts of one size class.

    Attributes
    ----------
    size : int
        Bytes of a block.
    total : int
        Number of blocks, in use and idle.
    idle : int
        Number of blocks ready for reuse.
    hits : int
        Number of checkouts that found an idle block.
    misses : int
        Number of checkouts that made a block.

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
        """Number of blocks in use."""
        return self.total - self.idle


class PoolStats(NamedTuple):
    """A snapshot of a pool's counts, made by `BufferPool.stats`.

    It is exact if no other thread uses the pool meanwhile. Blocks count with their full size. A snapshot never changes,
    and can be copied, pickled and sent to another process. ``print`` shows it as a table, a notebook as HTML, and
    `as_dict` is for JSON. `idle_bytes` is the sum of `trimmable_bytes`, `pinned_bytes` and `cached_bytes`.

    Attributes
    ----------
    in_use_bytes : int
        Bytes of blocks in use.
    idle_bytes : int
        Bytes ready for reuse.
    reserved_bytes : int
        Bytes in use plus idle. The pool's `limit` bounds them.
    peak_bytes : int
        Most bytes in use so far. It may include the few small blocks in thread caches.
    mapped_bytes : int
        Bytes of the system's memory that the pool holds: `reserved_bytes`, and the rest of partly used pages.
    hits : int
        Number of checkouts that idle memory served.
    misses : int
        Number of checkouts that needed memory from the system, or a new small block.
    refused : int
        Number of requests that failed, at the limit or because the system had no memory.
    degraded : int
        Number of regions that got ordinary pages, because the reserve of ``upstream='hugetlb'`` was empty.
    drops : mapping of str to int
        How often memory went back to the system, by reason: over_max_retained (or more than recent use justifies),
        aged_out, trimmed (by ``trim()``, or at the limit to make room for another request), closed.
    classes : tuple of ClassStats
        Size classes that were ever used, smallest first.
    dropped_bytes : mapping of str to int
        Bytes that went back to the system, by the same reasons.
    peak_reserved_bytes : int
        Most bytes in use plus idle so far.
    trimmable_bytes : int
        Idle bytes that ``trim()`` would return now, without the caches of other threads.
    pinned_bytes : int
        Idle bytes that ``trim()`` cannot return: small blocks on a page with a block that is in use or in another
        thread's cache.
    cached_bytes : int
        Idle bytes of small blocks in the caches of other threads. ``trim()`` returns them too, unless a thread is using
        its cache at that moment.
    free_bytes : int
        Idle bytes that belong to no size class and can serve any request.
    purged_bytes : int
        Bytes of address space without memory, because it went back to the system or was never needed.
    name : str
        Name of the pool.
    limit : int or None
        Limit of the pool in bytes; None: no limit.
    state : {'open', 'closed', 'deleted', 'change'}
        State of the pool. Deleted: the pool object is gone, but its blocks in use keep memory. Change: this is the
        difference of two snapshots, not a snapshot.

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
    dropped_bytes: Mapping[str, int]
    peak_reserved_bytes: int
    trimmable_bytes: int
    pinned_bytes: int
    cached_bytes: int
    free_bytes: int
    purged_bytes: int
    name: str
    limit: int | None
    state: Literal["open", "closed", "deleted", "change"]

    @property
    def hit_rate(self) -> float:
        """Share of the checkouts that idle memory served, from 0 to 1; NaN before the first checkout."""
        checkouts = self.hits + self.misses
        return self.hits / checkouts if checkouts else float("nan")

    def __sub__(self, earlier: PoolStats) -> PoolStats:
        """Return the change since `earlier`: the difference of every count, also of the peaks."""
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
        changes: dict[str, Any] = {name: getattr(self, name) - getattr(earlier, name) for name in FIGURES}
        for name in ("drops", "dropped_bytes"):
            before = getattr(earlier, name)
            changes[name] = Counts({why: count - before[why] for why, count in getattr(self, name).items()})
        return self._replace(**changes, classes=tuple(classes), state="change")

    # --- as tables and as JSON ---

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as values that ``json.dumps`` accepts: dicts, lists, integers, strings and None.

        Examples
        --------
        >>> import bufpool, json
        >>> pool = bufpool.BufferPool(name="frames")
        >>> a = pool.empty(1000, "u1")
        >>> found = json.loads(json.dumps(pool.stats().as_dict()))
        >>> found["name"], found["in_use_bytes"], found["classes"]
        ('frames', 1024, [{'size': 1024, 'total': 1, 'idle': 0, 'hits': 0, 'misses': 1}])
        """
        found = self._asdict()
        found.update(
            drops=dict(self.drops),
            dropped_bytes=dict(self.dropped_bytes),
            classes=[each._asdict() for each in self.classes],
        )
        return found

    def __str__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> Table:
        rows = [(label, readable(getattr(self, name))) for label, name in ROWS]
        rows.append(("checkouts", f"{self.hits + self.misses:,}"))
        if self.hits + self.misses > 0 and self.hits >= 0 and self.misses >= 0:
            rows.append(("  served by idle memory", f"{self.hit_rate:.1%}"))
        if self.refused:
            rows.append(("requests refused", f"{self.refused:,}"))
        for reason, count in self.drops.items():
            if count:
                label = f"given back, {reason}: {count:,} {plural(count, 'time')}"
                rows.append((label, readable(self.dropped_bytes[reason])))
        if self.state == "change":
            return Table(f"change of BufferPool {clipped(repr(self.name), 50)}", (), tuple(rows))
        limit = "no limit" if self.limit is None else f"limit {readable(self.limit)}"
        state = "" if self.state == "open" else f", {self.state}"
        title = f"BufferPool {clipped(repr(self.name), 40)}, {limit}{state}"
        return Table(title, (), tuple(rows), self._why_not_more())

    def _why_not_more(self) -> str:
        """Say why ``trim()`` would not give back all that is idle."""
        if self.idle_bytes == 0:
            return "trim() would return nothing: nothing is idle."
        cached = f"what other threads cache, {readable(self.cached_bytes)}" if self.cached_bytes else ""
        if self.pinned_bytes:
            others = f" It also takes {cached}." if cached else ""
            return f"trim() cannot return more: blocks in use or cached pin {readable(self.pinned_bytes)}.{others}"
        return f"trim() would return all that is idle{f', also {cached}' if cached else ''}."


# Lines of the table of bytes: what they are called, and the field. An indented one is a part of the line above.
ROWS = (
    ("in use", "in_use_bytes"),
    ("idle", "idle_bytes"),
    ("  trim() would return", "trimmable_bytes"),
    ("  pinned by survivors", "pinned_bytes"),
    ("  in other threads' caches", "cached_bytes"),
    ("  of any size", "free_bytes"),
    ("in use and idle", "reserved_bytes"),
    ("peak in use", "peak_bytes"),
    ("peak in use and idle", "peak_reserved_bytes"),
    ("memory of the system", "mapped_bytes"),
    ("purged, addresses only", "purged_bytes"),
)
FIGURES = (*[name for _, name in ROWS], "hits", "misses", "refused", "degraded")


def from_reading(reading: dict[str, Any]) -> PoolStats:
    """Return names for a reading of all (`PoolBase._read_all`)."""
    # Lists and no generators: without memory for a generator's function CPython 3.13 frees code that is in use.
    classes = tuple([ClassStats(*each) for each in reading["classes"]])
    in_use = reading["in_use_bytes"]
    reserved = reading["reserved_bytes"]
    # Read one after the other while threads work: parts that are more than the whole are cut, so that they add up.
    idle = max(0, reserved - in_use)
    cached = min(reading["cached_bytes"], idle)
    trimmable = min(reading["trimmable_bytes"], idle - cached)
    return PoolStats(
        in_use_bytes=in_use,
        idle_bytes=idle,
        reserved_bytes=reserved,
        peak_bytes=reading["peak_bytes"],
        mapped_bytes=reading["mapped_bytes"],
        hits=sum([each.hits for each in classes]),
        misses=sum([each.misses for each in classes]),
        refused=reading["refused"],
        degraded=reading["degraded"],
        drops=by_reason(reading["drops"]),
        classes=classes,
        dropped_bytes=by_reason(reading["dropped_bytes"]),
        peak_reserved_bytes=reading["peak_reserved_bytes"],
        trimmable_bytes=trimmable,
        pinned_bytes=idle - cached - trimmable,
        cached_bytes=cached,
        free_bytes=min(reading["free_bytes"], idle),
        purged_bytes=reading["purged_bytes"],
        name=reading["name"],
        limit=reading["limit"],
        state=reading["state"],
    )


def by_reason(counts: Sequence[int]) -> Counts:
    """Return counts of the core with their reasons."""
    return Counts(dict(zip(DROP_REASONS, counts, strict=True)))
