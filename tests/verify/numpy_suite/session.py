"""NumPy's own fast tests in this process, on plain memory or under a pool. What became of each goes to a file."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import threading
import warnings
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from holders import holders

import bufpool
from bufpool.cli.run.threads import Threads

HERE = Path(__file__).parent
NUMPY = Path(np.__file__).parent
_CI = (
    "datetime",
    "dtype",
    "indexing",
    "item_selection",
    "mem_policy",
    "multithreading",
    "nditer",
    "numeric",
    "regression",
    "stringdtype",
    "ufunc",
    "umath",
)
PARTS = {
    "all": ["."],
    "ci": [f"_core/tests/test_{name}.py" for name in _CI],  # more than 5,000 tests in half a minute
}


class Recorder:
    """Writes down the outcome of each test, and that the pool was there when it began."""

    def __init__(self, pool: bufpool.BufferPool | None, threads: Threads | None) -> None:
        self.pool = pool
        self.threads = threads
        self.outcomes: dict[str, list[str]] = defaultdict(list)
        self.uncovered: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Leave new threads alone in the one test which says that they have NumPy's own allocator."""
        if self.threads is None or item.name != "test_thread_locality":
            return (yield)
        self.threads.stop()
        try:
            return (yield)
        finally:
            self.threads.start()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.pool is not None and not self.pool.installed:
            self.uncovered.append(item.nodeid)
            self.pool.install()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self.outcomes[report.nodeid].append(f"collect {report.outcome}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            expected = " as expected" if hasattr(report, "wasxfail") else ""
            self.outcomes[report.nodeid].append(f"{report.when} {report.outcome}{expected}")

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, nodeid: str) -> None:
        """Errors that pytest only warns of: those in threads and in finalizers."""
        if issubclass(
            warning_message.category,
            (pytest.PytestUnhandledThreadExceptionWarning, pytest.PytestUnraisableExceptionWarning),
        ):
            self.outcomes[nodeid].append(f"warned of {warning_message.category.__name__}")


def import_everything() -> None:
    """Import NumPy's public modules, so that their own constants are not taken for something a test has left."""
    for name in np.__all__:
        getattr(np, name)


def drop_tests() -> None:
    """Take down what would live as long as the process: the modules of tests, the last error, frames of errors.

    Modules are emptied, as the interpreter does at its end, and errors lose their traceback: the wrapper that NumPy
    puts around its functions for ``__array_function__`` takes no part in cyclic collection, so that a module or a
    frame with such a function in it is never found to be garbage, and a frame of a test holds all of pytest.
    """
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/")
        if file.is_relative_to(NUMPY) and ("tests" in file.parts or file.name == "conftest.py"):
            parent, _, child = name.rpartition(".")
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(child, None)
            del sys.modules[name]
            vars(module).clear()
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        vars(sys).pop(name, None)
    for each in gc.get_objects():
        if issubclass(type(each), BaseException):
            each.__traceback__ = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, required=True)
    parser.add_argument("--memory", choices=("plain", "pool"), required=True)
    parser.add_argument("file", type=Path)
    args = parser.parse_args()

    import_everything()
    pool = threads = None
    if args.memory == "pool":
        pool = bufpool.BufferPool(name="numpy-suite")
        pool.install()
        threads = Threads(pool)
        threads.start()
    recorder = Recorder(pool, threads)
    where = [str(NUMPY / part) for part in PARTS[args.part]]
    status = pytest.main(["-c", str(HERE / "pytest.ini"), f"--rootdir={NUMPY.parent}", *where], plugins=[recorder])
    result: dict[str, Any] = {"outcomes": recorder.outcomes}
    if pool is not None:
        drop_tests()
        for _ in range(5):
            gc.collect()
        stats = pool.stats()
        result |= {
            "uncovered": recorder.uncovered,
            "in_use_bytes": stats.in_use_bytes,
            "held": holders(pool),
            "checkouts": stats.hits + stats.misses,
            "peak_bytes": stats.peak_bytes,
            "threads": threads.count,
            "alive": [each.name for each in threading.enumerate()],
        }
    args.file.write_text(json.dumps(result, indent=1), encoding="utf-8")
    # Tests that fail in both runs are no difference; a session that broke off is.
    return 0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else int(status)


if __name__ == "__main__":
    sys.exit(main())
