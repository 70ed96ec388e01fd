"""How a pool calls its callbacks and waits: in threads, in tasks of asyncio, or in threads on behalf of tasks.

The engine is written once, as coroutines. A task awaits such a coroutine. A thread runs it in one go (`run`), because
nothing that the runtime of threads awaits ever suspends.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from functools import partial
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bufpool.errors import FactoryError
from bufpool.objects import maintenance_thread
from bufpool.objects.native import _checkout as checkouts
from bufpool.objects.native._context import call_within, reset

if TYPE_CHECKING:
    import asyncio

    from bufpool.objects.maintenance_thread import Maintained
    from bufpool.objects.native._checkout import Checkout
    from bufpool.objects.workers import Background, Workers

__all__ = [
    "ExecutorRuntime",
    "Runtime",
    "TaskRuntime",
    "ThreadRuntime",
    "imported_asyncio",
    "in_callback_of",
    "run",
]

R = TypeVar("R")


#: Callbacks that this thread or task is in.
_callbacks: ContextVar[tuple[RunningCallback, ...]] = ContextVar("bufpool_callbacks", default=())

_asyncio: Any = None
_modules = 0  # how many there were when asyncio was not among them


class Runtime(Protocol):
    """How the engine calls callbacks and waits for its clients."""

    async def call(
        self,
        owner: object,
        function: Callable[..., Any],
        *args: object,
        undo: Callable[[Any], object] | None = None,
    ) -> Any:
        """Return what the callback returns. If its client is gone by then, `undo` is called with the result."""

    async def wait(self, checkout: Checkout, until: float | None) -> None:
        """Sleep until the checkout is woken, or until that time of the monotonic clock."""

    def prepare(self, checkout: Checkout) -> None:
        """Prepare a checkout that may have to wait."""

    def schedule(self, pool: Maintained, within: float | None = None) -> None:
        """Maintain the pool from now on, the next time within so many seconds; if it is over, stop that."""

    def start(self, workers: Workers, work: Work, done: Callable[[], None] | None = None) -> bool:
        """Begin work that no client waits for; False if that is not possible now. At its end `done` is called."""
        ...

    def place(self) -> int:
        """Return a number of what runs work in the background: it changes when that is another process or loop."""
        ...

    def ends_work(self, error: BaseException) -> bool:
        """Return whether `error` ended work from outside, so that it is no error of a callback."""
        ...


#: Work in the background.
Work = Callable[[Runtime], Coroutine[Any, Any, None]]


def imported_asyncio() -> Any:
    """Return the module `asyncio`, or None if it was not imported: its import takes as long as that of this package.

    Without the GIL a look into ``sys.modules`` may take the lock of that dictionary. CPython may hand the lock to a
    daemon thread that waits for it, and stop that thread in the same moment because Python ends; then the end waits
    for ever. So there is a look only when modules have come or gone.
    """
    global _asyncio, _modules
    if _asyncio is None and (now := len(sys.modules)) != _modules:
        found = sys.modules.get("asyncio")
        if found is None:
            _modules = now
        elif hasattr(found, "current_task"):  # otherwise another thread is in the middle of the import
            _asyncio = found
    return _asyncio


def asyncio_now() -> Any:
    """Return the module `asyncio`. Callers have a task, so that it is imported already."""
    import asyncio

    return asyncio


def current_context() -> object:
    """Return the running task, or the number of this thread."""
    # Check for a running loop first: without one `current_task` raises an exception, at each callback.
    asyncio = imported_asyncio()
    if asyncio is not None and asyncio._get_running_loop() is not None and (task := asyncio.current_task()):
        return task
    return threading.get_ident()


def in_callback_of(owner: object) -> bool:
    """Return whether this thread or task is in a callback of `owner`."""
    callbacks = _callbacks.get()
    return bool(callbacks) and any(
        each.owner == id(owner) and each.context in (threading.get_ident(), current_context())
        for each in callbacks
    )


def run(coroutine: Coroutine[Any, Any, R]) -> R:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: R = done.value
        return result
    coroutine.close()
    raise RuntimeError("a pool for threads was made to await")


class RunningCallback:
    """A callback that is being called: of which owner, in which task or thread.

    Tasks and threads that the callback starts copy its context variables and outlive it. So its end sets `context` to
    None, which they see too.
    """

    __slots__ = ("_token", "context", "owner")

    def __init__(self, owner: object, context: object) -> None:
        self.owner: int = id(owner)
        self.context: object = context

    def __enter__(self) -> None:
        self._token = _callbacks.set((*_callbacks.get(), self))

    def __exit__(self, *_: object) -> None:
        self.context = None
        # A coroutine that is garbage-collected may end in another context.
        with suppress(ValueError):
            reset(_callbacks, self._token)


def _call(owner: object, function: Callable[..., Any], args: tuple[object, ...]) -> Any:
    # The callback blocks its thread, so that all code in this thread is in it, that of a task too.
    result = call_within(_callbacks, RunningCallback(owner, threading.get_ident()), function, args)
    if type(result) is CoroutineType:  # `isinstance` would ask the object for its class
        result.close()
        raise FactoryError(f"{function!r} returned a coroutine: such callbacks need a bufpool.AsyncPool")
    return result


class ThreadRuntime:
    """For threads. Callbacks are called in the thread that needs them."""

    async def call(
        self,
        owner: object,
        function: Callable[..., Any],
        *args: object,
        undo: Callable[[Any], object] | None = None,  # noqa: ARG002 - what comes back is the caller's at once
    ) -> Any:
        """Call it."""
        return _call(owner, function, args)

    def prepare(self, checkout: Checkout) -> None:
        """Do nothing: a checkout has all that a thread needs."""

    def schedule(self, pool: Maintained, within: float | None = None) -> None:
        """Leave it to the maintenance thread."""
        maintenance_thread.register(pool, within)

    def start(self, workers: Workers, work: Work, done: Callable[[], None] | None = None) -> bool:
        """Have a worker do it."""

        def do() -> None:
            try:
                run(work(self))
            finally:
                if done is not None:
                    done()

        return workers.start(do)

    def place(self) -> int:
        """Return the number of the process."""
        return os.getpid()

    def ends_work(self, error: BaseException) -> bool:  # noqa: ARG002 - nothing ends a thread
        """Return False."""
        return False

    async def wait(self, checkout: Checkout, until: float | None) -> None:
        """Block the thread."""
        checkouts.block(checkout, None if until is None else max(0.0, until - monotonic()))


THREADS = ThreadRuntime()


class TaskRuntime:
    """For tasks of any loop. Callbacks are called in the loop, and awaited if they return an awaitable."""

    def __init__(self) -> None:
        # asyncio imports `inspect` anyway; a pool for threads need not, because that takes as long as this package.
        from inspect import isawaitable

        self._is_awaitable = isawaitable
        self._loop: asyncio.AbstractEventLoop | None = None  # the last one that created an object
        self._maintaining: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._background: set[asyncio.Task[Any]] = set()

    async def call(
        self,
        owner: object,
        function: Callable[..., Any],
        *args: object,
        undo: Callable[[Any], object] | None = None,  # noqa: ARG002 - what comes back is the caller's at once
    ) -> Any:
        """Call it, and await what it returns if that is awaitable."""
        with RunningCallback(owner, current_context()):
            result = function(*args)
            return await result if self._is_awaitable(result) else result

    def prepare(self, checkout: Checkout) -> None:
        """Set what wakes this task."""
        self._drop_dead_tasks()
        checkouts.set_waker(checkout, Waker())

    async def wait(self, checkout: Checkout, until: float | None) -> None:
        """Suspend the task."""
        await checkouts.waker_of(checkout).wait(until)

    def schedule(self, pool: Maintained, within: float | None = None) -> None:
        """Start a timer in each loop that creates objects: the timers of a loop that is over never fire."""
        self._loop = loop = asyncio_now().get_running_loop()
        if within is not None:
            loop.call_later(within, self._start_extra_round, weakref.ref(pool), context=Context())
        if loop not in self._maintaining:
            self._start_timer(weakref.ref(pool))

    def _start_extra_round(self, known: weakref.ref[Maintained]) -> None:
        pool = known()
        if pool is not None and not pool.over:
            self._start(pool.run_quietly(self))

    def start(
        self,
        workers: Workers,  # noqa: ARG002 - tasks need no threads
        work: Work,
        done: Callable[[], None] | None = None,
    ) -> bool:
        """Start a task."""
        try:
            asyncio_now().get_running_loop()
        except RuntimeError:  # a coroutine that is collected: its loop has ended
            return False
        task = self._start(work(self))
        if done is not None:  # not in the coroutine: a task that is cancelled before its first step never enters it
            task.add_done_callback(lambda _: done())
        return True

    def place(self) -> int:
        """Return the number of the loop."""
        return id(asyncio_now()._get_running_loop())

    def ends_work(self, error: BaseException) -> bool:
        """Return whether the task was cancelled, or is collected."""
        asyncio = asyncio_now()
        if isinstance(error, GeneratorExit):
            return True
        if not isinstance(error, asyncio.CancelledError) or asyncio._get_running_loop() is None:
            return False
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def _start_timer(self, known: weakref.ref[Maintained]) -> None:
        pool = known()
        loop = asyncio_now().get_running_loop()
        if pool is None or pool.over or (period := pool.period) is None:
            self._maintaining.discard(loop)
        else:
            self._maintaining.add(loop)
            # With an empty context, so that the timer neither uses nor keeps the context of the first client.
            loop.call_later(period, self._start_round, known, context=Context())

    def _start_round(self, known: weakref.ref[Maintained]) -> None:
        pool = known()
        if pool is not None:
            self._start(pool.run_quietly(self)).add_done_callback(lambda _: self._start_timer(known))

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # The loop itself holds its tasks weakly.
        task: asyncio.Task[Any] = asyncio_now().get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _drop_dead_tasks(self) -> None:
        """End tasks of loops that were closed: nothing will run them, and they hold slots."""
        for task in [each for each in self._background if each.get_loop().is_closed()]:
            self._background.discard(task)
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
            work: Any = task.get_coro()
            if work is not None:
                with suppress(Exception):  # a callback that awaits at its end
                    work.close()

    def release_later(self, checkout: Checkout) -> None:
        """Return the object of a dropped lease: in this loop, in the pool's loop, or else without callbacks."""

        def start() -> None:
            self._start(checkouts.core_of(checkout).engine.release(checkout, self))

        try:
            asyncio_now().get_running_loop()
        except RuntimeError:
            self._release_outside_loop(checkout, start)
        else:
            start()

    def _release_outside_loop(self, checkout: Checkout, start: Callable[[], None]) -> None:
        """Return the object of a dropped lease where no loop runs."""
        try:
            if self._loop is None:
                raise RuntimeError("no loop has made an object")
            self._loop.call_soon_threadsafe(start)
        except RuntimeError:
            checkouts.release_all(checkout)


