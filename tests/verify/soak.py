"""Four threads with arrays of log-uniform sizes, for a long time: how much memory a pool holds beside plain NumPy, and
whether it grows.

Both programs run at the same time, in processes of their own. Each array is stamped at both ends, and the stamps are
read when it goes.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import bufpool
from tests.verify.check import Check, Found

MIB = 1 << 20
THREADS = 4
ALIVE = 64 * MIB  # most of each thread
STATM = Path("/proc/self/statm")
PROGRAM = "import json, sys; from tests.verify.soak import run; print(json.dumps(run(sys.argv[1], float(sys.argv[2]))))"

LACKS_PROC = "" if STATM.exists() else "resident memory is read from /proc"


def resident() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def work(context: Any, seed: int, until: float, told: list[str]) -> None:
    generator = random.Random(seed)
    alive: list[tuple[Any, int]] = []
    held = 0
    with context:
        while time.monotonic() < until:
            size = int(2 ** generator.uniform(10, 25))
            while held + size > ALIVE:
                i = generator.randrange(len(alive))
                alive[i], alive[-1] = alive[-1], alive[i]
                array, stamp = alive.pop()
                if array[0] != stamp or array[-1] != stamp:
                    told.append(f"an array of {array.nbytes} bytes holds what it was not given")
                held -= array.nbytes
            array = np.empty(size, "u1")
            array[::4096] = array[-1] = stamp = generator.randrange(256)
            alive.append((array, stamp))
            held += size


def run(kind: str, seconds: float) -> dict[str, Any]:
    """One of the two programs: mean MiB resident above the start, in each eighth of the time."""
    pool = bufpool.BufferPool() if kind == "pool" else None
    before, until = resident(), time.monotonic() + seconds
    told: list[str] = []
    threads = [
        threading.Thread(target=work, args=(pool or nullcontext(), seed, until, told)) for seed in range(THREADS)
    ]
    for each in threads:
        each.start()
    samples = []
    while time.monotonic() < until:
        samples.append((resident() - before) / MIB)
        time.sleep(0.02)
    for each in threads:
        each.join()
    step = len(samples) // 8
    return {"eighths": [statistics.fmean(samples[i * step : (i + 1) * step]) for i in range(8)], "told": told}


def soak(seconds: float) -> Found:
    """Both programs side by side. The first eighth is their warm-up."""
    running = {
        kind: subprocess.Popen([sys.executable, "-c", PROGRAM, kind, str(seconds)], stdout=subprocess.PIPE, text=True)
        for kind in ("plain", "pool")
    }
    said = {kind: json.loads(each.communicate()[0]) for kind, each in running.items()}
    plain, pool = (statistics.fmean(said[kind]["eighths"][1:]) for kind in ("plain", "pool"))
    middle, end = (statistics.fmean(said["pool"]["eighths"][i : i + 2]) for i in (4, 6))
    wrong = said["pool"]["told"]
    if pool > 1.3 * plain:
        wrong.append(f"{pool:.0f} MiB resident on average, plain NumPy {plain:.0f}")
    if end > 1.05 * middle:
        wrong.append(f"it grows: {middle:.0f} MiB resident in the third quarter, {end:.0f} in the last one")
    size = f"{seconds:.0f} s, {pool:.0f} MiB resident on average, {end:.0f} at the end, plain NumPy {plain:.0f}"
    return Found(size, tuple(wrong))


def checks(full: bool) -> Iterator[Check]:
    yield Check(f"soak: {THREADS} threads, sizes of 1 KiB to 32 MiB", partial(soak, 600 if full else 30), LACKS_PROC)
