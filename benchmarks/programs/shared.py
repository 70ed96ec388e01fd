"""What the other benchmarks have too, imported here and nowhere else in this folder."""

from __future__ import annotations

from benchmarks.page import fill

from bufpool._words import plural
from bufpool.cli.bench.allocators import ALLOCATORS, OWN_GROUP, environment, locate, missing
from bufpool.cli.bench.machine import describe

__all__ = ["ALLOCATORS", "OWN_GROUP", "describe", "environment", "fill", "locate", "missing", "plural"]
