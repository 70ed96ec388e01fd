"""What a pool of two objects does when a client returns an object twice, or when no object is left.

A checkout that may wait runs in a thread that is never joined: run this in a process of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import bufpool
from benchmarks.peers.adapter import Adapter
from benchmarks.peers.connection_pools import BARE
from benchmarks.peers.stdlib import STDLIB

#: Seconds after which a checkout counts as waiting.
TIMEOUT = 0.4

# After a double release: it raised, had no effect, or two clients got the same object; or more objects than allowed.
REFUSED, NO_EFFECT, SHARED, TOO_MANY = "refused", "no effect", "two clients get it", "limit passed"
# With no object left, besides "raises X": the next client waits, gets None, a new object, or one that is in use.
WAITS, NONE, MAKES_MORE, SAME = "waits", "None", "makes another", "the same one"


def our_pool(size: int) -> Adapter:
    """`bufpool.Pool`."""
    pool = bufpool.Pool(object, max_size=size, name="bench")
    return Adapter("with lease() as x: pass", {"lease": pool.lease}, pool.acquire, pool.release)


def misuse(how: str) -> dict[str, str]:
    """What the pool called `how` does, "lease" for ours: ``twice`` for a double release, ``empty`` for none left."""
    build: Callable[[int], Adapter] = our_pool if how == "lease" else BARE[how].make if how in BARE else STDLIB[how]
    return {"twice": _double_release(build(2)), "empty": _none_left(build(2))}


def _double_release(pool: Adapter) -> str:
    first, second = pool.acquire(), pool.acquire()
    if pool.object_of(first) is pool.object_of(second):
        return SHARED
    in_use = [pool.object_of(second)]
    pool.release(first)
    refused = _error_of(lambda: pool.release(first)) is not None
    for _ in range(2):
        handle = _acquire(pool)
        if handle is None:
            break
        in_use.append(pool.object_of(handle))
    if len({id(one) for one in in_use}) < len(in_use):
        return SHARED
    if refused:
        return REFUSED
    return TOO_MANY if len(in_use) > 2 else NO_EFFECT


def _none_left(pool: Adapter) -> str:
    handles = [pool.acquire(), pool.acquire()]
    answer: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=lambda: answer.put(_error_of(lambda: handles.append(pool.acquire()))), daemon=True).start()
    try:
        error = answer.get(timeout=TIMEOUT)
    except Empty:
        return WAITS
    if error is not None:
        return f"raises {type(error).__name__}"
    third = pool.object_of(handles[2])
    if third is None:
        return NONE
    return SAME if any(third is pool.object_of(handle) for handle in handles[:2]) else MAKES_MORE


def _acquire(pool: Adapter) -> Any:
    """A handle, or None if there is none within `TIMEOUT`."""
    acquired: SimpleQueue[Any] = SimpleQueue()

    def attempt() -> None:
        found: list[Any] = []
        acquired.put(None if _error_of(lambda: found.append(pool.acquire())) else found[0])

    threading.Thread(target=attempt, daemon=True).start()
    try:
        return acquired.get(timeout=TIMEOUT)
    except Empty:
        return None


def _error_of(call: Callable[[], Any]) -> BaseException | None:
    """What `call` raised."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - whatever a pool raises is its answer
        return error
    return None
