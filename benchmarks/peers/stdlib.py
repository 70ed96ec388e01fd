"""Containers of the standard library that serve as a pool of objects."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from benchmarks.peers.adapter import Adapter


def _deque(size: int) -> Adapter:
    ready = deque(object() for _ in range(size))
    return Adapter("append(pop())", {"append": ready.append, "pop": ready.pop}, ready.pop, ready.append)


def _list_with_lock(size: int) -> Adapter:
    lock, ready = threading.Lock(), [object() for _ in range(size)]

    def acquire() -> Any:
        with lock:
            return ready.pop()

    def release(one: Any) -> None:
        with lock:
            ready.append(one)

    statement = "with lock: x = pop()\nwith lock: append(x)"
    return Adapter(statement, {"lock": lock, "append": ready.append, "pop": ready.pop}, acquire, release)


def _queue(kind: Callable[[], Any]) -> Callable[[int], Adapter]:
    def build(size: int) -> Adapter:
        ready = kind()
        for _ in range(size):
            ready.put(object())
        return Adapter("put(get())", {"get": ready.get, "put": ready.put}, ready.get, ready.put)

    return build


STDLIB: dict[str, Callable[[int], Adapter]] = {
    "deque": _deque,
    "list + Lock": _list_with_lock,
    "queue.SimpleQueue": _queue(queue.SimpleQueue),
    "queue.LifoQueue": _queue(queue.LifoQueue),
    "queue.Queue": _queue(queue.Queue),
}
