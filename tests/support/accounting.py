"""What every test of the pool may ask at any moment: is each byte accounted for, and did everything come back?"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import numpy as np

from bufpool import BufferPool, PoolStats


def conserved(pool: BufferPool) -> PoolStats:
    """The counts, in which what is in use and idle makes up what is reserved: in total, and over the size classes."""
    stats = pool.stats()
    assert stats.in_use_bytes + stats.idle_bytes == stats.reserved_bytes
    assert sum(each.size * each.total for each in stats.classes) + stats.free_bytes == stats.reserved_bytes
    assert sum(each.size * each.in_use for each in stats.classes) == stats.in_use_bytes
    assert all(0 <= each.idle <= each.total for each in stats.classes)
    return stats


def in_use(pool: BufferPool) -> int:
    """Bytes out; if any, after collecting garbage and merging the counts of references that threads dropped."""
    if pool.stats().in_use_bytes != 0:
        gc.collect()
    return pool.stats().in_use_bytes


def all_back(pool: BufferPool) -> bool:
    """Nothing is out, nothing is lost: all idle memory can be given back.

    What a thread parked comes back when the system ends it, which is a moment after Python has joined it, and a reading
    just then may count a block at both places or at neither.
    """
    if not threads_ended(lambda: in_use(pool) == 0 and conserved(pool)):
        assert in_use(pool) == 0
        assert conserved(pool)

    def nothing_left() -> bool:
        pool.trim()
        return pool.stats().reserved_bytes == 0

    return threads_ended(nothing_left)


def handler(*array: np.ndarray) -> str | None:
    """The name of the allocator that NumPy uses in this context, or that an array is of."""
    return np._core.multiarray.get_handler_name(*array)


def threads_ended(so: Callable[[], object]) -> bool:
    """Whether something holds, at the latest a second from now, when the system has ended the threads joined."""
    for _ in range(200):
        with contextlib.suppress(AssertionError):
            if so():
                return True
        time.sleep(0.005)
    return False


def run_python(code: str) -> str:
    """What a fresh interpreter prints that runs `code`; it must exit with 0, without a word on stderr."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-X", "faulthandler", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    assert result.returncode == 0, f"exit status {result.returncode}: {result.stderr}"
    assert result.stderr == "", result.stderr
    return result.stdout
