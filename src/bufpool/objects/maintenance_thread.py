"""The maintenance thread: the one thread of this process that maintains pools for threads.

It starts with the first pool that needs maintenance, and ends with the last one. It holds no reference to a pool.

No other code waits for this thread or for a lock that it holds, because the thread may be dead: the interpreter may be
ending, or this may be the child of a fork. `register` and the callbacks of weak references change a dictionary and open
a lock. Starting the thread takes no lock either: if two threads start, the first one ends.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import logging

__all__ = ["Maintained", "ensure_running", "log", "register"]

GRACE = 1.0  # seconds that a round may take to finish when the interpreter ends


def log() -> logging.Logger:
    """Return the logger ``bufpool``."""
    import logging  # takes as long to import as a third of this package, and is rarely needed

    return logging.getLogger("bufpool")


class Maintained(Protocol):
    """The maintenance of a pool."""

    @property
    def period(self) -> float | None:
        """Seconds between two rounds; None if there is nothing to do."""

    @property
    def over(self) -> bool:
        """Whether there is nothing to do any more."""
        ...

    def run_in_thread(self) -> None:
        """Do one round in this thread."""

    async def run_quietly(self, runtime: Any) -> None:
        """Do one round, and log errors instead of raising them."""


class MaintenanceThread:
    """Pools with the time of their next round, and the thread that does it."""

    def __init__(self) -> None:
        self._due: dict[weakref.ref[Maintained], float] = {}
        self._sooner: dict[weakref.ref[Maintained], float] = {}  # wanted before the period is over
        self._thread: threading.Thread | None = None  # the one that took over last
        self._ended = False  # the interpreter ends
        self._failed = False  # to start the thread, the last time
        # The thread sleeps on this lock. Code that has work for the thread opens it, which never waits.
        self._bell = threading.Lock()
        self._bell.acquire()
        # The child of a fork does not touch this object any more: without the GIL a dictionary has a lock, which a
        # thread of the parent may have held. The function is kept here, because a finalizer may find `os` gone.
        self._process = os.getpid()
        self._process_now = os.getpid

    # --- for other threads: never waits ---

    def register(self, pool: Maintained, within: float | None = None) -> None:
        """Maintain this pool until it is over or gone, the next time within so many seconds."""
        period = None if pool.over else pool.period
        known = weakref.ref(pool, self._forget)
        if period is None:
            self._forget(known)
            return
        due = monotonic() + (period if within is None else min(period, within))
        if within is not None:
            self._sooner[known] = due  # first: a round that is about to end sets the time of the next one
        if known not in self._due or (within is not None and due < self._due.get(known, inf)):
            self._due[known] = due
            self._ring()
        self.ensure_running()

    def ensure_running(self) -> None:
        """Start the thread if there is work and no thread. If it cannot start, the next call tries again."""
        if self._thread is not None or self._is_over or not self._due or sys.is_finalizing():
            return
        log()  # imported here: a child of a fork would wait for ever for an import that the thread was in
        thread = threading.Thread(target=self._run, name="bufpool-maintenance", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            # The limit of threads, say. Clients can do without maintenance for a while, and must not see this.
            if not self._failed:
                self._failed = True
                log().warning("the maintenance thread cannot start, and is tried again later: %s", error)
        else:
            self._failed = False

    def end(self) -> None:
        """Let the thread end, because the interpreter does: killed, it would keep what Python's modules had locked."""
        self._ended = True
        thread = self._thread
        self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(GRACE)  # a callback that hangs must not hang the exit

    @property
    def _is_over(self) -> bool:
        """Whether no new round begins: the interpreter ends, or this is the child of a fork."""
        return self._ended or self.is_parents

    @property
    def is_parents(self) -> bool:
        """Whether this is the child of a fork, so that the thread is in the parent."""
        return self._process_now() != self._process

    def _forget(self, known: weakref.ref[Maintained]) -> None:
        # Also when a pool is collected, wherever that happens: in a child, or when this module's names are gone.
        if not self._is_over:
            self._sooner.pop(known, None)
            if self._due.pop(known, None) is not None:
                self._ring()

    def _ring(self) -> None:
        try:  # not `suppress`, which may be gone
            self._bell.release()
        except RuntimeError:  # it is open already
            return

    # --- the thread ---

    def _run(self) -> None:
        me = self._thread = threading.current_thread()
        try:
            while True:
                due = self._next(me)
                if due is not None:
                    self._round(due)
                    continue
                if self._thread is not me:
                    return
                self._thread = None
                # A client that registered a pool meanwhile saw a thread, and started none.
                if self._is_over or not self._due or self._thread is not None:
                    return
                self._thread = me
        finally:
            if self._thread is me:
                self._thread = None
            self._ring()  # what woke this thread may have been meant for the one that took over

    def _next(self, me: threading.Thread) -> weakref.ref[Maintained] | None:
        """Wait for a pool whose time has come; None when there is none left, or another thread has taken over."""
        # A copy of the keys makes no other object: no finaliser can come in between and change what is copied.
        while not self._is_over and (pools := list(self._due)) and self._thread is me:
            pool = min(pools, key=lambda known: self._due.get(known, inf))
            if (rest := self._due.get(pool, inf) - monotonic()) <= 0:
                return pool
            if rest < inf:  # otherwise all that were copied are gone
                self._bell.acquire(timeout=rest)
        return None

    def _round(self, known: weakref.ref[Maintained]) -> None:
        pool = known()
        if self._sooner.get(known, inf) <= monotonic():
            self._sooner.pop(known, None)
        if pool is not None:
            try:
                pool.run_in_thread()
            except BaseException:  # noqa: BLE001 - of a callback: this thread is for all pools, and goes on
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        if self._is_over:
            return
        period = None if pool is None or pool.over else pool.period
        if period is None:
            self._due.pop(known, None)
        elif known in self._due:
            self._due[known] = monotonic() + period
            if (sooner := self._sooner.get(known, inf)) < self._due.get(known, inf):
                self._due[known] = sooner


_of_process = MaintenanceThread()


def _now() -> MaintenanceThread:
    """Return the maintenance thread of this process. The child of a fork creates its own when it first needs one."""
    global _of_process
    if _of_process.is_parents:
        _of_process = MaintenanceThread()
    return _of_process


def register(pool: Maintained, within: float | None = None) -> None:
    """Maintain this pool from now on, the next time within so many seconds; if it is over, stop that."""
    _now().register(pool, within)


def ensure_running() -> None:
    """Start the thread if it should run but could not start before."""
    _now().ensure_running()


def _at_exit() -> None:
    _now().end()


atexit.register(_at_exit)
