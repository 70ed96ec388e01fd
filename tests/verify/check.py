"""A check: something that is run at a stated size, and finds violations or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """What a run found.

    Parameters
    ----------
    size : str
        How much was tried, in words: "694,464 executions".
    violations : tuple of str
        What went wrong, each with all that is needed to see it again.
    """

    size: str
    violations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One line of `make prove`.

    Parameters
    ----------
    name : str
        Family and case: "model: 3 threads, 3 blocks, 3 preemptions".
    run : callable
        Does the work.
    lacks : str
        What this machine lacks for it; then it cannot run, and that is said.
    """

    name: str
    run: Callable[[], Found]
    lacks: str = ""


#: A family gives its checks, short or at full length.
Family = Callable[[bool], Iterator[Check]]
