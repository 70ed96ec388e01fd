"""What a run reused, how long it took and how many page faults it had, said at its end."""

from __future__ import annotations

import os
import sys
from time import perf_counter

from bufpool import BufferPool
from bufpool.cli.run.threads import Threads

__all__ = ["Report", "report_refusals"]


def report_refusals(pool: BufferPool, process: int) -> None:
    """Say on stderr that the limit, and not the machine, was why NumPy raised MemoryError."""
    refused = pool.stats().refused
    if refused and pool.limit is not None and os.getpid() == process:
        were = "request was" if refused == 1 else "requests were"
        sys.stderr.write(f"bufpool run: {refused:,} {were} refused at --limit {readable(pool.limit)}\n")


class Report:
    """Counted and measured figures only: whether the pool paid, a run with ``--plain`` says.

    Parameters
    ----------
    pool, threads : BufferPool and Threads, or None
        What there is to count; None: no pool.
    """

    def __init__(self, pool: BufferPool | None = None, threads: Threads | None = None) -> None:
        self.pool: BufferPool | None = pool
        self.threads: Threads | None = threads
        self.process: int = os.getpid()
        self.began: float = perf_counter()

    def write(self) -> None:
        """Print it on stderr, in this process and not in children that it forked."""
        if os.getpid() == self.process:
            sys.stderr.write("\n".join(self.lines()) + "\n")

    def lines(self) -> list[str]:
        """Return its lines, the time until now among them."""
        found = ["bufpool run: no pool"] if self.pool is None else of_pool(self.pool)
        if self.threads is not None:
            found.append(f"  threads            {self.threads.count:,} besides the first")
        compare = "" if self.pool is None else "; --plain --stats says what it is without a pool"
        return [
            *found,
            f"  page faults        {page_faults()}, of the whole process",
            f"  time               {perf_counter() - self.began:.3f} s{compare}",
        ]


def of_pool(pool: BufferPool) -> list[str]:
    """What was reused, made, held and refused."""
    stats = pool.stats()
    checkouts = stats.hits + stats.misses
    again = sum(each.hits * each.size for each in stats.classes)
    new = sum(each.misses * each.size for each in stats.classes)
    rate = f"{stats.hit_rate:.1%} reused" if checkouts else "none reused"
    lines = [
        f"bufpool run: {checkouts:,} checkouts, {rate}",
        f"  handed out again   {readable(again)} in {stats.hits:,} blocks, without asking the system",
        f"  made anew          {readable(new)} in {stats.misses:,} blocks",
        f"  in use at most     {readable(stats.peak_bytes)}",
        f"  held at the end    {readable(stats.in_use_bytes)} in use, {readable(stats.idle_bytes)} idle",
    ]
    if stats.refused:
        requests = "request" if stats.refused == 1 else "requests"
        lines.append(f"  refused            {stats.refused:,} {requests}: NumPy raised MemoryError")
    return lines


def readable(count: float) -> str:
    """Return a number of bytes with the unit that suits it."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def page_faults() -> str:
    """Return the page faults of this process so far, as words."""
    try:
        import resource
    except ImportError:  # Windows
        return "n/a"
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return f"{usage.ru_minflt:,} minor, {usage.ru_majflt:,} major"
