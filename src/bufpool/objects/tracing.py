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

DEPTH = 24  # frames kept
_OURS = __file__.removesuffix("objects/tracing.py").removesuffix(r"objects\tracing.py")  # the folder of the package


class Trace:
    """The stack of one checkout. It keeps no frames and so no variables; line numbers are computed when it is shown."""

    __slots__ = ("_stack", "at", "calls", "task", "thread")

    def __init__(self, calls: tuple[tuple[CodeType, int], ...]) -> None:
        self.at: float = perf_counter()
        self.thread: str = _name_of(getattr(threading, "_active", {}).get(threading.get_ident()))
        self.task: str | None = _task()
        self.calls: tuple[tuple[CodeType, int], ...] = calls
        self._stack: str | None = None

    @property
    def stack(self) -> str:
        """The calls as text, as in a traceback, the innermost last."""
        if self._stack is None:  # many errors may show the same one
            self._stack = "".join(
                f'  File "{code.co_filename}", line {_line(code, at)}, in {code.co_name}\n'
                for code, at in reversed(self.calls)
                if not code.co_filename.startswith(_OURS)
            )
        return self._stack


class Holder(NamedTuple, Generic[T]):
    """An object that is out, from `Pool.leases`.

    Attributes
    ----------
    object : object
        The object.
    seconds : float
        Since its checkout, to within some milliseconds.
    thread : str
        The name of the thread that took it. If the checkout was not sampled: the name of the thread that has its number
        now, or the number if none has.
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
    return Trace(tuple(calls))


def holders(readings: list[tuple[int, Any, float, int, Trace | None]]) -> list[Holder[Any]]:
    """Convert entries of `PoolCore.held`."""
    names: dict[int | None, str] = {}
    if not all(trace for *_, trace in readings):
        names = {each.ident: _name_of(each) for each in threading.enumerate()}
    return [
        Holder(
            object=thing,
            seconds=seconds,
            thread=trace.thread if trace else names.get(ident, str(ident)),
            task=trace.task if trace else None,
            stack=trace.stack if trace else None,
        )
        for _, thing, seconds, ident, trace in readings
    ]


def _name_of(thread: threading.Thread | None) -> str:
    """Return the name of a thread, or its number: a thread that is not Python's has none, and a class may forbid it."""
    try:
        return str(thread.name) if thread else str(threading.get_ident())
    except Exception:  # noqa: BLE001 - a user's property
        return str(thread.ident if thread else None)


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
