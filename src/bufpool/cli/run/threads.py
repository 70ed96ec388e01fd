"""A pool in every thread that a program starts.

NumPy's handler is a context variable, and a new thread begins with an empty context. `threading.setprofile` names a
function that each new thread calls at its first event: that one installs the pool there and takes itself out again.
A profiler that the program sets the same way is called as if it were alone.
"""

from __future__ import annotations

import functools
import itertools
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any

from bufpool import BufferPool

__all__ = ["Threads"]

# Set where a pool was installed: a thread may begin with a copy of its starter's context (Python 3.14).
_reached: ContextVar[Threads | None] = ContextVar("bufpool_threads", default=None)
# Those that set the profile function of new threads, by the Python versions that have them.
_SETTERS = [name for name in ("setprofile", "setprofile_all_threads") if hasattr(threading, name)]


class Threads:
    """Installs `pool` in each thread that starts between `start` and `stop`."""

    def __init__(self, pool: BufferPool) -> None:
        self.pool = pool
        self.count: int = 0
        """Threads that the pool was installed in."""
        self._numbers = itertools.count(1)
        self._theirs: Any = None  # the program's own profile function
        self._originals: dict[str, Callable[..., Any]] = {}

    def start(self) -> None:
        """Begin. The caller's context is taken for reached: installing the pool there is the caller's part."""
        _reached.set(self)
        self._theirs = threading.getprofile()
        self._originals = {name: getattr(threading, name) for name in (*_SETTERS, "getprofile")}
        self._originals["setprofile"](self._first_event)
        for name in _SETTERS:
            setattr(threading, name, self._kept_first(self._originals[name]))
        threading.getprofile = functools.wraps(threading.getprofile)(lambda: self._theirs)

    def stop(self) -> None:
        """End. Threads that run keep the pool."""
        for name, original in self._originals.items():
            setattr(threading, name, original)
        threading.setprofile(self._theirs)
        _reached.set(None)

    def _first_event(self, frame: FrameType, event: str, argument: Any) -> None:
        # The first Python function runs in the thread's own context; what comes before it may not.
        if event == "call":
            if _reached.get() is not self:
                _reached.set(self)
                self.pool.install()
                self.count = next(self._numbers)
            sys.setprofile(self._theirs)
        if self._theirs is not None:
            self._theirs(frame, event, argument)

    def _kept_first(self, original: Callable[..., Any]) -> Callable[[Any], None]:
        @functools.wraps(original)
        def setter(func: Any) -> None:
            original(func)
            self._theirs = func
            self._originals["setprofile"](self._first_event)

        return setter
