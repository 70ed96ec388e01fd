"""Every benchmark, in the order of the table."""

from __future__ import annotations

from benchmarks.suite import memory, objects

BENCHMARKS = (*memory.BENCHMARKS, *objects.BENCHMARKS)
