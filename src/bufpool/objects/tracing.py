"""Which thread or task has an object, and since when; the stacks of the checkouts that are sampled."""

from __future__ import annotations

import sys
import threading
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, Generic, NamedTuple, TypeVar

from bufpool.objects.runtimes import imported_asyncio

__all__ = ["Holder", "Trace"]

T = TypeVar("T")

DEPTH = 12  # frames kept
_OURS = __file__.rpartition(__name__.rpartition(".")[2])[0]


class Trace(NamedTuple):
    """The stack of one checkout. It keeps no frames and so no variables; line numbers are computed when it is shown."""

    at: float
    thread: str
    task: str | None
    calls: tuple[tuple[CodeType, int], ...]

    @property
    def stack(self) -> str:
        """The calls as text, as in a traceback, the innermost last."""
        return "".join(
            f'  File "{code.co_filename}", line {_line(code, at)}, in {code.co_name}\n'
            for code, at in reversed(self.calls)
            if not code.co_filename.startswith(_OURS)
        )


class Holder(NamedTuple, Generic[T]):
    """An object that is out, from `Pool.leases`.

    Attributes
    ----------
    object : object
        The object.
    seconds : float
        Since its checkout, to within some milliseconds.
    thread : str
        The thread that took it: its name, or its number if it ended and the checkout was not sampled.
    task : str or None
        The task that took it, if the checkout was sampled.
    stack : str or None
        The calls that led to the checkout, the innermost last, if it was sampled.

    Examples
    --------
    >>> import bufpool
    >>> pool = bufpool.Pool(list)
    >>> with pool.lease() as x:
    ...     (holder,) = pool.leases()
    >>> holder.object is x, holder.thread
    (True, 'MainThread')
    """

    object: T
    seconds: float
    thread: str
    task: str | None
    stack: str | None


def capture() -> Trace:
    """Return the stack of the checkout that is going on."""
    calls: list[tuple[CodeType, int]] = []
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and len(calls) < DEPTH:
        calls.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return Trace(perf_counter(), threading.current_thread().name, _task(), tuple(calls))


def holder(reading: tuple[int, Any, float, int, Trace | None]) -> Holder[Any]:
    """Convert an entry of `PoolCore.held`."""
    _, thing, seconds, ident, trace = reading
    names = {} if trace else {each.ident: each.name for each in threading.enumerate()}
    return Holder(
        object=thing,
        seconds=seconds,
        thread=trace.thread if trace else names.get(ident, str(ident)),
        task=trace.task if trace else None,
        stack=trace.stack if trace else None,
    )


def _line(code: CodeType, at: int) -> int | None:
    """Return the line of an instruction. The look-up takes longer than capturing the trace."""
    return next((line for start, end, line in code.co_lines() if start <= at < end), None)


def _task() -> str | None:
    if (asyncio := imported_asyncio()) is None:
        return None
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None
    return task.get_name() if task else None
