"""What a run reused, how long it took and how many page faults it had, said at its end."""

from __future__ import annotations

import os
import sys
from time import perf_counter

from bufpool import BufferPool
from bufpool._words import amount, plural, readable
from bufpool.cli.run.threads import Threads

__all__ = ["Report", "report_refusals"]


def report_refusals(pool: BufferPool, process: int) -> None:
    """Say on stderr that the limit, and not the machine, was why NumPy raised MemoryError."""
    refused = pool.stats().refused
    if refused and pool.limit is not None and os.getpid() == process:
        were = plural(refused, "request was", "requests were")
        sys.stderr.write(f"bufpool run: {refused:,} {were} refused at the limit of {amount(pool.limit)}\n")


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
        self.begin()

    def begin(self) -> None:
        """Count from now on: time and page faults over the same span, that of the program."""
        self.faults: tuple[int, int] | None = page_faults()
        self.began: float = perf_counter()

    def write(self) -> None:
        """Print it on stderr, in this process and not in children that it forked."""
        if os.getpid() == self.process:
            sys.stderr.write("\n".join(self.lines()) + "\n")

    def lines(self) -> list[str]:
        """Return its lines, the time and the page faults until now among them."""
        seconds, faults = perf_counter() - self.began, page_faults()
        if faults is None or self.faults is None:
            counted = "n/a"
        else:
            minor, major = (now - then for now, then in zip(faults, self.faults, strict=True))
            counted = f"{minor:,} minor, {major:,} major"
        found = ["bufpool run: no pool"] if self.pool is None else of_pool(self.pool)
        if self.threads is not None:
            found.append(f"  threads            {self.threads.count:,} besides the first")
        compare = "" if self.pool is None else "; --plain --stats says what it is without a pool"
        return [
            *found,
            f"  page faults        {counted}",
            f"  time               {seconds:.3f} s{compare}",
        ]


def of_pool(pool: BufferPool) -> list[str]:
    """What was reused, made, held and refused."""
    stats = pool.stats()
    checkouts = stats.hits + stats.misses
    again = sum(each.hits * each.size for each in stats.classes)
    new = sum(each.misses * each.size for each in stats.classes)
    rate = f"{stats.hit_rate:.1%} reused" if checkouts else "none reused"
    hits = f"{stats.hits:,} {plural(stats.hits, 'block')}"
    lines = [
        f"bufpool run: {checkouts:,} {plural(checkouts, 'checkout')}, {rate}",
        f"  handed out again   {readable(again)} in {hits}, without asking the system",
        f"  made anew          {readable(new)} in {stats.misses:,} {plural(stats.misses, 'block')}",
        f"  in use at most     {readable(stats.peak_bytes)}",
        f"  held at the end    {readable(stats.in_use_bytes)} in use, {readable(stats.idle_bytes)} idle",
    ]
    if stats.refused:
        requests = plural(stats.refused, "request")
        lines.append(f"  refused            {stats.refused:,} {requests}: NumPy raised MemoryError")
    return lines


def page_faults() -> tuple[int, int] | None:
    """Return the minor and major page faults of this process so far, or None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_minflt, usage.ru_majflt
