"""Figures that are no races: bytes kept after a burst, bytes wasted by rounding, the cost of the import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import bufpool
from bufpool.cli.bench.allocators import OWN_GROUP, environment

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def burst(total: int, block: int, max_retained: int) -> dict[str, int | None]:
    """Hold `total` bytes in arrays of `block` bytes, touch every page, drop all; then count what is still held.

    No call asks the pool to give anything back.  Run it in a fresh process: ``resident_growth``, None where the
    platform does not tell, would otherwise count what others left behind.
    """
    pool = bufpool.BufferPool(max_retained=max_retained, name="bench burst")
    before = resident()
    arrays = [pool.empty(block, np.uint8) for _ in range(total // block)]
    for array in arrays:
        array[::4096] = 1
    peak = resident()
    arrays.clear()
    del array
    after = resident()
    known = before is not None and peak is not None and after is not None
    return {
        "reserved": pool.stats().reserved_bytes,
        "resident_peak": peak - before if known else None,  # type: ignore[operator]
        "resident_growth": after - before if known else None,  # type: ignore[operator]
    }


def resident() -> int | None:
    """Bytes of this process that are in memory now; None where there is no /proc."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def waste(count: int = 100_000) -> dict[str, dict[str, float]]:
    """Bytes that size classes add, in per cent of the bytes asked for, over random sizes from 1 KiB to 1 GiB.

    Two ways to be random: even over the sizes, and even over their logarithms, in which small sizes count as much as
    large ones.  Seeded, so that the figure depends on nothing but the size classes.
    """
    rng = np.random.default_rng(2024)
    logarithmic = np.exp(rng.uniform(np.log(KIB), np.log(GIB), count)).astype(np.int64)
    drawn = {"log-uniform": logarithmic, "uniform": rng.integers(KIB, GIB, count)}
    found = {}
    for name, sizes in drawn.items():
        given = np.array([bufpool.good_size(int(size)) for size in sizes], dtype=np.int64)
        share = 100.0 * (given - sizes) / sizes
        found[name] = {"mean": float(share.mean()), "worst": float(share.max())}
    return found


PROBES: dict[str, Callable[..., Any]] = {"burst": burst, "waste": waste}

_IMPORT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from time import perf_counter as clock; "
    "start = clock(); import numpy; middle = clock(); import bufpool; end = clock(); "
    "print(middle - start, end - middle)"
)


def import_cost(rounds: int) -> list[tuple[float, float]]:
    """Seconds for ``import numpy`` and then ``import bufpool``, each round in a fresh interpreter.

    The first interpreter is not counted: it writes the bytecode and fills the page cache for the others.
    """
    env = environment("default")
    env.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # else every round would compile the sources, which no user's import does
    found = []
    for _ in range(rounds + 1):
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT, json.dumps(sys.path)],
            env=env,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            **OWN_GROUP,
        )
        first, second = map(float, done.stdout.split())
        found.append((first, second))
    return found[1:]
