"""Who has an object, since when, from where: what is kept of the checkouts that are sampled."""

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
    """One checkout, as cheaply as it can be kept: no frame, and so nobody's variables; no line number yet."""

    at: float
    task: str | None
    calls: tuple[tuple[CodeType, int], ...]

    @property
    def stack(self) -> str:
        """As in a traceback, the innermost call last."""
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
        The thread that took it: its name, or its number if it is not alive any more.
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
    """Who is checking an object out."""
    calls: list[tuple[CodeType, int]] = []
    frame: FrameType | None = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame is not None and len(calls) < DEPTH:
        calls.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return Trace(perf_counter(), _task(), tuple(calls))


def holder(reading: tuple[int, Any, float, int, Trace | None]) -> Holder[Any]:
    """One of `PoolCore.held`, in words."""
    _, thing, seconds, ident, trace = reading
    names = {each.ident: each.name for each in threading.enumerate()}
    return Holder(
        object=thing,
        seconds=seconds,
        thread=names.get(ident, str(ident)),
        task=trace.task if trace else None,
        stack=trace.stack if trace else None,
    )


def _line(code: CodeType, at: int) -> int | None:
    """The line of an instruction: looking it up takes longer than all the rest of a trace."""
    return next((line for start, end, line in code.co_lines() if start <= at < end), None)


def _task() -> str | None:
    if (asyncio := imported_asyncio()) is None:
        return None
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None
    return task.get_name() if task else None
