"""How a pool calls its callbacks and waits: in threads, in tasks of asyncio, or in threads on behalf of tasks.

The lifecycle of objects is written once, as coroutines. A thread runs such a coroutine in one go (`run`), because
nothing that its port awaits ever suspends; a task awaits it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bufpool.errors import FactoryError
from bufpool.objects import maintenance_thread
from bufpool.objects.loops import imported_asyncio
from bufpool.objects.native._checkout import call_within, reset

if TYPE_CHECKING:
    import asyncio

    from bufpool.objects.maintenance_thread import Maintained
    from bufpool.objects.native._checkout import Turn

__all__ = ["Port", "Tasks", "TasksInThreads", "Threads", "inside", "run"]

R = TypeVar("R")

#: Callbacks that this thread or task is in: whose, and who.
_inside: ContextVar[tuple[Callback, ...]] = ContextVar("bufpool_inside", default=())


class Port(Protocol):
    """What the lifecycle of objects needs of the world that its clients live in."""

    async def call(
        self,
        owner: object,
        function: Callable[..., Any],
        *args: object,
        undo: Callable[[Any], object] | None = None,
    ) -> Any:
        """What the callback returns; if nobody can have that any more, `undo` gets it."""

    async def wait(self, turn: Turn, until: float | None) -> None:
        """Sleep until the turn is woken, or until then on the monotonic clock."""

    def prepare(self, turn: Turn) -> None:
        """Before the turn asks for something that it may have to wait for."""

    def maintain(self, pool: Maintained) -> None:
        """Have the pool maintained from now on; or, if it is over, no more."""


def asyncio_now() -> Any:
    """The module, which takes as long to import as all of this package; with a task at hand it is there."""
    import asyncio

    return asyncio


def here() -> object:
    """The task that runs, or the thread."""
    # First whether a loop runs: `current_task` would tell that there is none by an exception, at each callback.
    asyncio = imported_asyncio()
    if asyncio is not None and asyncio._get_running_loop() is not None and (task := asyncio.current_task()):
        return task
    return threading.get_ident()


def inside(owner: object) -> bool:
    """Whether this thread or task is in a callback of `owner`'s."""
    callbacks = _inside.get()
    return bool(callbacks) and any(
        each.owner == id(owner) and each.who in (threading.get_ident(), here()) for each in callbacks
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


class Callback:
    """A callback that is going on: whose, and who is in it.

    What it starts has a copy of its context, which outlives it. There nobody is in it any more, once it is over.
    """

    __slots__ = ("_token", "owner", "who")

    def __init__(self, owner: object, who: object) -> None:
        self.owner: int = id(owner)
        self.who: object = who

    def __enter__(self) -> None:
        self._token = _inside.set((*_inside.get(), self))

    def __exit__(self, *_: object) -> None:
        self.who = None
        # A coroutine that is collected ends in whatever context that happens.
        with suppress(ValueError):
            reset(_inside, self._token)


def _call(owner: object, function: Callable[..., Any], args: tuple[object, ...]) -> Any:
    # It blocks its thread: whoever runs here meanwhile is in it, a task too, which need not be asked for.
    result = call_within(_inside, Callback(owner, threading.get_ident()), function, args)
    if type(result) is CoroutineType:  # `isinstance` would ask the object for its class
        result.close()
        raise FactoryError(f"{function!r} returned a coroutine: such callbacks need a bufpool.AsyncPool")
    return result


class Threads:
    """Callbacks run in the thread that needs them."""

    async def call(
        self,
        owner: object,
        function: Callable[..., Any],
        *args: object,
        undo: Callable[[Any], object] | None = None,  # noqa: ARG002 - what comes back is the caller's at once
    ) -> Any:
        """Call it."""
        return _call(owner, function, args)

    def prepare(self, turn: Turn) -> None:
        """A turn has what a thread needs."""

    def maintain(self, pool: Maintained) -> None:
        """Leave it to the maintenance thread."""
        maintenance_thread.register(pool)

    async def wait(self, turn: Turn, until: float | None) -> None:
        """Block the thread."""
        turn.block(None if until is None else max(0.0, until - monotonic()))


THREADS = Threads()


class Tasks:
    """Tasks of whatever loop is running: callbacks are called in the loop, and awaited if they return an awaitable."""

    def __init__(self) -> None:
        # asyncio imports `inspect` anyway; a pool for threads need not, because that takes as long as this package.
        from inspect import isawaitable

        self._is_awaitable = isawaitable
        self._loop: asyncio.AbstractEventLoop | None = None  # that made an object last
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
        with Callback(owner, here()):
            result = function(*args)
            return await result if self._is_awaitable(result) else result

    def prepare(self, turn: Turn) -> None:
        """Tell the turn how to wake this task."""
        turn.waker = Waker()

    async def wait(self, turn: Turn, until: float | None) -> None:
        """Suspend the task."""
        await turn.waker.wait(until)

    def maintain(self, pool: Maintained) -> None:
        """Leave it to a timer of each loop that makes objects: those of a loop that is over never come."""
        self._loop = loop = asyncio_now().get_running_loop()
        if loop not in self._maintaining:
            self._upkeep_later(weakref.ref(pool))

    def _upkeep_later(self, known: weakref.ref[Maintained]) -> None:
        pool = known()
        loop = asyncio_now().get_running_loop()
        if pool is None or pool.over or (period := pool.period) is None:
            self._maintaining.discard(loop)
        else:
            self._maintaining.add(loop)
            # Not on behalf of the client that happened to be the first: its context is not kept, nor used.
            loop.call_later(period, self._upkeep_now, known, context=Context())

    def _upkeep_now(self, known: weakref.ref[Maintained]) -> None:
        pool = known()
        if pool is not None:
            self._start(pool.upkeep_quietly(self)).add_done_callback(lambda _: self._upkeep_later(known))

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # The loop itself holds its tasks weakly.
        task: asyncio.Task[Any] = asyncio_now().get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def later(self, turn: Turn) -> None:
        """Return the object in hand of a turn whose client is gone; without a loop it goes without ceremony."""

        def start() -> None:
            self._start(turn.core.lifecycle.check_in(turn, self))

        try:
            asyncio_now().get_running_loop()
        except RuntimeError:
            self._outside(turn, start)
        else:
            start()

    def _outside(self, turn: Turn, start: Callable[[], None]) -> None:
        """The same where no loop runs."""
        try:
            if self._loop is None:
                raise RuntimeError("no loop has made an object")
            self._loop.call_soon_threadsafe(start)
        except RuntimeError:
            turn.give_up()


class TasksInThreads(Tasks):
    """Tasks that share the objects of a pool for threads: callbacks block, so they run in the loop's executor.

    A task that is cancelled meanwhile waits until the thread is done with the object, as in anyio, and then goes.
    """

    def maintain(self, pool: Maintained) -> None:
        """Leave it to the maintenance thread, as for a pool that serves threads alone."""
        THREADS.maintain(pool)

    def _outside(self, turn: Turn, start: Callable[[], None]) -> None:  # noqa: ARG002 - it needs no loop
        turn.core.lifecycle.return_in_thread(turn)

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
        work = _in_thread(owner, function, args)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await _finish(work)
            if not work.cancelled() and work.exception() is None and undo is not None:
                await _finish(_in_thread(owner, undo, (work.result(),)))
            raise


def _in_thread(owner: object, function: Callable[..., Any], args: tuple[object, ...]) -> asyncio.Future[Any]:
    loop: asyncio.AbstractEventLoop = asyncio_now().get_running_loop()
    run_here = copy_context().run
    return loop.run_in_executor(None, run_here, _call, owner, function, args)  # pyright: ignore[reportArgumentType]


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
