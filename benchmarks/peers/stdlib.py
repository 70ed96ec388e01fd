"""What one writes by hand instead of a pool of objects, each in its quickest form."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bufpool.cli.bench.ways import Way


class _Borrowed:
    """A class with a ``with`` of its own, over a list without a lock."""

    def __init__(self, ready: list[Any]) -> None:
        self._ready = ready
        self._one: Any = None

    def __enter__(self) -> Any:
        self._one = self._ready.pop()
        return self._one

    def __exit__(self, *_: object) -> None:
        self._ready.append(self._one)


def _list(size: int) -> Way:
    ready = [object() for _ in range(size)]
    return Way("append(pop())", {"append": ready.append, "pop": ready.pop}, ready.pop, ready.append)


def _deque(size: int) -> Way:
    ready = deque(object() for _ in range(size))
    return Way("append(pop())", {"append": ready.append, "pop": ready.pop}, ready.pop, ready.append)


def _class(size: int) -> Way:
    ready = [object() for _ in range(size)]
    names = {"Borrowed": _Borrowed, "ready": ready}
    return Way("with Borrowed(ready) as x: pass", names, ready.pop, ready.append)


def _contextmanager(size: int) -> Way:
    ready = [object() for _ in range(size)]

    @contextmanager
    def borrowed() -> Iterator[Any]:
        one = ready.pop()
        try:
            yield one
        finally:
            ready.append(one)

    return Way("with borrowed() as x: pass", {"borrowed": borrowed}, ready.pop, ready.append)


def _locked(size: int) -> Way:
    lock, ready = threading.Lock(), [object() for _ in range(size)]

    def take() -> Any:
        with lock:
            return ready.pop()

    def give(one: Any) -> None:
        with lock:
            ready.append(one)

    statement = "with lock: x = pop()\nwith lock: append(x)"
    return Way(statement, {"lock": lock, "append": ready.append, "pop": ready.pop}, take, give)


def _queue(kind: Callable[[], Any]) -> Callable[[int], Way]:
    def build(size: int) -> Way:
        ready = kind()
        for _ in range(size):
            ready.put(object())
        return Way("put(get())", {"get": ready.get, "put": ready.put}, ready.get, ready.put)

    return build


class _ForEachThread(threading.local):
    """One object for each thread: nothing is borrowed, and nothing is bounded."""

    def __init__(self) -> None:
        self.one = object()

    def take(self) -> Any:
        return self.one

    def give(self, _one: Any) -> None:
        pass


def _thread_local(_size: int) -> Way:
    here = _ForEachThread()
    return Way("x = here.one", {"here": here}, here.take, here.give)


BY_HAND: dict[str, Callable[[int], Way]] = {
    "list pair": _list,
    "deque": _deque,
    "threading.local": _thread_local,
    "class over a list": _class,
    "contextmanager": _contextmanager,
    "list + Lock": _locked,
    "queue.SimpleQueue": _queue(queue.SimpleQueue),
    "queue.LifoQueue": _queue(queue.LifoQueue),
    "queue.Queue": _queue(queue.Queue),
}
