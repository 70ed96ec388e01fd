"""Counts by their reason, as snapshots hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

__all__ = ["Counts"]


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
