"""The one thread that looks after pools for threads: what is idle ages also while nobody comes.

It starts with the first pool that asks for something that depends on time, and ends with the last. It holds no pool.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from math import inf
from time import monotonic
from typing import Any, Protocol

__all__ = ["Kept", "attend"]


class Kept(Protocol):
    """A pool that wants to be looked after."""

    @property
    def period(self) -> float | None:
        """Seconds between two rounds; None if there is nothing to do."""

    @property
    def over(self) -> bool:
        """Whether there is nothing to do any more."""
        ...

    def upkeep_in_thread(self) -> None:
        """One round."""

    async def upkeep_quietly(self, port: Any) -> None:
        """One round."""


class Housekeeper:
    """Pools with the time of their next round."""

    def __init__(self) -> None:
        self._condition = threading.Condition()  # reentrant: a finaliser may come in between
        self._due: dict[weakref.ref[Kept], float] = {}
        self._thread: threading.Thread | None = None

    def attend(self, pool: Kept) -> None:
        """Look after this pool from now on, until it is over or gone."""
        period = None if pool.over else pool.period
        known = weakref.ref(pool, self._forget)
        if period is None:
            self._forget(known)
            return
        with self._condition:
            if known not in self._due:
                self._due[known] = monotonic() + period
                self._condition.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="bufpool-housekeeper", daemon=True)
                self._thread.start()

    def _forget(self, known: weakref.ref[Kept]) -> None:
        # Also when a pool is collected, wherever that happens: the lock is reentrant, and never held for long.
        with self._condition:
            if self._due.pop(known, None) is not None:
                self._condition.notify()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            self._round(due)

    def _next(self) -> weakref.ref[Kept] | None:
        """Wait for a pool whose time has come; None when there is none left."""
        with self._condition:
            # A copy of the keys makes no other object: no finaliser can come in between and change what is copied.
            while pools := list(self._due):
                pool = min(pools, key=lambda known: self._due.get(known, inf))
                if (rest := self._due.get(pool, inf) - monotonic()) <= 0:
                    return pool
                if rest < inf:  # otherwise all that were copied are gone
                    self._condition.wait(rest)
            self._thread = None
            return None

    def _round(self, known: weakref.ref[Kept]) -> None:
        pool = known()
        if pool is not None:
            try:
                pool.upkeep_in_thread()
            except BaseException:  # noqa: BLE001 - of a callback: this thread is for all pools, and goes on
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))
        period = None if pool is None or pool.over else pool.period
        with self._condition:
            if period is None:
                self._due.pop(known, None)
            elif known in self._due:
                self._due[known] = monotonic() + period


_one = Housekeeper()


def attend(pool: Kept) -> None:
    """Look after this pool from now on; or, if it is over, no more."""
    _one.attend(pool)


def _in_child() -> None:
    global _one
    _one = Housekeeper()  # that thread is not in the child; the next object that is made starts another


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
