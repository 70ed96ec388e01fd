"""What the other benchmarks have too, imported here and nowhere else in this folder."""

from __future__ import annotations

from benchmarks.page import fill

from bufpool.cli.bench.allocators import OWN_GROUP, environment, locate, missing
from bufpool.cli.bench.machine import describe

__all__ = ["OWN_GROUP", "describe", "environment", "fill", "locate", "missing"]
