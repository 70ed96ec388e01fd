"""What a run saved, said at its end."""

from __future__ import annotations

import mmap
import os
import sys

from bufpool import BufferPool
from bufpool.cli.run.threads import Threads

__all__ = ["report", "report_lines", "report_refusals"]


def report_refusals(pool: BufferPool, process: int) -> None:
    """Say on stderr that the limit, and not the machine, was why NumPy raised MemoryError."""
    refused = pool.stats().refused
    if refused and pool.limit is not None and os.getpid() == process:
        sys.stderr.write(f"bufpool run: {refused:,} requests were refused at --limit {readable(pool.limit)}\n")


def report(pool: BufferPool, threads: Threads, process: int) -> None:
    """Print the report on stderr, in `process` and not in children that it forked."""
    if os.getpid() == process:
        sys.stderr.write("\n".join(report_lines(pool, threads)) + "\n")


def report_lines(pool: BufferPool, threads: Threads) -> list[str]:
    """Return the report: counted figures only."""
    stats = pool.stats()
    checkouts = stats.hits + stats.misses
    again = sum(each.hits * each.size for each in stats.classes)
    new = sum(each.misses * each.size for each in stats.classes)
    pages = sum(each.hits * (each.size // mmap.PAGESIZE) for each in stats.classes)
    rate = f"{stats.hit_rate:.1%} reused" if checkouts else "none reused"
    lines = [
        f"bufpool run: {checkouts:,} checkouts, {rate}",
        f"  handed out again   {readable(again)} in {stats.hits:,} blocks, without asking the system;",
        f"                     {pages:,} whole pages in them: at most so many page faults were saved",
        f"  made anew          {readable(new)} in {stats.misses:,} blocks",
        f"  in use at most     {readable(stats.peak_bytes)}",
        f"  held at the end    {readable(stats.in_use_bytes)} in use, {readable(stats.idle_bytes)} idle",
        f"  page faults        {page_faults()}, of the whole process",
        f"  threads            {threads.count:,} besides the first",
    ]
    if stats.refused:
        lines.append(f"  refused            {stats.refused:,} requests: NumPy raised MemoryError")
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
