"""Workers that keep what was expensive to prepare: processes and threads, each an executor of one.

An executor with many workers spreads jobs over them, and nobody knows which one does what. Here a borrower has one
worker for itself, with all its state, for as long as it needs it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from operator import methodcaller
from typing import Any, TypeVar, Unpack

from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings

__all__ = ["processes", "threads"]

E = TypeVar("E", bound=Executor)


def processes(
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    *,
    context: str = "spawn",
    **settings: Unpack[Settings[ProcessPoolExecutor]],
) -> Pool[ProcessPoolExecutor]:
    """Pool of worker processes, each a `concurrent.futures.ProcessPoolExecutor` of one.

    A checkout replaces a worker that died. If a job was running, its future raises ``BrokenProcessPool``. If a borrower
    returns a worker early, its job ends before the worker is lent again or closed.

    Parameters
    ----------
    initializer, initargs
        Called once in each new process: loads the model, opens the file, and leaves it in a global variable. If it
        raises, so does the request that needed the worker.
    context
        How `multiprocessing` starts a process. ``"fork"`` is quick, and unsafe once the program has threads.
    **settings
        Any setting of `bufpool.Pool`.

    Examples
    --------
    >>> import math
    >>> from bufpool.resources import workers
    >>> with workers.processes(max_size=2) as pool, pool.lease() as worker:
    ...     worker.submit(math.factorial, 5).result()
    120
    """
    return _warm(
        lambda: ProcessPoolExecutor(1, multiprocessing.get_context(context), initializer, initargs), settings
    )


def threads(
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    **settings: Unpack[Settings[ThreadPoolExecutor]],
) -> Pool[ThreadPoolExecutor]:
    """Pool of worker threads, for what must stay in the thread that made it.

    Each is a `concurrent.futures.ThreadPoolExecutor` of one.

    Parameters
    ----------
    initializer, initargs
        Called once in each new thread; `threading.local` is a place for what it makes.
    **settings
        Any setting of `bufpool.Pool`.

    Examples
    --------
    >>> import threading
    >>> from bufpool.resources import workers
    >>> own = threading.local()
    >>> def prepare(word):
    ...     own.word = word
    >>> with workers.threads(prepare, ("ready",)) as pool, pool.lease() as worker:
    ...     worker.submit(lambda: own.word).result()
    'ready'
    """
    return _warm(lambda: ThreadPoolExecutor(1, "pooled", initializer, initargs), settings)


def _warm(make: Callable[[], E], settings: Settings[E]) -> Pool[E]:
    def start() -> E:
        executor = make()
        try:
            # Executors start their workers with the first job.
            _answer(executor)
        except BaseException:
            executor.shutdown()
            raise
        return executor

    own: Settings[E] = {"check": _answer, "close": methodcaller("shutdown")}
    return Pool(start, **own | settings)


def _answer(executor: Executor) -> None:
    """Return when the worker has done all that it was given; raise if it is dead."""
    executor.submit(os.getpid).result()
