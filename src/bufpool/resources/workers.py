"""Workers that keep what was expensive to prepare: processes and threads, each an executor of one.

An executor with many workers spreads jobs over them, and nobody knows which one does what. Here a client has one
worker for itself, with all its state, for as long as it needs it. A worker that comes back with an unfinished job is
replaced, because nobody knows when that job will end.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, cast

from bufpool import _validate
from bufpool._words import plural
from bufpool.objects.pool import Pool
from bufpool.objects.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["processes", "threads"]

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Executor)

PATIENCE = 5.0  # seconds that a worker without a job may take to answer, and to end
GRACE = 1.0  # seconds that a process may take to end once it was terminated


def processes(
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    *,
    context: str = "spawn",
    unfinished: Literal["replace", "wait"] = "replace",
    **settings: Unpack[Settings[ProcessPoolExecutor]],
) -> Pool[ProcessPoolExecutor]:
    """Pool of worker processes, each a `concurrent.futures.ProcessPoolExecutor` of one.

    A checkout replaces a worker that died, or that does not answer for five seconds though it has no job. If a job was
    running when the process died, its future raises ``BrokenProcessPool``.

    Parameters
    ----------
    initializer, initargs
        Called once in each new process: loads the model, opens the file, and leaves it in a global variable. If it
        raises, so does the request that needed the worker.
    context
        How `multiprocessing` starts a process. ``"fork"`` is quick, and unsafe once the program has threads.
    unfinished : {'replace', 'wait'}, default 'replace'
        What happens to a worker that a client returns before its jobs have ended. ``"replace"``: the process is
        terminated, and killed if it is still alive a second later; a new one takes its place. The futures of those jobs
        raise ``BrokenProcessPool`` or ``CancelledError``. Processes that a job has started live on. ``"wait"``: the
        jobs end before the worker is handed out again or closed. A job that never ends then blocks the next client and
        `bufpool.Pool.close`.
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

    def start() -> ProcessPoolExecutor:
        worker = _Process(1, multiprocessing.get_context(context), initializer, initargs)
        return _started(worker, worker.find_process)

    return _pool(start, _Process.end, unfinished, settings)


def threads(
    initializer: Callable[..., object] | None = None,
    initargs: tuple[Any, ...] = (),
    *,
    unfinished: Literal["replace", "wait"] = "replace",
    **settings: Unpack[Settings[ThreadPoolExecutor]],
) -> Pool[ThreadPoolExecutor]:
    """Pool of worker threads, for what must stay in the thread that made it.

    Each is a `concurrent.futures.ThreadPoolExecutor` of one.

    Parameters
    ----------
    initializer, initargs
        Called once in each new thread; `threading.local` is a place for what it makes.
    unfinished : {'replace', 'wait'}, default 'replace'
        What happens to a worker that a client returns before its jobs have ended. ``"replace"``: jobs that had not
        begun are cancelled, and a new thread takes its place. A thread cannot be killed: it runs its job to the end,
        beside the threads of the pool, and Python does not exit before that. ``"wait"``: the jobs end before the worker
        is handed out again or closed. A job that never ends then blocks the next client and `bufpool.Pool.close`.
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

    def start() -> ThreadPoolExecutor:
        worker = _Thread(1, "pooled", initializer, initargs)
        return _started(worker, worker.find_thread)

    return _pool(start, _Thread.end, unfinished, settings)


class _Worker(Executor):
    """What both kinds of worker have: the jobs that have not ended."""

    _unfinished: set[Future[Any]]

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Submit a job."""
        job = super().submit(fn, *args, **kwargs)
        self._unfinished.add(job)
        job.add_done_callback(self._unfinished.discard)
        return job

    def unfinished(self) -> list[Future[Any]]:
        """Return the jobs that have not ended."""
        # A client may see the end of a job before `discard` was called: a future calls its callbacks last.
        return [job for job in tuple(self._unfinished) if not job.done()]

    def refuse_unfinished(self) -> None:
        """Raise an error if a job has not ended."""
        if number := len(self.unfinished()):
            raise RuntimeError(
                f"a client returned the worker with {number} unfinished {plural(number, 'job')}; it is replaced"
            )

    def is_usable(self) -> bool:
        """Return whether the worker has no job; raise if it is dead or does not answer."""
        if self.unfinished():
            return False
        try:
            self.submit(os.getpid).result(PATIENCE)
        except TimeoutError:
            raise TimeoutError(f"the worker has no job, but did not answer for {PATIENCE:g} s") from None
        return True


class _Process(_Worker, ProcessPoolExecutor):
    """A worker process."""

    _worker_process: BaseProcess

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._unfinished = set()
        # This process's copy of the end that the worker writes results to; see `end`. No public name leads to it.
        self._result_writer: Any = getattr(getattr(self, "_result_queue", None), "_writer", None)

    def find_process(self) -> None:
        """Start the process and find it."""
        pid = self.submit(os.getpid).result()
        for process in multiprocessing.active_children():
            if process.pid == pid:
                self._worker_process = process
                return
        raise BrokenProcessPool(f"worker process {pid} ended right after its start")

    def end(self) -> None:
        """End the process: an idle one exits, one with a job or without an answer is terminated, then killed."""
        busy, process = self.unfinished(), self._worker_process
        # The executor's thread, which passes on jobs and results; None if the client has shut the worker down.
        # No public name leads to it, and `shutdown` with wait=True could wait for it for ever.
        manager = getattr(self, "_executor_manager_thread", None)
        # First the shutdown, then the signal. When the manager sees the shutdown it cancels jobs that have not begun.
        # If it saw the process die first, Python 3.11 would raise an error in that thread for each cancelled job.
        self.shutdown(wait=False, cancel_futures=True)
        if not busy:
            process.join(PATIENCE)
        if process.is_alive():
            process.terminate()
            process.join(GRACE)
        if process.is_alive():
            process.kill()
            process.join(GRACE)
        if manager is not None:
            manager.join(GRACE)
        # If the process died while it wrote a result, the manager waits for the rest until the pipe has no writer left.
        # Not earlier: a manager that has not seen the shutdown takes the end of the pipe for a failure.
        if self._result_writer is not None:
            self._result_writer.close()
        if manager is not None:
            manager.join(GRACE)


class _Thread(_Worker, ThreadPoolExecutor):
    """A worker thread."""

    _worker_thread: threading.Thread

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._unfinished = set()

    def find_thread(self) -> None:
        """Start the thread and find it."""
        self._worker_thread = self.submit(threading.current_thread).result()

    def end(self) -> None:
        """End the thread, or leave it alone with its job."""
        busy = self.unfinished()
        self.shutdown(wait=False, cancel_futures=True)
        if not busy:
            self._worker_thread.join(PATIENCE)


def _started(worker: E, find: Callable[[], None]) -> E:
    """Return the worker once it is prepared: an executor starts its worker with the first job."""
    try:
        find()
    except BaseException:
        worker.shutdown()
        raise
    return worker


def _pool(
    start: Callable[[], E], end: Callable[[Any], None], unfinished: str, settings: Settings[E]
) -> Pool[E]:
    _validate.choice("unfinished", unfinished, settings.get("name") or "workers", ("replace", "wait"))
    if unfinished == "wait":
        own = {"check": _answer, "close": methodcaller("shutdown")}
    else:
        own = {"check": _Worker.is_usable, "reset": _Worker.refuse_unfinished, "close": end}
    return Pool(start, **cast("Settings[E]", own) | settings)


def _answer(worker: Executor) -> None:
    """Return when the worker has done all that it was given; raise if it is dead."""
    worker.submit(os.getpid).result()
