"""Workloads of the pool of objects: one client at a time, with threads and with tasks.

Those with several clients at once have files of their own: `contention`, `held` and `waiters`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import bufpool
from bufpool.cli.bench import async_peers, by_hand, connections, contention, held, manners, peers, waiters
from bufpool.cli.bench.sampling import Sample, async_loop, loop


def lease(how: str, _size: int) -> Sample:
    """Take the one object there is and give it back at once; nobody else wants it.

    "lease" and "acquire" are ours, with the default settings: no check, no reset. The others are a peer, or what one
    writes by hand.
    """
    if how in peers.PEERS:
        return peers.PEERS[how].make(1).sample()
    if how in by_hand.BY_HAND:
        return by_hand.BY_HAND[how](1).sample()
    if how == "lease":
        return manners.ours(1).sample()
    pool = bufpool.Pool(object, max_size=1, name="bench")
    return loop("release(acquire())", acquire=pool.acquire, release=pool.release)


def connection(how: str, _size: int, check: bool) -> Sample:
    """`lease` with the care that a connection wants, by the recipe; the others are pools of connections."""
    return connections.connection(how, 1, check).sample()


def async_lease(how: str, _size: int) -> Sample:
    """`lease` with tasks, of which there is one: what the pool costs, and not the event loop.

    "lease" is ours, "asyncio.Queue" a queue with the object in it, the others are peers.
    """
    if how in async_peers.ASYNC_PEERS:
        return async_peers.ASYNC_PEERS[how].make()
    tasks = async_peers.runner()
    if how == "asyncio.Queue":
        ready: asyncio.Queue[Any] = asyncio.Queue()
        ready.put_nowait(object())
        return async_loop("put(await get())", tasks.run, get=ready.get, put=ready.put_nowait)
    pool = bufpool.AsyncPool(object, max_size=1, name="bench")
    return async_loop("async with lease() as x: pass", tasks.run, lease=pool.lease)


WORKLOADS: dict[str, Callable[[str, int], Sample]] = {
    "lease": lease,
    "async lease": async_lease,
    **{f"connection, {kind}": partial(connection, check=check) for kind, check in connections.KINDS.items()},
    **{f"turns x {count}": partial(contention.turns, count=count) for count in contention.COUNTS},
}

PROBES: dict[str, Callable[..., Any]] = {
    "counts": contention.counts,
    "held": held.held,
    "manners": manners.manners,
    "waiting tasks": waiters.tasks,
    "waiting threads": waiters.threads,
}
