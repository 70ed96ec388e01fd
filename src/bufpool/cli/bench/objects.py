"""Workloads of the pool of objects: one client at a time, with threads and with tasks.

Those with several clients at once have files of their own: `contention`, `held` and `waiters`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import bufpool
from bufpool.cli.bench import contention, held, peers, waiters
from bufpool.cli.bench.sampling import Sample, async_loop, loop


def lease(how: str, _size: int) -> Sample:
    """Take the one object there is and give it back at once; nobody else wants it.

    "lease" and "acquire" are ours, with the default settings: no check, no reset. The others are a peer, or what
    one writes by hand: "list pair" and "contextmanager" over a list without a lock, "list + Lock", and two queues.
    """
    if how in peers.PEERS:
        return peers.sample(how)
    pool = bufpool.Pool(object, max_size=1, name="bench")
    ready: list[Any] = [object()]
    waiting: queue.SimpleQueue[Any] | queue.LifoQueue[Any]
    waiting = queue.SimpleQueue() if how == "queue.SimpleQueue" else queue.LifoQueue()
    waiting.put(object())

    @contextmanager
    def borrowed() -> Iterator[Any]:
        one = ready.pop()
        try:
            yield one
        finally:
            ready.append(one)

    ways: dict[str, Callable[[], Sample]] = {
        "lease": lambda: loop("with lease() as x: pass", lease=pool.lease),
        "acquire": lambda: loop("release(acquire())", acquire=pool.acquire, release=pool.release),
        "list pair": lambda: loop("append(pop())", append=ready.append, pop=ready.pop),
        "list + Lock": lambda: loop(
            "with lock: x = pop()\nwith lock: append(x)",
            lock=threading.Lock(),
            append=ready.append,
            pop=ready.pop,
        ),
        "contextmanager": lambda: loop("with borrowed() as x: pass", borrowed=borrowed),
        "queue.LifoQueue": lambda: loop("put(get())", get=waiting.get, put=waiting.put),
        "queue.SimpleQueue": lambda: loop("put(get())", get=waiting.get, put=waiting.put),
    }
    return ways[how]()


def async_lease(how: str, _size: int) -> Sample:
    """`lease` with tasks, of which there is one: what the pool costs, and not the event loop.

    "lease" is ours, "asyncio.Queue" a queue with the object in it, the others are peers.
    """
    if how in peers.PEERS:
        return peers.sample(how)
    tasks = peers.runner()
    if how == "asyncio.Queue":
        ready: asyncio.Queue[Any] = asyncio.Queue()
        ready.put_nowait(object())
        return async_loop("put(await get())", tasks.run, get=ready.get, put=ready.put_nowait)
    pool = bufpool.AsyncPool(object, max_size=1, name="bench")
    return async_loop("async with lease() as x: pass", tasks.run, lease=pool.lease)


WORKLOADS: dict[str, Callable[[str, int], Sample]] = {
    "lease": lease,
    "async lease": async_lease,
    **{f"turns x {count}": partial(contention.turns, count=count) for count in contention.COUNTS},
}

PROBES: dict[str, Callable[..., Any]] = {
    "counts": contention.counts,
    "held": held.held,
    "waiting tasks": waiters.tasks,
    "waiting threads": waiters.threads,
}
