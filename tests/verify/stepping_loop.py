"""An event loop that runs one callback at a time, in an order that its user chooses, by a clock that its user moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

ENDLESS = 1000  # futures in one step: it goes round in circles, and no other step would ever come


class EndlessError(BaseException):
    """Of a step that has no end."""


class Step:
    """A callback that is to be run, now or at a time."""

    def __init__(self, when: float, callback: Callable[..., Any], args: tuple[Any, ...], context: Any) -> None:
        self.when = when
        self.off = False
        self._run: tuple[Context, Callable[..., Any], tuple[Any, ...]] = (
            copy_context() if context is None else context,  # an empty one is false
            callback,
            args,
        )

    def cancel(self) -> None:
        """As of `asyncio.Handle`."""
        self.off = True

    def run(self) -> None:
        """Once."""
        context, callback, args = self._run
        context.run(callback, *args)


class SteppingLoop(asyncio.AbstractEventLoop):
    """As much of a loop as tasks, futures, time-outs and locks need: no selector, no threads."""

    def __init__(self) -> None:
        self.ready: list[Step] = []
        self.timers: list[Step] = []
        self.now = 1000.0
        self.complaints: list[str] = []
        self._futures = 0

    # --- what asyncio asks of it ---

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        step = Step(self.now, callback, args, context)
        self.ready.append(step)
        return step

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        step = Step(when, callback, args, context)
        self.timers.append(step)
        return step

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[Any]:
        self._futures += 1
        if self._futures > ENDLESS:
            raise EndlessError("a task goes round in circles without letting others run")
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **more: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **more)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")

    # --- what its user does with it ---

    def __enter__(self) -> SteppingLoop:
        asyncio._set_running_loop(self)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio._set_running_loop(None)

    def step(self, which: int = 0) -> None:
        """Run one of those that are ready."""
        step = self.ready.pop(which)
        self._futures = 0
        if not step.off:
            step.run()

    def next_timer(self) -> Step | None:
        """The one that comes first."""
        self.timers = [each for each in self.timers if not each.off]
        return min(self.timers, key=lambda each: each.when, default=None)

    def fire(self) -> None:
        """Let the time of the first timer come."""
        timer = self.next_timer()
        assert timer is not None
        self.timers.remove(timer)
        self.now = max(self.now, timer.when)
        self.ready.append(timer)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """In order, to the end."""
        task = self.create_task(work)
        while not task.done():
            if not self.ready:
                self.fire()
            self.step()
        return task.result()
