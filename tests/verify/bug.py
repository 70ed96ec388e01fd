"""A seeded bug: a text of one file, what stands there instead, and the tests that must notice."""

from __future__ import annotations

import sys
from dataclasses import dataclass


def has_gil() -> bool:
    """Whether this interpreter runs one thread at a time."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


@dataclass(frozen=True)
class Ladder:
    """A program of ``tests/verify/core``, compiled around the core as it was changed. No Python, so it takes seconds.

    Parameters
    ----------
    program : str
        Its name, without the suffix.
    rounds : int
        As many as notice the bug for certain.
    sanitizer : str
        Of `tests.verify.cpp_programs.SANITIZERS`.
    """

    program: str
    rounds: int
    sanitizer: str = "plain"

    def __str__(self) -> str:
        return f"{self.program} {self.rounds}, {self.sanitizer}"


@dataclass(frozen=True)
class Suite:
    """Tests of the suite, run on a copy of the package.

    Parameters
    ----------
    tests : str
        Arguments of pytest: files, single tests, ``-k`` with one word.
    """

    tests: str

    def __str__(self) -> str:
        return self.tests


@dataclass(frozen=True)
class Bug:
    """One mistake that somebody could make.

    Parameters
    ----------
    name : str
        What is wrong, in words. No two bugs have the same.
    file : str
        Below ``src/bufpool``.
    text : str
        Stands there exactly once.
    instead : str
        The mistake.
    noticed_by : Ladder or Suite
        What must fail with it, and pass without.
    without_gil : bool
        Only an interpreter without the GIL can show it.
    since, before : (int, int), optional
        Only a CPython from this version on, or before this one, can show it.
    """

    name: str
    file: str
    text: str
    instead: str
    noticed_by: Ladder | Suite
    without_gil: bool = False
    since: tuple[int, int] = (3, 0)
    before: tuple[int, int] = (4, 0)

    @property
    def hidden(self) -> str:
        """What this interpreter lacks to show the bug."""
        if self.without_gil and has_gil():
            return "it needs a free-threaded interpreter"
        if not self.since <= sys.version_info[:2] < self.before:
            first, last = (".".join(map(str, each)) for each in (self.since, self.before))
            return f"it needs a CPython from {first} on and before {last}"
        return ""

    def seeded(self, source: str) -> str:
        """`source` with the bug; raises `TableError` if its text does not stand there exactly once."""
        count = source.count(self.text)
        if count != 1:
            raise TableError(f"the text to change stands {count} times in {self.file}:\n{self.text}")
        return source.replace(self.text, self.instead)


class TableError(Exception):
    """The table of bugs is wrong, so that a run of this bug would mean nothing."""
