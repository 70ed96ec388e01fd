"""What benchmarks run: workloads, which are timed as samples, and probes, which return figures.

A workload is built in the process that runs it, for one way of doing it (`how`) and one size in bytes. It returns a
sample: see `benchmarks.harness.sampling`. A probe returns its figures at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.harness.sampling import Sample
from benchmarks.peers import arrays, connection_pools
from benchmarks.workloads import (
    footprint,
    hold_times,
    image_code,
    memory,
    misuse,
    objects,
    slow_connects,
    threads,
    waiters,
)

WORKLOADS: dict[str, Callable[[str, int], Sample]] = {
    "scratch": memory.scratch,
    "empty": memory.empty,
    "lease of an array": memory.lease_of_an_array,
    "zeros": memory.zeros,
    "four": memory.four,
    "expression": memory.expression,
    "bytes": arrays.some_bytes,
    **{
        f"handoff {source} {write}": partial(memory.handoff, source=source, write=write)
        for source in ("main", "worker")
        for write in ("touched", "filled")
    },
    **{name: partial(memory.image_code_piece, name=name) for name in image_code.PIECES},
    **{f"same thread x {count}": partial(threads.same, count=count) for count in threads.COUNTS},
    **{f"ring x {count}": partial(threads.handoff, count=count) for count in threads.COUNTS},
    "lease": objects.lease,
    "async lease": objects.async_lease,
    **{
        f"connection, {kind}": partial(objects.connection, check=check) for kind, check in connection_pools.CARE.items()
    },
    **{f"turns x {count}": partial(objects.turns, count=count) for count in objects.COUNTS},
}

PROBES: dict[str, Callable[..., Any]] = {
    "burst": footprint.burst,
    "waste": footprint.waste,
    "checkouts by thread": objects.checkouts_by_thread,
    "hold times": hold_times.measure,
    "misuse": misuse.misuse,
    "slow connects": slow_connects.burst,
    "waiting tasks": waiters.tasks,
    "waiting threads": waiters.threads,
}
