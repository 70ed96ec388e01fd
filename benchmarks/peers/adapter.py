"""A way to borrow an object and give it back: how it is timed, and how it can be misused.

Every way is built for a number of objects. One is timed with one object and nobody else about; `manners` asks what
it does with two when a client makes a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bufpool.cli.bench.sampling import Sample, loop, quickest


def itself(handle: Any) -> Any:
    """The handle is the object."""
    return handle


@dataclass(frozen=True)
class Way:
    """One pool, or what one writes by hand.

    Parameters
    ----------
    statement : str
        A checkout and a return as its users write it; a ``with`` where there is one.
    names : mapping
        What the statement uses, and `calls` too.
    take, give : callable
        The same as two calls. `take` returns a handle, which `give` takes back.
    one : callable
        The object that a handle stands for, where a pool hands out a wrapper made anew each time.
    calls : str
        The statement as two calls, where it is a ``with`` that one can do without. Which is quicker differs from pool
        to pool, so both are tried.
    """

    statement: str
    names: Mapping[str, Any]
    take: Callable[[], Any]
    give: Callable[[Any], Any]
    one: Callable[[Any], Any] = itself
    calls: str = ""

    def sample(self) -> Sample:
        """The timed loop, of the form that is quicker here."""
        return quickest([loop(form, **self.names) for form in (self.statement, self.calls) if form])


def of_managers(
    manage: Callable[[], Any],
) -> tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]:
    """`take`, `give` and `one` for a pool whose only way out is a context manager; it is the handle, once entered."""
    entered: dict[int, tuple[Any, Any]] = {}  # the managers are kept, so that no two have one identity

    def take() -> Any:
        manager = manage()
        entered[id(manager)] = (manager, manager.__enter__())
        return manager

    return take, lambda manager: manager.__exit__(None, None, None), lambda manager: entered[id(manager)][1]
