"""Memory kept after a burst, memory wasted by rounding up, and the time of the import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import bufpool
from benchmarks.harness.allocators import OWN_GROUP, environment
from benchmarks.harness.units import GIB, KIB


def burst(total: int, block: int, max_retained: int) -> dict[str, int | None]:
    """Hold `total` bytes in arrays of `block` bytes, touch every page, free all; then count what the pool still holds.

    No call trims the pool. Run it in a fresh process: ``resident_growth``, None if the platform does not report it,
    would otherwise include what earlier code left behind.
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
    """Resident bytes of this process; None without /proc."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def waste(count: int = 100_000) -> dict[str, dict[str, float]]:
    """Bytes that size classes add, in per cent of the requested bytes, over random sizes from 1 KiB to 1 GiB.

    Sizes are drawn from a uniform and from a log-uniform distribution, with a fixed seed, so that the figure depends
    on the size classes only.
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


_IMPORT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from time import perf_counter as clock; "
    "start = clock(); import numpy; middle = clock(); import bufpool; end = clock(); "
    "print(middle - start, end - middle)"
)


def import_cost(rounds: int) -> list[tuple[float, float]]:
    """Seconds for ``import numpy`` and then ``import bufpool``, each round in a fresh interpreter.

    The first interpreter is not counted: it writes bytecode and fills the page cache.
    """
    env = environment("default")
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise every round would compile the sources
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
