"""Seeded bugs: each mistake of `tests.verify.bugs`, built and run against the tests that must notice it.

A bug is caught if a test fails that passes without the bug, or if it hangs where the clean run takes a fraction of the
time. One that does not compile, or whose tests do not pass without it, is an error of the table and counts as missed.

`tests.verify.seed_bugs` is the command that says what becomes of each.
"""

from __future__ import annotations

import importlib.util
import queue
import re
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bufpool._words import plural
from tests.support.checkout import ROOT
from tests.verify.bug import Bug, Ladder, Suite, TableError
from tests.verify.bugs import BUGS
from tests.verify.check import Check, Found
from tests.verify.copies import CoreCopy, PackageCopy
from tests.verify.cpp_programs import LACKS_COMPILER, SOURCES, NoSanitizerError

#: Of each layer some, for a short run: those of the core that need no sanitizer, and one that does.
SAMPLE = (
    "the pages of the free extent behind are not counted",
    "a lock opened with a relaxed store",
    "memory that went back stays in the page map",
    "a block stays out when NumPy refuses the array",
    "a lease empties its array though a view exists",
    "uninstall takes the newest entry, whosever it is",
    "a generator that raises leaves the pool installed",
    "NaN is a number of seconds",
)

COPIES: dict[type, Any] = {Ladder: CoreCopy, Suite: PackageCopy}

JOBS = 2
FIRST_PATIENCE = 300.0  # seconds: for a clean run, of which nothing is known yet


def patience(clean: float) -> float:
    """Seconds after which a run hangs, where the clean one takes `clean`."""
    return 10 + 10 * clean


def lacks() -> str:
    """What this place lacks for building copies."""
    if LACKS_COMPILER:
        return LACKS_COMPILER
    if not (SOURCES / "memory/core/arena.cpp").exists() or not (ROOT / "setup.py").exists():
        return "the sources are in the checkout alone"
    missing = [name for name in ("Cython", "setuptools") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(missing)} would have to be installed" if missing else ""


@dataclass(frozen=True)
class Verdict:
    """What became of a bug: "caught" or "missed", or "broken" where the table is wrong, or "lacking" a sanitizer."""

    bug: Bug
    word: str
    why: str
    seconds: float = 0.0


class Gate:
    """Copies to seed bugs into, and what the clean ones said."""

    def __init__(self, folder: Path, jobs: int = JOBS) -> None:
        self.folder = folder
        self.jobs = jobs
        self.clean: dict[Ladder | Suite, float | Exception] = {}
        self.locks: defaultdict[Ladder | Suite, threading.Lock] = defaultdict(threading.Lock)
        self.copies: dict[type, queue.SimpleQueue[CoreCopy | PackageCopy]] = {}

    def judge(self, bugs: Sequence[Bug]) -> Iterator[Verdict]:
        """Run each, with as many at once as there are jobs."""
        needed = Counter(type(bug.noticed_by) for bug in bugs)
        for kind, count in needed.items():
            self._make_copies(kind, count)
        with ThreadPoolExecutor(self.jobs) as workers:
            yield from workers.map(self._judge_one, bugs)

    def _make_copies(self, kind: type, most: int) -> None:
        make, copies = COPIES[kind], queue.SimpleQueue()
        first = None
        for number in range(min(self.jobs, most)):
            copy = make(self.folder / f"{kind.__name__}-{number}", first)
            first = first or copy
            copies.put(copy)
        self.copies[kind] = copies

    @contextmanager
    def _copy(self, what: Ladder | Suite) -> Iterator[CoreCopy | PackageCopy]:
        copies = self.copies[type(what)]
        copy = copies.get()
        try:
            yield copy
        finally:
            copies.put(copy)

    def _clean(self, what: Ladder | Suite) -> float | Exception:
        """Seconds without a bug, or what is wrong even so. Each is run once."""
        with self.locks[what]:
            if what not in self.clean:
                self.clean[what] = self._run_clean(what)
            return self.clean[what]

    def _run_clean(self, what: Ladder | Suite) -> float | Exception:
        with self._copy(what) as copy:
            try:
                status, said, took = copy.run(what, FIRST_PATIENCE)
            except (TableError, NoSanitizerError) as error:
                return error
        if status != 0:
            return TableError(f"without the bug it fails too, status {status}:\n{said}")
        if isinstance(what, Suite) and not re.search(r"\d+ passed", said):
            return TableError(f"no test was run:\n{said}")
        return took

    def _judge_one(self, bug: Bug) -> Verdict:
        what = bug.noticed_by
        try:
            clean = self._clean(what)
            if isinstance(clean, Exception):
                raise clean
            began = time.monotonic()
            with self._copy(what) as copy, copy.with_bug(bug):
                status, said, _ = copy.run(what, patience(clean))
        except TableError as error:
            return Verdict(bug, "broken", str(error))
        except NoSanitizerError as error:
            return Verdict(bug, "lacking", str(error))
        took = time.monotonic() - began
        # Of pytest's statuses 1 says that tests failed; the others that something else is wrong, with it or our words.
        if isinstance(what, Suite) and status in (2, 3, 4, 5):
            return Verdict(bug, "broken", f"pytest ended with status {status}:\n{said}")
        if status == 0:
            return Verdict(bug, "missed", f"{what} passes", took)
        return Verdict(bug, "caught", _reason(status, said), took)


def _reason(status: int | None, said: str) -> str:
    if status is None:
        return "it hangs"
    for sign in (r"FAILED (.*)", r"(ERROR .*)", r"(line \d+: .*)", r"WARNING: (ThreadSanitizer: .*)"):
        seen = re.search(f"^{sign}", said, re.MULTILINE)
        if seen is not None:
            return seen[1]
    return f"exit status {status}"


def judged(bugs: Sequence[Bug]) -> Iterator[Verdict]:
    """Each bug in turn, in copies that are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield from Gate(Path(folder)).judge(bugs)


def found(bugs: Sequence[Bug], of: int) -> Found:
    """How many were caught; the others are the violations."""
    verdicts = list(judged(bugs))
    caught = sum(each.word == "caught" for each in verdicts)
    lacking = sum(each.word == "lacking" for each in verdicts)
    seeded = f"seeded {plural(of, 'bug')}"
    part = f"{len(bugs)} {seeded}" if len(bugs) == of else f"sample of {len(bugs)} of {of} {seeded}"
    without = f", {lacking} lack their sanitizer" if lacking else ""
    wrong = tuple(f"{each.word}: {each.bug.name}: {each.why}" for each in verdicts if each.word in ("missed", "broken"))
    return Found(f"{part}: {caught} caught{without}", wrong)


def checks(full: bool) -> Iterator[Check]:
    """The sample or all; then those that this interpreter cannot show."""
    shown = [bug for bug in BUGS if not bug.hidden]
    chosen = shown if full else [bug for bug in shown if bug.name in SAMPLE]
    yield Check("mutants", lambda: found(chosen, len(shown)), lacks())
    if full:
        for bug in BUGS:
            if bug.hidden:
                yield Check(f"mutants: {bug.name}", lambda: found([], 0), bug.hidden)
