"""Factories that do what a test tells them, call by call, and remember who called them and what they made."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.clients import Gate, Thing

SOON = 1.5  # seconds: what need not wait takes far less, also while the machine is busy


@contextmanager
def soon(most: float = SOON) -> Iterator[None]:
    """The block waits for nothing that a test holds back."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < most, f"took {took:.2f} s"


class Calls:
    """What happens in the calls of a factory: how many there were, how many at once, and what they made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.running = 0
        self.most = 0  # that ran at once
        self.made: list[Thing] = []
        self.closed: list[Thing] = []

    def begin(self) -> int:
        """The number of this call, from 0."""
        with self.lock:
            self.count += 1
            self.running += 1
            self.most = max(self.most, self.running)
            return self.count - 1

    def end(self) -> None:
        with self.lock:
            self.running -= 1

    def make(self, number: int) -> Thing:
        thing = Thing(number)
        with self.lock:
            self.made.append(thing)
        return thing

    def close(self, thing: Thing) -> None:
        """Close a thing, once."""
        with self.lock:
            assert thing not in self.closed
            self.closed.append(thing)

    @property
    def alive(self) -> list[Thing]:
        return [each for each in self.made if each not in self.closed]


class Steps(Calls):
    """A factory for threads. Its calls do in turn what the steps say, then what `rest` says.

    A step is an error to raise, a function to call first, or None. A thing has the number of its call.
    """

    def __init__(self, *steps: Any, rest: Any = None) -> None:
        super().__init__()
        self.steps = steps
        self.rest = rest
        self.threads: list[threading.Thread] = []

    def __call__(self) -> Thing:
        number = self.begin()
        self.threads.append(threading.current_thread())
        try:
            step = self.steps[number] if number < len(self.steps) else self.rest
            if isinstance(step, BaseException):
                raise step
            if step is not None:
                step()
            return self.make(number)
        finally:
            self.end()

    @property
    def idents(self) -> set[int | None]:
        return {each.ident for each in self.threads}


class AsyncSteps(Calls):
    """As `Steps`, for tasks: a step may be a coroutine function."""

    def __init__(self, *steps: Any, rest: Any = None) -> None:
        super().__init__()
        self.steps = steps
        self.rest = rest
        self.tasks: list[asyncio.Task[Any] | None] = []

    async def __call__(self) -> Thing:
        number = self.begin()
        self.tasks.append(asyncio.current_task())
        try:
            step = self.steps[number] if number < len(self.steps) else self.rest
            if isinstance(step, BaseException):
                raise step
            if step is not None:
                result = step()
                if inspect.isawaitable(result):
                    await result
            return self.make(number)
        finally:
            self.end()


class AsyncGate:
    """A callback of tasks that says that it is there, and stays until it is let go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, *_: Any) -> None:
        self.entered.set()
        await asyncio.wait_for(self.opened.wait(), 30)

    async def reached(self) -> None:
        await asyncio.wait_for(self.entered.wait(), 30)

    def open(self) -> None:
        self.opened.set()


async def until_so(condition: Callable[[], object], what: str = "") -> None:
    """Let other tasks run until it is so."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"it never came to that {what}"
        await asyncio.sleep(0.001)


class Gates:
    """Makes gates, and opens all of them at the end."""

    def __init__(self) -> None:
        self.all: list[Gate] = []

    def __call__(self, answer: Callable[..., Any] = lambda *_: None) -> Gate:
        gate = Gate(answer)
        self.all.append(gate)
        return gate

    def open(self) -> None:
        for each in self.all:
            each.open()
