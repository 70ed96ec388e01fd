"""Wraps a function of any kind so that it runs in a context.

The context is entered only while the function's own code runs: a generator leaves it at each ``yield`` and enters it
again when it is resumed, because context variables leak out of a generator that is merely suspended (PEP 567).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

__all__ = ["under"]

F = TypeVar("F", bound=Callable[..., Any])


def under(context: AbstractContextManager[Any], function: F) -> F:
    """Return `function` wrapped so that it runs under `context`, which is entered many times."""
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"expected a function to run under {context!r}, not {function!r}")
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def asynchronous_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            source = function(*args, **kwargs)
            step = source.__anext__()
            try:
                while True:
                    try:
                        value = await _Driven(context, step)
                    except StopAsyncIteration:
                        return
                    try:
                        sent = yield value
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = source.athrow(error)
                    else:
                        step = source.asend(sent)
            finally:
                await _Driven(context, source.aclose())

        return cast("F", asynchronous_generator)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            # The task's own context: while it waits, other tasks see theirs.
            return await _Driven(context, function(*args, **kwargs))

        return cast("F", coroutine)
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _drive(context, function(*args, **kwargs)))

        return cast("F", generator)

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with context:
            return function(*args, **kwargs)

    return cast("F", plain)


def _drive(context: AbstractContextManager[Any], source: Any) -> Generator[Any, Any, Any]:
    """Pass everything through to the generator or awaitable iterator `source`, entering `context` for each step."""
    step: Callable[[], Any] = functools.partial(source.send, None)
    while True:
        try:
            with context:
                value = step()
        except StopIteration as stop:
            return stop.value
        try:
            sent = yield value
        except GeneratorExit:
            with context:
                source.close()
            raise
        except BaseException as error:
            step = functools.partial(source.throw, error)
        else:
            step = functools.partial(source.send, sent)


class _Driven:
    """An awaitable whose steps run under a context."""

    def __init__(self, context: AbstractContextManager[Any], awaitable: Any) -> None:
        self.context = context
        self.awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, Any]:
        return _drive(self.context, self.awaitable.__await__())
