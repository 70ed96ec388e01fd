"""What a pool of two objects does when a client makes a mistake, or has to wait: tried, and told in a word.

``twice`` is about an object that is given back twice, while the other one is out: the worst is that two clients then
have it both. ``empty`` is about a third client. A checkout that may wait goes into a thread that nobody joins: run this
in a process of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

import bufpool
from bufpool.cli.bench.by_hand import BY_HAND
from bufpool.cli.bench.peers import PEERS
from bufpool.cli.bench.ways import Way

#: Seconds after which a checkout is taken to wait; the slowest peer looks every 0.1 s.
PATIENCE = 0.4

REFUSED, NOTHING, SHARED, COPY, EXTRA = "refused", "nothing", "two have it", "copies", "one too many"
WAITS, NONE, MAKES_MORE, SAME = "waits", "None", "makes another", "the same one"


def ours(size: int) -> Way:
    """`bufpool.Pool`, the same as a peer."""
    pool = bufpool.Pool(object, max_size=size, name="bench")
    return Way("with lease() as x: pass", {"lease": pool.lease}, pool.acquire, pool.release)


def manners(how: str) -> dict[str, str]:
    """What "lease", a peer, or what one writes by hand does; see the module."""
    logging.getLogger("objpool").setLevel(logging.ERROR)  # it warns, and goes on
    build: Callable[[int], Way] = (
        ours if how == "lease" else PEERS[how].make if how in PEERS else BY_HAND[how]
    )
    return {"twice": _twice(build(2)), "empty": _empty(build(2))}


def _twice(way: Way) -> str:
    first, second = way.take(), way.take()
    if way.one(first) is way.one(second):
        return SHARED
    out = [way.one(second)]
    given = way.one(first)
    way.give(first)
    refused = _attempt(lambda: way.give(first)) is not None
    for _ in range(2):
        handle = _take(way)
        if handle is None:
            break
        out.append(way.one(handle))
    if len({id(one) for one in out}) < len(out):
        return SHARED
    if all(one is not given for one in out):
        return COPY
    if refused:
        return REFUSED
    return EXTRA if len(out) > 2 else NOTHING


def _empty(way: Way) -> str:
    handles = [way.take(), way.take()]
    answer: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(
        target=lambda: answer.put(_attempt(lambda: handles.append(way.take()))), daemon=True
    ).start()
    try:
        error = answer.get(timeout=PATIENCE)
    except Empty:
        return WAITS
    if error is not None:
        return f"raises {type(error).__name__}"
    third = way.one(handles[2])
    if third is None:
        return NONE
    return SAME if any(third is way.one(handle) for handle in handles[:2]) else MAKES_MORE


def _take(way: Way) -> Any:
    """A handle, or None where there is none to be had within `PATIENCE`."""
    taken: SimpleQueue[Any] = SimpleQueue()

    def attempt() -> None:
        found: list[Any] = []
        taken.put(None if _attempt(lambda: found.append(way.take())) else found[0])

    threading.Thread(target=attempt, daemon=True).start()
    try:
        return taken.get(timeout=PATIENCE)
    except Empty:
        return None


def _attempt(call: Callable[[], Any]) -> BaseException | None:
    """What `call` raised."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - whatever a peer raises is its answer
        return error
    return None
