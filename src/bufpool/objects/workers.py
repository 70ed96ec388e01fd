"""The workers of a pool: threads that create and close its objects, so that no client waits for that.

A thread starts with work for it, waits a while for more, and ends. It holds no reference to the pool.

No other code waits for a worker or for a lock that it holds: the worker may be dead, because the interpreter ends or
this is the child of a fork. Work is put into a queue, and a lock is opened on which a worker sleeps.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from bufpool.objects.maintenance_thread import log

__all__ = ["Background", "Workers"]

CALLERS = 32  # threads of a pool that call callbacks for tasks
LINGER = 5.0  # seconds that a worker waits for more work
GRACE = 1.0  # seconds that all workers together may take to finish when the interpreter ends

_ended: bool = False


class Background:
    """The workers of one pool, up to `most` of each kind: what hangs in one kind does not stop the others."""

    def __init__(self, most: int) -> None:
        self.creating: Workers = Workers(most)
        self.closing: Workers = Workers(most)
        self.maintaining: Workers = Workers(1)
        self.calling: Workers = Workers(CALLERS)  # callbacks for tasks
        self.in_maintenance: bool = False

    def __del__(self) -> None:
        self.end()

    def end(self) -> None:
        """Let workers end as soon as they have nothing to do."""
        for each in (self.creating, self.closing, self.maintaining, self.calling):
            each.end()


class Workers:
    """At most `most` threads of one pool that do one kind of work."""

    def __init__(self, most: int) -> None:
        self.most: int = most
        self.work: deque[Callable[[], None]] = deque()
        self.asleep: deque[Worker] = deque()
        self.workers: set[Worker] = set()
        self.over: bool = False
        self._failed = False  # to start a thread, the last time
        self._process = os.getpid()
        self._process_now = os.getpid  # kept here, because a finalizer may find `os` gone

    @property
    def are_parents(self) -> bool:
        """Whether this is the child of a fork, so that the threads are in the parent."""
        return self._process_now() != self._process

    def linger(self) -> bool:
        """Return whether workers wait for more work."""
        return not (_ended or self.over)

    def end(self) -> None:
        """Let workers end as soon as they have nothing to do. A finalizer may call it."""
        self.over = True
        if not self.are_parents:
            while self._wake_one():
                pass

    def start(self, work: Callable[[], None]) -> bool:
        """Have a worker call `work` as soon as one is free; False if there is none, and none can start."""
        if _ended or sys.is_finalizing():
            return False
        try:
            self.work.append(work)
            # Not `len` of the set itself: without the GIL the locks of both order what they see, of a worker that ends
            # and this thread (Dekker 1965). See `_stay`.
            if self._wake_one() or len(self.workers.copy()) >= self.most or self._start_thread():
                return True
            # Other workers may hang, and this thread may need what the work is for.
            return not self._withdraw(work)
        except BaseException:  # of a signal handler
            self._withdraw(work)
            raise

    def _wake_one(self) -> bool:
        try:
            self.asleep.pop().wake()
        except IndexError:
            return False
        return True

    def _withdraw(self, work: Callable[[], None]) -> bool:
        try:
            self.work.remove(work)
        except ValueError:  # a worker has begun it
            return False
        return True

    def _start_thread(self) -> bool:
        worker = Worker(self)
        try:
            self.workers.add(worker)
            worker.thread.start()
        except (RuntimeError, MemoryError) as error:
            self.workers.discard(worker)
            if (cause := error.__context__) is not None and not isinstance(cause, Exception):
                try:
                    raise cause from None  # a signal handler's, which left a lock of `threading` open
                finally:
                    del cause  # it refers to this frame
            if not self._failed:
                self._failed = True
                log().warning("a worker of a pool cannot start; its work is done by clients: %s", error)
            return False
        except BaseException:  # of a signal handler
            if worker.thread.ident is None:  # a thread that has started, or will, adds itself
                self.workers.discard(worker)
            raise
        self._failed = False
        return True


class Worker:
    """One thread of `workers`."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        # The thread sleeps on this lock. Code that has work for it opens the lock, which never waits.
        self._bell = threading.Lock()
        self._bell.acquire()
        self.thread: threading.Thread = threading.Thread(target=self._run, name="bufpool-worker", daemon=True)

    def wake(self) -> None:
        """Let the thread look for work."""
        try:  # not `suppress`, which may be gone
            self._bell.release()
        except RuntimeError:  # it is open already
            return

    def _run(self) -> None:
        self._workers.workers.add(self)
        _alive_now().add(self)
        try:
            # What it did may have forked, and this may be the child.
            while not self._workers.are_parents and (self._next() or self._stay()):
                pass
        finally:
            if not self._workers.are_parents:
                self._workers.workers.discard(self)
                _alive_now().discard(self)

    def _next(self) -> bool:
        """Do the work that is next, or wait for some; False if there was none for a while."""
        workers = self._workers
        try:
            work = workers.work.popleft()
        except IndexError:
            return self._sleep()
        try:
            work()
        except BaseException:  # noqa: BLE001 - what failed concerns one client, and this thread goes on
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        return True

    def _sleep(self) -> bool:
        workers = self._workers
        workers.asleep.append(self)
        # Work may have come meanwhile, from somebody who saw no worker asleep.
        if workers.work or not workers.linger() or not self._bell.acquire(timeout=LINGER):
            try:
                workers.asleep.remove(self)
            except ValueError:  # somebody is about to wake this thread
                self._bell.acquire(timeout=LINGER)
                return True
            return bool(workers.work)
        return bool(workers.work) or workers.linger()

    def _stay(self) -> bool:
        """Return whether work has come while this thread was about to end."""
        workers = self._workers
        workers.workers.discard(self)
        try:
            workers.work[0]  # not `len`, which takes no lock: see `start`
        except IndexError:
            return False
        workers.workers.add(self)
        return True


_alive: set[Worker] = set()
_process = os.getpid()


def _alive_now() -> set[Worker]:
    """Return the workers of this process. In the child of a fork those of the parent are not touched.

    Without the GIL a set has a lock, which a thread of the parent may have held.
    """
    global _alive, _process
    if (process := os.getpid()) != _process:
        _alive = set()
        _process = process
    return _alive


def _at_exit() -> None:
    """Let workers end, because the interpreter does: killed, they would keep what Python's modules had locked."""
    global _ended
    _ended = True
    until = monotonic() + GRACE
    for worker in list(_alive_now()):
        worker.wake()
    for worker in list(_alive_now()):
        if worker.thread is not threading.current_thread():
            worker.thread.join(max(0.0, until - monotonic()))  # a callback that hangs must not hang the exit


atexit.register(_at_exit)
