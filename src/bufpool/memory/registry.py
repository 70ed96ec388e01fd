"""All memory pools of the process, and their totals."""

from __future__ import annotations

from typing import Any

from bufpool._tables import Table
from bufpool._words import plural, readable
from bufpool.memory.native._arena import read_pools
from bufpool.memory.stats import PoolStats, from_reading

__all__ = ["PoolsReading", "pools"]

SUMS = ("in_use_bytes", "idle_bytes", "reserved_bytes")


class PoolsReading(tuple[PoolStats, ...]):
    """Snapshots of all memory pools of the process, from `pools`: a tuple of `PoolStats`, oldest pool first.

    It includes pools whose object is gone, with the state ``'deleted'``, while their arrays and buffers hold memory.
    ``print`` shows a table with a line for each pool and a total; a notebook shows it as HTML. It keeps no pool and no
    block alive, and can be copied, pickled and sent to another process.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.BufferPool(name="thumbnails")
    >>> a = pool.empty(1 << 20, "u1")
    >>> [each.in_use_bytes for each in bufpool.pools() if each.name == "thumbnails"]
    [1048576]
    """

    __slots__ = ()

    @property
    def in_use_bytes(self) -> int:
        """Bytes in use, summed over all pools."""
        return sum([each.in_use_bytes for each in self])

    @property
    def idle_bytes(self) -> int:
        """Idle bytes, summed over all pools."""
        return sum([each.idle_bytes for each in self])

    @property
    def reserved_bytes(self) -> int:
        """Bytes in use plus idle, summed over all pools."""
        return sum([each.reserved_bytes for each in self])

    def as_dict(self) -> dict[str, Any]:
        """Return the totals and each pool's `PoolStats.as_dict`, for ``json.dumps``.

        Examples
        --------
        >>> import bufpool
        >>> list(bufpool.pools().as_dict())
        ['pools', 'in_use_bytes', 'idle_bytes', 'reserved_bytes']
        """
        totals = {name: getattr(self, name) for name in SUMS}
        return {"pools": [each.as_dict() for each in self], **totals}

    def __repr__(self) -> str:
        used, idle = readable(self.in_use_bytes), readable(self.idle_bytes)
        return f"<PoolsReading: {len(self)} {plural(len(self), 'pool')}, {used} in use, {idle} idle>"

    def __str__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> Table:
        rows = [
            (
                repr(each.name) if each.state == "open" else f"({each.state}) {each.name!r}",
                "none" if each.limit is None else readable(each.limit),
                *[readable(getattr(each, name)) for name in SUMS],
            )
            for each in self
        ]
        total = f"{len(self)} {plural(len(self), 'pool')}"
        rows.append((total, "", *[readable(getattr(self, name)) for name in SUMS]))
        return Table("", ("pool", "limit", "in use", "idle", "total"), tuple(rows))


def pools() -> PoolsReading:
    """Return a snapshot of each `BufferPool` of the process, oldest first, with totals.

    It includes closed pools, and pools whose object is gone while their arrays hold memory. In a forked child it shows
    the child's memory. Pools of objects (`Pool`, `AsyncPool`) are not included: they hold no memory of bufpool's.

    Returns
    -------
    PoolsReading
        A tuple of `PoolStats` that prints as a table.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.BufferPool(name="sockets")
    >>> "sockets" in [each.name for each in bufpool.pools()]
    True
    """
    return PoolsReading([from_reading(each) for each in read_pools()])