class ExecutorRuntime(TaskRuntime):
    """For tasks that share a pool with threads. Callbacks block, so they run in threads of their own.

    Not in the loop's executor: threads that wait for an object may fill it. A task that is cancelled meanwhile waits
    until the thread is done with the object, as in anyio, and ends then.
    """

    def __init__(self, background: Callable[[], Background]) -> None:
        super().__init__()
        self._workers = background

    def schedule(self, pool: Maintained, within: float | None = None) -> None:
        """Leave it to the maintenance thread, as for a pool that serves threads alone."""
        THREADS.schedule(pool, within)

    def start(self, workers: Workers, work: Work, done: Callable[[], None] | None = None) -> bool:
        """Have a worker do it, as for a pool that serves threads alone."""
        return THREADS.start(workers, work, done)

    def place(self) -> int:
        """Return the number of the process."""
        return THREADS.place()

    def _release_outside_loop(self, checkout: Checkout, start: Callable[[], None]) -> None:  # noqa: ARG002 - it needs no loop
        checkouts.core_of(checkout).engine.release_in_thread(checkout)

    async def call(
        self,
        owner: object,
        function: Callable[..., Any],
        *args: object,
        undo: Callable[[Any], object] | None = None,
    ) -> Any:
        """Call it in a thread."""
        import asyncio

        if asyncio._get_running_loop() is None:  # the loop has ended, and the task with it is collected
            return _call(owner, function, args)
        work = self._in_thread(owner, function, args)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await _finish(work)
            if not work.cancelled() and work.exception() is None and undo is not None:
                await _finish(self._in_thread(owner, undo, (work.result(),)))
            raise

    def _in_thread(self, owner: object, function: Callable[..., Any], args: tuple[object, ...]) -> asyncio.Future[Any]:
        loop: asyncio.AbstractEventLoop = asyncio_now().get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = copy_context()

        def work() -> None:
            try:
                tell = partial(_set_result, future, context.run(_call, owner, function, args))
            except BaseException as error:  # noqa: BLE001 - the task raises it
                tell = partial(_set_error, future, error)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(tell)

        if not self._workers().calling.start(work):
            work()
        return future


def _set_result(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _set_error(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        if isinstance(error, StopIteration):  # a future cannot hold it
            error = RuntimeError(f"a callback raised {error!r}")
        future.set_exception(error)


async def _finish(work: asyncio.Future[Any]) -> None:
    """Wait for the end of `work`, however often the task is cancelled: the caller passes the cancellation on."""
    import asyncio

    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])


class Waker:
    """Wakes one task, from any thread; before the task waits, too."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop = asyncio_now().get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def __call__(self) -> None:
        # The loop may have gone on in another thread: what counts is that it runs in this one.
        if asyncio_now()._get_running_loop() is self._loop:
            self._set()
        else:
            self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, until: float | None) -> None:
        """Suspend the task until it is woken, or until then on the monotonic clock."""
        timer = None
        if until is not None:
            timer = self._loop.call_later(max(0.0, until - monotonic()), self._set)
        try:
            await self._future
        finally:
            if timer is not None:
                timer.cancel()
        self._future = self._loop.create_future()
