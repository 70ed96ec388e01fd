"""One interface to all pools of objects: how a checkout is timed, and how to misuse the pool.

An adapter is built for a number of objects. It is timed with one object and one client; `workloads.misuse` tries two
objects and a client that makes a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.harness.sampling import Sample, fastest, loop


def _same(handle: Any) -> Any:
    return handle


@dataclass(frozen=True)
class Adapter:
    """One pool of objects, or a container of the standard library.

    Parameters
    ----------
    statement : str
        A checkout and a return as users write it; a ``with`` statement if there is one.
    names : mapping
        The names that `statement` and `calls` use.
    acquire, release : callable
        The same as two calls. `acquire` returns a handle, and `release` takes it back.
    object_of : callable
        The object behind a handle, for pools that hand out a new wrapper each time.
    calls : str
        The statement as two calls, if it is a ``with`` that is not required. Which form is faster differs from pool to
        pool, so both are tried.
    """

    statement: str
    names: Mapping[str, Any]
    acquire: Callable[[], Any]
    release: Callable[[Any], Any]
    object_of: Callable[[Any], Any] = _same
    calls: str = ""

    def sample(self) -> Sample:
        """The timed loop, in the form that is faster here."""
        return fastest([loop(form, **self.names) for form in (self.statement, self.calls) if form])
